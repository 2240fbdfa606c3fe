//! Criteria as formulas over atoms: equal criteria, of whichever rules, are one atom.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::compile::{Checked, Node};
use crate::definition::GroupKind;
use crate::fold::fold;
use crate::operator::Operator;
use crate::predicate::Predicate;
use crate::record::{Fact, Record};
use crate::rule::{Action, Rule};
use crate::schema::{FieldId, FieldType};
use crate::truth::Truth;
use crate::value::Value;

/// What a formula shall answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    True,
    False,
    NotTrue,
    NotFalse,
}

/// Answers as bits, so that several can be possible.
pub(super) type Answers = u8;
pub(super) const FALSE: Answers = 1;
pub(super) const UNKNOWN: Answers = 2;
pub(super) const TRUE: Answers = 4;

pub(super) fn answer(truth: Truth) -> Answers {
    match truth {
        Truth::False => FALSE,
        Truth::Unknown => UNKNOWN,
        Truth::True => TRUE,
    }
}

impl Want {
    pub(super) fn answers(self) -> Answers {
        match self {
            Want::True => TRUE,
            Want::False => FALSE,
            Want::NotTrue => FALSE | UNKNOWN,
            Want::NotFalse => TRUE | UNKNOWN,
        }
    }

    /// What is wanted of what stands under NOT.
    pub(super) fn inverse(self) -> Want {
        match self {
            Want::True => Want::False,
            Want::False => Want::True,
            Want::NotTrue => Want::NotFalse,
            Want::NotFalse => Want::NotTrue,
        }
    }

    /// What holds exactly where this does not.
    pub(super) fn opposite(self) -> Want {
        match self {
            Want::True => Want::NotTrue,
            Want::False => Want::NotFalse,
            Want::NotTrue => Want::True,
            Want::NotFalse => Want::False,
        }
    }

    /// Whether a group answers so only when every item does; else one item is enough.
    pub(super) fn needs_all(self, kind: GroupKind) -> bool {
        matches!(self, Want::True | Want::NotFalse) == (kind == GroupKind::All)
    }
}

/// Criteria, read.
#[derive(Debug)]
pub(super) enum Formula {
    /// An atom, or its opposite.
    Atom {
        atom: usize,
        negated: bool,
    },
    /// Known beforehand.
    Known(Truth),
    /// Nobody can tell beforehand.
    Open,
    Group(GroupKind, Vec<Formula>),
}

/// A positive criterion on a field.
#[derive(Debug)]
pub(super) struct Atom<'a> {
    pub(super) criterion: &'a Checked,
}

impl Atom<'_> {
    pub(super) fn field(&self) -> FieldId {
        self.criterion.field.id
    }

    /// The criterion's own answer, turned round if it is a negative one.
    pub(super) fn on(&self, record: &Record) -> Truth {
        let truth = self.criterion.on(record);
        if self.predicate().negated { !truth } else { truth }
    }

    pub(super) fn predicate(&self) -> &Predicate {
        &self.criterion.predicate
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    field: FieldId,
    operator: Operator,
    values: Vec<Value>,
    case_sensitive: bool,
}

/// The atoms of several formulas.
pub(super) struct Atoms<'a> {
    /// Whether they are asked of something new, of which nothing was before.
    of_new: bool,
    pub(super) all: Vec<Atom<'a>>,
    known: HashMap<Key, usize>,
}

impl<'a> Atoms<'a> {
    pub(super) fn new(of_new: bool) -> Self {
        Atoms { of_new, all: Vec::new(), known: HashMap::new() }
    }

    /// The criteria as a formula; `after` are rules that ran before them and set fields.
    pub(super) fn read(&mut self, node: &'a Node, after: Option<&Rule>, scratch: &mut Record) -> Formula {
        match node {
            Node::Group { kind, items } => {
                Formula::Group(*kind, items.iter().map(|item| self.read(item, after, scratch)).collect())
            }
            Node::Criterion(criterion) => {
                let field = criterion.field.id;
                if self.of_new && is_change(criterion) {
                    return Formula::Known(Truth::False);
                }
                let set = after.and_then(|rule| rule.outcomes().iter().find(|(of, _)| *of == field));
                match set {
                    Some((_, Action::Set(value))) => given(criterion, &Fact::Known(value.clone()), scratch),
                    Some((_, Action::Add(_))) => Formula::Open,
                    None => self.atom(criterion),
                }
            }
        }
    }

    fn atom(&mut self, criterion: &'a Checked) -> Formula {
        let all = &mut self.all;
        let atom = *self.known.entry(key(criterion)).or_insert_with(|| {
            all.push(Atom { criterion });
            all.len() - 1
        });
        Formula::Atom { atom, negated: criterion.predicate.negated }
    }
}

/// Whether it asks what an update changed.
pub(super) fn is_change(criterion: &Checked) -> bool {
    matches!(criterion.operator, Operator::Changed | Operator::ChangedFrom | Operator::ChangedTo)
}

/// What a criterion answers on a fact.
fn given(criterion: &Checked, fact: &Fact, scratch: &mut Record) -> Formula {
    let field = criterion.field.id;
    let is_open = is_change(criterion) || matches!(criterion.operator, Operator::WithinHours | Operator::OutsideHours);
    let before = scratch.get(field).clone();
    if is_open || scratch.set(field, fact.clone()).is_err() {
        return Formula::Open;
    }
    let truth = criterion.on(scratch);
    // It was there before.
    let _ = scratch.set(field, before);
    Formula::Known(truth)
}

fn key(criterion: &Checked) -> Key {
    let kind = criterion.field.kind;
    let one = matches!(kind, FieldType::Id | FieldType::Choice | FieldType::Text);
    let operator = match criterion.operator {
        Operator::Is | Operator::AnyOf | Operator::NoneOf | Operator::IsNot if one => Operator::AnyOf,
        Operator::IsNot => Operator::Is,
        Operator::HasNoValue => Operator::HasValue,
        Operator::DoesNotInclude => Operator::Includes,
        Operator::DoesNotContain => Operator::Contains,
        other => other,
    };
    let case_sensitive = kind == FieldType::Text && criterion.case_sensitive;
    let folds = kind == FieldType::Text && !case_sensitive && operator != Operator::Matches;
    let folded = |value: &Value| match value {
        Value::Text(text) if folds => Value::from(fold(text).collect::<String>()),
        other => other.clone(),
    };
    let mut values: Vec<Value> = criterion.wanted.iter().map(folded).collect();
    if operator != Operator::Between {
        values.sort_unstable_by(compare);
        values.dedup();
    }
    Key { field: criterion.field.id, operator, values, case_sensitive }
}

/// An order of the values of one criterion, which are all of one type.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Id(a), Value::Id(b)) => a.cmp(b),
        (Value::Choice(a), Value::Choice(b)) | (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::Flag(a), Value::Flag(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}
