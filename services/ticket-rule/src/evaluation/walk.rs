//! The one function that decides what rules do to a ticket.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use concierge_criteria::{Record, Scratch};
use concierge_model::custom_field;
use concierge_proto::directory::RequesterFacts;
use concierge_proto::ticket_rule::{
    EvaluationSummary, Rule, RuleMatch, RuleTrace, Ticket, TicketAction, UndecidedRule,
};
use uuid::Uuid;

use super::record::{self, Seen};
use super::rule_set::RuleSet;
use super::trace;
use crate::category::path;

/// So many tags a ticket has at most, as the contract says.
pub(crate) const MOST_TAGS: usize = 50;

thread_local! {
    /// The space that evaluations of one thread take in turn.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What rules are asked about, and all they may know.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The ticket that they begin with: as asked for, defaults filled in.
    pub ticket: &'a Ticket,
    /// The ticket before the update, if this is about one and it is known.
    pub before: Option<&'a Ticket>,
    /// The action that is added, if this is about one.
    pub action: Option<&'a TicketAction>,
    /// What is known about the ticket's user, site and customer. A part that the ticket has and this lacks is unknown.
    pub facts: Option<&'a RequesterFacts>,
    /// Why they are asked.
    pub occasion: Occasion,
    /// The time that they see as now.
    pub now: DateTime<Utc>,
    /// Teams and agents that are known to be deleted or not active: rules give them to no ticket. Those suffice that
    /// the rules would give; see `given`.
    pub withheld: BTreeSet<Uuid>,
}

/// Why rules are asked, and so which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The ticket is logged.
    Logged,
    /// The ticket is changed, or an action is added; see [`changed`](super::changed).
    Updated {
        /// What the change did by itself, by the names of criteria.
        changed: Vec<String>,
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
    /// What the rules that matched gave, whether or not it was there already.
    pub gave: Gave,
}

/// What rules gave to a ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gave {
    /// The fields of the ticket that they set, by their names in its message.
    pub fields: BTreeSet<&'static str>,
    /// The tags that they added.
    pub tags: BTreeSet<String>,
    /// The keys of the custom fields that they set.
    pub custom_fields: BTreeSet<String>,
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
    let mut surplus = BTreeSet::new();
    let mut kept = (!input.withheld.is_empty()).then(|| set.without(&input.withheld, &surplus));
    loop {
        let set = kept.as_ref().unwrap_or(set);
        let (evaluated, _) = once(set, input, None);
        let more = too_many(&evaluated.ticket, input.ticket);
        if more.is_empty() {
            return match wanted {
                None => (evaluated, Vec::new()),
                Some(wanted) => once(set, input, Some(wanted)),
            };
        }
        // Rare: the rules run again without the tags that have no place, so that no later rule sees them either.
        surplus.extend(more);
        kept = Some(set.without(&input.withheld, &surplus));
    }
}

/// The tags that rules added to a ticket that had no place for them.
fn too_many(after: &Ticket, before: &Ticket) -> Vec<String> {
    after.tags.iter().skip(MOST_TAGS.max(before.tags.len())).cloned().collect()
}

/// An input as the rules get it.
pub(super) struct Prepared {
    /// The ticket, settled.
    pub(super) ticket: Ticket,
    pub(super) record: Record,
    pub(super) occasion: concierge_criteria::Occasion,
}

pub(super) fn prepare(set: &RuleSet, input: &Input<'_>) -> Prepared {
    let ticket = record::settled(set.configuration(), input.ticket);
    let seen = Seen { ticket: &ticket, action: input.action, facts: input.facts, now: input.now };
    let mut record = record::record(set.configuration(), &seen);
    let occasion = match &input.occasion {
        Occasion::Logged => concierge_criteria::Occasion::New,
        Occasion::Updated { changed } => {
            let changed = set.configuration().fields().named(changed);
            let before = record::before(set.configuration(), &seen, input.before, &record, &changed);
            record.set_before(&before);
            concierge_criteria::Occasion::Existing { changed }
        }
        Occasion::Asked { rules } => concierge_criteria::Occasion::Manual { rules: rules.clone() },
    };
    Prepared { ticket, record, occasion }
}

fn once(set: &RuleSet, input: &Input<'_>, wanted: Option<&mut dyn FnMut(Uuid) -> bool>) -> (Evaluated, Vec<RuleTrace>) {
    let Prepared { mut ticket, record: before, occasion } = prepare(set, input);
    let mut after = before.clone();
    let fields = set.configuration().fields();
    let outcome = match wanted {
        None => SCRATCH.with_borrow_mut(|scratch| set.index().walk(&mut after, &occasion, scratch)),
        Some(wanted) => set.index().walk_explained(&mut after, &occasion, |rule| wanted(rule.id())),
    };

    remember_importance(&mut ticket, input.facts);
    let mut gave = Gave::default();
    let mut matches = Vec::with_capacity(outcome.matched.len());
    for matched in &outcome.matched {
        let Some(rule) = set.rule(matched.rule) else { continue };
        carry_out(set, rule, &mut ticket, &mut gave);
        matches.push(trace::told_match(fields.schema(), rule, matched, outcome.stopped_by));
    }
    let undecided = outcome
        .undecided
        .iter()
        .filter_map(|u| Some(trace::told_undecided(fields.schema(), set.rule(u.rule)?, u)))
        .collect();
    if path::COLUMNS.iter().any(|field| gave.fields.contains(field)) {
        for level in path::prune(set.configuration(), &mut ticket) {
            gave.fields.insert(path::COLUMNS[level]);
            record::empty(&mut after, path::CRITERIA[level]);
        }
    }
    let changed_fields = record::names(fields.schema(), &after.changed_since(&before));
    let traces = outcome
        .verdicts
        .iter()
        .filter_map(|v| Some(trace::told_verdict(fields.schema(), set.rule(v.rule)?, v)))
        .collect();
    (Evaluated { ticket, matches, undecided, changed_fields, gave }, traces)
}

/// Whether user and customer are important now; absent when nobody knows, and for a ticket without user.
fn remember_importance(ticket: &mut Ticket, facts: Option<&RequesterFacts>) {
    let user = facts.and_then(|facts| facts.user.as_ref()).filter(|_| !ticket.user_id.is_empty());
    let customer = facts.and_then(|facts| facts.customer.as_ref()).filter(|_| !ticket.customer_id.is_empty());
    ticket.user_important = user.and_then(|user| user.importance.as_ref()).map(|flag| flag.value);
    ticket.customer_important = customer.map(|customer| customer.important);
}

/// Puts the outcomes of a rule into the ticket, with what follows from them.
fn carry_out(set: &RuleSet, rule: &Rule, ticket: &mut Ticket, gave: &mut Gave) {
    let Some(outcomes) = &rule.outcomes else { return };
    macro_rules! put {
        ($($field:ident),*) => {
            $(if !outcomes.$field.is_empty() {
                ticket.$field.clone_from(&outcomes.$field);
                gave.fields.insert(stringify!($field));
            })*
        };
    }
    put!(type_id, status_id, priority_id, sla_id, team_id, agent_id);
    let categories = path::given(set.configuration(), outcomes).into_iter().zip(path::of_mut(ticket));
    for ((given, place), field) in categories.zip(path::COLUMNS) {
        if !given.is_empty() {
            *place = given;
            gave.fields.insert(field);
        }
    }
    gave.custom_fields.extend(outcomes.custom_fields.iter().map(|value| value.key.clone()));
    let before = std::mem::replace(&mut ticket.custom_fields, outcomes.custom_fields.clone());
    custom_field::merge(&before, &mut ticket.custom_fields);
    for tag in &outcomes.add_tags {
        gave.tags.insert(tag.clone());
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
