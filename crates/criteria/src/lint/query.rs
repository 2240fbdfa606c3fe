//! One question to the solver: is there a record on which several criteria answer so?

use std::collections::BTreeMap;

use super::axis::{Axis, axis};
use super::formula::{Answers, Atom, Atoms, Want, answer};
use super::search::{Found, Search};
use super::world::{Law, When, World};
use crate::compile::Node;
use crate::eval::node as eval_node;
use crate::record::{Fact, Record};
use crate::rule::Rule;
use crate::schema::{FieldId, FieldSet};
use crate::walk::apply;

/// Criteria, and what they shall answer; if `after` is given, on the record as that rule leaves it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) node: &'a Node,
    pub(super) want: Want,
    pub(super) after: Option<&'a Rule>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(rule: &'a Rule, want: Want) -> Self {
        Asked { node: &rule.criteria().root, want, after: None }
    }
}

/// Whether a record answers everything as asked.
fn answers(record: &Record, asked: &[Asked<'_>]) -> bool {
    asked.iter().all(|asked| {
        let truth = match asked.after {
            None => eval_node(asked.node, record),
            Some(rule) => {
                let mut after = record.clone();
                apply(rule, &mut after, &mut Vec::new());
                eval_node(asked.node, &after)
            }
        };
        answer(truth) & asked.want.answers() != 0
    })
}

/// Looks for a record that answers all as asked. `check` makes of a record that does what the caller wants of it, or
/// refuses it.
pub(super) fn ask<T>(
    world: &dyn World,
    when: When,
    asked: &[Asked<'_>],
    check: &mut dyn FnMut(Record) -> Option<T>,
) -> Found<T> {
    let plain = world.plain(when);
    let mut scratch = plain.clone();
    let mut atoms = Atoms::new(when == When::New);
    let mut formulas: Vec<_> = asked.iter().map(|it| (atoms.read(it.node, it.after, &mut scratch), it.want)).collect();
    let mentioned = add_laws(world.laws(when), &mut atoms, &mut formulas, &mut scratch);

    let mut by_field: BTreeMap<FieldId, Vec<usize>> = BTreeMap::new();
    for (place, atom) in atoms.all.iter().enumerate() {
        by_field.entry(atom.field()).or_default().push(place);
    }
    let local = |places: &[usize]| -> Vec<&Atom<'_>> { places.iter().map(|place| &atoms.all[*place]).collect() };
    let axes: Vec<Axis> = by_field
        .into_iter()
        .filter_map(|(field, places)| {
            let known = plain.schema().get(field)?;
            let of = local(&places);
            let unknown = world.may_be_unknown().contains(field);
            Some(axis(known, places, &of, plain.get(field), unknown, &mut scratch))
        })
        .collect();
    if axes.iter().map(|axis| axis.atoms.len()).sum::<usize>() < atoms.all.len() {
        // A field of another schema.
        return Found::NoValue;
    }
    let mut trial = plain.clone();
    let mut tries = |axis: &Axis, wanted: &[Answers]| -> Option<Fact> {
        let of: Vec<&Atom<'_>> = axis.atoms.iter().map(|place| &atoms.all[*place]).collect();
        axis.tries(&of, wanted).into_iter().find(|fact| {
            trial.set(axis.field.id, fact.clone()).is_ok()
                && of.iter().zip(wanted).all(|(atom, wanted)| answer(atom.on(&trial)) & wanted != 0)
        })
    };
    let mut make = |facts: &[(FieldId, Fact)]| -> Option<T> {
        let mut model = plain.clone();
        for (field, fact) in facts {
            model.set(*field, fact.clone()).ok()?;
        }
        let record = world.realize(model, &mentioned, when)?;
        if answers(&record, asked) { check(record) } else { None }
    };
    let goals: Vec<_> = formulas.iter().map(|(formula, want)| (formula, *want)).collect();
    Search::new(&axes, atoms.all.len(), &mut tries, &mut make).run(&goals)
}

/// Adds the laws about what is asked for, and about what these ask for; gives all fields that are asked for.
fn add_laws<'a>(
    laws: &'a [Law],
    atoms: &mut Atoms<'a>,
    formulas: &mut Vec<(super::formula::Formula, Want)>,
    scratch: &mut Record,
) -> FieldSet {
    let mut mentioned: FieldSet = atoms.all.iter().map(Atom::field).collect();
    let mut added = vec![false; laws.len()];
    loop {
        let mut more = false;
        for (law, added) in laws.iter().zip(&mut added) {
            if !*added && law.about.intersects(&mentioned) {
                (*added, more) = (true, true);
                formulas.push((atoms.read(&law.criteria.root, None, scratch), Want::NotFalse));
                mentioned.extend(law.criteria.fields().iter());
            }
        }
        if !more {
            return mentioned;
        }
    }
}
