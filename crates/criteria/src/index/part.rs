//! An immutable index of rules: which of them a record's classes may let hold.

use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::access::Access;
use super::block::{Blocks, Entry, SIZE, Wanted};
use super::check::{Checks, Place, Quick};
use super::clause::{Clause, Dimensions, for_each};
use super::dimension::Test;
use super::keys::{Key, Uses};
use super::state::State;
use crate::compile::{Checked, Node};
use crate::eval::combine;
use crate::predicate::Positive;
use crate::record::Record;
use crate::rule::{AppliesTo, Rule};
use crate::truth::Truth;

/// Where no criterion of a text is.
const NO_CLASS: u32 = u32::MAX;
/// So few clauses are looked at one by one; more are in blocks.
const FEW: u32 = 32;
/// So many clauses are gathered before they are looked at more closely.
const GATHERED: usize = 128;

/// Rules and what finds them.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// In the order they run.
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) places: HashMap<Uuid, u32>,
    pub(crate) dimensions: Dimensions,
    /// By what finds them. A clause that several classes find is there several times.
    clauses: Vec<Sorted>,
    checks: Checks,
    blocks: Blocks,
    access: Access,
    texts: Texts,
}

/// The classes of criteria on texts, so that no text is searched twice.
#[derive(Debug, Default)]
struct Texts {
    /// For each rule, where its criteria begin in the list, if it has any on a text.
    begin: Vec<Option<u32>>,
    /// For each criterion of such a rule, its dimension and its class.
    list: Vec<(u16, u32)>,
}

/// A clause in the order of what finds it.
#[derive(Debug)]
struct Sorted {
    rule: u32,
    /// The tests that leave the fewest.
    quick: [Quick; 2],
    /// The others.
    checks: Place,
    applies_to: AppliesTo,
    exact: bool,
}

impl Part {
    /// An index of rules, which are given in the order they run.
    pub(crate) fn new(rules: Vec<Arc<Rule>>) -> Part {
        let places = rules.iter().zip(0..).map(|(rule, place)| (rule.id(), place)).collect();
        let mut part = Part { rules, places, ..Part::default() };
        let found: Vec<(u32, Arc<Rule>)> =
            (0..).zip(&part.rules).filter(|(_, it)| runs(it)).map(|(n, it)| (n, Arc::clone(it))).collect();
        for (_, rule) in &found {
            part.dimensions.register(rule.criteria());
        }
        part.dimensions.finish();
        let mut clauses: Vec<(u32, Clause)> = Vec::new();
        for (number, rule) in &found {
            clauses.extend(part.dimensions.clauses(rule.criteria()).into_iter().map(|clause| (*number, clause)));
        }
        part.number_texts(&found);
        part.find_by(clauses);
        part
    }

    fn find_by(&mut self, mut clauses: Vec<(u32, Clause)>) {
        let mut uses = Uses::count(&self.dimensions, &clauses);
        let keys = uses.keys(&mut clauses);
        let multiple: Vec<bool> = self.dimensions.list.iter().map(|it| it.is_multiple()).collect();
        let multiple = |dimension: u16| multiple.get(usize::from(dimension)).copied().unwrap_or_default();
        let classes = |dimension: u16| self.dimensions.list.get(usize::from(dimension)).map_or(0, |it| it.classes());
        self.access = Access::new(&keys, classes, multiple);
        for stretch in keys.chunk_by(|a, b| a.finds_with(b)) {
            self.add_stretch(stretch, &clauses);
        }
        for chunk in keys.chunks(SIZE) {
            let clause = |key: &Key| clauses.get(key.clause as usize);
            let entries: Vec<Entry<'_>> = chunk
                .iter()
                .filter_map(clause)
                .filter_map(|(rule, clause)| Some(Entry { rule: self.rules.get(*rule as usize)?, clause }))
                .collect();
            self.blocks.push(&entries, multiple, |dimension, test| uses.of(dimension, test));
        }
    }

    /// Adds clauses that are found together. What few of them ask comes first: it tells them apart.
    fn add_stretch(&mut self, stretch: &[Key], clauses: &[(u32, Clause)]) {
        let open: Vec<Vec<&(u16, Test)>> = stretch
            .iter()
            .map(|key| {
                let tests = clauses.get(key.clause as usize).map(|(_, clause)| clause.tests.as_slice());
                // What finds it has been answered then.
                tests.unwrap_or_default().iter().filter(|(dimension, test)| !key.answers(*dimension, test)).collect()
            })
            .collect();
        for (key, tests) in stretch.iter().zip(&open) {
            let Some((number, clause)) = clauses.get(key.clause as usize) else { continue };
            let Some(rule) = self.rules.get(*number as usize) else { continue };
            let mut tests = tests.clone();
            if stretch.len() <= FEW as usize {
                tests.sort_by_cached_key(|test| open.iter().flatten().filter(|other| *other == test).count());
            }
            let (quick, checks) = self.checks.push(tests.into_iter());
            let applies_to = rule.applies_to();
            self.clauses.push(Sorted { rule: *number, quick, checks, applies_to, exact: clause.exact });
        }
    }

    fn number_texts(&mut self, rules: &[(u32, Arc<Rule>)]) {
        self.texts.begin = vec![None; self.rules.len()];
        for (number, rule) in rules {
            let begin = self.texts.list.len();
            let mut any = false;
            for_each(&rule.criteria().root, &mut |criterion: &Checked| {
                let place = self.dimensions.place(criterion);
                let part = matches!(
                    criterion.predicate.positive,
                    Positive::Part(..) | Positive::FoldedPart(..) | Positive::Pattern(_)
                );
                let asked = part.then(|| self.dimensions.list.get_mut(usize::from(place))).flatten();
                let tests = asked.map(|dimension| dimension.test(criterion, false).tests).unwrap_or_default();
                let class = match tests.first() {
                    Some(Test::Any { classes, .. }) => classes.first().copied().unwrap_or(NO_CLASS),
                    _ => NO_CLASS,
                };
                any |= class != NO_CLASS;
                self.texts.list.push((place, class));
            });
            if any {
                self.texts.begin[*number as usize] = u32::try_from(begin).ok();
            } else {
                self.texts.list.truncate(begin);
            }
        }
    }

    /// Calls with each rule that may not fail, perhaps more than once, and whether it is sure to hold.
    pub(crate) fn find(&self, wanted: Wanted<'_>, state: &State, mut found: impl FnMut(u32, bool)) {
        let sure = state.knows_all();
        let mut look = |places: &[u32]| {
            for place in places {
                let Some(clause) = self.clauses.get(*place as usize) else { continue };
                if self.checks.pass(clause.checks, state) && self.is_wanted(clause, wanted) {
                    found(clause.rule, clause.exact && sure);
                }
            }
        };
        // Places of clauses, gathered first: a branch for each stretch of them would be guessed wrong too often.
        let (mut gathered, mut count) = ([0_u32; GATHERED], 0);
        self.access.find(state, |from, to| {
            if to - from > FEW {
                return self.blocks.scan((from, to), wanted, state, &mut |place| look(&[place]));
            }
            if count + FEW as usize > GATHERED {
                self.look_quickly(&mut gathered, count, state, &mut look);
                count = 0;
            }
            let mut put = |nth: u32| {
                if let Some(place) = gathered.get_mut(count + nth as usize) {
                    *place = from + nth;
                }
            };
            // Most stretches are short; what is put beyond the end counts for nothing.
            (0..4).for_each(&mut put);
            (4..to - from).for_each(put);
            count += (to - from) as usize;
        });
        self.look_quickly(&mut gathered, count, state, &mut look);
    }

    /// Looks closer at those of some clauses that pass their quick tests.
    fn look_quickly(&self, gathered: &mut [u32; GATHERED], count: usize, state: &State, look: &mut impl FnMut(&[u32])) {
        let mut standing = count.min(GATHERED);
        for test in 0..2 {
            let all = standing;
            standing = 0;
            for nth in 0..all {
                let place = gathered[nth];
                gathered[standing] = place;
                let clause = self.clauses.get(place as usize);
                standing += usize::from(clause.is_some_and(|it| it.quick[test].pass(state)));
            }
        }
        look(gathered.get(..standing).unwrap_or_default());
    }

    fn is_wanted(&self, clause: &Sorted, wanted: Wanted<'_>) -> bool {
        let on =
            |fields| self.rules.get(clause.rule as usize).is_some_and(|it| it.criteria().fields().intersects(fields));
        match wanted {
            Wanted::New => clause.applies_to != AppliesTo::Existing,
            Wanted::NewOn(fields) => clause.applies_to != AppliesTo::Existing && on(fields),
            Wanted::Existing(fields) => clause.applies_to != AppliesTo::New && on(fields),
        }
    }

    /// Whether a rule's criteria hold, as [`eval`](crate::eval()) has it.
    pub(crate) fn truth(&self, rule: u32, record: &Record, state: &State) -> Truth {
        let Some(it) = self.rules.get(rule as usize) else { return Truth::False };
        let begin = self.texts.begin.get(rule as usize).copied().flatten();
        let texts = begin.and_then(|begin| self.texts.list.get(begin as usize..)).unwrap_or_default();
        node(&it.criteria().root, texts, record, state)
    }
}

/// Whether a rule runs by itself.
fn runs(rule: &Rule) -> bool {
    rule.enabled() && rule.applies_to() != AppliesTo::Manual
}

fn node(it: &Node, texts: &[(u16, u32)], record: &Record, state: &State) -> Truth {
    match it {
        Node::Criterion(criterion) => match texts.get(criterion.number) {
            Some((dimension, class)) if *class != NO_CLASS => match state.classes(*dimension) {
                None => Truth::Unknown,
                Some(classes) => Truth::from(classes.contains(class) != criterion.predicate.negated),
            },
            _ => criterion.on(record),
        },
        Node::Group { kind, items } => combine(*kind, items.iter().map(|item| node(item, texts, record, state))),
    }
}
