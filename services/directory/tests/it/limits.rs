//! What takes too long, and what is too many: deadlines, as far down as the database, and shedding.

use std::time::{Duration, Instant};

use concierge_directory::Directory;
use concierge_directory::relationship::Relationships;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{
    CreateCustomerRequest, Customer, GetCustomerRequest, ListCustomersRequest, Relationship, RelationshipEntity, Site,
    UpdateCustomerRequest,
};
use concierge_proto::event::SubscribeRequest;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_runtime::layers::{Admission, Layers, Pipeline};
use concierge_runtime::program::Program as _;
use concierge_runtime::{Error, Failure as _};
use concierge_testkit::{Suite, Who, request_id};
use sqlx::PgPool;
use tonic::service::Routes;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use tower::Layer as _;
use uuid::Uuid;

use crate::desk::{Desk, mask, metadata, reason};

/// So long a statement may wait in the database, whoever waits for it: what takes less was ended by a deadline.
const FIXED: Duration = Duration::from_secs(30);

/// Customers through the layers alone: transport has timers of its own, and the first to go off answers.
fn layered(desk: &mut Desk) -> CustomerServiceClient<Pipeline<Routes>> {
    let host = &desk.suite.service("directory").host;
    let layers = Layers {
        verifier: std::sync::Arc::clone(&host.verifier),
        clock: std::sync::Arc::clone(host.clock()),
        admission: Admission::new(8),
        default_deadline: FIXED,
        max_deadline: FIXED,
        max_message: 4 << 20,
    };
    CustomerServiceClient::new(layers.layer(Directory::routes(host).prepare()))
}

/// A request with a token and a deadline.
fn within<M>(desk: &Desk, milliseconds: u64, message: M) -> Request<M> {
    let mut request = Request::new(message);
    let token = desk.suite.token("directory", &desk.who);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.set_timeout(Duration::from_millis(milliseconds));
    request
}

fn acme() -> CreateCustomerRequest {
    CreateCustomerRequest {
        customer: Some(Customer { name: "Acme".to_owned(), ..Default::default() }),
        main_site: Some(Site { name: "Main".to_owned(), ..Default::default() }),
        request_id: request_id(),
        main_contact: None,
    }
}

/// Waits until so many statements on customers wait for a lock; for less than the fixed timeout of statements.
async fn waiting(pool: &PgPool, count: i64) {
    let began = Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query like '%customers%'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if waiting == count {
            return;
        }
        assert!(began.elapsed() < FIXED / 2, "{waiting} statements wait for a lock, not {count}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_deadline_ends_what_waits_in_the_database_and_leaves_nothing_of_it() {
    let mut desk = Desk::open().await;
    let (customers, pool) = (layered(&mut desk), desk.suite.service("directory").database.pool.clone());
    let mut other = pool.begin().await.unwrap();
    sqlx::query("lock table customers").execute(&mut *other).await.unwrap();

    let began = Instant::now();
    let request = acme();
    let asked = tokio::spawn({
        let (mut customers, request) = (customers.clone(), within(&desk, 1_500, request.clone()));
        async move { customers.create_customer(request).await }
    });
    waiting(&pool, 1).await;
    let status = asked.await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(!metadata(&status, "request_id").is_empty());
    // The lock is still held: nobody but the statement's own timeout ends it.
    waiting(&pool, 0).await;
    assert!(began.elapsed() < FIXED / 2, "{:?}", began.elapsed());
    other.rollback().await.unwrap();

    // Nothing is left of it, its `request_id` least of all.
    let made = desk.customers().create_customer(request.clone()).await.unwrap().into_inner();
    assert_eq!(desk.customers().create_customer(request).await.unwrap().into_inner(), made);
    let listed = desk.customers().list_customers(ListCustomersRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.customers, [made.customer.unwrap()]);
}

#[tokio::test]
async fn whoever_shares_a_read_leaves_at_its_own_deadline() {
    let mut desk = Desk::open().await;
    let (customer, _) = desk.customer("Acme").await;
    let (customers, pool) = (layered(&mut desk), desk.suite.service("directory").database.pool.clone());
    let mut other = pool.begin().await.unwrap();
    sqlx::query("lock table customers").execute(&mut *other).await.unwrap();
    let read = |milliseconds: u64| {
        let request = within(&desk, milliseconds, GetCustomerRequest { id: customer.id.clone() });
        let mut customers = customers.clone();
        tokio::spawn(async move { customers.get_customer(request).await })
    };
    let (hasty, patient) = (read(300), read(60_000));
    let status = hasty.await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    // Who comes with no time left is told so without anything being asked.
    let late = read(0).await.unwrap().unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(!patient.is_finished());
    other.rollback().await.unwrap();
    assert_eq!(patient.await.unwrap().unwrap().into_inner().customer, Some(customer));
}

#[tokio::test]
async fn a_transaction_sends_nothing_after_its_deadline_and_gives_each_statement_what_is_left() {
    let mut desk = Desk::open().await;
    let service = desk.suite.service("directory").host.service.clone();
    let time = Duration::from_millis(1_500);
    let began = Instant::now();
    let mut tx = service.begin_within(time).await.unwrap();
    let name = "Late".to_owned();
    let late = Relationship { name, entity: RelationshipEntity::Customer.into(), ..Default::default() };
    tx.insert_own::<Relationships>(late).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let armed: i64 = sqlx::query_scalar("select setting::bigint from pg_settings where name = 'statement_timeout'")
        .fetch_one(tx.conn().await.unwrap())
        .await
        .unwrap();
    // Less than at first, and more than nothing, which would be no timeout at all.
    assert!((1..=1_000).contains(&armed), "{armed} ms");
    tokio::time::sleep(time.saturating_sub(began.elapsed()) + Duration::from_millis(5)).await;
    let refused = tx.conn().await.map(drop).unwrap_err();
    assert!(matches!(refused, Error::DeadlineExceeded) && refused.code() == Code::DeadlineExceeded);
    assert!(matches!(service.commit(tx).await, Err(Error::DeadlineExceeded)));
    let stored: i64 = sqlx::query_scalar("select count(*) from relationships").fetch_one(service.pool()).await.unwrap();
    assert_eq!(stored, 0, "nobody waits for it any more, so it did not happen");
    assert!(matches!(service.begin_within(Duration::ZERO).await, Err(Error::DeadlineExceeded)));
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_streams_take_no_place() {
    let mut suite = Suite::new();
    suite.concurrency = 2;
    suite.start::<Directory>().await;
    let mut desk = Desk { suite, who: Who::agent(Uuid::from_u128(0xad)) };
    let pool = desk.suite.service("directory").database.pool.clone();
    let subscribe = async || {
        let mut feed = EventFeedServiceClient::new(desk.suite.api("directory", &Who::service("ticket-rule")));
        feed.subscribe(SubscribeRequest::default()).await.unwrap().into_inner()
    };
    let mut streams = vec![subscribe().await, subscribe().await, subscribe().await];
    let (customer, _) = desk.customer("Acme").await;

    let mut other = pool.begin().await.unwrap();
    sqlx::query("lock table customers").execute(&mut *other).await.unwrap();
    let held = ["Acme One", "Acme Two"].map(|name| {
        let request = UpdateCustomerRequest {
            customer: Some(Customer { id: customer.id.clone(), name: name.to_owned(), ..Default::default() }),
            update_mask: Some(mask(&["name"])),
            request_id: request_id(),
        };
        let mut customers = desk.customers();
        tokio::spawn(async move { customers.update_customer(request).await })
    });
    waiting(&pool, 2).await;
    let began = Instant::now();
    let read = || GetCustomerRequest { id: customer.id.clone() };
    let status = desk.customers().get_customer(read()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some_and(|delay| !delay.is_zero()));
    assert!(began.elapsed() < FIXED / 2, "it did not wait for those before it");
    streams.push(subscribe().await);

    other.rollback().await.unwrap();
    for answer in held {
        answer.await.unwrap().unwrap();
    }
    let name = desk.customers().get_customer(read()).await.unwrap().into_inner().customer.unwrap().name;
    assert!(name.starts_with("Acme "), "{name}");
}
