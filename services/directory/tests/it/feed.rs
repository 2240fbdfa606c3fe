//! The feed: positions are given after commit, so that no reader skips what commits late.

use concierge_directory::Directory;
use concierge_directory::relationship::Relationships;
use concierge_proto::directory::{Relationship, RelationshipEntity};
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{Event, ReadSnapshotRequest, SubscribeRequest, SubscribeResponse};
use concierge_runtime::{Service, Tx};
use concierge_testkit::{Api, Suite, Who};
use tonic::{Code, Streaming};

use crate::desk::{metadata, reason};

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

/// All of a snapshot: which feed, up to where, the records of relationships by version and whether they are deleted.
async fn snapshot(client: &mut EventFeedServiceClient<Api>) -> (String, i64, Vec<(i64, bool)>) {
    let request = ReadSnapshotRequest { record_types: vec!["relationship".to_owned()] };
    let mut parts = client.read_snapshot(request).await.unwrap().into_inner();
    let (mut feed_id, mut position, mut records) = (String::new(), 0, Vec::new());
    while let Some(part) = parts.message().await.unwrap() {
        (feed_id, position) = (part.feed_id, part.position);
        records.extend(part.records.into_iter().map(|record| (record.version, record.deleted)));
    }
    records.sort_unstable();
    (feed_id, position, records)
}

#[tokio::test]
async fn a_reader_of_what_is_gone_after_seven_days_reads_a_snapshot_with_what_was_deleted() {
    let (mut suite, mut client, service) = start().await;
    for name in ["A", "B"] {
        let tx = insert(&service, name).await;
        service.commit(tx).await.unwrap();
    }
    let mut tx = service.begin().await.unwrap();
    let gone: uuid::Uuid = sqlx::query_scalar("select id from relationships where name = 'B'")
        .fetch_one(tx.conn().await.unwrap())
        .await
        .unwrap();
    tx.delete::<Relationships>(&gone.to_string(), "").await.unwrap();
    service.commit(tx).await.unwrap();
    let (feed_id, head, records) = snapshot(&mut client).await;
    assert_eq!((head, records.as_slice()), (3, &[(1, false), (2, true)][..]));
    let after = |after_position| SubscribeRequest { feed_id: feed_id.clone(), after_position, types: Vec::new() };
    assert_eq!(next(&mut client.subscribe(after(0)).await.unwrap().into_inner()).await.len(), 3);

    // What is a day younger than that stays.
    suite.clock.advance(chrono::TimeDelta::days(6));
    concierge_runtime::housekeeping::once(&service).await.unwrap();
    let mut client = EventFeedServiceClient::new(suite.api("directory", &Who::service("ticket-rule")));
    assert_eq!(next(&mut client.subscribe(after(0)).await.unwrap().into_inner()).await.len(), 3);
    suite.clock.advance(chrono::TimeDelta::days(2));
    concierge_runtime::housekeeping::once(&service).await.unwrap();
    let mut client = EventFeedServiceClient::new(suite.api("directory", &Who::service("ticket-rule")));
    for (feed_id, position) in [(feed_id.as_str(), 0), (feed_id.as_str(), 2), ("", 0)] {
        let request = SubscribeRequest { feed_id: feed_id.to_owned(), after_position: position, types: Vec::new() };
        let status = client.subscribe(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "FEED_POSITION_OUT_OF_RANGE"));
        let told = ["feed_id", "first_position", "head_position"].map(|key| metadata(&status, key));
        assert_eq!(told, [feed_id_of(&mut suite).await, "4".to_owned(), "3".to_owned()]);
    }
    assert_eq!(snapshot(&mut client).await, (feed_id.clone(), 3, vec![(1, false), (2, true)]));
    // From there on nothing is missed.
    let mut stream = client.subscribe(after(3)).await.unwrap().into_inner();
    let tx = insert(&service, "C").await;
    service.commit(tx).await.unwrap();
    assert_eq!(next(&mut stream).await[0].position, 4);
}

async fn feed_id_of(suite: &mut Suite) -> String {
    let pool = &suite.service("directory").database.pool;
    sqlx::query_scalar("select feed_id::text from feed").fetch_one(pool).await.unwrap()
}
