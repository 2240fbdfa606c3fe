//! The story of an important user's ticket, over all three services, step by step.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use concierge_directory::Directory;
use concierge_notification::Notification;
use concierge_proto::common::{CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator, criterion_value::Kind};
use concierge_proto::directory::agent_role_service_client::AgentRoleServiceClient;
use concierge_proto::directory::agent_service_client::AgentServiceClient;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::relationship_service_client::RelationshipServiceClient;
use concierge_proto::directory::site_contact_service_client::SiteContactServiceClient;
use concierge_proto::directory::team_service_client::TeamServiceClient;
use concierge_proto::directory::user_role_service_client::UserRoleServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{
    AccessLevel, AddTeamMemberRequest, AddressBookKind, Agent, AgentRole, AssignSiteContactRequest,
    AssignUserRoleRequest, CreateAgentRequest, CreateAgentRoleRequest, CreateCustomerRequest,
    CreateRelationshipRequest, CreateTeamRequest, CreateUserRequest, CreateUserRoleRequest, Customer, CustomerStage,
    GetCustomerOverviewRequest, GetCustomerRequest, GetEffectiveUserRequest, ListAddressBookRequest, Relationship,
    RelationshipEntity, SearchUsersRequest, Site, Team, UpdateCustomerRequest, UpdateUserRequest, User, UserRole,
};
use concierge_proto::notification::delivery_service_client::DeliveryServiceClient;
use concierge_proto::notification::email_sender_service_client::EmailSenderServiceClient;
use concierge_proto::notification::notification_definition_service_client::NotificationDefinitionServiceClient;
use concierge_proto::notification::popup_note_service_client::PopupNoteServiceClient;
use concierge_proto::notification::popup_service_client::PopupServiceClient;
use concierge_proto::notification::{
    Channel, CreateEmailSenderRequest, CreateNotificationDefinitionRequest, CreatePopupNoteRequest, Delivery,
    DeliveryReason, DeliveryState, DismissPopupRequest, EmailSecurity, EmailSender, EventType, ListDeliveriesRequest,
    ListInboxItemsRequest, ListPopupsRequest, NotificationDefinition, NotificationRecipients, Popup, PopupKind,
    PopupNote, PopupSettings, SiteContactRecipients, UpdatePopupSettingsRequest, WatchInboxRequest,
};
use concierge_proto::ticket_rule::priority_service_client::PriorityServiceClient;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::sla_service_client::SlaServiceClient;
use concierge_proto::ticket_rule::status_service_client::StatusServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    CreateRuleRequest, CreateSlaRequest, ExplainTicketRequest, GetTicketRequest, ListPrioritiesRequest,
    ListStatusesRequest, LogTicketRequest, Rule, RuleOutcomes, RuleVerdict, Sla, StatusCategory, Ticket, TicketDraft,
};
use concierge_testkit::smtp::SmtpServer;
use concierge_testkit::{Api, Suite, Who, request_id};
use concierge_ticket_rule::TicketRule;

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() })
}

fn one(field: &str, operator: Operator, values: Vec<Kind>) -> Criterion {
    Criterion {
        field: field.to_owned(),
        operator: operator.into(),
        values: values.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect(),
        case_sensitive: false,
    }
}

fn group(kind: GroupKind, criteria: Vec<Criterion>, groups: Vec<CriteriaGroup>) -> CriteriaGroup {
    CriteriaGroup { kind: kind.into(), criteria, groups }
}

async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within twenty seconds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn deliveries(notification: &Api, ticket: &Ticket) -> Vec<Delivery> {
    let filter = format!("ticket_id = \"{}\"", ticket.id);
    let request = ListDeliveriesRequest { filter, ..Default::default() };
    DeliveryServiceClient::new(notification.clone()).list_deliveries(request).await.unwrap().into_inner().deliveries
}

fn log(user: &User, summary: &str) -> LogTicketRequest {
    let ticket = Ticket { summary: summary.to_owned(), user_id: user.id.clone(), ..Default::default() };
    LogTicketRequest { ticket: Some(ticket), request_id: request_id() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_important_user_is_never_treated_like_any_other() {
    let mut suite = Suite::new();
    suite.start::<Directory>().await;
    suite.start::<TicketRule>().await;
    suite.start::<Notification>().await;
    let (directory, ticket_rule, notification) =
        (suite.admin("directory"), suite.admin("ticket-rule"), suite.admin("notification"));
    let mut users = UserServiceClient::new(directory.clone());
    let mut customers = CustomerServiceClient::new(directory.clone());

    // 2. Relationships are configured, and set on customers below.
    let mut relationships = RelationshipServiceClient::new(directory.clone());
    let mut relationship = async |name: &str| {
        let entity = RelationshipEntity::Customer.into();
        let relationship = Relationship { name: name.to_owned(), entity, ..Default::default() };
        let request = CreateRelationshipRequest { relationship: Some(relationship), request_id: request_id() };
        relationships.create_relationship(request).await.unwrap().into_inner().relationship.unwrap().id
    };
    let (high_value, at_risk) = (relationship("High value").await, relationship("At risk").await);

    // 1. A customer in one call, with its main site, time zone, notes and main contact, and marked important.
    let asked = Customer {
        name: "Harbour Logistics".to_owned(),
        important: true,
        time_zone: "Europe/Berlin".to_owned(),
        notes: "Ships at night.".to_owned(),
        relationship_ids: vec![at_risk.clone(), high_value.clone()],
        ..Default::default()
    };
    let main_site =
        Site { name: "Head office".to_owned(), time_zone: "Europe/Lisbon".to_owned(), ..Default::default() };
    let main_contact = User {
        name: "Mara Holt".to_owned(),
        emails: vec!["mara.holt@harbour.example".to_owned()],
        ..Default::default()
    };
    let created = customers
        .create_customer(CreateCustomerRequest {
            customer: Some(asked.clone()),
            main_site: Some(main_site.clone()),
            main_contact: Some(main_contact.clone()),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner();
    let (customer, site, contact) =
        (created.customer.unwrap(), created.main_site.unwrap(), created.main_contact.unwrap());
    // All three are as they were asked for, with what the server gives and what is so by default.
    let (create_time, etag) = (customer.create_time, customer.etag.clone());
    assert!(create_time.is_some() && etag == "1");
    let expected = Customer {
        id: customer.id.clone(),
        main_site_id: site.id.clone(),
        active: Some(true),
        stage: CustomerStage::Customer.into(),
        create_time,
        update_time: create_time,
        etag: etag.clone(),
        ..asked
    };
    assert_eq!(customer, expected);
    let request = GetCustomerRequest { id: customer.id.clone() };
    assert_eq!(customers.get_customer(request).await.unwrap().into_inner().customer.unwrap(), expected);
    let expected = Site {
        id: site.id.clone(),
        customer_id: customer.id.clone(),
        active: Some(true),
        create_time,
        update_time: create_time,
        etag: etag.clone(),
        ..main_site
    };
    assert_eq!(site, expected);
    let expected = User {
        id: contact.id.clone(),
        site_id: site.id.clone(),
        customer_id: customer.id.clone(),
        active: Some(true),
        web_access_level: AccessLevel::Own.into(),
        asset_access_level: AccessLevel::None.into(),
        create_time,
        update_time: create_time,
        etag,
        ..main_contact
    };
    assert_eq!(contact, expected);

    // A role that carries importance is given to a second user; a third is marked directly.
    let role = UserRole { name: "Board".to_owned(), important: true, ..Default::default() };
    let role = UserRoleServiceClient::new(directory.clone())
        .create_user_role(CreateUserRoleRequest { user_role: Some(role), request_id: request_id() })
        .await
        .unwrap()
        .into_inner()
        .user_role
        .unwrap();
    let mut user = async |name: &str, important: bool| {
        let emails = vec![format!("{}@harbour.example", name.to_lowercase().replace(' ', "."))];
        let user = User { name: name.to_owned(), site_id: site.id.clone(), emails, important, ..Default::default() };
        let request = CreateUserRequest { user: Some(user), request_id: request_id() };
        users.create_user(request).await.unwrap().into_inner().user.unwrap()
    };
    let (director, plain, direct) =
        (user("Ines Hallberg", false).await, user("Ines Halloran", false).await, user("Ines Hallstrom", true).await);
    UserRoleServiceClient::new(directory.clone())
        .assign_user_role(AssignUserRoleRequest {
            user_id: director.id.clone(),
            role_id: role.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .unwrap();
    let effective = users
        .get_effective_user(GetEffectiveUserRequest { id: director.id.clone() })
        .await
        .unwrap()
        .into_inner()
        .effective_user
        .unwrap();
    let importance = effective.importance.unwrap();
    assert_eq!((importance.value, importance.own, importance.role_ids), (true, false, vec![role.id.clone()]));

    // An agent with the role "first line" exists, in a team.
    let first_line = AgentRole {
        name: "First line".to_owned(),
        permissions: vec!["tickets.read".to_owned(), "tickets.write".to_owned(), "popups.read".to_owned()],
        ..Default::default()
    };
    let first_line = AgentRoleServiceClient::new(directory.clone())
        .create_agent_role(CreateAgentRoleRequest { agent_role: Some(first_line), request_id: request_id() })
        .await
        .unwrap()
        .into_inner()
        .agent_role
        .unwrap();
    let agent = Agent {
        name: "Avery Quill".to_owned(),
        email: "avery@desk.example".to_owned(),
        role_ids: vec![first_line.id],
        ..Default::default()
    };
    let agent = AgentServiceClient::new(directory.clone())
        .create_agent(CreateAgentRequest { agent: Some(agent), request_id: request_id(), ..Default::default() })
        .await
        .unwrap()
        .into_inner()
        .agent
        .unwrap();
    let mut teams = TeamServiceClient::new(directory.clone());
    let mut team = async |name: &str| {
        let team = Team { name: name.to_owned(), ..Default::default() };
        let request = CreateTeamRequest { team: Some(team), request_id: request_id() };
        teams.create_team(request).await.unwrap().into_inner().team.unwrap()
    };
    let (white_glove, retention) = (team("White glove").await, team("Retention").await);
    teams
        .add_team_member(AddTeamMemberRequest {
            team_id: white_glove.id.clone(),
            agent_id: agent.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .unwrap();
    SiteContactServiceClient::new(directory.clone())
        .assign_site_contact(AssignSiteContactRequest {
            site_id: site.id.clone(),
            user_id: contact.id.clone(),
            request_id: request_id(),
            ..Default::default()
        })
        .await
        .unwrap();

    // 3. Rules: each relationship operator is used once; groups ALL, ANY, NOT.
    let list = ListPrioritiesRequest { order_by: "rank".to_owned(), ..Default::default() };
    let priorities =
        PriorityServiceClient::new(ticket_rule.clone()).list_priorities(list).await.unwrap().into_inner().priorities;
    let statuses = StatusServiceClient::new(ticket_rule.clone())
        .list_statuses(ListStatusesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .statuses;
    let open = statuses.iter().find(|s| s.category() == StatusCategory::Open).unwrap();
    let sla = SlaServiceClient::new(ticket_rule.clone())
        .create_sla(CreateSlaRequest {
            sla: Some(Sla { name: "Gold".to_owned(), ..Default::default() }),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner()
        .sla
        .unwrap();
    // What directory made is known to the others once they have read its feed.
    for name in ["ticket-rule", "notification"] {
        let pool = suite.service(name).database.pool.clone();
        eventually("the directory's records to arrive", || {
            let pool = pool.clone();
            async move {
                let contacts: i64 =
                    sqlx::query_scalar("select count(*) from projections where record_type = 'site_contact'")
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                (name == "ticket-rule" || contacts == 1).then_some(())
            }
        })
        .await;
    }
    let mut rules = RuleServiceClient::new(ticket_rule.clone());
    let important =
        group(GroupKind::All, vec![one("user.important", Operator::Is, vec![Kind::Flag(true)])], Vec::new());
    let wanted = [
        (
            "Important user",
            important,
            RuleOutcomes {
                team_id: white_glove.id.clone(),
                priority_id: priorities[0].id.clone(),
                sla_id: sla.id.clone(),
                popup_html: "<p>Call back.</p>".to_owned(),
                ..Default::default()
            },
        ),
        (
            "Important customer",
            group(
                GroupKind::Any,
                vec![one("customer.important", Operator::Is, vec![Kind::Flag(true)])],
                vec![group(
                    GroupKind::Not,
                    Vec::new(),
                    vec![group(
                        GroupKind::All,
                        vec![one("customer.relationships", Operator::HasNoValue, Vec::new())],
                        Vec::new(),
                    )],
                )],
            ),
            RuleOutcomes { status_id: open.id.clone(), ..Default::default() },
        ),
        (
            "At risk",
            group(
                GroupKind::All,
                vec![one("customer.relationships", Operator::Includes, vec![Kind::Id(at_risk.clone())])],
                Vec::new(),
            ),
            RuleOutcomes { team_id: retention.id.clone(), ..Default::default() },
        ),
        (
            "Both relationships and no other",
            group(
                GroupKind::All,
                vec![
                    one("customer.relationships", Operator::HasValue, Vec::new()),
                    one(
                        "customer.relationships",
                        Operator::Equals,
                        vec![Kind::Id(high_value.clone()), Kind::Id(at_risk.clone())],
                    ),
                    one(
                        "customer.relationships",
                        Operator::IncludesAll,
                        vec![Kind::Id(high_value.clone()), Kind::Id(at_risk.clone())],
                    ),
                ],
                Vec::new(),
            ),
            RuleOutcomes { add_tags: vec!["both".to_owned()], ..Default::default() },
        ),
        (
            "Not of high value",
            group(
                GroupKind::All,
                vec![one("customer.relationships", Operator::DoesNotInclude, vec![Kind::Id(high_value.clone())])],
                Vec::new(),
            ),
            RuleOutcomes { add_tags: vec!["ordinary".to_owned()], ..Default::default() },
        ),
    ];
    let mut rule_ids = Vec::new();
    for (precedence, (name, criteria, outcomes)) in (1..).zip(wanted) {
        let rule = Rule {
            name: name.to_owned(),
            precedence: Some(precedence),
            criteria: Some(criteria),
            outcomes: Some(outcomes),
            ..Default::default()
        };
        let request = CreateRuleRequest { rule: Some(rule), request_id: request_id() };
        // References to teams are checked against what ticket-rule has heard.
        let created = eventually("the rule's references to arrive", || {
            let (mut rules, request) = (rules.clone(), request.clone());
            async move { rules.create_rule(request).await.ok() }
        })
        .await;
        rule_ids.push(created.into_inner().rule.unwrap().id);
    }

    // 5 (its setting). A real SMTP server.
    let smtp = SmtpServer::start().await;
    let sender = EmailSender {
        name: "Desk".to_owned(),
        host: smtp.address.ip().to_string(),
        port: Some(i32::from(smtp.address.port())),
        security: EmailSecurity::None.into(),
        from_address: "desk@desk.example".to_owned(),
        ..Default::default()
    };
    EmailSenderServiceClient::new(notification.clone())
        .create_email_sender(CreateEmailSenderRequest { email_sender: Some(sender), request_id: request_id() })
        .await
        .unwrap();

    // The contact watches their inbox.
    let contact_api = suite.api("notification", &Who::user(&contact.id, &customer.id, &site.id));
    let mut inbox = DeliveryServiceClient::new(contact_api);
    let mut watched = inbox.watch_inbox(WatchInboxRequest::default()).await.unwrap().into_inner();

    // 4. The director logs a ticket; it comes back changed, with the rules that matched and what each changed.
    let mut tickets = TicketServiceClient::new(ticket_rule.clone());
    let logged = tickets.log_ticket(log(&director, "The line is silent")).await.unwrap().into_inner();
    let (ticket, evaluation) = (logged.ticket.unwrap(), logged.evaluation.unwrap());
    let matched: Vec<&str> = evaluation.matches.iter().map(|m| m.rule_name.as_str()).collect();
    assert_eq!(matched, ["Important user", "Important customer", "At risk", "Both relationships and no other"]);
    // The later rule overwrote the earlier one's team (decision 1); what only the first set stayed.
    assert_eq!(ticket.team_id, retention.id);
    assert_eq!((&ticket.priority_id, &ticket.sla_id, &ticket.status_id), (&priorities[0].id, &sla.id, &open.id));
    assert_eq!(ticket.tags, ["both"]);
    assert_eq!((ticket.user_important, ticket.customer_important), (Some(true), Some(true)));
    let changed: Vec<&str> = evaluation.matches[0].changes.iter().map(|c| c.field.as_str()).collect();
    assert!(changed.contains(&"ticket.team") && changed.contains(&"ticket.sla"), "{changed:?}");
    // ExplainTicket tells of every rule why it did or did not match.
    let explained = rules
        .explain_ticket(ExplainTicketRequest { ticket_id: ticket.id.clone(), ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    let verdicts: Vec<(&str, RuleVerdict)> =
        explained.traces.iter().map(|t| (t.rule_name.as_str(), t.verdict())).collect();
    assert_eq!(verdicts[4], ("Not of high value", RuleVerdict::NotMatched));
    assert!(verdicts[..4].iter().all(|(_, verdict)| *verdict == RuleVerdict::Matched), "{verdicts:?}");
    assert_eq!(explained.traces[4].criteria[0].criterion.as_ref().unwrap().field, "customer.relationships");
    assert_eq!(explained.traces[4].criteria[0].seen.len(), 2);

    // 5. The site's assigned contact is told by e-mail and in the inbox, once each, and the reason says why.
    let told = eventually("the site contact to be told", || async {
        let told = deliveries(&notification, &ticket).await;
        let sent = told.iter().filter(|d| d.state() == DeliveryState::Sent).count();
        (sent == 2).then_some(told)
    })
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|d| d.user_id == contact.id && d.reason() == DeliveryReason::DefaultNotification));
    let channels: Vec<Channel> = told.iter().map(Delivery::channel).collect();
    assert!(channels.contains(&Channel::Email) && channels.contains(&Channel::Inbox));
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["mara.holt@harbour.example"]);
    let item = tokio::time::timeout(Duration::from_secs(20), watched.message()).await.expect("an item in the inbox");
    let item = item.unwrap().unwrap().inbox_item.unwrap();
    assert_eq!((&item.user_id, &item.ticket_id, item.position), (&contact.id, &ticket.id, 1));
    assert_eq!(item.event_type(), EventType::TicketLogged);
    let by_inbox = told.iter().find(|d| d.channel() == Channel::Inbox).unwrap();
    assert_eq!((&item.delivery_id, &item.subject), (&by_inbox.id, &by_inbox.subject));
    let list = ListInboxItemsRequest::default();
    assert_eq!(inbox.list_inbox_items(list).await.unwrap().into_inner().inbox_items, [item]);

    // A definition that targets site contacts silences the default; the delivery list says why.
    let definition = NotificationDefinition {
        name: "Closed tickets".to_owned(),
        event_type: EventType::TicketClosed.into(),
        recipients: Some(NotificationRecipients {
            site_contacts: Some(SiteContactRecipients::default()),
            ..Default::default()
        }),
        channels: vec![Channel::Inbox.into()],
        subject_template: "Closed: {{ticket.number}}".to_owned(),
        body_html_template: "<p>{{ticket.summary}}</p>".to_owned(),
        ..Default::default()
    };
    let definition = NotificationDefinitionServiceClient::new(notification.clone())
        .create_notification_definition(CreateNotificationDefinitionRequest {
            notification_definition: Some(definition),
            request_id: request_id(),
        })
        .await
        .unwrap()
        .into_inner()
        .notification_definition
        .unwrap();
    let second = tickets.log_ticket(log(&plain, "Again")).await.unwrap().into_inner().ticket.unwrap();
    let silenced = eventually("the suppressed deliveries to be listed", || async {
        let silenced = deliveries(&notification, &second).await;
        (!silenced.is_empty()).then_some(silenced)
    })
    .await;
    assert!(silenced.iter().all(|d| d.state() == DeliveryState::Suppressed
        && d.reason() == DeliveryReason::SuppressedByDefinition
        && d.other_definition_id == definition.id));
    assert_eq!(smtp.mails().len(), 1);
    let list = ListInboxItemsRequest::default();
    assert_eq!(inbox.list_inbox_items(list).await.unwrap().into_inner().inbox_items.len(), 1);

    // 6. The popups of an agent who opens that ticket, or a draft for that user.
    let me = Who::agent(agent.id.parse().unwrap());
    let mut popups = PopupServiceClient::new(suite.api("notification", &me));
    let mut notes = PopupNoteServiceClient::new(notification.clone());
    let mut note = async |note: PopupNote| {
        let request = CreatePopupNoteRequest { popup_note: Some(note), request_id: request_id() };
        notes.create_popup_note(request).await.unwrap().into_inner().popup_note.unwrap()
    };
    let text = |text: &str| PopupNote { text_html: text.to_owned(), dismissible: true, ..Default::default() };
    let of_customer = note(PopupNote { customer_id: customer.id.clone(), ..text("<b>Ships at night</b>") }).await;
    note(PopupNote { site_id: site.id.clone(), ..text("Ring twice") }).await;
    note(PopupNote { user_id: director.id.clone(), ..text("Prefers mornings") }).await;
    note(PopupNote { user_id: director.id.clone(), until_date: "2020-01-01".to_owned(), ..text("Long gone") }).await;
    let shown = async |popups: &mut PopupServiceClient<Api>, draft: bool| -> Vec<Popup> {
        let request = if draft {
            let draft = TicketDraft { summary: "x".to_owned(), user_id: director.id.clone(), ..Default::default() };
            ListPopupsRequest { draft: Some(draft), ..Default::default() }
        } else {
            ListPopupsRequest { ticket_id: ticket.id.clone(), ..Default::default() }
        };
        popups.list_popups(request).await.unwrap().into_inner().popups
    };
    let kinds = |popups: &[Popup], kind: PopupKind| popups.iter().filter(|p| p.kind() == kind).count();
    let off = shown(&mut popups, false).await;
    assert_eq!((kinds(&off, PopupKind::VipUser), kinds(&off, PopupKind::Note)), (0, 3), "decision 11: off until on");
    PopupServiceClient::new(notification.clone())
        .update_popup_settings(UpdatePopupSettingsRequest {
            popup_settings: Some(PopupSettings { vip_popup_enabled: true, ..Default::default() }),
            update_mask: mask(&["vip_popup_enabled"]),
            request_id: request_id(),
        })
        .await
        .unwrap();
    for draft in [false, true] {
        let on = shown(&mut popups, draft).await;
        let counts =
            [PopupKind::VipUser, PopupKind::VipCustomer, PopupKind::Note, PopupKind::Rule].map(|kind| kinds(&on, kind));
        assert_eq!(counts, [1, 0, 3, 1], "draft {draft}: {on:?}");
    }
    popups
        .dismiss_popup(DismissPopupRequest {
            popup_note_id: of_customer.id,
            request_id: request_id(),
            text_revision: None,
        })
        .await
        .unwrap();
    assert_eq!(kinds(&shown(&mut popups, false).await, PopupKind::Note), 2);
    let mut others = PopupServiceClient::new(notification.clone());
    assert_eq!(kinds(&shown(&mut others, false).await, PopupKind::Note), 3, "another agent dismissed nothing");

    // 7. Search lists important users first among equals.
    let found = users
        .search_users(SearchUsersRequest { query: "ines hal".to_owned(), ..Default::default() })
        .await
        .unwrap()
        .into_inner()
        .results;
    let names: Vec<&str> = found.iter().map(|r| r.user.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(names, ["Ines Hallberg", "Ines Hallstrom", "Ines Halloran"]);
    // The address book lists assigned contacts and important users.
    let book = SiteContactServiceClient::new(directory.clone())
        .list_address_book(ListAddressBookRequest {
            site_id: site.id.clone(),
            kind: AddressBookKind::SiteContacts.into(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .entries;
    let mut listed: Vec<&str> = book.iter().map(|e| e.name.as_str()).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["Ines Hallberg", "Ines Hallstrom", "Mara Holt"]);

    // Making the customer inactive makes its users count as inactive; making it active again revives only those not
    // disabled themselves (decision 6).
    let set = async |users: &mut UserServiceClient<Api>, user: &User, active: bool| {
        let user = User { id: user.id.clone(), active: Some(active), ..Default::default() };
        let request = UpdateUserRequest { user: Some(user), update_mask: mask(&["active"]), request_id: request_id() };
        users.update_user(request).await.unwrap();
    };
    set(&mut users, &plain, false).await;
    let mut counts_active = async |user: &User| {
        let request = GetEffectiveUserRequest { id: user.id.clone() };
        let effective = users.get_effective_user(request).await.unwrap().into_inner().effective_user.unwrap();
        effective.activity.unwrap().active
    };
    for active in [false, true] {
        let customer = Customer { id: customer.id.clone(), active: Some(active), ..Default::default() };
        let request = UpdateCustomerRequest {
            customer: Some(customer),
            update_mask: mask(&["active"]),
            request_id: request_id(),
        };
        customers.update_customer(request).await.unwrap();
        assert_eq!(counts_active(&director).await, active);
        assert!(!counts_active(&plain).await);
    }
    assert!(counts_active(&direct).await);

    // Open counts and activity have come back into the directory's overview.
    let overview = eventually("the overview to hear of both tickets", || {
        let mut customers = customers.clone();
        let request = GetCustomerOverviewRequest { id: customer.id.clone() };
        async move {
            let overview = customers.get_customer_overview(request).await.unwrap().into_inner().overview.unwrap();
            (overview.open_ticket_count == 2).then_some(overview)
        }
    })
    .await;
    assert_eq!(overview.user_count, 4);
    assert!(overview.recent_activity.len() >= 2);
    let again = tickets.get_ticket(GetTicketRequest { id: ticket.id.clone() }).await.unwrap().into_inner();
    assert_eq!(again.ticket.unwrap().id, ticket.id);
}
