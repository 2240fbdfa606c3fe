use chrono::{TimeZone as _, Utc};
use concierge_criteria::{Fact, Operator, Truth, Value, eval};
use concierge_proto::common::{
    CriteriaGroup, Criterion, CriterionValue, GroupKind, Operator as ProtoOperator, criterion_value::Kind,
};
use concierge_proto::directory::{CustomerStage, RequesterFacts, UserFacts};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{Ticket, TicketSource};

use super::*;

const CONTRACT: &str = include_str!("../../../../proto/concierge/common/v1/criteria.proto");

fn input(ticket: &Ticket) -> Input<'_> {
    Input {
        ticket,
        priority_rank: None,
        action: None,
        facts: None,
        now: Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap(),
        event: None,
    }
}

fn group(criteria: Vec<Criterion>) -> CriteriaGroup {
    CriteriaGroup { kind: GroupKind::All.into(), criteria, groups: Vec::new() }
}

fn criterion_on(field: &str, operator: ProtoOperator, values: Vec<Kind>) -> Criterion {
    Criterion {
        field: field.to_owned(),
        operator: operator.into(),
        values: values.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect(),
        case_sensitive: false,
    }
}

#[test]
fn the_table_is_the_one_in_the_contract() {
    let written: Vec<(String, String)> = CONTRACT
        .lines()
        .filter_map(|line| line.strip_prefix("// | `"))
        .filter_map(|line| line.split_once("` | "))
        .map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap_or_default().to_owned()))
        .collect();
    let schema = notification_schema();
    let ours: Vec<(String, String)> =
        schema.fields().iter().map(|f| (f.name.to_string(), f.kind.name().to_owned())).collect();
    assert_eq!(ours, written);
    assert_eq!(describe(schema).len(), written.len());
    assert!(describe(rule_schema()).iter().all(|field| !field.name.starts_with("event.")));
}

#[test]
fn choices_are_the_names_of_the_contracts_enums() {
    let choices = |name: &str| {
        let field = describe(rule_schema()).into_iter().find(|f| f.name == name).unwrap();
        field.choices
    };
    let sources: Vec<String> = (1..=9)
        .map(|n| TicketSource::try_from(n).unwrap().as_str_name().trim_start_matches("TICKET_SOURCE_").to_owned())
        .collect();
    assert_eq!(choices("ticket.source"), sources);
    assert!(TicketSource::try_from(10).is_err());
    let stages: Vec<String> = (1..=2)
        .map(|n| CustomerStage::try_from(n).unwrap().as_str_name().trim_start_matches("CUSTOMER_STAGE_").to_owned())
        .collect();
    assert_eq!(choices("customer.stage"), stages);
}

#[test]
fn what_a_ticket_does_not_have_is_empty_and_what_nobody_told_is_unknown() {
    let schema = rule_schema();
    let without_user = Ticket { summary: "Printer".to_owned(), ..Default::default() };
    let filled = record(schema, &input(&without_user));
    let get = |record: &concierge_criteria::Record, name: &str| record.get(schema.field(name).unwrap()).clone();
    assert_eq!(get(&filled, "user.important"), Fact::Empty);
    assert_eq!(get(&filled, "ticket.number"), Fact::Empty);

    let with_user = Ticket { user_id: uuid::Uuid::from_u128(1).to_string(), ..without_user };
    let filled = record(schema, &input(&with_user));
    assert_eq!(get(&filled, "user.important"), Fact::Unknown);
    // Its site and customer would follow from the user.
    assert_eq!(get(&filled, "customer.important"), Fact::Unknown);
    assert_eq!(get(&filled, "ticket.site"), Fact::Unknown);
    assert_eq!(get(&filled, "ticket.customer"), Fact::Unknown);

    let facts = RequesterFacts { user: Some(UserFacts::default()), ..Default::default() };
    let filled = record(schema, &Input { facts: Some(&facts), ..input(&with_user) });
    assert_eq!(get(&filled, "user.name"), Fact::Empty);
    assert_eq!(get(&filled, "customer.important"), Fact::Empty);
    assert_eq!(get(&filled, "ticket.customer"), Fact::Empty);
}

#[test]
fn every_field_takes_the_value_it_is_given() {
    let now = Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap();
    let ticket = Ticket {
        number: 7,
        logged_time: Some(timestamp(now - chrono::TimeDelta::minutes(90))),
        tags: vec!["vpn".to_owned()],
        priority_id: uuid::Uuid::from_u128(2).to_string(),
        ..Default::default()
    };
    let event = EventInput {
        changed_fields: &["ticket.team".to_owned()],
        matched_rules: &[],
        actor_kind: concierge_proto::options::CallerKind::Agent,
        imported: true,
    };
    let schema = notification_schema();
    let filled = record(schema, &Input { event: Some(event), ..input(&ticket) });
    let get = |name: &str| filled.get(schema.field(name).unwrap()).clone();
    assert_eq!(get("ticket.age_minutes"), Fact::from(90));
    assert_eq!(get("ticket.priority_rank"), Fact::Unknown);
    assert_eq!(get("event.actor_kind"), Fact::from(Value::choice("AGENT")));
    assert_eq!(get("event.imported"), Fact::from(true));
    assert_eq!(get("event.matched_rules"), Fact::Empty);
}

#[test]
fn criteria_of_a_message_are_checked_and_evaluated() {
    let schema = rule_schema();
    let summary = criterion_on("ticket.summary", ProtoOperator::Contains, vec![Kind::Text("print".to_owned())]);
    let compiled = compile(schema, Some(&group(vec![summary])), "rule").unwrap();
    let ticket = Ticket { summary: "The Printer".to_owned(), ..Default::default() };
    assert_eq!(eval(&compiled, &record(schema, &input(&ticket))), Truth::True);
    let absent = compile(schema, None, "rule").unwrap();
    assert_eq!(eval(&absent, &record(schema, &input(&ticket))), Truth::True);
}

#[test]
fn every_problem_is_named_with_its_place() {
    let bad = group(vec![
        criterion_on("ticket.sumary", ProtoOperator::Is, vec![Kind::Text("x".to_owned())]),
        criterion_on("ticket.summary", ProtoOperator::Includes, vec![Kind::Text("x".to_owned())]),
    ]);
    let problems = compile(rule_schema(), Some(&bad), "rule").unwrap_err();
    let places: Vec<&str> = problems.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(places, ["rule.criteria.criteria[0].field", "rule.criteria.criteria[1].operator"]);

    let mut without = criterion_on("ticket.summary", ProtoOperator::Is, Vec::new());
    without.values.push(CriterionValue { kind: None });
    let problems = compile(rule_schema(), Some(&group(vec![without])), "rule").unwrap_err();
    let places: Vec<&str> = problems.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(places, ["rule.criteria.criteria[0].values[0]"]);
}

#[test]
fn what_a_field_was_is_asked_by_rules_of_the_ticket_only() {
    let ask = |schema, field: &str| {
        let asked = group(vec![criterion_on(field, ProtoOperator::Changed, Vec::new())]);
        compile(schema, Some(&asked), "record").map_err(|problems| problems.iter().next().map(|v| v.field.clone()))
    };
    let refused = Some("record.criteria.criteria[0].operator".to_owned());
    assert!(ask(rule_schema(), "ticket.team").is_ok() && ask(rule_schema(), "action.text").is_ok());
    assert_eq!(ask(rule_schema(), "customer.important").unwrap_err(), refused);
    assert_eq!(ask(notification_schema(), "ticket.team").unwrap_err(), refused);
}

#[test]
fn operators_and_values_keep_their_meaning_both_ways() {
    for each in Operator::ALL {
        assert_eq!(operator(each).as_str_name(), format!("OPERATOR_{}", each.name()));
    }
    for number in 1.. {
        let Ok(told) = ProtoOperator::try_from(number) else { break };
        assert!(Operator::ALL.into_iter().any(|each| operator(each) == told), "{}", told.as_str_name());
    }
    let time = Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap();
    for each in [Value::from(true), Value::from("x"), Value::from(5), Value::choice("LOW"), Value::from(time)] {
        let carried = values(&each);
        assert_eq!(carried.iter().map(|v| value(v).unwrap()).collect::<Vec<_>>(), [each]);
    }
}

#[test]
fn hours_of_a_calendar_are_for_rules_only() {
    let id = Kind::Id(uuid::Uuid::from_u128(1).to_string());
    let within = group(vec![criterion_on("ticket.logged_time", ProtoOperator::WithinHours, vec![id])]);
    assert!(compile(rule_schema(), Some(&within), "rule").is_ok());
    let refused = compile(notification_schema(), Some(&within), "definition").unwrap_err();
    let told: Vec<_> = refused.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(told, ["definition.criteria.criteria[0].operator"]);
}
