//! Rules as a file: YAML, with names where the contract has ids. `docs/rules.md` describes it.

mod criteria;
mod custom_fields;
pub(crate) mod node;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use concierge_criteria::FieldType;
use concierge_model::criteria::rule_schema;
use concierge_proto::common::Operator;
use concierge_proto::ticket_rule::{Rule, RuleReference};

pub(crate) use write::rule_value;

/// All rules, and what the records that they name are known by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RuleFile {
    /// The revision that they were exported at, if the file says so.
    pub(crate) revision: Option<i64>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) references: Vec<RuleReference>,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    line: u64,
    /// Such as `rules[3].criteria.all[0].value`.
    path: String,
}

impl Place {
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// What is to be said of it, as compilers say it.
    pub(crate) fn tell(&self, file: &std::path::Path, text: &str) -> String {
        format!("{}:{}: {}: {text}", file.display(), self.line, self.path)
    }
}

/// Where in a file the parts of what was read from it stand, by their paths in the contract.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(HashMap<String, Place>);

impl Places {
    /// Where a part stands, or else what it is a part of.
    pub(crate) fn find(&self, path: &str) -> Option<&Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, path } = &self.place;
        let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
        write!(f, "{line}: {path}{}", self.text)
    }
}

/// The kinds of values of criteria.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    Id,
    Choice,
    Text,
    Number,
    Time,
}

/// The kind of the values of a criterion, as far as this program knows the field: those are written plainly.
fn expected(field: &str, operator: Operator) -> Option<Kind> {
    if matches!(operator, Operator::WithinLast | Operator::WithinNext) {
        return Some(Kind::Number);
    }
    if matches!(operator, Operator::WithinHours | Operator::OutsideHours) {
        return Some(Kind::Id);
    }
    let known = rule_schema().fields().iter().find(|known| *known.name == *field)?;
    Some(match known.kind.element() {
        FieldType::Flag => Kind::Flag,
        FieldType::Id => Kind::Id,
        FieldType::Choice => Kind::Choice,
        FieldType::Text => Kind::Text,
        FieldType::Number => Kind::Number,
        FieldType::Time => Kind::Time,
        // Elements are no sets.
        FieldType::IdSet | FieldType::TextSet => return None,
    })
}

const OPERATOR: &str = "OPERATOR_";
const APPLIES_TO: &str = "RULE_APPLIES_TO_";

/// The name of a value of an enum as files have it: without its prefix, in lower case.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
