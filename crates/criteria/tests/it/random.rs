//! Random criteria, records and rules: the crate agrees with the oracle.

use std::collections::BTreeSet;

use concierge_criteria::{
    Action, AppliesTo, Arity, Change, Criterion, Definition, Fact, FieldSet, FieldType, GroupKind, NotConsidered,
    Occasion, Operator, OutcomeDefinition, Record, RuleDefinition, Trace, TraceNode, Truth, Value, Verdict, compile,
    eval, explain, walk, walk_explained,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::RngAlgorithm;

use crate::oracle::{self, Asked, Became, Facts};
use crate::world::{field, id, rules, schema, time};

/// Few values of each type, so that criteria often hold; texts that differ in case, and some that fold in odd ways.
fn value(kind: FieldType) -> BoxedStrategy<Value> {
    let texts = ["a", "A", "ab", "aB", "bab", "BAAB", "aab", "ß", "ẞ", "İ", "i\u{307}", "\u{212A}", "k", "Σς"];
    match kind {
        FieldType::Id => (1..4_u128).prop_map(|number| id(number).into()).boxed(),
        FieldType::Choice => select(vec!["EMAIL", "PHONE"]).prop_map(Value::choice).boxed(),
        FieldType::Text => select(texts.to_vec()).prop_map(Value::from).boxed(),
        FieldType::Number => (-1..3_i64).prop_map(Value::from).boxed(),
        FieldType::Flag => any::<bool>().prop_map(Value::from).boxed(),
        FieldType::Time => (0..3_i64).prop_map(|seconds| time(seconds).into()).boxed(),
        FieldType::IdSet => {
            btree_set(1..4_u128, 0..4).prop_map(|set| Value::IdSet(set.into_iter().map(id).collect())).boxed()
        }
        FieldType::TextSet => subsequence(texts[..4].to_vec(), 0..4)
            .prop_map(|set| Value::TextSet(set.into_iter().map(std::sync::Arc::from).collect()))
            .boxed(),
    }
}

fn fact(kind: FieldType) -> BoxedStrategy<Fact> {
    prop_oneof![3 => value(kind).prop_map(Fact::from), 1 => Just(Fact::Empty), 1 => Just(Fact::Unknown)].boxed()
}

pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let fields = schema().fields().to_vec();
    let names: Vec<String> = fields.iter().map(|field| field.name.to_string()).collect();
    let each = || fields.iter().map(|field| fact(field.kind)).collect::<Vec<_>>();
    let now = prop::option::of((0..4_i64).prop_map(|seconds| Fact::from(time(seconds))));
    (each(), prop::option::of(each()), now).prop_map(move |(facts, before, now)| {
        let before = before.into_iter().flatten();
        let before = names.iter().map(|name| format!("before {name}")).zip(before);
        names.iter().cloned().zip(facts).chain(before).chain(now.map(|now| ("now".to_owned(), now))).collect()
    })
}

fn criterion() -> impl Strategy<Value = Definition> {
    let pairs: Vec<_> = schema()
        .fields()
        .iter()
        .flat_map(|field| {
            Operator::of(field.kind).iter().map(|operator| (field.name.to_string(), field.kind, *operator))
        })
        .collect();
    select(pairs).prop_flat_map(|(name, kind, operator)| {
        let count = match operator.arity() {
            Arity::Zero => 0..=0,
            Arity::One => 1..=1,
            Arity::Two => 2..=2,
            Arity::Many => 1..=4,
        };
        (vec(asked_value(kind, operator), count), any::<bool>()).prop_map(move |(mut values, case_sensitive)| {
            if let (Operator::Between, [Value::Number(low), Value::Number(high)]) = (operator, &mut *values) {
                (*low, *high) = (*low.min(high), *low.max(high));
            }
            if let (Operator::Between, [Value::Time(low), Value::Time(high)]) = (operator, &mut *values) {
                (*low, *high) = (*low.min(high), *low.max(high));
            }
            Definition::Criterion(Criterion { field: name.clone(), operator, values, case_sensitive })
        })
    })
}

/// A value for a criterion.
fn asked_value(kind: FieldType, operator: Operator) -> BoxedStrategy<Value> {
    let patterns = ["a+b", "^b", "A$", "(ab|ba)b?", "[kß]", "b.b", ".*", "aab|İ", "^.$", "(?:aa)?b", "ab", "σ"];
    match operator {
        Operator::Matches => select(patterns.to_vec()).prop_map(Value::from).boxed(),
        Operator::WithinLast | Operator::WithinNext => (1..3_i64).prop_map(Value::from).boxed(),
        _ => value(kind.element()),
    }
}

fn criteria() -> impl Strategy<Value = Definition> {
    criterion().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..5).prop_map(Definition::all),
            vec(inner.clone(), 1..5).prop_map(Definition::any),
            inner.prop_map(Definition::negation),
        ]
    })
}

/// Few enough criteria to try every choice of them.
fn small_criteria() -> impl Strategy<Value = Definition> {
    criterion().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Definition::all),
            vec(inner.clone(), 1..4).prop_map(Definition::any),
            inner.prop_map(Definition::negation),
        ]
    })
}

fn outcome() -> impl Strategy<Value = OutcomeDefinition> {
    select(schema().fields().to_vec()).prop_flat_map(|field| {
        let is_set = field.kind.element() != field.kind;
        let filled = value(field.kind).prop_filter("an outcome gives a value", |value| !value.is_empty());
        (filled, any::<bool>()).prop_map(move |(value, adds)| OutcomeDefinition {
            field: field.name.to_string(),
            action: if adds && is_set { Action::Add(value) } else { Action::Set(value) },
        })
    })
}

pub(crate) fn rule(number: u128) -> impl Strategy<Value = RuleDefinition> {
    let uses = vec![AppliesTo::NewAndExisting, AppliesTo::New, AppliesTo::Existing, AppliesTo::Manual];
    let order = (0..2_i32, 0..2_i64);
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    (criteria(), vec(outcome(), 0..4), select(uses), order, flags).prop_map(
        move |(criteria, mut outcomes, applies_to, (precedence, created), (enabled, stop_on_match))| {
            let mut named = BTreeSet::new();
            outcomes.retain(|outcome| named.insert(outcome.field.clone()));
            RuleDefinition {
                id: id(number),
                name: format!("rule {number}"),
                enabled,
                applies_to,
                precedence,
                created: time(created),
                stop_on_match,
                criteria,
                outcomes,
            }
        },
    )
}

fn rule_definitions() -> impl Strategy<Value = Vec<RuleDefinition>> {
    (1..=8_u128).map(rule).collect::<Vec<_>>().prop_shuffle()
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let names: Vec<String> = schema().fields().iter().map(|field| field.name.to_string()).collect();
    prop_oneof![
        4 => Just(Asked::New),
        4 => subsequence(names, 0..4).prop_map(|names| Asked::Existing(names.into_iter().collect())),
        1 => btree_set((1..10_u128).prop_map(id), 0..4).prop_map(Asked::Manual),
    ]
}

pub(crate) fn record(facts: &Facts) -> Record {
    let (mut record, mut before) = (Record::new(&schema()), Record::new(&schema()));
    for (name, fact) in facts {
        match (name.strip_prefix("before "), fact) {
            (Some(name), fact) => before.set(field(name), fact.clone()).unwrap(),
            (None, Fact::Known(Value::Time(now))) if name == "now" => record.set_now(*now),
            (None, fact) => record.set(field(name), fact.clone()).unwrap(),
        }
    }
    if facts.keys().any(|name| name.starts_with("before ")) {
        record.set_before(&before);
    }
    record
}

pub(crate) fn occasion(asked: &Asked) -> Occasion {
    match asked {
        Asked::New => Occasion::New,
        Asked::Existing(names) => Occasion::Existing { changed: names.iter().map(|name| field(name)).collect() },
        Asked::Manual(rules) => Occasion::Manual { rules: rules.clone() },
    }
}

/// So many cases, or as many times more as CONCIERGE_CRITERIA_CASES is more than 2,000.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("CONCIERGE_CRITERIA_CASES").ok().and_then(|wanted| wanted.parse::<u32>().ok());
    let cases = wanted.map_or(cases, |wanted| (cases.saturating_mul(wanted.div_ceil(2_000))).max(1));
    // Random enough, and a quarter of the time without optimisation.
    let rng_algorithm = RngAlgorithm::XorShift;
    ProptestConfig { cases, rng_algorithm, failure_persistence: None, ..ProptestConfig::default() }
}

fn truth(answer: Option<bool>) -> Truth {
    answer.map_or(Truth::Unknown, Truth::from)
}

fn names(fields: &FieldSet) -> BTreeSet<String> {
    schema().names(fields).map(str::to_owned).collect()
}

fn changes(changes: &[Change]) -> Vec<(String, Fact, Fact)> {
    let name = |change: &Change| schema().get(change.field).unwrap().name.to_string();
    changes.iter().map(|change| (name(change), change.from.clone(), change.to.clone())).collect()
}

/// A trace answers, part for part, what the oracle answers of the definition's parts.
fn agrees(trace: &Trace, definition: &Definition, facts: &Facts) -> bool {
    trace.truth == truth(oracle::holds(definition, facts))
        && match (&trace.node, definition) {
            (TraceNode::Criterion(seen), Definition::Criterion(wanted)) => {
                *seen.name == wanted.field && seen.seen == facts[&wanted.field] && *seen.wanted == wanted.values
            }
            (TraceNode::Group { items: traces, .. }, Definition::Group { items, .. }) => {
                traces.len() == items.len() && traces.iter().zip(items).all(|(trace, item)| agrees(trace, item, facts))
            }
            _ => false,
        }
}

/// The trace's answer if nothing were known but the criteria that are its reasons.
fn from_reasons_alone(trace: &Trace, reasons: &[*const concierge_criteria::SeenCriterion]) -> Truth {
    match &trace.node {
        TraceNode::Criterion(seen) if reasons.contains(&std::ptr::from_ref(seen)) => trace.truth,
        TraceNode::Criterion(_) => Truth::Unknown,
        TraceNode::Group { kind, items } => {
            let items = items.iter().map(|item| from_reasons_alone(item, reasons));
            match kind {
                GroupKind::All => items.fold(Truth::True, Truth::and),
                GroupKind::Any => items.fold(Truth::False, Truth::or),
                GroupKind::Not => items.fold(Truth::Unknown, |_, item| !item),
            }
        }
    }
}

fn leaves(trace: &Trace, found: &mut Vec<*const concierge_criteria::SeenCriterion>) {
    match &trace.node {
        TraceNode::Criterion(seen) => found.push(seen),
        TraceNode::Group { items, .. } => items.iter().for_each(|item| leaves(item, found)),
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn criteria_agree_with_the_oracle(definition in criteria(), facts in facts()) {
        let compiled = compile(&schema(), &definition).unwrap();
        let record = record(&facts);
        let trace = explain(&compiled, &record);
        prop_assert_eq!(eval(&compiled, &record), truth(oracle::holds(&definition, &facts)));
        prop_assert!(agrees(&trace, &definition, &facts), "{:?}", trace);
        prop_assert_eq!(names(&trace.unknown_facts()), oracle::open(&definition, &facts));
        prop_assert_eq!(names(compiled.fields()), oracle::fields(&definition));
    }

    #[test]
    fn reasons_alone_give_the_same_answer(definition in criteria(), facts in facts()) {
        let trace = explain(&compile(&schema(), &definition).unwrap(), &record(&facts));
        let reasons: Vec<_> = trace.reasons().into_iter().map(std::ptr::from_ref).collect();
        prop_assert_eq!(from_reasons_alone(&trace, &reasons), trace.truth);
    }

    #[test]
    fn fewest_reasons_force_the_answer_and_no_fewer_would(definition in small_criteria(), facts in facts()) {
        let trace = explain(&compile(&schema(), &definition).unwrap(), &record(&facts));
        let fewest: Vec<_> = trace.fewest_reasons().into_iter().map(std::ptr::from_ref).collect();
        prop_assert_eq!(from_reasons_alone(&trace, &fewest), trace.truth);
        let mut all = Vec::new();
        leaves(&trace, &mut all);
        if trace.truth != Truth::Unknown && all.len() <= 12 {
            for chosen in 0_u32..1 << all.len() {
                let some: Vec<_> = (0..).zip(&all).filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, it)| *it).collect();
                prop_assert!(some.len() >= fewest.len() || from_reasons_alone(&trace, &some) == Truth::Unknown);
            }
        }
    }

    #[test]
    fn learning_a_fact_never_turns_an_answer(definition in criteria(), before in facts(), learnt in facts()) {
        let compiled = compile(&schema(), &definition).unwrap();
        let (known, open) = (eval(&compiled, &record(&before)), oracle::open(&definition, &before));
        let mut after = before.clone();
        for (name, fact) in &mut after {
            if *fact == Fact::Unknown && !open.contains(name.trim_start_matches("before ")) {
                *fact = learnt.get(name).cloned().unwrap_or_default();
            }
        }
        prop_assert_eq!(eval(&compiled, &record(&after)), known, "facts that are not reported decide nothing");
        for (name, fact) in &mut after {
            if *fact == Fact::Unknown {
                *fact = learnt.get(name).cloned().unwrap_or_default();
            }
        }
        let then = eval(&compiled, &record(&after));
        prop_assert!(known == Truth::Unknown || then == known);
    }

    #[test]
    fn walks_agree_with_the_oracle(definitions in rule_definitions(), facts in facts(), asked in asked()) {
        let set = rules(definitions.clone());
        let occasion = occasion(&asked);
        let (mut quiet, mut told, mut expected) = (record(&facts), record(&facts), facts);
        let outcome = walk_explained(&set, &mut told, &occasion, |_| true);
        let became = oracle::run(&definitions, &mut expected, &asked);

        prop_assert!(told.changed_since(&record(&expected)).is_empty());
        let verdicts: Vec<_> = outcome.verdicts.iter().map(|it| {
            let verdict = match &it.verdict {
                Verdict::Matched { changes: made, .. } => Became::Matched(changes(made)),
                Verdict::NotMatched { .. } => Became::NotMatched,
                Verdict::Undecided { facts, .. } => Became::Undecided(names(facts)),
                Verdict::NotConsidered(NotConsidered::Disabled) => Became::Disabled,
                Verdict::NotConsidered(NotConsidered::OtherUse) => Became::OtherUse,
                Verdict::NotConsidered(NotConsidered::StoppedBy(by)) => Became::StoppedBy(*by),
                Verdict::NotConsidered(NotConsidered::NoChangedField) => Became::NoChangedField,
            };
            (it.rule, verdict)
        }).collect();
        prop_assert_eq!(&verdicts, &became);

        for it in &outcome.verdicts {
            match &it.verdict {
                Verdict::Matched { trace, .. } => prop_assert_eq!(trace.truth, Truth::True),
                Verdict::NotMatched { trace } => prop_assert_eq!(trace.truth, Truth::False),
                Verdict::Undecided { facts, trace } => prop_assert_eq!(&trace.unknown_facts(), facts),
                Verdict::NotConsidered(_) => {}
            }
        }
        let matched: Vec<_> = outcome.matched.iter().map(|it| (it.rule, Became::Matched(changes(&it.changes)))).collect();
        let undecided: Vec<_> = outcome.undecided.iter().map(|it| (it.rule, Became::Undecided(names(&it.facts)))).collect();
        let of = |wanted: fn(&Became) -> bool| became.iter().filter(|(_, it)| wanted(it)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(matched, of(|it| matches!(it, Became::Matched(_))));
        prop_assert_eq!(undecided, of(|it| matches!(it, Became::Undecided(_))));

        let short = walk(&set, &mut quiet, &occasion);
        prop_assert!(quiet.changed_since(&told).is_empty());
        prop_assert_eq!(short, concierge_criteria::Outcome { verdicts: vec![], ..outcome });
    }
}
