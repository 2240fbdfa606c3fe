//! What lint finds.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::world::When;
use crate::record::Record;
use crate::schema::{FieldId, FieldSet};
use crate::walk::Occasion;

/// A record that shows a finding: the rules were run on it.
#[derive(Debug, Clone)]
pub struct Witness {
    /// The record as it is before the rules run.
    pub record: Record,
    /// The fields that a rule or a law asks about; the others are as plain as there can be.
    pub asked: FieldSet,
    /// When they run.
    pub when: When,
    /// Why they run.
    pub occasion: Occasion,
}

/// Something that is wrong with rules, and what shows it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: Uuid,
    /// What is wrong.
    pub kind: FindingKind,
    /// Where the criteria stand that show it, such as `criteria.groups[1].criteria[0]`; `criteria` for all of them.
    pub places: Vec<String>,
    /// A record that shows it; none where the places do.
    pub witness: Option<Witness>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingKind {
    /// No record there can be meets the criteria; the places are few that already contradict each other.
    NeverMatches,
    /// It runs on updates alone, and none of its criteria is on a field that an update, or a rule, can change.
    NeverAsked,
    /// Whenever it would match, one of these rules matches before it and ends the walk.
    Shadowed {
        /// The rules that end the walk.
        by: Vec<Uuid>,
        /// When that is so.
        when: Vec<When>,
        /// Whether it runs at no other time.
        entirely: bool,
    },
    /// Another rule of the same precedence matches the same record and sets the field differently.
    Conflict {
        /// The other rule, which runs later and so wins.
        with: Uuid,
        /// The field.
        field: FieldId,
    },
    /// What stands at the place holds on every record on which it is known.
    AlwaysTrue,
}

/// What could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// Whether the rule can ever match.
    Match,
    /// Whether it is shadowed.
    Shadow,
    /// Whether it conflicts with another rule.
    Conflict,
    /// Whether a criterion is always true.
    Always,
}

/// Why it could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// Looking further would have taken too long.
    TooLong,
    /// There may be values that show it, of texts above all, but none was found.
    NoValue,
    /// Rules before it may change what it asks for.
    Chained,
}

/// A question that was left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The rule.
    pub rule: Uuid,
    /// The question.
    pub question: Question,
    /// The other rule, for a conflict; the one that may end the walk, for a shadow.
    pub other: Option<Uuid>,
    /// Where the criterion stands, if it is about one.
    pub place: Option<String>,
    /// Why.
    pub why: Why,
}

/// Everything that lint found.
#[derive(Debug, Clone, Default)]
pub struct Lint {
    /// What is wrong: of the rules in their order.
    pub findings: Vec<Finding>,
    /// What is open.
    pub undecided: Vec<Undecided>,
    /// How many pairs of rules of one precedence with an outcome for one field were not looked at, as there were too
    /// many.
    pub pairs_left: u64,
    /// Rules that do match, each with a record on which it does.
    pub live: BTreeMap<Uuid, Witness>,
    /// Whether it was told to end before it had looked at everything.
    pub ended_early: bool,
}
