//! What rules do to tickets, tried and for real. But for one test, directory is not there: the facts
//! are those that ticket-rule heard.

use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriteriaGroup, Criterion, FieldChange, GroupKind, Operator};
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::user_service_client::UserServiceClient;
use concierge_proto::directory::{Agent, Customer, Team, UpdateCustomerRequest, UpdateUserRequest, User, UserRole};
use concierge_proto::event::TicketEventKind;
use concierge_proto::ticket_rule::{
    ApplyRuleRequest, ApplyRuleResponse, EvaluateRulesRequest, EvaluateRulesResponse, ExplainTicketRequest,
    NotConsideredReason, Rule, RuleAppliesTo, RuleOutcomes, RuleTrace, RuleVerdict, StatusCategory, Ticket,
    TicketDraft, TicketImpact, Truth, UpdateRuleRequest,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{
    CLOSED, CRITICAL, Desk, INCIDENT, LOW, NEW, OPEN, OPPORTUNITY, Requester, fields, id, matched, reason, team,
};
use crate::support::{about, all, because, choice, criterion, id_of, mask, number, refused, rule, tag, text};

fn flag(flag: bool) -> Kind {
    Kind::Flag(flag)
}

/// Tells what the rules would do to a draft.
async fn evaluate(desk: &Desk, draft: TicketDraft) -> EvaluateRulesResponse {
    let request = EvaluateRulesRequest { draft: Some(draft), ..Default::default() };
    desk.rules().evaluate_rules(request).await.unwrap().into_inner()
}

fn draft(summary: &str) -> TicketDraft {
    TicketDraft { summary: summary.to_owned(), ..Default::default() }
}

async fn apply(desk: &Desk, rule_id: &str, ticket: &Ticket) -> Result<ApplyRuleResponse, tonic::Status> {
    let request = ApplyRuleRequest {
        rule_id: rule_id.to_owned(),
        ticket_id: ticket.id.clone(),
        etag: ticket.etag.clone(),
        request_id: request_id(),
    };
    Ok(desk.rules().apply_rule(request).await?.into_inner())
}

fn verdicts(traces: &[RuleTrace]) -> Vec<(&str, RuleVerdict)> {
    traces.iter().map(|trace| (trace.rule_name.as_str(), trace.verdict())).collect()
}

fn at(precedence: i32, rule: Rule) -> Rule {
    Rule { precedence: Some(precedence), ..rule }
}

fn relationships(operator: Operator, ids: &[&str]) -> Criterion {
    criterion("customer.relationships", operator, ids.iter().map(|id| id_of(id)))
}

#[tokio::test]
async fn decision_1_rules_run_in_order_and_see_and_overwrite_what_others_set() {
    let mut desk = Desk::alone().await;
    let (first, second) = (team("First line"), team("Second line"));
    desk.heard(&first).await;
    desk.heard(&second).await;
    let to = |team_id: &str| RuleOutcomes { team_id: team_id.to_owned(), ..Default::default() };
    let is = |field: &str, id: &str| criterion(field, Operator::Is, [id_of(id)]);
    // Added in another order than they run in.
    let last = rule("4 never", vec![about("printer")], tag("late"));
    desk.rule(at(40, last)).await;
    let stops = Rule { stop_on_match: true, ..rule("3 stop", vec![is("ticket.team", &first.id)], to(&second.id)) };
    desk.rule(at(30, stops)).await;
    let sees =
        rule("2 see", vec![is("ticket.priority", CRITICAL), number_is("ticket.priority_rank", 1)], to(&first.id));
    desk.rule(at(20, sees)).await;
    let urgent = RuleOutcomes { priority_id: CRITICAL.to_owned(), status_id: OPEN.to_owned(), ..Default::default() };
    desk.rule(at(10, rule("1 urgent", vec![about("printer")], urgent))).await;

    let one = desk.heard_of_one().await;
    let logged = desk.log(Ticket { type_id: INCIDENT.to_owned(), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["1 urgent", "2 see", "3 stop"]);
    let evaluation = logged.evaluation.unwrap();
    let stopped: Vec<bool> = evaluation.matches.iter().map(|m| m.stopped).collect();
    assert_eq!(stopped, [false, false, true]);
    let changed = |index: usize| -> Vec<String> {
        evaluation.matches[index].changes.iter().map(|change| change.field.clone()).collect()
    };
    let (status, priority) = (["ticket.status", "ticket.status_category"], ["ticket.priority", "ticket.priority_rank"]);
    assert_eq!(changed(0), [status, priority].concat());
    assert_eq!(changed(1), ["ticket.team"]);
    let change = &evaluation.matches[2].changes[0];
    assert_eq!(change.from[0].kind, Some(id_of(&first.id)));
    assert_eq!(change.to[0].kind, Some(id_of(&second.id)));

    // What no outcome set stays as it was.
    let ticket = logged.ticket.unwrap();
    assert_eq!((ticket.team_id.as_str(), ticket.priority_id.as_str()), (second.id.as_str(), CRITICAL));
    assert_eq!((ticket.type_id.as_str(), ticket.status_category()), (INCIDENT, StatusCategory::Open));
    assert!(ticket.tags.is_empty());
}

fn number_is(field: &str, value: i64) -> Criterion {
    criterion(field, Operator::Is, [number(value)])
}

#[tokio::test]
async fn decision_1_of_one_precedence_the_older_runs_first() {
    let desk = Desk::alone().await;
    for name in ["one", "two", "three"] {
        desk.rule(rule(name, vec![about("x")], RuleOutcomes::default())).await;
    }
    let evaluation = evaluate(&desk, draft("x")).await.evaluation;
    assert_eq!(matched(&evaluation), ["one", "two", "three"]);
}

#[tokio::test]
async fn decision_2_when_rules_run() {
    let mut desk = Desk::alone().await;
    let uses = [
        ("new", RuleAppliesTo::New),
        ("existing", RuleAppliesTo::Existing),
        ("both", RuleAppliesTo::NewAndExisting),
        ("manual", RuleAppliesTo::Manual),
    ];
    let mut manual = String::new();
    for (name, applies_to) in uses {
        let used = Rule { applies_to: applies_to.into(), ..rule(name, vec![about("printer")], tag(name)) };
        manual = desk.rule(used).await;
    }
    let one = desk.heard_of_one().await;
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["new", "both"]);
    let ticket = logged.ticket.unwrap();

    // Nothing that a rule asks for changed.
    let updated =
        desk.update(Ticket { details: "It smokes.".to_owned(), ..ticket.clone() }, &["details"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), Vec::<String>::new());
    let ticket = updated.ticket.unwrap();
    let updated = desk.update(Ticket { summary: "A printer".to_owned(), ..ticket }, &["summary"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["existing", "both"]);

    let applied = apply(&desk, &manual, &updated.ticket.unwrap()).await.unwrap();
    assert_eq!(matched(&applied.evaluation), ["manual"]);
    assert_eq!(applied.ticket.unwrap().tags, ["new", "both", "existing", "manual"]);
}

#[tokio::test]
async fn decision_2_a_rule_runs_on_what_a_rule_before_it_changed() {
    let mut desk = Desk::alone().await;
    let existing = |rule: Rule| Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule };
    let on_tag = |word: &str| criterion("ticket.tags", Operator::Includes, [text(word)]);
    desk.rule(at(1, existing(rule("too early", vec![on_tag("b")], tag("z"))))).await;
    desk.rule(at(2, existing(rule("first", vec![about("printer")], tag("a"))))).await;
    desk.rule(at(3, existing(rule("second", vec![on_tag("a")], tag("b"))))).await;
    desk.rule(at(4, existing(rule("without criteria", vec![], tag("c"))))).await;
    let one = desk.heard_of_one().await;
    let ticket = desk.log(one.ticket("Screen")).await.unwrap().ticket.unwrap();
    let updated = desk.update(Ticket { summary: "Printer".to_owned(), ..ticket }, &["summary"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["first", "second"]);
}

#[tokio::test]
async fn decision_2_another_user_changes_every_fact_about_the_user() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let vip = User { important: true, ..crate::desk::user_at(&one.site, "Bo Ek") };
    desk.heard(&vip).await;
    let important = criterion("user.important", Operator::Is, [flag(true)]);
    let existing = RuleAppliesTo::Existing.into();
    desk.rule(Rule { applies_to: existing, ..rule("important", vec![important], tag("vip")) }).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let updated = desk.update(Ticket { user_id: vip.id.clone(), ..ticket }, &["user_id"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["important"]);
    let ticket = updated.ticket.unwrap();
    assert_eq!(ticket.user_important, Some(true));

    // A changed fact alone runs nothing.
    let customer = Customer { important: true, etag: "2".to_owned(), ..one.customer };
    desk.heard(&customer).await;
    let important = criterion("customer.important", Operator::Is, [flag(true)]);
    desk.rule(Rule { applies_to: existing, ..rule("customer", vec![important], tag("customer")) }).await;
    let updated = desk.update(Ticket { details: "x".to_owned(), ..ticket }, &["details"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), Vec::<String>::new());
}

#[tokio::test]
async fn decision_3_on_what_is_known_to_be_empty_negative_operators_hold() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let (gold, risk) = (id(), id());
    let known = [
        ("equals", relationships(Operator::Equals, &[&gold, &risk])),
        ("includes", relationships(Operator::Includes, &[&gold, &risk])),
        ("includes all", relationships(Operator::IncludesAll, &[&gold, &risk])),
        ("does not include", relationships(Operator::DoesNotInclude, &[&gold])),
        ("has value", relationships(Operator::HasValue, &[])),
        ("has no value", relationships(Operator::HasNoValue, &[])),
        ("no agent", criterion("ticket.agent", Operator::IsNot, [id_of(&id())])),
        ("nobody's manager", criterion("customer.account_manager", Operator::NoneOf, [id_of(&id())])),
    ];
    for (name, criterion) in known {
        desk.rule(rule(name, vec![criterion], RuleOutcomes::default())).await;
    }
    let of_customer = TicketDraft { customer_id: one.customer.id.clone(), ..draft("x") };
    let negative = ["does not include", "has no value", "no agent", "nobody's manager"];
    assert_eq!(matched(&evaluate(&desk, of_customer.clone()).await.evaluation), negative);

    let some = Customer { relationship_ids: vec![risk.clone()], etag: "2".to_owned(), ..one.customer.clone() };
    desk.heard(&some).await;
    let expected = ["includes", "does not include", "has value", "no agent", "nobody's manager"];
    assert_eq!(matched(&evaluate(&desk, of_customer.clone()).await.evaluation), expected);

    // The order of a set does not matter.
    let both = Customer { relationship_ids: vec![risk, gold], etag: "3".to_owned(), ..one.customer };
    desk.heard(&both).await;
    let expected = ["equals", "includes", "includes all", "has value", "no agent", "nobody's manager"];
    assert_eq!(matched(&evaluate(&desk, of_customer).await.evaluation), expected);
}

#[tokio::test]
async fn decision_3_groups_combine_in_three_values() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let unknown = || criterion("user.important", Operator::Is, [flag(true)]);
    let group =
        |kind: GroupKind, criteria: Vec<Criterion>| CriteriaGroup { kind: kind.into(), criteria, groups: vec![] };
    let nested =
        |kind: GroupKind, groups: Vec<CriteriaGroup>| CriteriaGroup { kind: kind.into(), criteria: Vec::new(), groups };
    let groups = [
        ("any, one holds", group(GroupKind::Any, vec![unknown(), about("printer")])),
        ("all, one fails", group(GroupKind::All, vec![unknown(), about("screen")])),
        ("not unknown", group(GroupKind::Not, vec![unknown()])),
        ("all, one unknown", group(GroupKind::All, vec![unknown(), about("printer")])),
        ("not failing", nested(GroupKind::Not, vec![group(GroupKind::All, vec![unknown(), about("screen")])])),
        ("empty", group(GroupKind::All, vec![])),
    ];
    for (name, criteria) in groups {
        desk.rule(Rule { criteria: Some(criteria), ..rule(name, vec![], RuleOutcomes::default()) }).await;
    }
    // Nobody ever heard of the user; the customer is known.
    let draft = TicketDraft { user_id: id(), customer_id: one.customer.id.clone(), ..draft("Printer") };
    let answer = evaluate(&desk, draft).await;
    assert_eq!(matched(&answer.evaluation), ["any, one holds", "not failing", "empty"]);
    let evaluation = answer.evaluation.unwrap();
    let undecided: Vec<_> = evaluation.undecided_rules.iter().map(|u| u.rule_name.as_str()).collect();
    assert_eq!(undecided, ["not unknown", "all, one unknown"]);
    assert!(evaluation.undecided_rules.iter().all(|u| u.unknown_fields == ["user.important"]));
    assert!(evaluation.stale);
    let trace = answer.traces.iter().find(|trace| trace.rule_name == "all, one fails").unwrap();
    let truths: Vec<_> = trace.criteria.iter().map(|c| c.truth()).collect();
    assert_eq!((trace.verdict(), truths), (RuleVerdict::NotMatched, vec![Truth::Unknown, Truth::Fails]));
    assert_eq!(answer.ticket.unwrap().user_important, None);
}

#[tokio::test]
async fn decision_5_a_tickets_importance_is_that_of_its_user_and_its_customer() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let other = Requester::new();
    let important_customer = Customer { important: true, ..other.customer.clone() };
    desk.heard(&important_customer).await;
    desk.heard(&other.site).await;
    desk.heard(&other.user).await;
    let role = UserRole {
        id: id(),
        name: "Director".to_owned(),
        important: true,
        active: Some(true),
        etag: "1".to_owned(),
        ..Default::default()
    };
    desk.heard(&role).await;
    let by_role = User { role_ids: vec![role.id.clone()], ..crate::desk::user_at(&one.site, "By role") };
    let by_own = User { important: true, ..crate::desk::user_at(&one.site, "By own flag") };
    desk.heard(&by_role).await;
    desk.heard(&by_own).await;
    for (name, field) in [("user", "user.important"), ("customer", "customer.important")] {
        desk.rule(rule(name, vec![criterion(field, Operator::Is, [flag(true)])], RuleOutcomes::default())).await;
    }
    let matches = async |user: &User, customer: &Customer| {
        let draft = TicketDraft { user_id: user.id.clone(), customer_id: customer.id.clone(), ..draft("x") };
        let answer = evaluate(&desk, draft).await;
        let ticket = answer.ticket.unwrap();
        let remembered = (ticket.user_important, ticket.customer_important);
        (matched(&answer.evaluation), remembered)
    };
    let expected = |names: &[&str], user: bool, customer: bool| {
        (names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), (Some(user), Some(customer)))
    };
    assert_eq!(matches(&one.user, &one.customer).await, expected(&[], false, false));
    assert_eq!(matches(&by_role, &one.customer).await, expected(&["user"], true, false));
    assert_eq!(matches(&by_own, &one.customer).await, expected(&["user"], true, false));
    // An important customer does not make its users important,
    assert_eq!(matches(&other.user, &important_customer).await, expected(&["customer"], false, true));
    // and it is the ticket's customer that counts, not the user's own.
    assert_eq!(matches(&by_own, &important_customer).await, expected(&["user", "customer"], true, true));
    assert_eq!(matches(&other.user, &one.customer).await, expected(&[], false, false));
}

#[tokio::test]
async fn a_trial_writes_nothing_and_shows_the_ticket_as_it_would_be() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let outcomes =
        RuleOutcomes { type_id: OPPORTUNITY.to_owned(), popup_html: "<b>Sell</b>".to_owned(), ..tag("sales") };
    desk.rule(rule("sell", vec![about("buy")], outcomes)).await;
    desk.rule(rule("other", vec![about("broken")], tag("broken"))).await;
    let pool = desk.pool();
    let count = async || -> i64 {
        let tables = "select (select count(*) from tickets) + (select count(*) from evaluations)
            + (select count(*) from facts) + (select count(*) from outbox) + (select count(*) from answers)";
        sqlx::query_scalar(tables).fetch_one(&pool).await.unwrap()
    };
    let before = count().await;
    let answer = evaluate(&desk, TicketDraft { user_id: one.user.id.clone(), ..draft("We want to buy") }).await;
    assert_eq!(count().await, before);

    let ticket = answer.ticket.unwrap();
    assert_eq!((ticket.id.as_str(), ticket.number, ticket.create_time), ("", 0, None));
    assert_eq!((ticket.site_id, ticket.customer_id), (one.site.id, one.customer.id));
    assert_eq!((ticket.type_id.as_str(), ticket.status_id.as_str()), (OPPORTUNITY, NEW));
    assert_eq!(ticket.tags, ["sales"]);
    let evaluation = answer.evaluation.unwrap();
    assert_eq!((evaluation.evaluation_id.as_str(), evaluation.stale), ("", true));
    assert_eq!(evaluation.matches[0].popup_html, "<b>Sell</b>");
    assert_eq!(verdicts(&answer.traces), [("sell", RuleVerdict::Matched), ("other", RuleVerdict::NotMatched)]);
    let seen = &answer.traces[1].criteria[0];
    assert_eq!((seen.path.as_str(), seen.truth()), ("criteria[0]", Truth::Fails));
    assert_eq!(seen.seen[0].kind, Some(text("We want to buy")));
    assert_eq!(seen.criterion, Some(about("broken")));
}

#[tokio::test]
async fn a_trial_can_be_of_some_rules_and_tell_some_verdicts() {
    let desk = Desk::alone().await;
    let manual = Rule { applies_to: RuleAppliesTo::Manual.into(), ..rule("manual", vec![], tag("m")) };
    let manual = desk.rule(manual).await;
    let disabled = Rule { enabled: Some(false), ..rule("disabled", vec![], tag("d")) };
    let disabled = desk.rule(disabled).await;
    desk.rule(rule("always", vec![], tag("a"))).await;
    let ask = async |rule_ids: &[&String], wanted: &[RuleVerdict]| {
        let request = EvaluateRulesRequest {
            draft: Some(draft("x")),
            rule_ids: rule_ids.iter().map(|id| (*id).clone()).collect(),
            verdicts: wanted.iter().map(|verdict| i32::from(*verdict)).collect(),
        };
        desk.rules().evaluate_rules(request).await.map(tonic::Response::into_inner)
    };
    let answer = ask(&[], &[]).await.unwrap();
    assert_eq!(verdicts(&answer.traces), [("always", RuleVerdict::Matched)]);
    let answer = ask(&[&manual, &disabled], &[]).await.unwrap();
    assert_eq!(verdicts(&answer.traces), [("manual", RuleVerdict::Matched)]);
    let answer = ask(&[&manual, &disabled], &[RuleVerdict::NotConsidered]).await.unwrap();
    let reasons: Vec<_> = answer.traces.iter().map(|t| (t.rule_name.as_str(), t.not_considered_reason())).collect();
    let expected = [("disabled", NotConsideredReason::Disabled), ("always", NotConsideredReason::OtherUse)];
    assert_eq!(reasons, expected);
    let status = ask(&[&manual, &id()], &[]).await.unwrap_err();
    assert_eq!(fields(&status), ["rule_ids[1]"]);
    assert_eq!(refused::<()>(Err(status)), because(Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
}

#[tokio::test]
async fn a_trial_refuses_what_is_not_there_and_runs_nothing_on_a_closed_draft() {
    let desk = Desk::alone().await;
    desk.rule(rule("always", vec![], tag("a"))).await;
    let lost = TicketDraft { type_id: id(), sla_id: id(), ..draft("x") };
    let request = EvaluateRulesRequest { draft: Some(lost), ..Default::default() };
    let status = desk.rules().evaluate_rules(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    assert_eq!(fields(&status), ["draft.type_id", "draft.sla_id"]);

    let answer = evaluate(&desk, TicketDraft { status_id: CLOSED.to_owned(), ..draft("x") }).await;
    assert_eq!((matched(&answer.evaluation), answer.traces.len()), (Vec::new(), 0));
    assert!(answer.ticket.unwrap().closed_time.is_some());
}

#[tokio::test]
async fn a_rule_that_closes_the_ticket_ends_the_walk() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let close = RuleOutcomes { status_id: CLOSED.to_owned(), ..Default::default() };
    let spam = desk.rule(at(1, rule("spam", vec![about("lottery")], close))).await;
    desk.rule(at(2, rule("late", vec![about("lottery")], tag("late")))).await;
    let logged = desk.log(one.ticket("You won the lottery")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["spam"]);
    assert!(logged.evaluation.unwrap().matches[0].stopped);
    let ticket = logged.ticket.unwrap();
    assert!(ticket.closed_time.is_some() && ticket.tags.is_empty());
    let applied = apply(&desk, &spam, &ticket).await;
    assert_eq!(refused(applied), because(Code::FailedPrecondition, "TICKET_CLOSED"));
}

#[tokio::test]
async fn one_rule_is_applied_when_somebody_asks_and_no_other() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let manual = Rule { applies_to: RuleAppliesTo::Manual.into(), ..rule("manual", vec![about("printer")], tag("m")) };
    let manual = desk.rule(manual).await;
    desk.rule(rule("always", vec![], tag("a"))).await;
    desk.rule(rule("on tags", vec![criterion("ticket.tags", Operator::HasValue, [])], tag("b"))).await;
    let other = desk.rule(rule("other", vec![about("screen")], tag("s"))).await;

    let applied = apply(&desk, &manual, &ticket).await.unwrap();
    assert_eq!(matched(&applied.evaluation), ["manual"]);
    assert!(!applied.evaluation.unwrap().evaluation_id.is_empty());
    let trace = applied.trace.unwrap();
    assert_eq!((trace.rule_id, trace.verdict, trace.changes.len()), (manual.clone(), RuleVerdict::Matched.into(), 1));
    let applied = applied.ticket.unwrap();
    assert_eq!(applied.tags, ["m"]);

    // The ticket was changed, so what was read before is stale.
    assert_eq!(refused(apply(&desk, &other, &ticket).await), because(Code::Aborted, "STALE_ETAG"));
    let same = apply(&desk, &other, &applied).await.unwrap();
    assert_eq!((matched(&same.evaluation), same.ticket.unwrap().tags), (Vec::new(), vec!["m".to_owned()]));
    assert_eq!(same.trace.unwrap().verdict(), RuleVerdict::NotMatched);

    let applied = Ticket { etag: String::new(), ..applied };
    let unknown = apply(&desk, &id(), &applied).await;
    assert_eq!(refused(unknown), because(Code::NotFound, "RECORD_NOT_FOUND"));
    let unknown = apply(&desk, &manual, &Ticket { id: id(), ..Default::default() }).await;
    assert_eq!(refused(unknown), because(Code::NotFound, "RECORD_NOT_FOUND"));
    let off = UpdateRuleRequest {
        rule: Some(Rule { id: manual.clone(), enabled: Some(false), ..Default::default() }),
        update_mask: mask(&["enabled"]),
        request_id: request_id(),
    };
    desk.rules().update_rule(off).await.unwrap();
    assert_eq!(refused(apply(&desk, &manual, &applied).await), because(Code::FailedPrecondition, "RULE_DISABLED"));
}

#[tokio::test]
async fn applying_twice_under_one_request_is_applying_once() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let manual = Rule { applies_to: RuleAppliesTo::Manual.into(), ..rule("manual", vec![], tag("m")) };
    let rule_id = desk.rule(manual).await;
    let ticket_id = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap().id;
    let request = ApplyRuleRequest { rule_id, ticket_id, etag: String::new(), request_id: request_id() };
    let first = desk.rules().apply_rule(request.clone()).await.unwrap().into_inner();
    assert_eq!(desk.rules().apply_rule(request).await.unwrap().into_inner(), first);
    let kept: i64 =
        sqlx::query_scalar("select count(*) from evaluations where cause = 3").fetch_one(&desk.pool()).await.unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn every_field_of_a_ticket_can_be_asked_for() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let is = |field: &str, kind: Kind| criterion(field, Operator::Is, [kind]);
    let criteria = vec![
        is("ticket.summary", text("printer")),
        criterion("ticket.details", Operator::HasNoValue, []),
        is("ticket.user", id_of(&one.user.id)),
        is("ticket.site", id_of(&one.site.id)),
        is("ticket.customer", id_of(&one.customer.id)),
        is("ticket.type", id_of(INCIDENT)),
        is("ticket.use", choice("SUPPORT")),
        is("ticket.status", id_of(NEW)),
        is("ticket.status_category", choice("NEW")),
        is("ticket.priority", id_of(LOW)),
        is("ticket.priority_rank", number(4)),
        is("ticket.impact", choice("HIGH")),
        criterion("ticket.urgency", Operator::HasNoValue, []),
        is("ticket.source", choice("AGENT")),
        criterion("ticket.number", Operator::HasValue, []),
        criterion("ticket.logged_time", Operator::HasValue, []),
        is("ticket.age_minutes", number(0)),
        criterion("action.text", Operator::HasNoValue, []),
        is("user.name", text("ann lee")),
        is("user.active", flag(true)),
        is("site.name", text("Berlin")),
        is("customer.name", text("EXAMPLE LTD")),
        is("customer.ai_excluded", flag(false)),
    ];
    desk.rule(Rule { criteria: Some(all(criteria)), ..rule("everything", vec![], tag("all")) }).await;
    let ticket = Ticket { priority_id: LOW.to_owned(), impact: TicketImpact::High.into(), ..one.ticket("Printer") };
    let logged = desk.log(ticket).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["everything"], "{:?}", logged.evaluation);
}

#[tokio::test]
async fn a_match_that_changes_nothing_is_told_and_no_match_is_not() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let manual = |rule: Rule| Rule { applies_to: RuleAppliesTo::Manual.into(), ..rule };
    let plain = desk.rule(manual(rule("plain", vec![about("printer")], RuleOutcomes::default()))).await;
    let there = desk.rule(manual(rule("there", vec![about("printer")], tag("mine")))).await;
    let other = desk.rule(manual(rule("other", vec![about("screen")], tag("s")))).await;
    let ticket = Ticket { tags: vec!["mine".to_owned()], ..one.ticket("Printer") };
    let ticket = desk.log(ticket).await.unwrap().ticket.unwrap();
    let any = Ticket { etag: String::new(), ..ticket.clone() };
    for rule_id in [&plain, &there] {
        let applied = apply(&desk, rule_id, &any).await.unwrap();
        assert!(applied.trace.unwrap().changes.is_empty());
    }
    assert!(matched(&apply(&desk, &other, &any).await.unwrap().evaluation).is_empty());
    let events = desk.events(3).await;
    for ((event_type, told), name) in events[1..].iter().zip(["plain", "there"]) {
        assert_eq!(event_type, "ticket.rules_matched");
        assert_eq!(told.kinds().collect::<Vec<_>>(), [TicketEventKind::RulesMatched]);
        assert_eq!((matched(&told.evaluation), told.changed_fields.len()), (vec![name.to_owned()], 0));
    }
}

#[tokio::test]
async fn decision_9_changing_importance_runs_no_rule_on_old_tickets() {
    let mut desk = Desk::with_directory().await;
    let important = |whose: &str| vec![criterion(whose, Operator::Is, [flag(true)])];
    let critical = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.rule(rule("user", important("user.important"), critical)).await;
    desk.rule(rule("customer", important("customer.important"), tag("vip"))).await;
    let one = desk.create_one().await;
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), Vec::<String>::new());
    let old = logged.ticket.unwrap();

    let user = UpdateUserRequest {
        user: Some(User { important: true, ..one.user.clone() }),
        update_mask: mask(&["important"]),
        request_id: request_id(),
    };
    UserServiceClient::new(desk.suite.admin("directory")).update_user(user).await.unwrap();
    let customer = UpdateCustomerRequest {
        customer: Some(Customer { important: true, ..one.customer.clone() }),
        update_mask: mask(&["important"]),
        request_id: request_id(),
    };
    CustomerServiceClient::new(desk.suite.admin("directory")).update_customer(customer).await.unwrap();
    desk.caught_up().await;

    // The rules match from now on, and nothing of theirs was done to the old ticket.
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["user", "customer"]);
    let new = logged.ticket.unwrap();
    assert_eq!((new.priority_id.as_str(), &new.tags[..]), (CRITICAL, &["vip".to_owned()][..]));
    assert_eq!(desk.get(&old.id).await, old);
    let evaluations: i64 = sqlx::query_scalar("select count(*) from evaluations where ticket_id = $1::uuid")
        .bind(&old.id)
        .fetch_one(&desk.pool())
        .await
        .unwrap();
    assert_eq!(evaluations, 1);
    let told: Vec<String> = desk.events(2).await.into_iter().map(|(_, event)| event.ticket.unwrap().id).collect();
    assert_eq!(told, [old.id, new.id]);
}

#[tokio::test]
async fn a_rule_that_does_not_match_leaves_the_ticket_as_it_is_though_somebody_became_important() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    desk.heard(&User { important: true, etag: "2".to_owned(), ..one.user.clone() }).await;
    let other = desk.rule(rule("other", vec![about("screen")], tag("s"))).await;
    assert_eq!(apply(&desk, &other, &ticket).await.unwrap().ticket.unwrap(), ticket);
    assert_eq!(desk.get(&ticket.id).await, ticket);
    desk.events(1).await;
}

#[tokio::test]
async fn rules_add_tags_as_long_as_there_is_a_place_and_tell_no_others() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let tags = |range: std::ops::Range<i32>| range.map(|n| format!("t{n}")).collect::<Vec<_>>();
    let adding = |tags| RuleOutcomes { add_tags: tags, ..Default::default() };
    desk.rule(at(1, rule("first", vec![], adding(tags(45..52))))).await;
    desk.rule(at(2, rule("second", vec![], adding(vec!["t0".to_owned(), "more".to_owned()])))).await;
    let on_more = criterion("ticket.tags", Operator::Includes, [text("more")]);
    desk.rule(at(3, rule("third", vec![on_more], RuleOutcomes { priority_id: LOW.to_owned(), ..Default::default() })))
        .await;
    let logged = desk.log(Ticket { tags: tags(0..45), ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(logged.ticket.as_ref().unwrap().tags, tags(0..50));
    // What was not added was not seen either.
    assert_eq!(matched(&logged.evaluation), ["first", "second"]);
    let changes = logged.evaluation.unwrap().matches.into_iter().map(|m| m.changes).collect::<Vec<_>>();
    assert_eq!((changes[0].len(), changes[0][0].to.len(), changes[1].len()), (1, 50, 0));
}

#[tokio::test]
async fn a_team_or_an_agent_that_is_gone_is_given_to_no_ticket() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let (night, day) = (team("Night"), team("Day"));
    let agent = Agent { id: id(), name: "Bo".to_owned(), active: Some(true), etag: "1".into(), ..Default::default() };
    for each in [&night, &day] {
        desk.heard(each).await;
    }
    desk.heard(&agent).await;
    let to = |team: &str| RuleOutcomes { team_id: team.to_owned(), agent_id: agent.id.clone(), ..tag("x") };
    desk.rule(at(1, rule("day", vec![], RuleOutcomes { team_id: day.id.clone(), ..Default::default() }))).await;
    desk.rule(at(2, rule("night", vec![], to(&night.id)))).await;
    let there = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    assert_eq!((&there.team_id, &there.agent_id), (&night.id, &agent.id));

    let gone = prost_types::Timestamp { seconds: 1, nanos: 0 };
    desk.heard(&Team { delete_time: Some(gone), etag: "2".to_owned(), ..night }).await;
    desk.heard(&Agent { active: Some(false), etag: "2".to_owned(), ..agent.clone() }).await;
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    let ticket = logged.ticket.unwrap();
    assert_eq!((&ticket.team_id, ticket.agent_id.as_str(), &ticket.tags[..]), (&day.id, "", &["x".to_owned()][..]));
    let names = |changes: &[FieldChange]| changes.iter().map(|c| c.field.clone()).collect::<Vec<_>>();
    assert_eq!(names(&logged.evaluation.unwrap().matches[1].changes), ["ticket.tags"]);
    let tried = evaluate(&desk, TicketDraft { user_id: one.user.id.clone(), ..draft("Printer") }).await;
    assert_eq!((&tried.ticket.unwrap().team_id, names(&tried.traces[1].changes).len()), (&day.id, 1));

    // The explanation tells what was done then, also when they are back.
    desk.heard(&Agent { active: Some(true), etag: "3".to_owned(), ..agent }).await;
    let request = ExplainTicketRequest { ticket_id: ticket.id, ..Default::default() };
    let explained = desk.rules().explain_ticket(request).await.unwrap().into_inner();
    assert_eq!(names(&explained.traces[1].changes), ["ticket.tags"]);
}
