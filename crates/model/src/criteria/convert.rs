//! Criteria between their messages and the criterion language.

use concierge_criteria::{
    Compiled, Criterion, Definition, GroupKind, Operator, Schema, SeenCriterion, Value, compile as compile_definition,
};
use concierge_proto::Violations;
use concierge_proto::common::criterion_value::Kind;
use concierge_proto::common::{
    CriteriaGroup, Criterion as ProtoCriterion, CriterionValue, GroupKind as ProtoGroupKind, Operator as ProtoOperator,
};
use concierge_proto::record::{datetime, timestamp};

/// How many regular expressions the criteria of one record may have: each takes memory as long as it is used.
const MOST_PATTERNS: usize = 20;

/// Values seen are cut to so many characters.
const LONGEST_TEXT: usize = 1_000;

/// Checks criteria and makes them ready; absent ones always hold. `record` is the message that holds them in its field
/// `criteria`, such as `rule`.
pub fn compile(schema: &Schema, criteria: Option<&CriteriaGroup>, record: &str) -> Result<Compiled, Violations> {
    let definition = definition(schema, criteria, record)?;
    compile_definition(schema, &definition).map_err(|problems| {
        let mut violations = Violations::default();
        for problem in problems {
            violations.add(format!("{record}.{}", problem.path), problem.kind.to_string());
        }
        violations
    })
}

/// The criteria of a message, for [`compile_definition`] to check; absent ones always hold.
pub fn definition(schema: &Schema, criteria: Option<&CriteriaGroup>, record: &str) -> Result<Definition, Violations> {
    let mut violations = Violations::default();
    let made = match criteria {
        None => Definition::all([]),
        Some(top) => group(top, &format!("{record}.criteria"), &mut violations),
    };
    if let Some(top) = criteria {
        check_operators(schema, top, &format!("{record}.criteria"), &mut violations);
    }
    if patterns(&made) > MOST_PATTERNS {
        let many = format!("must have at most {MOST_PATTERNS} criteria with MATCHES");
        violations.add(format!("{record}.criteria"), many);
    }
    if violations.is_empty() { Ok(made) } else { Err(violations) }
}

/// Refuses to ask what a field was where nobody keeps it, and what the hours of a calendar are where nobody has them.
fn check_operators(schema: &Schema, from: &CriteriaGroup, path: &str, violations: &mut Violations) {
    for (index, criterion) in from.criteria.iter().enumerate() {
        let of_update = matches!(
            criterion.operator(),
            ProtoOperator::Changed | ProtoOperator::ChangedFrom | ProtoOperator::ChangedTo
        );
        let path = format!("{path}.criteria[{index}].operator");
        let of_hours = matches!(criterion.operator(), ProtoOperator::WithinHours | ProtoOperator::OutsideHours);
        if of_hours && schema.field("event.changed_fields").is_some() {
            violations.add(path, "must not be WITHIN_HOURS or OUTSIDE_HOURS here: only ticket rules know calendars");
            continue;
        }
        if !of_update {
            continue;
        }
        if schema.field("event.changed_fields").is_some() {
            violations.add(path, "must not be one of CHANGED here: ask what `event.changed_fields` includes");
        } else if !criterion.field.starts_with("ticket.") && !criterion.field.starts_with("action.") {
            let another = "must not be one of CHANGED for what is known of a user, site or customer: ask whether \
                           `ticket.user`, `ticket.site` or `ticket.customer` CHANGED";
            violations.add(path, another);
        }
    }
    for (index, inner) in from.groups.iter().enumerate() {
        check_operators(schema, inner, &format!("{path}.groups[{index}]"), violations);
    }
}

fn patterns(definition: &Definition) -> usize {
    match definition {
        Definition::Criterion(criterion) => usize::from(criterion.operator == Operator::Matches),
        Definition::Group { items, .. } => items.iter().map(patterns).sum(),
    }
}

fn group(from: &CriteriaGroup, path: &str, violations: &mut Violations) -> Definition {
    let kind = match from.kind() {
        ProtoGroupKind::All => GroupKind::All,
        ProtoGroupKind::Any => GroupKind::Any,
        ProtoGroupKind::Not => GroupKind::Not,
        ProtoGroupKind::Unspecified => {
            violations.add(format!("{path}.kind"), "must be one of ALL, ANY, NOT");
            GroupKind::All
        }
    };
    let criteria = from.criteria.iter().enumerate();
    let mut items: Vec<Definition> = criteria
        .filter_map(|(index, item)| read(item, &format!("{path}.criteria[{index}]"), violations))
        .map(Definition::Criterion)
        .collect();
    for (index, inner) in from.groups.iter().enumerate() {
        items.push(group(inner, &format!("{path}.groups[{index}]"), violations));
    }
    Definition::Group { kind, items }
}

fn read(from: &ProtoCriterion, path: &str, violations: &mut Violations) -> Option<Criterion> {
    let Some(operator) = Operator::ALL.into_iter().find(|o| self::operator(*o) == from.operator()) else {
        violations.add(format!("{path}.operator"), "must be given");
        return None;
    };
    let mut values = Vec::with_capacity(from.values.len());
    for (index, value) in from.values.iter().enumerate() {
        match self::value(value) {
            Some(value) => values.push(value),
            None => violations.add(format!("{path}.values[{index}]"), "must be a value of exactly one kind"),
        }
    }
    (values.len() == from.values.len()).then(|| Criterion {
        field: from.field.clone(),
        operator,
        values,
        case_sensitive: from.case_sensitive,
    })
}

/// One value of a message; `None` when it has none, or one that is not of its form.
pub fn value(from: &CriterionValue) -> Option<Value> {
    Some(match from.kind.as_ref()? {
        Kind::Flag(flag) => Value::Flag(*flag),
        Kind::Id(id) => Value::Id(id.parse().ok()?),
        Kind::Choice(name) => Value::choice(name),
        Kind::Text(text) => Value::from(text.as_str()),
        Kind::Number(number) => Value::Number(*number),
        Kind::Time(time) => Value::Time(datetime(time)?),
    })
}

/// A value as messages carry it: a set as its members.
pub fn values(from: &Value) -> Vec<CriterionValue> {
    let kinds = match from {
        Value::Flag(flag) => vec![Kind::Flag(*flag)],
        Value::Id(id) => vec![Kind::Id(id.to_string())],
        Value::IdSet(ids) => ids.iter().map(|id| Kind::Id(id.to_string())).collect(),
        Value::Choice(name) => vec![Kind::Choice(name.to_string())],
        Value::Text(text) => vec![Kind::Text(cut(text))],
        Value::TextSet(texts) => texts.iter().map(|text| Kind::Text(cut(text))).collect(),
        Value::Number(number) => vec![Kind::Number(*number)],
        Value::Time(time) => vec![Kind::Time(timestamp(*time))],
    };
    kinds.into_iter().map(|kind| CriterionValue { kind: Some(kind) }).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// A criterion that was looked at, as it was written.
pub fn criterion(seen: &SeenCriterion) -> ProtoCriterion {
    ProtoCriterion {
        field: seen.name.to_string(),
        operator: operator(seen.operator).into(),
        values: seen.wanted.iter().flat_map(values).collect(),
        case_sensitive: seen.case_sensitive,
    }
}

/// An operator as messages carry it.
pub fn operator(from: Operator) -> ProtoOperator {
    match from {
        Operator::Is => ProtoOperator::Is,
        Operator::IsNot => ProtoOperator::IsNot,
        Operator::AnyOf => ProtoOperator::AnyOf,
        Operator::NoneOf => ProtoOperator::NoneOf,
        Operator::HasValue => ProtoOperator::HasValue,
        Operator::HasNoValue => ProtoOperator::HasNoValue,
        Operator::Equals => ProtoOperator::Equals,
        Operator::Includes => ProtoOperator::Includes,
        Operator::IncludesAll => ProtoOperator::IncludesAll,
        Operator::DoesNotInclude => ProtoOperator::DoesNotInclude,
        Operator::Contains => ProtoOperator::Contains,
        Operator::DoesNotContain => ProtoOperator::DoesNotContain,
        Operator::StartsWith => ProtoOperator::StartsWith,
        Operator::EndsWith => ProtoOperator::EndsWith,
        Operator::Less => ProtoOperator::Less,
        Operator::LessOrEqual => ProtoOperator::LessOrEqual,
        Operator::Greater => ProtoOperator::Greater,
        Operator::GreaterOrEqual => ProtoOperator::GreaterOrEqual,
        Operator::Between => ProtoOperator::Between,
        Operator::Matches => ProtoOperator::Matches,
        Operator::WithinLast => ProtoOperator::WithinLast,
        Operator::WithinNext => ProtoOperator::WithinNext,
        Operator::WithinHours => ProtoOperator::WithinHours,
        Operator::OutsideHours => ProtoOperator::OutsideHours,
        Operator::Changed => ProtoOperator::Changed,
        Operator::ChangedFrom => ProtoOperator::ChangedFrom,
        Operator::ChangedTo => ProtoOperator::ChangedTo,
    }
}
