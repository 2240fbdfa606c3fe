//! The rules that the contract's field options state, checked without reflection.
//!
//! The build writes one `Check` for every message that a request can contain; each rule is a call of a function here.

mod lists;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use regex::Regex;

use crate::Field;
pub(crate) use lists::{Items, choices, items, texts};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `customer.domains[2]`.
    pub field: String,
    /// What is wrong and what would be right, as a sentence.
    pub description: String,
}

/// Every broken rule of one request, as many as an answer can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    told: Vec<Violation>,
    untold: usize,
}

/// So many bytes of violations are told: a client takes 8 KiB of trailers, in which they are written as base64.
const MOST_BYTES: usize = 4_000;
/// The longest description, in characters.
const LONGEST: usize = 500;

impl Violations {
    /// Adds a broken rule.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let (field, mut description) = (field.into(), description.into());
        if let Some((end, _)) = description.char_indices().nth(LONGEST) {
            description.truncate(end);
            description.push('…');
        }
        // What each costs beside its text.
        let size = |v: &Violation| v.field.len() + v.description.len() + 8;
        let violation = Violation { field, description };
        if self.untold == 0 && self.told.iter().map(size).sum::<usize>() + size(&violation) <= MOST_BYTES {
            self.told.push(violation);
        } else {
            self.untold += 1;
        }
    }

    /// One broken rule.
    pub fn one(field: impl Into<String>, description: impl Into<String>) -> Self {
        let mut violations = Self::default();
        violations.add(field, description);
        violations
    }

    /// Adds the broken rules of fields of which none is told yet, nor of a part of them: what holds a bad field is bad
    /// because of it.
    pub fn extend(&mut self, more: Self) {
        let known = self.told.len();
        for violation in more.told {
            if !self.told[..known].iter().any(|told| is_or_holds(&violation.field, &told.field)) {
                self.add(violation.field, violation.description);
            }
        }
        self.untold += more.untold;
    }

    /// How many broken rules there are, those included that no answer has room for.
    pub fn count(&self) -> usize {
        self.told.len() + self.untold
    }

    /// True when no rule is broken.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// The broken rules, in the order of the fields.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.told.iter()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;
    fn into_iter(self) -> Self::IntoIter {
        self.told.into_iter()
    }
}

/// A message that can be received. Requests check their fields; what only answers contain accepts everything.
pub trait Validate {
    /// Adds every broken rule to `violations`.
    fn validate(&self, violations: &mut Violations);
}

/// A message inside a request: checked where it stands, for the paths of a mask only when there is one.
pub(crate) trait Check {
    fn check(&self, path: &Path<'_>, mask: Option<&[String]>, violations: &mut Violations);
}

/// Where in a request a value stands; only rendered when something is wrong with it.
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'static str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn field(&'a self, name: &'static str) -> Self {
        Path::Field(self, name)
    }
    pub(crate) fn item(&'a self, index: usize) -> Self {
        Path::Item(self, index)
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// True when a rule applies: always, but on an update only for the fields that the mask names.
pub(crate) fn covers(mask: Option<&[String]>, name: &str) -> bool {
    mask.is_none_or(|paths| paths.iter().any(|p| p == name))
}

/// The form of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Any,
    Id,
    Email,
    Phone,
    Domain,
    TimeZone,
    Currency,
    Url,
    Line,
    Color,
}

/// The rules of a string.
pub(crate) struct Text {
    pub(crate) required: bool,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) form: Form,
    pub(crate) pattern: Option<&'static LazyLock<Regex>>,
}

macro_rules! regex {
    ($pattern:literal, $text:expr) => {{
        // The pattern is a literal that a test compiles.
        #[allow(clippy::expect_used)]
        static CELL: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a literal pattern"));
        CELL.is_match($text)
    }};
}

impl Form {
    /// What is wrong with the text, if anything.
    fn objection(self, text: &str) -> Option<&'static str> {
        let is_control = |c: char| c.is_control();
        let (ok, why) = match self {
            Self::Any => (
                !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r'),
                "must not contain control characters other than line feed and tab",
            ),
            Self::Id => (is_uuid(text), "must be a UUID such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, in lower case"),
            Self::Email => (
                text.len() <= 254
                    && regex!(
                        r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$",
                        text
                    ),
                "must be an e-mail address such as ann@example.com",
            ),
            Self::Phone => (
                text.len() <= 40 && regex!(r"^\+?[0-9(][0-9 ()./-]*[0-9)](?: ?(?:x|ext\.?) ?[0-9]{1,8})?$", text),
                "must be a telephone number such as +49 30 1234567",
            ),
            Self::Domain => (
                text.len() <= 253
                    && regex!(
                        r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
                        text
                    ),
                "must be a host name such as example.com, in lower case",
            ),
            Self::TimeZone => (
                text.parse::<chrono_tz::Tz>().is_ok(),
                "must be a time zone of the IANA database such as Europe/Berlin",
            ),
            Self::Currency => {
                (iso_currency::Currency::from_code(text).is_some(), "must be an ISO 4217 code such as EUR")
            }
            Self::Url => (
                regex!(r"^https?://[A-Za-z0-9.\-\[\]:]+(?:[/?#][^\s\x00-\x1f\x7f]*)?$", text),
                "must be an absolute URL such as https://example.com/path",
            ),
            Self::Line => (!text.chars().any(is_control), "must be one line without control characters"),
            Self::Color => (regex!(r"^#[0-9a-f]{6}$", text), "must be a colour such as #00ff7f, in lower case"),
        };
        (!ok).then_some(why)
    }
}

/// A UUID in lower-case hyphenated form.
/// Whether a path is another one, or that of what holds it.
fn is_or_holds(path: &str, part: &str) -> bool {
    part.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

pub(crate) fn text(value: &str, path: &Path<'_>, rules: &Text, violations: &mut Violations) {
    if value.is_empty() || (rules.required && value.trim().is_empty()) {
        if rules.required {
            violations.add(path.to_string(), "must not be empty");
        }
        return;
    }
    text_body(value, path, rules, violations);
}

fn text_body(value: &str, path: &Path<'_>, rules: &Text, violations: &mut Violations) {
    // The length in bytes bounds the number of characters: counting is only needed when that is not enough.
    if value.len() > rules.max || rules.min > 1 {
        let length = value.chars().count();
        if length > rules.max {
            violations.add(path.to_string(), format!("must have at most {} characters, has {length}", rules.max));
            return;
        }
        if length < rules.min {
            violations.add(path.to_string(), format!("must have at least {} characters, has {length}", rules.min));
        }
    }
    if let Some(why) = rules.form.objection(value) {
        violations.add(path.to_string(), why);
    }
    if let Some(pattern) = rules.pattern
        && !pattern.is_match(value)
    {
        violations.add(path.to_string(), format!("must match {}", pattern.as_str()));
    }
}

pub(crate) fn number(value: i64, path: &Path<'_>, min: Option<i64>, max: Option<i64>, violations: &mut Violations) {
    match (min, max) {
        (Some(min), Some(max)) if value < min || value > max => {
            violations.add(path.to_string(), format!("must be between {min} and {max}, is {value}"));
        }
        (Some(min), None) if value < min => {
            violations.add(path.to_string(), format!("must be at least {min}, is {value}"))
        }
        (None, Some(max)) if value > max => {
            violations.add(path.to_string(), format!("must be at most {max}, is {value}"))
        }
        _ => {}
    }
}

#[allow(dead_code, reason = "generated code calls it where the contract has a double")]
pub(crate) fn float(value: f64, path: &Path<'_>, violations: &mut Violations) {
    if !value.is_finite() {
        violations.add(path.to_string(), "must be a finite number");
    }
}

pub(crate) fn choice(value: i32, path: &Path<'_>, required: bool, known: &[(&str, i32)], violations: &mut Violations) {
    if (value == 0 && required) || !known.iter().any(|(_, number)| *number == value) {
        let names: Vec<&str> = known.iter().filter(|(_, number)| *number != 0).map(|(name, _)| *name).collect();
        violations.add(path.to_string(), format!("must be one of {}", names.join(", ")));
    }
}

pub(crate) fn present(present: bool, path: &Path<'_>, violations: &mut Violations) {
    if !present {
        violations.add(path.to_string(), "must be given");
    }
}

pub(crate) fn time(
    value: Option<&prost_types::Timestamp>,
    path: &Path<'_>,
    required: bool,
    violations: &mut Violations,
) {
    match value {
        None => present(!required, path, violations),
        Some(time) => {
            // The range that google.protobuf.Timestamp itself states: the years 1 to 9999.
            let in_range =
                (-62_135_596_800..=253_402_300_799).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
            if !in_range {
                violations.add(path.to_string(), "must be a time between 0001-01-01 and 9999-12-31");
            }
        }
    }
}

pub(crate) fn duration(
    value: Option<&prost_types::Duration>,
    path: &Path<'_>,
    required: bool,
    (min, max): (Option<i64>, Option<i64>),
    violations: &mut Violations,
) {
    match value {
        None => present(!required, path, violations),
        Some(duration) => {
            // Ten thousand years, the range that google.protobuf.Duration itself states.
            let out_of_range =
                duration.seconds.unsigned_abs() > 315_576_000_000 || duration.nanos.unsigned_abs() > 999_999_999;
            if out_of_range || duration.seconds.signum() * i64::from(duration.nanos.signum()) < 0 {
                violations.add(
                    path.to_string(),
                    "must be a duration of less than 10,000 years, with seconds and nanos of the same sign",
                );
            } else {
                let least = min.is_some_and(|min| duration.seconds < min);
                let most =
                    max.is_some_and(|max| duration.seconds > max || (duration.seconds == max && duration.nanos > 0));
                if least || most {
                    let bound = |b: Option<i64>| b.map_or("any".to_owned(), |b| format!("{b} s"));
                    violations.add(path.to_string(), format!("must be between {} and {}", bound(min), bound(max)));
                }
            }
        }
    }
}

/// Checks an update mask against the fields of what is updated.
pub(crate) fn mask(paths: &[String], fields: &[Field], path: &Path<'_>, violations: &mut Violations) {
    if paths.is_empty() {
        violations.add(path.to_string(), "must name at least one field");
    }
    if paths.len() > fields.len() {
        let why =
            format!("must not name more fields than there are; it names {}, there are {}", paths.len(), fields.len());
        violations.add(path.to_string(), why);
        return;
    }
    let mut listed = false;
    for name in paths {
        let why = match fields.iter().find(|f| f.name == name) {
            // Which there are is said once.
            None if listed => format!("{:?} is not a field", crop(name)),
            None => {
                listed = true;
                format!("{:?} is not a field; the fields are {}", crop(name), writable(fields))
            }
            Some(f) if f.output_only || f.name == "etag" => format!("{name:?} is set by the server"),
            Some(f) if f.immutable => format!("{name:?} is fixed once the record exists"),
            Some(_) => continue,
        };
        violations.add(path.to_string(), why);
    }
}

fn crop(text: &str) -> String {
    text.chars().take(100).collect()
}

fn writable(fields: &[Field]) -> String {
    let names: Vec<&str> =
        fields.iter().filter(|f| !f.output_only && !f.immutable && f.name != "etag").map(|f| f.name).collect();
    names.join(", ")
}
