//! The rules of repeated fields.

use std::collections::HashSet;

use super::{Path, Text, Violations, choice, text_body};

const TWICE: &str = "stands in the list more than once";

/// The rules of a repeated field.
pub(crate) struct Items {
    pub(crate) required: bool,
    pub(crate) max: usize,
    pub(crate) unique: bool,
}

/// Checks the number of items; true when they are few enough to look at one by one.
pub(crate) fn items(length: usize, path: &Path<'_>, rules: &Items, violations: &mut Violations) -> bool {
    if length == 0 && rules.required {
        violations.add(path.to_string(), "must have at least one item");
    }
    if length > rules.max {
        violations.add(path.to_string(), format!("must have at most {} items, has {length}", rules.max));
        return false;
    }
    true
}

pub(crate) fn texts(values: &[String], path: &Path<'_>, list: &Items, each: &Text, violations: &mut Violations) {
    if !items(values.len(), path, list, violations) {
        return;
    }
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        let item = path.item(index);
        if value.trim().is_empty() {
            violations.add(item.to_string(), "must not be empty");
            continue;
        }
        text_body(value, &item, each, violations);
        if list.unique && !seen.insert(value.as_str()) {
            violations.add(item.to_string(), TWICE);
        }
    }
}

/// An item of a list of enum values is given: UNSPECIFIED is none of them.
pub(crate) fn choices(
    values: &[i32],
    path: &Path<'_>,
    list: &Items,
    known: &[(&str, i32)],
    violations: &mut Violations,
) {
    if !items(values.len(), path, list, violations) {
        return;
    }
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        let item = path.item(index);
        choice(*value, &item, true, known, violations);
        if list.unique && !seen.insert(value) {
            violations.add(item.to_string(), TWICE);
        }
    }
}
