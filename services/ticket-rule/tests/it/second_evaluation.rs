//! Second evaluations: made once directory is back, on the same ticket and rules, with fresh facts.

use concierge_directory::Directory;
use concierge_proto::common::Operator;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::directory::User;
use concierge_proto::event::TicketEventKind;
use concierge_proto::ticket_rule::{
    EvaluationCause, ExplainTicketRequest, ExplainTicketResponse, Rule, RuleOutcomes, Ticket, UpdateRuleRequest,
};
use concierge_testkit::{Suite, request_id};
use concierge_ticket_rule::TicketRule;
use prost_types::FieldMask;

use crate::desk::*;

/// Directory knows of somebody and is away; ticket-rule runs and has heard of nobody.
async fn away() -> (Desk, Requester) {
    let mut suite = Suite::new();
    suite.start::<Directory>().await;
    let mut desk = Desk { suite };
    let one = desk.create_with(|user| user.important = true).await;
    desk.suite.kill("directory");
    desk.suite.start::<TicketRule>().await;
    (desk, one)
}

/// Lets ticket-rule have heard of them as they are, but for the user's importance.
async fn misheard(desk: &mut Desk, one: &Requester, important: bool) {
    desk.heard(&one.customer).await;
    desk.heard(&one.site).await;
    desk.heard(&User { important, ..one.user.clone() }).await;
}

async fn explain(desk: &Desk, ticket_id: &str) -> ExplainTicketResponse {
    let request = ExplainTicketRequest { ticket_id: ticket_id.to_owned(), ..Default::default() };
    desk.rules().explain_ticket(request).await.unwrap().into_inner()
}

/// Waits until no second evaluation waits any more.
async fn all_made(desk: &mut Desk) {
    let pool = desk.pool();
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar("select count(*) from second_evaluations where done_time is null")
            .fetch_one(&pool)
            .await
            .unwrap();
        if waiting == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("second evaluations still wait");
}

fn on_importance(name: &str, important: bool, outcomes: RuleOutcomes) -> Rule {
    rule_on(name, "user.important", Operator::Is, Some(Kind::Flag(important)), outcomes)
}

fn priority(id: &str) -> RuleOutcomes {
    RuleOutcomes { priority_id: id.to_owned(), ..Default::default() }
}

fn tag(tag: &str) -> RuleOutcomes {
    RuleOutcomes { add_tags: vec![tag.to_owned()], ..Default::default() }
}

#[tokio::test]
async fn what_was_undecided_is_decided_once_directory_is_back() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    desk.rule(rule_on("Everybody", "ticket.user", Operator::HasValue, None, tag("seen"))).await;
    let logged = desk.log(one.ticket("Printer")).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["Everybody"]);
    let first = logged.evaluation.unwrap();
    assert_eq!((first.stale, first.undecided_rules.len()), (true, 1));
    let ticket = logged.ticket.unwrap();
    assert_eq!((ticket.customer_id.as_str(), ticket.user_important), ("", None));

    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let corrected = desk.get(&ticket.id).await;
    assert_eq!(corrected.priority_id, CRITICAL);
    assert_eq!(corrected.tags, ["seen"]);
    assert_eq!((&corrected.site_id, &corrected.customer_id), (&one.site.id, &one.customer.id));
    assert_eq!((corrected.user_important, corrected.customer_important), (Some(true), Some(false)));

    let events = desk.events(2).await;
    let (event_type, again) = &events[1];
    assert_eq!(event_type, "ticket.updated");
    assert_eq!(again.kinds().collect::<Vec<_>>(), [TicketEventKind::Updated, TicketEventKind::Reevaluated]);
    // Who was told of "Everybody" is not told again.
    assert_eq!(matched(&again.evaluation), ["Important users"]);
    assert_eq!((again.actor_id.as_str(), again.version), ("ticket-rule", 2));

    let explained = explain(&desk, &ticket.id).await.evaluation.unwrap();
    assert_eq!(explained.cause(), EvaluationCause::Second);
    assert_eq!(explained.corrected_evaluation_id, first.evaluation_id);
    assert_eq!(explained.previous_evaluation_id, first.evaluation_id);
    assert!(!explained.stale);
    assert_eq!(explained.rule_set_revision, first.rule_set_revision);
}

#[tokio::test]
async fn what_was_done_on_stale_facts_is_taken_back() {
    let (mut desk, one) = away().await;
    misheard(&mut desk, &one, false).await;
    desk.rule(on_importance("The others", false, RuleOutcomes { add_tags: vec!["plain".to_owned()], ..priority(LOW) }))
        .await;
    desk.rule(on_importance("Important users", true, tag("vip"))).await;
    let logged = desk.log(Ticket { tags: vec!["mine".to_owned()], ..one.ticket("Printer") }).await.unwrap();
    assert_eq!(matched(&logged.evaluation), ["The others"]);
    let ticket = logged.ticket.unwrap();
    assert_eq!((ticket.priority_id.as_str(), ticket.tags.clone()), (LOW, vec!["mine".to_owned(), "plain".to_owned()]));

    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let corrected = desk.get(&ticket.id).await;
    assert_eq!((corrected.priority_id.as_str(), corrected.tags), ("", vec!["mine".to_owned(), "vip".to_owned()]));
    assert_eq!(corrected.user_important, Some(true));
}

#[tokio::test]
async fn what_somebody_wrote_since_stays() {
    let (mut desk, one) = away().await;
    misheard(&mut desk, &one, false).await;
    desk.rule(on_importance("The others", false, priority(LOW))).await;
    let to_open = RuleOutcomes { status_id: OPEN.to_owned(), ..priority(CRITICAL) };
    desk.rule(on_importance("Important users", true, to_open)).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    const HIGH: &str = "019b76da-a800-7000-8000-000000000202";
    let by_hand = Ticket { priority_id: HIGH.to_owned(), ..ticket.clone() };
    desk.update(by_hand, &["priority_id"]).await.unwrap();

    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let corrected = desk.get(&ticket.id).await;
    assert_eq!((corrected.priority_id.as_str(), corrected.status_id.as_str()), (HIGH, OPEN));
}

#[tokio::test]
async fn a_ticket_closed_meanwhile_stays_as_it_is() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let closed = desk.close(&ticket.id).await.unwrap();
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    assert_eq!(desk.get(&ticket.id).await, closed);
}

#[tokio::test]
async fn a_ticket_that_a_rule_closed_on_stale_facts_is_open_again() {
    let (mut desk, one) = away().await;
    misheard(&mut desk, &one, false).await;
    let close = RuleOutcomes { status_id: CLOSED.to_owned(), ..Default::default() };
    desk.rule(on_importance("The others", false, close)).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    assert!(ticket.closed_time.is_some());
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let corrected = desk.get(&ticket.id).await;
    assert_eq!((corrected.status_id.as_str(), corrected.closed_time, corrected.resolved_time), (NEW, None, None));
    let events = desk.events(2).await;
    assert!(events[1].1.kinds().any(|kind| kind == TicketEventKind::Reopened));
}

#[tokio::test]
async fn the_rules_are_those_of_the_first_evaluation() {
    let (mut desk, one) = away().await;
    let rule = desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    let disable = UpdateRuleRequest {
        rule: Some(Rule { id: rule, enabled: Some(false), ..Default::default() }),
        update_mask: Some(FieldMask { paths: vec!["enabled".to_owned()] }),
        request_id: request_id(),
    };
    desk.rules().update_rule(disable).await.unwrap();
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    assert_eq!(desk.get(&ticket.id).await.priority_id, CRITICAL);
}

#[tokio::test]
async fn several_of_one_ticket_are_made_in_their_order() {
    let (mut desk, one) = away().await;
    misheard(&mut desk, &one, false).await;
    let fire = Kind::Text("fire".to_owned());
    desk.rule(on_importance("The others", false, priority(LOW))).await;
    let mut on_fire = rule_on("Fire", "ticket.summary", Operator::Contains, Some(fire), priority(CRITICAL));
    let important = rule_on("", "user.important", Operator::Is, Some(Kind::Flag(true)), RuleOutcomes::default());
    let more = important.criteria.unwrap().criteria;
    on_fire.criteria.as_mut().unwrap().criteria.extend(more);
    desk.rule(on_fire).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    assert_eq!(ticket.priority_id, LOW);
    let fire = Ticket { summary: "Printer on fire".to_owned(), ..ticket };
    let updated = desk.update(fire, &["summary"]).await.unwrap();
    assert!(updated.evaluation.as_ref().unwrap().stale && matched(&updated.evaluation).is_empty());
    let ticket = updated.ticket.unwrap();

    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    // The first takes LOW back, the second sets CRITICAL after it.
    assert_eq!(desk.get(&ticket.id).await.priority_id, CRITICAL);
}

#[tokio::test]
async fn two_replicas_make_each_once() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    for number in 0..6 {
        desk.log(one.ticket(&format!("Printer {number}"))).await.unwrap();
    }
    let _replica = desk.suite.replica::<TicketRule>().await;
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let second: i64 = sqlx::query_scalar("select count(*) from evaluations where corrects is not null")
        .fetch_one(&desk.pool())
        .await
        .unwrap();
    assert_eq!(second, 6);
    assert_eq!(desk.events(12).await.len(), 12);
}

#[tokio::test]
async fn a_closed_ticket_logged_meanwhile_waits_for_nothing_and_keeps_no_other_waiting() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    let closed = desk.log(Ticket { status_id: CLOSED.to_owned(), ..one.ticket("Lost key") }).await.unwrap();
    assert!(closed.evaluation.is_none());
    // As an earlier version left it behind.
    sqlx::query(
        "insert into second_evaluations (evaluation_id, ticket_id, ticket_version, create_time)
         values (gen_random_uuid(), $1::uuid, 1, '2020-01-01')",
    )
    .bind(closed.ticket.unwrap().id)
    .execute(&desk.pool())
    .await
    .unwrap();
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    assert_eq!(desk.get(&ticket.id).await.priority_id, CRITICAL);
    let known: i64 =
        sqlx::query_scalar("select count(*) from second_evaluations").fetch_one(&desk.pool()).await.unwrap();
    assert_eq!(known, 2, "the closed one was never waited for");
}

#[tokio::test]
async fn one_that_fails_keeps_no_other_ticket_waiting() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    let broken = desk.log(one.ticket("Lost key")).await.unwrap().ticket.unwrap();
    sqlx::query("update evaluations set ticket = '\\xff' where ticket_id = $1::uuid")
        .bind(&broken.id)
        .execute(&desk.pool())
        .await
        .unwrap();
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    desk.suite.restart::<Directory>().await;
    for _ in 0..400 {
        if desk.get(&ticket.id).await.priority_id == CRITICAL {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the second ticket waits for the first");
}

#[tokio::test]
async fn what_the_second_evaluation_of_the_logging_corrected_stays_after_that_of_an_update() {
    let (mut desk, one) = away().await;
    misheard(&mut desk, &one, false).await;
    desk.rule(on_importance("The others", false, RuleOutcomes { add_tags: vec!["plain".to_owned()], ..priority(LOW) }))
        .await;
    desk.rule(on_importance(
        "Important users",
        true,
        RuleOutcomes { add_tags: vec!["vip".into()], ..priority(CRITICAL) },
    ))
    .await;
    let fire = Some(Kind::Text("fire".to_owned()));
    desk.rule(rule_on("Fire", "ticket.summary", Operator::Contains, fire, tag("fire"))).await;
    let ticket = desk.log(one.ticket("Printer")).await.unwrap().ticket.unwrap();
    assert_eq!((ticket.priority_id.as_str(), ticket.tags.clone()), (LOW, vec!["plain".to_owned()]));
    let fire = Ticket { summary: "Printer on fire".to_owned(), ..ticket };
    let updated = desk.update(fire, &["summary"]).await.unwrap();
    assert_eq!(matched(&updated.evaluation), ["Fire"]);
    let ticket = updated.ticket.unwrap();

    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let corrected = desk.get(&ticket.id).await;
    assert_eq!(corrected.priority_id, CRITICAL);
    // The update wrote the tags after the logging, so these were left alone.
    assert_eq!(corrected.tags, ["plain", "fire"]);
}

#[tokio::test]
async fn what_was_made_again_is_forgotten_after_a_week() {
    let (mut desk, one) = away().await;
    desk.rule(on_importance("Important users", true, priority(CRITICAL))).await;
    for summary in ["Printer", "Screen"] {
        desk.log(one.ticket(summary)).await.unwrap();
    }
    desk.suite.restart::<Directory>().await;
    all_made(&mut desk).await;
    let pool = desk.pool();
    sqlx::query(
        "update second_evaluations set done_time = done_time - interval '8 days'
         where evaluation_id = (select evaluation_id from second_evaluations order by create_time limit 1)",
    )
    .execute(&pool)
    .await
    .unwrap();
    desk.suite.restart::<TicketRule>().await;
    let pool = desk.pool();
    for _ in 0..400 {
        let kept: i64 = sqlx::query_scalar("select count(*) from second_evaluations").fetch_one(&pool).await.unwrap();
        if kept == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("what was made again is kept");
}
