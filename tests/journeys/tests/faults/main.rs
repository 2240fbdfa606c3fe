//! Real processes, killed at random under load: every acknowledged write is there, every event had its effect once, and
//! an e-mail arrived more than once only where nobody could know that it had.
//!
//! 20 cycles; `CONCIERGE_FAULT_CYCLES=200 cargo test -p concierge-journeys --test faults` for the long run.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod effects;
mod load;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use concierge_journeys::process::Processes;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::{AssignSiteContactRequest, CreateCustomerRequest, Customer, Site, User};
use concierge_proto::notification::email_sender_service_client::EmailSenderServiceClient;
use concierge_proto::notification::{CreateEmailSenderRequest, EmailSecurity, EmailSender};
use concierge_testkit::request_id;
use concierge_testkit::smtp::SmtpServer;
use rand::RngExt as _;

use effects::{count, eventually};
use load::{Acknowledged, Load};

const REPLICAS: usize = 2;
const WRITERS_OF_TICKETS: usize = 6;
const WRITERS_OF_CUSTOMERS: usize = 2;
const SERVICES: [&str; 3] = ["directory", "ticket-rule", "notification"];
const USUAL: usize = 20;

fn cycles() -> usize {
    std::env::var("CONCIERGE_FAULT_CYCLES").ok().map_or(USUAL, |text| text.parse().unwrap())
}

/// One customer with a site contact, whom every ticket is told to, by e-mail through this server as well. Answers with
/// the site.
async fn world(processes: &Processes, smtp: &SmtpServer) -> String {
    let contact =
        User { name: "Contact".to_owned(), emails: vec!["contact@example.com".to_owned()], ..Default::default() };
    let created = CustomerServiceClient::new(processes.api("directory", 0))
        .create_customer(CreateCustomerRequest {
            customer: Some(Customer { name: "Unlucky".to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
            main_contact: Some(contact),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner();
    let (site, contact) = (created.main_site.unwrap().id, created.main_contact.unwrap().id);
    SiteContactServiceClient::new(processes.api("directory", 0))
        .assign_site_contact(AssignSiteContactRequest {
            site_id: site.clone(),
            user_id: contact,
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .unwrap();
    let sender = EmailSender {
        name: "Desk".to_owned(),
        host: smtp.address.ip().to_string(),
        port: Some(i32::from(smtp.address.port())),
        security: EmailSecurity::None.into(),
        from_address: "desk@example.com".to_owned(),
        ..Default::default()
    };
    EmailSenderServiceClient::new(processes.api("notification", 0))
        .create_email_sender(CreateEmailSenderRequest { email_sender: Some(sender), request_id: request_id() })
        .await
        .unwrap();
    // The contact is known to notification once it has read the directory's feed.
    let notification = processes.database("notification");
    eventually("the site contact to arrive", || async {
        count(&notification, "select count(*) from projections where record_type = 'site_contact'").await == 1
    })
    .await;
    site
}

/// Kills a process, or the database server, and starts it again.
async fn kill_one(processes: &mut Processes, cycle: usize) {
    let (pause, victim, replica) = {
        let mut random = rand::rng();
        (random.random_range(100..400), random.random_range(0..4), random.random_range(0..REPLICAS))
    };
    tokio::time::sleep(Duration::from_millis(pause)).await;
    if victim == SERVICES.len() {
        eprintln!("cycle {cycle}: postgres");
        let restarted = tokio::task::block_in_place(|| {
            processes.postgres.kill().unwrap();
            processes.postgres.restart()
        });
        restarted.unwrap();
    } else {
        let service = SERVICES[victim];
        eprintln!("cycle {cycle}: {service} {replica}");
        processes.kill(service, replica);
        tokio::time::sleep(Duration::from_millis(pause / 2)).await;
        processes.restart(service, replica);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_there_and_has_its_effect_once_whatever_is_killed() {
    let mut processes = Processes::start(Path::new(env!("CARGO_BIN_EXE_concierge-journeys")), REPLICAS).await;
    let smtp = SmtpServer::start().await;
    let site = world(&processes, &smtp).await;

    let (tickets, customers) = (Acknowledged::default(), Acknowledged::default());
    let stop = Arc::new(AtomicBool::new(false));
    let loads = [
        (WRITERS_OF_TICKETS, "ticket-rule", Load::Tickets(site), &tickets),
        (WRITERS_OF_CUSTOMERS, "directory", Load::Customers, &customers),
    ];
    let mut writers = Vec::new();
    for (count, service, load, acknowledged) in loads {
        for writer in 0..count {
            let apis = (0..REPLICAS).map(|replica| processes.api(service, replica)).collect();
            let writing = load::write(apis, load.clone(), writer, Arc::clone(acknowledged), Arc::clone(&stop));
            writers.push(tokio::spawn(writing));
        }
    }
    for cycle in 0..cycles() {
        kill_one(&mut processes, cycle).await;
    }
    for service in SERVICES {
        for replica in 0..REPLICAS {
            processes.serving(service, replica).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }

    let tickets: Vec<String> = std::mem::take(&mut tickets.lock().unwrap());
    let customers: Vec<String> = std::mem::take(&mut customers.lock().unwrap());
    eprintln!("{} tickets and {} customers acknowledged", tickets.len(), customers.len());
    assert!(tickets.len() > cycles() && customers.len() > cycles(), "the load was no load");
    effects::of_customers(&processes, &customers).await;
    effects::of_tickets(&processes, &smtp, &tickets, cycles() > USUAL).await;
}
