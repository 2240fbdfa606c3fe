//! Who is told of what: from what directory and ticket-rule tell to deliveries with their reasons.

use std::collections::BTreeSet;
use std::time::Duration;

use concierge_notification::Notification;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{
    CriteriaGroup, Criterion, CriterionValue, CustomFieldType, CustomFieldValue, FieldType, GroupKind, Operator,
    custom_field_value,
};
use concierge_proto::directory::{CustomField, CustomFieldEntity, Customer, User, UserRole};
use concierge_proto::event::{TicketEvent, TicketEventKind};
use concierge_proto::notification::{
    Channel, CreateNotificationDefinitionRequest, Delivery, DeliveryReason, DeliveryState, EventType,
    ListEventTypesRequest, NotificationDefinition, NotificationRecipients, RecipientKind, RecipientRole,
    SiteContactRecipients,
};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{EvaluationSummary, RuleMatch, Ticket, TicketAction, TicketActionVisibility};
use concierge_runtime::clock::Clock as _;
use tonic_types::StatusExt as _;

use crate::world::{World, definition, id};

/// Person, channel, state and reason of every delivery, whatever their order.
fn told(deliveries: &[Delivery]) -> BTreeSet<(String, Channel, DeliveryState, DeliveryReason)> {
    deliveries
        .iter()
        .map(|d| {
            let who = [&d.user_id, &d.agent_id, &d.address].into_iter().find(|id| !id.is_empty()).cloned();
            (who.unwrap_or_default(), d.channel(), d.state(), d.reason())
        })
        .collect()
}

fn requester() -> NotificationRecipients {
    NotificationRecipients { requester: true, ..Default::default() }
}

fn site_contacts(type_ids: &[&str]) -> NotificationRecipients {
    let type_ids = type_ids.iter().map(|id| (*id).to_owned()).collect();
    NotificationRecipients { site_contacts: Some(SiteContactRecipients { type_ids }), ..Default::default() }
}

fn criterion(field: &str, operator: Operator, value: Kind) -> Option<CriteriaGroup> {
    Some(CriteriaGroup {
        kind: GroupKind::All.into(),
        criteria: vec![Criterion {
            field: field.to_owned(),
            operator: operator.into(),
            values: vec![CriterionValue { kind: Some(value) }],
            case_sensitive: false,
        }],
        groups: Vec::new(),
    })
}

#[tokio::test]
async fn decision_8_a_new_ticket_is_told_to_assigned_site_contacts_by_default() {
    let mut world = World::new().await;
    let (ann, bob) = (world.user("Ann Lee", "ann@example.org").await, world.user("Bob Ray", "bob@example.org").await);
    world.contact(&ann, "").await;
    // Two assignments are one person.
    world.contact(&ann, &id()).await;
    let (ticket, event) = world.logged(Some(&bob)).await;
    let deliveries = world.settled(&event).await;
    let reason = DeliveryReason::DefaultNotification;
    assert_eq!(
        told(&deliveries),
        BTreeSet::from([
            (ann.id.clone(), Channel::Email, DeliveryState::Sent, reason),
            (ann.id.clone(), Channel::Inbox, DeliveryState::Sent, reason),
        ])
    );
    for delivery in &deliveries {
        assert_eq!(delivery.recipient_role(), RecipientRole::SiteContact);
        assert_eq!((delivery.definition_id.as_str(), delivery.event_type()), ("", EventType::TicketLogged));
        assert_eq!((delivery.ticket_id.as_str(), delivery.ticket_number), (ticket.id.as_str(), ticket.number));
        assert!(delivery.sent_time.is_some() && delivery.next_attempt_time.is_none());
    }
    let mails = world.smtp.wait_for(1).await;
    assert_eq!((mails.len(), mails[0].to.as_slice()), (1, ["ann@example.org".to_owned()].as_slice()));
    assert_eq!(mails[0].header("Subject").unwrap(), "New ticket 1: The VPN is down");

    // An update is not told by default.
    let update = TicketEvent { version: 2, ..world.event(&ticket, &[TicketEventKind::Updated]) };
    let event = world.told(&update).await;
    world.all_told().await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
}

#[tokio::test]
async fn decision_8_any_enabled_definition_for_site_contacts_silences_the_default_and_the_list_says_so() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    // For another event, with criteria that never hold, and for a type nobody has.
    let silencing = world
        .define(NotificationDefinition {
            event_type: EventType::TicketClosed.into(),
            criteria: criterion("ticket.number", Operator::Less, Kind::Number(0)),
            ..definition("Never", site_contacts(&[&id()]))
        })
        .await;
    let (_, event) = world.logged(None).await;
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.len(), 2);
    for delivery in &deliveries {
        assert_eq!(delivery.state(), DeliveryState::Suppressed);
        assert_eq!(delivery.reason(), DeliveryReason::SuppressedByDefinition);
        assert_eq!(delivery.other_definition_id, silencing.id);
        assert_eq!((delivery.subject.as_str(), delivery.definition_id.as_str()), ("", ""));
    }
    assert!(world.smtp.mails().is_empty());

    // Disabled, it silences no more.
    let request = concierge_proto::notification::UpdateNotificationDefinitionRequest {
        notification_definition: Some(NotificationDefinition { enabled: Some(false), ..silencing }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["enabled".to_owned()] }),
        request_id: concierge_testkit::request_id(),
    };
    world.definitions().update_notification_definition(request).await.unwrap();
    let (_, event) = world.logged(None).await;
    let deliveries = world.settled(&event).await;
    assert!(deliveries.iter().all(|d| d.reason() == DeliveryReason::DefaultNotification), "{deliveries:#?}");
}

#[tokio::test]
async fn site_contacts_are_told_by_type() {
    let mut world = World::new().await;
    let (billing, emergency) = (id(), id());
    let (ann, bob) = (world.user("Ann Lee", "ann@example.org").await, world.user("Bob Ray", "bob@example.org").await);
    world.contact(&ann, &billing).await;
    world.contact(&bob, &emergency).await;
    let defined = world
        .define(NotificationDefinition {
            channels: vec![Channel::Inbox.into()],
            ..definition("Emergencies", site_contacts(&[&emergency]))
        })
        .await;
    let (_, event) = world.logged(None).await;
    let deliveries = world.settled(&event).await;
    let by_definition: Vec<&Delivery> = deliveries.iter().filter(|d| d.definition_id == defined.id).collect();
    assert_eq!(by_definition.len(), 1);
    assert_eq!(by_definition[0].user_id, bob.id);
    assert_eq!(by_definition[0].recipient_role(), RecipientRole::SiteContact);
}

#[tokio::test]
async fn several_definitions_tell_a_person_once_a_channel_and_the_first_created_does() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    let first = world.define(definition("First", requester())).await;
    let second = world
        .define(definition(
            "Second",
            NotificationRecipients { email_addresses: vec!["ANN@example.org".to_owned()], ..requester() },
        ))
        .await;
    let (_, event) = world.logged(Some(&ann)).await;
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.len(), 5);
    for delivery in &deliveries {
        if delivery.definition_id == first.id {
            assert_eq!((delivery.state(), delivery.reason()), (DeliveryState::Sent, DeliveryReason::DefinitionMatched));
        } else {
            assert_eq!(delivery.definition_id, second.id);
            assert_eq!((delivery.state(), delivery.reason()), (DeliveryState::Suppressed, DeliveryReason::Duplicate));
            assert_eq!(delivery.other_definition_id, first.id);
        }
    }
    // By e-mail whoever has the same address is the same person.
    assert!(deliveries.iter().any(|d| d.recipient_kind() == RecipientKind::Address && d.address == "ANN@example.org"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.smtp.mails().len(), 1);
}

#[tokio::test]
async fn a_person_told_by_the_default_is_not_told_again_by_a_definition() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let defined = world.define(definition("To the requester", requester())).await;
    let (_, event) = world.logged(Some(&ann)).await;
    let deliveries = world.settled(&event).await;
    for delivery in deliveries.iter().filter(|d| d.definition_id == defined.id) {
        assert_eq!((delivery.reason(), delivery.other_definition_id.as_str()), (DeliveryReason::Duplicate, ""));
        assert_eq!(delivery.recipient_role(), RecipientRole::Requester);
    }
    assert_eq!(deliveries.len(), 4);
}

#[tokio::test]
async fn who_may_not_or_cannot_be_told_is_not_and_the_reason_says_why() {
    let mut world = World::new().await;
    let role = UserRole { id: id(), name: "Quiet".to_owned(), never_send_emails: true, ..Default::default() };
    world.heard(&role).await;
    let own = User { never_send_emails: true, ..world.user("Own", "own@example.org").await };
    let by_role = User { role_ids: vec![role.id.clone()], ..world.user("By role", "role@example.org").await };
    let nowhere = world.user("Nowhere", "").await;
    let left = User { active: Some(false), ..world.user("Left", "left@example.org").await };
    let gone = User {
        delete_time: Some(timestamp(chrono::DateTime::UNIX_EPOCH)),
        ..world.user("Gone", "gone@example.org").await
    };
    for user in [&own, &by_role, &left, &gone] {
        world.heard(user).await;
    }
    world.define(definition("Followers", NotificationRecipients { followers: true, ..Default::default() })).await;
    let mut ticket = world.ticket(None);
    ticket.follower_user_ids = [&own, &by_role, &nowhere, &left, &gone].map(|u| u.id.clone()).to_vec();
    let event = world.told(&world.event(&ticket, &[TicketEventKind::Logged])).await;
    let deliveries = world.settled(&event).await;
    let (sent, suppressed) = (DeliveryState::Sent, DeliveryState::Suppressed);
    let matched = DeliveryReason::DefinitionMatched;
    assert_eq!(
        told(&deliveries),
        BTreeSet::from([
            (own.id.clone(), Channel::Email, suppressed, DeliveryReason::NeverSendEmails),
            (own.id, Channel::Inbox, sent, matched),
            (by_role.id.clone(), Channel::Email, suppressed, DeliveryReason::NeverSendEmails),
            (by_role.id, Channel::Inbox, sent, matched),
            (nowhere.id.clone(), Channel::Email, suppressed, DeliveryReason::NoAddress),
            (nowhere.id, Channel::Inbox, sent, matched),
            (left.id.clone(), Channel::Email, suppressed, DeliveryReason::RecipientInactive),
            (left.id, Channel::Inbox, suppressed, DeliveryReason::RecipientInactive),
            (gone.id.clone(), Channel::Email, suppressed, DeliveryReason::RecipientInactive),
            (gone.id, Channel::Inbox, suppressed, DeliveryReason::RecipientInactive),
        ])
    );
    assert!(world.smtp.mails().is_empty());
}

#[tokio::test]
async fn a_listed_address_is_written_to_even_if_its_user_is_never_sent_emails() {
    let mut world = World::new().await;
    let quiet = User { never_send_emails: true, ..world.user("Quiet", "quiet@example.org").await };
    world.heard(&quiet).await;
    let recipients = NotificationRecipients { email_addresses: vec!["quiet@example.org".to_owned()], ..requester() };
    let channels = vec![Channel::Email.into()];
    world.define(NotificationDefinition { channels, ..definition("Listed", recipients) }).await;
    let (_, event) = world.logged(Some(&quiet)).await;
    let deliveries = world.settled(&event).await;
    let told: BTreeSet<_> = deliveries.iter().map(|d| (d.recipient_kind(), d.state(), d.reason())).collect();
    assert_eq!(
        told,
        BTreeSet::from([
            (RecipientKind::User, DeliveryState::Suppressed, DeliveryReason::NeverSendEmails),
            (RecipientKind::Address, DeliveryState::Sent, DeliveryReason::DefinitionMatched),
        ])
    );
    assert_eq!(world.smtp.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn users_of_an_inactive_customer_are_not_told_until_it_is_active_again() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let customer = world.customer.clone();
    world.heard(&Customer { active: Some(false), ..customer.clone() }).await;
    let (_, event) = world.logged(None).await;
    let deliveries = world.settled(&event).await;
    assert!(deliveries.iter().all(|d| d.reason() == DeliveryReason::RecipientInactive), "{deliveries:#?}");
    world.heard(&customer).await;
    let (_, event) = world.logged(None).await;
    assert!(world.settled(&event).await.iter().all(|d| d.state() == DeliveryState::Sent));
}

#[tokio::test]
async fn agents_teams_and_addresses_are_told_each_as_what_they_are() {
    let mut world = World::new().await;
    let assigned = world.agent("Assigned", "assigned@example.com").await;
    let (member, named) =
        (world.agent("Member", "member@example.com").await, world.agent("Named", "named@example.com").await);
    let team = world.team(&[&member, &assigned]).await;
    let other = world.agent("Other", "other@example.com").await;
    let others = world.team(&[&other]).await;
    world
        .define(NotificationDefinition {
            channels: vec![Channel::Email.into()],
            ..definition(
                "Everybody",
                NotificationRecipients {
                    assigned_agent: true,
                    assigned_team: true,
                    agent_ids: vec![named.id.clone()],
                    team_ids: vec![others.id.clone()],
                    email_addresses: vec!["list@example.com".to_owned()],
                    ..Default::default()
                },
            )
        })
        .await;
    let mut ticket = world.ticket(None);
    ticket.agent_id.clone_from(&assigned.id);
    ticket.team_id.clone_from(&team.id);
    let event = world.told(&world.event(&ticket, &[TicketEventKind::Logged])).await;
    let deliveries = world.settled(&event).await;
    let roles: BTreeSet<(String, RecipientRole)> =
        deliveries.iter().map(|d| (d.address.clone(), d.recipient_role())).collect();
    assert_eq!(
        roles,
        BTreeSet::from([
            ("assigned@example.com".to_owned(), RecipientRole::AssignedAgent),
            ("member@example.com".to_owned(), RecipientRole::AssignedTeam),
            ("named@example.com".to_owned(), RecipientRole::Agent),
            ("other@example.com".to_owned(), RecipientRole::Team),
            ("list@example.com".to_owned(), RecipientRole::EmailAddress),
        ])
    );
    assert_eq!(world.smtp.wait_for(5).await.len(), 5);
}

#[tokio::test]
async fn an_internal_action_is_told_to_agents_only() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    let agent = world.agent("Bo Hall", "bo@example.com").await;
    let recipients = NotificationRecipients {
        agent_ids: vec![agent.id.clone()],
        email_addresses: vec!["list@example.com".to_owned()],
        ..requester()
    };
    let on_action = NotificationDefinition {
        event_type: EventType::TicketActionAdded.into(),
        channels: vec![Channel::Email.into()],
        subject_template: "{{ticket.number}}".to_owned(),
        body_html_template: "<p>{{action.author}}: {{action.text}}</p>".to_owned(),
        ..definition("Actions", recipients.clone())
    };
    world.define(on_action.clone()).await;
    world
        .define(NotificationDefinition {
            name: "Closed".to_owned(),
            event_type: EventType::TicketClosed.into(),
            subject_template: "closed".to_owned(),
            ..on_action
        })
        .await;
    let ticket = world.ticket(Some(&ann));
    let mut action = TicketAction {
        id: id(),
        text: "Reset <the> router".to_owned(),
        author_name: "Bo Hall".to_owned(),
        visibility: TicketActionVisibility::Internal.into(),
        ..Default::default()
    };
    let kinds = [TicketEventKind::ActionAdded];
    let internal = TicketEvent { ticket_action: Some(action.clone()), ..world.event(&ticket, &kinds) };
    let event = world.told(&internal).await;
    let deliveries = world.settled(&event).await;
    for delivery in &deliveries {
        let expected = match delivery.recipient_kind() {
            RecipientKind::Agent => (DeliveryState::Sent, DeliveryReason::DefinitionMatched),
            _ => (DeliveryState::Suppressed, DeliveryReason::InternalAction),
        };
        assert_eq!((delivery.state(), delivery.reason()), expected, "{delivery:#?}");
    }
    let mails = world.smtp.wait_for(1).await;
    assert!(mails[0].data.contains("Bo Hall: Reset &lt;the&gt; router"), "{}", mails[0].data);

    // Closing with an internal action is told to the user, without the action.
    let closing = TicketEvent { version: 2, kinds: vec![2, 4], ..internal };
    let event = world.told(&closing).await;
    world.settled(&event).await;
    let told: Vec<_> =
        world.smtp.wait_for(4).await.into_iter().filter(|m| m.header("Subject").unwrap() == "closed").collect();
    assert_eq!(told.len(), 2, "the agent is told of the action by the definition before: {told:#?}");
    assert!(told.iter().all(|mail| !mail.data.contains("router")));

    action.visibility = TicketActionVisibility::Public.into();
    let public = TicketEvent { version: 3, ticket_action: Some(action), ..world.event(&ticket, &kinds) };
    let event = world.told(&public).await;
    assert!(world.settled(&event).await.iter().all(|d| d.state() == DeliveryState::Sent));
}

#[tokio::test]
async fn each_event_type_waits_for_its_own_event() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    let rule = id();
    for (event_type, rule_id) in [
        (EventType::TicketLogged, ""),
        (EventType::TicketUpdated, ""),
        (EventType::TicketActionAdded, ""),
        (EventType::TicketClosed, ""),
        (EventType::RuleMatched, rule.as_str()),
    ] {
        world
            .define(NotificationDefinition {
                event_type: event_type.into(),
                rule_id: rule_id.to_owned(),
                channels: vec![Channel::Inbox.into()],
                ..definition(event_type.as_str_name(), requester())
            })
            .await;
    }
    let ticket = world.ticket(Some(&ann));
    let evaluation = |id: &str| {
        let matched = RuleMatch { rule_id: id.to_owned(), rule_name: "VIP".to_owned(), ..Default::default() };
        Some(EvaluationSummary { matches: vec![matched], ..Default::default() })
    };
    let cases = [
        (vec![TicketEventKind::Logged], None, vec![EventType::TicketLogged]),
        (vec![TicketEventKind::Updated], None, vec![EventType::TicketUpdated]),
        (vec![TicketEventKind::Reopened], None, vec![EventType::TicketUpdated]),
        (vec![TicketEventKind::ActionAdded], None, vec![EventType::TicketActionAdded]),
        (vec![TicketEventKind::Closed], None, vec![EventType::TicketClosed]),
        (vec![TicketEventKind::Updated], evaluation(&id()), vec![EventType::TicketUpdated]),
        (vec![TicketEventKind::Updated], evaluation(&rule), vec![EventType::TicketUpdated, EventType::RuleMatched]),
        // A second evaluation tells of newly matched rules and of nothing else.
        (vec![TicketEventKind::Updated, TicketEventKind::Reevaluated], evaluation(&rule), vec![EventType::RuleMatched]),
        (vec![TicketEventKind::Updated, TicketEventKind::Reevaluated], None, vec![]),
    ];
    for (index, (kinds, evaluation, expected)) in cases.into_iter().enumerate() {
        let version = i64::try_from(index).unwrap() + 1;
        let event = TicketEvent { version, evaluation, ..world.event(&ticket, &kinds) };
        let event = world.told(&event).await;
        world.all_told().await;
        let deliveries = world.deliveries_where(&format!("event_id = \"{event}\"")).await;
        let told: BTreeSet<EventType> = deliveries.iter().map(Delivery::event_type).collect();
        assert_eq!((told, deliveries.len()), (expected.iter().copied().collect(), expected.len()), "{kinds:?}");
    }
}

#[tokio::test]
async fn criteria_decide_and_an_unknown_fact_tells_nobody() {
    let mut world = World::new().await;
    let important = User { important: true, ..world.user("Ann Lee", "ann@example.org").await };
    world.heard(&important).await;
    let other = world.user("Bob Ray", "bob@example.org").await;
    world
        .define(NotificationDefinition {
            criteria: criterion("user.important", Operator::Is, Kind::Flag(true)),
            channels: vec![Channel::Email.into()],
            ..definition(
                "Important people",
                NotificationRecipients { email_addresses: vec!["vip@example.com".to_owned()], ..Default::default() },
            )
        })
        .await;
    let (_, of_other) = world.logged(Some(&other)).await;
    let (_, of_important) = world.logged(Some(&important)).await;
    assert_eq!(world.settled(&of_important).await.len(), 1);
    assert_eq!(world.deliveries_where(&format!("event_id = \"{of_other}\"")).await, []);

    // Directory answers, and knows nobody of that id: important or not is not known.
    let stranger = User { id: id(), ..other };
    let (_, event) = world.logged(Some(&stranger)).await;
    world.all_told().await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
}

#[tokio::test]
async fn imported_tickets_are_told_unless_the_criteria_say_otherwise() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world
        .define(NotificationDefinition {
            criteria: criterion("event.imported", Operator::Is, Kind::Flag(false)),
            channels: vec![Channel::Inbox.into()],
            ..definition("Not what is imported", requester())
        })
        .await;
    let all = world
        .define(NotificationDefinition { channels: vec![Channel::Inbox.into()], ..definition("All", requester()) })
        .await;
    let ticket = world.ticket(Some(&ann));
    let imported = TicketEvent { imported: true, ..world.event(&ticket, &[TicketEventKind::Logged]) };
    let event = world.told(&imported).await;
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].definition_id, all.id);
}

#[tokio::test]
async fn templates_are_filled_in_with_what_the_reader_may_see() {
    let mut world = World::new().await;
    let ann = world.user("Ann <Lee>", "ann@example.org").await;
    let agent = world.agent("Bo Hall", "bo@example.com").await;
    world
        .define(NotificationDefinition {
            channels: vec![Channel::Email.into()],
            subject_template: "{{ticket.summary}} {{event.type}}".to_owned(),
            body_html_template: "<p>{{recipient.name}}|{{user.email}}|{{ticket.details}}|{{rules.names}}|{{changes}}|\
                                 {{ticket.source}}|{{ticket.logged_time}}|{{event.actor}}|{{site.name}}|</p>"
                .to_owned(),
            ..definition("All", NotificationRecipients { agent_ids: vec![agent.id.clone()], ..requester() })
        })
        .await;
    let mut ticket = world.ticket(Some(&ann));
    ticket.summary = "Bad\nBcc: all@example.com".to_owned();
    let event = TicketEvent {
        changed_fields: vec!["ticket.team".to_owned(), "ticket.response_due_time".to_owned()],
        evaluation: Some(EvaluationSummary {
            matches: vec![RuleMatch { rule_name: "VIP".to_owned(), ..Default::default() }],
            ..Default::default()
        }),
        ..world.event(&ticket, &[TicketEventKind::Logged])
    };
    let event = world.told(&event).await;
    world.settled(&event).await;
    let mails = world.smtp.wait_for(2).await;
    let html = |to: &str| {
        let mail = mails.iter().find(|m| m.to == [to]).unwrap();
        assert_eq!(mail.header("Subject").unwrap(), "Bad Bcc: all@example.com Ticket logged");
        assert_eq!(mail.header("Bcc"), None);
        let body = mail.data.split("text/html").nth(1).unwrap().replace("=\n", "").replace("=3D", "=");
        body.split("<p>").nth(1).unwrap().split("</p>").next().unwrap().to_owned()
    };
    assert_eq!(
        html("ann@example.org"),
        "Ann &lt;Lee&gt;|ann@example.org|Since nine.<br>For all of us.||team, response due time|Phone|2026-03-01 13:00 CET|Bo Hall|Berlin|"
    );
    assert!(html("bo@example.com").starts_with("Bo Hall|ann@example.org|Since nine.<br>For all of us.|VIP|"));
}

#[tokio::test]
async fn what_directory_told_before_the_ticket_counts_though_it_is_heard_on_another_way() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    for round in 0..20 {
        // Assigned a moment before the ticket is logged, each time somebody else.
        let user = world.user(&format!("User {round}"), &format!("user{round}@example.org")).await;
        world.contact(&user, "").await;
        let (_, event) = world.logged(None).await;
        let deliveries = world.settled(&event).await;
        assert!(deliveries.iter().any(|d| d.user_id == user.id), "round {round}");
    }
}

#[tokio::test]
async fn while_directory_is_away_known_people_are_told_and_unknown_ones_wait() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let (_, event) = world.logged(None).await;
    world.settled(&event).await;
    world.suite.kill("directory");
    let (_, event) = world.logged(Some(&ann)).await;
    assert_eq!(world.settled(&event).await.len(), 2);

    // Known to ticket-rule, not yet to us.
    let unheard = User { id: id(), ..ann.clone() };
    let (_, event) = world.logged(Some(&unheard)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
    world.restart_directory().await;
    world.heard(&unheard).await;
    assert_eq!(world.settled(&event).await.len(), 2);
}

#[tokio::test]
async fn each_event_has_its_effect_once_however_often_the_consumer_is_killed() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let mut events = Vec::new();
    for round in 0..5_u64 {
        for _ in 0..10 {
            events.push(world.logged(None).await.1);
        }
        tokio::time::sleep(Duration::from_millis(round * 7)).await;
        world.suite.restart::<Notification>().await;
    }
    let mut addresses = 0;
    for event in &events {
        // A killed process keeps its lease for a few seconds.
        let deliveries =
            world.until(event, |all| all.len() == 2 && all.iter().all(|d| d.state() != DeliveryState::Pending)).await;
        addresses += deliveries.iter().filter(|d| d.channel() == Channel::Email).count();
    }
    assert_eq!(addresses, 50);
    let positions: Vec<i64> = sqlx::query_scalar("select position from inbox_items order by position")
        .fetch_all(world.service().pool())
        .await
        .unwrap();
    assert_eq!(positions, (1..=50).collect::<Vec<i64>>());
}

#[tokio::test]
async fn contacts_are_told_of_a_ticket_whose_site_ticket_rule_did_not_know() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let (_, event) = world.logged(None).await;
    world.settled(&event).await;
    // Directory tells of somebody while nobody hears it, and is away when a ticket of theirs is logged: it has no site
    // and no customer.
    world.suite.service("notification").host.stop.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.suite.kill("notification");
    let unheard = User { id: id(), name: "Cy New".to_owned(), ..ann.clone() };
    world.heard(&unheard).await;
    world.numbered("directory").await;
    world.suite.kill("directory");
    world.suite.restart::<Notification>().await;
    let whole = world.ticket(Some(&unheard));
    let ticket = Ticket { site_id: String::new(), customer_id: String::new(), ..whole.clone() };
    let logged = TicketEvent { names: None, ..world.event(&ticket, &[TicketEventKind::Logged]) };
    let event = world.told(&logged).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
    world.restart_directory().await;
    let deliveries = world.settled(&event).await;
    assert_eq!(deliveries.len(), 2);
    assert!(deliveries.iter().all(|d| d.user_id == ann.id && d.reason() == DeliveryReason::DefaultNotification));
    let mail = world.smtp.wait_for(2).await.pop().unwrap();
    assert!(mail.data.contains("Berlin") && mail.data.contains("Cy New"), "{}", mail.data);

    // The second evaluation fills the site in: they know already.
    let kinds = [TicketEventKind::Updated, TicketEventKind::Reevaluated];
    let changed_fields = vec!["ticket.customer".to_owned(), "ticket.site".to_owned()];
    let event = world.told(&TicketEvent { version: 2, changed_fields, ..world.event(&whole, &kinds) }).await;
    world.all_told().await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
}

#[tokio::test]
async fn contacts_are_told_once_when_only_a_second_evaluation_finds_the_site() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    // Directory answers, and knows nobody of that id.
    let whole = world.ticket(Some(&User { id: id(), ..ann.clone() }));
    let ticket = Ticket { site_id: String::new(), customer_id: String::new(), ..whole.clone() };
    let event = world.told(&world.event(&ticket, &[TicketEventKind::Logged])).await;
    world.all_told().await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{event}\"")).await, []);
    for (version, expected) in [(2, 2), (3, 0)] {
        let kinds = [TicketEventKind::Updated, TicketEventKind::Reevaluated];
        let changed_fields = vec!["ticket.site".to_owned()];
        let event = world.told(&TicketEvent { version, changed_fields, ..world.event(&whole, &kinds) }).await;
        world.all_told().await;
        let deliveries = world.deliveries_where(&format!("event_id = \"{event}\"")).await;
        assert_eq!(deliveries.len(), expected);
        assert!(deliveries.iter().all(|d| d.reason() == DeliveryReason::DefaultNotification));
    }
}

#[tokio::test]
async fn criteria_see_the_time_of_what_happened() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world
        .define(NotificationDefinition {
            criteria: criterion("ticket.age_minutes", Operator::Less, Kind::Number(5)),
            channels: vec![Channel::Inbox.into()],
            ..definition("At once", requester())
        })
        .await;
    // Heard two hours late.
    let then = world.suite.clock.now() - chrono::TimeDelta::hours(2);
    let ticket = Ticket { logged_time: Some(timestamp(then)), ..world.ticket(Some(&ann)) };
    let logged = world.event(&ticket, &[TicketEventKind::Logged]);
    let event = world.told_at(&logged, then, "").await;
    assert_eq!(world.settled(&event).await.len(), 1);
}

#[tokio::test]
async fn contacts_are_found_without_a_look_at_the_tickets_of_their_site() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let (_, event) = world.logged(Some(&ann)).await;
    world.settled(&event).await;
    let pool = world.service().pool().clone();
    let refs: Vec<Vec<uuid::Uuid>> =
        sqlx::query_scalar("select refs from projections where record_type = 'ticket'").fetch_all(&pool).await.unwrap();
    assert!(refs.len() == 1 && refs[0].is_empty(), "{refs:?}");
    // As `naming` asks, where there is enough to make a scan of all dear.
    sqlx::query(
        "insert into projections (record_type, record_id, version, deleted, refs, record, update_time)
         select 'user', gen_random_uuid(), 1, false, array[$1], ''::bytea, now() from generate_series(1, 5000)
         union all select 'site_contact', gen_random_uuid(), 1, false, array[gen_random_uuid()], ''::bytea, now()
         from generate_series(1, 5000)",
    )
    .bind(crate::world::uuid(&world.site.id))
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("analyze projections").execute(&pool).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select record, version, deleted from projections
         where record_type = 'site_contact' and refs @> array[$1] and not deleted order by record_id",
    )
    .bind(crate::world::uuid(&world.site.id))
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(plan.iter().any(|line| line.contains("projections_site_contacts")), "{plan:#?}");
}

#[tokio::test]
async fn criteria_can_name_the_custom_fields_that_directory_told_of() {
    let mut world = World::new().await;
    let on_badge = || NotificationDefinition {
        criteria: criterion("user.custom.badge", Operator::Is, Kind::Text("B-7".to_owned())),
        ..definition("Badge", requester())
    };
    let request = |definition| CreateNotificationDefinitionRequest {
        notification_definition: Some(definition),
        request_id: concierge_testkit::request_id(),
    };
    let status = world.definitions().create_notification_definition(request(on_badge())).await.unwrap_err();
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "CRITERIA_INVALID");

    let badge = CustomField {
        id: id(),
        entity: CustomFieldEntity::User.into(),
        key: "badge".to_owned(),
        name: "Badge".to_owned(),
        r#type: CustomFieldType::Text.into(),
        ..Default::default()
    };
    // Told a moment ago, maybe not heard of yet.
    world.heard(&badge).await;
    world.define(on_badge()).await;
    let types = world.definitions().list_event_types(ListEventTypesRequest::default()).await.unwrap().into_inner();
    let fields = &types.event_types[0].criterion_fields;
    assert!(fields.iter().any(|field| field.name == "user.custom.badge" && field.r#type() == FieldType::Text));

    let mut ann = world.user("Ann Lee", "ann@example.org").await;
    let value = |text: &str| {
        vec![CustomFieldValue { key: "badge".to_owned(), kind: Some(custom_field_value::Kind::Text(text.to_owned())) }]
    };
    ann.custom_fields = value("B-8");
    world.heard(&ann).await;
    let (_, other) = world.logged(Some(&ann)).await;
    world.all_told().await;
    assert_eq!(world.deliveries_where(&format!("event_id = \"{other}\"")).await, []);
    ann.custom_fields = value("B-7");
    world.heard(&ann).await;
    // A field that was deleted still has its values.
    world.heard(&CustomField { delete_time: Some(timestamp(world.suite.clock.now())), ..badge }).await;
    let (_, event) = world.logged(Some(&ann)).await;
    assert_eq!(world.settled(&event).await.len(), 2);
}
