//! Rules on what an update changed: CHANGED, CHANGED_FROM, CHANGED_TO, and how they are explained.

use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::ticket_rule::{
    DeleteRuleRequest, ExplainTicketRequest, Rule, RuleOutcomes, RuleTrace, RuleVerdict, Ticket, Truth,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{CRITICAL, Desk, LOW, fields, matched};
use crate::support::{about, because, criterion, id_of, refused, rule, tag, text};

async fn explain(desk: &Desk, ticket_id: &str) -> Vec<RuleTrace> {
    let request = ExplainTicketRequest { ticket_id: ticket_id.to_owned(), ..Default::default() };
    desk.rules().explain_ticket(request).await.unwrap().into_inner().traces
}

fn changed(field: &str, operator: Operator, value: Option<Kind>) -> Vec<concierge_proto::common::Criterion> {
    vec![criterion(field, operator, value)]
}

#[tokio::test]
async fn what_an_update_changed_from_what_to_what_decides_and_is_explained_for_ever() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let raise = RuleOutcomes { priority_id: CRITICAL.to_owned(), ..Default::default() };
    desk.rule(rule("raise", vec![about("fire")], raise)).await;
    let low = changed("ticket.priority", Operator::ChangedFrom, Some(id_of(LOW)));
    let was_low = desk.rule(rule("was low", low, tag("was-low"))).await;
    let critical = changed("ticket.priority", Operator::ChangedTo, Some(id_of(CRITICAL)));
    desk.rule(rule("is critical", critical, tag("is-critical"))).await;
    desk.rule(rule("said", changed("action.text", Operator::Changed, None), tag("said"))).await;

    let logged = desk.log(Ticket { priority_id: LOW.to_owned(), ..one.ticket("Smoke") }).await.unwrap();
    assert!(matched(&logged.evaluation).is_empty());
    let ticket = logged.ticket.unwrap();
    let renamed = Ticket { summary: "Smoke again".to_owned(), etag: String::new(), ..ticket.clone() };
    assert!(matched(&desk.update(renamed, &["summary"]).await.unwrap().evaluation).is_empty());

    // A rule changes it, and later rules see from what to what.
    let renamed = Ticket { summary: "Fire".to_owned(), etag: String::new(), ..ticket.clone() };
    let updated = desk.update(renamed, &["summary"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["raise", "was low", "is critical"]);

    // Explained from what was stored, though the rule is gone.
    desk.rules()
        .delete_rule(DeleteRuleRequest { id: was_low, request_id: request_id(), ..Default::default() })
        .await
        .unwrap();
    let traces = explain(&desk, &ticket.id).await;
    let trace = traces.iter().find(|trace| trace.rule_name == "was low").unwrap();
    assert_eq!(trace.verdict(), RuleVerdict::Matched);
    let [seen] = &trace.criteria[..] else { panic!("one criterion") };
    let ids = |values: &[concierge_proto::common::CriterionValue]| -> Vec<Kind> {
        values.iter().filter_map(|value| value.kind.clone()).collect()
    };
    assert_eq!((ids(&seen.was), ids(&seen.seen)), (vec![id_of(LOW)], vec![id_of(CRITICAL)]));
    assert!(seen.decisive);

    // An evaluation that a binary stored which did not keep the ticket before: what changed is not known.
    let pool = desk.pool();
    sqlx::query("update evaluations set before = null").execute(&pool).await.unwrap();
    let traces = explain(&desk, &ticket.id).await;
    let truth = |name: &str| {
        let trace = traces.iter().find(|trace| trace.rule_name == name).unwrap();
        (trace.verdict(), trace.criteria.first().map(|criterion| criterion.truth()))
    };
    // The priority was no part of the update itself: it was what it was, until a rule changed it.
    assert_eq!(truth("was low"), (RuleVerdict::Matched, Some(Truth::Holds)));
    assert_eq!(truth("said").0, RuleVerdict::NotConsidered);
}

#[tokio::test]
async fn of_what_nobody_keeps_no_rule_may_ask_what_it_was() {
    let desk = Desk::alone().await;
    let asked = |field: &str| -> Rule { rule("asks", changed(field, Operator::Changed, None), tag("a")) };
    let refusal = desk.try_rule(asked("user.important")).await.unwrap_err();
    assert_eq!(fields(&refusal), ["rule.criteria.criteria[0].operator"]);
    assert_eq!(refused::<()>(Err(refusal)), because(Code::InvalidArgument, "CRITERIA_INVALID"));
    desk.try_rule(asked("ticket.user")).await.unwrap();
    // One value, as the table says.
    let without = rule("from", changed("ticket.summary", Operator::ChangedFrom, None), tag("a"));
    assert_eq!(refused(desk.try_rule(without).await), because(Code::InvalidArgument, "CRITERIA_INVALID"));
}

#[tokio::test]
async fn a_rule_that_failed_names_the_fewest_criteria_that_made_it_fail() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    let words = |word: &str| criterion("ticket.summary", Operator::Contains, [text(word)]);
    let important = criterion("user.important", Operator::Is, [Kind::Flag(true)]);
    desk.rule(rule("all", vec![words("printer"), important, words("fire")], tag("a"))).await;
    let mut either = rule("either", vec![words("mail"), words("fire")], tag("b"));
    either.criteria.as_mut().unwrap().set_kind(concierge_proto::common::GroupKind::Any);
    desk.rule(either).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let decisive: Vec<Vec<bool>> = explain(&desk, &ticket.id)
        .await
        .iter()
        .map(|trace| trace.criteria.iter().map(|criterion| criterion.decisive).collect())
        .collect();
    assert_eq!(decisive, [vec![false, true, false], vec![true, true]]);
}
