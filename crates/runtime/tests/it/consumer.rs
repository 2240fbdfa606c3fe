//! The leased reader of a feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use concierge_proto::directory::Site;
use concierge_proto::event::event_feed_service_server::{EventFeedService, EventFeedServiceServer};
use concierge_proto::event::{
    ReadSnapshotRequest, ReadSnapshotResponse, RecordChanged, SubscribeRequest, SubscribeResponse,
};
use concierge_runtime::program::{Host, Program, Task};
use concierge_runtime::{Service, type_url};
use concierge_testkit::Suite;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::{Message as _, Name as _};
use prost_types::Any;
use sqlx::migrate::Migrator;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::world::{Ear, Listener, NONE, Teller, heard, tell, until};

async fn cursor(service: &Service) -> (i64, i64) {
    let cursor: Option<(i64, i64)> =
        sqlx::query_as("select position, lease_epoch from feed_cursors").fetch_optional(service.pool()).await.unwrap();
    cursor.unwrap_or_default()
}

#[tokio::test]
async fn effects_that_take_longer_than_the_lease_happen_once_and_the_cursor_moves_between_them() {
    let mut suite = Suite::new();
    let teller = suite.start::<Teller>().await.host.service.clone();
    let one = suite.start::<Listener>().await.host.service.clone();
    let other = suite.replica::<Listener>().await;
    // The first takes longer than the lease by itself, and so do the others together.
    let subjects = ["a/6500", "b/700", "c/700", "d/700", "e/700", "f/700", "g/700", "h/700", "i/700", "j/700"];
    tell(&teller, &subjects, 0).await;

    let mut positions = Vec::new();
    until("all are heard", async || {
        let (position, _) = cursor(&one).await;
        if positions.last() != Some(&position) {
            positions.push(position);
        }
        heard(&one).await.len() >= subjects.len()
    })
    .await;
    let tried: Vec<String> = [one.shared::<Ear>(), other.host.service.shared::<Ear>()]
        .iter()
        .flat_map(|ear| ear.tried.lock().unwrap().clone())
        .collect();
    let expected: Vec<String> = subjects.iter().map(|s| format!("ticket/{s}")).collect();
    assert_eq!(heard(&one).await, expected);
    assert_eq!(tried, expected, "nothing was undone and begun anew");
    assert!(positions.len() >= 4, "the cursor moved between: {positions:?}");
}

#[tokio::test]
async fn the_effect_of_a_reader_that_is_late_is_undone() {
    let mut suite = Suite::new();
    let teller = suite.start::<Teller>().await.host.service.clone();
    let service = suite.start::<Listener>().await.host.service.clone();
    let ear = service.shared::<Ear>();
    // The effect waits in the middle, and meanwhile somebody else is made the reader.
    let mut held = service.pool().begin().await.unwrap();
    sqlx::query("lock table heard in exclusive mode").execute(&mut *held).await.unwrap();
    tell(&teller, &["a"], 0).await;
    until("the effect is begun", async || !ear.tried.lock().unwrap().is_empty()).await;
    let other = "update feed_cursors set lease_epoch = lease_epoch + 1, lease_holder = gen_random_uuid(),
                     lease_until = clock_timestamp() + interval '1 second'";
    sqlx::query(other).execute(service.pool()).await.unwrap();
    held.rollback().await.unwrap();

    // Of the two times that it was applied, one is left, and one event of its own.
    until("it is heard", async || heard(&service).await.len() == 1 && ear.tried.lock().unwrap().len() == 2).await;
    until("the cursor is moved", async || cursor(&service).await.0 == 1).await;
    assert_eq!(heard(&service).await, ["ticket/a"]);
    let told: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(service.pool()).await.unwrap();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_consumer_that_stops_gives_its_lease_back() {
    let mut suite = Suite::new();
    let teller = suite.start::<Teller>().await.host.service.clone();
    suite.start::<Listener>().await;
    tell(&teller, &["a"], 0).await;
    let host = suite.service("notification").host.clone();
    until("it is heard", async || heard(&host.service).await.len() == 1).await;
    host.stop.cancel();
    until("the lease is free", async || {
        sqlx::query_scalar("select lease_until = '-infinity' from feed_cursors")
            .fetch_one(host.service.pool())
            .await
            .unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_panic_over_an_event_is_tried_again() {
    let mut suite = Suite::new();
    let teller = suite.start::<Teller>().await.host.service.clone();
    let service = suite.start::<Listener>().await.host.service.clone();
    let ear = service.shared::<Ear>();
    ear.panics.store(2, Ordering::SeqCst);
    tell(&teller, &["a", "b"], 0).await;
    until("both are heard", async || heard(&service).await.len() == 2).await;
    assert_eq!(*ear.tried.lock().unwrap(), ["ticket/a", "ticket/a", "ticket/a", "ticket/b"]);
}

/// A feed whose messages no reader can decode, as transport says it.
#[derive(Clone, Debug, Default)]
struct TooLarge {
    subscribed: Arc<AtomicUsize>,
    snapshots: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl EventFeedService for TooLarge {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;
    type ReadSnapshotStream = BoxStream<'static, Result<ReadSnapshotResponse, Status>>;

    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        self.subscribed.fetch_add(1, Ordering::SeqCst);
        Err(Status::out_of_range("Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes"))
    }

    async fn read_snapshot(
        &self,
        _: Request<ReadSnapshotRequest>,
    ) -> Result<Response<Self::ReadSnapshotStream>, Status> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        Err(Status::unimplemented(""))
    }
}

impl Program for TooLarge {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(host: &Host) -> tonic::service::Routes {
        let feed = Self::clone(&host.service.shared());
        tonic::service::Routes::new(EventFeedServiceServer::new(feed))
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_a_position_that_is_lost() {
    let mut suite = Suite::new();
    let feed = suite.start::<TooLarge>().await.host.service.shared::<TooLarge>();
    suite.start::<Listener>().await;
    until("it is tried again", async || feed.subscribed.load(Ordering::SeqCst) >= 3).await;
    assert_eq!(feed.snapshots.load(Ordering::SeqCst), 0, "a snapshot would skip the effects of events");
}

/// A feed that has lost what came before, and a snapshot in two parts.
#[derive(Clone, Copy, Debug)]
struct Lost;

fn site(id: u128, version: i64, customer: u128) -> RecordChanged {
    let customer_id = Uuid::from_u128(customer).to_string();
    let site = Site { id: Uuid::from_u128(id).to_string(), customer_id, ..Default::default() };
    RecordChanged {
        record_type: "site".to_owned(),
        record_id: site.id.clone(),
        version,
        record: Some(Any { type_url: type_url(&Site::full_name()), value: site.encode_to_vec() }),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl EventFeedService for Lost {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;
    type ReadSnapshotStream = BoxStream<'static, Result<ReadSnapshotResponse, Status>>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        if request.get_ref().after_position == 9 {
            return Ok(Response::new(futures::stream::pending().boxed()));
        }
        let details = ErrorDetails::with_error_info("FEED_POSITION_OUT_OF_RANGE", "concierge", []);
        Err(Status::with_error_details(Code::OutOfRange, "gone", details))
    }

    async fn read_snapshot(
        &self,
        _: Request<ReadSnapshotRequest>,
    ) -> Result<Response<Self::ReadSnapshotStream>, Status> {
        let part = |records| {
            let feed_id = Uuid::from_u128(7).to_string();
            Ok(ReadSnapshotResponse { feed_id, position: 9, records, ..Default::default() })
        };
        // The first is older than what was heard; a record told twice counts once.
        let first = vec![site(1, 2, 5), site(2, 4, 5)];
        let parts = [part(vec![]), part(first), part(vec![site(3, 1, 6), site(3, 1, 6)])];
        Ok(Response::new(futures::stream::iter(parts).boxed()))
    }
}

impl Program for Lost {
    const NAME: &'static str = "ticket-rule";

    fn migrations() -> &'static Migrator {
        &NONE
    }

    fn routes(_: &Host) -> tonic::service::Routes {
        tonic::service::Routes::new(EventFeedServiceServer::new(Self))
    }

    fn tasks(_: &Host) -> Vec<Task> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_snapshot_is_the_truth_and_what_it_does_not_hold_is_deleted() {
    let mut suite = Suite::new();
    let listener = suite.start::<Listener>().await.host.service.clone();
    for (id, version) in [(1, 30_i64), (8, 2)] {
        sqlx::query(
            "insert into projections (record_type, record_id, version, deleted, refs, record, update_time)
             values ('site', $1, $2, false, '{}', '', now())",
        )
        .bind(Uuid::from_u128(id))
        .bind(version)
        .execute(listener.pool())
        .await
        .unwrap();
    }
    suite.start::<Lost>().await;
    until("the snapshot is taken", async || cursor(&listener).await.0 == 9).await;
    let kept: Vec<(Uuid, i64, bool, Vec<Uuid>)> =
        sqlx::query_as("select record_id, version, deleted, refs from projections order by record_id")
            .fetch_all(listener.pool())
            .await
            .unwrap();
    let id = Uuid::from_u128;
    let expected = [
        (id(1), 2, false, vec![id(5)]),
        (id(2), 4, false, vec![id(5)]),
        (id(3), 1, false, vec![id(6)]),
        (id(8), 2, true, vec![]),
    ];
    assert_eq!(kept, expected);
}
