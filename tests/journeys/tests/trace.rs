//! One trace over the three services, as real processes that tell a collector; and what their logs never hold.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use concierge_journeys::process::{Processes, SERVICES};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::{AssignSiteContactRequest, CreateCustomerRequest, Customer, Site, User};
use concierge_proto::notification::email_sender_service_client::EmailSenderServiceClient;
use concierge_proto::notification::{CreateEmailSenderRequest, EmailSecurity, EmailSender};
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{LogTicketRequest, Ticket};
use concierge_testkit::request_id;
use concierge_testkit::traces::{Collector, hex};
use tonic::Request;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PASSWORD: &str = "correct-horse-battery-staple";

/// `service: name` of each span of the trace.
fn told(collector: &Collector) -> BTreeSet<String> {
    let all = collector.spans().into_iter().filter(|(_, span)| hex(&span.trace_id) == TRACE);
    all.map(|(service, span)| format!("{service}: {}", span.name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_one_trace_from_its_logging_to_its_telling_and_no_log_holds_a_secret() {
    let collector = Collector::start().await;
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let settings = vec![
        ("CONCIERGE_TELEMETRY__OTLP_ENDPOINT", collector.endpoint().to_owned()),
        ("CONCIERGE_TELEMETRY__LOG_FILTER", "debug,h2=info,hyper=info,tower=info".to_owned()),
        ("CONCIERGE_SECRET_KEYS", key.clone()),
    ];
    let processes = Processes::start_with(Path::new(env!("CARGO_BIN_EXE_concierge-journeys")), 1, settings).await;

    let sender = EmailSender {
        name: "Support".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(9),
        security: EmailSecurity::Starttls.into(),
        username: "desk".to_owned(),
        password: PASSWORD.to_owned(),
        from_address: "desk@example.com".to_owned(),
        ..Default::default()
    };
    let request = CreateEmailSenderRequest { email_sender: Some(sender), request_id: request_id() };
    EmailSenderServiceClient::new(processes.api("notification", 0)).create_email_sender(request).await.unwrap();
    let contact = User { name: "Mara Holt".into(), emails: vec!["mara@example.com".into()], ..Default::default() };
    let created = CustomerServiceClient::new(processes.api("directory", 0))
        .create_customer(CreateCustomerRequest {
            customer: Some(Customer { name: "Acme".to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
            main_contact: Some(contact),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner();
    let (site, contact) = (created.main_site.unwrap().id, created.main_contact.unwrap().id);
    let assign = AssignSiteContactRequest {
        site_id: site,
        user_id: contact.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    SiteContactServiceClient::new(processes.api("directory", 0)).assign_site_contact(assign).await.unwrap();

    let ticket = Ticket { summary: "The VPN is down".to_owned(), user_id: contact, ..Default::default() };
    let mut request = Request::new(LogTicketRequest { ticket: Some(ticket), request_id: request_id() });
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
    TicketServiceClient::new(processes.api("ticket-rule", 0)).log_ticket(request).await.unwrap();

    // The logging, the facts it asked for, its effect on the overviews, its telling and the e-mail's attempt.
    let wanted = [
        "ticket-rule: concierge.ticket_rule.v1.TicketService/LogTicket",
        "directory: concierge.directory.v1.RequesterService/BatchGetRequesterFacts",
        "directory: apply",
        "notification: apply",
        "notification: send",
    ];
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let spans = told(&collector);
        let missing: Vec<_> = wanted.iter().filter(|w| !spans.iter().any(|s| s.starts_with(**w))).collect();
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{missing:?} are not among {spans:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (service, _) in SERVICES {
        let log = processes.whole_log(service, 0);
        assert!(!log.is_empty(), "{service} logged nothing");
        // A token begins with its header, `{"` in base64.
        for secret in [PASSWORD, key.as_str(), "Bearer ", "eyJ"] {
            assert!(!log.contains(secret), "the log of {service} holds {secret:?}");
        }
    }
}
