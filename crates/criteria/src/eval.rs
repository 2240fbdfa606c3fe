//! Whether criteria hold. Nothing here allocates but the list of what was unknown.

use crate::compile::{Checked, Compiled, Node};
use crate::definition::GroupKind;
use crate::record::Record;
use crate::schema::FieldSet;
use crate::truth::Truth;

/// Whether the criteria hold on what is known.
///
/// The record should be of the schema the criteria were compiled with, or of one that begins with the same fields; a
/// field that the record lacks, or that holds another type there, is UNKNOWN.
#[must_use]
pub fn eval(criteria: &Compiled, record: &Record) -> Truth {
    node(&criteria.root, record)
}

/// The fields that leave UNKNOWN criteria unknown; none if the criteria hold or fail.
pub(crate) fn unknown_facts(criteria: &Compiled, record: &Record) -> FieldSet {
    let mut facts = FieldSet::new();
    add_unknown_facts(criteria, record, &mut facts);
    facts
}

/// Adds the fields that [`unknown_facts`] gives.
pub(crate) fn add_unknown_facts(criteria: &Compiled, record: &Record, facts: &mut FieldSet) {
    undecided(&criteria.root, record, facts);
}

impl Checked {
    pub(crate) fn on(&self, record: &Record) -> Truth {
        self.predicate.on(self.field.id, record)
    }
}

pub(crate) fn node(it: &Node, record: &Record) -> Truth {
    match it {
        Node::Criterion(criterion) => criterion.on(record),
        Node::Group { kind, items } => combine(*kind, items.iter().map(|item| node(item, record))),
    }
}

fn undecided(it: &Node, record: &Record, facts: &mut FieldSet) {
    if node(it, record) != Truth::Unknown {
        return;
    }
    match it {
        Node::Criterion(criterion) => facts.insert(criterion.field.id),
        Node::Group { items, .. } => items.iter().for_each(|item| undecided(item, record, facts)),
    }
}

/// What a group answers, given its items' answers; asks for no more of them than it needs.
pub(crate) fn combine(kind: GroupKind, mut items: impl Iterator<Item = Truth>) -> Truth {
    let mut answer = match kind {
        GroupKind::All => Truth::True,
        GroupKind::Any => Truth::False,
        // Compiling sees to it that there is exactly one item.
        GroupKind::Not => return items.next().map_or(Truth::Unknown, |item| !item),
    };
    for item in items {
        answer = if kind == GroupKind::All { answer.and(item) } else { answer.or(item) };
        if (kind == GroupKind::All && answer == Truth::False) || (kind == GroupKind::Any && answer == Truth::True) {
            break;
        }
    }
    answer
}
