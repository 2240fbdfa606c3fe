//! Looks for a record that answers several formulas as wanted, or proves that there is none.

use super::axis::Axis;
use super::formula::{Answers, Formula, TRUE, Want};
use crate::definition::GroupKind;
use crate::record::Fact;
use crate::schema::FieldId;

/// So many steps are made in one search.
const MOST_STEPS: usize = 4_000;
/// So many answers are tried for which no value is found, or that the world refuses.
const MOST_MISSES: usize = 24;

/// What a search found.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// This, made from a record that answers as wanted.
    Model(T),
    /// No record does.
    Nothing,
    /// It was given up.
    TooLong,
    /// There may be records that do, but none was found.
    NoValue,
}

/// The answers that are still possible.
#[derive(Debug, Clone)]
struct State {
    /// For each axis, its choices, as bits.
    choices: Vec<Vec<u64>>,
    /// For each atom.
    answers: Vec<Answers>,
}

/// A formula and what is wanted of it.
pub(super) type Goal<'f> = (&'f Formula, Want);

pub(super) struct Search<'s, T> {
    axes: &'s [Axis],
    /// For each atom, its axis and its place there.
    places: Vec<(usize, usize)>,
    steps: usize,
    misses: usize,
    /// Makes facts for the axes into a record and says what it is good for.
    #[allow(clippy::type_complexity)]
    make: &'s mut dyn FnMut(&[(FieldId, Fact)]) -> Option<T>,
    /// Values for an axis that has no choice with a value.
    #[allow(clippy::type_complexity)]
    tries: &'s mut dyn FnMut(&Axis, &[Answers]) -> Option<Fact>,
}

impl<'s, T> Search<'s, T> {
    #[allow(clippy::type_complexity)]
    pub(super) fn new(
        axes: &'s [Axis],
        atoms: usize,
        tries: &'s mut dyn FnMut(&Axis, &[Answers]) -> Option<Fact>,
        make: &'s mut dyn FnMut(&[(FieldId, Fact)]) -> Option<T>,
    ) -> Self {
        let mut places = vec![(0, 0); atoms];
        for (axis_place, axis) in axes.iter().enumerate() {
            for (local, atom) in axis.atoms.iter().enumerate() {
                places[*atom] = (axis_place, local);
            }
        }
        Search { axes, places, steps: 0, misses: 0, make, tries }
    }

    pub(super) fn run(mut self, goals: &[Goal<'_>]) -> Found<T> {
        let choices = self.axes.iter().map(|axis| full(axis.choices.len())).collect();
        let mut state = State { choices, answers: vec![u8::MAX; self.places.len()] };
        let settled = (0..self.axes.len()).all(|axis| self.settle(&mut state, axis));
        let found = if settled { self.solve(state, goals.to_vec()) } else { None };
        match found {
            Some(model) => Found::Model(model),
            None if self.steps >= MOST_STEPS || self.misses >= MOST_MISSES => Found::TooLong,
            None if self.misses > 0 => Found::NoValue,
            None => Found::Nothing,
        }
    }

    fn given_up(&self) -> bool {
        self.steps >= MOST_STEPS || self.misses >= MOST_MISSES
    }

    fn solve(&mut self, mut state: State, mut goals: Vec<Goal<'_>>) -> Option<T> {
        loop {
            self.steps += 1;
            if self.given_up() {
                return None;
            }
            // What must be is done at once; of what can be in several ways, that with the fewest waits to be tried.
            let mut open: Vec<Goal<'_>> = Vec::with_capacity(goals.len());
            let mut did = false;
            while let Some((formula, want)) = goals.pop() {
                if !self.can(&state, formula, want) {
                    return None;
                }
                if !self.can(&state, formula, want.opposite()) {
                    continue;
                }
                match formula {
                    Formula::Known(_) | Formula::Open => {}
                    Formula::Atom { atom, negated } => {
                        let want = if *negated { want.inverse() } else { want };
                        if !self.narrow(&mut state, *atom, want.answers()) {
                            return None;
                        }
                        did = true;
                    }
                    Formula::Group(GroupKind::Not, items) => {
                        goals.extend(items.iter().map(|item| (item, want.inverse())));
                    }
                    Formula::Group(kind, items) if want.needs_all(*kind) => {
                        goals.extend(items.iter().map(|item| (item, want)));
                    }
                    Formula::Group(_, items) => {
                        let mut possible = items.iter().filter(|item| self.can(&state, item, want));
                        match (possible.next(), possible.next()) {
                            (Some(only), None) => goals.push((only, want)),
                            _ => open.push((formula, want)),
                        }
                    }
                }
            }
            goals = open;
            if !did {
                break;
            }
        }
        let ways = |(formula, want): &Goal<'_>| match formula {
            Formula::Group(_, items) => items.iter().filter(|item| self.can(&state, item, *want)).count(),
            _ => 0,
        };
        let Some(next) = (0..goals.len()).min_by_key(|place| ways(&goals[*place])) else {
            return self.model(&state);
        };
        let (formula, want) = goals.swap_remove(next);
        let Formula::Group(_, items) = formula else { return None };
        for item in items {
            if self.can(&state, item, want) {
                let mut more = goals.clone();
                more.push((item, want));
                let found = self.solve(state.clone(), more);
                if found.is_some() || self.given_up() {
                    return found;
                }
            }
        }
        None
    }

    /// Whether a formula may still answer so. Never wrong when it says no.
    fn can(&self, state: &State, formula: &Formula, want: Want) -> bool {
        match formula {
            Formula::Open => true,
            Formula::Known(truth) => super::formula::answer(*truth) & want.answers() != 0,
            Formula::Atom { atom, negated } => {
                let want = if *negated { want.inverse() } else { want };
                state.answers[*atom] & want.answers() != 0
            }
            Formula::Group(GroupKind::Not, items) => items.iter().all(|item| self.can(state, item, want.inverse())),
            Formula::Group(kind, items) if want.needs_all(*kind) => {
                items.iter().all(|item| self.can(state, item, want))
            }
            Formula::Group(_, items) => items.iter().any(|item| self.can(state, item, want)),
        }
    }

    /// Lets an atom answer only so; false when that cannot be.
    fn narrow(&self, state: &mut State, atom: usize, answers: Answers) -> bool {
        let (axis, _) = self.places[atom];
        state.answers[atom] &= answers;
        self.settle(state, axis)
    }

    /// Takes out of an axis what its atoms no longer allow, and what follows from that.
    fn settle(&self, state: &mut State, place: usize) -> bool {
        let axis = &self.axes[place];
        loop {
            let mut before = 0;
            let mut can = vec![0; axis.atoms.len()];
            for (number, choice) in axis.choices.iter().enumerate() {
                let (word, bit) = (number / 64, 1_u64 << (number % 64));
                if state.choices[place][word] & bit == 0 {
                    continue;
                }
                if choice.can.iter().zip(&axis.atoms).all(|(can, atom)| can & state.answers[*atom] != 0) {
                    can.iter_mut().zip(&choice.can).for_each(|(all, can)| *all |= can);
                } else {
                    state.choices[place][word] &= !bit;
                    before += 1;
                }
            }
            for (atom, can) in axis.atoms.iter().zip(&can) {
                let narrower = state.answers[*atom] & can;
                before += usize::from(narrower != state.answers[*atom] && state.answers[*atom] != u8::MAX);
                state.answers[*atom] = narrower;
            }
            for tie in &axis.ties {
                let (holds, other) = (axis.atoms[tie.holds], axis.atoms[tie.other]);
                if state.answers[holds] == TRUE && state.answers[other] & !tie.answers != 0 {
                    state.answers[other] &= tie.answers;
                    before += 1;
                }
                if state.answers[other] & tie.answers == 0 && state.answers[holds] & TRUE != 0 {
                    state.answers[holds] &= !TRUE;
                    before += 1;
                }
            }
            if axis.atoms.iter().any(|atom| state.answers[*atom] == 0)
                || state.choices[place].iter().all(|word| *word == 0)
            {
                return false;
            }
            if before == 0 {
                return true;
            }
        }
    }

    /// Values that answer so.
    fn model(&mut self, state: &State) -> Option<T> {
        let mut facts = Vec::with_capacity(self.axes.len());
        for (place, axis) in self.axes.iter().enumerate() {
            let left = axis.choices.iter().enumerate();
            let mut left = left.filter(|(number, _)| state.choices[place][number / 64] >> (number % 64) & 1 == 1);
            let fact = match left.find_map(|(_, choice)| choice.fact.clone()) {
                Some(fact) => Some(fact),
                None => {
                    let wanted: Vec<Answers> = axis.atoms.iter().map(|atom| state.answers[*atom]).collect();
                    (self.tries)(axis, &wanted)
                }
            };
            match fact {
                Some(fact) => facts.push((axis.field.id, fact)),
                None => {
                    self.misses += 1;
                    return None;
                }
            }
        }
        let made = (self.make)(&facts);
        self.misses += usize::from(made.is_none());
        made
    }
}

fn full(count: usize) -> Vec<u64> {
    (0..count.div_ceil(64))
        .map(|word| if (word + 1) * 64 <= count { u64::MAX } else { (1 << (count % 64)) - 1 })
        .collect()
}
