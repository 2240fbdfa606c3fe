//! The fields that a caller may name in a filter or an order.

use concierge_proto::{Field, Kind, PermissionSet};

/// What a caller sees of a record: fields that it may not read, and secret ones, are not there at all.
#[derive(Clone, Copy)]
pub(super) struct Visible {
    fields: &'static [Field],
    permissions: PermissionSet,
}

impl Visible {
    pub(super) fn new(fields: &'static [Field], permissions: PermissionSet) -> Self {
        Self { fields, permissions }
    }

    fn iter(self) -> impl Iterator<Item = (usize, &'static Field)> {
        self.fields.iter().enumerate().filter(move |(_, field)| {
            !field.secret && field.read_permission.is_none_or(|permission| self.permissions.holds(permission))
        })
    }

    /// Finds a field. Otherwise tells which there are: those of a kind that is `usable` here.
    pub(super) fn find(self, name: &str, usable: fn(Kind) -> bool) -> Result<(usize, &'static Field), UnknownField> {
        self.iter().find(|(_, field)| field.name == name).ok_or_else(|| {
            let known: Vec<_> = self.iter().filter(|(_, f)| usable(f.kind)).map(|(_, f)| f.name).collect();
            UnknownField { name: excerpt(name), nearest: nearest(name, &known), known }
        })
    }
}

/// A name that is no field's, or no field's that the caller may read: the two look the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown field {name}{}{}", self.hint(), self.list())]
pub struct UnknownField {
    /// The name, cut when it is long.
    pub name: String,
    /// The known name that was probably meant.
    pub nearest: Option<&'static str>,
    /// The names that would do; left out where an error before this one has them.
    pub known: Vec<&'static str>,
}

impl UnknownField {
    fn hint(&self) -> String {
        self.nearest.map_or(String::new(), |name| format!("; did you mean {name}?"))
    }

    fn list(&self) -> String {
        if self.known.is_empty() {
            return String::new();
        }
        let joint = if self.nearest.is_some() { " T" } else { "; t" };
        format!("{joint}he fields are {}", self.known.join(", "))
    }
}

/// True when the column of the field can be null.
///
/// An id that is a record's own is its key, and the server sets these two times of every record.
pub(super) fn nullable(field: &Field) -> bool {
    match field.kind {
        Kind::Id => field.name != "id",
        Kind::Time => !matches!(field.name, "create_time" | "update_time"),
        Kind::Duration | Kind::Message => true,
        Kind::Text | Kind::Texts | Kind::Ids | Kind::Enums(_) => false,
        Kind::Bool | Kind::Int | Kind::Float | Kind::Enum(_) => field.optional,
    }
}

/// What a caller wrote, short enough for an error.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// The name that differs by two letters at most, and by less than half of it.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    const LONGEST: usize = 64;
    let length = name.chars().take(LONGEST + 1).count();
    if length > LONGEST {
        return None;
    }
    let most = 2.min(length / 2);
    known.iter().map(|k| (distance(name, k), *k)).filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// How many letters must be added, removed, changed, or swapped with the next one.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_swapped_letters_as_one_change() {
        assert_eq!(distance("active", "acitve"), 1);
        assert_eq!(distance("active", "active"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("nmae", "name"), 1);
    }

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("acitve", &["name", "active"]), Some("active"));
        assert_eq!(nearest("colour", &["name", "active"]), None);
        assert_eq!(nearest("x", &["id"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), &["name"]), None);
    }

    #[test]
    fn cuts_and_escapes_what_it_quotes() {
        assert_eq!(excerpt("a\nb"), "a\\nb");
        assert_eq!(excerpt(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }
}
