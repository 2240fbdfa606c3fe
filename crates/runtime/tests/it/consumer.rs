//! The leased reader of a feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use concierge_proto::event::event_feed_service_server::{EventFeedService, EventFeedServiceServer};
use concierge_proto::event::{ReadSnapshotRequest, ReadSnapshotResponse, SubscribeRequest, SubscribeResponse};
use concierge_runtime::Service;
use concierge_runtime::program::{Host, Program, Task};
use concierge_testkit::Suite;
use futures::stream::BoxStream;
use sqlx::migrate::Migrator;
use tonic::{Request, Response, Status};

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
