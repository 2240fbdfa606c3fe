//! Many rules, found by what a record holds, so that a record costs what it matches and not how many rules there are.
//!
//! # How
//!
//! The values of a field that criteria tell apart are numbered: they are its classes. Criteria become clauses, lists of
//! tests on classes that are all necessary. A clause is found through the class, or the pair of classes of two fields,
//! that the fewest other clauses ask for. Few clauses found together are tested one by one. Many are tested sixty-four
//! at a time: clauses are kept in blocks, sorted so that neighbours ask alike; for every field a block holds, class by
//! class, a word of those that stand, and the words of a record's classes are combined with AND. What is left holds,
//! or, where a clause could not say all or a value is unknown, is evaluated.

mod access;
mod block;
mod check;
mod classes;
mod clause;
mod dimension;
mod keys;
mod part;
mod ran;
mod run;
mod scratch;
mod state;
mod text;

use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use crate::record::Record;
use crate::rule::{Rule, RuleSet};
use crate::walk::{Occasion, Outcome, explained};
use part::Part;
pub use ran::{Matched, Ran};
pub use scratch::Scratch;

/// Rules of one schema, ready to run over many records. It never changes, so threads may share it, and it is cheap to
/// clone; a changed rule makes another one, which shares all that did not change.
///
/// It does exactly what [`walk`](crate::walk()) does with the same rules.
///
/// ```
/// use concierge_criteria::*;
/// use uuid::Uuid;
///
/// let schema = Schema::new([("ticket.team", FieldType::Id), ("ticket.agent", FieldType::Id)])?;
/// let of_team = |number: u128| RuleDefinition {
///     id: Uuid::from_u128(number),
///     name: format!("team {number}"),
///     enabled: true,
///     applies_to: AppliesTo::NewAndExisting,
///     precedence: 50,
///     created: chrono::DateTime::UNIX_EPOCH,
///     stop_on_match: false,
///     criteria: Criterion::new("ticket.team", Operator::Is, [Uuid::from_u128(number)]).into(),
///     outcomes: vec![],
/// };
/// let rule = |number| compile_rule(&schema, &of_team(number)).map_err(|problems| problems[0].clone());
/// let index = RuleIndex::new(&RuleSet::new((1..=1_000).map(rule).collect::<Result<Vec<_>, _>>()?));
///
/// let mut ticket = Record::empty(&schema);
/// ticket.set(schema.field("ticket.team").expect("named above"), Uuid::from_u128(7))?;
/// let mut scratch = Scratch::default();
/// let ran = index.run(&mut ticket, &Occasion::New, &mut scratch);
/// assert_eq!(ran.matched().map(|matched| &**matched.rule.name()).collect::<Vec<_>>(), ["team 7"]);
///
/// let without = index.with([], [Uuid::from_u128(7)]);
/// assert_eq!(without.run(&mut ticket, &Occasion::New, &mut scratch).matched().count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct RuleIndex {
    base: Arc<Part>,
    changes: Option<Arc<Changes>>,
}

/// What changed since the base was made.
#[derive(Debug)]
struct Changes {
    /// The rules that are new or different.
    rules: Part,
    /// For each of them, before which rule of the base it runs.
    before: Vec<u32>,
    /// The rules of the base that are gone or replaced, as bits.
    gone: Vec<u64>,
    /// How many these are.
    count: usize,
}

impl RuleIndex {
    /// An index of the rules of a set. It takes a few tenths of a second for ten thousand rules.
    #[must_use]
    pub fn new(rules: &RuleSet) -> RuleIndex {
        RuleIndex { base: Arc::new(Part::new(rules.rules().to_vec())), changes: None }
    }

    /// The index with these rules added, or put in place of those with the same ids, and without those removed. It
    /// costs what the rules cost that changed since the index was [made](RuleIndex::new) or [merged](RuleIndex::merged),
    /// and hardly anything for the others. Of several rules with one id the last counts, and removing comes last.
    #[must_use]
    pub fn with(
        &self,
        changed: impl IntoIterator<Item = Arc<Rule>>,
        removed: impl IntoIterator<Item = Uuid>,
    ) -> RuleIndex {
        let known = self.changes.as_ref();
        let mut rules: HashMap<Uuid, Arc<Rule>> =
            known.iter().flat_map(|it| &it.rules.rules).map(|rule| (rule.id(), Arc::clone(rule))).collect();
        let mut gone = known.map_or_else(|| vec![0; self.base.rules.len().div_ceil(64)], |it| it.gone.clone());
        let mut count = known.map_or(0, |it| it.count);
        let mut remove = |id: Uuid| {
            let Some(place) = self.base.places.get(&id) else { return };
            if let Some(word) = gone.get_mut(*place as usize / 64) {
                count += usize::from(*word >> (place % 64) & 1 == 0);
                *word |= 1 << (place % 64);
            }
        };
        for rule in changed {
            remove(rule.id());
            rules.insert(rule.id(), rule);
        }
        for id in removed {
            remove(id);
            rules.remove(&id);
        }
        let mut rules: Vec<Arc<Rule>> = rules.into_values().collect();
        rules.sort_unstable_by_key(|rule| rule.order());
        let base = &self.base.rules;
        let place = |rule: &Arc<Rule>| base.partition_point(|other| other.order() < rule.order());
        let before = rules.iter().map(|rule| u32::try_from(place(rule)).unwrap_or(u32::MAX)).collect();
        let changes = Changes { rules: Part::new(rules), before, gone, count };
        RuleIndex { base: Arc::clone(&self.base), changes: Some(Arc::new(changes)) }
    }

    /// The same rules with nothing changed since: as fast as if made anew, and as dear to make.
    #[must_use]
    pub fn merged(&self) -> RuleIndex {
        match &self.changes {
            None => self.clone(),
            Some(_) => RuleIndex { base: Arc::new(Part::new(self.rules().cloned().collect())), changes: None },
        }
    }

    /// How many rules were changed or removed since the index was made or merged. A few dozen are the right time to
    /// merge: matching is slower by about as much as another index of so many rules would take, and each further
    /// change costs what they all cost.
    #[must_use]
    pub fn unmerged(&self) -> usize {
        self.changes.as_ref().map_or(0, |it| it.count.max(it.rules.rules.len()))
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.base.rules.len() + self.changes.as_ref().map_or(0, |it| it.rules.rules.len()) - self.gone()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn gone(&self) -> usize {
        self.changes.as_ref().map_or(0, |it| it.count)
    }

    /// The rules, in the order they run.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let changes = self.changes.as_deref();
        let added = changes.map(|it| it.before.iter().zip(&it.rules.rules)).into_iter().flatten();
        let mut added = added.peekable();
        let mut base =
            (0..).zip(&self.base.rules).filter(move |(place, _)| !changes.is_some_and(|it| it.lacks(*place)));
        let mut next = base.next();
        std::iter::from_fn(move || {
            let first = match (&next, added.peek()) {
                (Some((place, _)), Some((before, _))) => **before <= *place,
                (None, Some(_)) => true,
                _ => false,
            };
            if first {
                return added.next().map(|(_, rule)| rule);
            }
            let rule = next.take().map(|(_, rule)| rule);
            next = base.next();
            rule
        })
    }

    /// The rule with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Arc<Rule>> {
        self.at(self.found(id)?.rule())
    }

    /// Runs the rules over the record and puts their outcomes into it, as [`walk`](crate::walk()) does.
    ///
    /// Once a scratch has served a few records, this allocates nothing; only adding to a set makes a new set.
    pub fn run<'a>(&'a self, record: &mut Record, occasion: &Occasion, scratch: &'a mut Scratch) -> Ran<'a> {
        run::run(self, record, occasion, scratch);
        Ran { index: self, scratch }
    }

    /// Runs the rules as [`walk`](crate::walk()) does, with the same outcome.
    pub fn walk(&self, record: &mut Record, occasion: &Occasion, scratch: &mut Scratch) -> Outcome {
        self.run(record, occasion, scratch).outcome()
    }

    /// Runs the rules as [`walk_explained`](crate::walk_explained()) does, with the same outcome. This asks one rule
    /// after the other.
    pub fn walk_explained(
        &self,
        record: &mut Record,
        occasion: &Occasion,
        mut wanted: impl FnMut(&Rule) -> bool,
    ) -> Outcome {
        explained(self.rules().map(|rule| &**rule), record, occasion, &mut wanted)
    }
}

impl Changes {
    /// Whether a rule of the base is gone or replaced.
    fn lacks(&self, place: u32) -> bool {
        self.gone.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}
