//! Criteria as somebody wrote them, before they are checked.

use std::fmt;

use crate::operator::Operator;
use crate::value::Value;

/// How a group combines its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// Every item holds. Without items, at the top, it always holds.
    All,
    /// One or more items hold.
    Any,
    /// Its single item does not hold.
    Not,
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupKind::All => "ALL",
            GroupKind::Any => "ANY",
            GroupKind::Not => "NOT",
        })
    }
}

/// A field, an operator and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// The field's name.
    pub field: String,
    /// What is asked of it.
    pub operator: Operator,
    /// What it is compared with: as many as the operator takes, each of the field's type (for a set, of its members'
    /// type).
    pub values: Vec<Value>,
    /// Whether `a` and `A` differ. Only a field of type TEXT asks; all else is always compared exactly.
    pub case_sensitive: bool,
}

impl Criterion {
    /// A criterion that ignores case.
    #[must_use]
    pub fn new<V: Into<Value>>(
        field: impl Into<String>,
        operator: Operator,
        values: impl IntoIterator<Item = V>,
    ) -> Criterion {
        Criterion {
            field: field.into(),
            operator,
            values: values.into_iter().map(Into::into).collect(),
            case_sensitive: false,
        }
    }

    /// The same criterion, minding case.
    #[must_use]
    pub fn case_sensitive(self) -> Criterion {
        Criterion { case_sensitive: true, ..self }
    }
}

/// A criterion or a group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// One criterion.
    Criterion(Criterion),
    /// Several, combined.
    Group {
        /// How.
        kind: GroupKind,
        /// What.
        items: Vec<Definition>,
    },
}

impl Definition {
    /// Every item holds.
    #[must_use]
    pub fn all(items: impl IntoIterator<Item = Definition>) -> Definition {
        Definition::Group { kind: GroupKind::All, items: items.into_iter().collect() }
    }

    /// One or more items hold.
    #[must_use]
    pub fn any(items: impl IntoIterator<Item = Definition>) -> Definition {
        Definition::Group { kind: GroupKind::Any, items: items.into_iter().collect() }
    }

    /// The item does not hold.
    #[must_use]
    pub fn negation(item: impl Into<Definition>) -> Definition {
        Definition::Group { kind: GroupKind::Not, items: vec![item.into()] }
    }
}

impl From<Criterion> for Definition {
    fn from(criterion: Criterion) -> Definition {
        Definition::Criterion(criterion)
    }
}

/// Names the places of a group's items one after the other: criteria and groups are counted apart, each from 0.
#[derive(Debug, Default)]
pub(crate) struct Places {
    criteria: usize,
    groups: usize,
}

impl Places {
    pub(crate) fn next(&mut self, group: &str, is_group: bool) -> String {
        let (list, count) = if is_group { ("groups", &mut self.groups) } else { ("criteria", &mut self.criteria) };
        let dot = if group.is_empty() { "" } else { "." };
        let place = format!("{group}{dot}{list}[{count}]");
        *count += 1;
        place
    }
}
