//! One input under two rule sets: what comes out differently.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use concierge_criteria::{Ran, Scratch};
use concierge_proto::common::FieldChange;
use concierge_proto::ticket_rule::{RuleMatch, UndecidedRule};
use uuid::Uuid;

use super::record::{self, Seen};
use super::rule_set::RuleSet;
use super::trace::told_changes;
use super::walk::{Evaluated, Input, evaluate, prepare};

/// So many sets without what was gone are kept.
const MOST_LESSENED: usize = 64;

/// Two rule sets with one configuration, and the space that comparing them takes.
#[derive(Debug)]
pub struct Pair {
    now: Arc<RuleSet>,
    then: Arc<RuleSet>,
    /// Both without teams and agents that were gone.
    lessened: HashMap<BTreeSet<Uuid>, (Arc<RuleSet>, Arc<RuleSet>)>,
    scratch: (Scratch, Scratch),
}

/// What comes out differently.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    /// What differs of the ticket after the rules.
    pub changes: Vec<FieldChange>,
    /// The rules that match only in the second set.
    pub newly_matched: Vec<Uuid>,
    /// The rules that match only in the first.
    pub no_longer_matched: Vec<Uuid>,
    /// The rules that are left undecided only in the second.
    pub newly_undecided: Vec<Uuid>,
}

impl Pair {
    /// Compares what is with what would be then.
    pub fn new(now: Arc<RuleSet>, then: Arc<RuleSet>) -> Self {
        Self { now, then, lessened: HashMap::new(), scratch: Default::default() }
    }

    /// What comes out differently of an input; `None` when nothing does.
    pub fn differ(&mut self, input: &Input<'_>) -> Option<Difference> {
        let (now, then) = self.sets(&input.withheld);
        let prepared = prepare(&now, input);
        let (mut one, mut other) = (prepared.record.clone(), prepared.record);
        let (first, second) = &mut self.scratch;
        let ran = now.index().run(&mut one, &prepared.occasion, first);
        // Most inputs meet no rule that differs: nothing of them has to be made whole.
        if is_same(ran, then.index().run(&mut other, &prepared.occasion, second)) {
            return None;
        }
        let input = Input { withheld: BTreeSet::new(), ..input.clone() };
        let (one, other) = (evaluate(&now, &input), evaluate(&then, &input));
        let difference = Difference {
            changes: changes(&now, &input, &one, &other),
            newly_matched: only(matched(&other), &matched(&one)),
            no_longer_matched: only(matched(&one), &matched(&other)),
            newly_undecided: only(undecided(&other), &undecided(&one)),
        };
        (difference != Difference::default()).then_some(difference)
    }

    /// Both sets, without what was gone at the time of an input.
    fn sets(&mut self, gone: &BTreeSet<Uuid>) -> (Arc<RuleSet>, Arc<RuleSet>) {
        if gone.is_empty() {
            return (Arc::clone(&self.now), Arc::clone(&self.then));
        }
        if self.lessened.len() >= MOST_LESSENED && !self.lessened.contains_key(gone) {
            self.lessened.clear();
        }
        let both = self.lessened.entry(gone.clone()).or_insert_with(|| {
            let no_tags = BTreeSet::new();
            (Arc::new(self.now.without(gone, &no_tags)), Arc::new(self.then.without(gone, &no_tags)))
        });
        both.clone()
    }
}

/// Whether the same rules did the same. A rule that was replaced is another one, whatever it does.
fn is_same(one: Ran<'_>, other: Ran<'_>) -> bool {
    let matched = one.matched().zip(other.matched());
    one.matched().count() == other.matched().count()
        && matched.into_iter().all(|(one, other)| Arc::ptr_eq(one.rule, other.rule) && one.changes == other.changes)
        && one.undecided().map(|(rule, _)| rule.id()).eq(other.undecided().map(|(rule, _)| rule.id()))
}

fn changes(set: &RuleSet, input: &Input<'_>, one: &Evaluated, other: &Evaluated) -> Vec<FieldChange> {
    let after = |evaluated: &Evaluated| {
        let ticket = record::settled(set.configuration(), &evaluated.ticket);
        let seen = Seen { ticket: &ticket, action: input.action, facts: input.facts, now: input.now };
        record::record(set.configuration(), &seen)
    };
    let (one, other) = (after(one), after(other));
    let changed = other.changed_since(&one);
    let change =
        |field| concierge_criteria::Change { field, from: one.get(field).clone(), to: other.get(field).clone() };
    let schema = set.configuration().fields().schema();
    told_changes(schema, &changed.iter().map(change).collect::<Vec<_>>())
}

fn matched(evaluated: &Evaluated) -> Vec<Uuid> {
    evaluated.matches.iter().filter_map(|RuleMatch { rule_id, .. }| rule_id.parse().ok()).collect()
}

fn undecided(evaluated: &Evaluated) -> Vec<Uuid> {
    evaluated.undecided.iter().filter_map(|UndecidedRule { rule_id, .. }| rule_id.parse().ok()).collect()
}

fn only(these: Vec<Uuid>, others: &[Uuid]) -> Vec<Uuid> {
    these.into_iter().filter(|id| !others.contains(id)).collect()
}
