//! Pairs of rules of one precedence that match one record and set one field differently: which of them wins is left to
//! when they were created.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Linter;
use super::finding::{Finding, FindingKind, Question, Undecided, Why, Witness};
use super::formula::Want;
use super::query::{Asked, ask};
use super::reach::{asked_fields, runs};
use super::search::Found;
use super::world::When;
use crate::compile::Node;
use crate::definition::GroupKind;
use crate::predicate::Positive;
use crate::rule::{Action, Rule};
use crate::schema::{FieldId, FieldSet};
use crate::value::Value;
use crate::walk::Occasion;

/// So many pairs are looked at closely.
const MOST_PAIRS: u64 = 20_000;
/// So many pairs are looked at at all.
const MOST_LOOKS: u64 = 5_000_000;
/// So many conflicts are told of.
const MOST_TOLD: usize = 2_000;

/// The values that a rule's criteria leave for a field, where they name them.
type Narrow = HashMap<FieldId, HashSet<Value>>;

impl Linter<'_> {
    pub(super) fn conflicts(&mut self) {
        let narrow: Vec<Narrow> = self.rules.iter().map(|rule| narrow(&rule.criteria().root)).collect();
        // Those of one precedence that set one field, in their order.
        let mut buckets: BTreeMap<(i32, FieldId), Vec<usize>> = BTreeMap::new();
        for (place, rule) in self.rules.iter().enumerate() {
            let runs = !self.dead.contains(&rule.id()) && (runs(rule, When::New) || runs(rule, When::Existing));
            for (field, action) in rule.outcomes() {
                if runs && matches!(action, Action::Set(_)) {
                    buckets.entry((rule.precedence(), *field)).or_default().push(place);
                }
            }
        }
        let (mut looks, mut closely, mut told) = (0_u64, 0_u64, HashSet::new());
        for ((_, field), places) in &buckets {
            let groups = groups(places, &narrow, &self.rules);
            let mut left = groups.count();
            for (first, second) in groups.pairs() {
                looks += 1;
                if looks > MOST_LOOKS || closely >= MOST_PAIRS || told.len() >= MOST_TOLD {
                    self.lint.pairs_left += left;
                    break;
                }
                left = left.saturating_sub(1);
                if looks.is_multiple_of(4_096) && !self.goes_on() {
                    return;
                }
                let (one, other) = (self.rules[first].clone(), self.rules[second].clone());
                if one.stop_on_match() || same(&one, &other, *field) || apart(&one, &narrow[first], &narrow[second]) {
                    continue;
                }
                if told.contains(&(first, second)) {
                    continue;
                }
                closely += 1;
                if self.conflict(&one, &other, *field) {
                    told.insert((first, second));
                }
            }
        }
    }

    /// Whether the two conflict over the field; says so if they do, or if nobody knows.
    fn conflict(&mut self, one: &Arc<Rule>, other: &Arc<Rule>, field: FieldId) -> bool {
        let mut open = None;
        for when in [When::New, When::Existing] {
            if !runs(one, when) || !runs(other, when) {
                continue;
            }
            let Some(occasion) = self.common_occasion(one, other, when) else { continue };
            let asked = [Asked::of(one, Want::True), Asked { after: Some(one), ..Asked::of(other, Want::True) }];
            let found = {
                let (index, scratch) = (self.index, &mut self.scratch);
                let mut check = |record: crate::Record| {
                    let outcome = index.walk(&mut record.clone(), &occasion, scratch);
                    let matches = |rule: &Rule| outcome.matched.iter().any(|it| it.rule == rule.id());
                    (matches(one) && matches(other)).then_some(record)
                };
                ask(self.world, when, &asked, &mut check)
            };
            match found {
                Found::Model(record) => {
                    let asked = asked_fields([&**one, &**other].into_iter());
                    self.lint.findings.push(Finding {
                        rule: one.id(),
                        kind: FindingKind::Conflict { with: other.id(), field },
                        places: Vec::new(),
                        witness: Some(Witness { record, asked, when, occasion }),
                    });
                    return true;
                }
                Found::Nothing => {}
                Found::TooLong => open = Some(Why::TooLong),
                // Values there are: but in the walk other rules had their say.
                Found::NoValue => open = open.or(Some(Why::NoValue)),
            }
        }
        if let Some(why) = open {
            let undecided =
                Undecided { rule: one.id(), question: Question::Conflict, other: Some(other.id()), place: None, why };
            self.lint.undecided.push(undecided);
        }
        false
    }

    /// An occasion on which both rules are looked at.
    fn common_occasion(&self, one: &Rule, other: &Rule, when: When) -> Option<Occasion> {
        if when == When::New {
            return Some(Occasion::New);
        }
        let first = |rule: &Rule| {
            self.occasions(rule, when).into_iter().find_map(|it| match it {
                Occasion::Existing { changed } => Some(changed),
                _ => None,
            })
        };
        let (a, b): (FieldSet, FieldSet) = (first(one)?, first(other)?);
        Some(Occasion::Existing { changed: a.iter().chain(b.iter()).collect() })
    }
}

/// Whether the two put the same into the field.
fn same(one: &Rule, other: &Rule, field: FieldId) -> bool {
    let of = |rule: &Rule| rule.outcomes().iter().find(|(of, _)| *of == field).map(|(_, action)| action.clone());
    of(one) == of(other)
}

/// Whether their criteria leave a field no common value, which the first does not set.
fn apart(one: &Rule, first: &Narrow, second: &Narrow) -> bool {
    let sets = |field: &FieldId| one.outcomes().iter().any(|(of, _)| of == field);
    first
        .iter()
        .any(|(field, values)| second.get(field).is_some_and(|others| !sets(field) && values.is_disjoint(others)))
}

/// The values that the criteria leave for the fields of ids and choices.
fn narrow(node: &Node) -> Narrow {
    let mut all = Narrow::new();
    match node {
        Node::Criterion(criterion) if !criterion.predicate.negated => {
            if matches!(criterion.predicate.positive, Positive::Ids(_) | Positive::Choices(_)) {
                all.insert(criterion.field.id, criterion.wanted.iter().cloned().collect());
            }
        }
        Node::Group { kind: GroupKind::All, items } => {
            for (field, values) in items.iter().flat_map(narrow) {
                match all.get_mut(&field) {
                    Some(known) => known.retain(|value| values.contains(value)),
                    None => {
                        all.insert(field, values);
                    }
                }
            }
        }
        _ => {}
    }
    all
}

/// Rules by what they leave of the field that tells the most of them apart: rules of different groups match nothing
/// together.
struct Groups {
    /// Those that name values of the field, by value.
    named: Vec<Vec<usize>>,
    /// The others.
    any: Vec<usize>,
    all: Vec<usize>,
}

fn groups(places: &[usize], narrow: &[Narrow], rules: &[Arc<Rule>]) -> Groups {
    let mut uses: BTreeMap<FieldId, usize> = BTreeMap::new();
    for field in places.iter().flat_map(|place| narrow[*place].keys()) {
        *uses.entry(*field).or_default() += 1;
    }
    let set = |field: &FieldId| places.iter().any(|it| rules[*it].outcomes().iter().any(|(of, _)| of == field));
    let best = uses.iter().filter(|(field, _)| !set(field)).max_by_key(|(_, count)| **count).map(|(field, _)| *field);
    let mut named: HashMap<&Value, Vec<usize>> = HashMap::new();
    let mut any = Vec::new();
    for place in places {
        match best.and_then(|field| narrow[*place].get(&field)) {
            Some(values) => values.iter().for_each(|value| named.entry(value).or_default().push(*place)),
            None => any.push(*place),
        }
    }
    let mut named: Vec<Vec<usize>> = named.into_values().collect();
    named.sort_unstable();
    Groups { named, any, all: places.to_vec() }
}

impl Groups {
    /// Every pair that may match together, the earlier rule first; some perhaps more than once.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let within = self.named.iter().flat_map(|group| {
            group.iter().enumerate().flat_map(|(at, first)| group[at + 1..].iter().map(|second| (*first, *second)))
        });
        // Places come in order.
        let is_any = |place: &usize| self.any.binary_search(place).is_ok();
        let with_any = self.any.iter().flat_map(move |one| {
            let others = self.all.iter().filter(move |other| one != *other && (!is_any(other) || one < *other));
            others.map(|other| (*one.min(other), *one.max(other)))
        });
        within.chain(with_any)
    }

    /// How many these are.
    fn count(&self) -> u64 {
        let of = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let two = |count: usize| of(count).saturating_mul(of(count).saturating_sub(1)) / 2;
        let named: u64 = self.named.iter().map(|group| two(group.len())).sum();
        let others = self.all.len() - self.any.len();
        named + two(self.any.len()) + of(self.any.len()).saturating_mul(of(others))
    }
}
