//! What is known of the thing that criteria are asked about.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::schema::{FieldId, FieldSet, FieldType, Schema};
use crate::value::Value;

/// What is known of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Fact {
    /// It holds this value.
    Known(Value),
    /// It is known to hold none.
    Empty,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl Fact {
    /// A value, or for `None` the knowledge that there is none.
    #[must_use]
    pub fn known(value: Option<impl Into<Value>>) -> Fact {
        value.map_or(Fact::Empty, Fact::from)
    }
}

/// An empty text or set becomes [`Fact::Empty`].
impl<T: Into<Value>> From<T> for Fact {
    fn from(value: T) -> Fact {
        let value = value.into();
        if value.is_empty() { Fact::Empty } else { Fact::Known(value) }
    }
}

/// Why a fact cannot be put into a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The field holds another type.
    #[error("the field `{field}` holds {expected}, not {found}")]
    WrongType {
        /// The field's name.
        field: String,
        /// What it holds.
        expected: FieldType,
        /// What was given.
        found: FieldType,
    },
    /// The field is of another, larger schema.
    #[error("the record has no field {}", .0.index())]
    NoSuchField(FieldId),
}

/// The hours of calendars, for WITHIN_HOURS and OUTSIDE_HOURS. The answer must never change, and should not allocate.
pub trait Hours: fmt::Debug + Send + Sync {
    /// Whether a time is within the hours of a calendar; none if nobody knows this calendar.
    fn contain(&self, calendar: Uuid, time: DateTime<Utc>) -> Option<bool>;
}

/// What is known of every field of a schema.
#[derive(Debug, Clone)]
pub struct Record {
    schema: Schema,
    facts: Vec<Fact>,
    before: Option<Arc<[Fact]>>,
    now: Option<DateTime<Utc>>,
    hours: Option<Arc<dyn Hours>>,
}

impl Record {
    /// A record of which nothing is known.
    #[must_use]
    pub fn new(schema: &Schema) -> Record {
        Record::of(schema, Fact::Unknown)
    }

    /// A record whose every field is known to be empty.
    #[must_use]
    pub fn empty(schema: &Schema) -> Record {
        Record::of(schema, Fact::Empty)
    }

    fn of(schema: &Schema, fact: Fact) -> Record {
        Record {
            schema: schema.clone(),
            facts: vec![fact; schema.fields().len()],
            before: None,
            now: None,
            hours: None,
        }
    }

    /// Says what was known before the update that this record shows. Without, nothing counts as changed.
    pub fn set_before(&mut self, before: &Record) {
        self.before = Some(before.facts.as_slice().into());
    }

    /// What was known of the field before the update; none if this is not about an update.
    #[must_use]
    pub fn before(&self, field: FieldId) -> Option<&Fact> {
        Some(self.before.as_ref()?.get(field.index()).unwrap_or(&Fact::Unknown))
    }

    /// Says which time criteria see as now. Without, nobody knows how long ago or how far off a time is.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.now = Some(now);
    }

    /// The time that criteria see as now.
    #[must_use]
    pub fn now(&self) -> Option<DateTime<Utc>> {
        self.now
    }

    /// Says which hours calendars have. Without, nobody knows what is within them.
    pub fn set_hours(&mut self, hours: Arc<dyn Hours>) {
        self.hours = Some(hours);
    }

    /// The hours of calendars.
    #[must_use]
    pub fn hours(&self) -> Option<&dyn Hours> {
        self.hours.as_deref()
    }

    /// The schema it was made for.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What is known of the field; UNKNOWN if the field is of another, larger schema.
    #[must_use]
    pub fn get(&self, field: FieldId) -> &Fact {
        self.facts.get(field.index()).unwrap_or(&Fact::Unknown)
    }

    /// Sets what is known of the field.
    ///
    /// # Errors
    ///
    /// When the value is not of the field's type, or the record has no such field; nothing is set then.
    pub fn set(&mut self, field: FieldId, fact: impl Into<Fact>) -> Result<(), SetError> {
        let (Some(known), Some(place)) = (self.schema.get(field), self.facts.get_mut(field.index())) else {
            return Err(SetError::NoSuchField(field));
        };
        *place = match fact.into() {
            Fact::Known(value) if value.kind() != known.kind => {
                let (expected, found) = (known.kind, value.kind());
                return Err(SetError::WrongType { field: known.name.to_string(), expected, found });
            }
            // An empty text or set, put together by hand, becomes EMPTY.
            Fact::Known(value) => Fact::from(value),
            other => other,
        };
        Ok(())
    }

    /// The fields whose values differ between an earlier state and this one: what an update changed.
    #[must_use]
    pub fn changed_since(&self, before: &Record) -> FieldSet {
        self.schema.fields().iter().map(|field| field.id).filter(|id| self.get(*id) != before.get(*id)).collect()
    }
}
