//! What whoever asks knows of the records there can be.

use crate::compile::Compiled;
use crate::record::Record;
use crate::rule::AppliesTo;
use crate::schema::{FieldId, FieldSet};

/// When rules run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// When something is new.
    New,
    /// When something is updated.
    Existing,
    /// When somebody asks for one rule.
    Asked,
}

impl When {
    /// When rules of this use run by themselves; those that run only when asked for, when asked.
    #[must_use]
    pub fn of(applies_to: AppliesTo) -> &'static [When] {
        match applies_to {
            AppliesTo::NewAndExisting => &[When::New, When::Existing],
            AppliesTo::New => &[When::New],
            AppliesTo::Existing => &[When::Existing],
            AppliesTo::Manual => &[When::Asked],
        }
    }
}

/// Something that is never false of a record when rules look at it, whatever rules before them did.
#[derive(Debug)]
pub struct Law {
    /// It is of interest to whoever asks about one of these fields.
    pub about: FieldSet,
    /// What is never false.
    pub criteria: Compiled,
}

/// What is known of the records there can be. Fewer laws make for fewer findings, never for false ones, as long as
/// [`realize`](World::realize) gives only records that can be.
pub trait World {
    /// A record as plain as there can be, which knows the time: what a record holds of which nothing is asked.
    fn plain(&self, when: When) -> &Record;

    /// What holds for every record then.
    fn laws(&self, when: When) -> &[Law];

    /// The fields whose values nobody may know.
    fn may_be_unknown(&self) -> &FieldSet;

    /// The fields that change whenever this one does, itself among them; none if neither an update nor a rule ever
    /// changes it.
    fn along(&self, field: FieldId) -> FieldSet;

    /// The record that there can be and that has these values in the fields that are `asked`; none if there is none.
    fn realize(&self, model: Record, asked: &FieldSet, when: When) -> Option<Record>;

    /// Whether to go on; asked now and then.
    fn goes_on(&self) -> bool {
        true
    }
}
