//! One clause at a time: its tests, in the order in which they leave the fewest.

use super::classes::{ClassSet, UNKNOWN};
use super::dimension::Test;
use super::state::State;

/// The tests of many clauses, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    checks: Vec<Check>,
    ranges: Vec<(u32, u32)>,
}

/// Where the tests of a clause are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    from: u32,
    to: u32,
}

#[derive(Debug, Clone, Copy)]
struct Check {
    dimension: u16,
    kind: Kind,
    /// A class, or the first and the last of some ranges.
    low: u32,
    high: u32,
}

/// A test that is done without a branch: a class, counted from the lowest, is below the width; and one of the classes
/// has its bit, of sixty-four, in the mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quick {
    dimension: u16,
    low: u32,
    width: u32,
    mask: u64,
}

impl Quick {
    /// Passes always: nobody knows the class of a dimension that is not there.
    const ANY: Quick = Quick { dimension: u16::MAX, low: 0, width: u32::MAX, mask: u64::MAX };

    /// The test of a check, and whether it says all that the check does; none if it says nothing.
    fn of(check: &Check, ranges: &[(u32, u32)]) -> Option<(Quick, bool)> {
        let any = Quick { dimension: check.dimension, ..Quick::ANY };
        match check.kind {
            Kind::Within => Some((Quick { low: check.low, width: check.high - check.low, ..any }, true)),
            Kind::Outside => {
                Some((Quick { low: check.high, width: 0_u32.wrapping_sub(check.high - check.low), ..any }, true))
            }
            Kind::WithinOneOf | Kind::Shares => {
                let wide = ranges.iter().any(|(from, to)| to - from >= 64);
                let classes = ranges.iter().take_while(|_| !wide).flat_map(|(from, to)| *from..*to);
                let mask = classes.fold(0, |mask, class| mask | bit(class));
                (!wide && mask != u64::MAX).then_some((Quick { mask, ..any }, false))
            }
            Kind::SharesNone => None,
        }
    }

    /// Whether the test does not fail.
    #[inline]
    pub(crate) fn pass(&self, state: &State) -> bool {
        let seen = state.seen(self.dimension);
        let within = (seen.class.wrapping_sub(self.low) < self.width) | (seen.class == UNKNOWN);
        within & (seen.mask & self.mask != 0)
    }
}

/// The bit of a class in a mask.
pub(crate) fn bit(class: u32) -> u64 {
    1 << (class % 64)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It is in the range of classes.
    Within,
    /// It is not in the range of classes.
    Outside,
    /// It is in one of several ranges.
    WithinOneOf,
    /// One of its classes is in one of the ranges.
    Shares,
    /// None is.
    SharesNone,
}

impl Checks {
    /// Adds the tests of a clause, but for those that the two quick ones answer.
    pub(crate) fn push<'a>(&mut self, tests: impl Iterator<Item = &'a (u16, Test)>) -> ([Quick; 2], Place) {
        let from = at(self.checks.len());
        let (mut quick, mut count) = ([Quick::ANY; 2], 0);
        for (dimension, test) in tests {
            let (dimension, start) = (*dimension, at(self.ranges.len()));
            let check = match test {
                Test::One(classes) => match (classes.ranges(), classes.complement().ranges()) {
                    ([(low, high)], _) => Check { dimension, kind: Kind::Within, low: *low, high: *high },
                    (_, [(low, high)]) => Check { dimension, kind: Kind::Outside, low: *low, high: *high },
                    (ranges, _) => {
                        self.ranges.extend(ranges);
                        Check { dimension, kind: Kind::WithinOneOf, low: start, high: at(self.ranges.len()) }
                    }
                },
                Test::Any { classes, negated } => {
                    self.ranges.extend(ClassSet::points(classes.iter().copied()).ranges());
                    let kind = if *negated { Kind::SharesNone } else { Kind::Shares };
                    Check { dimension, kind, low: start, high: at(self.ranges.len()) }
                }
            };
            let mut answered = false;
            if let (Some(free), Some((made, all))) =
                (quick.get_mut(count), Quick::of(&check, self.ranges.get(start as usize..).unwrap_or_default()))
            {
                *free = made;
                count += 1;
                answered = all;
            }
            if !answered {
                self.checks.push(check);
            }
        }
        (quick, Place { from, to: at(self.checks.len()) })
    }

    /// Whether no test of a clause fails.
    pub(crate) fn pass(&self, place: Place, state: &State) -> bool {
        let checks = self.checks.get(place.from as usize..place.to as usize).unwrap_or_default();
        checks.iter().all(|check| {
            let class = state.number(check.dimension);
            // What nobody knows fails no test.
            class == UNKNOWN || self.passes(check, class, state)
        })
    }

    fn passes(&self, check: &Check, class: u32, state: &State) -> bool {
        let ranges = self.ranges.get(check.low as usize..check.high as usize).unwrap_or_default();
        let within = |class: u32| {
            let next = ranges.partition_point(|(start, _)| *start <= class);
            ranges.get(next.wrapping_sub(1)).is_some_and(|(_, end)| class < *end)
        };
        let shares = || state.classes(check.dimension).unwrap_or_default().iter().any(|class| within(*class));
        match check.kind {
            Kind::Within => (check.low..check.high).contains(&class),
            Kind::Outside => !(check.low..check.high).contains(&class),
            Kind::WithinOneOf => within(class),
            Kind::Shares => shares(),
            Kind::SharesNone => !shares(),
        }
    }
}

fn at(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
