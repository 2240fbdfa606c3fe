//! Comparisons typed: the field is looked up, the operator is one that its kind has, the value is of its kind.

use chrono::{DateTime, SubsecRound, Utc};
use concierge_proto::{Field, Kind, Value};
use uuid::Uuid;

use super::fields::{Visible, excerpt, nullable};
use super::filter::{Check, Comparison, FilterError, FilterProblem, Operator};
use super::filter_lex::Literal;
use super::filter_parse;

/// Enum values beyond this many are not all told in an error.
const MOST_NAMES: usize = 30;

pub(super) fn test(
    written: &filter_parse::Comparison,
    visible: Visible,
) -> Result<(&'static Field, Check), FilterError> {
    let (_, field) = visible
        .find(&written.field, |kind| kind != Kind::Message)
        .map_err(|unknown| FilterError { position: written.position, problem: FilterProblem::UnknownField(unknown) })?;
    if field.kind == Kind::Message {
        let problem = FilterProblem::Message { field: field.name };
        return Err(FilterError { position: written.position, problem });
    }
    if !has(field.kind, written.operator) {
        let (kind, takes) = operators(field.kind);
        let problem = FilterProblem::Operator { field: field.name, kind, takes, operator: written.operator };
        return Err(FilterError { position: written.operator_position, problem });
    }
    match check(field, written.operator, &written.value) {
        Ok(check) => Ok((field, check)),
        Err(problem) => Err(FilterError { position: written.value.position, problem }),
    }
}

/// What a field of this kind is called, and the operators that it has.
fn operators(kind: Kind) -> (&'static str, &'static str) {
    const EVERY: &str = "= != < <= > >= :";
    match kind {
        Kind::Text => ("a text", EVERY),
        Kind::Int | Kind::Float => ("a number", EVERY),
        Kind::Time => ("a time", EVERY),
        Kind::Duration => ("a duration", EVERY),
        Kind::Id => ("an id", "= != :"),
        Kind::Bool => ("a truth value", "= != :"),
        Kind::Enum(_) => ("a choice", "= != :"),
        Kind::Texts | Kind::Ids | Kind::Enums(_) => ("a list", ":"),
        Kind::Message => ("a message", "none"),
    }
}

fn has(kind: Kind, operator: Operator) -> bool {
    operators(kind).1.split(' ').any(|symbol| symbol == operator.symbol())
}

fn check(field: &Field, operator: Operator, value: &Literal) -> Result<Check, FilterProblem> {
    let comparison = match operator {
        Operator::Has if value.is_any() => return present(field),
        // On what is neither text nor list, having a value is being equal to it.
        Operator::Has => Comparison::Equal,
        Operator::Compare(comparison) => comparison,
    };
    if value.is_null() {
        return null(field, comparison);
    }
    match field.kind {
        Kind::Text if operator == Operator::Has => Ok(Check::LikeInAnyCase(pattern(true, value.core(), true))),
        Kind::Text => Ok(text(comparison, value)),
        Kind::Texts if value.starts_wild || value.ends_wild => {
            Ok(Check::IncludesLike(pattern(value.starts_wild, value.core(), value.ends_wild)))
        }
        Kind::Texts => Ok(Check::Includes(Value::Texts(vec![value.text.clone()]))),
        Kind::Ids => id(field, value).map(|id| Check::Includes(Value::Ids(vec![id]))),
        Kind::Enums(names) => choice(field, names, value).map(|number| Check::Includes(Value::Ints(vec![number]))),
        // An id that is absent is empty in messages.
        Kind::Id if value.text.is_empty() => null(field, comparison),
        _ => Ok(Check::Compare(comparison, scalar(field, value)?)),
    }
}

/// `field:*`.
fn present(field: &Field) -> Result<Check, FilterProblem> {
    match field.kind {
        Kind::Text | Kind::Texts | Kind::Ids | Kind::Enums(_) => Ok(Check::IsNotEmpty),
        _ if nullable(field) => Ok(Check::IsNotNull),
        Kind::Enum(_) => Ok(Check::IsNotEmpty),
        _ => Err(FilterProblem::NeverNull { field: field.name, hint: String::new() }),
    }
}

fn null(field: &Field, comparison: Comparison) -> Result<Check, FilterProblem> {
    if !nullable(field) {
        let name = field.name;
        let hint = match field.kind {
            Kind::Text => format!(r#"; an empty one is {name} = "", the word is "null" in quotes"#),
            Kind::Texts | Kind::Ids | Kind::Enums(_) => format!("; an empty one is -{name}:*"),
            _ => String::new(),
        };
        return Err(FilterProblem::NeverNull { field: name, hint });
    }
    match comparison {
        Comparison::Equal => Ok(Check::IsNull),
        Comparison::NotEqual => Ok(Check::IsNotNull),
        _ => Err(FilterProblem::Value {
            field: field.name,
            expected: "a value; null takes = and != only".to_owned(),
            found: "null".to_owned(),
        }),
    }
}

fn text(comparison: Comparison, value: &Literal) -> Check {
    let like = || pattern(value.starts_wild, value.core(), value.ends_wild);
    match comparison {
        Comparison::Equal if value.starts_wild || value.ends_wild => Check::Like(like()),
        Comparison::NotEqual if value.starts_wild || value.ends_wild => Check::NotLike(like()),
        _ => Check::Compare(comparison, Value::Text(value.text.clone())),
    }
}

/// A LIKE pattern in which only the ends are wild.
fn pattern(starts_wild: bool, text: &str, ends_wild: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    if starts_wild {
        out.push('%');
    }
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    if ends_wild {
        out.push('%');
    }
    out
}

fn scalar(field: &Field, value: &Literal) -> Result<Value, FilterProblem> {
    let wrong = |expected: &str| wrong(field, expected, value);
    match field.kind {
        Kind::Id => id(field, value).map(Value::Id),
        Kind::Bool => match value.text.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false")),
        },
        Kind::Int => {
            let whole = value.text.parse().map(Value::Int);
            whole.map_err(|_| wrong("a whole number of 64 bits, such as 42"))
        }
        // The parser of the standard library takes words such as `inf` as well.
        Kind::Float => match value.text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(wrong("a number, such as 2.5")),
        },
        Kind::Enum(names) => choice(field, names, value).map(|number| Value::Int(i64::from(number))),
        Kind::Time => time(&value.text).map(Value::Time).ok_or_else(|| wrong("a time, such as 2026-05-01T08:30:00Z")),
        Kind::Duration => {
            duration(&value.text).map(Value::Int).ok_or_else(|| wrong("a duration in seconds, such as 3600s or 1.5s"))
        }
        // The others are no scalars, and are dealt with before.
        Kind::Text | Kind::Texts | Kind::Ids | Kind::Enums(_) | Kind::Message => Err(wrong("something else")),
    }
}

fn wrong(field: &Field, expected: &str, value: &Literal) -> FilterProblem {
    let text = excerpt(&value.text);
    let found = if value.quoted { format!("\"{text}\"") } else { text };
    FilterProblem::Value { field: field.name, expected: expected.to_owned(), found }
}

fn id(field: &Field, value: &Literal) -> Result<Uuid, FilterProblem> {
    const HYPHENATED: usize = 36;
    match value.text.parse() {
        Ok(id) if value.text.len() == HYPHENATED => Ok(id),
        _ => Err(wrong(field, "an id, such as 0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11", value)),
    }
}

fn choice(field: &Field, names: &[(&str, i32)], value: &Literal) -> Result<i32, FilterProblem> {
    names.iter().find(|(name, _)| *name == value.text).map(|(_, number)| *number).ok_or_else(|| {
        let known: Vec<_> = names.iter().map(|(name, _)| *name).filter(|name| *name != "UNSPECIFIED").collect();
        let more = if known.len() > MOST_NAMES { ", …" } else { "" };
        let known = known[..known.len().min(MOST_NAMES)].join(", ");
        wrong(field, &format!("one of {known}{more}"), value)
    })
}

/// Cut to microseconds, as times are when they are stored.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    Some(time.trunc_subsecs(6))
}

/// Microseconds, of at most the 10,000 years that the contract's durations have.
fn duration(text: &str) -> Option<i64> {
    const MOST_SECONDS: i64 = 315_576_000_000;
    let (negative, number) = match text.strip_suffix('s')?.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_suffix('s')?),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 12) || !digits(fraction, 9) {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds| *seconds <= MOST_SECONDS)?;
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    let all = seconds * 1_000_000 + micros;
    Some(if negative { -all } else { all })
}
