//! What criteria ask about one field, and the classes that its values fall into.

use std::ops::Bound;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;

use super::classes::{ClassSet, EMPTY, FIRST, OTHER, UNKNOWN};
use super::text::Texts;
use crate::compile::Checked;
use crate::predicate::{Positive, Range, Relation, elapsed};
use crate::record::{Fact, Record};
use crate::schema::{FieldId, FieldType};
use crate::value::Value;

/// So many tests one criterion becomes at most.
const MOST_TESTS: usize = 4;

/// What about a field criteria ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aspect {
    /// Its value.
    Value,
    /// How long ago that is.
    Elapsed,
    /// Whether an update changed it.
    Changed,
}

impl Aspect {
    /// What a criterion asks.
    pub(crate) fn of(criterion: &Checked) -> Aspect {
        match criterion.predicate.positive {
            Positive::Elapsed(_) => Aspect::Elapsed,
            Positive::Changed(_) => Aspect::Changed,
            _ => Aspect::Value,
        }
    }
}

/// One field, or another aspect of it, as criteria see it.
#[derive(Debug)]
pub(crate) struct Dimension {
    pub(crate) field: FieldId,
    values: Values,
}

/// The values that criteria name, and their classes.
#[derive(Debug)]
enum Values {
    Flag,
    Ids(HashMap<u128, u32>),
    Choices(HashMap<Arc<str>, u32>),
    /// Where one range ends and the next begins, sorted.
    Numbers(Vec<i128>),
    Times(Vec<i128>),
    IdSet(HashMap<u128, u32>),
    TextSet(HashMap<Arc<str>, u32>),
    Text(Box<Texts>),
    Elapsed(Vec<i128>),
    Changed,
}

/// What a criterion asks, in classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// A value is in exactly one class, and it is one of these.
    One(ClassSet),
    /// A value is in any number of classes, and one or more of them are these; or none, if negated.
    Any { classes: Vec<u32>, negated: bool },
}

/// A criterion in classes. What it says is necessary; it is all that the criterion asks only if it is exact.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) tests: Vec<Test>,
    pub(crate) exact: bool,
}

impl Dimension {
    pub(crate) fn new(field: FieldId, kind: FieldType, aspect: Aspect) -> Dimension {
        let values = match kind {
            _ if aspect == Aspect::Elapsed => Values::Elapsed(Vec::new()),
            _ if aspect == Aspect::Changed => Values::Changed,
            FieldType::Flag => Values::Flag,
            FieldType::Id => Values::Ids(HashMap::new()),
            FieldType::Choice => Values::Choices(HashMap::new()),
            FieldType::Number => Values::Numbers(Vec::new()),
            FieldType::Time => Values::Times(Vec::new()),
            FieldType::IdSet => Values::IdSet(HashMap::new()),
            FieldType::TextSet => Values::TextSet(HashMap::new()),
            FieldType::Text => Values::Text(Box::default()),
        };
        Dimension { field, values }
    }

    /// Whether a value may be in several classes.
    pub(crate) fn is_multiple(&self) -> bool {
        matches!(self.values, Values::IdSet(_) | Values::TextSet(_) | Values::Text(_))
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> u32 {
        let named = |count: usize| u32::try_from(count).unwrap_or(UNKNOWN).saturating_add(FIRST);
        match &self.values {
            Values::Flag | Values::Changed => named(2),
            Values::Ids(known) | Values::IdSet(known) => named(known.len()),
            Values::Choices(known) | Values::TextSet(known) => named(known.len()),
            Values::Numbers(cuts) | Values::Times(cuts) | Values::Elapsed(cuts) => named(cuts.len()),
            Values::Text(texts) => texts.classes(),
        }
    }

    /// Takes note of the values that a criterion names.
    pub(crate) fn register(&mut self, criterion: &Checked) {
        match (&mut self.values, &criterion.predicate.positive) {
            (Values::Ids(known), Positive::Ids(ids)) | (Values::IdSet(known), Positive::IdSet(_, ids)) => {
                for id in ids.iter() {
                    number(known, id.as_u128());
                }
            }
            (Values::Choices(known), Positive::Choices(names))
            | (Values::TextSet(known), Positive::TextSet(_, names)) => {
                for name in names.iter() {
                    number(known, name.clone());
                }
            }
            (Values::Numbers(cuts), Positive::Numbers(range)) => cut(cuts, limits(range, |it| i128::from(*it))),
            (Values::Times(cuts), Positive::Times(range)) => cut(cuts, limits(range, instant)),
            (Values::Elapsed(cuts), Positive::Elapsed(range)) => cut(cuts, limits(range, |it| *it)),
            (Values::Text(texts), asked) => drop(texts.classes_of(asked)),
            _ => {}
        }
    }

    /// To be called when every criterion is registered.
    pub(crate) fn finish(&mut self) {
        match &mut self.values {
            Values::Numbers(cuts) | Values::Times(cuts) | Values::Elapsed(cuts) => {
                cuts.sort_unstable();
                cuts.dedup();
            }
            Values::Text(texts) => texts.finish(),
            _ => {}
        }
    }

    /// The criterion, or its opposite, in classes.
    pub(crate) fn test(&mut self, criterion: &Checked, opposite: bool) -> Asked {
        let negated = criterion.predicate.negated != opposite;
        let one = |classes: ClassSet| {
            let classes = if negated { classes.complement() } else { classes };
            Asked { tests: vec![Test::One(classes)], exact: true }
        };
        let any = |classes: Vec<u32>| Asked { tests: vec![Test::Any { classes, negated }], exact: true };
        match (&mut self.values, &criterion.predicate.positive) {
            (Values::IdSet(_) | Values::TextSet(_) | Values::Text(_), Positive::Present) => {
                Asked { tests: vec![Test::Any { classes: vec![EMPTY], negated: !negated }], exact: true }
            }
            (_, Positive::Present) => one(ClassSet::points([EMPTY]).complement()),
            (Values::Flag, Positive::Flag(flag)) => one(ClassSet::points([flag_class(*flag)])),
            (Values::Ids(known), Positive::Ids(ids)) => {
                one(ClassSet::points(ids.iter().filter_map(|id| known.get(&id.as_u128())).copied()))
            }
            (Values::Choices(known), Positive::Choices(names)) => {
                one(ClassSet::points(names.iter().filter_map(|name| known.get(name)).copied()))
            }
            (Values::Numbers(cuts), Positive::Numbers(range)) => one(span(cuts, limits(range, |it| i128::from(*it)))),
            (Values::Times(cuts), Positive::Times(range)) => one(span(cuts, limits(range, instant))),
            (Values::Elapsed(cuts), Positive::Elapsed(range)) => {
                // An empty time is neither within the last nor the next.
                one(span(cuts, limits(range, |it| *it)))
            }
            (Values::Changed, Positive::Changed(None)) => one(ClassSet::points([flag_class(true)])),
            // What it was or is, is left to be evaluated.
            (Values::Changed, Positive::Changed(Some(_))) if !negated => {
                Asked { tests: vec![Test::One(ClassSet::points([flag_class(true)]))], exact: false }
            }
            (Values::IdSet(known), Positive::IdSet(relation, ids)) => {
                let classes = ids.iter().filter_map(|id| known.get(&id.as_u128())).copied();
                members(*relation, negated, classes.collect())
            }
            (Values::TextSet(known), Positive::TextSet(relation, texts)) => {
                let classes = texts.iter().filter_map(|text| known.get(text)).copied();
                members(*relation, negated, classes.collect())
            }
            (Values::Text(texts), asked @ Positive::Matches(_)) => {
                let classes = if negated { Vec::new() } else { texts.classes_of(asked) };
                let tests = if classes.is_empty() { Vec::new() } else { vec![Test::Any { classes, negated }] };
                Asked { tests, exact: false }
            }
            (Values::Text(texts), asked) => any(texts.classes_of(asked)),
            _ => Asked { tests: Vec::new(), exact: false },
        }
    }

    /// The class of a record's value. For a field that may be in several, these are added to the list, and the answer
    /// is OTHER.
    pub(crate) fn read(&self, record: &Record, buffer: &mut String, classes: &mut Vec<u32>) -> u32 {
        let value = match record.get(self.field) {
            Fact::Unknown => return UNKNOWN,
            now if matches!(self.values, Values::Changed) => {
                return match record.before(self.field) {
                    None => flag_class(false),
                    Some(Fact::Unknown) => UNKNOWN,
                    Some(before) => flag_class(now != before),
                };
            }
            Fact::Empty => {
                if self.is_multiple() {
                    classes.push(EMPTY);
                    return OTHER;
                }
                return EMPTY;
            }
            Fact::Known(value) => value,
        };
        match (&self.values, value) {
            (Values::Flag, Value::Flag(flag)) => return flag_class(*flag),
            (Values::Ids(known), Value::Id(id)) => return known.get(&id.as_u128()).copied().unwrap_or(OTHER),
            (Values::Choices(known), Value::Choice(name)) => return known.get(name).copied().unwrap_or(OTHER),
            (Values::Numbers(cuts), Value::Number(number)) => return range_of(cuts, i128::from(*number)),
            (Values::Times(cuts), Value::Time(time)) => return range_of(cuts, instant(time)),
            (Values::Elapsed(cuts), Value::Time(time)) => {
                return record.now().map_or(UNKNOWN, |now| range_of(cuts, elapsed(time, &now)));
            }
            (Values::IdSet(known), Value::IdSet(ids)) => {
                classes.extend(ids.iter().filter_map(|id| known.get(&id.as_u128())));
            }
            (Values::TextSet(known), Value::TextSet(texts)) => {
                classes.extend(texts.iter().filter_map(|text| known.get(text)));
            }
            (Values::Text(texts), Value::Text(text)) => texts.read(text, buffer, classes),
            // A value of another type can come only from a record of another schema: then nobody knows.
            _ => return UNKNOWN,
        }
        OTHER
    }
}

fn flag_class(flag: bool) -> u32 {
    FIRST + u32::from(flag)
}

fn number<K: std::hash::Hash + Eq>(known: &mut HashMap<K, u32>, key: K) {
    let next = u32::try_from(known.len()).unwrap_or(UNKNOWN).saturating_add(FIRST);
    known.entry(key).or_insert(next);
}

/// What a set must have at least, in classes.
fn members(relation: Relation, negated: bool, classes: Vec<u32>) -> Asked {
    match relation {
        Relation::Shares => Asked { tests: vec![Test::Any { classes, negated }], exact: true },
        Relation::Same | Relation::IncludesAll if negated => Asked { tests: Vec::new(), exact: false },
        // Each of them has to be there.
        Relation::Same | Relation::IncludesAll => {
            let exact = relation == Relation::IncludesAll && classes.len() <= MOST_TESTS;
            let each = classes.into_iter().take(MOST_TESTS);
            Asked { tests: each.map(|class| Test::Any { classes: vec![class], negated: false }).collect(), exact }
        }
    }
}

/// A time as a number of the same order.
fn instant(time: &DateTime<Utc>) -> i128 {
    // A leap second has up to two seconds of nanoseconds.
    i128::from(time.timestamp()) * 2_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}

/// The least and the greatest of a range, both included.
fn limits<T>(range: &Range<T>, read: impl Fn(&T) -> i128) -> (i128, i128) {
    let low = match &range.0 {
        Bound::Included(low) => read(low),
        Bound::Excluded(low) => read(low) + 1,
        Bound::Unbounded => i128::MIN,
    };
    let high = match &range.1 {
        Bound::Included(high) => read(high),
        Bound::Excluded(high) => read(high) - 1,
        Bound::Unbounded => i128::MAX,
    };
    (low, high)
}

fn cut(cuts: &mut Vec<i128>, (low, high): (i128, i128)) {
    cuts.extend((low > i128::MIN).then_some(low));
    cuts.extend(high.checked_add(1));
}

fn range_of(cuts: &[i128], value: i128) -> u32 {
    u32::try_from(cuts.partition_point(|cut| *cut <= value)).unwrap_or(UNKNOWN).saturating_add(OTHER)
}

fn span(cuts: &[i128], (low, high): (i128, i128)) -> ClassSet {
    if low > high { ClassSet::points([]) } else { ClassSet::between(range_of(cuts, low), range_of(cuts, high)) }
}
