//! The operators, the types they work on and how many values they take.

use std::fmt;

use crate::schema::FieldType;

/// How many values an operator takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arity {
    /// None.
    Zero,
    /// Exactly one.
    One,
    /// A lower and an upper one.
    Two,
    /// One or more.
    Many,
}

/// What a criterion asks of its field. The crate's front page has the table of what each answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// It is the value.
    Is,
    /// It is not the value.
    IsNot,
    /// It is one of the values.
    AnyOf,
    /// It is none of the values.
    NoneOf,
    /// It has a value.
    HasValue,
    /// It has none.
    HasNoValue,
    /// It is the same set.
    Equals,
    /// It shares one or more members with the values.
    Includes,
    /// Every one of the values is a member.
    IncludesAll,
    /// It shares no member with the values.
    DoesNotInclude,
    /// The value occurs in it.
    Contains,
    /// The value does not occur in it.
    DoesNotContain,
    /// It starts with the value.
    StartsWith,
    /// It ends with the value.
    EndsWith,
    /// It is below, or before, the value.
    Less,
    /// It is the value or below.
    LessOrEqual,
    /// It is above, or after, the value.
    Greater,
    /// It is the value or above.
    GreaterOrEqual,
    /// It is one of the two values or between them.
    Between,
}

use Operator::{
    AnyOf, Between, Contains, DoesNotContain, DoesNotInclude, EndsWith, Equals, Greater, GreaterOrEqual, HasNoValue,
    HasValue, Includes, IncludesAll, Is, IsNot, Less, LessOrEqual, NoneOf, StartsWith,
};

impl Operator {
    /// Every operator.
    pub const ALL: [Operator; 19] = [
        Is,
        IsNot,
        AnyOf,
        NoneOf,
        HasValue,
        HasNoValue,
        Equals,
        Includes,
        IncludesAll,
        DoesNotInclude,
        Contains,
        DoesNotContain,
        StartsWith,
        EndsWith,
        Less,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
        Between,
    ];

    /// The operators that a field of this type understands.
    #[must_use]
    pub fn of(kind: FieldType) -> &'static [Operator] {
        match kind {
            FieldType::Id | FieldType::Choice => &[Is, IsNot, AnyOf, NoneOf, HasValue, HasNoValue],
            FieldType::IdSet | FieldType::TextSet => {
                &[Equals, Includes, IncludesAll, DoesNotInclude, HasValue, HasNoValue]
            }
            FieldType::Text => {
                &[Is, IsNot, AnyOf, NoneOf, Contains, DoesNotContain, StartsWith, EndsWith, HasValue, HasNoValue]
            }
            FieldType::Number | FieldType::Time => {
                &[Is, IsNot, Less, LessOrEqual, Greater, GreaterOrEqual, Between, HasValue, HasNoValue]
            }
            FieldType::Flag => &[Is],
        }
    }

    /// How many values it takes.
    #[must_use]
    pub fn arity(self) -> Arity {
        match self {
            HasValue | HasNoValue => Arity::Zero,
            Is | IsNot | Contains | DoesNotContain | StartsWith | EndsWith | Less | LessOrEqual | Greater
            | GreaterOrEqual => Arity::One,
            Between => Arity::Two,
            AnyOf | NoneOf | Equals | Includes | IncludesAll | DoesNotInclude => Arity::Many,
        }
    }

    /// Whether it is the opposite of another operator, and so holds on a field known to be empty.
    #[must_use]
    pub fn is_negative(self) -> bool {
        matches!(self, IsNot | NoneOf | HasNoValue | DoesNotInclude | DoesNotContain)
    }

    /// Its name in capitals, as in the table of operators.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Is => "IS",
            IsNot => "IS_NOT",
            AnyOf => "ANY_OF",
            NoneOf => "NONE_OF",
            HasValue => "HAS_VALUE",
            HasNoValue => "HAS_NO_VALUE",
            Equals => "EQUALS",
            Includes => "INCLUDES",
            IncludesAll => "INCLUDES_ALL",
            DoesNotInclude => "DOES_NOT_INCLUDE",
            Contains => "CONTAINS",
            DoesNotContain => "DOES_NOT_CONTAIN",
            StartsWith => "STARTS_WITH",
            EndsWith => "ENDS_WITH",
            Less => "LESS",
            LessOrEqual => "LESS_OR_EQUAL",
            Greater => "GREATER",
            GreaterOrEqual => "GREATER_OR_EQUAL",
            Between => "BETWEEN",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
