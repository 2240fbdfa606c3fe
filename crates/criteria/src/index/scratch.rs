//! The space that running rules takes.

use super::state::State;
use crate::schema::FieldSet;
use crate::walk::Change;

/// The space that [`RuleIndex::run`](super::RuleIndex::run) works in. One serves any number of records and indexes, one
/// after the other; it grows to what the largest needed and then allocates no more.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) base: State,
    pub(crate) changes: State,
    /// The rules that may hold, by the place they run at.
    pub(crate) found: Vec<Found>,
    /// The fields that rules changed, and those that the last one did.
    pub(crate) by_rules: FieldSet,
    pub(crate) by_last: FieldSet,
    pub(crate) matched: Vec<MatchedPlace>,
    pub(crate) made: Vec<Change>,
    /// The undecided rules; those beyond the count are left from earlier records.
    pub(crate) undecided: Vec<(RulePlace, FieldSet)>,
    pub(crate) undecided_count: usize,
    pub(crate) stopped_by: Option<RulePlace>,
}

/// Where a rule is: its place in the base, or in the changes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RulePlace {
    pub(crate) is_changed: bool,
    pub(crate) place: u32,
}

/// A rule that matched, and where in the list its changes end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchedPlace {
    pub(crate) rule: RulePlace,
    pub(crate) changes: (usize, usize),
}

/// A rule that may hold. Sorts by the order that rules run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found(u64);

const IN_BASE: u64 = u32::MAX as u64;

impl Found {
    /// A rule of the base.
    pub(crate) fn in_base(place: u32, sure: bool) -> Found {
        Found(u64::from(place) << 33 | IN_BASE << 1 | u64::from(sure))
    }

    /// The rule at a place among the changes, which runs before one of the base.
    pub(crate) fn changed(place: u32, before: u32, sure: bool) -> Found {
        Found(u64::from(before) << 33 | u64::from(place) << 1 | u64::from(sure))
    }

    /// Whether both are the same rule.
    pub(crate) fn is(self, other: Found) -> bool {
        self.0 >> 1 == other.0 >> 1
    }

    /// Whether it runs after another.
    pub(crate) fn is_after(self, other: Found) -> bool {
        self.0 >> 1 > other.0 >> 1
    }

    /// Whether its criteria are sure to hold.
    pub(crate) fn is_sure(self) -> bool {
        self.0 & 1 == 1
    }

    /// Where it is.
    pub(crate) fn rule(self) -> RulePlace {
        let low = self.0 >> 1 & IN_BASE;
        let is_changed = low != IN_BASE;
        let place = if is_changed { low } else { self.0 >> 33 };
        RulePlace { is_changed, place: u32::try_from(place).unwrap_or(u32::MAX) }
    }
}

impl Scratch {
    /// Forgets the last record, but not the space.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.by_rules.clear();
        self.matched.clear();
        self.made.clear();
        self.undecided_count = 0;
        self.stopped_by = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_rules_run_before_the_rule_of_the_base_that_they_precede() {
        let order = [
            Found::changed(0, 0, true),
            Found::in_base(0, false),
            Found::changed(1, 1, false),
            Found::changed(2, 1, true),
            Found::in_base(1, true),
        ];
        assert!(order.is_sorted());
        assert_eq!(order.map(|it| it.rule().place), [0, 0, 1, 2, 1]);
        assert_eq!(order.map(|it| it.rule().is_changed), [true, false, true, true, false]);
        assert_eq!(order.map(Found::is_sure), [true, false, false, true, true]);
        assert!(Found::in_base(1, true).is(Found::in_base(1, false)) && order[4].is_after(order[3]));
        assert!(!Found::in_base(1, true).is_after(Found::in_base(1, false)));
    }
}
