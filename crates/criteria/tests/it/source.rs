//! Schemas, rules, records and edits made of bytes, so that a fuzzer and the property tests choose them alike: the less
//! there is of the bytes, and the lower they are, the smaller is what comes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_criteria::{
    Action, AppliesTo, Arity, Criterion, Definition, Fact, FieldType, Hours, Occasion, Operator, OutcomeDefinition,
    Record, RuleDefinition, Schema, Value,
};
use uuid::Uuid;

use crate::oracle::{Asked, Facts, HOURS};

/// Texts that differ in case, and some that fold in odd ways.
const TEXTS: [&str; 15] =
    ["a", "A", "ab", "aB", "bab", "BAAB", "aab", "ß", "ẞ", "İ", "i\u{307}", "\u{212A}", "k", "Σς", "ſ"];
const PATTERNS: [&str; 12] =
    ["ab", "a+b", "^b", "A$", "(ab|ba)b?", "[kß]", "b.b", ".*", "aab|İ", "^.$", "(?:aa)?b", "σ"];
const NAMES: [&str; 3] = ["EMAIL", "PHONE", "PORTAL"];

/// Bytes to choose by; zeros after the last.
pub(crate) struct Source<'a>(std::slice::Iter<'a, u8>);

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(bytes.iter())
    }

    /// A number below a bound of 256 at most.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(usize::try_from(high - low + 1).unwrap())).unwrap()
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn some<T>(&mut self, low: usize, high: usize, mut one: impl FnMut(&mut Source<'a>) -> T) -> Vec<T> {
        let count = low + self.below(high - low + 1);
        (0..count).map(|_| one(self)).collect()
    }

    /// A schema of one to twelve fields, of one type several perhaps.
    pub(crate) fn schema(&mut self) -> Schema {
        let kinds = self.some(1, 12, |it| it.pick(&FieldType::ALL));
        let named = kinds.iter().enumerate().map(|(place, kind)| (format!("field.{place}"), *kind));
        let mut schema = Schema::new(named).unwrap();
        for (place, kind) in kinds.iter().enumerate() {
            if *kind == FieldType::Choice && self.one_in(2) {
                schema = schema.with_choices(&format!("field.{place}"), NAMES).unwrap();
            }
        }
        schema
    }

    /// Few values of each type, so that criteria often hold.
    fn value(&mut self, kind: FieldType) -> Value {
        match kind {
            FieldType::Id => self.id(3).into(),
            FieldType::Choice => Value::choice(self.pick(&NAMES)),
            FieldType::Text => self.pick(&TEXTS).into(),
            FieldType::Number => self.between(-1, 2).into(),
            FieldType::Flag => self.one_in(2).into(),
            FieldType::Time => time(self.between(0, 2)).into(),
            FieldType::IdSet => Value::IdSet(self.some(0, 3, |it| it.id(3)).into_iter().collect()),
            FieldType::TextSet => {
                Value::TextSet(self.some(0, 3, |it| Arc::from(it.pick(&TEXTS[..4]))).into_iter().collect())
            }
        }
    }

    fn id(&mut self, count: usize) -> Uuid {
        id(1 + self.below(count))
    }

    fn fact(&mut self, kind: FieldType) -> Fact {
        match self.below(6) {
            0 => Fact::Empty,
            1 => Fact::Unknown,
            _ => self.value(kind).into(),
        }
    }

    /// What is known of each field, and perhaps what was before, and the time.
    pub(crate) fn facts(&mut self, schema: &Schema) -> Facts {
        let mut facts = Facts::new();
        let is_update = self.one_in(2);
        for field in schema.fields() {
            facts.insert(field.name.to_string(), self.fact(field.kind));
            if is_update {
                facts.insert(format!("before {}", field.name), self.fact(field.kind));
            }
        }
        if self.one_in(2) {
            facts.insert("now".to_owned(), time(self.between(0, 3)).into());
        }
        if self.one_in(2) {
            facts.insert("hours".to_owned(), true.into());
        }
        facts
    }

    fn criterion(&mut self, schema: &Schema) -> Definition {
        let field = self.pick(schema.fields());
        let operator = self.pick(Operator::of(field.kind));
        let count = match operator.arity() {
            Arity::Zero => 0,
            Arity::One => 1,
            Arity::Two => 2,
            Arity::Many => 1 + self.below(4),
        };
        let mut values: Vec<Value> = (0..count)
            .map(|_| match operator {
                Operator::Matches => self.pick(&PATTERNS).into(),
                Operator::WithinLast | Operator::WithinNext => self.between(1, 2).into(),
                Operator::WithinHours | Operator::OutsideHours => self.id(3).into(),
                _ => self.value(field.kind.element()),
            })
            .collect();
        match (operator, &mut *values) {
            (Operator::Between, [Value::Number(low), Value::Number(high)]) => {
                (*low, *high) = (*low.min(high), *low.max(high))
            }
            (Operator::Between, [Value::Time(low), Value::Time(high)]) => {
                (*low, *high) = (*low.min(high), *low.max(high))
            }
            _ => {}
        }
        let case_sensitive = self.one_in(2);
        Definition::Criterion(Criterion { field: field.name.to_string(), operator, values, case_sensitive })
    }

    /// Criteria, groups up to four deep in one another, and about so many criteria at most.
    pub(crate) fn criteria(&mut self, schema: &Schema, most: usize) -> Definition {
        if self.one_in(32) { Definition::all([]) } else { self.group(schema, 4, &mut { most }) }
    }

    fn group(&mut self, schema: &Schema, depth: usize, left: &mut usize) -> Definition {
        let kind = self.below(6);
        *left = left.saturating_sub(1);
        if depth == 0 || *left == 0 || kind < 2 {
            return self.criterion(schema);
        }
        if kind == 5 {
            return Definition::negation(self.group(schema, depth - 1, left));
        }
        let items = self.some(1, 4, |it| it.group(schema, depth - 1, left));
        if kind == 4 { Definition::any(items) } else { Definition::all(items) }
    }

    fn outcome(&mut self, schema: &Schema) -> OutcomeDefinition {
        let field = self.pick(schema.fields());
        let adds = self.one_in(2) && field.kind.element() != field.kind;
        let value = match self.value(field.kind) {
            // An outcome gives a value.
            Value::IdSet(set) if set.is_empty() => Value::IdSet([id(1)].into_iter().collect()),
            Value::TextSet(set) if set.is_empty() => Value::TextSet([Arc::from("a")].into_iter().collect()),
            value => value,
        };
        let action = if adds { Action::Add(value) } else { Action::Set(value) };
        OutcomeDefinition { field: field.name.to_string(), action }
    }

    /// A rule with this number.
    pub(crate) fn rule(&mut self, schema: &Schema, number: usize) -> RuleDefinition {
        let uses = [AppliesTo::NewAndExisting, AppliesTo::New, AppliesTo::Existing, AppliesTo::Manual];
        let mut outcomes = self.some(0, 3, |it| it.outcome(schema));
        let mut named = BTreeSet::new();
        outcomes.retain(|outcome| named.insert(outcome.field.clone()));
        RuleDefinition {
            id: id(number),
            name: format!("rule {number}"),
            enabled: !self.one_in(10),
            applies_to: self.pick(&uses),
            precedence: i32::try_from(self.below(2)).unwrap(),
            created: time(self.between(0, 1)),
            stop_on_match: self.one_in(10),
            criteria: self.criteria(schema, 20),
            outcomes,
        }
    }

    /// Why rules are asked, of which there are so many.
    pub(crate) fn asked(&mut self, schema: &Schema, rules: usize) -> Asked {
        match self.below(9) {
            0..4 => Asked::New,
            4..8 => {
                Asked::Existing(self.some(0, 3, |it| it.pick(schema.fields()).name.to_string()).into_iter().collect())
            }
            _ => Asked::Manual(self.some(0, 3, |it| it.id(rules + 1)).into_iter().collect()),
        }
    }

    /// The rules that change or are new, and the ids of those that go.
    pub(crate) fn edit(&mut self, schema: &Schema, rules: usize) -> (Vec<RuleDefinition>, Vec<Uuid>) {
        let changed = self.some(0, 2, |it| {
            let number = 1 + it.below(rules + 3);
            it.rule(schema, number)
        });
        // Some ids are of no rule.
        (changed, self.some(0, 1, |it| it.id(rules + 3)))
    }
}

pub(crate) fn id(number: usize) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap())
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[derive(Debug)]
struct Calendars;

impl Hours for Calendars {
    fn contain(&self, calendar: Uuid, time: DateTime<Utc>) -> Option<bool> {
        let (_, from, until) = HOURS.iter().find(|(number, ..)| Uuid::from_u128(*number) == calendar)?;
        Some((*from..*until).contains(&time.timestamp()))
    }
}

/// The record that knows this.
pub(crate) fn record(schema: &Schema, facts: &Facts) -> Record {
    let (mut record, mut before) = (Record::new(schema), Record::new(schema));
    let field = |name: &str| schema.field(name).unwrap();
    for (name, fact) in facts {
        match (name.strip_prefix("before "), fact) {
            (Some(name), fact) => before.set(field(name), fact.clone()).unwrap(),
            (None, Fact::Known(Value::Time(now))) if name == "now" => record.set_now(*now),
            (None, _) if name == "hours" => record.set_hours(Arc::new(Calendars)),
            (None, fact) => record.set(field(name), fact.clone()).unwrap(),
        }
    }
    if facts.keys().any(|name| name.starts_with("before ")) {
        record.set_before(&before);
    }
    record
}

pub(crate) fn occasion(schema: &Schema, asked: &Asked) -> Occasion {
    match asked {
        Asked::New => Occasion::New,
        Asked::Existing(names) => {
            Occasion::Existing { changed: names.iter().map(|name| schema.field(name).unwrap()).collect() }
        }
        Asked::Manual(rules) => Occasion::Manual { rules: rules.clone() },
    }
}
