//! `DeliveryService`: lists, reads and retries; sending is in `sending.rs`, inboxes in `inbox.rs`.

use chrono::TimeDelta;
use concierge_proto::notification::{
    Channel, CreateEmailSenderRequest, Delivery, DeliveryState, EmailSender, GetDeliveryRequest, ListDeliveriesRequest,
    NotificationDefinition, NotificationRecipients, RetryDeliveryRequest, UpdateEmailSenderRequest,
};
use concierge_testkit::request_id;
use concierge_testkit::smtp::{Fault, Step};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{World, definition, id};

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

async fn retry(world: &World, id: &str, etag: &str) -> Result<Delivery, Status> {
    let request = RetryDeliveryRequest { id: id.to_owned(), etag: etag.to_owned(), request_id: request_id() };
    Ok(world.deliveries().retry_delivery(request).await?.into_inner().delivery.unwrap())
}

async fn tell_list(world: &mut World, sender_id: &str) {
    let recipients =
        NotificationRecipients { email_addresses: vec!["list@example.org".to_owned()], ..Default::default() };
    world
        .define(NotificationDefinition {
            channels: vec![Channel::Email.into()],
            email_sender_id: sender_id.to_owned(),
            ..definition("List", recipients)
        })
        .await;
}

async fn set_enabled(world: &World, sender: &EmailSender, enabled: bool) {
    let request = UpdateEmailSenderRequest {
        email_sender: Some(EmailSender { enabled: Some(enabled), etag: String::new(), ..sender.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["enabled".to_owned()] }),
        request_id: request_id(),
    };
    world.senders().update_email_sender(request).await.unwrap();
}

#[tokio::test]
async fn deliveries_are_read_and_listed_by_what_they_are() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let (ticket, event) = world.logged(None).await;
    let settled = world.settled(&event).await;
    for filter in [
        format!("ticket_id = \"{}\" AND channel = EMAIL", ticket.id),
        format!("user_id = \"{}\" AND channel = INBOX AND state = SENT", ann.id),
        format!("event_id = \"{event}\" AND address = \"ann@example.org\""),
    ] {
        assert_eq!(world.deliveries_where(&filter).await.len(), 1, "{filter}");
    }
    assert_eq!(world.deliveries_where("reason = DUPLICATE").await, []);
    let request = ListDeliveriesRequest { page_size: 1, order_by: "create_time desc".to_owned(), ..Default::default() };
    let page = world.deliveries().list_deliveries(request).await.unwrap().into_inner();
    assert!(page.deliveries.len() == 1 && !page.next_page_token.is_empty());
    let get = GetDeliveryRequest { id: settled[0].id.clone() };
    let got = world.deliveries().get_delivery(get).await.unwrap().into_inner().delivery.unwrap();
    assert_eq!(got, settled[0]);
    let unknown = world.deliveries().get_delivery(GetDeliveryRequest { id: id() }).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_dead_delivery_is_tried_again_with_all_its_attempts_ahead() {
    let mut world = World::new().await;
    tell_list(&mut world, "").await;
    world.smtp.fail(Fault::Reply(Step::RcptTo, 550));
    let (_, event) = world.logged(None).await;
    let dead = world.until(&event, |all| all.len() == 1 && all[0].state() == DeliveryState::Dead).await.remove(0);

    let stale = retry(&world, &dead.id, "1").await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "STALE_ETAG".to_owned()));
    world.smtp.fail(Fault::Reply(Step::RcptTo, 450));
    let pending = retry(&world, &dead.id, &dead.etag).await.unwrap();
    assert_eq!(pending.state(), DeliveryState::Pending);
    assert!(pending.next_attempt_time.is_some());
    let failed = world.until(&event, |all| all[0].state() == DeliveryState::Failed).await.remove(0);
    assert_eq!(failed.attempt_count, 2);
    // Tried again before its time has come.
    retry(&world, &failed.id, "").await.unwrap();
    let sent = world.until(&event, |all| all[0].state() == DeliveryState::Sent).await.remove(0);
    assert_eq!((sent.attempt_count, sent.attempts.len()), (3, 3));
    assert_eq!(sent.message_id, dead.message_id);

    let done = retry(&world, &sent.id, "").await.unwrap_err();
    assert_eq!((done.code(), reason(&done)), (Code::FailedPrecondition, "DELIVERY_NOT_RETRYABLE".to_owned()));
    assert_eq!(done.get_error_details().error_info().unwrap().metadata["state"], "SENT");
    let unknown = retry(&world, &id(), "").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_retry_without_a_sender_is_refused() {
    let mut world = World::new().await;
    let named = EmailSender { name: "Named".to_owned(), ..world.sender() };
    let request = CreateEmailSenderRequest { email_sender: Some(named), request_id: request_id() };
    let named = world.senders().create_email_sender(request).await.unwrap().into_inner().email_sender.unwrap();
    tell_list(&mut world, &named.id).await;
    set_enabled(&world, &named, false).await;
    let (_, event) = world.logged(None).await;
    let waiting = world.until(&event, |all| all.len() == 1 && all[0].state() == DeliveryState::Failed).await.remove(0);
    let disabled = retry(&world, &waiting.id, "").await.unwrap_err();
    assert_eq!((disabled.code(), reason(&disabled)), (Code::FailedPrecondition, "EMAIL_SENDER_DISABLED".to_owned()));
    assert_eq!(disabled.get_error_details().error_info().unwrap().metadata["id"], named.id);

    let mut world = World::without_sender().await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    let waiting = world.until(&event, |all| all.len() == 1 && all[0].state() == DeliveryState::Failed).await.remove(0);
    let missing = retry(&world, &waiting.id, "").await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing)), (Code::FailedPrecondition, "EMAIL_SENDER_MISSING".to_owned()));
    world.suite.clock.advance(TimeDelta::seconds(1));
}
