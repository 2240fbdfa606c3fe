//! One criterion, compiled to a predicate of a value.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::fold::{self, Pattern, fold};
use crate::operator::Operator;
use crate::pattern::Matcher;
use crate::record::{Fact, Record};
use crate::schema::{FieldId, FieldType};
use crate::truth::Truth;
use crate::value::{IdSet, Set, TextSet, Value};

pub(crate) type Range<T> = (Bound<T>, Bound<T>);

/// A second in nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// A criterion, ready to ask. A negative operator is its positive one turned round, on an empty field too.
#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) positive: Positive,
    pub(crate) negated: bool,
}

/// What a positive operator asks of a known value. Values are sorted where one of several is looked for.
#[derive(Debug)]
pub(crate) enum Positive {
    Present,
    Flag(bool),
    Ids(IdSet),
    Choices(TextSet),
    Texts(TextSet),
    FoldedTexts(Set<Box<str>>),
    Part(Place, Arc<str>),
    FoldedPart(Place, Box<str>),
    Pattern(Pattern),
    Numbers(Range<i64>),
    Times(Range<DateTime<Utc>>),
    IdSet(Relation, IdSet),
    TextSet(Relation, TextSet),
    Matches(Box<Matcher>),
    /// How long ago, in nanoseconds.
    Elapsed(Range<i128>),
    /// Whether it is within the hours of a calendar, or outside.
    Hours {
        calendar: Uuid,
        within: bool,
    },
    /// That it changed, and what it was before or is now.
    Changed(Option<Box<(When, Positive)>>),
}

/// On which side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    Now,
}

/// Where in a text a part is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Anywhere,
    Start,
    End,
}

/// What a set has to do with the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Same,
    Shares,
    IncludesAll,
}

impl Predicate {
    /// The predicate of a criterion whose operator, number and kind of values were checked.
    pub(crate) fn new(
        kind: FieldType,
        operator: Operator,
        values: &[Value],
        case_sensitive: bool,
    ) -> Option<Predicate> {
        let positive = match (operator, kind) {
            (Operator::Changed, _) => Positive::Changed(None),
            (Operator::ChangedFrom | Operator::ChangedTo, _) => {
                let when = if operator == Operator::ChangedFrom { When::Before } else { When::Now };
                let is = Predicate::new(kind, Operator::Is, values, case_sensitive)?;
                Positive::Changed(Some(Box::new((when, is.positive))))
            }
            (Operator::WithinLast | Operator::WithinNext, _) => {
                let length = i128::from(values.first()?.as_number()?) * SECOND;
                let (low, high) = if operator == Operator::WithinLast { (0, length) } else { (-length, 0) };
                Positive::Elapsed((Bound::Included(low), Bound::Included(high)))
            }
            (Operator::WithinHours | Operator::OutsideHours, _) => {
                Positive::Hours { calendar: values.first()?.as_id()?, within: operator == Operator::WithinHours }
            }
            (Operator::HasValue | Operator::HasNoValue, _) => Positive::Present,
            (_, FieldType::Flag) => Positive::Flag(values.first()?.as_flag()?),
            (_, FieldType::Id) => Positive::Ids(values.iter().filter_map(Value::as_id).collect()),
            (_, FieldType::Choice) => Positive::Choices(values.iter().filter_map(Value::as_choice).cloned().collect()),
            (_, FieldType::Number) => Positive::Numbers(range(operator, values, Value::as_number)?),
            (_, FieldType::Time) => Positive::Times(range(operator, values, Value::as_time)?),
            (_, FieldType::IdSet) => {
                Positive::IdSet(relation(operator)?, values.iter().filter_map(Value::as_id).collect())
            }
            (_, FieldType::TextSet) => {
                Positive::TextSet(relation(operator)?, values.iter().filter_map(Value::as_text).cloned().collect())
            }
            (_, FieldType::Text) => text(operator, values, case_sensitive)?,
        };
        Some(Predicate { positive, negated: operator.is_negative() })
    }

    /// The predicate of a pattern.
    pub(crate) fn matches(matcher: Matcher) -> Predicate {
        Predicate { positive: Positive::Matches(Box::new(matcher)), negated: false }
    }

    /// What the criterion answers on what is known of its field.
    pub(crate) fn on(&self, field: FieldId, record: &Record) -> Truth {
        let fact = record.get(field);
        match (&self.positive, fact) {
            (_, Fact::Unknown) => Truth::Unknown,
            (Positive::Changed(was), _) => change(was.as_deref(), fact, record.before(field)),
            (_, Fact::Empty) => Truth::from(self.negated),
            (Positive::Elapsed(wanted), Fact::Known(Value::Time(time))) => {
                record.now().map_or(Truth::Unknown, |now| Truth::from(wanted.contains(&elapsed(time, &now))))
            }
            (Positive::Hours { calendar, within }, Fact::Known(Value::Time(time))) => {
                let is_within = record.hours().and_then(|hours| hours.contain(*calendar, *time));
                is_within.map_or(Truth::Unknown, |is_within| Truth::from(is_within == *within))
            }
            // A value of another type can come only from a record of another schema: then nobody knows.
            (positive, Fact::Known(value)) => {
                positive.holds(value).map_or(Truth::Unknown, |holds| Truth::from(holds != self.negated))
            }
        }
    }
}

/// Whether a field changed, and was or is a value if one is asked for.
fn change(wanted: Option<&(When, Positive)>, now: &Fact, before: Option<&Fact>) -> Truth {
    let Some(before) = before else { return Truth::False };
    let changed = if *before == Fact::Unknown { Truth::Unknown } else { Truth::from(now != before) };
    let Some((when, wanted)) = wanted else { return changed };
    let seen = if *when == When::Before { before } else { now };
    let is = match seen {
        Fact::Unknown => Truth::Unknown,
        Fact::Empty => Truth::False,
        Fact::Known(value) => wanted.holds(value).map_or(Truth::Unknown, Truth::from),
    };
    changed.and(is)
}

/// How long ago a time was, in nanoseconds; below zero if it is to come.
pub(crate) fn elapsed(time: &DateTime<Utc>, now: &DateTime<Utc>) -> i128 {
    let nanoseconds =
        |it: &DateTime<Utc>| i128::from(it.timestamp()) * SECOND + i128::from(it.timestamp_subsec_nanos());
    nanoseconds(now) - nanoseconds(time)
}

impl Positive {
    pub(crate) fn holds(&self, value: &Value) -> Option<bool> {
        Some(match (self, value) {
            (Positive::Present, _) => true,
            (Positive::Flag(wanted), Value::Flag(seen)) => wanted == seen,
            (Positive::Ids(wanted), Value::Id(seen)) => wanted.contains(seen),
            (Positive::Choices(wanted), Value::Choice(seen)) => wanted.contains(seen),
            (Positive::Texts(wanted), Value::Text(seen)) => wanted.contains(seen),
            (Positive::FoldedTexts(wanted), Value::Text(seen)) => {
                wanted.binary_search_by(|one| one.chars().cmp(fold(seen))).is_ok()
            }
            (Positive::Part(Place::Anywhere, wanted), Value::Text(seen)) => seen.contains(&**wanted),
            (Positive::Part(Place::Start, wanted), Value::Text(seen)) => seen.starts_with(&**wanted),
            (Positive::Part(Place::End, wanted), Value::Text(seen)) => seen.ends_with(&**wanted),
            (Positive::FoldedPart(Place::End, wanted), Value::Text(seen)) => fold::ends_with(seen, wanted),
            (Positive::FoldedPart(_, wanted), Value::Text(seen)) => fold::starts_with(seen, wanted),
            (Positive::Pattern(wanted), Value::Text(seen)) => wanted.occurs_in(seen),
            (Positive::Matches(wanted), Value::Text(seen)) => wanted.regex.is_match(seen),
            (Positive::Numbers(wanted), Value::Number(seen)) => wanted.contains(seen),
            (Positive::Times(wanted), Value::Time(seen)) => wanted.contains(seen),
            (Positive::IdSet(relation, wanted), Value::IdSet(seen)) => relates(*relation, seen, wanted),
            (Positive::TextSet(relation, wanted), Value::TextSet(seen)) => relates(*relation, seen, wanted),
            _ => return None,
        })
    }
}

fn relates<T: Ord>(relation: Relation, seen: &Set<T>, wanted: &Set<T>) -> bool {
    match relation {
        Relation::Same => seen == wanted,
        Relation::Shares => seen.shares(wanted),
        Relation::IncludesAll => seen.includes_all(wanted),
    }
}

fn relation(operator: Operator) -> Option<Relation> {
    match operator {
        Operator::Equals => Some(Relation::Same),
        Operator::Includes | Operator::DoesNotInclude => Some(Relation::Shares),
        Operator::IncludesAll => Some(Relation::IncludesAll),
        _ => None,
    }
}

fn range<T: Copy>(operator: Operator, values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Range<T>> {
    let first = read(values.first()?)?;
    Some(match operator {
        Operator::Is | Operator::IsNot => (Bound::Included(first), Bound::Included(first)),
        Operator::Less => (Bound::Unbounded, Bound::Excluded(first)),
        Operator::LessOrEqual => (Bound::Unbounded, Bound::Included(first)),
        Operator::Greater => (Bound::Excluded(first), Bound::Unbounded),
        Operator::GreaterOrEqual => (Bound::Included(first), Bound::Unbounded),
        Operator::Between => (Bound::Included(first), Bound::Included(read(values.get(1)?)?)),
        _ => return None,
    })
}

fn text(operator: Operator, values: &[Value], case_sensitive: bool) -> Option<Positive> {
    let place = match operator {
        Operator::Contains | Operator::DoesNotContain => Place::Anywhere,
        Operator::StartsWith => Place::Start,
        Operator::EndsWith => Place::End,
        _ if !case_sensitive => {
            let texts = values.iter().filter_map(Value::as_text);
            return Some(Positive::FoldedTexts(texts.map(|text| fold(text).collect::<Box<str>>()).collect()));
        }
        _ => return Some(Positive::Texts(values.iter().filter_map(Value::as_text).cloned().collect())),
    };
    let wanted = values.first()?.as_text()?;
    Some(match place {
        _ if case_sensitive => Positive::Part(place, wanted.clone()),
        Place::Anywhere => Positive::Pattern(Pattern::new(wanted)),
        Place::Start | Place::End => Positive::FoldedPart(place, fold(wanted).collect()),
    })
}
