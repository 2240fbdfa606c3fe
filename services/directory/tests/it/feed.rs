//! The feed: positions are given after commit, so that no reader skips what commits late.

use concierge_directory::Directory;
use concierge_directory::relationship::Relationships;
use concierge_proto::directory::{Relationship, RelationshipEntity};
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{Event, ReadSnapshotRequest, SubscribeRequest, SubscribeResponse};
use concierge_runtime::{Service, Tx};
use concierge_testkit::{Api, Suite, Who};
use tonic::{Code, Streaming};

async fn start() -> (Suite, EventFeedServiceClient<Api>, Service) {
    let mut suite = Suite::new();
    let service = suite.start::<Directory>().await.host.service.clone();
    let client = EventFeedServiceClient::new(suite.api("directory", &Who::service("ticket-rule")));
    (suite, client, service)
}

async fn insert(service: &Service, name: &str) -> Tx {
    let mut tx = service.begin().await.unwrap();
    let relationship =
        Relationship { name: name.to_owned(), entity: RelationshipEntity::Customer.into(), ..Default::default() };
    tx.insert_own::<Relationships>(relationship).await.unwrap();
    tx
}

async fn next(stream: &mut Streaming<SubscribeResponse>) -> Vec<Event> {
    loop {
        let part = tokio::time::timeout(std::time::Duration::from_secs(10), stream.message()).await.unwrap();
        let events = part.unwrap().unwrap().events;
        if !events.is_empty() {
            return events;
        }
    }
}

#[tokio::test]
async fn a_inserts_b_inserts_and_commits_the_subscriber_reads_a_commits_both_arrive() {
    let (_suite, mut client, service) = start().await;
    let mut stream = client.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
    let a = insert(&service, "A").await;
    let b = insert(&service, "B").await;
    service.commit(b).await.unwrap();
    let first = next(&mut stream).await;
    assert_eq!(first.iter().map(|e| e.position).collect::<Vec<_>>(), [1]);
    service.commit(a).await.unwrap();
    let second = next(&mut stream).await;
    assert_eq!(second.iter().map(|e| e.position).collect::<Vec<_>>(), [2]);
    assert_ne!(first[0].subject, second[0].subject);
}

#[tokio::test]
async fn a_reader_beyond_the_head_or_of_another_feed_is_told_to_read_a_snapshot() {
    let (_suite, mut client, service) = start().await;
    let a = insert(&service, "A").await;
    service.commit(a).await.unwrap();
    let mut snapshot = client.read_snapshot(ReadSnapshotRequest::default()).await.unwrap().into_inner();
    let (mut feed_id, mut records) = (String::new(), 0);
    while let Some(part) = snapshot.message().await.unwrap() {
        feed_id = part.feed_id;
        records += part.records.len();
    }
    assert_eq!(records, 1);
    for (feed_id, after_position) in
        [(feed_id, 1_000), ("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned(), 0), (String::new(), 1)]
    {
        let request = SubscribeRequest { feed_id, after_position, types: Vec::new() };
        assert_eq!(client.subscribe(request).await.unwrap_err().code(), Code::OutOfRange);
    }
}

#[tokio::test]
async fn whoever_asks_where_the_feed_is_hears_of_all_that_was_committed() {
    let (_suite, mut client, service) = start().await;
    for round in 0..30 {
        let tx = insert(&service, &format!("Relationship {round}")).await;
        service.commit(tx).await.unwrap();
        let request = ReadSnapshotRequest { record_types: vec!["none".to_owned()] };
        let mut parts = client.read_snapshot(request).await.unwrap().into_inner();
        let told = parts.message().await.unwrap().unwrap().position;
        let (waiting, newest): (i64, i64) =
            sqlx::query_as("select count(*) filter (where position is null), max(position) from outbox")
                .fetch_one(service.pool())
                .await
                .unwrap();
        assert_eq!((waiting, newest), (0, told), "round {round}");
    }
}
