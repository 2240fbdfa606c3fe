//! A rule of the contract, made ready to run.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_criteria::{Action, AppliesTo, OutcomeDefinition, RuleDefinition, TextSet, Value, compile_rule};
use concierge_model::{criteria, custom_field};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{Rule, RuleAppliesTo, RuleOutcomes, StatusCategory};
use concierge_proto::{Record as _, Violations};
use uuid::Uuid;

use super::configuration::Configuration;
use crate::category::path;

/// Makes a rule ready to run, with what follows from its outcomes: the category of a status, the rank of a priority,
/// the use of a type, the parents of a category; and the end of the walk where it closes the ticket.
pub(crate) fn compile(configuration: &Configuration, rule: &Rule) -> Result<concierge_criteria::Rule, Violations> {
    let criteria = criteria::definition(configuration.fields().schema(), rule.criteria.as_ref(), Rule::TYPE)?;
    let outcomes = rule.outcomes.clone().unwrap_or_default();
    let closes = configuration.category(&outcomes.status_id) == StatusCategory::Closed;
    let definition = RuleDefinition {
        id: rule.id.parse().unwrap_or_default(),
        name: rule.name.clone(),
        enabled: rule.enabled(),
        applies_to: applies_to(rule.applies_to()),
        precedence: rule.precedence(),
        created: rule.create_time.as_ref().and_then(datetime).unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        stop_on_match: rule.stop_on_match || closes,
        criteria,
        outcomes: outcome_definitions(configuration, &outcomes),
    };
    compile_rule(configuration.fields().schema(), &definition).map_err(|problems| {
        let mut violations = Violations::default();
        for problem in problems {
            violations.add(format!("{}.{}", Rule::TYPE, problem.path), problem.kind.to_string());
        }
        violations
    })
}

fn applies_to(applies_to: RuleAppliesTo) -> AppliesTo {
    match applies_to {
        RuleAppliesTo::Unspecified | RuleAppliesTo::NewAndExisting => AppliesTo::NewAndExisting,
        RuleAppliesTo::New => AppliesTo::New,
        RuleAppliesTo::Existing => AppliesTo::Existing,
        RuleAppliesTo::Manual => AppliesTo::Manual,
    }
}

fn outcome_definitions(configuration: &Configuration, outcomes: &RuleOutcomes) -> Vec<OutcomeDefinition> {
    let mut made = Vec::new();
    let mut set = |field: &str, action: Action| made.push(OutcomeDefinition { field: field.to_owned(), action });
    let named = |id: &str| id.parse::<Uuid>().ok().map(|id| Action::Set(Value::Id(id)));
    if let Some(action) = named(&outcomes.type_id) {
        set("ticket.type", action);
        set(
            "ticket.use",
            Action::Set(choice(configuration.ticket_use(&outcomes.type_id).as_str_name(), "TICKET_TYPE_USE_")),
        );
    }
    if let Some(action) = named(&outcomes.status_id) {
        set("ticket.status", action);
        let category = configuration.category(&outcomes.status_id);
        if category != StatusCategory::Unspecified {
            set("ticket.status_category", Action::Set(choice(category.as_str_name(), "STATUS_CATEGORY_")));
        }
    }
    if let Some(action) = named(&outcomes.priority_id) {
        set("ticket.priority", action);
        if let Some(priority) = configuration.priority(&outcomes.priority_id) {
            set("ticket.priority_rank", Action::Set(Value::Number(i64::from(priority.rank()))));
        }
    }
    for (field, id) in
        [("ticket.sla", &outcomes.sla_id), ("ticket.team", &outcomes.team_id), ("ticket.agent", &outcomes.agent_id)]
    {
        if let Some(action) = named(id) {
            set(field, action);
        }
    }
    for (field, id) in path::CRITERIA.into_iter().zip(path::given(configuration, outcomes)) {
        if let Some(action) = named(&id) {
            set(field, action);
        }
    }
    for value in &outcomes.custom_fields {
        if let Some(wanted) = custom_field::criterion_value(value) {
            set(&custom_field::criterion("ticket", &value.key), Action::Set(wanted));
        }
    }
    if !outcomes.add_tags.is_empty() {
        let tags: TextSet = outcomes.add_tags.iter().map(|tag| Arc::from(tag.as_str())).collect();
        set("ticket.tags", Action::Add(Value::TextSet(tags)));
    }
    made
}

/// A value of an enum as criteria name it: without the enum's prefix.
fn choice(name: &str, prefix: &str) -> Value {
    Value::choice(name.strip_prefix(prefix).unwrap_or(name))
}
