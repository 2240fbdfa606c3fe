//! Deliveries by e-mail against a real SMTP server that goes wrong on demand.

use std::time::Duration;

use chrono::TimeDelta;
use concierge_notification::Notification;
use concierge_proto::notification::{
    AttemptOutcome, Channel, Delivery, DeliveryState, EmailSecurity, EmailSender, NotificationDefinition,
    NotificationRecipients, UpdateEmailSenderRequest,
};
use concierge_testkit::request_id;
use concierge_testkit::smtp::{Fault, Security, SmtpServer, Step};

use crate::slow_smtp::SlowSmtp;
use crate::world::{World, definition, uuid};

/// A world in which every new ticket is told to one address.
async fn world() -> World {
    let mut world = World::new().await;
    tell_list(&mut world, "").await;
    world
}

async fn tell_list(world: &mut World, sender_id: &str) {
    world
        .define(NotificationDefinition {
            channels: vec![Channel::Email.into()],
            email_sender_id: sender_id.to_owned(),
            ..definition(
                "List",
                NotificationRecipients { email_addresses: vec!["list@example.org".to_owned()], ..Default::default() },
            )
        })
        .await;
}

fn outcomes(delivery: &Delivery) -> Vec<AttemptOutcome> {
    delivery.attempts.iter().map(|a| a.outcome()).collect()
}

async fn one(world: &World, event: &str, state: DeliveryState) -> Delivery {
    let mut found = world.until(event, |all| all.len() == 1 && all[0].state() == state).await;
    found.remove(0)
}

#[tokio::test]
async fn an_email_has_its_headers_and_its_delivery_says_what_happened() {
    let mut world = world().await;
    let (_, event) = world.logged(None).await;
    let delivery = one(&world, &event, DeliveryState::Sent).await;
    let mails = world.smtp.wait_for(1).await;
    let mail = &mails[0];
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("desk@example.com", ["list@example.org".to_owned()].as_slice())
    );
    for (name, value) in [
        ("Message-ID", delivery.message_id.as_str()),
        ("From", "\"Example Desk\" <desk@example.com>"),
        ("To", "list@example.org"),
        ("Subject", "1: The VPN is down"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        assert_eq!(mail.header(name).as_deref(), Some(value));
    }
    assert!(mail.data.contains("text/plain") && mail.data.contains("text/html"));
    assert!(delivery.message_id.ends_with("@example.com>"), "{}", delivery.message_id);
    assert_eq!((delivery.attempt_count, outcomes(&delivery)), (1, vec![AttemptOutcome::Accepted]));
    assert_eq!(delivery.attempts[0].reply_code, 250);
    assert!(delivery.attempts[0].end_time.is_some() && !delivery.email_sender_id.is_empty());
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_given_up() {
    let mut world = world().await;
    for step in [Step::MailFrom, Step::RcptTo, Step::Data, Step::Message] {
        world.smtp.fail(Fault::Reply(step, 451));
        let (_, event) = world.logged(None).await;
        let failed = one(&world, &event, DeliveryState::Failed).await;
        assert_eq!(outcomes(&failed), [AttemptOutcome::RefusedForNow], "{step:?}");
        assert_eq!((failed.attempts[0].reply_code, failed.attempts[0].detail.as_str()), (451, "on demand"));
        assert!(failed.next_attempt_time.is_some());
        world.suite.clock.advance(TimeDelta::seconds(10));
        let sent = one(&world, &event, DeliveryState::Sent).await;
        assert_eq!(outcomes(&sent), [AttemptOutcome::RefusedForNow, AttemptOutcome::Accepted]);
    }
    let sent = world.smtp.mails().len();
    for step in [Step::MailFrom, Step::RcptTo, Step::Data, Step::Message] {
        world.smtp.fail(Fault::Reply(step, 550));
        let (_, event) = world.logged(None).await;
        let dead = one(&world, &event, DeliveryState::Dead).await;
        assert_eq!(outcomes(&dead), [AttemptOutcome::Refused], "{step:?}");
        assert_eq!((dead.attempts[0].reply_code, dead.next_attempt_time), (550, None));
    }
    assert_eq!((sent, world.smtp.mails().len()), (4, 4));
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_until_attempts_run_out() {
    let mut world = world().await;
    let address = world.smtp.address;
    world.smtp = SmtpServer::start().await;
    let (_, event) = world.logged(None).await;
    let mut failed = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(outcomes(&failed), [AttemptOutcome::Unreachable], "nothing listens at {address}");
    for attempt in 2..=12 {
        world.suite.clock.advance(TimeDelta::hours(2));
        let all = world
            .until(&event, |all| all[0].attempt_count == attempt && all[0].state() != DeliveryState::Started)
            .await;
        failed = all[0].clone();
    }
    assert_eq!((failed.state(), failed.attempt_count, failed.next_attempt_time), (DeliveryState::Dead, 12, None));
}

#[tokio::test]
async fn decision_14_before_the_last_byte_nothing_arrived_and_after_it_nobody_knows() {
    let mut world = world().await;
    world.desk().pace.set_limit(Duration::from_millis(1_500));
    for (fault, outcome, copies) in [
        (Fault::Silence(Step::MailFrom), AttemptOutcome::Unreachable, 1),
        (Fault::Silence(Step::Data), AttemptOutcome::Unreachable, 1),
        (Fault::Close(Step::Data), AttemptOutcome::Unreachable, 1),
        (Fault::Silence(Step::Message), AttemptOutcome::Unknown, 2),
        (Fault::Close(Step::Message), AttemptOutcome::Unknown, 2),
    ] {
        let before = world.smtp.mails().len();
        world.smtp.fail(fault.clone());
        let (_, event) = world.logged(None).await;
        let failed = one(&world, &event, DeliveryState::Failed).await;
        assert_eq!(outcomes(&failed), [outcome], "{fault:?}");
        world.suite.clock.advance(TimeDelta::seconds(10));
        let sent = one(&world, &event, DeliveryState::Sent).await;
        assert_eq!(outcomes(&sent), [outcome, AttemptOutcome::Accepted]);
        let mails = world.smtp.mails().split_off(before);
        assert_eq!(mails.len(), copies, "{fault:?}");
        // A repeat is the same e-mail, byte for byte.
        assert!(mails.iter().all(|mail| mail.message_id() == sent.message_id && mail.data == mails[0].data));
    }
}

#[tokio::test]
async fn decision_14_an_attempt_of_a_killed_process_is_repeated_with_the_same_message_id_and_marked_unknown() {
    let mut world = world().await;
    world.smtp.fail(Fault::Silence(Step::Message));
    let (_, event) = world.logged(None).await;
    world.smtp.wait_for(1).await;
    assert_eq!(one(&world, &event, DeliveryState::Started).await.attempt_count, 1);
    world.suite.restart::<Notification>().await;
    // The lease still keeps others away.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(one(&world, &event, DeliveryState::Started).await.attempt_count, 1);
    world.suite.clock.advance(TimeDelta::seconds(61));
    let sent = one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(outcomes(&sent), [AttemptOutcome::Unknown, AttemptOutcome::Accepted]);
    assert!(sent.attempts[0].end_time.is_none());
    let mails = world.smtp.mails();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.message_id() == sent.message_id));
}

#[tokio::test]
async fn decision_14_a_kill_before_the_last_byte_yields_exactly_one_message() {
    let mut world = world().await;
    world.smtp.fail(Fault::Silence(Step::Data));
    let (_, event) = world.logged(None).await;
    one(&world, &event, DeliveryState::Started).await;
    world.smtp.struck().await;
    world.suite.restart::<Notification>().await;
    world.suite.clock.advance(TimeDelta::seconds(61));
    one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(world.smtp.mails().len(), 1);
}

#[tokio::test]
async fn replicas_share_the_queue_and_send_nothing_twice() {
    let mut world = world().await;
    let _other = world.suite.replica::<Notification>().await;
    let _third = world.suite.replica::<Notification>().await;
    let mut last = String::new();
    for _ in 0..60 {
        last = world.logged(None).await.1;
    }
    one(&world, &last, DeliveryState::Sent).await;
    let mails = world.smtp.wait_for(60).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut ids: Vec<String> = mails.iter().map(concierge_testkit::smtp::Mail::message_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), world.smtp.mails().len()), (60, 60));
    // Connections are kept for the next e-mail.
    assert!(world.smtp.connections() < 60, "{}", world.smtp.connections());
}

#[tokio::test]
async fn without_a_sender_an_email_waits_says_so_and_goes_when_there_is_one() {
    let mut world = World::without_sender().await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    let waiting = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(outcomes(&waiting), [AttemptOutcome::NoSender]);
    assert_eq!(waiting.attempts[0].detail, "no e-mail sender is enabled");
    // Nobody looks at it in vain meanwhile.
    world.suite.clock.advance(TimeDelta::days(2));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let still = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!((still.attempt_count, still.next_attempt_time), (1, waiting.next_attempt_time));
    world.create_sender().await;
    let sent = one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(outcomes(&sent), [AttemptOutcome::NoSender, AttemptOutcome::Accepted]);
}

#[tokio::test]
async fn an_email_that_waited_days_for_a_sender_is_given_up() {
    let mut world = World::without_sender().await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    one(&world, &event, DeliveryState::Failed).await;
    world.suite.clock.advance(TimeDelta::days(4));
    let dead = one(&world, &event, DeliveryState::Dead).await;
    assert_eq!(outcomes(&dead), [AttemptOutcome::NoSender, AttemptOutcome::NoSender]);
}

#[tokio::test]
async fn emails_of_a_disabled_sender_wait_for_it_and_take_the_way_it_has_then() {
    let mut world = World::new().await;
    let mut other = EmailSender { name: "Sales".to_owned(), enabled: Some(false), ..world.sender() };
    let request = concierge_proto::notification::CreateEmailSenderRequest {
        email_sender: Some(other.clone()),
        request_id: request_id(),
    };
    other = world.senders().create_email_sender(request).await.unwrap().into_inner().email_sender.unwrap();
    tell_list(&mut world, &other.id).await;
    let (_, event) = world.logged(None).await;
    let waiting = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(outcomes(&waiting), [AttemptOutcome::NoSender]);
    assert!(waiting.attempts[0].detail.contains(&other.id), "{}", waiting.attempts[0].detail);
    let update = UpdateEmailSenderRequest {
        email_sender: Some(EmailSender {
            enabled: Some(true),
            from_address: "sales@example.net".to_owned(),
            reply_to_address: "answers@example.net".to_owned(),
            ..other.clone()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: ["enabled", "from_address", "reply_to_address"].map(str::to_owned).to_vec(),
        }),
        request_id: request_id(),
    };
    world.senders().update_email_sender(update).await.unwrap();
    let sent = one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(sent.email_sender_id, other.id);
    let mails = world.smtp.wait_for(1).await;
    assert_eq!(mails[0].from, "sales@example.net");
    assert_eq!(mails[0].header("Reply-To").as_deref(), Some("answers@example.net"));
}

async fn secured(security: Security) -> (World, SmtpServer, EmailSender) {
    let world = World::without_sender().await;
    let server = SmtpServer::start_with(security).await;
    server.require("desk", "a good password");
    let sender = EmailSender {
        host: "localhost".to_owned(),
        port: Some(server.address.port().into()),
        security: match security {
            Security::Tls => EmailSecurity::Tls.into(),
            _ => EmailSecurity::Starttls.into(),
        },
        username: "desk".to_owned(),
        password: "a good password".to_owned(),
        ..world.sender()
    };
    (world, server, sender)
}

async fn create(world: &World, sender: &EmailSender) -> EmailSender {
    let request = concierge_proto::notification::CreateEmailSenderRequest {
        email_sender: Some(sender.clone()),
        request_id: request_id(),
    };
    world.senders().create_email_sender(request).await.unwrap().into_inner().email_sender.unwrap()
}

#[tokio::test]
async fn authenticates_over_tls_and_over_starttls() {
    for security in [Security::Tls, Security::Starttls] {
        let (mut world, server, sender) = secured(security).await;
        assert!(world.desk().trust(&server.root));
        create(&world, &sender).await;
        tell_list(&mut world, "").await;
        let (_, event) = world.logged(None).await;
        one(&world, &event, DeliveryState::Sent).await;
        let mails = server.wait_for(1).await;
        assert_eq!((mails[0].tls, mails[0].user.as_deref()), (true, Some("desk")), "{security:?}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    let (mut world, server, sender) = secured(Security::Starttls).await;
    create(&world, &sender).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    let failed = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(outcomes(&failed), [AttemptOutcome::Unreachable]);
    assert!(server.mails().is_empty());

    // Nor does one that offers no TLS where TLS is wanted.
    let (mut world, _, sender) = secured(Security::Starttls).await;
    let port = Some(world.smtp.address.port().into());
    create(&world, &EmailSender { port, host: "127.0.0.1".to_owned(), ..sender }).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    let failed = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(failed.attempts[0].detail, "the server does not offer STARTTLS");
    assert!(world.smtp.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_told_without_being_repeated_and_the_email_waits_for_the_right_one() {
    let (mut world, server, sender) = secured(Security::Tls).await;
    assert!(world.desk().trust(&server.root));
    let wrong = EmailSender { password: "hunter2".to_owned(), ..sender.clone() };
    let created = create(&world, &wrong).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    let failed = one(&world, &event, DeliveryState::Failed).await;
    assert_eq!(outcomes(&failed), [AttemptOutcome::RefusedForNow]);
    assert_eq!(
        (failed.attempts[0].reply_code, failed.attempts[0].detail.as_str()),
        (535, "the server refused the user name or password")
    );
    let update = UpdateEmailSenderRequest {
        email_sender: Some(EmailSender { id: created.id, ..sender }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["password".to_owned()] }),
        request_id: request_id(),
    };
    // That says nothing of the e-mail: it waits, ever longer, and its attempts are not used up.
    for attempt in 2..=4 {
        world.suite.clock.advance(TimeDelta::hours(2));
        world.until(&event, |all| all[0].attempt_count == attempt && all[0].state() == DeliveryState::Failed).await;
    }
    assert_eq!(stored(&mut world, &event).await, (i32::from(DeliveryState::Failed), 4, 12));
    // It goes as soon as somebody mends the password.
    world.senders().update_email_sender(update).await.unwrap();
    one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn an_email_whose_sender_is_let_in_nowhere_for_days_is_given_up() {
    let (mut world, server, sender) = secured(Security::Tls).await;
    assert!(world.desk().trust(&server.root));
    create(&world, &EmailSender { password: "hunter2".to_owned(), ..sender }).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    one(&world, &event, DeliveryState::Failed).await;
    world.suite.clock.advance(TimeDelta::days(4));
    let dead = one(&world, &event, DeliveryState::Dead).await;
    assert_eq!((dead.attempts.len(), dead.attempts[1].reply_code), (2, 535));
}

/// The state of the delivery of an event, how many attempts were begun, and how many are left: read from the database,
/// as nothing else answers after a stop.
async fn stored(world: &mut World, event: &str) -> (i32, i64, i32) {
    let pool = world.service().pool().clone();
    sqlx::query_as("select state, attempt_count, attempts_left from deliveries where event_id = $1")
        .bind(uuid(event))
        .fetch_one(&pool)
        .await
        .unwrap()
}

async fn until_stored(world: &mut World, event: &str, state: DeliveryState) -> (i64, i32) {
    for _ in 0..1_000 {
        let (now, begun, left) = stored(world, event).await;
        if now == i32::from(state) {
            return (begun, left);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the delivery never became {state:?}: {:?}", stored(world, event).await);
}

#[tokio::test]
async fn a_stop_puts_back_what_no_server_got_as_if_it_had_never_begun() {
    let mut world = world().await;
    world.smtp.fail(Fault::Silence(Step::RcptTo));
    let (_, event) = world.logged(None).await;
    one(&world, &event, DeliveryState::Started).await;
    world.suite.service("notification").host.stop.cancel();
    assert_eq!(until_stored(&mut world, &event, DeliveryState::Pending).await, (0, 12));
    world.suite.restart::<Notification>().await;
    let sent = one(&world, &event, DeliveryState::Sent).await;
    assert_eq!((outcomes(&sent), sent.attempt_count), (vec![AttemptOutcome::Accepted], 1));
    assert_eq!(world.smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_stop_ends_what_a_server_is_getting_and_takes_nothing_new() {
    let mut world = World::without_sender().await;
    let slow = SlowSmtp::start().await;
    create(&world, &EmailSender { port: Some(slow.port.into()), ..world.sender() }).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    slow.has(1).await;
    world.suite.service("notification").host.stop.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stored(&mut world, &event).await.0, i32::from(DeliveryState::Started));
    // Made due behind its back.
    let pool = world.service().pool().clone();
    sqlx::query(
        "insert into deliveries select (jsonb_populate_record(d, jsonb_build_object('id', gen_random_uuid(),
             'event_id', '00000000-0000-0000-0000-000000000007', 'state', 1, 'lease', null, 'attempt_count', 0,
             'due_time', d.create_time))).* from deliveries d",
    )
    .execute(&pool)
    .await
    .unwrap();
    slow.answer(2);
    until_stored(&mut world, &event, DeliveryState::Sent).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stored(&mut world, "00000000-0000-0000-0000-000000000007").await.0, 1);
}

#[tokio::test]
async fn connections_of_a_sender_that_is_gone_are_closed() {
    let mut world = World::without_sender().await;
    let slow = SlowSmtp::start().await;
    slow.answer(1);
    let sender = create(&world, &EmailSender { port: Some(slow.port.into()), ..world.sender() }).await;
    tell_list(&mut world, "").await;
    let (_, event) = world.logged(None).await;
    one(&world, &event, DeliveryState::Sent).await;
    assert_eq!(slow.lost(), 0, "it is kept for the next e-mail");
    let delete = concierge_proto::notification::DeleteEmailSenderRequest {
        id: sender.id,
        etag: String::new(),
        request_id: request_id(),
    };
    world.senders().delete_email_sender(delete).await.unwrap();
    slow.has_lost(1).await;
}

#[tokio::test]
async fn an_email_is_sent_in_the_trace_of_what_it_tells_of() {
    let mut world = world().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ticket = world.ticket(None);
    let told = world.event(&ticket, &[concierge_proto::event::TicketEventKind::Logged]);
    let now = concierge_runtime::clock::Clock::now(&*world.suite.clock);
    let event = world.told_at(&told, now, trace).await;
    one(&world, &event, DeliveryState::Sent).await;
    let kept: String =
        sqlx::query_scalar("select traceparent from deliveries").fetch_one(world.service().pool()).await.unwrap();
    assert_eq!(kept, trace);
}
