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
    /// The pattern, a regular expression, matches somewhere in it.
    Matches,
    /// It is in the past by so many seconds or fewer.
    WithinLast,
    /// It is in the future by so many seconds or fewer.
    WithinNext,
    /// It is within the hours of a calendar.
    WithinHours,
    /// It is a time outside the hours of a calendar.
    OutsideHours,
    /// The update changed it.
    Changed,
    /// The update changed it, and it was the value.
    ChangedFrom,
    /// The update changed it, and it is the value.
    ChangedTo,
}

use Operator::{
    AnyOf, Between, Changed, ChangedFrom, ChangedTo, Contains, DoesNotContain, DoesNotInclude, EndsWith, Equals,
    Greater, GreaterOrEqual, HasNoValue, HasValue, Includes, IncludesAll, Is, IsNot, Less, LessOrEqual, Matches,
    NoneOf, OutsideHours, StartsWith, WithinHours, WithinLast, WithinNext,
};

impl Operator {
    /// Whether it compares with what was known before an update.
    #[must_use]
    pub fn asks_before(self) -> bool {
        matches!(self, Operator::Changed | Operator::ChangedFrom | Operator::ChangedTo)
    }

    /// Every operator.
    pub const ALL: [Operator; 27] = [
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
        Matches,
        WithinLast,
        WithinNext,
        WithinHours,
        OutsideHours,
        Changed,
        ChangedFrom,
        ChangedTo,
    ];

    /// The operators that a field of this type understands.
    #[must_use]
    pub fn of(kind: FieldType) -> &'static [Operator] {
        match kind {
            FieldType::Id | FieldType::Choice => {
                &[Is, IsNot, AnyOf, NoneOf, HasValue, HasNoValue, Changed, ChangedFrom, ChangedTo]
            }
            FieldType::IdSet | FieldType::TextSet => {
                &[Equals, Includes, IncludesAll, DoesNotInclude, HasValue, HasNoValue, Changed]
            }
            FieldType::Text => &[
                Is,
                IsNot,
                AnyOf,
                NoneOf,
                Contains,
                DoesNotContain,
                StartsWith,
                EndsWith,
                Matches,
                HasValue,
                HasNoValue,
                Changed,
                ChangedFrom,
                ChangedTo,
            ],
            FieldType::Number => &[
                Is,
                IsNot,
                Less,
                LessOrEqual,
                Greater,
                GreaterOrEqual,
                Between,
                HasValue,
                HasNoValue,
                Changed,
                ChangedFrom,
                ChangedTo,
            ],
            FieldType::Time => &[
                Is,
                IsNot,
                Less,
                LessOrEqual,
                Greater,
                GreaterOrEqual,
                Between,
                WithinLast,
                WithinNext,
                WithinHours,
                OutsideHours,
                HasValue,
                HasNoValue,
                Changed,
                ChangedFrom,
                ChangedTo,
            ],
            FieldType::Flag => &[Is, Changed, ChangedFrom, ChangedTo],
        }
    }

    /// How many values it takes.
    #[must_use]
    pub fn arity(self) -> Arity {
        match self {
            HasValue | HasNoValue | Changed => Arity::Zero,
            Is | IsNot | Contains | DoesNotContain | StartsWith | EndsWith | Less | LessOrEqual | Greater
            | GreaterOrEqual | Matches | WithinLast | WithinNext | WithinHours | OutsideHours | ChangedFrom
            | ChangedTo => Arity::One,
            Between => Arity::Two,
            AnyOf | NoneOf | Equals | Includes | IncludesAll | DoesNotInclude => Arity::Many,
        }
    }

    /// What its values are, for a field of this type: one member of the field, but for a length of time, which is a
    /// number of seconds, and for a calendar, which is an id.
    #[must_use]
    pub fn values(self, kind: FieldType) -> FieldType {
        match self {
            WithinLast | WithinNext => FieldType::Number,
            WithinHours | OutsideHours => FieldType::Id,
            _ => kind.element(),
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
            Matches => "MATCHES",
            WithinLast => "WITHIN_LAST",
            WithinNext => "WITHIN_NEXT",
            WithinHours => "WITHIN_HOURS",
            OutsideHours => "OUTSIDE_HOURS",
            Changed => "CHANGED",
            ChangedFrom => "CHANGED_FROM",
            ChangedTo => "CHANGED_TO",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
