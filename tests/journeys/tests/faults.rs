//! Real processes, killed at random under load: every acknowledged write is there, every event had its effect once.
//!
//! 20 cycles; `CONCIERGE_FAULT_CYCLES=200 cargo test -p concierge-journeys --test faults` for the long run.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use concierge_journeys::process::{Api, Processes};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::{AssignSiteContactRequest, CreateCustomerRequest, Customer, Site, User};
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{LogTicketRequest, Ticket};
use concierge_testkit::request_id;
use rand::RngExt as _;
use sqlx::PgPool;
use tonic::Code;

const REPLICAS: usize = 2;
const WRITERS: usize = 6;

fn cycles() -> usize {
    std::env::var("CONCIERGE_FAULT_CYCLES").ok().map_or(20, |text| text.parse().unwrap())
}

/// One customer with a site contact, whom every ticket is told to.
async fn world(processes: &Processes) -> (String, String) {
    let created = CustomerServiceClient::new(processes.api("directory", 0))
        .create_customer(CreateCustomerRequest {
            customer: Some(Customer { name: "Unlucky".to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Head office".to_owned(), ..Default::default() }),
            main_contact: Some(User { name: "Contact".to_owned(), ..Default::default() }),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner();
    let (site, contact) = (created.main_site.unwrap().id, created.main_contact.unwrap().id);
    SiteContactServiceClient::new(processes.api("directory", 0))
        .assign_site_contact(AssignSiteContactRequest {
            site_id: site.clone(),
            user_id: contact.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .unwrap();
    (site, contact)
}

/// Logs tickets until told to stop; each under one `request_id`, tried again until it is acknowledged.
async fn write(
    apis: Vec<Api>,
    site: String,
    writer: usize,
    acknowledged: Arc<Mutex<Vec<(String, String)>>>,
    stop: Arc<AtomicBool>,
) {
    let mut clients: Vec<_> = apis.into_iter().map(TicketServiceClient::new).collect();
    let mut turn = 0;
    for n in 0.. {
        let external_id = format!("{writer}/{n}");
        let ticket = Ticket {
            summary: format!("Ticket {external_id}"),
            site_id: site.clone(),
            external_id: external_id.clone(),
            external_source: "faults".to_owned(),
            ..Default::default()
        };
        let message = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            turn += 1;
            let replica = turn % clients.len();
            let mut request = tonic::Request::new(message.clone());
            request.set_timeout(Duration::from_secs(5));
            match clients[replica].log_ticket(request).await {
                Ok(answer) => {
                    acknowledged.lock().unwrap().push((external_id, answer.into_inner().ticket.unwrap().id));
                    break;
                }
                Err(status) => {
                    // What a killed process or database may cause; anything else is a bug.
                    let fine = matches!(
                        status.code(),
                        Code::Unavailable
                            | Code::DeadlineExceeded
                            | Code::Cancelled
                            | Code::Aborted
                            | Code::Unknown
                            | Code::ResourceExhausted
                    );
                    assert!(fine, "{status:?}");
                    assert!(Instant::now() < until, "no answer for a minute: {status:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_there_and_has_its_effect_once_whatever_is_killed() {
    let mut processes = Processes::start(Path::new(env!("CARGO_BIN_EXE_concierge-journeys")), REPLICAS).await;
    let (site, _) = world(&processes).await;
    // The contact is known to notification once it has read the directory's feed.
    let notification = processes.database("notification");
    eventually("the site contact to arrive", || async {
        count(&notification, "select count(*) from projections where record_type = 'site_contact'").await == 1
    })
    .await;

    let acknowledged = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let apis = (0..REPLICAS).map(|r| processes.api("ticket-rule", r)).collect();
            tokio::spawn(write(apis, site.clone(), writer, Arc::clone(&acknowledged), Arc::clone(&stop)))
        })
        .collect();
    for cycle in 0..cycles() {
        let (pause, victim, replica) = {
            let mut random = rand::rng();
            (random.random_range(100..600), random.random_range(0..4), random.random_range(0..REPLICAS))
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if victim == 3 {
            eprintln!("cycle {cycle}: postgres");
            let restarted = tokio::task::block_in_place(|| {
                processes.postgres.kill().unwrap();
                processes.postgres.restart()
            });
            restarted.unwrap();
        } else {
            let service = ["directory", "ticket-rule", "notification"][victim];
            eprintln!("cycle {cycle}: {service} {replica}");
            processes.kill(service, replica);
            tokio::time::sleep(Duration::from_millis(pause / 2)).await;
            processes.restart(service, replica);
        }
    }
    for service in ["directory", "ticket-rule", "notification"] {
        for replica in 0..REPLICAS {
            processes.serving(service, replica).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }

    // Fresh connections: the database was killed under the old ones.
    let notification = processes.database("notification");
    let acknowledged: Vec<(String, String)> = std::mem::take(&mut acknowledged.lock().unwrap());
    eprintln!("{} tickets acknowledged", acknowledged.len());
    assert!(acknowledged.len() > cycles(), "the load was no load: {}", acknowledged.len());
    let ids: HashSet<&str> = acknowledged.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids.len(), acknowledged.len(), "one ticket was acknowledged under two requests");

    // Every acknowledged ticket is there, once.
    let tickets = processes.database("ticket_rule");
    let stored: HashSet<String> = texts(&tickets, "select id::text from tickets").await.into_iter().collect();
    let lost: Vec<_> = acknowledged.iter().filter(|(_, id)| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let twice = count(
        &tickets,
        "select count(*) from (select 1 from tickets group by external_source, external_id having count(*) > 1) t",
    )
    .await;
    assert_eq!(twice, 0, "tickets logged twice");

    // Every ticket had its effects, once: in the directory's activity, and one message in the contact's inbox.
    let all = i64::try_from(stored.len()).unwrap();
    let directory = processes.database("directory");
    eventually("directory to hear of every ticket", || async {
        count(&directory, "select count(*) from ticket_projection").await == all
    })
    .await;
    assert_eq!(count(&directory, "select count(distinct ticket_id) from activity").await, all);
    assert_eq!(count(&directory, "select count(*) from activity").await, all);
    let inbox = "select count(*) from deliveries where channel = 2";
    eventually("notification to tell of every ticket", || async { count(&notification, inbox).await >= all }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count(&notification, inbox).await, all);
    let distinct = "select count(distinct ticket_id) from deliveries where channel = 2";
    assert_eq!(count(&notification, distinct).await, all);
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn texts(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = Instant::now() + Duration::from_secs(60);
    while !check().await {
        assert!(Instant::now() < until, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
