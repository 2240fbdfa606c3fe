//! Random criteria, records, rules and edits: the crate agrees with the oracle.

use concierge_criteria::{
    Definition, Fact, GroupKind, Schema, SeenCriterion, Trace, TraceNode, Truth, compile, eval, explain,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use crate::agree;
use crate::oracle::{self, Asked, Facts};
use crate::source::{Source, record};

/// So many cases, or as many times more as CONCIERGE_CRITERIA_CASES is more than 2,000.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("CONCIERGE_CRITERIA_CASES").ok().and_then(|wanted| wanted.parse::<u32>().ok());
    let cases = wanted.map_or(cases, |wanted| (cases.saturating_mul(wanted.div_ceil(2_000))).max(1));
    // Random enough, and a quarter of the time without optimisation.
    let rng_algorithm = RngAlgorithm::XorShift;
    ProptestConfig { cases, rng_algorithm, failure_persistence: None, ..ProptestConfig::default() }
}

/// What a test is made of; it shrinks to fewer and lower bytes.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

fn truth(answer: Option<bool>) -> Truth {
    answer.map_or(Truth::Unknown, Truth::from)
}

/// Criteria of at most so many parts, and two records.
fn criteria(bytes: &[u8], most: usize) -> (Schema, Definition, [Facts; 2]) {
    let mut source = Source::new(bytes);
    let schema = source.schema();
    let definition = source.criteria(&schema, most);
    let facts = [source.facts(&schema), source.facts(&schema)];
    (schema, definition, facts)
}

fn traced(schema: &Schema, definition: &Definition, facts: &Facts) -> Trace {
    explain(&compile(schema, definition).unwrap(), &record(schema, facts))
}

/// The trace's answer if nothing were known but the criteria that are its reasons.
fn from_reasons_alone(trace: &Trace, reasons: &[*const SeenCriterion]) -> Truth {
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

fn leaves(trace: &Trace, found: &mut Vec<*const SeenCriterion>) {
    match &trace.node {
        TraceNode::Criterion(seen) => found.push(seen),
        TraceNode::Group { items, .. } => items.iter().for_each(|item| leaves(item, found)),
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn criteria_agree_with_the_oracle(bytes in bytes(300)) {
        let (schema, definition, [facts, _]) = criteria(&bytes, 24);
        let compiled = compile(&schema, &definition).unwrap();
        let trace = traced(&schema, &definition, &facts);
        prop_assert_eq!(eval(&compiled, &record(&schema, &facts)), truth(oracle::holds(&definition, &facts)));
        prop_assert_eq!(agree::answered(&trace), oracle::answered(&definition, &facts));
        prop_assert_eq!(agree::names(&schema, &trace.unknown_facts()), oracle::open(&definition, &facts));
        prop_assert_eq!(agree::names(&schema, compiled.fields()), oracle::fields(&definition));
    }

    #[test]
    fn reasons_alone_give_the_same_answer(bytes in bytes(300)) {
        let (schema, definition, [facts, _]) = criteria(&bytes, 24);
        let trace = traced(&schema, &definition, &facts);
        let reasons: Vec<_> = trace.reasons().into_iter().map(std::ptr::from_ref).collect();
        prop_assert_eq!(from_reasons_alone(&trace, &reasons), trace.truth);
    }

    #[test]
    fn fewest_reasons_force_the_answer_and_no_fewer_would(bytes in bytes(200)) {
        let (schema, definition, [facts, _]) = criteria(&bytes, 8);
        let trace = traced(&schema, &definition, &facts);
        let fewest: Vec<_> = trace.fewest_reasons().into_iter().map(std::ptr::from_ref).collect();
        prop_assert_eq!(from_reasons_alone(&trace, &fewest), trace.truth);
        let mut all = Vec::new();
        leaves(&trace, &mut all);
        if trace.truth != Truth::Unknown && all.len() <= 10 {
            for chosen in 0_u32..1 << all.len() {
                let some: Vec<_> = (0..).zip(&all).filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, it)| *it).collect();
                prop_assert!(some.len() >= fewest.len() || from_reasons_alone(&trace, &some) == Truth::Unknown);
            }
        }
    }

    #[test]
    fn learning_a_fact_never_turns_an_answer(bytes in bytes(300)) {
        let (schema, definition, [before, learnt]) = criteria(&bytes, 24);
        let compiled = compile(&schema, &definition).unwrap();
        let eval = |facts: &Facts| eval(&compiled, &record(&schema, facts));
        let (known, open) = (eval(&before), oracle::open(&definition, &before));
        let mut after = before.clone();
        for (name, fact) in &mut after {
            if *fact == Fact::Unknown && !open.contains(name.trim_start_matches("before ")) {
                *fact = learnt.get(name).cloned().unwrap_or_default();
            }
        }
        prop_assert_eq!(eval(&after), known, "facts that are not reported decide nothing");
        for (name, fact) in &mut after {
            if *fact == Fact::Unknown {
                *fact = learnt.get(name).cloned().unwrap_or_default();
            }
        }
        prop_assert!(known == Truth::Unknown || eval(&after) == known);
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn index_and_loop_do_and_tell_what_the_oracle_says(bytes in bytes(2_000)) {
        agree::few(&bytes);
    }
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn index_of_many_rules_does_what_the_oracle_says(bytes in bytes(24_000)) {
        agree::many(&bytes);
    }
}

#[test]
fn bytes_make_rules_that_match_fail_stop_and_stay_undecided() {
    // What the random cases are worth depends on it.
    let mut random = 1_u64;
    let mut counts = [0_usize; 4];
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..2_000)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random.to_be_bytes()[0]
            })
            .collect();
        let mut source = Source::new(&bytes);
        let schema = source.schema();
        let facts = source.facts(&schema);
        let rules: Vec<_> = (1..=8).map(|number| source.rule(&schema, number)).collect();
        for told in oracle::run(&rules, &mut facts.clone(), &Asked::New) {
            match told.became {
                oracle::Became::Matched(_) => counts[0] += 1,
                oracle::Became::NotMatched => counts[1] += 1,
                oracle::Became::StoppedBy(_) => counts[2] += 1,
                oracle::Became::Undecided(_) => counts[3] += 1,
                _ => {}
            }
        }
    }
    assert!(counts.iter().all(|count| *count >= 25), "{counts:?}");
}

/// What the fuzzer keeps: see `fuzz`.
#[test]
fn nothing_that_the_fuzzer_found_breaks_matching() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/compile_edit_match");
    let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 20, "{corpus} has {} files", files.len());
    for file in files {
        agree::few(&std::fs::read(file).unwrap());
    }
}
