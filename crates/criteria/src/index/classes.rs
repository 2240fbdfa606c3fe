//! Sets of classes. The index numbers the values of a field that criteria tell apart; all values that no criterion
//! tells apart are one class.

/// The class of a field known to be empty.
pub(crate) const EMPTY: u32 = 0;
/// The class of every value that no criterion names. In a number, the first range.
pub(crate) const OTHER: u32 = 1;
/// The first class of a value that some criterion names.
pub(crate) const FIRST: u32 = 2;
/// No class: nobody knows the value.
pub(crate) const UNKNOWN: u32 = u32::MAX;
/// Beyond every class.
const END: u32 = u32::MAX - 1;

/// A set of classes, as ranges: sorted, apart, each without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassSet(Vec<(u32, u32)>);

impl ClassSet {
    /// The given classes.
    pub(crate) fn points(classes: impl IntoIterator<Item = u32>) -> ClassSet {
        let mut ranges: Vec<(u32, u32)> = classes.into_iter().map(|class| (class, class + 1)).collect();
        ranges.sort_unstable();
        ClassSet(ranges).joined()
    }

    /// The classes from the first to the last, both included; none if the last comes before the first.
    pub(crate) fn between(first: u32, last: u32) -> ClassSet {
        ClassSet(if first <= last { vec![(first, last + 1)] } else { Vec::new() })
    }

    /// Joins sorted ranges that touch or overlap.
    fn joined(self) -> ClassSet {
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for (start, end) in self.0 {
            match joined.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        ClassSet(joined)
    }

    pub(crate) fn union(&self, other: &ClassSet) -> ClassSet {
        let mut ranges: Vec<(u32, u32)> = self.0.iter().chain(&other.0).copied().collect();
        ranges.sort_unstable();
        ClassSet(ranges).joined()
    }

    pub(crate) fn complement(&self) -> ClassSet {
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        let mut from = 0;
        for (start, end) in &self.0 {
            if from < *start {
                ranges.push((from, *start));
            }
            from = *end;
        }
        if from < END {
            ranges.push((from, END));
        }
        ClassSet(ranges)
    }

    pub(crate) fn intersection(&self, other: &ClassSet) -> ClassSet {
        self.complement().union(&other.complement()).complement()
    }

    /// Where it begins and ends again, from low to high.
    pub(crate) fn edges(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(start, end)| [*start, *end])
    }

    /// Its ranges, each with its first class and the one after its last.
    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_classes_are_sets() {
        let few = ClassSet::points([7, 2, 3, 3]);
        assert_eq!(few.ranges(), [(2, 4), (7, 8)]);
        assert_eq!(few.edges().collect::<Vec<_>>(), [2, 4, 7, 8]);
        assert_eq!(few.complement().complement(), few);
        assert_eq!(few.intersection(&ClassSet::between(3, 7)), ClassSet::points([3, 7]));
        assert_eq!(few.union(&ClassSet::between(4, 6)), ClassSet::between(2, 7));
        assert_eq!(few.intersection(&few.complement()), ClassSet::points([]));
        assert!(ClassSet::between(5, 4).ranges().is_empty());
        assert_eq!(ClassSet::points([]).complement().intersection(&few), few);
    }
}
