//! `TicketService`: logging, changing, closing, acting, listing, counting; without directory, which tickets do not need.

use chrono::TimeDelta;
use concierge_proto::CallerKind;
use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::directory::AccessLevel;
use concierge_proto::event::TicketEventKind;
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{
    CloseTicketRequest, CountOpenTicketsRequest, CreateSlaRequest, GetTicketRequest, ListTicketActionsRequest,
    ListTicketsRequest, LogTicketRequest, Rule, RuleAppliesTo, RuleOutcomes, Sla, SlaTarget, StatusCategory, Ticket,
    TicketAction, TicketActionVisibility, TicketImpact, TicketSource, TicketTypeUse, UpdateStatusRequest,
    UpdateTicketRequest,
};
use concierge_runtime::clock::Clock as _;
use concierge_testkit::{Who, request_id};
use prost_types::FieldMask;
use tonic::Code;
use uuid::Uuid;

use crate::desk::*;

fn public(text: &str) -> TicketAction {
    TicketAction { text: text.to_owned(), visibility: TicketActionVisibility::Public.into(), ..Default::default() }
}

#[tokio::test]
async fn logs_with_defaults_though_directory_is_away_and_nobody_knows_the_user() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer on fire".to_owned(), user_id: id(), ..Default::default() };
    let logged = desk.log(ticket.clone()).await.unwrap();
    let stored = logged.ticket.unwrap();
    assert_eq!((stored.number, stored.etag.as_str()), (1, "1"));
    assert_eq!((stored.type_id.as_str(), stored.status_id.as_str()), (INCIDENT, NEW));
    assert_eq!(stored.status_category(), StatusCategory::New);
    assert_eq!((stored.source(), stored.r#use()), (TicketSource::Agent, TicketTypeUse::Support));
    assert_eq!((stored.logged_by_kind(), stored.user_id.as_str()), (CallerKind::Agent, ticket.user_id.as_str()));
    assert_eq!((stored.site_id.as_str(), stored.customer_id.as_str(), stored.user_important), ("", "", None));
    assert!(stored.logged_time.is_some() && stored.create_time.is_some());
    let evaluation = logged.evaluation.unwrap();
    assert!(evaluation.stale && !evaluation.evaluation_id.is_empty());
    assert_eq!(desk.get(&stored.id).await, stored);
    let second = desk.log(ticket).await.unwrap().ticket.unwrap();
    assert_eq!(second.number, 2);
}

#[tokio::test]
async fn fills_site_and_customer_from_what_was_heard() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let by_user = desk.log(one.ticket("By user")).await.unwrap().ticket.unwrap();
    assert_eq!((&by_user.site_id, &by_user.customer_id), (&one.site.id, &one.customer.id));
    assert_eq!((by_user.user_important, by_user.customer_important), (Some(false), Some(false)));
    let ticket = Ticket { user_id: String::new(), site_id: one.site.id.clone(), ..one.ticket("By site") };
    let by_site = desk.log(ticket).await.unwrap().ticket.unwrap();
    assert_eq!((&by_site.site_id, &by_site.customer_id), (&one.site.id, &one.customer.id));
    let ticket = Ticket { user_id: String::new(), customer_id: one.customer.id.clone(), ..one.ticket("By customer") };
    let by_customer = desk.log(ticket).await.unwrap().ticket.unwrap();
    assert_eq!((&by_customer.site_id, &by_customer.customer_id), (&one.site.id, &one.customer.id));

    let other = desk.heard_of_one().await;
    let elsewhere = Ticket { customer_id: other.customer.id.clone(), ..one.ticket("For another customer") };
    let elsewhere = desk.log(elsewhere).await.unwrap().ticket.unwrap();
    assert_eq!((&elsewhere.site_id, &elsewhere.customer_id), (&other.site.id, &other.customer.id));
    let both = Ticket { site_id: one.site.id.clone(), customer_id: other.customer.id.clone(), ..one.ticket("Both") };
    let refused = desk.log(both).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "SITE_OF_OTHER_CUSTOMER".to_owned()));
    assert_eq!(fields(&refused), ["ticket.site_id"]);
}

#[tokio::test]
async fn refuses_a_ticket_of_nobody() {
    let desk = Desk::alone().await;
    let refused = desk.log(Ticket { summary: "Whose?".to_owned(), ..Default::default() }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(fields(&refused), ["ticket.user_id"]);
}

#[tokio::test]
async fn refuses_every_reference_that_is_not_there_at_once() {
    let desk = Desk::alone().await;
    let ticket = Ticket {
        summary: "Lost".to_owned(),
        user_id: id(),
        type_id: id(),
        status_id: id(),
        priority_id: id(),
        sla_id: id(),
        ..Default::default()
    };
    let refused = desk.log(ticket).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    assert_eq!(fields(&refused), ["ticket.type_id", "ticket.status_id", "ticket.priority_id", "ticket.sla_id"]);
}

#[tokio::test]
async fn refuses_what_is_deleted_and_what_is_not_active() {
    let mut desk = Desk::alone().await;
    let mut one = Requester::new();
    one.user.delete_time = Some(timestamp(desk.suite.clock.now()));
    desk.heard(&one.user).await;
    let gone = desk.log(one.ticket("Gone")).await.unwrap_err();
    assert_eq!((reason(&gone), fields(&gone)), ("REFERENCE_NOT_FOUND".to_owned(), vec!["ticket.user_id".to_owned()]));

    let resting = concierge_proto::directory::Team { active: Some(false), ..team("Night shift") };
    desk.heard(&resting).await;
    let mut deleted = team("Day shift");
    deleted.delete_time = Some(timestamp(desk.suite.clock.now()));
    desk.heard(&deleted).await;
    let ticket = Ticket { summary: "Lost".to_owned(), user_id: id(), team_id: resting.id, ..Default::default() };
    let refused = desk.log(ticket.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "REFERENCE_INACTIVE".to_owned()));
    assert_eq!(fields(&refused), ["ticket.team_id"]);
    let refused = desk.log(Ticket { team_id: deleted.id, ..ticket.clone() }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
    // Never heard of, and nobody to ask: believed.
    let team_id = id();
    let believed = desk.log(Ticket { team_id: team_id.clone(), ..ticket.clone() }).await.unwrap().ticket.unwrap();
    assert_eq!(believed.team_id, team_id);

    let status = UpdateStatusRequest {
        status: Some(concierge_proto::ticket_rule::Status {
            id: ON_HOLD.to_owned(),
            active: Some(false),
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["active".to_owned()] }),
        request_id: request_id(),
    };
    desk.statuses().update_status(status).await.unwrap();
    let inactive = Ticket { team_id: String::new(), status_id: ON_HOLD.to_owned(), ..ticket };
    let refused = desk.log(inactive).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::FailedPrecondition, vec!["ticket.status_id".to_owned()]));
}

#[tokio::test]
async fn an_external_id_is_taken_once_a_source_and_names_who_has_it() {
    let desk = Desk::alone().await;
    let ticket = Ticket {
        summary: "INC0001".to_owned(),
        user_id: id(),
        external_id: "INC0001".to_owned(),
        external_source: "servicenow".to_owned(),
        ..Default::default()
    };
    let request = LogTicketRequest { ticket: Some(ticket.clone()), request_id: request_id() };
    let first = desk.tickets().log_ticket(request.clone()).await.unwrap().into_inner();
    let id = first.ticket.as_ref().unwrap().id.clone();
    // The same request gets the first answer, another one with the same external id learns whose it is.
    assert_eq!(desk.tickets().log_ticket(request).await.unwrap().into_inner(), first);
    let refused = desk.log(ticket.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
    assert_eq!((metadata(&refused, "id"), metadata(&refused, "field")), (id, "ticket.external_id".to_owned()));
    let writer = Who::agent(Uuid::from_u128(7)).with_scope(&["tickets.write"]);
    let refused = log(&mut desk.tickets_of(&writer), ticket.clone()).await.unwrap_err();
    assert_eq!((refused.code(), metadata(&refused, "id")), (Code::AlreadyExists, String::new()));
    let elsewhere = Ticket { external_source: String::new(), ..ticket.clone() };
    let other = desk.log(elsewhere).await.unwrap().ticket.unwrap();
    let moved = Ticket { external_source: "servicenow".to_owned(), ..other };
    let refused = desk.update(moved, &["external_source"]).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
}

#[tokio::test]
async fn times_of_the_past_are_for_imports() {
    let desk = Desk::alone().await;
    let now = desk.suite.clock.now();
    let past = timestamp(now - TimeDelta::days(400));
    let ticket =
        Ticket { summary: "Long ago".to_owned(), user_id: id(), logged_time: Some(past), ..Default::default() };
    let agent = Who::agent(Uuid::from_u128(7)).with_scope(&["tickets.read", "tickets.write"]);
    let refused = log(&mut desk.tickets_of(&agent), ticket.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "PERMISSION_MISSING".to_owned()));
    assert_eq!(metadata(&refused, "permission"), "tickets.import");
    let future = Ticket { logged_time: Some(timestamp(now + TimeDelta::hours(1))), ..ticket.clone() };
    let refused = desk.log(future).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["ticket.logged_time".to_owned()]));
    let logged = desk.log(ticket).await.unwrap().ticket.unwrap();
    assert_eq!(logged.logged_time, Some(past));

    let early = TicketAction { action_time: Some(timestamp(now - TimeDelta::days(500))), ..public("Before") };
    let refused = desk.act(&logged.id, early).await.unwrap_err();
    assert_eq!(fields(&refused), ["ticket_action.action_time"]);
    let soon = timestamp(now - TimeDelta::days(399));
    let answered = desk.act(&logged.id, TicketAction { action_time: Some(soon), ..public("Hello") }).await.unwrap();
    assert_eq!(answered.ticket.unwrap().responded_time, Some(soon));
    let again = TicketAction { action_time: Some(soon), ..public("Hello") };
    let refused = act(&mut desk.tickets_of(&agent), &logged.id, again).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let later = timestamp(now - TimeDelta::days(398));
    let close = CloseTicketRequest {
        id: logged.id.clone(),
        closed_time: Some(later),
        request_id: request_id(),
        ..Default::default()
    };
    assert_eq!(desk.tickets_of(&agent).close_ticket(close.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let closed = desk.tickets().close_ticket(close).await.unwrap().into_inner().ticket.unwrap();
    assert_eq!((closed.closed_time, closed.resolved_time), (Some(later), Some(later)));
}

#[tokio::test]
async fn every_change_is_told_once_by_one_event() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let agent = concierge_proto::directory::Agent {
        id: Uuid::from_u128(0xad).to_string(),
        name: "Bo Day".to_owned(),
        active: Some(true),
        ..Default::default()
    };
    desk.heard(&agent).await;
    let ticket = desk.log(one.ticket("Printer on fire")).await.unwrap().ticket.unwrap();
    let note = TicketAction { text: "On my way".to_owned(), ..Default::default() };
    let acted = desk.act(&ticket.id, note).await.unwrap();
    let action = acted.ticket_action.unwrap();
    assert_eq!((action.visibility(), action.author_name.as_str()), (TicketActionVisibility::Internal, "Bo Day"));
    let urgent = Ticket { id: ticket.id.clone(), priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.update_with(urgent, &["priority_id"], Some(public("We are on it"))).await.unwrap();
    desk.close(&ticket.id).await.unwrap();
    let open = Ticket { id: ticket.id.clone(), status_id: OPEN.to_owned(), ..Default::default() };
    let reopened = desk.update(open.clone(), &["status_id"]).await.unwrap().ticket.unwrap();
    // Nothing differs: nothing is written, nothing is told.
    assert_eq!(desk.update(open, &["status_id"]).await.unwrap().ticket.unwrap(), reopened);

    let events = desk.events(5).await;
    let types: Vec<&str> = events.iter().map(|(event_type, _)| event_type.as_str()).collect();
    assert_eq!(
        types,
        ["ticket.logged", "ticket.action_added", "ticket.action_added", "ticket.closed", "ticket.reopened"]
    );
    let (logged, acted, urgent, closed, reopened) =
        (&events[0].1, &events[1].1, &events[2].1, &events[3].1, &events[4].1);
    assert_eq!(logged.kinds().collect::<Vec<_>>(), [TicketEventKind::Logged]);
    assert_eq!((logged.version, logged.changed_fields.len(), logged.counted_before.is_none()), (1, 0, true));
    assert!(logged.counted_after.as_ref().is_some_and(|c| c.open && c.customer_id == one.customer.id));
    let names = logged.names.clone().unwrap();
    assert_eq!(
        (
            names.user.as_str(),
            names.site.as_str(),
            names.customer.as_str(),
            names.status.as_str(),
            names.r#type.as_str()
        ),
        ("Ann Lee", "Berlin", "Example Ltd", "New", "Incident")
    );
    assert_eq!((logged.actor_kind(), logged.actor_name.as_str()), (CallerKind::Agent, "Bo Day"));
    assert_eq!(acted.kinds().collect::<Vec<_>>(), [TicketEventKind::ActionAdded]);
    assert_eq!(acted.ticket_action.as_ref().unwrap().text, "On my way");
    assert_eq!(urgent.kinds().collect::<Vec<_>>(), [TicketEventKind::ActionAdded, TicketEventKind::Updated]);
    assert_eq!(urgent.changed_fields, ["ticket.priority", "ticket.priority_rank", "ticket.responded_time"]);
    assert_eq!(closed.kinds().collect::<Vec<_>>(), [TicketEventKind::Closed]);
    assert!(closed.counted_before.as_ref().unwrap().open && !closed.counted_after.as_ref().unwrap().open);
    assert_eq!(reopened.kinds().collect::<Vec<_>>(), [TicketEventKind::Reopened, TicketEventKind::Updated]);
    let versions: Vec<i64> = events.iter().map(|(_, event)| event.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    let kept: i64 = sqlx::query_scalar("select count(*) from changes where record_type = 'ticket'")
        .fetch_one(&desk.pool())
        .await
        .unwrap();
    assert_eq!(kept, 5);
}

#[tokio::test]
async fn decision_2_saving_a_ticket_does_not_undo_what_an_agent_set_by_hand() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let (first_line, second_line) = (team("First line"), team("Second line"));
    desk.heard(&first_line).await;
    desk.heard(&second_line).await;
    let to_team = |team_id: &str| RuleOutcomes { team_id: team_id.to_owned(), ..Default::default() };
    let printer = Kind::Text("printer".to_owned());
    desk.rule(rule_on("Printers", "ticket.summary", Operator::Contains, Some(printer), to_team(&first_line.id))).await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    let second = Kind::Id(second_line.id.clone());
    desk.rule(rule_on("Second line is urgent", "ticket.team", Operator::Is, Some(second), urgent)).await;

    let logged = desk.log(one.ticket("The printer is on fire")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["Printers"]);
    let ticket = logged.ticket.unwrap();
    assert_eq!(ticket.team_id, first_line.id);
    // The agent's team stays, and the rule on teams runs.
    let by_hand = Ticket { team_id: second_line.id.clone(), ..ticket };
    let updated = desk.update(by_hand, &["team_id"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["Second line is urgent"]);
    let ticket = updated.ticket.unwrap();
    assert_eq!((&ticket.team_id, ticket.priority_id.as_str()), (&second_line.id, CRITICAL));
    let low = Ticket { priority_id: LOW.to_owned(), ..ticket };
    let updated = desk.update(low, &["priority_id"]).await.unwrap();
    assert!(matched(&updated.evaluation).is_empty());
    assert_eq!(updated.ticket.as_ref().unwrap().priority_id, LOW);
    // A changed summary brings the first rule back, and through the team it sets nothing else: the team is not second.
    let renamed = Ticket { summary: "The printer is soaked".to_owned(), ..updated.ticket.unwrap() };
    let updated = desk.update(renamed, &["summary"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["Printers"]);
    assert_eq!(updated.ticket.unwrap().team_id, first_line.id);
}

#[tokio::test]
async fn adding_an_action_is_an_update() {
    let desk = Desk::alone().await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    let smoke = Kind::Text("smoke".to_owned());
    desk.rule(rule_on("Smoke", "action.text", Operator::Contains, Some(smoke), urgent)).await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let acted = desk.act(&ticket.id, public("No fire")).await.unwrap();
    assert!(matched(&acted.evaluation).is_empty());
    let acted = desk.act(&ticket.id, public("There is smoke")).await.unwrap();
    assert_eq!(matched(&acted.evaluation), ["Smoke"]);
    assert_eq!(acted.ticket.unwrap().priority_id, CRITICAL);
}

#[tokio::test]
async fn changing_the_customer_counts_as_changing_every_fact_about_it() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let mut vip = Requester::new();
    vip.customer.important = true;
    for_all(&mut desk, &vip).await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    let rule = rule_on("Important", "customer.important", Operator::Is, Some(Kind::Flag(true)), urgent);
    desk.rule(Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule }).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let same = desk.update(Ticket { summary: "Printer!".to_owned(), ..ticket }, &["summary"]).await.unwrap();
    assert!(matched(&same.evaluation).is_empty());
    let ticket = same.ticket.unwrap();
    let moved = Ticket { site_id: vip.site.id.clone(), customer_id: vip.customer.id.clone(), ..ticket };
    let moved = desk.update(moved, &["site_id", "customer_id"]).await.unwrap();
    assert_eq!(matched(&moved.evaluation), ["Important"]);
    let moved = moved.ticket.unwrap();
    assert_eq!((moved.customer_important, moved.priority_id.as_str()), (Some(true), CRITICAL));
    let back = Ticket { customer_id: one.customer.id.clone(), ..moved };
    let refused = desk.update(back, &["customer_id"]).await.unwrap_err();
    assert_eq!(reason(&refused), "SITE_OF_OTHER_CUSTOMER");
}

async fn for_all(desk: &mut Desk, requester: &Requester) {
    desk.heard(&requester.customer).await;
    desk.heard(&requester.site).await;
    desk.heard(&requester.user).await;
}

#[tokio::test]
async fn no_rule_runs_on_a_closed_ticket_and_only_reopening_changes_it() {
    let desk = Desk::alone().await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.rule(rule_on("Always", "ticket.status", Operator::HasValue, None, urgent)).await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let closed_at_once = Ticket { status_id: CLOSED.to_owned(), ..ticket.clone() };
    let logged = desk.log(closed_at_once).await.unwrap();
    assert!(logged.evaluation.is_none());
    assert_eq!(logged.ticket.unwrap().priority_id, "");

    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let low = Ticket { priority_id: LOW.to_owned(), ..ticket.clone() };
    desk.update(low.clone(), &["priority_id"]).await.unwrap();
    let closing = Ticket { status_id: CLOSED.to_owned(), etag: String::new(), ..low };
    let closed = desk.update(closing, &["status_id"]).await.unwrap();
    assert!(closed.evaluation.is_none());
    let closed = closed.ticket.unwrap();
    assert_eq!((closed.priority_id.as_str(), closed.closed_time.is_some()), (LOW, true));

    let closed_reason = |status: tonic::Status| (status.code(), reason(&status));
    let expected = (Code::FailedPrecondition, "TICKET_CLOSED".to_owned());
    let changed = Ticket { summary: "Other".to_owned(), ..closed.clone() };
    assert_eq!(closed_reason(desk.update(changed.clone(), &["summary"]).await.unwrap_err()), expected);
    assert_eq!(closed_reason(desk.update(closed.clone(), &["status_id"]).await.unwrap_err()), expected);
    assert_eq!(closed_reason(desk.close(&ticket.id).await.unwrap_err()), expected);
    let acted = desk.act(&ticket.id, public("By the way")).await.unwrap();
    assert!(acted.evaluation.is_none());
    let acted = acted.ticket.unwrap();
    assert_eq!((acted.status_category(), acted.etag.as_str()), (StatusCategory::Closed, "4"));

    let reopening = Ticket { status_id: OPEN.to_owned(), etag: acted.etag, ..changed };
    let reopened = desk.update(reopening, &["status_id", "summary"]).await.unwrap();
    assert_eq!(matched(&reopened.evaluation), ["Always"]);
    let reopened = reopened.ticket.unwrap();
    assert_eq!((reopened.closed_time, reopened.summary.as_str()), (None, "Other"));
}

#[tokio::test]
async fn a_rule_that_closes_ends_the_walk() {
    let mut desk = Desk::alone().await;
    let close = RuleOutcomes { status_id: CLOSED.to_owned(), ..Default::default() };
    let spam = Kind::Text("lottery".to_owned());
    desk.rule(rule_on("Spam", "ticket.summary", Operator::Contains, Some(spam), close)).await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.rule(rule_on("Always", "ticket.status", Operator::HasValue, None, urgent)).await;
    let ticket = Ticket { summary: "You won the lottery".to_owned(), user_id: id(), ..Default::default() };
    let logged = desk.log(ticket).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["Spam"]);
    let ticket = logged.ticket.unwrap();
    assert_eq!((ticket.status_category(), ticket.priority_id.as_str()), (StatusCategory::Closed, ""));
    assert!(ticket.closed_time.is_some() && ticket.resolved_time.is_some());
    let events = desk.events(1).await;
    assert_eq!(events[0].1.kinds().collect::<Vec<_>>(), [TicketEventKind::Logged, TicketEventKind::Closed]);
}

#[tokio::test]
async fn closing_needs_a_status_that_closes() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let close = |status_id: &str, etag: &str| CloseTicketRequest {
        id: ticket.id.clone(),
        status_id: status_id.to_owned(),
        etag: etag.to_owned(),
        request_id: request_id(),
        ticket_action: Some(public("Done")),
        closed_time: None,
    };
    let refused = desk.tickets().close_ticket(close(RESOLVED, "")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "STATUS_OF_OTHER_CATEGORY".to_owned()));
    assert_eq!(
        (metadata(&refused, "category"), fields(&refused)),
        ("RESOLVED".to_owned(), vec!["status_id".to_owned()])
    );
    let refused = desk.tickets().close_ticket(close(&id(), "")).await.unwrap_err();
    assert_eq!((reason(&refused), fields(&refused)), ("REFERENCE_NOT_FOUND".to_owned(), vec!["status_id".to_owned()]));
    let refused = desk.tickets().close_ticket(close("", "7")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Aborted, "STALE_ETAG".to_owned()));
    let closed = desk.tickets().close_ticket(close("", "1")).await.unwrap().into_inner();
    assert_eq!(closed.ticket.unwrap().status_id, CLOSED);
    assert_eq!(closed.ticket_action.unwrap().text, "Done");
    let unknown = CloseTicketRequest { id: id(), request_id: request_id(), ..Default::default() };
    let refused = desk.tickets().close_ticket(unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn of_two_updates_with_one_etag_one_wins() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let update = |summary: &str| {
        let ticket = Ticket { summary: summary.to_owned(), ..ticket.clone() };
        desk.update(ticket, &["summary"])
    };
    let (one, other) = tokio::join!(update("One"), update("Other"));
    let refused = match (&one, &other) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("one of two: {both:?}"),
    };
    assert_eq!((refused.code(), reason(refused)), (Code::Aborted, "STALE_ETAG".to_owned()));
    assert_eq!(desk.get(&ticket.id).await.etag, "2");
}

#[tokio::test]
async fn updates_without_etag_come_one_after_the_other() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let acts = (0..16).map(|n| desk.act(&ticket.id, public(&format!("Reply {n}"))));
    for done in futures::future::join_all(acts).await {
        done.unwrap();
    }
    assert_eq!(desk.get(&ticket.id).await.etag, "17");
    let list = ListTicketActionsRequest { ticket_id: ticket.id.clone(), page_size: 10, ..Default::default() };
    let first = desk.tickets().list_ticket_actions(list.clone()).await.unwrap().into_inner();
    let rest = ListTicketActionsRequest { page_token: first.next_page_token.clone(), ..list };
    let rest = desk.tickets().list_ticket_actions(rest).await.unwrap().into_inner();
    assert_eq!((first.ticket_actions.len(), rest.ticket_actions.len()), (10, 6));
}

#[tokio::test]
async fn sixty_four_identical_requests_log_one_ticket() {
    let mut desk = Desk::alone().await;
    let ticket = Ticket { summary: "Once".to_owned(), user_id: id(), ..Default::default() };
    let request = LogTicketRequest { ticket: Some(ticket), request_id: request_id() };
    let calls = (0..64).map(|_| {
        let (mut client, request) = (desk.tickets(), request.clone());
        async move { client.log_ticket(request).await }
    });
    let answers: Vec<_> = futures::future::join_all(calls).await;
    let first = answers[0].as_ref().unwrap().get_ref().clone();
    for answer in answers {
        assert_eq!(answer.unwrap().into_inner(), first);
    }
    assert_eq!(desk.events(1).await.len(), 1);
    let count: i64 = sqlx::query_scalar("select count(*) from tickets").fetch_one(&desk.pool()).await.unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn due_times_follow_the_agreement_that_a_rule_sets() {
    let desk = Desk::alone().await;
    let hours = |hours: i64| Some(prost_types::Duration { seconds: hours * 3600, nanos: 0 });
    let target = SlaTarget { priority_id: CRITICAL.to_owned(), response: hours(1), resolution: hours(4) };
    let sla = Sla { name: "Gold".to_owned(), targets: vec![target], ..Default::default() };
    let request = CreateSlaRequest { sla: Some(sla), request_id: request_id() };
    let sla = desk.slas().create_sla(request).await.unwrap().into_inner().sla.unwrap();
    let gold = RuleOutcomes { sla_id: sla.id.clone(), priority_id: CRITICAL.to_owned(), ..Default::default() };
    let fire = Kind::Text("fire".to_owned());
    desk.rule(rule_on("Fire", "ticket.summary", Operator::Contains, Some(fire), gold)).await;
    let ticket = Ticket { summary: "Fire!".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let logged = datetime(ticket.logged_time.as_ref().unwrap()).unwrap();
    assert_eq!(ticket.response_due_time, Some(timestamp(logged + TimeDelta::hours(1))));
    assert_eq!(ticket.resolution_due_time, Some(timestamp(logged + TimeDelta::hours(4))));

    let hold = Ticket { status_id: ON_HOLD.to_owned(), ..ticket.clone() };
    let held = desk.update(hold, &["status_id"]).await.unwrap().ticket.unwrap();
    assert!(held.hold_start_time.is_some());
    desk.suite.clock.advance(TimeDelta::hours(2));
    let answered = desk.act(&ticket.id, public("We wait for parts")).await.unwrap().ticket.unwrap();
    desk.suite.clock.advance(TimeDelta::hours(1));
    let open = Ticket { status_id: OPEN.to_owned(), etag: String::new(), ..answered };
    let open = desk.update(open, &["status_id"]).await.unwrap().ticket.unwrap();
    let due = |time: Option<prost_types::Timestamp>| (datetime(&time.unwrap()).unwrap() - logged).num_hours();
    // Two of the three hours on hold were before the response.
    assert_eq!((due(open.response_due_time), due(open.resolution_due_time)), (3, 7));
    let low = Ticket { priority_id: LOW.to_owned(), ..open };
    let low = desk.update(low, &["priority_id"]).await.unwrap().ticket.unwrap();
    assert_eq!((low.response_due_time, low.resolution_due_time), (None, None));
    let back = Ticket { priority_id: CRITICAL.to_owned(), ..low };
    let back = desk.update(back, &["priority_id"]).await.unwrap().ticket.unwrap();
    assert_eq!((due(back.response_due_time), due(back.resolution_due_time)), (3, 7));
}

#[tokio::test]
async fn an_action_is_imported_once() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let action = TicketAction { external_id: "42".to_owned(), external_source: "csv".to_owned(), ..public("Hello") };
    let first = desk.act(&ticket.id, action.clone()).await.unwrap().ticket_action.unwrap();
    let refused = desk.act(&ticket.id, action.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "EXTERNAL_ID_TAKEN".to_owned()));
    assert_eq!(metadata(&refused, "id"), first.id);
    let other = Ticket { summary: "Not changed".to_owned(), ..ticket.clone() };
    let other = Ticket { etag: String::new(), ..other };
    let refused = desk.update_with(other, &["summary"], Some(action.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(desk.get(&ticket.id).await.summary, "Printer");
    desk.act(&ticket.id, TicketAction { external_source: String::new(), ..action.clone() }).await.unwrap();

    // What was done is done, also when the ticket was closed since; what is new is refused for that.
    desk.close(&ticket.id).await.unwrap();
    let same = Ticket { etag: String::new(), ..ticket.clone() };
    let refused = desk.update_with(same.clone(), &["summary"], Some(action.clone())).await.unwrap_err();
    assert_eq!((reason(&refused).as_str(), metadata(&refused, "id")), ("EXTERNAL_ID_TAKEN", first.id));
    let close = |action: &TicketAction| CloseTicketRequest {
        id: ticket.id.clone(),
        ticket_action: Some(action.clone()),
        request_id: request_id(),
        ..Default::default()
    };
    let refused = desk.tickets().close_ticket(close(&action)).await.unwrap_err();
    assert_eq!(reason(&refused), "EXTERNAL_ID_TAKEN");
    let new = TicketAction { external_id: "43".to_owned(), ..action };
    assert_eq!(reason(&desk.tickets().close_ticket(close(&new)).await.unwrap_err()), "TICKET_CLOSED");
    assert_eq!(reason(&desk.update_with(same, &["summary"], Some(new)).await.unwrap_err()), "TICKET_CLOSED");
}

#[tokio::test]
async fn what_update_refuses() {
    let desk = Desk::alone().await;
    let ticket = Ticket { summary: "Printer".to_owned(), user_id: id(), ..Default::default() };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let refused = desk.update(Ticket { id: ticket.id.clone(), ..Default::default() }, &["user_id", "status_id"]).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.code(), fields(&refused)),
        (Code::InvalidArgument, vec!["ticket.status_id".to_owned(), "ticket.user_id".to_owned()])
    );
    for output_only in ["number", "closed_time", "logged_time", "nonsense"] {
        let refused = desk.update(ticket.clone(), &[output_only]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{output_only}");
    }
    let unknown = Ticket { id: id(), ..ticket };
    let refused = desk.update(unknown, &["summary"]).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn lists_and_counts_by_customer_site_user_and_use() {
    let mut desk = Desk::alone().await;
    let (one, other) = (desk.heard_of_one().await, desk.heard_of_one().await);
    desk.log(one.ticket("First")).await.unwrap();
    let opportunity = Ticket { type_id: OPPORTUNITY.to_owned(), ..one.ticket("Sell") };
    let opportunity = desk.log(opportunity).await.unwrap().ticket.unwrap();
    assert_eq!(opportunity.r#use(), TicketTypeUse::Sales);
    let held = Ticket { status_id: ON_HOLD.to_owned(), type_id: REQUEST.to_owned(), ..other.ticket("Later") };
    desk.log(held).await.unwrap();
    let done = desk.log(other.ticket("Done")).await.unwrap().ticket.unwrap();
    desk.close(&done.id).await.unwrap();

    let list = async |request: ListTicketsRequest| -> Vec<String> {
        let page = desk.tickets().list_tickets(request).await.unwrap().into_inner();
        page.tickets.into_iter().map(|ticket| ticket.summary).collect()
    };
    assert_eq!(list(ListTicketsRequest::default()).await, ["First", "Sell", "Later", "Done"]);
    let of = |customer: &str| ListTicketsRequest { customer_id: customer.to_owned(), ..Default::default() };
    assert_eq!(list(of(&one.customer.id)).await, ["First", "Sell"]);
    let sales = TicketTypeUse::Sales.into();
    assert_eq!(list(ListTicketsRequest { r#use: sales, ..of(&one.customer.id) }).await, ["Sell"]);
    let by_user = ListTicketsRequest { user_id: other.user.id.clone(), ..Default::default() };
    assert_eq!(list(by_user).await, ["Later", "Done"]);
    let open = "status_category != CLOSED".to_owned();
    let by_site = ListTicketsRequest { site_id: other.site.id.clone(), filter: open, ..Default::default() };
    assert_eq!(list(by_site).await, ["Later"]);
    assert!(list(of(&id())).await.is_empty());

    let count = async |request: CountOpenTicketsRequest| {
        let counted = desk.tickets().count_open_tickets(request).await.unwrap().into_inner();
        [counted.open_count, counted.new_count, counted.in_work_count, counted.on_hold_count]
    };
    assert_eq!(count(CountOpenTicketsRequest::default()).await, [3, 2, 0, 1]);
    let of = |customer: &str| CountOpenTicketsRequest { customer_id: customer.to_owned(), ..Default::default() };
    assert_eq!(count(of(&one.customer.id)).await, [2, 2, 0, 0]);
    assert_eq!(count(CountOpenTicketsRequest { r#use: sales, ..of(&one.customer.id) }).await, [1, 1, 0, 0]);
    let by_user = CountOpenTicketsRequest { user_id: other.user.id.clone(), ..Default::default() };
    assert_eq!(count(by_user).await, [1, 0, 0, 1]);
    let by_site = CountOpenTicketsRequest { site_id: other.site.id.clone(), ..Default::default() };
    assert_eq!(count(by_site).await, [1, 0, 0, 1]);
    assert_eq!(count(of(&id())).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn portal_users_reach_as_far_as_their_web_access() {
    let mut desk = Desk::alone().await;
    let mut one = desk.heard_of_one().await;
    let colleague = user_at(&one.site, "Col Eague");
    let branch = concierge_proto::directory::Site { id: id(), ..one.site.clone() };
    let remote = user_at(&branch, "Re Mote");
    desk.heard(&branch).await;
    desk.heard(&colleague).await;
    desk.heard(&remote).await;
    let mut stranger = desk.heard_of_one().await;
    stranger.user.name = "Str Anger".to_owned();
    let mut tickets = Vec::new();
    for user in [&one.user, &colleague, &remote, &stranger.user] {
        let ticket = Ticket { summary: user.name.clone(), user_id: user.id.clone(), ..Default::default() };
        tickets.push(desk.log(ticket).await.unwrap().ticket.unwrap());
    }
    // One's own ticket for another customer is that customer's.
    let elsewhere = Ticket { customer_id: stranger.customer.id.clone(), ..one.ticket("Elsewhere") };
    tickets.push(desk.log(elsewhere).await.unwrap().ticket.unwrap());

    for (level, reached) in [
        (AccessLevel::None, vec![]),
        (AccessLevel::Own, vec!["Ann Lee"]),
        (AccessLevel::Site, vec!["Ann Lee", "Col Eague"]),
        (AccessLevel::Customer, vec!["Ann Lee", "Col Eague", "Re Mote"]),
    ] {
        one.user.web_access_level = level.into();
        one.user.etag = (one.user.etag.parse::<i64>().unwrap() + 1).to_string();
        desk.heard(&one.user).await;
        let mut client = desk.tickets_of(&one.who());
        let listed = client.list_tickets(ListTicketsRequest::default()).await.unwrap().into_inner().tickets;
        let listed: Vec<&str> = listed.iter().map(|ticket| ticket.summary.as_str()).collect();
        assert_eq!(listed, reached, "{level:?}");
        for ticket in &tickets {
            let got = client.get_ticket(GetTicketRequest { id: ticket.id.clone() }).await;
            let actions = ListTicketActionsRequest { ticket_id: ticket.id.clone(), ..Default::default() };
            let listed = client.list_ticket_actions(actions).await;
            let acted =
                act(&mut client, &ticket.id, TicketAction { text: "Hello".to_owned(), ..Default::default() }).await;
            if reached.contains(&ticket.summary.as_str()) {
                got.unwrap();
                listed.unwrap();
                acted.unwrap();
                continue;
            }
            let unknown = client.get_ticket(GetTicketRequest { id: id() }).await.unwrap_err();
            for refused in [got.unwrap_err(), listed.unwrap_err(), acted.unwrap_err()] {
                assert_eq!((refused.code(), reason(&refused)), (unknown.code(), reason(&unknown)));
                assert_eq!(refused.message().replace(&ticket.id, ""), "there is no ticket ");
            }
        }
    }
}

#[tokio::test]
async fn portal_users_set_and_see_what_is_theirs() {
    let mut desk = Desk::alone().await;
    let mut one = desk.heard_of_one().await;
    let colleague = user_at(&one.site, "Col Eague");
    desk.heard(&colleague).await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.rule(rule_on("Always", "ticket.status", Operator::HasValue, None, urgent)).await;
    let mut client = desk.tickets_of(&one.who());
    let wanted = Ticket {
        summary: "My printer".to_owned(),
        impact: TicketImpact::High.into(),
        type_id: REQUEST.to_owned(),
        ..Default::default()
    };
    let logged = log(&mut client, wanted.clone()).await.unwrap();
    assert!(logged.evaluation.is_none());
    let ticket = logged.ticket.unwrap();
    assert_eq!((&ticket.user_id, &ticket.customer_id), (&one.user.id, &one.customer.id));
    assert_eq!((ticket.source(), ticket.logged_by_kind()), (TicketSource::Portal, CallerKind::User));
    assert_eq!((ticket.priority_id.as_str(), ticket.user_important), (CRITICAL, None));

    for (field, agents) in [
        ("team_id", Ticket { team_id: id(), ..wanted.clone() }),
        ("priority_id", Ticket { priority_id: LOW.to_owned(), ..wanted.clone() }),
        ("site_id", Ticket { site_id: one.site.id.clone(), ..wanted.clone() }),
        ("source", Ticket { source: TicketSource::Email.into(), ..wanted.clone() }),
        ("tags", Ticket { tags: vec!["x".to_owned()], ..wanted.clone() }),
        ("external_id", Ticket { external_id: "x".to_owned(), ..wanted.clone() }),
        ("logged_time", Ticket { logged_time: Some(timestamp(desk.suite.clock.now())), ..wanted.clone() }),
    ] {
        let refused = log(&mut client, agents).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "FIELD_NOT_FOR_CALLER".to_owned()));
        assert_eq!(
            (metadata(&refused, "field"), metadata(&refused, "kind")),
            (format!("ticket.{field}"), "user".to_owned())
        );
    }
    // For others only as far as it sees their tickets; who is beyond does not exist.
    let stranger = desk.heard_of_one().await;
    for user_id in [colleague.id.clone(), stranger.user.id.clone(), id()] {
        let refused = log(&mut client, Ticket { user_id: user_id.clone(), ..wanted.clone() }).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "REFERENCE_NOT_FOUND".to_owned()));
        assert_eq!(refused.message(), format!("ticket.user_id: there is no live user {user_id}"));
    }
    one.user.web_access_level = AccessLevel::Site.into();
    one.user.etag = "2".to_owned();
    desk.heard(&one.user).await;
    let for_colleague = Ticket { user_id: colleague.id.clone(), ..wanted };
    assert_eq!(log(&mut client, for_colleague).await.unwrap().ticket.unwrap().user_id, colleague.id);

    desk.act(&ticket.id, TicketAction { text: "Difficult customer".to_owned(), ..Default::default() }).await.unwrap();
    desk.act(&ticket.id, public("We are on it")).await.unwrap();
    let internal = TicketAction { visibility: TicketActionVisibility::Internal.into(), ..public("x") };
    let refused = act(&mut client, &ticket.id, internal).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "FIELD_NOT_FOR_CALLER".to_owned()));
    let thanks = TicketAction { text: "Thanks".to_owned(), ..Default::default() };
    let acted = act(&mut client, &ticket.id, thanks.clone()).await.unwrap();
    assert!(acted.evaluation.is_none());
    let action = acted.ticket_action.unwrap();
    assert_eq!((action.visibility(), action.author_name.as_str()), (TicketActionVisibility::Public, "Ann Lee"));
    assert_eq!(action.author_id, one.user.id);
    let list = ListTicketActionsRequest { ticket_id: ticket.id.clone(), ..Default::default() };
    let seen = client.list_ticket_actions(list.clone()).await.unwrap().into_inner().ticket_actions;
    let seen: Vec<&str> = seen.iter().map(|action| action.text.as_str()).collect();
    assert_eq!(seen, ["We are on it", "Thanks"]);
    let filtered = ListTicketActionsRequest { filter: "visibility = INTERNAL".to_owned(), ..list.clone() };
    assert!(client.list_ticket_actions(filtered).await.unwrap().into_inner().ticket_actions.is_empty());
    assert_eq!(desk.tickets().list_ticket_actions(list).await.unwrap().into_inner().ticket_actions.len(), 3);

    let update = UpdateTicketRequest {
        ticket: Some(ticket.clone()),
        update_mask: Some(FieldMask { paths: vec!["summary".to_owned()] }),
        request_id: request_id(),
        ..Default::default()
    };
    let refused = client.update_ticket(update).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "CALLER_KIND_REFUSED".to_owned()));
    desk.close(&ticket.id).await.unwrap();
    let refused = act(&mut client, &ticket.id, thanks).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "TICKET_CLOSED".to_owned()));
}

#[tokio::test]
async fn a_portal_user_of_whom_nothing_was_heard_logs_where_its_token_says() {
    let desk = Desk::alone().await;
    let one = Requester::new();
    let mut client = desk.tickets_of(&one.who());
    let wanted = Ticket { summary: "Help".to_owned(), ..Default::default() };
    let ticket = log(&mut client, wanted).await.unwrap().ticket.unwrap();
    assert_eq!((&ticket.site_id, &ticket.customer_id), (&one.site.id, &one.customer.id));
    assert!(client.get_ticket(GetTicketRequest { id: ticket.id }).await.is_ok());
}

#[tokio::test]
async fn a_page_of_heavy_tickets_fits_a_message_and_the_next_goes_on() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let details = "😀".repeat(50_000);
    for number in 0..30 {
        let heavy = number >= 4;
        let ticket = one.ticket(&format!("Ticket {number}"));
        desk.log(Ticket { details: if heavy { details.clone() } else { String::new() }, ..ticket }).await.unwrap();
    }
    let (mut seen, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = ListTicketsRequest { page_size: 1_000, page_token, ..Default::default() };
        // A client takes 4 MiB unless told otherwise.
        let page = desk.tickets().list_tickets(request).await.unwrap().into_inner();
        seen.extend(page.tickets.into_iter().map(|ticket| ticket.summary));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..30).map(|number| format!("Ticket {number}")).collect::<Vec<_>>());
    assert!(pages >= 2, "{pages}");
}
