//! What a clause is found by: the classes of one or two of its tests that the fewest other clauses ask for.

use hashbrown::HashMap;

use super::clause::Clause;
use super::clause::Dimensions;
use super::dimension::Test;

/// A clause is found through a test only if that is on so few classes.
const MOST_CLASSES: u32 = 64;
/// A clause is found by so many pairs of classes at most.
const MOST_PAIRS: usize = 16;
/// So many pairs of dimensions are looked up at most for a record.
pub(crate) const MOST_GROUPS: usize = 48;
/// No dimension.
pub(crate) const NONE: u16 = u16::MAX;

/// What finds a clause. Sorted, so that clauses that are found alike are neighbours, and within them those that go on
/// to ask alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// One dimension and NONE, two, or NONE twice for a clause that is always looked at.
    pub(crate) dimensions: (u16, u16),
    pub(crate) classes: (u32, u32),
    then: [(u16, u32); 3],
    /// The clause.
    pub(crate) clause: u32,
}

impl Key {
    /// Whether both find their clauses by the same classes.
    pub(crate) fn finds_with(&self, other: &Key) -> bool {
        (self.dimensions, self.classes) == (other.dimensions, other.classes)
    }

    /// Whether a record that the key is found for passes the test.
    pub(crate) fn answers(&self, dimension: u16, test: &Test) -> bool {
        let class = match self.dimensions {
            (one, _) if one == dimension => self.classes.0,
            (_, other) if other == dimension => self.classes.1,
            _ => return false,
        };
        match test {
            Test::One(classes) => classes.ranges().iter().any(|(from, to)| (*from..*to).contains(&class)),
            Test::Any { classes, negated } => !negated && classes.contains(&class),
        }
    }
}

type Pair = ((u16, u32), (u16, u32));

/// How many clauses ask for each class, and for each pair of classes.
pub(crate) struct Uses {
    single: Vec<Vec<u64>>,
    multiple: Vec<bool>,
    pairs: HashMap<Pair, u64>,
}

impl Uses {
    pub(crate) fn count(dimensions: &Dimensions, clauses: &[(u32, Clause)]) -> Uses {
        let mut uses = Uses {
            single: dimensions.list.iter().map(|it| vec![0; it.classes() as usize + 1]).collect(),
            multiple: dimensions.list.iter().map(|it| it.is_multiple()).collect(),
            pairs: HashMap::new(),
        };
        for (_, clause) in clauses {
            for (dimension, test) in &clause.tests {
                let classes: Vec<u32> = uses.few(*dimension, test).collect();
                let Some(counts) = uses.single.get_mut(usize::from(*dimension)) else { continue };
                for class in classes {
                    if let Some(count) = counts.get_mut(class as usize) {
                        *count += 1;
                    }
                }
            }
            uses.each_pair(clause, &mut |uses, pairs| {
                for pair in pairs {
                    *uses.entry(*pair).or_default() += 1;
                }
            });
        }
        uses
    }

    /// Calls with the pairs of classes of every two tests of a clause that it may be found by.
    fn each_pair(&mut self, clause: &Clause, each: &mut impl FnMut(&mut HashMap<Pair, u64>, &[Pair])) {
        let mut made = Vec::new();
        for (place, one) in clause.tests.iter().enumerate() {
            for other in clause.tests.iter().skip(place + 1) {
                made.clear();
                self.pairs_of(one, other, &mut made);
                each(&mut self.pairs, &made);
            }
        }
    }

    fn pairs_of(&self, one: &(u16, Test), other: &(u16, Test), made: &mut Vec<Pair>) {
        let multiple = |dimension: u16| self.multiple.get(usize::from(dimension)).copied().unwrap_or(true);
        // One whose values are in several classes comes last.
        let order = |it: &(u16, Test)| (multiple(it.0), it.0);
        let (one, other) = if order(one) <= order(other) { (one, other) } else { (other, one) };
        let count = self.few(one.0, &one.1).count() * self.few(other.0, &other.1).count();
        if one.0 == other.0 || multiple(one.0) && multiple(other.0) || count > MOST_PAIRS {
            return;
        }
        let others = |a| self.few(other.0, &other.1).map(move |b| ((one.0, a), (other.0, b)));
        made.extend(self.few(one.0, &one.1).flat_map(others));
    }

    /// How many clauses a test lets through, or the most there can be where it names no classes.
    pub(crate) fn of(&self, dimension: u16, test: &Test) -> u64 {
        if is_impossible(test) {
            return 0;
        }
        let counts = self.single.get(usize::from(dimension)).map(Vec::as_slice).unwrap_or_default();
        if self.few(dimension, test).next().is_none() {
            return u64::MAX;
        }
        self.few(dimension, test).filter_map(|class| counts.get(class as usize)).sum()
    }

    fn few(&self, dimension: u16, test: &Test) -> impl Iterator<Item = u32> {
        let classes = self.single.get(usize::from(dimension)).map_or(0, |counts| counts.len().saturating_sub(1));
        few(test, u32::try_from(classes).unwrap_or(u32::MAX))
    }

    /// What finds each clause, sorted.
    pub(crate) fn keys(&mut self, clauses: &mut [(u32, Clause)]) -> Vec<Key> {
        // For each clause, every pair of tests that may find it and how many clauses that lets through.
        let mut ways: Vec<Vec<(u64, Vec<Pair>)>> = Vec::with_capacity(clauses.len());
        let mut groups: HashMap<(u16, u16), u64> = HashMap::new();
        for (_, clause) in clauses.iter_mut() {
            // A test that lets few through comes first.
            clause.tests.sort_by_cached_key(|(dimension, test)| (self.of(*dimension, test), *dimension));
            let mut found: Vec<(u64, Vec<Pair>)> = Vec::new();
            self.each_pair(clause, &mut |uses, pairs| {
                if !pairs.is_empty() {
                    let count = pairs.iter().filter_map(|pair| uses.get(pair)).sum();
                    found.push((count, pairs.to_vec()));
                }
            });
            found.sort_by_key(|(count, _)| *count);
            if let Some(((one, _), (other, _))) = found.first().and_then(|(_, pairs)| pairs.first()) {
                *groups.entry((*one, *other)).or_default() += 1;
            }
            ways.push(found);
        }
        let mut groups: Vec<((u16, u16), u64)> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(dimensions, count)| (std::cmp::Reverse(*count), *dimensions));
        groups.truncate(MOST_GROUPS);
        groups.sort_unstable();
        let mut keys = Vec::with_capacity(clauses.len());
        for ((place, (_, clause)), ways) in (0..).zip(clauses.iter()).zip(&ways) {
            let usable = |pairs: &[Pair]| {
                pairs.first().is_some_and(|((one, _), (other, _))| {
                    groups.binary_search_by_key(&(*one, *other), |(dimensions, _)| *dimensions).is_ok()
                })
            };
            let pairs = ways.iter().find(|(_, pairs)| usable(pairs));
            self.add(clause, place, pairs, &mut keys);
        }
        keys.sort_unstable();
        keys
    }

    fn add(&self, clause: &Clause, place: u32, pairs: Option<&(u64, Vec<Pair>)>, keys: &mut Vec<Key>) {
        let then = |known: (u16, u16)| {
            let mut then = [(NONE, 0); 3];
            let others = clause.tests.iter().filter(|(it, _)| *it != known.0 && *it != known.1);
            for (place, (dimension, test)) in then.iter_mut().zip(others) {
                *place = (*dimension, self.few(*dimension, test).next().unwrap_or(0));
            }
            then
        };
        let single = clause.tests.first().map(|(dimension, test)| (self.of(*dimension, test), *dimension, test));
        match (single, pairs) {
            // No value is in no class: only if nobody knows the value it does not fail.
            (Some((0, dimension, test)), _) if is_impossible(test) => {
                let class = self.single.get(usize::from(dimension)).map_or(0, |counts| counts.len());
                let (dimensions, class) = ((dimension, NONE), u32::try_from(class).unwrap_or(u32::MAX));
                keys.push(Key { dimensions, classes: (class, 0), then: then(dimensions), clause: place });
            }
            (Some((count, ..)), Some((fewer, pairs))) if *fewer < count => {
                keys.extend(pairs.iter().map(|((one, a), (other, b))| {
                    let dimensions = (*one, *other);
                    Key { dimensions, classes: (*a, *b), then: then(dimensions), clause: place }
                }));
            }
            (Some((count, dimension, test)), _) if count < u64::MAX => {
                let dimensions = (dimension, NONE);
                let key = |class| Key { dimensions, classes: (class, 0), then: then(dimensions), clause: place };
                keys.extend(self.few(dimension, test).map(key));
            }
            _ => keys.push(Key { dimensions: (NONE, NONE), classes: (0, 0), then: then((NONE, NONE)), clause: place }),
        }
    }
}

/// Whether no known value passes.
fn is_impossible(test: &Test) -> bool {
    matches!(test, Test::One(classes) if classes.ranges().is_empty())
}

/// The classes of a test, out of so many that there are, if they are few. What is not one of six values is one of five,
/// or empty, or none that is named.
fn few(test: &Test, of: u32) -> impl Iterator<Item = u32> {
    let (one, any) = match test {
        Test::One(classes) => {
            let named = classes.ranges().iter().map(move |(from, to)| (*from, (*to).min(of)));
            let width: u32 = named.clone().map(|(from, to)| to.saturating_sub(from)).sum();
            (Some(named.take_while(move |_| width <= MOST_CLASSES).flat_map(|(from, to)| from..to)), None)
        }
        Test::Any { classes, negated: false } => (None, Some(classes.iter().copied())),
        Test::Any { .. } => (None, None),
    };
    one.into_iter().flatten().chain(any.into_iter().flatten())
}
