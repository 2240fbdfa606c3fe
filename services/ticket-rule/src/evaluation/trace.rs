//! What became of rules, as the contract tells it.

use concierge_criteria::{
    Change, Fact, Match, NotConsidered, Schema, SeenCriterion, Trace, TraceNode, Undecided, Verdict,
};
use concierge_model::criteria;
use concierge_proto::common::{CriterionValue, FieldChange};
use concierge_proto::ticket_rule::{
    CriterionTrace, NotConsideredReason, Rule, RuleMatch, RuleTrace, RuleVerdict, Truth, UndecidedRule,
};
use uuid::Uuid;

use super::record::{name, names};

pub(super) fn told_match(schema: &Schema, rule: &Rule, matched: &Match, stopped_by: Option<Uuid>) -> RuleMatch {
    RuleMatch {
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        precedence: rule.precedence(),
        changes: told_changes(schema, &matched.changes),
        popup_html: popup(rule),
        stopped: stopped_by == Some(matched.rule),
    }
}

pub(super) fn told_undecided(schema: &Schema, rule: &Rule, undecided: &Undecided) -> UndecidedRule {
    UndecidedRule {
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        unknown_fields: names(schema, &undecided.facts),
    }
}

pub(super) fn told_verdict(schema: &Schema, rule: &Rule, verdict: &concierge_criteria::RuleVerdict) -> RuleTrace {
    let mut told = RuleTrace {
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        precedence: rule.precedence(),
        ..RuleTrace::default()
    };
    match &verdict.verdict {
        Verdict::Matched { changes, trace } => {
            told.set_verdict(RuleVerdict::Matched);
            told.criteria = told_trace(trace);
            told.changes = told_changes(schema, changes);
            told.popup_html = popup(rule);
        }
        Verdict::NotMatched { trace } => {
            told.set_verdict(RuleVerdict::NotMatched);
            told.criteria = told_trace(trace);
        }
        Verdict::Undecided { facts, trace } => {
            told.set_verdict(RuleVerdict::Undecided);
            told.criteria = told_trace(trace);
            told.unknown_fields = names(schema, facts);
        }
        Verdict::NotConsidered(reason) => {
            told.set_verdict(RuleVerdict::NotConsidered);
            told.set_not_considered_reason(match reason {
                NotConsidered::Disabled => NotConsideredReason::Disabled,
                NotConsidered::OtherUse => NotConsideredReason::OtherUse,
                NotConsidered::StoppedBy(_) => NotConsideredReason::Stopped,
                NotConsidered::NoChangedField => NotConsideredReason::NoChangedField,
            });
            if let NotConsidered::StoppedBy(rule) = reason {
                told.stopped_by_rule_id = rule.to_string();
            }
        }
    }
    told
}

/// The rule's popup; it was sanitised when the rule set was read.
fn popup(rule: &Rule) -> String {
    rule.outcomes.as_ref().map(|outcomes| outcomes.popup_html.clone()).unwrap_or_default()
}

pub(super) fn told_changes(schema: &Schema, changes: &[Change]) -> Vec<FieldChange> {
    changes
        .iter()
        .map(|change| FieldChange {
            field: name(schema, change.field),
            from: told_fact(&change.from),
            to: told_fact(&change.to),
        })
        .collect()
}

/// What was known of a field; nothing for what is empty or unknown.
fn told_fact(fact: &Fact) -> Vec<CriterionValue> {
    match fact {
        Fact::Known(value) => criteria::values(value),
        Fact::Empty | Fact::Unknown => Vec::new(),
    }
}

/// Every criterion with what it saw, those of a group before those of the groups in it.
fn told_trace(trace: &Trace) -> Vec<CriterionTrace> {
    let mut told = Vec::new();
    collect(trace, &trace.fewest_reasons(), &mut told);
    told
}

fn collect(trace: &Trace, reasons: &[&SeenCriterion], told: &mut Vec<CriterionTrace>) {
    match &trace.node {
        TraceNode::Criterion(seen) => told.push(CriterionTrace {
            path: seen.path.clone(),
            criterion: Some(criteria::criterion(seen)),
            truth: told_truth(trace.truth).into(),
            seen: told_fact(&seen.seen),
            decisive: reasons.iter().any(|reason| std::ptr::eq(*reason, seen)),
            was: seen.was.as_ref().map(told_fact).unwrap_or_default(),
        }),
        TraceNode::Group { items, .. } => items.iter().for_each(|item| collect(item, reasons, told)),
    }
}

fn told_truth(truth: concierge_criteria::Truth) -> Truth {
    match truth {
        concierge_criteria::Truth::True => Truth::Holds,
        concierge_criteria::Truth::False => Truth::Fails,
        concierge_criteria::Truth::Unknown => Truth::Unknown,
    }
}
