//! Finds rules that cannot do what they were written for.
//!
//! A field has infinitely many values, but criteria tell only few of them apart. For each field the solver makes a list
//! of values, one for each way in which the criteria on it can answer (`axis`); then it chooses, criterion by
//! criterion, until the rule holds or nothing is left (`search`). Where no list can be complete, for texts and large
//! sets, it holds one more entry for values that nobody found: what is impossible even so is impossible, and what is
//! possible only so is undecided.
//!
//! Everything found is either proved for all records there can be ([`World`] says which), or shown by a record on which
//! the rules were run. What is neither is told as undecided. Rules that are not enabled are not looked at.

mod always;
mod axis;
mod conflict;
mod finding;
mod formula;
mod query;
mod reach;
mod search;
mod sets;
mod texts;
mod world;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::index::{RuleIndex, Scratch};
use crate::rule::Rule;
pub use finding::{Finding, FindingKind, Lint, Question, Undecided, Why, Witness};
use reach::Reach;
pub use world::{Law, When, World};

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Criteria that are always true.
    pub always: bool,
    /// Pairs of rules that conflict.
    pub conflicts: bool,
}

/// Looks at all rules of an index. Rules that never match, and those that are shadowed, are always looked for, as the
/// others are looked for among the rest.
///
/// It takes time: a few seconds for ten thousand rules.
#[must_use]
pub fn lint(index: &RuleIndex, world: &dyn World, wanted: Wanted) -> Lint {
    let rules: Vec<Arc<Rule>> = index.rules().filter(|rule| rule.enabled()).cloned().collect();
    let places = rules.iter().enumerate().map(|(place, rule)| (rule.id(), place)).collect();
    let (live, lint, scratch) = (BTreeMap::new(), Lint::default(), Scratch::default());
    let mut linter = Linter { rules, places, index, world, scratch, live, dead: HashSet::new(), lint };
    linter.run(wanted);
    linter.lint.live = linter.live;
    linter.lint
}

struct Linter<'a> {
    /// The enabled rules, in their order.
    rules: Vec<Arc<Rule>>,
    places: HashMap<Uuid, usize>,
    index: &'a RuleIndex,
    world: &'a dyn World,
    scratch: Scratch,
    live: BTreeMap<Uuid, Witness>,
    /// The rules that match nothing.
    dead: HashSet<Uuid>,
    lint: Lint,
}

impl Linter<'_> {
    fn run(&mut self, wanted: Wanted) {
        for place in 0..self.rules.len() {
            if !self.goes_on() {
                return;
            }
            let rule = self.rules[place].clone();
            self.reachable(&rule, place);
            if wanted.always {
                self.always(&rule);
            }
        }
        if wanted.conflicts {
            self.conflicts();
        }
    }

    fn goes_on(&mut self) -> bool {
        self.lint.ended_early |= !self.world.goes_on();
        !self.lint.ended_early
    }

    fn reachable(&mut self, rule: &Rule, place: usize) {
        let all = When::of(rule.applies_to());
        let found: Vec<(When, Reach)> = all.iter().map(|when| (*when, self.reach(place, *when))).collect();
        let never = |reach: &Reach| matches!(reach, Reach::Never | Reach::NeverAsked);
        let mut shadows: Vec<(Vec<Uuid>, When)> = Vec::new();
        let mut witness = None;
        let mut undecided = Vec::new();
        let (mut live, mut nevers) = (false, Vec::new());
        for (when, reach) in found {
            if never(&reach) {
                nevers.push((when, matches!(reach, Reach::Never)));
            }
            match reach {
                Reach::Live(shown) => {
                    live = true;
                    self.live.entry(rule.id()).or_insert(shown);
                }
                Reach::Shadowed(by, shown) => {
                    shadows.push((by, when));
                    witness = witness.or(shown);
                }
                Reach::Open(question, other, why) => {
                    undecided.push(Undecided { rule: rule.id(), question, other, place: None, why });
                }
                Reach::Never | Reach::NeverAsked => {}
            }
        }
        if nevers.len() == all.len() {
            // On updates nothing has to contradict: it is enough that it is not looked at.
            let (kind, places) = match nevers.iter().find(|(_, contradicts)| *contradicts) {
                Some((when, _)) => (FindingKind::NeverMatches, self.contradiction(rule, *when)),
                None => (FindingKind::NeverAsked, vec!["criteria".to_owned()]),
            };
            self.lint.findings.push(Finding { rule: rule.id(), kind, places, witness: None });
        }
        let dead = !live && undecided.is_empty();
        if dead {
            self.dead.insert(rule.id());
        }
        if !shadows.is_empty() {
            let entirely = dead;
            let mut by: Vec<Uuid> = shadows.iter().flat_map(|(by, _)| by.clone()).collect();
            by.sort_unstable();
            by.dedup();
            by.sort_by_key(|id| self.places.get(id).copied());
            let when = shadows.into_iter().map(|(_, when)| when).collect();
            let kind = FindingKind::Shadowed { by, when, entirely };
            self.lint.findings.push(Finding { rule: rule.id(), kind, places: Vec::new(), witness });
        }
        // A rule that matches at one time is not one that never does.
        undecided.retain(|open| open.question != Question::Match || !live);
        self.lint.undecided.extend(undecided);
    }
}
