//! Criteria as alternatives: each a list of tests, all of which are necessary.

use hashbrown::HashMap;

use super::classes::ClassSet;
use super::dimension::{Aspect, Dimension, Test};
use crate::compile::{Checked, Compiled, Node};
use crate::definition::GroupKind;
use crate::schema::FieldId;

/// So many alternatives criteria may become. Beyond, parts of them are left to be evaluated.
const MOST_CLAUSES: usize = 32;

/// One alternative. Criteria that do not fail have one or more alternatives of which no test fails.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    pub(crate) tests: Vec<(u16, Test)>,
    /// Whether the criteria hold when all its tests do.
    pub(crate) exact: bool,
}

/// The dimensions of all criteria.
#[derive(Debug, Default)]
pub(crate) struct Dimensions {
    pub(crate) list: Vec<Dimension>,
    places: HashMap<(FieldId, Aspect), u16>,
}

impl Dimensions {
    /// The dimension that a criterion is on.
    pub(crate) fn place(&mut self, criterion: &Checked) -> u16 {
        let next = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        let list = &mut self.list;
        let aspect = Aspect::of(criterion);
        *self.places.entry((criterion.field.id, aspect)).or_insert_with(|| {
            list.push(Dimension::new(criterion.field.id, criterion.field.kind, aspect));
            next
        })
    }

    pub(crate) fn register(&mut self, criteria: &Compiled) {
        for_each(&criteria.root, &mut |criterion| {
            let place = self.place(criterion);
            if let Some(dimension) = self.list.get_mut(usize::from(place)) {
                dimension.register(criterion);
            }
        });
    }

    pub(crate) fn finish(&mut self) {
        self.list.iter_mut().for_each(Dimension::finish);
    }

    /// The alternatives of criteria, all of which were registered.
    pub(crate) fn clauses(&mut self, criteria: &Compiled) -> Vec<Clause> {
        self.alternatives(&criteria.root, false)
    }

    fn alternatives(&mut self, node: &Node, opposite: bool) -> Vec<Clause> {
        match node {
            Node::Criterion(criterion) => {
                let place = self.place(criterion);
                let Some(dimension) = self.list.get_mut(usize::from(place)) else { return vec![anything()] };
                let asked = dimension.test(criterion, opposite);
                vec![Clause { tests: asked.tests.into_iter().map(|test| (place, test)).collect(), exact: asked.exact }]
            }
            Node::Group { kind: GroupKind::Not, items } => match items.first() {
                Some(item) => self.alternatives(item, !opposite),
                None => vec![anything()],
            },
            Node::Group { kind, items } => {
                let items: Vec<Vec<Clause>> = items.iter().map(|item| self.alternatives(item, opposite)).collect();
                // The opposite of ALL is ANY of the opposites.
                if (*kind == GroupKind::All) == opposite { any(items) } else { all(items) }
            }
        }
    }
}

/// Nothing is necessary, and nothing is sure.
fn anything() -> Clause {
    Clause { tests: Vec::new(), exact: false }
}

fn any(items: Vec<Vec<Clause>>) -> Vec<Clause> {
    let mut made: Vec<Clause> = Vec::new();
    for clause in items.into_iter().flatten() {
        // One of several values of a field is one test.
        let joined = made.iter_mut().any(|other| match (other.tests.as_mut_slice(), clause.tests.as_slice()) {
            ([(mine, test)], [(its, more)]) if mine == its && other.exact && clause.exact => either(test, more),
            _ => false,
        });
        if !joined {
            made.push(clause);
        }
    }
    if made.len() > MOST_CLAUSES { vec![anything()] } else { made }
}

/// Widens a test to one that either passes, if there is such a test.
fn either(test: &mut Test, other: &Test) -> bool {
    match (test, other) {
        (Test::One(mine), Test::One(its)) => *mine = mine.union(its),
        (Test::Any { classes, negated: false }, Test::Any { classes: its, negated: false }) => {
            classes.extend(its);
            classes.sort_unstable();
            classes.dedup();
        }
        _ => return false,
    }
    true
}

fn all(mut items: Vec<Vec<Clause>>) -> Vec<Clause> {
    // Those that multiply come last, so that they are left out where they would become too many.
    items.sort_by_key(Vec::len);
    let mut made = vec![Clause { tests: Vec::new(), exact: true }];
    for item in items {
        if made.len() * item.len() > MOST_CLAUSES {
            made.iter_mut().for_each(|clause| clause.exact = false);
            continue;
        }
        made = made.iter().flat_map(|clause| item.iter().map(|more| both(clause, more))).collect();
    }
    made
}

fn both(one: &Clause, other: &Clause) -> Clause {
    let mut made = Clause { tests: one.tests.clone(), exact: one.exact && other.exact };
    for (place, test) in &other.tests {
        let joined = made.tests.iter_mut().any(|(known, mine)| {
            known == place
                && match (mine, test) {
                    (Test::One(mine), Test::One(its)) => {
                        *mine = ClassSet::intersection(mine, its);
                        true
                    }
                    (Test::Any { classes, negated: true }, Test::Any { classes: its, negated: true }) => {
                        classes.extend(its);
                        classes.sort_unstable();
                        classes.dedup();
                        true
                    }
                    (mine, its) => mine == its,
                }
        });
        if !joined {
            made.tests.push((*place, test.clone()));
        }
    }
    made
}

/// Calls with every criterion, in order.
pub(crate) fn for_each(node: &Node, each: &mut impl FnMut(&Checked)) {
    match node {
        Node::Criterion(criterion) => each(criterion),
        Node::Group { items, .. } => items.iter().for_each(|item| for_each(item, each)),
    }
}
