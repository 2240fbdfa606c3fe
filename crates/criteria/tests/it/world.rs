//! A small schema and short ways to write criteria, records and rules.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_criteria::{
    Action, AppliesTo, Compiled, Criterion, Definition, Fact, FieldId, FieldType, IdSet, Operator, OutcomeDefinition,
    Record, RuleDefinition, RuleSet, Schema, TextSet, Truth, Value, compile, compile_rule, eval,
};
use uuid::Uuid;

/// One field of each type, and a second id.
pub(crate) fn schema() -> Schema {
    Schema::new([
        ("ticket.team", FieldType::Id),
        ("ticket.status", FieldType::Id),
        ("customer.relationships", FieldType::IdSet),
        ("ticket.summary", FieldType::Text),
        ("ticket.tags", FieldType::TextSet),
        ("ticket.age_minutes", FieldType::Number),
        ("ticket.source", FieldType::Choice),
        ("user.important", FieldType::Flag),
        ("ticket.due", FieldType::Time),
    ])
    .and_then(|schema| schema.with_choices("ticket.source", ["EMAIL", "PHONE", "PORTAL"]))
    .unwrap()
}

/// The field of this type that tests of operators use.
pub(crate) fn field_of(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Id => "ticket.team",
        FieldType::IdSet => "customer.relationships",
        FieldType::Choice => "ticket.source",
        FieldType::Text => "ticket.summary",
        FieldType::TextSet => "ticket.tags",
        FieldType::Number => "ticket.age_minutes",
        FieldType::Flag => "user.important",
        FieldType::Time => "ticket.due",
    }
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn ids(numbers: &[u128]) -> IdSet {
    numbers.iter().copied().map(id).collect()
}

pub(crate) fn texts(texts: &[&str]) -> TextSet {
    texts.iter().map(|text| Arc::from(*text)).collect()
}

pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub(crate) fn field(name: &str) -> FieldId {
    schema().field(name).unwrap()
}

pub(crate) fn criterion<V: Into<Value>>(
    name: &str,
    operator: Operator,
    values: impl IntoIterator<Item = V>,
) -> Definition {
    Criterion::new(name, operator, values).into()
}

pub(crate) fn important(wanted: bool) -> Definition {
    criterion("user.important", Operator::Is, [wanted])
}

pub(crate) fn team(number: u128) -> Definition {
    criterion("ticket.team", Operator::Is, [id(number)])
}

pub(crate) fn age(number: i64) -> Definition {
    criterion("ticket.age_minutes", Operator::Is, [number])
}

pub(crate) fn compiled(definition: &Definition) -> Compiled {
    compile(&schema(), definition).unwrap()
}

/// A record that knows these facts and nothing else.
pub(crate) fn record<const N: usize>(facts: [(&str, Fact); N]) -> Record {
    let mut record = Record::new(&schema());
    for (name, fact) in facts {
        record.set(field(name), fact).unwrap();
    }
    record
}

/// What one criterion answers on one fact.
pub(crate) fn ask(criterion: Criterion, fact: impl Into<Fact>) -> Truth {
    let name = criterion.field.clone();
    eval(&compiled(&criterion.into()), &record([(&name, fact.into())]))
}

/// A rule for new and existing tickets at the default precedence.
pub(crate) fn rule(number: u128, criteria: Definition, outcomes: Vec<OutcomeDefinition>) -> RuleDefinition {
    RuleDefinition {
        id: id(number),
        name: format!("rule {number}"),
        enabled: true,
        applies_to: AppliesTo::NewAndExisting,
        precedence: 50,
        created: time(0),
        stop_on_match: false,
        criteria,
        outcomes,
    }
}

pub(crate) fn set(name: &str, value: impl Into<Value>) -> OutcomeDefinition {
    OutcomeDefinition { field: name.to_owned(), action: Action::Set(value.into()) }
}

pub(crate) fn add(name: &str, value: impl Into<Value>) -> OutcomeDefinition {
    OutcomeDefinition { field: name.to_owned(), action: Action::Add(value.into()) }
}

pub(crate) fn rules(definitions: impl IntoIterator<Item = RuleDefinition>) -> RuleSet {
    RuleSet::new(definitions.into_iter().map(|definition| compile_rule(&schema(), &definition).unwrap()))
}
