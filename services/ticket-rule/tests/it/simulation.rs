//! SimulateRules: what another set of rules would have done to past tickets.

use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{FieldChange, Operator};
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::{
    GetRuleRequest, Rule, RuleOutcomes, RuleReference, RuleSetChange, SimulateRulesRequest, SimulateRulesResponse,
    SimulatedRule, SimulationResult, Ticket,
};
use concierge_testkit::Who;
use tonic::Code;

use crate::desk::{CRITICAL, Desk, LOW, fields, id, reason};
use crate::support::{about, because, criterion, refused, rule, tag, text};

/// Every part of the answer.
async fn parts(desk: &Desk, request: SimulateRulesRequest) -> Result<Vec<SimulateRulesResponse>, tonic::Status> {
    let mut stream = desk.rules().simulate_rules(request).await?.into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await? {
        parts.push(part);
    }
    Ok(parts)
}

async fn simulate(desk: &Desk, change: RuleSetChange) -> (SimulateRulesResponse, SimulationResult) {
    let request = SimulateRulesRequest { change: Some(change), ..Default::default() };
    let last = parts(desk, request).await.unwrap().pop().unwrap();
    let result = last.result.clone().unwrap();
    (last, result)
}

async fn get(desk: &Desk, id: &str) -> Rule {
    desk.rules().get_rule(GetRuleRequest { id: id.to_owned() }).await.unwrap().into_inner().rule.unwrap()
}

fn counts<'a>(rules: &'a [SimulatedRule]) -> Vec<(&'a str, i64, i64, i64)> {
    let count = |r: &'a SimulatedRule| {
        (r.rule_name.as_str(), r.newly_matched_count, r.no_longer_matched_count, r.newly_undecided_count)
    };
    rules.iter().map(count).collect()
}

fn change_of(changes: &[FieldChange], field: &str) -> (Vec<Kind>, Vec<Kind>) {
    let change = changes.iter().find(|change| change.field == field).unwrap();
    let kinds =
        |values: &[concierge_proto::common::CriterionValue]| values.iter().filter_map(|v| v.kind.clone()).collect();
    (kinds(&change.from), kinds(&change.to))
}

#[tokio::test]
async fn tells_what_added_changed_disabled_removed_and_reordered_rules_would_have_done() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let priority = |id: &str| RuleOutcomes { priority_id: id.to_owned(), ..Default::default() };
    let low = desk.rule(rule("low", vec![about("printer")], priority(LOW))).await;
    let high = desk.rule(Rule { precedence: Some(60), ..rule("high", vec![about("fire")], priority(CRITICAL)) }).await;
    let mail = desk.rule(rule("mail", vec![about("mail")], tag("mail"))).await;
    let mut last = Ticket::default();
    for summary in ["Printer", "Printer on fire", "Mail", "Nothing"] {
        last = desk.log(one.ticket(summary)).await.unwrap().ticket.unwrap();
    }
    // An update is a past evaluation as well.
    desk.update(Ticket { summary: "Mail again".to_owned(), etag: String::new(), ..last.clone() }, &["summary"])
        .await
        .unwrap();

    let (last, nothing) = simulate(&desk, RuleSetChange::default()).await;
    assert_eq!((last.total_count, last.simulated_count, last.differing_count), (5, 5, 0));
    assert!(nothing.fields.is_empty() && nothing.rules.is_empty() && nothing.examples.is_empty());

    let added = rule("added", vec![criterion("user.important", Operator::Is, [Kind::Flag(false)])], tag("usual"));
    let (last, result) = simulate(&desk, RuleSetChange { rules: vec![added], ..Default::default() }).await;
    // The update changed nothing that the new rule asks for.
    assert_eq!((last.simulated_count, last.differing_count, result.differing_ticket_count), (5, 4, 4));
    assert_eq!(counts(&result.rules), [("added", 4, 0, 0)]);
    assert_eq!(result.rules[0].rule_id, "rules[0]");
    assert_eq!(result.fields.iter().map(|f| (f.field.as_str(), f.count)).collect::<Vec<_>>(), [("ticket.tags", 4)]);
    assert_eq!(result.examples.len(), 4);
    assert_eq!(result.examples[3].ticket_summary, "Printer");
    assert_eq!(change_of(&result.examples[3].changes, "ticket.tags"), (vec![], vec![text("usual")]));
    assert_eq!(result.examples[3].newly_matched_rule_ids, ["rules[0]"]);

    let wider = Rule { criteria: rule("", vec![about("i")], tag("")).criteria, ..get(&desk, &mail).await };
    let (_, result) = simulate(&desk, RuleSetChange { rules: vec![wider], ..Default::default() }).await;
    assert_eq!(counts(&result.rules), [("mail", 3, 0, 0)]);

    // A name stands for an id, as in a file.
    let stand_in = id();
    let named =
        RuleReference { id: stand_in.clone(), handle: Some(Handle::Name("Critical".to_owned())), ..Default::default() };
    let raise = rule("raise", vec![about("mail")], priority(&stand_in));
    let change = RuleSetChange { rules: vec![raise], references: vec![named.clone()], ..Default::default() };
    let (_, result) = simulate(&desk, change.clone()).await;
    assert_eq!(change_of(&result.examples[0].changes, "ticket.priority").1, [Kind::Id(CRITICAL.to_owned())]);
    let unknown = RuleReference { handle: Some(Handle::Name("Crytical".to_owned())), ..named };
    let request = SimulateRulesRequest {
        change: Some(RuleSetChange { references: vec![unknown], ..change }),
        ..Default::default()
    };
    let refusal = parts(&desk, request).await.unwrap_err();
    assert_eq!(fields(&refusal), ["change.rules[0].outcomes.priority_id"]);

    let disabled = RuleSetChange { disabled_rule_ids: vec![mail.clone()], ..Default::default() };
    let (_, result) = simulate(&desk, disabled).await;
    assert_eq!(counts(&result.rules), [("mail", 0, 2, 0)]);
    let removed = RuleSetChange { removed_rule_ids: vec![high.clone()], ..Default::default() };
    let (_, result) = simulate(&desk, removed).await;
    assert_eq!(counts(&result.rules), [("high", 0, 1, 0)]);
    assert_eq!(result.examples[0].no_longer_matched_rule_ids, [high.as_str()]);

    // Both match as before; the other one has the last word.
    let reordered = RuleSetChange { ordered_rule_ids: vec![high, low], ..Default::default() };
    let (_, result) = simulate(&desk, reordered).await;
    assert!(result.rules.is_empty());
    assert_eq!(result.examples.len(), 1);
    let (from, to) = change_of(&result.examples[0].changes, "ticket.priority");
    assert_eq!((from, to), (vec![Kind::Id(CRITICAL.to_owned())], vec![Kind::Id(LOW.to_owned())]));
}

#[tokio::test]
async fn a_filter_and_bounds_choose_and_a_fact_nobody_knew_is_told() {
    let desk = Desk::alone().await;
    let ticket =
        |summary: &str| Ticket { user_id: id(), ..Ticket { summary: summary.to_owned(), ..Default::default() } };
    for summary in ["Printer", "Mail", "Mail"] {
        desk.log(ticket(summary)).await.unwrap();
    }
    let important = criterion("user.important", Operator::Is, [Kind::Flag(true)]);
    let change = RuleSetChange { rules: vec![rule("vip", vec![important], tag("vip"))], ..Default::default() };
    let request = SimulateRulesRequest { change: Some(change), ..Default::default() };
    let last = |parts: Vec<SimulateRulesResponse>| parts.last().cloned().unwrap();

    let all = last(parts(&desk, request.clone()).await.unwrap());
    assert_eq!(counts(&all.result.unwrap().rules), [("vip", 0, 0, 3)]);
    let only = SimulateRulesRequest { filter: "summary = \"Mail\"".to_owned(), ..request.clone() };
    let some = last(parts(&desk, only).await.unwrap());
    assert_eq!((some.total_count, some.differing_count), (2, 2));
    let few = SimulateRulesRequest { max_evaluations: 1, max_examples: Some(0), ..request.clone() };
    let few = last(parts(&desk, few).await.unwrap());
    assert_eq!((few.total_count, few.simulated_count), (1, 1));
    assert!(few.result.unwrap().examples.is_empty());

    let wrong = SimulateRulesRequest { filter: "sumary = 1".to_owned(), ..request };
    assert_eq!(refused(parts(&desk, wrong).await), because(Code::InvalidArgument, "FILTER_INVALID"));
}

#[tokio::test]
async fn every_part_of_a_change_that_is_wrong_is_named() {
    let desk = Desk::alone().await;
    let known = desk.rule(rule("known", vec![], tag("a"))).await;
    let bad = vec![criterion("ticket.sumary", Operator::Is, [text("x")])];
    let status = RuleOutcomes { status_id: id(), ..Default::default() };
    let change = RuleSetChange {
        rules: vec![
            rule("fine", vec![about("x")], tag("b")),
            rule("bad", bad, tag("b")),
            rule("gone", vec![], status),
            Rule { id: id(), ..rule("unknown", vec![], tag("b")) },
            get(&desk, &known).await,
            get(&desk, &known).await,
        ],
        removed_rule_ids: vec![known, id()],
        ..Default::default()
    };
    let request = SimulateRulesRequest { change: Some(change), ..Default::default() };
    let refusal = parts(&desk, request).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal)), (Code::InvalidArgument, "CRITERIA_INVALID".to_owned()));
    assert_eq!(
        fields(&refusal),
        [
            "change.rules[1].criteria.criteria[0].field",
            "change.rules[2].outcomes.status_id",
            "change.rules[3].id",
            "change.rules[5].id",
            "change.removed_rule_ids[1]",
        ]
    );

    let who = Who::agent(uuid::Uuid::from_u128(7)).with_scope(&["rules.evaluate"]);
    let mut rules = RuleServiceClient::new(desk.suite.api("ticket-rule", &who));
    let request = SimulateRulesRequest { change: Some(RuleSetChange::default()), ..Default::default() };
    assert_eq!(rules.simulate_rules(request).await.unwrap_err().code(), Code::PermissionDenied);
}
