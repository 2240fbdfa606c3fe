//! What must be so after all that was written and killed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use concierge_journeys::process::Processes;
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::{AttemptOutcome, Delivery, DeliveryState, ListDeliveriesRequest};
use concierge_testkit::smtp::SmtpServer;
use sqlx::PgPool;

use crate::load::SOURCE;

pub(crate) async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = Instant::now() + Duration::from_secs(120);
    while !check().await {
        assert!(Instant::now() < until, "{what}: not within two minutes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every acknowledged one is there, and nothing was written twice. Answers with all that is there.
async fn stored(pool: &PgPool, table: &'static str, acknowledged: &[String]) -> HashSet<String> {
    assert_eq!(
        acknowledged.iter().collect::<HashSet<_>>().len(),
        acknowledged.len(),
        "acknowledged under two requests"
    );
    let sql = format!("select id::text, external_id from {table} where external_source = $1");
    let rows: Vec<(String, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(SOURCE).fetch_all(pool).await.unwrap();
    let keys: HashSet<&str> = rows.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys.len(), rows.len(), "{table} has something twice");
    let ids: HashSet<String> = rows.into_iter().map(|(id, _)| id).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "lost of {table}: {lost:?}");
    ids
}

/// Every ticket had its effects once: in the directory's activity, in the contact's inbox and in their e-mails.
pub(crate) async fn of_tickets(processes: &Processes, smtp: &SmtpServer, acknowledged: &[String], patient: bool) {
    let tickets = stored(&processes.database("ticket_rule"), "tickets", acknowledged).await;
    let all = i64::try_from(tickets.len()).unwrap();
    let directory = processes.database("directory");
    eventually("directory to hear of every ticket", || async {
        count(&directory, "select count(*) from ticket_projection").await == all
    })
    .await;
    assert_eq!(count(&directory, "select count(distinct ticket_id) from activity").await, all);
    assert_eq!(count(&directory, "select count(*) from activity").await, all);

    // One message a channel: in the inbox, and by e-mail.
    let notification = processes.database("notification");
    eventually("notification to tell of every ticket", || async {
        count(&notification, "select count(*) from deliveries").await >= 2 * all
    })
    .await;
    eventually("every e-mail to be sent", || async {
        if !patient {
            lapse(&notification).await;
        }
        count(&notification, "select count(*) from deliveries where channel = 1 and state <> 3").await == 0
    })
    .await;
    for channel in ["1", "2"] {
        let sql = format!("select ticket_id::text from deliveries where channel = {channel} and state = 3");
        let told: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&notification).await.unwrap();
        assert_eq!((told.len(), told.into_iter().collect::<HashSet<_>>()), (tickets.len(), tickets.clone()));
    }
    assert_eq!(count(&notification, "select count(*) from deliveries").await, 2 * all);
    assert_eq!(count(&notification, "select count(*) from inbox_items").await, all);
    e_mails(processes, smtp).await;
}

/// An attempt of a killed process keeps others away for a minute. Without the patience for that, the minute is over as
/// soon as the attempt must be dead: a living one takes milliseconds.
async fn lapse(notification: &PgPool) {
    let sql = "update deliveries set due_time = now()
               where channel = 1 and state = 2 and update_time < now() - interval '3 seconds' and due_time > now()";
    sqlx::query(sql).execute(notification).await.unwrap();
}

/// Each e-mail arrived, and again only as often as nobody knew whether it had (decision 14).
async fn e_mails(processes: &Processes, smtp: &SmtpServer) {
    let mut copies: HashMap<String, usize> = HashMap::new();
    for mail in smtp.mails() {
        *copies.entry(mail.message_id()).or_default() += 1;
    }
    let (mut arrived, mut repeated, mut unknown) = (0, 0, 0);
    for delivery in deliveries(processes).await {
        let outcomes: Vec<AttemptOutcome> = delivery.attempts.iter().map(|attempt| attempt.outcome()).collect();
        let doubts = outcomes.iter().filter(|outcome| **outcome == AttemptOutcome::Unknown).count();
        let accepted = outcomes.iter().filter(|outcome| **outcome == AttemptOutcome::Accepted).count();
        let copies = copies.remove(&delivery.message_id).unwrap_or(0);
        assert_eq!((delivery.state(), accepted), (DeliveryState::Sent, 1), "{delivery:?}");
        assert!((1..=1 + doubts).contains(&copies), "{copies} copies of {delivery:?}");
        arrived += 1;
        repeated += copies - 1;
        unknown += doubts;
    }
    assert!(copies.is_empty(), "e-mails that nobody queued: {copies:?}");
    eprintln!("{arrived} e-mails arrived, {unknown} attempts unknown, {repeated} e-mails repeated");
}

/// Every delivery by e-mail, with its attempts.
async fn deliveries(processes: &Processes) -> Vec<Delivery> {
    let mut client = DeliveryServiceClient::new(processes.api("notification", 0));
    let filter = "channel = EMAIL".to_owned();
    let mut request = ListDeliveriesRequest { filter, page_size: 1_000, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = client.list_deliveries(request.clone()).await.unwrap().into_inner();
        all.extend(page.deliveries);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

/// Every customer and its site is known to the others as directory has it.
pub(crate) async fn of_customers(processes: &Processes, acknowledged: &[String]) {
    let directory = processes.database("directory");
    stored(&directory, "customers", acknowledged).await;
    for (record_type, table) in [("customer", "customers"), ("site", "sites")] {
        let sql = format!("select id::text, version from {table}");
        let rows: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&directory).await.unwrap();
        let told: HashMap<String, i64> = rows.into_iter().collect();
        assert!(record_type == "site" || acknowledged.iter().all(|id| told[id] == 2), "a change was made twice or not");
        for service in ["ticket_rule", "notification"] {
            let pool = processes.database(service);
            let what = format!("{service} to hear of every {record_type}");
            eventually(&what, || async {
                let rows: Vec<(String, i64)> = sqlx::query_as(
                    "select record_id::text, version from projections where record_type = $1 and not deleted",
                )
                .bind(record_type)
                .fetch_all(&pool)
                .await
                .unwrap();
                rows.into_iter().collect::<HashMap<_, _>>() == told
            })
            .await;
        }
    }
}
