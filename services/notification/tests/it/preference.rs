//! `PreferenceService`, and who is told by it.

use std::collections::BTreeSet;

use concierge_notification::Notification;
use concierge_proto::directory::{AccessLevel, Site, User};
use concierge_proto::event::{TicketEvent, TicketEventKind};
use concierge_proto::notification::preference_service_client::PreferenceServiceClient;
use concierge_proto::notification::{
    Channel, Delivery, DeliveryReason, DeliveryState, EventType, GetPreferencesRequest, NotificationDefinition,
    NotificationRecipients, Preferences, RecipientRole, UpdatePreferencesRequest,
};
use concierge_proto::ticket_rule::{TicketAction, TicketActionVisibility};
use concierge_testkit::{Api, Who, request_id};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::popup_desk::Desk;
use crate::world::{World, definition, id};

fn client(world: &World) -> PreferenceServiceClient<Api> {
    PreferenceServiceClient::new(world.suite.admin("notification"))
}

fn update(preferences: Preferences, paths: &[&str]) -> UpdatePreferencesRequest {
    UpdatePreferencesRequest {
        preferences: Some(preferences),
        update_mask: Some(FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        request_id: request_id(),
    }
}

async fn choose(
    client: &mut PreferenceServiceClient<Api>,
    preferences: Preferences,
    paths: &[&str],
) -> Result<Preferences, Status> {
    Ok(client.update_preferences(update(preferences, paths)).await?.into_inner().preferences.unwrap())
}

async fn get(client: &mut PreferenceServiceClient<Api>, id: &str) -> Result<Preferences, Status> {
    let request = GetPreferencesRequest { id: id.to_owned() };
    Ok(client.get_preferences(request).await?.into_inner().preferences.unwrap())
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Somebody who sees the tickets of its customer.
async fn manager(world: &mut World, name: &str, set: impl FnOnce(&mut User)) -> User {
    let mut user = world.user(name, &format!("{}@example.org", name.to_lowercase().replace(' ', "."))).await;
    user.web_access_level = AccessLevel::Customer.into();
    set(&mut user);
    world.heard(&user).await;
    user
}

fn by_preference() -> NotificationRecipients {
    NotificationRecipients { site_preference: true, customer_preference: true, ..Default::default() }
}

/// Person, role, state and reason of every delivery.
fn told(deliveries: &[Delivery]) -> BTreeSet<(String, RecipientRole, DeliveryState, DeliveryReason)> {
    deliveries.iter().map(|d| (d.user_id.clone(), d.recipient_role(), d.state(), d.reason())).collect()
}

#[tokio::test]
async fn are_all_off_until_somebody_chooses_and_changed_one_by_one() {
    let world = World::new().await;
    let mut client = client(&world);
    let ann = id();
    let before = get(&mut client, &ann).await.unwrap();
    assert_eq!(before, Preferences { id: ann.clone(), etag: "0".to_owned(), ..Default::default() });

    let all = Preferences { site_new: true, customer_closed: true, ..before.clone() };
    let chosen = choose(&mut client, all.clone(), &["site_new"]).await.unwrap();
    assert!(chosen.site_new && !chosen.customer_closed && chosen.create_time.is_some());
    let stale = choose(&mut client, all.clone(), &["customer_closed"]).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "STALE_ETAG"));
    let current = Preferences { etag: chosen.etag.clone(), ..all };
    let chosen = choose(&mut client, current, &["customer_closed"]).await.unwrap();
    assert!(chosen.site_new && chosen.customer_closed);
    assert_eq!(get(&mut client, &ann).await.unwrap(), chosen);

    let unknown =
        choose(&mut client, Preferences { id: ann.clone(), ..Default::default() }, &["id"]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn of_nobody_are_not_found_and_a_user_in_the_portal_reaches_its_own_only() {
    let desk = Desk::whole().await;
    let ann = desk.requester(|_| ()).await;
    let mut agent = PreferenceServiceClient::new(desk.suite.admin("notification"));
    let nobody = id();
    let status = get(&mut agent, &nobody).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    let wanted = |id: &str| Preferences { id: id.to_owned(), customer_new: true, ..Default::default() };
    let status = choose(&mut agent, wanted(&nobody), &["customer_new"]).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    choose(&mut agent, wanted(&ann.user.id), &["customer_new"]).await.unwrap();

    let own = Who::user(&ann.user.id, &ann.customer.id, &ann.site.id);
    let mut portal = PreferenceServiceClient::new(desk.suite.api("notification", &own));
    assert!(get(&mut portal, &ann.user.id).await.unwrap().customer_new);
    let off = Preferences { id: ann.user.id.clone(), ..Default::default() };
    assert!(!choose(&mut portal, off, &["customer_new"]).await.unwrap().customer_new);
    let bob = desk.requester(|user| user.name = "Bob Ray".to_owned()).await;
    // Of another user and of nobody: told in the same words.
    for other in [&bob.user.id, &nobody] {
        let read = get(&mut portal, other).await.unwrap_err();
        let written = choose(&mut portal, wanted(other), &["customer_new"]).await.unwrap_err();
        assert_eq!((read.code(), written.code()), (Code::NotFound, Code::NotFound));
        assert_eq!(read.message().replace(other, ""), written.message().replace(other, ""));
    }
    assert!(!get(&mut agent, &bob.user.id).await.unwrap().customer_new);

    let blind = Who::agent(Uuid::from_u128(1)).with_scope(&["preferences.read"]);
    let mut blind = PreferenceServiceClient::new(desk.suite.api("notification", &blind));
    let status = choose(&mut blind, wanted(&bob.user.id), &["customer_new"]).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
}

#[tokio::test]
async fn those_who_want_to_are_told_of_others_tickets_and_the_delivery_says_by_which_preference() {
    let mut world = World::new().await;
    let elsewhere = Site { id: id(), name: "Paris".to_owned(), ..world.site.clone() };
    world.heard(&elsewhere).await;
    let ann = manager(&mut world, "Ann Lee", |_| ()).await;
    let bob = manager(&mut world, "Bob Ray", |user| user.site_id.clone_from(&elsewhere.id)).await;
    let cleo = manager(&mut world, "Cleo Sun", |user| user.site_id.clone_from(&elsewhere.id)).await;
    let dan = manager(&mut world, "Dan Poe", |user| (user.site_id, user.customer_id) = (id(), id())).await;
    let requester = manager(&mut world, "Eve Fox", |_| ()).await;
    let mut client = client(&world);
    for user in [&ann, &bob, &dan, &requester] {
        let all = Preferences { id: user.id.clone(), site_new: true, customer_new: true, ..Default::default() };
        choose(&mut client, all, &["site_new", "customer_new"]).await.unwrap();
    }
    // Who wants to be told of what happens at its site only, and of tickets that are closed.
    let other = Preferences { id: cleo.id.clone(), site_new: true, customer_closed: true, ..Default::default() };
    choose(&mut client, other, &["site_new", "customer_closed"]).await.unwrap();
    world.define(definition("New ones", by_preference())).await;
    let on_closing =
        NotificationDefinition { event_type: EventType::TicketClosed.into(), ..definition("Closed", by_preference()) };
    world.define(on_closing).await;

    let (ticket, event) = world.logged(Some(&requester)).await;
    let (sent, matched) = (DeliveryState::Sent, DeliveryReason::DefinitionMatched);
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.len(), 4, "an e-mail and an inbox item each: {deliveries:#?}");
    assert_eq!(
        told(&deliveries),
        BTreeSet::from([
            (ann.id.clone(), RecipientRole::SitePreference, sent, matched),
            (bob.id.clone(), RecipientRole::CustomerPreference, sent, matched),
        ])
    );

    let closed = TicketEvent { version: 2, ..world.event(&ticket, &[TicketEventKind::Closed]) };
    let event = world.told(&closed).await;
    let deliveries = world.settled(&event).await;
    let by_customer = RecipientRole::CustomerPreference;
    assert_eq!(told(&deliveries), BTreeSet::from([(cleo.id.clone(), by_customer, sent, matched)]));
}

#[tokio::test]
async fn nobody_is_told_of_what_it_may_not_see() {
    let mut world = World::new().await;
    let reaches = |level: AccessLevel| move |user: &mut User| user.web_access_level = level.into();
    let own = manager(&mut world, "Own Only", reaches(AccessLevel::Own)).await;
    let site = manager(&mut world, "Site Too", reaches(AccessLevel::Site)).await;
    let left = manager(&mut world, "Left Us", |user| user.active = Some(false)).await;
    let quiet = manager(&mut world, "Quiet Please", |user| user.never_send_emails = true).await;
    let mut client = client(&world);
    for user in [&own, &site, &left, &quiet] {
        let all = Preferences { id: user.id.clone(), customer_new: true, customer_action: true, ..Default::default() };
        choose(&mut client, all, &["customer_new", "customer_action"]).await.unwrap();
    }
    let channels = vec![Channel::Email.into()];
    world.define(NotificationDefinition { channels: channels.clone(), ..definition("New", by_preference()) }).await;
    let on_action = NotificationDefinition {
        event_type: EventType::TicketActionAdded.into(),
        channels: vec![Channel::Inbox.into()],
        ..definition("Actions", by_preference())
    };
    world.define(on_action).await;

    let role = RecipientRole::CustomerPreference;
    let suppressed = |user: &User, reason| (user.id.clone(), role, DeliveryState::Suppressed, reason);
    let (ticket, event) = world.logged(None).await;
    assert_eq!(
        told(&world.settled(&event).await),
        BTreeSet::from([
            suppressed(&own, DeliveryReason::NoAccess),
            suppressed(&site, DeliveryReason::NoAccess),
            suppressed(&left, DeliveryReason::RecipientInactive),
            suppressed(&quiet, DeliveryReason::NeverSendEmails),
        ])
    );
    // An internal action is for agents, whatever users want.
    let internal = TicketAction {
        visibility: TicketActionVisibility::Internal.into(),
        text: "x".to_owned(),
        ..Default::default()
    };
    let acted = world.event(&ticket, &[TicketEventKind::ActionAdded]);
    let event = world.told(&TicketEvent { version: 2, ticket_action: Some(internal), ..acted }).await;
    let deliveries = world.settled(&event).await;
    assert!(deliveries.iter().all(|d| d.state() == DeliveryState::Suppressed), "{deliveries:#?}");
    assert!(told(&deliveries).contains(&suppressed(&quiet, DeliveryReason::InternalAction)));

    // At its site, who sees the site is told.
    let wanted = Preferences { id: site.id.clone(), site_new: true, ..Default::default() };
    choose(&mut client, wanted, &["site_new"]).await.unwrap();
    let (_, event) = world.logged(None).await;
    let sent = (site.id, RecipientRole::SitePreference, DeliveryState::Sent, DeliveryReason::DefinitionMatched);
    assert!(told(&world.settled(&event).await).contains(&sent));
}

#[tokio::test]
async fn who_is_named_twice_is_told_once_a_channel() {
    let mut world = World::new().await;
    let ann = manager(&mut world, "Ann Lee", |_| ()).await;
    let all = Preferences { id: ann.id.clone(), site_new: true, customer_new: true, ..Default::default() };
    choose(&mut client(&world), all, &["site_new", "customer_new"]).await.unwrap();
    let first = world.define(definition("First", by_preference())).await;
    let with_followers = NotificationRecipients { followers: true, ..by_preference() };
    let second = world.define(definition("Second", with_followers)).await;
    let mut ticket = world.ticket(None);
    ticket.follower_user_ids = vec![ann.id.clone()];
    let event = world.event(&ticket, &[TicketEventKind::Logged]);
    let event = world.told(&event).await;
    let deliveries = world.settled(&event).await;
    let of = |definition: &NotificationDefinition| {
        told(&deliveries.iter().filter(|d| d.definition_id == definition.id).cloned().collect::<Vec<_>>())
    };
    let by_site = RecipientRole::SitePreference;
    let sent = (ann.id.clone(), by_site, DeliveryState::Sent, DeliveryReason::DefinitionMatched);
    assert_eq!(of(&first), BTreeSet::from([sent]));
    let again = (ann.id.clone(), RecipientRole::Follower, DeliveryState::Suppressed, DeliveryReason::Duplicate);
    assert_eq!(of(&second), BTreeSet::from([again]));
}

#[tokio::test]
async fn written_on_two_replicas_at_once_none_is_lost() {
    let mut world = World::new().await;
    let replica = world.suite.replica::<Notification>().await;
    let other = PreferenceServiceClient::new(world.suite.api_of(&replica, &Who::agent(Uuid::from_u128(0xad))));
    let clients = [client(&world), other];
    let ann = manager(&mut world, "Ann Lee", |_| ()).await;
    let all = Preferences {
        id: ann.id.clone(),
        site_new: true,
        site_action: true,
        site_closed: true,
        customer_new: true,
        customer_action: true,
        customer_closed: true,
        ..Default::default()
    };
    let paths = ["site_new", "site_action", "site_closed", "customer_new", "customer_action", "customer_closed"];
    let calls = paths.iter().enumerate().map(|(number, path)| {
        let (mut client, all) = (clients[number % 2].clone(), all.clone());
        async move { choose(&mut client, all, &[*path]).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    let [mut one, mut two] = clients;
    let (here, there) = (get(&mut one, &ann.id).await.unwrap(), get(&mut two, &ann.id).await.unwrap());
    assert_eq!(here, there);
    let without_times = Preferences { create_time: None, update_time: None, etag: String::new(), ..here };
    assert_eq!(without_times, all);

    // Two replicas tell her once.
    world.define(definition("New ones", by_preference())).await;
    let (_, event) = world.logged(None).await;
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.iter().filter(|d| d.state() == DeliveryState::Sent).count(), 2, "{deliveries:#?}");
    assert_eq!(world.smtp.wait_for(1).await.len(), 1);
}
