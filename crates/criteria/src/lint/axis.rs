//! A field with the values that atoms tell apart.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::formula::{Answers, Atom, FALSE, TRUE, UNKNOWN, answer};
use super::{sets, texts};
use crate::operator::Operator;
use crate::predicate::Positive;
use crate::record::{Fact, Record};
use crate::schema::{Field, FieldType};
use crate::value::Value;

/// What a field may hold, as far as its atoms can tell.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// A value of this kind; none where we know of no value yet and there may be none at all.
    pub(super) fact: Option<Fact>,
    /// What each atom of the field can answer on it.
    pub(super) can: Vec<Answers>,
}

/// Where one atom of a field holds, another one answers one of these.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    pub(super) holds: usize,
    pub(super) other: usize,
    pub(super) answers: Answers,
}

/// A field, its atoms, and what it may hold: every value there can be answers as one of the choices does.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) field: Field,
    /// The atoms on this field.
    pub(super) atoms: Vec<usize>,
    pub(super) choices: Vec<Choice>,
    pub(super) ties: Vec<Tie>,
}

/// Collects choices, each once.
pub(super) struct Choices<'a> {
    pub(super) field: &'a Field,
    pub(super) atoms: &'a [&'a Atom<'a>],
    scratch: &'a mut Record,
    seen: HashSet<Vec<Answers>>,
    made: Vec<Choice>,
}

impl Choices<'_> {
    /// What the atoms answer on a fact.
    fn answers(&mut self, fact: &Fact) -> Option<Vec<Answers>> {
        self.scratch.set(self.field.id, fact.clone()).ok()?;
        Some(self.atoms.iter().map(|atom| answer(atom.on(self.scratch))).collect())
    }

    pub(super) fn add(&mut self, fact: impl Into<Fact>) {
        let fact = fact.into();
        if let Some(can) = self.answers(&fact)
            && self.seen.insert(can.clone())
        {
            self.made.push(Choice { fact: Some(fact), can });
        }
    }

    /// Values that we cannot name.
    pub(super) fn open(&mut self, can: Vec<Answers>) {
        self.made.push(Choice { fact: None, can });
    }

    /// The values that the atoms are written with.
    pub(super) fn named(&self) -> Vec<Value> {
        self.atoms.iter().flat_map(|atom| atom.criterion.wanted.iter().cloned()).collect()
    }
}

/// Makes the axis of a field. `plain` is what it holds when nothing is asked of it.
pub(super) fn axis(
    field: &Field,
    places: Vec<usize>,
    atoms: &[&Atom<'_>],
    plain: &Fact,
    may_be_unknown: bool,
    scratch: &mut Record,
) -> Axis {
    let before = scratch.get(field.id).clone();
    let now = scratch.now();
    let mut choices = Choices { field, atoms, scratch, seen: HashSet::new(), made: Vec::new() };
    if *plain != Fact::Unknown {
        choices.add(plain.clone());
    }
    match field.kind {
        FieldType::Flag => [true, false].into_iter().for_each(|flag| choices.add(flag)),
        FieldType::Id => ids(&mut choices),
        FieldType::Choice => names(&mut choices),
        FieldType::Number => numbers(&mut choices),
        FieldType::Time => times(&mut choices, now.unwrap_or_default()),
        FieldType::Text => texts::choices(&mut choices),
        FieldType::IdSet | FieldType::TextSet => sets::choices(&mut choices),
    }
    choices.add(Fact::Empty);
    if may_be_unknown {
        choices.add(Fact::Unknown);
    }
    changes(&mut choices);
    let made = choices.made;
    // It was there before.
    let _ = scratch.set(field.id, before);
    let ties = match field.kind {
        FieldType::Text => texts::ties(atoms),
        FieldType::IdSet | FieldType::TextSet => sets::ties(atoms),
        _ => Vec::new(),
    };
    Axis { field: field.clone(), atoms: places, choices: made, ties }
}

/// What a field was before an update is not looked into, nor the hours of calendars: whether it changed or is within
/// them is open.
fn changes(choices: &mut Choices<'_>) {
    let is_change: Vec<bool> = choices
        .atoms
        .iter()
        .map(|atom| matches!(atom.predicate().positive, Positive::Changed(_) | Positive::Hours { .. }))
        .collect();
    if !is_change.contains(&true) {
        return;
    }
    for choice in choices.made.clone() {
        let open = |(can, is_change): (&Answers, &bool)| if *is_change { FALSE | UNKNOWN | TRUE } else { *can };
        choices.open(choice.can.iter().zip(&is_change).map(open).collect());
    }
}

fn ids(choices: &mut Choices<'_>) {
    let named = choices.named();
    named.iter().for_each(|id| choices.add(id.clone()));
    let other = (0..=named.len()).map(another).find(|id| !named.contains(&Value::Id(*id)));
    other.into_iter().for_each(|id| choices.add(Value::Id(id)));
}

/// An id that no record has: it stands for any that no rule names.
pub(super) fn another(number: usize) -> Uuid {
    Uuid::from_u128(0xffff_ffff_ffff_7fff_bfff_ffff_ffff_0000 | u128::try_from(number).unwrap_or_default())
}

fn names(choices: &mut Choices<'_>) {
    let named = if choices.field.choices.is_empty() {
        let named = choices.named();
        let longest = named.iter().filter_map(|v| v.as_choice()).map(|name| name.len()).max().unwrap_or(0);
        choices.add(Value::choice(&"X".repeat(longest + 1)));
        named
    } else {
        choices.field.choices.iter().map(|name| Value::Choice(name.clone())).collect()
    };
    named.into_iter().for_each(|name| choices.add(name));
}

fn numbers(choices: &mut Choices<'_>) {
    let named: Vec<i64> = choices.named().iter().filter_map(Value::as_number).collect();
    named.iter().for_each(|end| choices.add(*end));
    for end in named {
        [end.checked_add(1), end.checked_sub(1)].into_iter().flatten().for_each(|beside| choices.add(beside));
    }
    choices.add(0_i64);
}

fn times(choices: &mut Choices<'_>, now: DateTime<Utc>) {
    let beside = |end: DateTime<Utc>| {
        let steps = [TimeDelta::zero(), TimeDelta::seconds(1), TimeDelta::nanoseconds(1)];
        steps.into_iter().flat_map(move |step| [end.checked_add_signed(step), end.checked_sub_signed(step)]).flatten()
    };
    let mut fixed: Vec<DateTime<Utc>> = vec![now];
    let mut relative = vec![now];
    for atom in choices.atoms {
        let criterion = atom.criterion;
        match criterion.operator {
            Operator::WithinLast | Operator::WithinNext => {
                let length = criterion.wanted.first().and_then(Value::as_number);
                let length = length.and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
                let end = if criterion.operator == Operator::WithinLast {
                    now.checked_sub_signed(length)
                } else {
                    now.checked_add_signed(length)
                };
                relative.extend(end);
            }
            _ => fixed.extend(criterion.wanted.iter().filter_map(Value::as_time)),
        }
    }
    let fixed: Vec<_> = fixed.into_iter().flat_map(beside).collect();
    let relative: Vec<_> = relative.into_iter().flat_map(beside).collect();
    fixed.iter().chain(&relative).for_each(|time| choices.add(*time));
    // At another time than this, what is fixed and what is relative to now go together in other ways.
    let is_relative = |atom: &&Atom<'_>| matches!(atom.predicate().positive, Positive::Elapsed(_));
    let mixed = choices.atoms.iter().any(is_relative) && !choices.atoms.iter().all(is_relative);
    if !mixed {
        return;
    }
    let of = |choices: &mut Choices<'_>, times: &[DateTime<Utc>]| -> Vec<Vec<Answers>> {
        let all: HashSet<Vec<Answers>> = times.iter().filter_map(|time| choices.answers(&Fact::from(*time))).collect();
        all.into_iter().collect()
    };
    let (of_fixed, of_relative) = (of(choices, &fixed), of(choices, &relative));
    let mut seen = HashSet::new();
    for fixed in &of_fixed {
        for relative in &of_relative {
            let which = choices.atoms.iter().map(is_relative);
            let both = fixed.iter().zip(relative).zip(which);
            let can: Vec<Answers> =
                both.map(|((fixed, relative), which)| if which { *relative } else { *fixed }).collect();
            if seen.insert(can.clone()) {
                choices.open(can);
            }
        }
    }
}

impl Axis {
    /// Values that may answer as is wanted of every atom, where no choice with a value does: to be tried.
    pub(super) fn tries(&self, atoms: &[&Atom<'_>], wanted: &[Answers]) -> Vec<Fact> {
        match self.field.kind {
            FieldType::Text => texts::tries(atoms, wanted),
            FieldType::IdSet | FieldType::TextSet => sets::tries(self.field.kind, atoms, wanted),
            _ => Vec::new(),
        }
    }
}
