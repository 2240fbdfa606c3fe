//! `NotificationDefinitionService`.

use std::time::Duration;

use concierge_directory::Directory;
use concierge_notification::Notification;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator};
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::{CreateTeamRequest, DeleteTeamRequest, Team};
use concierge_proto::notification::notification_definition_service_client::NotificationDefinitionServiceClient;
use concierge_proto::notification::popup_note_service_client::PopupNoteServiceClient;
use concierge_proto::notification::{
    Channel, CreateNotificationDefinitionRequest, CreatePopupNoteRequest, DeleteNotificationDefinitionRequest,
    EventType, GetNotificationDefinitionRequest, ListEventTypesRequest, ListNotificationDefinitionsRequest,
    NotificationDefinition, NotificationRecipients, PopupNote, SiteContactRecipients,
    UndeleteNotificationDefinitionRequest, UpdateNotificationDefinitionRequest,
};
use concierge_testkit::{Api, Suite, request_id};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{World, definition, id};

type Client = NotificationDefinitionServiceClient<Api>;

async fn start() -> (Suite, Client) {
    let mut suite = Suite::new();
    suite.start::<Notification>().await;
    let client = NotificationDefinitionServiceClient::new(suite.admin("notification"));
    (suite, client)
}

fn requester() -> NotificationRecipients {
    NotificationRecipients { requester: true, ..Default::default() }
}

async fn create(client: &mut Client, definition: NotificationDefinition) -> Result<NotificationDefinition, Status> {
    let request =
        CreateNotificationDefinitionRequest { notification_definition: Some(definition), request_id: request_id() };
    Ok(client.create_notification_definition(request).await?.into_inner().notification_definition.unwrap())
}

async fn update(
    client: &mut Client,
    definition: NotificationDefinition,
    paths: &[&str],
) -> Result<NotificationDefinition, Status> {
    let request = UpdateNotificationDefinitionRequest {
        notification_definition: Some(definition),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() }),
        request_id: request_id(),
    };
    Ok(client.update_notification_definition(request).await?.into_inner().notification_definition.unwrap())
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

fn fields(status: &Status) -> Vec<String> {
    status.get_error_details().bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect()
}

fn criterion(field: &str, operator: Operator, value: Kind) -> Criterion {
    Criterion {
        field: field.to_owned(),
        operator: operator.into(),
        values: vec![CriterionValue { kind: Some(value) }],
        case_sensitive: false,
    }
}

#[tokio::test]
async fn creates_reads_changes_deletes_and_brings_back() {
    let (_suite, mut client) = start().await;
    let created = create(&mut client, definition("Managers", requester())).await.unwrap();
    assert_eq!((created.enabled, created.etag.as_str()), (Some(true), "1"));
    let taken = create(&mut client, definition("MANAGERS", requester())).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken)), (Code::AlreadyExists, "NAME_TAKEN".to_owned()));

    let get = GetNotificationDefinitionRequest { id: created.id.clone() };
    let got = client.get_notification_definition(get).await.unwrap().into_inner().notification_definition.unwrap();
    assert_eq!(got, created);
    let off = NotificationDefinition { enabled: Some(false), ..created.clone() };
    let off = update(&mut client, off, &["enabled"]).await.unwrap();
    assert_eq!((off.enabled, off.etag.as_str()), (Some(false), "2"));
    let stale = update(&mut client, created.clone(), &["enabled"]).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "STALE_ETAG".to_owned()));

    let delete = |id: &str, etag: &str| DeleteNotificationDefinitionRequest {
        id: id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
    };
    let stale = client.delete_notification_definition(delete(&created.id, "1")).await.unwrap_err();
    assert_eq!(reason(&stale), "STALE_ETAG");
    client.delete_notification_definition(delete(&created.id, "2")).await.unwrap();
    let gone = NotificationDefinition { etag: String::new(), ..off };
    let gone = update(&mut client, gone, &["enabled"]).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone)), (Code::FailedPrecondition, "RECORD_DELETED".to_owned()));
    let listed = client.list_notification_definitions(ListNotificationDefinitionsRequest::default()).await.unwrap();
    assert!(listed.into_inner().notification_definitions.is_empty());

    let undelete = || UndeleteNotificationDefinitionRequest { id: created.id.clone(), request_id: request_id() };
    create(&mut client, definition("managers", requester())).await.unwrap();
    let taken = client.undelete_notification_definition(undelete()).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken)), (Code::AlreadyExists, "NAME_TAKEN".to_owned()));
    let filter = "enabled = true AND event_type = TICKET_LOGGED".to_owned();
    let request = ListNotificationDefinitionsRequest { filter, ..Default::default() };
    let listed = client.list_notification_definitions(request).await.unwrap().into_inner();
    let other = &listed.notification_definitions[0];
    client.delete_notification_definition(delete(&other.id, "")).await.unwrap();
    let back = client.undelete_notification_definition(undelete()).await.unwrap().into_inner();
    assert_eq!(back.notification_definition.unwrap().enabled, Some(false));
    let live = client.undelete_notification_definition(undelete()).await.unwrap_err();
    assert_eq!((live.code(), reason(&live)), (Code::FailedPrecondition, "RECORD_NOT_DELETED".to_owned()));
    let unknown = GetNotificationDefinitionRequest { id: id() };
    let unknown = client.get_notification_definition(unknown).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_definition_needs_recipients_and_a_rule_exactly_where_it_waits_for_one() {
    let (_suite, mut client) = start().await;
    let nobody = definition("Nobody", NotificationRecipients::default());
    let refused = create(&mut client, nobody.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(fields(&refused), ["notification_definition.recipients"]);
    let without_rule = NotificationDefinition { event_type: EventType::RuleMatched.into(), ..nobody.clone() };
    let refused = create(&mut client, without_rule).await.unwrap_err();
    assert_eq!(fields(&refused), ["notification_definition.rule_id", "notification_definition.recipients"]);
    let with_rule = NotificationDefinition { rule_id: id(), ..definition("Rule", requester()) };
    assert_eq!(fields(&create(&mut client, with_rule.clone()).await.unwrap_err()), ["notification_definition.rule_id"]);
    let right = NotificationDefinition { event_type: EventType::RuleMatched.into(), ..with_rule };
    create(&mut client, right).await.unwrap();

    // Every type of site contact is somebody.
    let contacts =
        NotificationRecipients { site_contacts: Some(SiteContactRecipients::default()), ..Default::default() };
    let created = create(&mut client, definition("Contacts", contacts)).await.unwrap();
    assert!(created.recipients.unwrap().site_contacts.is_some());
    let refused = create(&mut client, NotificationDefinition::default()).await.unwrap_err();
    assert_eq!(
        fields(&refused),
        ["name", "event_type", "recipients", "channels", "subject_template", "body_html_template"]
            .map(|f| format!("notification_definition.{f}"))
    );
}

#[tokio::test]
async fn wrong_criteria_are_named_each_with_its_place() {
    let (_suite, mut client) = start().await;
    let criteria = CriteriaGroup {
        kind: GroupKind::Any.into(),
        criteria: vec![
            criterion("event.changed_fields", Operator::Includes, Kind::Text("ticket.team".to_owned())),
            criterion("ticket.sumary", Operator::Is, Kind::Text("x".to_owned())),
        ],
        groups: vec![CriteriaGroup {
            kind: GroupKind::Not.into(),
            criteria: vec![criterion("user.important", Operator::Contains, Kind::Flag(true))],
            groups: Vec::new(),
        }],
    };
    let wrong = NotificationDefinition { criteria: Some(criteria), ..definition("Wrong", requester()) };
    let refused = create(&mut client, wrong).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "CRITERIA_INVALID".to_owned()));
    assert_eq!(
        fields(&refused),
        [
            "notification_definition.criteria.criteria[1].field",
            "notification_definition.criteria.groups[0].criteria[0].operator"
        ]
    );
}

#[tokio::test]
async fn wrong_templates_are_refused_and_every_unknown_placeholder_is_named() {
    let (_suite, mut client) = start().await;
    let wrong = NotificationDefinition {
        subject_template: "{{ticket.sumary}} {{rule.name}}".to_owned(),
        body_html_template: "<p>{{nobody}}</p>\n<p>{{ticket.number}".to_owned(),
        ..definition("Wrong", requester())
    };
    let refused = create(&mut client, wrong).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "TEMPLATE_INVALID".to_owned()));
    let violations = refused.get_error_details().bad_request().unwrap().field_violations.clone();
    let told: Vec<(String, String)> = violations.into_iter().map(|v| (v.field, v.description)).collect();
    let of = |field: &str, what: &str| (format!("notification_definition.{field}"), what.to_owned());
    assert_eq!(
        told,
        [
            of("subject_template", "line 1: there is no value \"ticket.sumary\" here; did you mean ticket.summary?"),
            of("subject_template", "line 1: there is no value \"rule.name\" here; did you mean rules.names?"),
            of("body_html_template", "line 1: there is no value \"nobody\" here"),
            of("body_html_template", "line 2: a {{ is not closed by }}"),
        ]
    );
    // With RULE_MATCHED there is such a value.
    let right = NotificationDefinition {
        event_type: EventType::RuleMatched.into(),
        rule_id: id(),
        subject_template: "{{rule.name}}".to_owned(),
        ..definition("Right", requester())
    };
    create(&mut client, right).await.unwrap();
}

#[tokio::test]
async fn bodies_are_sanitised_and_keep_their_placeholders() {
    let (mut suite, mut client) = start().await;
    let body = "<p onclick=\"x()\">{{ticket.number}}</p><script>x()</script>\
                <a href=\"https://example.com/{{ticket.number}}\">link</a><a href=\"{{ticket.summary}}\">no</a>";
    let unsafe_body =
        NotificationDefinition { body_html_template: body.to_owned(), ..definition("Unsafe", requester()) };
    let created = create(&mut client, unsafe_body.clone()).await.unwrap();
    let clean = created.body_html_template.as_str();
    assert!(clean.starts_with("<p>{{ticket.number}}</p>"), "{clean}");
    assert!(clean.contains("href=\"https://example.com/{{ticket.number}}\""), "{clean}");
    assert!(!clean.contains("script") && !clean.contains("onclick") && !clean.contains("href=\"{{"), "{clean}");

    // What came into the database another way is sanitised when it is read.
    let pool = suite.service("notification").host.service.pool().clone();
    sqlx::query("update notification_definitions set body_html_template = $1").bind(body).execute(&pool).await.unwrap();
    let get = GetNotificationDefinitionRequest { id: created.id.clone() };
    let got = client.get_notification_definition(get).await.unwrap().into_inner().notification_definition.unwrap();
    assert_eq!(got.body_html_template, clean);
    let listed = client.list_notification_definitions(ListNotificationDefinitionsRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().notification_definitions[0].body_html_template, clean);

    let nothing = NotificationDefinition {
        name: "Nothing".to_owned(),
        body_html_template: "<script>x()</script>".to_owned(),
        ..unsafe_body
    };
    assert_eq!(reason(&create(&mut client, nothing).await.unwrap_err()), "TEMPLATE_INVALID");
}

#[tokio::test]
async fn a_recipient_that_no_channel_reaches_is_refused() {
    let (_suite, mut client) = start().await;
    let recipients = NotificationRecipients { email_addresses: vec!["list@example.com".to_owned()], ..requester() };
    let wrong = NotificationDefinition { channels: vec![Channel::Inbox.into()], ..definition("Inbox", recipients) };
    let refused = create(&mut client, wrong.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "CHANNEL_NOT_FOR_RECIPIENT".to_owned()));
    assert_eq!(fields(&refused), ["notification_definition.recipients.email_addresses[0]"]);
    let both = vec![Channel::Inbox.into(), Channel::Email.into()];
    let created = create(&mut client, NotificationDefinition { channels: both, ..wrong }).await.unwrap();
    let inbox = NotificationDefinition { channels: vec![Channel::Inbox.into()], ..created };
    assert_eq!(reason(&update(&mut client, inbox, &["channels"]).await.unwrap_err()), "CHANNEL_NOT_FOR_RECIPIENT");
}

#[tokio::test]
async fn references_are_asked_for_where_they_are_and_believed_when_no_answer_comes() {
    let (mut suite, mut client) = start().await;
    // Directory is not there: believed.
    let recipients = |team: &str| NotificationRecipients { team_ids: vec![team.to_owned()], ..Default::default() };
    let believed = create(&mut client, definition("Believed", recipients(&id()))).await.unwrap();

    suite.start::<Directory>().await;
    let mut teams = TeamServiceClient::new(suite.admin("directory"));
    let request = CreateTeamRequest {
        team: Some(Team { name: "First line".to_owned(), ..Default::default() }),
        request_id: request_id(),
    };
    let team = teams.create_team(request).await.unwrap().into_inner().team.unwrap();
    create(&mut client, definition("There", recipients(&team.id))).await.unwrap();
    let refused = create(&mut client, definition("Not there", recipients(&id()))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    assert_eq!(fields(&refused), ["notification_definition.recipients.team_ids[0]"]);
    let delete = DeleteTeamRequest { id: team.id.clone(), etag: String::new(), request_id: request_id() };
    teams.delete_team(delete).await.unwrap();
    let refused = create(&mut client, definition("Deleted", recipients(&team.id))).await.unwrap_err();
    assert_eq!(reason(&refused), "REFERENCE_NOT_FOUND");

    // What was named before is not asked for again; what is new is.
    let mut renamed = NotificationDefinition { name: "Renamed".to_owned(), ..believed };
    renamed = update(&mut client, renamed, &["name", "recipients"]).await.unwrap();
    renamed.recipients.as_mut().unwrap().team_ids.push(id());
    let refused = update(&mut client, renamed, &["recipients"]).await.unwrap_err();
    assert_eq!(fields(&refused), ["notification_definition.recipients.team_ids[1]"]);

    let wrong = NotificationDefinition { email_sender_id: id(), ..definition("No sender", requester()) };
    let refused = create(&mut client, wrong).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("REFERENCE_NOT_FOUND".to_owned(), vec!["notification_definition.email_sender_id".to_owned()])
    );
}

#[tokio::test]
async fn whoever_waits_for_directory_keeps_nobody_else_waiting() {
    let mut world = World::without_sender().await;
    // Directory takes connections and says nothing.
    let address = world.suite.service("directory").address;
    world.suite.kill("directory");
    let _silent = loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    // Calls fail at once until the old connection is given up.
    let naming_team =
        |name: String| definition(&name, NotificationRecipients { team_ids: vec![id()], ..Default::default() });
    loop {
        let mut definitions = world.definitions();
        let waits = create(&mut definitions, naming_team(id()));
        if tokio::time::timeout(Duration::from_millis(500), waits).await.is_err() {
            break;
        }
    }
    // As many definitions, and as many notes, as there are connections to the database.
    let connections = world.service().pool().options().get_max_connections();
    let calls: Vec<_> = (0..connections)
        .flat_map(|number| {
            let definition = naming_team(format!("Waits {number}"));
            let (mut definitions, mut notes) =
                (world.definitions(), PopupNoteServiceClient::new(world.suite.admin("notification")));
            let note = PopupNote { customer_id: id(), text_html: "<p>Call back</p>".to_owned(), ..Default::default() };
            let note = CreatePopupNoteRequest { popup_note: Some(note), request_id: request_id() };
            [
                tokio::spawn(async move { create(&mut definitions, definition).await.map(drop) }),
                tokio::spawn(async move { notes.create_popup_note(note).await.map(drop) }),
            ]
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answered = async {
        world.definitions().list_notification_definitions(ListNotificationDefinitionsRequest::default()).await.unwrap();
        world.create_sender().await;
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("others are answered meanwhile");
    assert!(calls.iter().all(|call| !call.is_finished()), "these still wait for directory");
}

#[tokio::test]
async fn the_same_request_creates_one_definition() {
    let (_suite, mut client) = start().await;
    let request = CreateNotificationDefinitionRequest {
        notification_definition: Some(definition("Once", requester())),
        request_id: request_id(),
    };
    let first = client.create_notification_definition(request.clone()).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(client.create_notification_definition(request).await.unwrap().into_inner(), first);
}

#[tokio::test]
async fn event_types_tell_their_fields_and_placeholders() {
    let (_suite, mut client) = start().await;
    let types = client.list_event_types(ListEventTypesRequest {}).await.unwrap().into_inner().event_types;
    assert_eq!(types.iter().map(|t| t.event_type).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for described in &types {
        assert!(described.criterion_fields.iter().any(|f| f.name == "event.changed_fields"));
        assert!(described.placeholders.iter().any(|p| p == "ticket.number"));
        let of_a_rule = described.placeholders.iter().any(|p| p == "rule.name");
        assert_eq!(of_a_rule, described.event_type() == EventType::RuleMatched);
        assert!(!described.description.is_empty());
    }
}
