//! The one function that decides what rules do to a ticket.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use concierge_criteria::{FieldSet, walk, walk_explained};
use concierge_proto::directory::RequesterFacts;
use concierge_proto::ticket_rule::{
    EvaluationSummary, Rule, RuleMatch, RuleTrace, Ticket, TicketAction, UndecidedRule,
};
use uuid::Uuid;

use super::record::{self, Seen};
use super::rule_set::RuleSet;
use super::trace;

/// What rules are asked about, and all they may know.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The ticket that they begin with: as asked for, defaults filled in.
    pub ticket: &'a Ticket,
    /// The action that is added, if this is about one.
    pub action: Option<&'a TicketAction>,
    /// What is known about the ticket's user, site and customer. A part that the ticket has and this lacks is unknown.
    pub facts: Option<&'a RequesterFacts>,
    /// Why they are asked.
    pub occasion: Occasion,
    /// The time that they see as now.
    pub now: DateTime<Utc>,
}

/// Why rules are asked, and so which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The ticket is logged.
    Logged,
    /// The ticket is changed, or an action is added; see [`changed`](super::changed).
    Updated {
        /// What the change did by itself.
        changed: FieldSet,
    },
    /// Somebody asks for these rules.
    Asked {
        /// The rules.
        rules: BTreeSet<Uuid>,
    },
}

/// What the rules did.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The ticket after them. Its due times and the times of its status are as before: these follow when all have run.
    pub ticket: Ticket,
    /// The rules that matched, in order.
    pub matches: Vec<RuleMatch>,
    /// The rules that something unknown left undecided.
    pub undecided: Vec<UndecidedRule>,
    /// The fields of the ticket that the rules changed, by the names of criteria, in the order of the contract's table.
    pub changed_fields: Vec<String>,
}

impl Evaluated {
    /// The same in short, as it comes with a change of a ticket. `evaluation_id` is empty for what is not stored.
    pub fn summary(&self, set: &RuleSet, evaluation_id: String, stale: bool) -> EvaluationSummary {
        EvaluationSummary {
            evaluation_id,
            matches: self.matches.clone(),
            undecided_rules: self.undecided.clone(),
            stale,
            rule_set_revision: set.revision(),
        }
    }
}

/// Runs the rules. Reads no clock and no database: the same input has the same outcome, for whoever logs a ticket,
/// tries a draft, explains or corrects.
pub fn evaluate(set: &RuleSet, input: &Input<'_>) -> Evaluated {
    run(set, input, None).0
}

/// Runs the rules as [`evaluate`] does, and tells for those that `wanted` selects what became of each and why. It is asked
/// once for every rule, in the order in which they run.
pub fn evaluate_explained(
    set: &RuleSet,
    input: &Input<'_>,
    mut wanted: impl FnMut(Uuid) -> bool,
) -> (Evaluated, Vec<RuleTrace>) {
    run(set, input, Some(&mut wanted))
}

fn run(set: &RuleSet, input: &Input<'_>, wanted: Option<&mut dyn FnMut(Uuid) -> bool>) -> (Evaluated, Vec<RuleTrace>) {
    let mut ticket = record::settled(set.configuration(), input.ticket);
    let seen = Seen { ticket: &ticket, action: input.action, facts: input.facts, now: input.now };
    let before = record::record(set.configuration(), &seen);
    let mut after = before.clone();
    let occasion = match &input.occasion {
        Occasion::Logged => concierge_criteria::Occasion::New,
        Occasion::Updated { changed } => concierge_criteria::Occasion::Existing { changed: changed.clone() },
        Occasion::Asked { rules } => concierge_criteria::Occasion::Manual { rules: rules.clone() },
    };
    let outcome = match wanted {
        None => walk(set.walked(), &mut after, &occasion),
        Some(wanted) => walk_explained(set.walked(), &mut after, &occasion, |rule| wanted(rule.id())),
    };

    remember_importance(&mut ticket, input.facts);
    let mut matches = Vec::with_capacity(outcome.matched.len());
    for matched in &outcome.matched {
        let Some(rule) = set.rule(matched.rule) else { continue };
        carry_out(set, rule, &mut ticket);
        matches.push(trace::told_match(rule, matched, outcome.stopped_by));
    }
    let undecided =
        outcome.undecided.iter().filter_map(|u| Some(trace::told_undecided(set.rule(u.rule)?, u))).collect();
    let changed_fields = record::names(&after.changed_since(&before));
    let traces = outcome.verdicts.iter().filter_map(|v| Some(trace::told_verdict(set.rule(v.rule)?, v))).collect();
    (Evaluated { ticket, matches, undecided, changed_fields }, traces)
}

/// Whether user and customer are important now; absent when nobody knows, and for a ticket without user.
fn remember_importance(ticket: &mut Ticket, facts: Option<&RequesterFacts>) {
    let user = facts.and_then(|facts| facts.user.as_ref()).filter(|_| !ticket.user_id.is_empty());
    let customer = facts.and_then(|facts| facts.customer.as_ref()).filter(|_| !ticket.customer_id.is_empty());
    ticket.user_important = user.and_then(|user| user.importance.as_ref()).map(|flag| flag.value);
    ticket.customer_important = customer.map(|customer| customer.important);
}

/// Puts the outcomes of a rule into the ticket, with what follows from them.
fn carry_out(set: &RuleSet, rule: &Rule, ticket: &mut Ticket) {
    let Some(outcomes) = &rule.outcomes else { return };
    let put = |field: &mut String, value: &String| {
        if !value.is_empty() {
            field.clone_from(value);
        }
    };
    put(&mut ticket.type_id, &outcomes.type_id);
    put(&mut ticket.status_id, &outcomes.status_id);
    put(&mut ticket.priority_id, &outcomes.priority_id);
    put(&mut ticket.sla_id, &outcomes.sla_id);
    put(&mut ticket.team_id, &outcomes.team_id);
    put(&mut ticket.agent_id, &outcomes.agent_id);
    for tag in &outcomes.add_tags {
        if !ticket.tags.contains(tag) {
            ticket.tags.push(tag.clone());
        }
    }
    if !outcomes.type_id.is_empty() {
        ticket.set_use(set.configuration().ticket_use(&outcomes.type_id));
    }
    if !outcomes.status_id.is_empty() {
        ticket.set_status_category(set.configuration().category(&outcomes.status_id));
    }
}
