//! The feed as its subscribers see it.

use chrono::TimeDelta;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{ReadSnapshotRequest, Revocation, SubscribeRequest, SubscribeResponse};
use concierge_testkit::{Suite, Who};
use prost::Message as _;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::world::{Directory, Teller, tell};

async fn part(stream: &mut Streaming<SubscribeResponse>) -> Result<SubscribeResponse, Status> {
    let part = tokio::time::timeout(std::time::Duration::from_secs(60), stream.message()).await.unwrap()?;
    Ok(part.unwrap())
}

#[tokio::test]
async fn large_events_come_in_messages_that_every_reader_takes() {
    let mut suite = Suite::new();
    let service = suite.start::<Teller>().await.host.service.clone();
    let subjects = ["a", "b", "c", "d", "e", "f", "g"];
    tell(&service, &subjects, 1_500_000).await;
    // A client that sets no limit takes 4 MiB.
    let mut client = EventFeedServiceClient::new(suite.api("ticket-rule", &Who::service("x")));
    let mut stream = client.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
    let (mut heard, mut parts) = (Vec::new(), 0);
    while heard.len() < subjects.len() {
        let part = part(&mut stream).await.unwrap();
        assert!(part.encoded_len() < 4 << 20);
        parts += 1;
        heard.extend(part.events.into_iter().map(|e| e.position));
    }
    assert_eq!(heard, [1, 2, 3, 4, 5, 6, 7]);
    assert!((4..7 + 2).contains(&parts), "{parts}");

    // One that is larger than a message should be goes alone.
    tell(&service, &["h", "i"], 5_000_000).await;
    let mut client = client.max_decoding_message_size(64 << 20);
    let feed_id = part(&mut stream).await.map_or_else(|status| status.code().to_string(), |part| part.feed_id);
    let mut snapshot = client.read_snapshot(ReadSnapshotRequest::default()).await.unwrap().into_inner();
    let from = snapshot.message().await.unwrap().unwrap();
    assert_ne!(feed_id, from.feed_id, "a message of 5 MB is too large for it");
    let request = SubscribeRequest { feed_id: from.feed_id, after_position: 7, types: Vec::new() };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    for position in [8, 9] {
        let events = part(&mut stream).await.unwrap().events;
        assert_eq!(events.iter().map(|e| e.position).collect::<Vec<_>>(), [position]);
    }
}

#[tokio::test]
async fn a_snapshot_tells_of_many_revocations_in_messages_that_every_reader_takes() {
    let mut suite = Suite::new();
    let service = suite.start::<Directory>().await.host.service.clone();
    for index in 0..5 {
        let mut tx = service.begin().await.unwrap();
        let revocation = Revocation { subject: format!("s{index}"), why: "x".repeat(1_500_000), ..Default::default() };
        tx.revoke(revocation).await.unwrap();
        service.commit(tx).await.unwrap();
    }
    let mut client = EventFeedServiceClient::new(suite.api("directory", &Who::service("x")));
    let request = ReadSnapshotRequest { record_types: vec!["revocation".to_owned()] };
    let mut snapshot = client.read_snapshot(request).await.unwrap().into_inner();
    let mut subjects = Vec::new();
    while let Some(part) = snapshot.message().await.unwrap() {
        assert!(!part.feed_id.is_empty());
        subjects.extend(part.revocations.into_iter().map(|r| r.subject));
    }
    subjects.sort_unstable();
    assert_eq!(subjects, ["s0", "s1", "s2", "s3", "s4"]);
}

async fn reason_of_end(stream: &mut Streaming<SubscribeResponse>) -> String {
    loop {
        if let Err(status) = part(stream).await {
            assert_eq!(status.code(), Code::Unauthenticated);
            return status.get_details_error_info().unwrap().reason;
        }
    }
}

#[tokio::test]
async fn a_subscription_ends_when_its_token_expires_or_is_taken_away() {
    let mut suite = Suite::new();
    let service = suite.start::<Directory>().await.host.service.clone();
    let subscribe = async |who: &Who| {
        let mut client = EventFeedServiceClient::new(suite.api("directory", who));
        let mut stream = client.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
        part(&mut stream).await.unwrap();
        stream
    };
    let mut taken = subscribe(&Who::service("taken")).await;
    let mut other = subscribe(&Who::service("other")).await;
    let mut tx = service.begin().await.unwrap();
    tx.revoke(Revocation { subject: "taken".to_owned(), ..Default::default() }).await.unwrap();
    service.commit(tx).await.unwrap();
    assert_eq!(reason_of_end(&mut taken).await, "TOKEN_REVOKED");
    assert_eq!(part(&mut other).await.unwrap().events.len(), 1, "the other one goes on");
    suite.clock.advance(TimeDelta::minutes(11));
    assert_eq!(reason_of_end(&mut other).await, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_subscription_to_a_service_that_stops_is_told_to_connect_again() {
    let mut suite = Suite::new();
    let stop = suite.start::<Directory>().await.host.stop.clone();
    let mut client = EventFeedServiceClient::new(suite.api("directory", &Who::service("x")));
    let mut stream = client.subscribe(SubscribeRequest::default()).await.unwrap().into_inner();
    part(&mut stream).await.unwrap();
    stop.cancel();
    let status = part(&mut stream).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "SHUTTING_DOWN");
    assert!(details.retry_info().and_then(|retry| retry.retry_delay).is_some_and(|delay| !delay.is_zero()));
}
