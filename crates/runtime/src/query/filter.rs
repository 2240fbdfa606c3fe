//! Filters as AIP-160 has them, typed against the fields of a record.

use concierge_proto::{Field, PermissionSet, Value};

use super::fields::{UnknownField, Visible};
use super::filter_parse::{self, Tree};
use super::filter_value;

/// So many characters a filter can have.
pub(super) const MOST_CHARACTERS: usize = 4_000;
/// So many comparisons a filter can have.
pub(super) const MOST_COMPARISONS: usize = 100;
/// So deep parentheses and negations nest.
pub(super) const MOST_DEPTH: usize = 20;
/// So many errors are told: more would not help, and they travel in headers.
const MOST_ERRORS: usize = 10;

/// A filter that only names fields the caller may read and values of their types.
#[derive(Clone, Debug)]
pub enum Expr {
    /// All hold.
    All(Vec<Expr>),
    /// One holds at least.
    Any(Vec<Expr>),
    /// It does not hold. A comparison with an absent value does not hold, so its negation does.
    Not(Box<Expr>),
    /// A field passes a check.
    Test(&'static Field, Check),
}

/// What is asked of the value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// It is absent.
    IsNull,
    /// It is there.
    IsNotNull,
    /// It is not the empty text, list, or the unspecified enum value.
    IsNotEmpty,
    /// It compares so with this value, which is never [`Value::Null`].
    Compare(Comparison, Value),
    /// The text matches this LIKE pattern.
    Like(String),
    /// The text does not match this LIKE pattern.
    NotLike(String),
    /// The text matches this LIKE pattern, upper and lower case not told apart.
    LikeInAnyCase(String),
    /// The list has the one item of this list.
    Includes(Value),
    /// The list has an item that matches this LIKE pattern.
    IncludesLike(String),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`.
    Equal,
    /// `!=`, true for an absent value.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// What stands between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// A comparison.
    Compare(Comparison),
    /// `:`.
    Has,
}

impl Operator {
    /// Every operator, those that begin with another one first.
    pub(super) const ALL: [Self; 7] = [
        Self::Compare(Comparison::LessOrEqual),
        Self::Compare(Comparison::GreaterOrEqual),
        Self::Compare(Comparison::NotEqual),
        Self::Compare(Comparison::Equal),
        Self::Compare(Comparison::Less),
        Self::Compare(Comparison::Greater),
        Self::Has,
    ];

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Compare(Comparison::Equal) => "=",
            Self::Compare(Comparison::NotEqual) => "!=",
            Self::Compare(Comparison::Less) => "<",
            Self::Compare(Comparison::LessOrEqual) => "<=",
            Self::Compare(Comparison::Greater) => ">",
            Self::Compare(Comparison::GreaterOrEqual) => ">=",
            Self::Has => ":",
        }
    }
}

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct FilterError {
    /// The character, counted from 0.
    pub position: usize,
    /// What is wrong there.
    pub problem: FilterProblem,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterProblem {
    /// It is too long.
    #[error("a filter has {MOST_CHARACTERS} characters at most")]
    TooLong,
    /// It compares too much.
    #[error("a filter has {MOST_COMPARISONS} comparisons at most")]
    TooMany,
    /// It nests too deep.
    #[error("parentheses and negations nest {MOST_DEPTH} deep at most")]
    TooDeep,
    /// Something else should stand there.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What could stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A quoted text does not end.
    #[error("the text that begins here has no closing {quote}")]
    Unclosed {
        /// The quote it began with.
        quote: char,
    },
    /// A backslash before something that needs none.
    #[error(r#"expected one of \" \' \\ \* \n \t after a backslash; a backslash itself is written \\"#)]
    Escape,
    /// The one character that text never has.
    #[error("the character U+0000 occurs in no text")]
    Nul,
    /// The caller sees no such field.
    #[error(transparent)]
    UnknownField(UnknownField),
    /// A field that is a message.
    #[error("{field} is a message, and messages cannot be filtered by")]
    Message {
        /// The field.
        field: &'static str,
    },
    /// The field's type does not have the operator.
    #[error("{field} is {kind} and takes {takes}, not {}", operator.symbol())]
    Operator {
        /// The field.
        field: &'static str,
        /// What it holds.
        kind: &'static str,
        /// The operators that it has.
        takes: &'static str,
        /// The one that was written.
        operator: Operator,
    },
    /// The value is not of the field's type.
    #[error("{field} is compared with {expected}, not {found}")]
    Value {
        /// The field.
        field: &'static str,
        /// What would do.
        expected: String,
        /// What was written.
        found: String,
    },
    /// The field always has a value.
    #[error("{field} is never null{hint}")]
    NeverNull {
        /// The field.
        field: &'static str,
        /// What to write instead.
        hint: String,
    },
}

impl Expr {
    /// Reads a filter; `None` when it is empty. Every error is told, at most ten.
    pub fn parse(
        text: &str,
        fields: &'static [Field],
        permissions: PermissionSet,
    ) -> Result<Option<Self>, Vec<FilterError>> {
        if text.chars().nth(MOST_CHARACTERS).is_some() {
            return Err(vec![FilterError { position: MOST_CHARACTERS, problem: FilterProblem::TooLong }]);
        }
        let visible = Visible::new(fields, permissions);
        let parsed = filter_parse::parse(text);
        let mut tests = Vec::with_capacity(parsed.comparisons.len());
        let mut errors = Vec::new();
        for comparison in &parsed.comparisons {
            match filter_value::test(comparison, visible) {
                Ok(test) => tests.push(test),
                Err(error) => errors.push(error),
            }
        }
        let tree = parsed.tree.unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        if errors.is_empty() {
            return Ok(tree.map(|tree| Self::of(tree, &tests)));
        }
        shorten(&mut errors);
        Err(errors)
    }

    fn of(tree: Tree, tests: &[(&'static Field, Check)]) -> Self {
        let all = |parts: Vec<Tree>| parts.into_iter().map(|part| Self::of(part, tests)).collect();
        match tree {
            Tree::All(parts) => Self::All(all(parts)),
            Tree::Any(parts) => Self::Any(all(parts)),
            Tree::Not(part) => Self::Not(Box::new(Self::of(*part, tests))),
            Tree::Comparison(index) => Self::Test(tests[index].0, tests[index].1.clone()),
        }
    }
}

/// Drops errors beyond the limit, and repetitions of the list of known fields.
fn shorten(errors: &mut Vec<FilterError>) {
    errors.truncate(MOST_ERRORS);
    let unknown = errors.iter_mut().filter_map(|error| match &mut error.problem {
        FilterProblem::UnknownField(unknown) => Some(unknown),
        _ => None,
    });
    for repeated in unknown.skip(1) {
        repeated.known.clear();
    }
}
