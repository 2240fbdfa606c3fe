//! The values of fields and criteria.

use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::schema::FieldType;

/// A set: sorted, each member once. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T>(Arc<[T]>);

/// A set of ids.
pub type IdSet = Set<Uuid>;

/// A set of texts, such as tags.
pub type TextSet = Set<Arc<str>>;

impl<T: Ord> Set<T> {
    /// Whether this is a member.
    #[must_use]
    pub fn contains(&self, member: &T) -> bool {
        self.0.binary_search(member).is_ok()
    }

    /// Whether the two share a member.
    #[must_use]
    pub fn shares(&self, other: &Set<T>) -> bool {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        few.iter().any(|member| many.contains(member))
    }

    /// Whether every member of the other is in this one.
    #[must_use]
    pub fn includes_all(&self, other: &Set<T>) -> bool {
        other.len() <= self.len() && other.iter().all(|member| self.contains(member))
    }
}

impl<T: Ord + Clone> Set<T> {
    /// The members of either.
    #[must_use]
    pub fn union(&self, other: &Set<T>) -> Set<T> {
        if self.includes_all(other) {
            return self.clone();
        }
        self.iter().chain(other.iter()).cloned().collect()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Set<T> {
        let mut members: Vec<T> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        Set(members.into())
    }
}

/// The members, in order.
impl<T> Deref for Set<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// A value: of a field, or one that a criterion compares with. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// The id of a record.
    Id(Uuid),
    /// A set of ids.
    IdSet(IdSet),
    /// One name out of a list.
    Choice(Arc<str>),
    /// A text.
    Text(Arc<str>),
    /// A set of texts.
    TextSet(TextSet),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
    /// A point in time.
    Time(DateTime<Utc>),
}

impl Value {
    /// No values: for an operator that takes none.
    pub const NONE: [Value; 0] = [];

    /// One name out of a list.
    #[must_use]
    pub fn choice(name: &str) -> Value {
        Value::Choice(name.into())
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FieldType {
        match self {
            Value::Id(_) => FieldType::Id,
            Value::IdSet(_) => FieldType::IdSet,
            Value::Choice(_) => FieldType::Choice,
            Value::Text(_) => FieldType::Text,
            Value::TextSet(_) => FieldType::TextSet,
            Value::Number(_) => FieldType::Number,
            Value::Flag(_) => FieldType::Flag,
            Value::Time(_) => FieldType::Time,
        }
    }

    /// Whether it is an empty text, name or set, which in a record is the same as no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Value::IdSet(set) => set.is_empty(),
            Value::Choice(text) | Value::Text(text) => text.is_empty(),
            Value::TextSet(set) => set.is_empty(),
            Value::Id(_) | Value::Number(_) | Value::Flag(_) | Value::Time(_) => false,
        }
    }

    pub(crate) fn as_id(&self) -> Option<Uuid> {
        if let Value::Id(id) = self { Some(*id) } else { None }
    }

    pub(crate) fn as_choice(&self) -> Option<&Arc<str>> {
        if let Value::Choice(name) = self { Some(name) } else { None }
    }

    pub(crate) fn as_text(&self) -> Option<&Arc<str>> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_number(&self) -> Option<i64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn as_flag(&self) -> Option<bool> {
        if let Value::Flag(flag) = self { Some(*flag) } else { None }
    }

    pub(crate) fn as_time(&self) -> Option<DateTime<Utc>> {
        if let Value::Time(time) = self { Some(*time) } else { None }
    }
}

macro_rules! from {
    ($($from:ty => $make:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                $make(value)
            }
        })*
    };
}

from! {
    Uuid => Value::Id,
    IdSet => Value::IdSet,
    Arc<str> => Value::Text,
    &str => |text| Value::Text(Arc::from(text)),
    String => |text| Value::Text(Arc::from(text)),
    TextSet => Value::TextSet,
    i64 => Value::Number,
    bool => Value::Flag,
    DateTime<Utc> => Value::Time,
}
