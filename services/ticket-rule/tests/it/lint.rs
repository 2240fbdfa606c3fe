//! LintRules: each kind of finding with what shows it, no false ones, pages.

use chrono::TimeDelta;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{CriteriaGroup, GroupKind, Operator};
use concierge_proto::directory::Team;
use concierge_proto::ticket_rule::{
    LintRulesRequest, LintRulesResponse, Rule, RuleAppliesTo, RuleFinding, RuleFindingKind, RuleFindingSeverity,
    RuleOccasion, RuleOutcomes, RuleSetChange, RuleUndecidedReason,
};
use tonic::Code;

use crate::desk::{CLOSED, CRITICAL, Desk, INCIDENT, LOW, NEW, ON_HOLD, team};
use crate::support::{about, all, because, choice, criterion, id_of, number, refused, rule, tag, text};

async fn lint(desk: &Desk, request: LintRulesRequest) -> LintRulesResponse {
    desk.rules().lint_rules(request).await.unwrap().into_inner()
}

/// All findings of the first page.
async fn found(desk: &Desk) -> Vec<RuleFinding> {
    lint(desk, LintRulesRequest::default()).await.findings
}

/// A finding in short.
fn short(found: &RuleFinding) -> (RuleFindingKind, &str, Vec<&str>) {
    (found.kind(), &found.rule_name, found.paths.iter().map(String::as_str).collect())
}

fn priority(id: &str) -> RuleOutcomes {
    RuleOutcomes { priority_id: id.to_owned(), ..Default::default() }
}

fn at_logging(rule: Rule) -> Rule {
    Rule { applies_to: RuleAppliesTo::New.into(), ..rule }
}

#[tokio::test]
async fn rules_that_no_ticket_can_meet_name_what_contradicts() {
    let desk = Desk::alone().await;
    let status = |id: &str| criterion("ticket.status", Operator::Is, [id_of(id)]);
    let category = |name: &str| criterion("ticket.status_category", Operator::Is, [choice(name)]);
    let rank = criterion("ticket.priority_rank", Operator::Greater, [number(1)]);
    let minutes = criterion("ticket.age_minutes", Operator::GreaterOrEqual, [number(60)]);
    let nobody = criterion("ticket.user", Operator::HasNoValue, []);
    let important = criterion("user.important", Operator::Is, [Kind::Flag(true)]);
    let rules = [
        rule("closed", vec![category("CLOSED")], tag("a")),
        rule("also closed", vec![about("x"), status(CLOSED)], tag("a")),
        rule("of another category", vec![status(ON_HOLD), about("x"), category("NEW")], tag("a")),
        rule("of another rank", vec![criterion("ticket.priority", Operator::Is, [id_of(CRITICAL)]), rank], tag("a")),
        rule("nobody important", vec![important, nobody], tag("a")),
        at_logging(rule("old when new", vec![minutes.clone()], tag("a"))),
        Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule("old on a change", vec![minutes], tag("a")) },
        Rule { enabled: Some(false), ..rule("off", vec![category("CLOSED")], tag("a")) },
    ];
    for each in rules {
        desk.rule(each).await;
    }
    let found = found(&desk).await;
    let never = RuleFindingKind::NeverMatches;
    assert_eq!(
        found.iter().map(short).collect::<Vec<_>>(),
        [
            (never, "closed", vec!["rule.criteria.criteria[0]"]),
            (never, "also closed", vec!["rule.criteria.criteria[1]"]),
            (never, "of another category", vec!["rule.criteria.criteria[0]", "rule.criteria.criteria[2]"]),
            (never, "of another rank", vec!["rule.criteria.criteria[0]", "rule.criteria.criteria[1]"]),
            (never, "nobody important", vec!["rule.criteria.criteria[0]", "rule.criteria.criteria[1]"]),
            (never, "old when new", vec!["rule.criteria.criteria[0]"]),
            (never, "old on a change", vec!["rule.criteria"]),
        ]
    );
    assert!(found.iter().all(|it| it.severity() == RuleFindingSeverity::Error && it.witness.is_none()));
    assert!(found[0].description.contains("ticket.status_category IS CLOSED"), "{}", found[0].description);
}

#[tokio::test]
async fn shadows_conflicts_and_what_always_holds_come_with_a_ticket_that_shows_them() {
    let desk = Desk::alone().await;
    let open = criterion("ticket.status_category", Operator::IsNot, [choice("CLOSED")]);
    let vip = criterion("customer.important", Operator::Is, [Kind::Flag(true)]);
    desk.rule(Rule { stop_on_match: true, precedence: Some(1), ..rule("VIP", vec![vip.clone()], priority(CRITICAL)) })
        .await;
    desk.rule(at_logging(rule("VIP printers", vec![about("printer"), vip], tag("printer")))).await;
    let incident = criterion("ticket.type", Operator::Is, [id_of(INCIDENT)]);
    desk.rule(Rule { precedence: Some(60), ..rule("outages", vec![about("down"), open], priority(CRITICAL)) }).await;
    desk.rule(Rule { precedence: Some(60), ..rule("incidents", vec![incident], priority(LOW)) }).await;
    let found = found(&desk).await;
    assert_eq!(
        found.iter().map(short).collect::<Vec<_>>(),
        [
            (RuleFindingKind::Shadowed, "VIP printers", vec![]),
            (RuleFindingKind::Conflict, "outages", vec![]),
            (RuleFindingKind::AlwaysTrue, "outages", vec!["rule.criteria.criteria[1]"]),
        ]
    );

    let shadowed = found[0].witness.as_ref().unwrap();
    assert_eq!(
        (found[0].severity(), found[0].occasions.as_slice()),
        (RuleFindingSeverity::Error, &[RuleOccasion::Logged.into()][..])
    );
    assert_eq!(found[0].other_rules[0].rule_name, "VIP");
    assert_eq!(
        shadowed.matches.iter().map(|it| (it.rule_name.as_str(), it.stopped)).collect::<Vec<_>>(),
        [("VIP", true)]
    );
    assert!(shadowed.ticket.as_ref().unwrap().summary.contains("printer"));
    let seen: Vec<&str> = shadowed.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(seen, ["ticket.summary", "customer.important"]);

    let conflict = found[1].witness.as_ref().unwrap();
    assert_eq!((found[1].field.as_str(), found[1].other_rules[0].rule_name.as_str()), ("ticket.priority", "incidents"));
    assert_eq!(conflict.matches.iter().map(|it| it.rule_name.as_str()).collect::<Vec<_>>(), ["outages", "incidents"]);
}

#[tokio::test]
async fn names_what_is_gone_or_not_active() {
    let mut desk = Desk::alone().await;
    let (first, second) = (team("First line"), team("Second line"));
    desk.heard(&first).await;
    desk.heard(&second).await;
    let unheard = crate::desk::id();
    let of_team = |id: &str| criterion("ticket.team", Operator::Is, [id_of(id)]);
    let gives = RuleOutcomes { team_id: second.id.clone(), ..Default::default() };
    desk.rule(rule("names", vec![of_team(&first.id), about("x")], gives)).await;
    desk.rule(rule("unheard", vec![of_team(&unheard)], tag("x"))).await;
    desk.heard(&Team { active: Some(false), etag: "2".to_owned(), ..second.clone() }).await;
    let gone =
        Team { delete_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }), etag: "2".to_owned(), ..first };
    desk.heard(&gone).await;
    let found = found(&desk).await;
    let reference = RuleFindingKind::Reference;
    assert_eq!(
        found.iter().map(short).collect::<Vec<_>>(),
        [
            (reference, "names", vec!["rule.criteria.criteria[0].values[0]"]),
            (reference, "names", vec!["rule.outcomes.team_id"]),
            (RuleFindingKind::Undecided, "unheard", vec!["rule.criteria.criteria[0].values[0]"]),
        ]
    );
    let records: Vec<_> =
        found.iter().flat_map(|it| &it.record).map(|it| (it.record_name.as_str(), it.inactive)).collect();
    assert_eq!(records, [("First line", false), ("Second line", true)]);
    assert_eq!(found[1].severity(), RuleFindingSeverity::Error);
    assert_eq!((found[2].undecided_kind(), found[2].undecided_reason()), (reference, RuleUndecidedReason::Unheard));
}

#[tokio::test]
async fn rules_that_matched_nothing_of_late_are_told_once_they_are_old_enough() {
    let mut desk = Desk::alone().await;
    let one = desk.heard_of_one().await;
    desk.rule(rule("printers", vec![about("printer")], tag("printer"))).await;
    desk.rule(rule("screens", vec![about("screen")], tag("screen"))).await;
    let of_days = |unmatched_days| LintRulesRequest { unmatched_days, ..Default::default() };
    desk.log(one.ticket("My printer")).await.unwrap();
    assert_eq!(lint(&desk, of_days(1)).await.findings, [], "they are younger than a day");
    desk.suite.clock.advance(TimeDelta::days(2));
    let quiet = lint(&desk, of_days(1)).await;
    assert_eq!((quiet.findings, quiet.evaluation_count), (vec![], 0), "no ticket at all says nothing of rules");
    desk.log(one.ticket("My printer again")).await.unwrap();
    let told = lint(&desk, of_days(1)).await;
    assert_eq!(told.findings.iter().map(short).collect::<Vec<_>>(), [(RuleFindingKind::Unmatched, "screens", vec![])]);
    assert_eq!(told.evaluation_count, 1);
}

#[tokio::test]
async fn sound_rules_have_no_finding_and_pages_stay_with_their_rules() {
    let desk = Desk::alone().await;
    let new = criterion("ticket.status", Operator::Is, [id_of(NEW)]);
    let nested = CriteriaGroup {
        kind: GroupKind::Any.into(),
        criteria: vec![about("vpn"), criterion("ticket.summary", Operator::Matches, [text("^(INC|REQ)[0-9]+")])],
        groups: Vec::new(),
    };
    let nested = CriteriaGroup { groups: vec![nested], ..all(vec![new]) };
    desk.rule(Rule { criteria: Some(nested), ..rule("sound", vec![], tag("vpn")) }).await;
    let spoken = criterion("action.text", Operator::Contains, [text("urgent")]);
    desk.rule(Rule { applies_to: RuleAppliesTo::Existing.into(), ..rule("spoken", vec![spoken], priority(CRITICAL)) })
        .await;
    let member = criterion("user.roles", Operator::Includes, [id_of(&crate::desk::id())]);
    let asked = Rule { applies_to: RuleAppliesTo::Manual.into(), ..rule("asked", vec![member.clone()], tag("b")) };
    let told = lint(&desk, LintRulesRequest { kinds: vec![], ..Default::default() }).await;
    assert_eq!((told.findings, told.rule_count, told.skipped_pair_count), (vec![], 2, 0));
    desk.rule(asked).await;

    for name in ["one", "two", "three"] {
        let closed = criterion("ticket.status_category", Operator::Is, [choice("CLOSED")]);
        desk.rule(rule(name, vec![closed, member.clone()], tag("a"))).await;
    }
    let never =
        LintRulesRequest { kinds: vec![RuleFindingKind::NeverMatches.into()], page_size: 2, ..Default::default() };
    let first = lint(&desk, never.clone()).await;
    assert_eq!((first.findings.len(), first.finding_count), (2, 3));
    desk.rule(rule("later", vec![criterion("ticket.status_category", Operator::Is, [choice("CLOSED")])], tag("a")))
        .await;
    // Another one in between: this replica has forgotten the first.
    assert_eq!(lint(&desk, LintRulesRequest { page_size: 1, ..never.clone() }).await.finding_count, 4);
    let next = LintRulesRequest { page_token: first.next_page_token.clone(), ..never.clone() };
    let second = lint(&desk, next.clone()).await;
    assert_eq!(second.findings.iter().map(short).map(|it| it.1.to_owned()).collect::<Vec<_>>(), ["three"]);
    assert_eq!((second.rule_set_revision, second.next_page_token.as_str()), (first.rule_set_revision, ""));
    let other = desk.rules().lint_rules(LintRulesRequest { kinds: vec![], ..next }).await;
    assert_eq!(refused(other), because(Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test]
async fn a_change_is_looked_at_without_being_made() {
    let desk = Desk::alone().await;
    desk.rule(rule("sound", vec![about("vpn")], tag("vpn"))).await;
    let closed = criterion("ticket.status_category", Operator::Is, [choice("CLOSED")]);
    let added = rule("never", vec![closed], tag("a"));
    let with = |rule: Rule| LintRulesRequest {
        change: Some(RuleSetChange { rules: vec![rule], ..Default::default() }),
        ..Default::default()
    };
    let told = lint(&desk, with(added)).await;
    assert_eq!(
        told.findings.iter().map(|it| (it.kind(), it.rule_id.as_str())).collect::<Vec<_>>(),
        [(RuleFindingKind::NeverMatches, "rules[0]")]
    );
    assert_eq!(found(&desk).await, []);
    let wrong = rule("wrong", vec![criterion("ticket.sumary", Operator::Is, [text("x")])], tag("a"));
    let wrong = desk.rules().lint_rules(with(wrong)).await;
    assert_eq!(refused(wrong), because(Code::InvalidArgument, "CRITERIA_INVALID"));
}

#[tokio::test]
async fn one_lint_at_a_time() {
    let desk = Desk::alone().await;
    for number in 0..60 {
        let words = (0..6).map(|word| about(&format!("word {number} {word}"))).collect();
        desk.rule(rule(&format!("rule {number}"), words, priority(if number % 2 == 0 { LOW } else { CRITICAL }))).await;
    }
    let (mut one, mut other) = (desk.rules(), desk.rules());
    let different = LintRulesRequest { unmatched_days: 7, ..Default::default() };
    let (one, other) = tokio::join!(one.lint_rules(LintRulesRequest::default()), other.lint_rules(different.clone()));
    let refusals: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
    for refusal in refusals {
        assert_eq!(refused::<()>(Err(refusal)), because(Code::ResourceExhausted, "OVERLOADED"));
    }
    assert!(desk.rules().lint_rules(different).await.is_ok());
}
