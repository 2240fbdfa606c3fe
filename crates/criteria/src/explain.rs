//! Why criteria hold, fail or stay undecided.

use std::sync::Arc;

use crate::compile::{Compiled, Node};
use crate::definition::{GroupKind, Places};
use crate::eval::combine;
use crate::operator::Operator;
use crate::record::{Fact, Record};
use crate::schema::{FieldId, FieldSet};
use crate::truth::Truth;
use crate::value::Value;

/// What each part of the criteria answered. The tree has the shape of the [`Definition`](crate::Definition), item for
/// item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What this part answered.
    pub truth: Truth,
    /// The part.
    pub node: TraceNode,
}

/// A part of the criteria.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceNode {
    /// One criterion.
    Criterion(SeenCriterion),
    /// A group.
    Group {
        /// How it combines its items.
        kind: GroupKind,
        /// What each of them answered; all of them, also those that made no difference.
        items: Vec<Trace>,
    },
}

/// A criterion and the value it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCriterion {
    /// Where it stands, such as `groups[1].criteria[0]`; empty if it stands alone.
    pub path: String,
    /// The field.
    pub field: FieldId,
    /// The field's name.
    pub name: Arc<str>,
    /// What was asked of it.
    pub operator: Operator,
    /// The values of the criterion, as they were written.
    pub wanted: Arc<[Value]>,
    /// Whether case made a difference, if the field is a TEXT.
    pub case_sensitive: bool,
    /// What was known of the field.
    pub seen: Fact,
    /// What was known of it before the update, if the operator asks for that and it is about an update.
    pub was: Option<Fact>,
}

/// Answers like [`eval`](crate::eval()), and tells how.
#[must_use]
pub fn explain(criteria: &Compiled, record: &Record) -> Trace {
    trace(&criteria.root, record, String::new())
}

fn trace(node: &Node, record: &Record, path: String) -> Trace {
    match node {
        Node::Criterion(criterion) => Trace {
            truth: criterion.on(record),
            node: TraceNode::Criterion(SeenCriterion {
                path,
                field: criterion.field.id,
                name: criterion.field.name.clone(),
                operator: criterion.operator,
                wanted: criterion.wanted.clone(),
                case_sensitive: criterion.case_sensitive,
                seen: record.get(criterion.field.id).clone(),
                was: criterion.operator.asks_before().then(|| record.before(criterion.field.id).cloned()).flatten(),
            }),
        },
        Node::Group { kind, items } => {
            let mut places = Places::default();
            let mut place = |item: &Node| places.next(&path, matches!(item, Node::Group { .. }));
            let items: Vec<Trace> = items.iter().map(|item| trace(item, record, place(item))).collect();
            let truth = combine(*kind, items.iter().map(|item| item.truth));
            Trace { truth, node: TraceNode::Group { kind: *kind, items } }
        }
    }
}

impl Trace {
    /// The criteria that explain the answer, in order, and no others.
    ///
    /// Of an ALL that failed these are the items that failed; of an ANY that failed, every item; the other way round
    /// where they held. Of what stayed UNKNOWN they are the criteria on facts that would have decided it. NOT is
    /// explained by what is inside it.
    #[must_use]
    pub fn reasons(&self) -> Vec<&SeenCriterion> {
        let mut reasons = Vec::new();
        self.collect(&mut reasons);
        reasons
    }

    fn collect<'a>(&'a self, reasons: &mut Vec<&'a SeenCriterion>) {
        match &self.node {
            TraceNode::Criterion(criterion) => reasons.push(criterion),
            TraceNode::Group { kind: GroupKind::Not, items } => items.iter().for_each(|item| item.collect(reasons)),
            // An ALL that holds has no item that does not hold, nor an ANY that fails one that does not fail.
            TraceNode::Group { items, .. } => {
                items.iter().filter(|item| item.truth == self.truth).for_each(|item| item.collect(reasons));
            }
        }
    }

    /// The fewest criteria whose answers alone force this one, in order, each with the value it saw.
    ///
    /// Of an ALL that failed one item that failed is enough, of an ANY that held one that held: the item with the
    /// fewest such criteria, and of several the first. Of an ANY that failed, or an ALL that held, every item is needed.
    /// What stayed UNKNOWN is told by its [`reasons`](Trace::reasons).
    #[must_use]
    pub fn fewest_reasons(&self) -> Vec<&SeenCriterion> {
        if self.truth == Truth::Unknown {
            return self.reasons();
        }
        match &self.node {
            TraceNode::Criterion(criterion) => vec![criterion],
            TraceNode::Group { kind, items } => {
                let of_item = items.iter().filter(|item| *kind == GroupKind::Not || item.truth == self.truth);
                let one_is_enough =
                    matches!((kind, self.truth), (GroupKind::All, Truth::False) | (GroupKind::Any, Truth::True));
                let of_item = of_item.map(Trace::fewest_reasons);
                if one_is_enough {
                    of_item.min_by_key(Vec::len).unwrap_or_default()
                } else {
                    of_item.flatten().collect()
                }
            }
        }
    }

    /// The fields whose value nobody knows and that left the answer UNKNOWN; none if it is not.
    #[must_use]
    pub fn unknown_facts(&self) -> FieldSet {
        if self.truth != Truth::Unknown {
            return FieldSet::new();
        }
        self.reasons().into_iter().map(|criterion| criterion.field).collect()
    }
}
