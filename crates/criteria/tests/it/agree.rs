//! What bytes make of rules, records and edits: the index, the plain loop and the oracle agree on it. Here is no test:
//! the property tests and the fuzzer call it.

use std::collections::BTreeMap;
use std::sync::Arc;

use concierge_criteria::{
    Change, FieldSet, NotConsidered, Outcome, Rule, RuleDefinition, RuleIndex, RuleSet, Schema, Scratch, Trace,
    TraceNode, Truth, Verdict, compile_rule, walk, walk_explained,
};
use uuid::Uuid;

use crate::oracle::{self, Answered, Asked, Became, Facts, Told};
use crate::source::{Source, id, occasion, record};

/// A few rules, records and edits.
pub(crate) fn few(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let count = 1 + source.below(8);
    compare(&mut source, count, 2, 4);
}

/// Enough rules for several blocks of the index.
pub(crate) fn many(bytes: &[u8]) {
    compare(&mut Source::new(bytes), 300, 6, 2);
}

fn compare(source: &mut Source<'_>, count: usize, records: usize, edits: usize) {
    let schema = source.schema();
    let facts: Vec<Facts> = (0..records).map(|_| source.facts(&schema)).collect();
    let asked = [source.asked(&schema, count), source.asked(&schema, count)];
    let mut rules: BTreeMap<Uuid, RuleDefinition> =
        (1..=count).map(|number| (id(number), source.rule(&schema, number))).collect();
    let compiled = |rule: &RuleDefinition| Arc::new(compile_rule(&schema, rule).unwrap());
    let mut index = RuleIndex::new(&RuleSet::new(rules.values().map(compiled)));
    let mut scratch = Scratch::default();
    let mut check = |rules: &BTreeMap<Uuid, RuleDefinition>, index: &RuleIndex| {
        for (nth, facts) in facts.iter().enumerate() {
            all_agree(&schema, rules, index, facts, &asked[nth % 2], &mut scratch);
        }
    };
    check(&rules, &index);
    for _ in 0..source.below(edits) {
        let (changed, removed) = source.edit(&schema, count);
        index = index.with(changed.iter().map(compiled), removed.clone());
        rules.extend(changed.into_iter().map(|rule| (rule.id, rule)));
        rules.retain(|id, _| !removed.contains(id));
        check(&rules, &index);
        if source.one_in(2) {
            index = index.merged();
            assert_eq!(index.unmerged(), 0);
            check(&rules, &index);
        }
    }
}

/// The index and the loop do what the oracle says, and tell it alike.
pub(crate) fn all_agree(
    schema: &Schema,
    rules: &BTreeMap<Uuid, RuleDefinition>,
    index: &RuleIndex,
    facts: &Facts,
    asked: &Asked,
    scratch: &mut Scratch,
) {
    let definitions: Vec<RuleDefinition> = rules.values().cloned().collect();
    let mut after = facts.clone();
    let told = oracle::run(&definitions, &mut after, asked);
    let after = record(schema, &after);
    let occasion = occasion(schema, asked);

    let order: Vec<Uuid> = told.iter().map(|told| told.rule).collect();
    assert!(index.rules().map(|rule| rule.id()).eq(order), "the rules run in another order");
    assert_eq!((index.len(), index.is_empty()), (rules.len(), rules.is_empty()));
    assert!(rules.keys().all(|id| index.get(*id).is_some_and(|rule| rule.id() == *id)));

    let set = RuleSet::new(index.rules().cloned().collect::<Vec<Arc<Rule>>>());
    let mut seen = record(schema, facts);
    let explained = index.walk_explained(&mut seen, &occasion, |_| true);
    assert!(seen.changed_since(&after).is_empty());
    assert_eq!(verdicts(schema, &explained), told);
    assert_eq!(walk_explained(&set, &mut record(schema, facts), &occasion, |_| true), explained);

    let mut seen = record(schema, facts);
    let ran = index.run(&mut seen, &occasion, scratch).outcome();
    assert!(seen.changed_since(&after).is_empty());
    assert_eq!(of_index(schema, &ran), of_oracle(rules, &told));
    assert_eq!(walk(&set, &mut record(schema, facts), &occasion), ran);
    assert_eq!(Outcome { verdicts: Vec::new(), ..explained }, ran);
}

/// The rules that matched, those left undecided, and what stopped the rest.
type Short = (Vec<(Uuid, Became)>, Vec<(Uuid, Became)>, Option<Uuid>);

fn of_oracle(rules: &BTreeMap<Uuid, RuleDefinition>, told: &[Told]) -> Short {
    let of = |wanted: fn(&Became) -> bool| {
        let wanted = told.iter().filter(|told| wanted(&told.became));
        wanted.map(|told| (told.rule, told.became.clone())).collect()
    };
    let stops = |told: &&Told| matches!(told.became, Became::Matched(_)) && rules[&told.rule].stop_on_match;
    let stopped_by = told.iter().find(stops).map(|told| told.rule);
    (of(|it| matches!(it, Became::Matched(_))), of(|it| matches!(it, Became::Undecided(_))), stopped_by)
}

fn of_index(schema: &Schema, ran: &Outcome) -> Short {
    let matched: Vec<_> =
        ran.matched.iter().map(|it| (it.rule, Became::Matched(changes(schema, &it.changes)))).collect();
    let undecided = ran.undecided.iter().map(|it| (it.rule, Became::Undecided(names(schema, &it.facts))));
    (matched, undecided.collect(), ran.stopped_by)
}

fn verdicts(schema: &Schema, outcome: &Outcome) -> Vec<Told> {
    let told = |became, trace: Option<&Trace>| (became, trace.map(answered));
    outcome
        .verdicts
        .iter()
        .map(|it| {
            let (became, answered) = match &it.verdict {
                Verdict::Matched { changes: made, trace } => told(Became::Matched(changes(schema, made)), Some(trace)),
                Verdict::NotMatched { trace } => told(Became::NotMatched, Some(trace)),
                Verdict::Undecided { facts, trace } => {
                    assert_eq!(&trace.unknown_facts(), facts);
                    told(Became::Undecided(names(schema, facts)), Some(trace))
                }
                Verdict::NotConsidered(NotConsidered::Disabled) => told(Became::Disabled, None),
                Verdict::NotConsidered(NotConsidered::OtherUse) => told(Became::OtherUse, None),
                Verdict::NotConsidered(NotConsidered::StoppedBy(by)) => told(Became::StoppedBy(*by), None),
                Verdict::NotConsidered(NotConsidered::NoChangedField) => told(Became::NoChangedField, None),
            };
            Told { rule: it.rule, became, answered }
        })
        .collect()
}

pub(crate) fn answered(trace: &Trace) -> Answered {
    let (seen, items) = match &trace.node {
        TraceNode::Criterion(criterion) => (Some((criterion.name.to_string(), criterion.seen.clone())), Vec::new()),
        TraceNode::Group { items, .. } => (None, items.iter().map(answered).collect()),
    };
    let holds = match trace.truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Unknown => None,
    };
    Answered { holds, seen, items }
}

pub(crate) fn names(schema: &Schema, fields: &FieldSet) -> std::collections::BTreeSet<String> {
    schema.names(fields).map(str::to_owned).collect()
}

fn changes(schema: &Schema, changes: &[Change]) -> Vec<(String, concierge_criteria::Fact, concierge_criteria::Fact)> {
    let name = |change: &Change| schema.get(change.field).unwrap().name.to_string();
    changes.iter().map(|change| (name(change), change.from.clone(), change.to.clone())).collect()
}
