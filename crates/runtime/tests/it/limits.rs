//! `limits.message_size` holds for every service.

use concierge_proto::event::SubscribeRequest;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_testkit::{Suite, Who};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::world::Teller;

/// What a message of that size gets from a service that takes so many bytes.
async fn answer(max_message: usize, bytes: usize) -> (Code, String) {
    let mut suite = Suite::new();
    suite.max_message = max_message;
    suite.start::<Teller>().await;
    let mut client = EventFeedServiceClient::new(suite.api("ticket-rule", &Who::service("x")));
    // Longer than the field may be: a message that is read is refused for that.
    let request = SubscribeRequest { types: vec!["x".repeat(bytes)], ..Default::default() };
    let status = client.subscribe(request).await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    let limit = info.metadata.get("limit").cloned().unwrap_or_default();
    assert_eq!(limit.is_empty(), info.reason == "INVALID_FIELD");
    assert!(limit.is_empty() || limit == max_message.to_string());
    (status.code(), info.reason)
}

#[tokio::test]
async fn a_limit_below_four_megabytes_holds() {
    assert_eq!(answer(64 << 10, 60 << 10).await, (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(answer(64 << 10, 70 << 10).await, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn a_limit_above_four_megabytes_holds() {
    assert_eq!(answer(8 << 20, 6 << 20).await, (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(answer(8 << 20, 9 << 20).await, (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
}
