//! What running rules did.

use std::sync::Arc;

use super::RuleIndex;
use super::scratch::{RulePlace, Scratch};
use crate::rule::Rule;
use crate::schema::FieldSet;
use crate::walk::{Change, Match, Outcome, Undecided};

/// What [`RuleIndex::run`] did, in the space it was given.
#[derive(Debug, Clone, Copy)]
pub struct Ran<'a> {
    pub(crate) index: &'a RuleIndex,
    pub(crate) scratch: &'a Scratch,
}

/// A rule that matched.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// What it changed. A field that had the value already is not among them.
    pub changes: &'a [Change],
}

impl<'a> Ran<'a> {
    /// The rules that matched, in the order they ran.
    pub fn matched(&self) -> impl Iterator<Item = Matched<'a>> + use<'a> {
        let Ran { index, scratch } = *self;
        scratch.matched.iter().filter_map(move |it| {
            let changes = scratch.made.get(it.changes.0..it.changes.1).unwrap_or_default();
            Some(Matched { rule: index.at(it.rule)?, changes })
        })
    }

    /// The rules that could not be decided, in order, and the fields nobody knows the value of and that would have
    /// decided them.
    pub fn undecided(&self) -> impl Iterator<Item = (&'a Arc<Rule>, &'a FieldSet)> + use<'a> {
        let Ran { index, scratch } = *self;
        let undecided = scratch.undecided.get(..scratch.undecided_count).unwrap_or_default();
        undecided.iter().filter_map(move |(rule, facts)| Some((index.at(*rule)?, facts)))
    }

    /// The rule that stopped the walk, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&'a Arc<Rule>> {
        self.index.at(self.scratch.stopped_by?)
    }

    /// The same, to keep.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            matched: self.matched().map(|it| Match { rule: it.rule.id(), changes: it.changes.to_vec() }).collect(),
            undecided: self
                .undecided()
                .map(|(rule, facts)| Undecided { rule: rule.id(), facts: facts.clone() })
                .collect(),
            stopped_by: self.stopped_by().map(|rule| rule.id()),
            verdicts: Vec::new(),
        }
    }
}

impl RuleIndex {
    /// The rule at a place.
    pub(crate) fn at(&self, rule: RulePlace) -> Option<&Arc<Rule>> {
        let part = if rule.is_changed { &self.changes.as_ref()?.rules } else { &*self.base };
        part.rules.get(rule.place as usize)
    }
}
