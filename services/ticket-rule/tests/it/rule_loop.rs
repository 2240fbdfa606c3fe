//! Rules that undo each other: what a rule changed starts no rule again, in this replica or in another one.

use std::time::Duration;

use concierge_proto::common::Operator;
use concierge_proto::ticket_rule::{EvaluationCause, ReapplyRulesRequest, Rule, RuleAppliesTo, RuleOutcomes, Ticket};
use concierge_testkit::request_id;
use concierge_ticket_rule::TicketRule;

use crate::desk::{CRITICAL, Desk, LOW, Requester, matched};
use crate::support::{criterion, id_of, rule};

/// Where the ticket has one priority, the rule gives it the other.
fn turns(name: &str, precedence: i32, from: &str, to: &str) -> Rule {
    let outcomes = RuleOutcomes { priority_id: to.to_owned(), ..Default::default() };
    Rule {
        precedence: Some(precedence),
        applies_to: RuleAppliesTo::Existing.into(),
        ..rule(name, vec![criterion("ticket.priority", Operator::Is, [id_of(from)])], outcomes)
    }
}

/// The causes of all evaluations, in their order, and how many events there are.
async fn happened(desk: &mut Desk) -> (Vec<i32>, i64) {
    let pool = desk.pool();
    let causes = sqlx::query_scalar("select cause from evaluations order by id").fetch_all(&pool).await.unwrap();
    let events = "select count(*) from outbox where subject like 'ticket/%'";
    (causes, sqlx::query_scalar(events).fetch_one(&pool).await.unwrap())
}

#[tokio::test]
async fn rules_that_undo_each_other_run_once_a_change() {
    let mut desk = Desk::alone().await;
    let _replica = desk.suite.replica::<TicketRule>().await;
    desk.rule(turns("Up", 1, LOW, CRITICAL)).await;
    desk.rule(turns("Down", 2, CRITICAL, LOW)).await;
    let logged = desk.log(Requester::new().ticket("loop")).await.unwrap().ticket.unwrap();
    let wanted = Ticket { id: logged.id.clone(), priority_id: LOW.to_owned(), ..Default::default() };
    let updated = desk.update(wanted, &["priority_id"]).await.unwrap();
    // Down sees what Up did; Up does not see what Down did.
    assert_eq!(matched(&updated.evaluation), ["Up", "Down"]);
    assert_eq!(updated.ticket.unwrap().priority_id, LOW);
    let request = ReapplyRulesRequest { request_id: request_id(), ..Default::default() };
    let mut parts = desk.rules().reapply_rules(request).await.unwrap().into_inner();
    while parts.message().await.unwrap().is_some() {}

    let causes = [EvaluationCause::Logged, EvaluationCause::Updated, EvaluationCause::Reapplied].map(i32::from);
    let then = happened(&mut desk).await;
    assert_eq!(then, (causes.to_vec(), 3));
    // Nothing comes of it later, whoever hears of it.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(happened(&mut desk).await, then);
}
