//! What is wrong with criteria or a rule.

use std::sync::Arc;

use crate::compile::{MAX_CRITERIA, MAX_DEPTH, MAX_VALUES};
use crate::definition::GroupKind;
use crate::operator::{Arity, Operator};
use crate::pattern::{MAX_PATTERN_LENGTH, MAX_PATTERN_SIZE, MAX_PATTERNS};
use crate::schema::FieldType;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {kind}")]
pub struct Problem {
    /// Where: `criteria.groups[1].criteria[0].values[0]`, `outcomes[1].field`.
    pub path: String,
    /// What. Its text is a sentence for people.
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The schema has no such field.
    #[error("There is no field `{0}`.")]
    UnknownField(String),
    /// The operator means nothing for the field's type.
    #[error("{operator} does not work on {kind}; use one of {}.", names(*kind))]
    WrongOperator {
        /// The operator.
        operator: Operator,
        /// The field's type.
        kind: FieldType,
    },
    /// A pattern that is no regular expression.
    #[error("The pattern is not a regular expression: {0}.")]
    BadPattern(String),
    /// A pattern with too many characters.
    #[error("A pattern has at most {MAX_PATTERN_LENGTH} characters.")]
    PatternTooLong,
    /// A pattern that takes too much memory.
    #[error("The pattern takes more than {} KiB when compiled; repeat less, or name fewer characters.", MAX_PATTERN_SIZE >> 10)]
    PatternTooLarge,
    /// Rules with too many patterns.
    #[error("The rules have {0} patterns; together they may have {MAX_PATTERNS}.")]
    TooManyPatterns(usize),
    /// A length of time that is not above zero.
    #[error("The length of time must be 1 second or more.")]
    NoLength,
    /// Too few or too many values.
    #[error("{operator} takes {}, not {found}.", takes(*operator))]
    WrongCount {
        /// The operator.
        operator: Operator,
        /// How many were given.
        found: usize,
    },
    /// A value of another type.
    #[error("The value must be {expected}, not {found}.")]
    WrongValue {
        /// What the field needs.
        expected: FieldType,
        /// What was given.
        found: FieldType,
    },
    /// An empty text to compare with.
    #[error("The value must not be empty; use HAS_VALUE or HAS_NO_VALUE to ask for emptiness.")]
    EmptyValue,
    /// The lower value of BETWEEN is above the upper one.
    #[error("The first value must not be above the second.")]
    Reversed,
    /// A name that the field does not have among its choices.
    #[error("`{name}` is none of {}.", choices.join(", "))]
    UnknownChoice {
        /// The name.
        name: Arc<str>,
        /// The names to choose from.
        choices: Arc<[Arc<str>]>,
    },
    /// A group without items.
    #[error("{0} needs at least one item; only ALL at the top may have none, and always holds.")]
    EmptyGroup(GroupKind),
    /// NOT with more than one item.
    #[error("NOT takes exactly one item, not {0}; put ALL or ANY inside it.")]
    NotTakesOne(usize),
    /// Groups nested too deep.
    #[error("Groups nest at most {MAX_DEPTH} deep.")]
    TooDeep,
    /// Too many criteria.
    #[error("There are more than {MAX_CRITERIA} criteria.")]
    TooManyCriteria,
    /// An outcome that would clear its field.
    #[error("An outcome must give a value; leave it out to change nothing.")]
    EmptyOutcome,
    /// Two outcomes of one rule on one field.
    #[error("The field `{0}` has an outcome already.")]
    OutcomeTwice(String),
    /// Adding to a field that is not a set.
    #[error("Values can be added to a set only, not to {0}.")]
    AddToNoSet(FieldType),
}

fn takes(operator: Operator) -> String {
    match operator.arity() {
        Arity::Zero => "no value".to_owned(),
        Arity::One => "exactly one value".to_owned(),
        Arity::Two => "exactly two values".to_owned(),
        Arity::Many => format!("1 to {MAX_VALUES} values"),
    }
}

fn names(kind: FieldType) -> String {
    Operator::of(kind).iter().map(|operator| operator.name()).collect::<Vec<_>>().join(", ")
}
