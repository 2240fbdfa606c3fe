//! What lint found, as the contract tells it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use concierge_criteria::lint::{Finding, FindingKind, Question, Undecided, When, Why, Witness};
use concierge_criteria::{Fact, FieldId};
use concierge_model::criteria;
use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::{CriteriaGroup, CriterionValue};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{
    Rule, RuleFinding, RuleFindingKind, RuleFindingRule, RuleFindingSeverity, RuleMatch, RuleOccasion,
    RuleUndecidedReason, RuleWitness, RuleWitnessField,
};
use uuid::Uuid;

use super::model::MadeUp;
use super::world::Tickets;
use crate::evaluation::{self, Input, Occasion, RuleSet, evaluate};

/// So many rules that matched a made-up ticket are told.
const MOST_MATCHES: usize = 50;

/// A finding about a rule, to be filled in.
pub(super) fn finding(rule: &Rule, kind: RuleFindingKind, severity: RuleFindingSeverity) -> RuleFinding {
    RuleFinding {
        kind: kind.into(),
        severity: severity.into(),
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        precedence: rule.precedence(),
        ..RuleFinding::default()
    }
}

/// What could not be decided about a rule, to be filled in.
pub(super) fn undecided(rule: &Rule, kind: RuleFindingKind, reason: RuleUndecidedReason) -> RuleFinding {
    RuleFinding {
        undecided_kind: kind.into(),
        undecided_reason: reason.into(),
        ..finding(rule, RuleFindingKind::Undecided, RuleFindingSeverity::Note)
    }
}

/// Tells what was found about the rules of a set.
pub(super) struct Teller<'a> {
    pub(super) set: &'a RuleSet,
    pub(super) tickets: &'a Tickets<'a>,
    pub(super) now: DateTime<Utc>,
}

impl Teller<'_> {
    /// A finding, whose made-up ticket is given to the rules once more, as a real one would be. If they do not show on it
    /// what they should, nobody knows.
    pub(super) fn told(&self, found: &Finding) -> Option<RuleFinding> {
        let rule = self.set.rule(found.rule)?;
        let witness = found.witness.as_ref().map(|witness| self.witness(witness));
        let matched = |id: Uuid| {
            let id = id.to_string();
            witness.as_ref().is_some_and(|told| told.matches.iter().any(|matched| matched.rule_id == id))
        };
        let paths = found.places.iter().map(|place| format!("rule.{place}")).collect();
        let parts: Vec<String> = found.places.iter().map(|place| part(rule, place)).collect();
        let mut told = match &found.kind {
            FindingKind::NeverMatches => {
                let mut told = finding(rule, RuleFindingKind::NeverMatches, RuleFindingSeverity::Error);
                told.description = match &*parts {
                    [only] => format!("No ticket meets {only} when rules look at it."),
                    several => format!("No ticket meets all of this at once: {}.", several.join("; ")),
                };
                told
            }
            FindingKind::NeverAsked => {
                let mut told = finding(rule, RuleFindingKind::NeverMatches, RuleFindingSeverity::Error);
                told.description =
                    "It runs only when a ticket changes, and it asks for nothing that a change can change.".to_owned();
                told
            }
            FindingKind::Shadowed { by, when, entirely } => {
                let severity = if *entirely { RuleFindingSeverity::Error } else { RuleFindingSeverity::Warning };
                let mut told = finding(rule, RuleFindingKind::Shadowed, severity);
                told.other_rules = by.iter().filter_map(|by| self.other(*by)).collect();
                told.occasions = when.iter().map(|when| occasion(*when).into()).collect();
                let names: Vec<String> =
                    told.other_rules.iter().map(|other| format!("{:?}", other.rule_name)).collect();
                let times: Vec<&str> = when.iter().map(|when| at(*when)).collect();
                told.description = format!(
                    "Whenever it would match {}, {} matches before it and ends the walk.",
                    times.join(" and "),
                    names.join(" or ")
                );
                if witness.is_some() && !by.iter().any(|by| matched(*by)) {
                    return Some(doubt(rule, RuleFindingKind::Shadowed, told));
                }
                told
            }
            FindingKind::Conflict { with, field } => {
                let mut told = finding(rule, RuleFindingKind::Conflict, RuleFindingSeverity::Warning);
                told.field = self.field_name(*field);
                told.other_rules = self.other(*with).into_iter().collect();
                let other = told.other_rules.first().map(|other| other.rule_name.clone()).unwrap_or_default();
                told.description = format!(
                    "A ticket can match it and {other:?}, which has the same precedence and sets {} differently: {other:?} wins, as it was created later.",
                    told.field
                );
                if !matched(found.rule) || !matched(*with) {
                    return Some(doubt(rule, RuleFindingKind::Conflict, told));
                }
                told
            }
            FindingKind::AlwaysTrue => {
                let mut told = finding(rule, RuleFindingKind::AlwaysTrue, RuleFindingSeverity::Warning);
                told.description = format!("Every ticket for which it is known meets {}.", parts.join("; "));
                told
            }
        };
        told.paths = paths;
        told.witness = witness;
        Some(told)
    }

    /// A question that was left open.
    pub(super) fn open(&self, open: &Undecided) -> Option<RuleFinding> {
        let rule = self.set.rule(open.rule)?;
        let other = open.other.and_then(|other| self.other(other));
        let by = other.as_ref().map(|other| format!(" {:?}", other.rule_name)).unwrap_or_default();
        let (kind, what) = match open.question {
            Question::Match => (RuleFindingKind::NeverMatches, "whether it ever matches".to_owned()),
            Question::Shadow => (RuleFindingKind::Shadowed, format!("whether{by} always ends the walk before it")),
            Question::Conflict => (RuleFindingKind::Conflict, format!("whether it conflicts with{by}")),
            Question::Always => {
                let part = open.place.as_deref().map(|place| part(rule, place)).unwrap_or_default();
                (RuleFindingKind::AlwaysTrue, format!("whether every ticket meets {part}"))
            }
        };
        let (reason, why) = match open.why {
            Why::TooLong => (RuleUndecidedReason::TooLong, "looking further would take too long"),
            Why::NoValue => {
                (RuleUndecidedReason::NoTicketFound, "no ticket was found that shows it, nor that there is none")
            }
            Why::Chained => (RuleUndecidedReason::Chained, "rules before it may set what it asks for"),
        };
        let mut told = undecided(rule, kind, reason);
        told.description = format!("It is not known {what}: {why}.");
        told.other_rules = other.into_iter().collect();
        told.paths = open.place.iter().map(|place| format!("rule.{place}")).collect();
        Some(told)
    }

    fn field_name(&self, field: FieldId) -> String {
        let field = self.set.configuration().fields().schema().get(field);
        field.map(|field| field.name.to_string()).unwrap_or_default()
    }

    fn other(&self, id: Uuid) -> Option<RuleFindingRule> {
        let rule = self.set.rule(id)?;
        let (rule_id, rule_name) = (rule.id.clone(), rule.name.clone());
        Some(RuleFindingRule { rule_id, rule_name, precedence: rule.precedence() })
    }

    /// A made-up ticket, and what the rules do to it.
    fn witness(&self, witness: &Witness) -> RuleWitness {
        let MadeUp { ticket, action, facts } = self.tickets.made_up(&witness.record, witness.when);
        let asked = match &witness.occasion {
            concierge_criteria::Occasion::New => Occasion::Logged,
            concierge_criteria::Occasion::Existing { changed } => {
                Occasion::Updated { changed: evaluation::names(self.set, changed) }
            }
            concierge_criteria::Occasion::Manual { rules } => Occasion::Asked { rules: rules.clone() },
        };
        let changed_fields = match &asked {
            Occasion::Updated { changed } => changed.clone(),
            _ => Vec::new(),
        };
        let input = Input {
            ticket: &ticket,
            before: None,
            action: action.as_ref(),
            facts: Some(&facts),
            occasion: asked,
            now: self.now,
            withheld: BTreeSet::new(),
        };
        let mut matches: Vec<RuleMatch> = evaluate(self.set, &input).matches;
        matches.truncate(MOST_MATCHES);
        let field = |field: FieldId| {
            let fact = witness.record.get(field);
            let values = if let Fact::Known(value) = fact { criteria::values(value) } else { Vec::new() };
            RuleWitnessField { field: self.field_name(field), values, unknown: *fact == Fact::Unknown }
        };
        RuleWitness {
            fields: witness.asked.iter().map(field).collect(),
            occasion: occasion(witness.when).into(),
            changed_fields,
            time: Some(timestamp(self.now)),
            matches,
            ticket: Some(ticket),
            action,
        }
    }
}

/// A finding that the rules did not confirm.
fn doubt(rule: &Rule, kind: RuleFindingKind, told: RuleFinding) -> RuleFinding {
    let mut open = undecided(rule, kind, RuleUndecidedReason::NoTicketFound);
    open.description = format!("It is not known whether this is so: {}", told.description);
    open.other_rules = told.other_rules;
    open
}

fn occasion(when: When) -> RuleOccasion {
    match when {
        When::New => RuleOccasion::Logged,
        When::Existing => RuleOccasion::Updated,
        When::Asked => RuleOccasion::Applied,
    }
}

fn at(when: When) -> &'static str {
    match when {
        When::New => "at logging",
        When::Existing => "on a change",
        When::Asked => "when asked for",
    }
}

/// What stands at a place of the rule's criteria, such as `criteria.groups[0].criteria[1]`, as people read it.
fn part(rule: &Rule, place: &str) -> String {
    let found = rule.criteria.as_ref().and_then(|top| text_at(top, place.split('.').skip(1)));
    found.unwrap_or_else(|| "its criteria".to_owned())
}

fn text_at<'a>(group: &CriteriaGroup, steps: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut group = group;
    for step in steps {
        let (list, number) = step.trim_end_matches(']').split_once('[')?;
        let number: usize = number.parse().ok()?;
        if list == "criteria" {
            return group.criteria.get(number).map(criterion_text);
        }
        group = group.groups.get(number)?;
    }
    Some(group_text(group))
}

fn group_text(group: &CriteriaGroup) -> String {
    let kind = group.kind().as_str_name().trim_start_matches("GROUP_KIND_").to_owned();
    let mut parts: Vec<String> = group.criteria.iter().map(criterion_text).collect();
    parts.extend(group.groups.iter().map(group_text));
    let more = parts.len().saturating_sub(3);
    parts.truncate(3);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{kind} of ({}{more})", parts.join("; "))
}

fn criterion_text(criterion: &concierge_proto::common::Criterion) -> String {
    let operator = criterion.operator().as_str_name().trim_start_matches("OPERATOR_").to_owned();
    let more = criterion.values.len().saturating_sub(3);
    let values: Vec<String> = criterion.values.iter().take(3).map(value_text).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {operator} {}{more}", criterion.field, values.join(", ")).trim_end().to_owned()
}

fn value_text(value: &CriterionValue) -> String {
    match &value.kind {
        Some(ValueKind::Flag(flag)) => flag.to_string(),
        Some(ValueKind::Id(text) | ValueKind::Choice(text)) => text.clone(),
        Some(ValueKind::Text(text)) => format!("{text:?}"),
        Some(ValueKind::Number(number)) => number.to_string(),
        Some(ValueKind::Time(time)) => {
            concierge_proto::record::datetime(time).map(|time| time.to_rfc3339()).unwrap_or_default()
        }
        None => String::new(),
    }
}
