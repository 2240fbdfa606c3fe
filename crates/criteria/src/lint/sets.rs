//! Sets: which of their members atoms tell apart.

use super::axis::{Choices, Tie, another};
use super::formula::{Answers, Atom, FALSE, TRUE};
use crate::predicate::{Positive, Relation};
use crate::record::Fact;
use crate::schema::FieldType;
use crate::value::Value;

/// With so many members every set of them is looked at.
const FEW: usize = 6;

/// A set of these members.
fn set(kind: FieldType, members: &[Value]) -> Fact {
    Fact::from(match kind {
        FieldType::IdSet => Value::IdSet(members.iter().filter_map(Value::as_id).collect()),
        _ => Value::TextSet(members.iter().filter_map(Value::as_text).cloned().collect()),
    })
}

/// A member that no atom names.
fn other(kind: FieldType, named: &[Value]) -> Value {
    if kind == FieldType::IdSet {
        return (0..=named.len())
            .map(|n| Value::Id(another(n)))
            .find(|id| !named.contains(id))
            .unwrap_or_else(|| Value::Id(another(0)));
    }
    let longest = named.iter().filter_map(Value::as_text).map(|text| text.len()).max().unwrap_or(0);
    ["other", &"x".repeat(longest + 1)]
        .map(Value::from)
        .into_iter()
        .find(|text| !named.contains(text))
        .unwrap_or_else(|| Value::from("other"))
}

fn members(atoms: &[&Atom<'_>]) -> Vec<Value> {
    let mut members: Vec<Value> = Vec::new();
    for value in atoms.iter().flat_map(|atom| atom.criterion.wanted.iter()) {
        if !members.contains(value) {
            members.push(value.clone());
        }
    }
    members
}

pub(super) fn choices(choices: &mut Choices<'_>) {
    let kind = choices.field.kind;
    let members = members(choices.atoms);
    let fresh = other(kind, &members);
    if members.len() <= FEW {
        for with_other in [false, true] {
            for chosen in 0_u32..1 << members.len() {
                let some =
                    members.iter().enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, it)| it.clone());
                let some: Vec<Value> = some.chain(with_other.then(|| fresh.clone())).collect();
                choices.add(set(kind, &some));
            }
        }
        return;
    }
    let written: Vec<Vec<Value>> = choices.atoms.iter().map(|atom| atom.criterion.wanted.to_vec()).collect();
    for some in written {
        choices.add(set(kind, &some));
        choices.add(set(kind, &some[..some.len().min(1)]));
    }
    choices.add(set(kind, std::slice::from_ref(&fresh)));
    choices.add(set(kind, &members));
    let open = choices.atoms.iter().map(|atom| match relation(atom) {
        // The set that is the same is among those above.
        Some(Relation::Same) => FALSE,
        Some(_) => FALSE | TRUE,
        None if matches!(atom.predicate().positive, Positive::Present) => TRUE,
        None => FALSE | TRUE,
    });
    let open = open.collect();
    choices.open(open);
}

fn relation(atom: &Atom<'_>) -> Option<Relation> {
    match &atom.predicate().positive {
        Positive::IdSet(relation, _) | Positive::TextSet(relation, _) => Some(*relation),
        _ => None,
    }
}

/// What follows from what: only needed where not every set is looked at.
pub(super) fn ties(atoms: &[&Atom<'_>]) -> Vec<Tie> {
    if members(atoms).len() <= FEW {
        return Vec::new();
    }
    let mut ties = Vec::new();
    for (holds, one) in atoms.iter().enumerate() {
        for (place, other) in atoms.iter().enumerate().filter(|(place, _)| *place != holds) {
            let (ours, theirs) = (&one.criterion.wanted, &other.criterion.wanted);
            let implied = match (relation(one), relation(other)) {
                (Some(Relation::IncludesAll), Some(Relation::Shares)) => ours.iter().any(|it| theirs.contains(it)),
                (Some(Relation::IncludesAll), Some(Relation::IncludesAll)) => theirs.iter().all(|it| ours.contains(it)),
                (Some(Relation::Shares), Some(Relation::Shares)) => ours.iter().all(|it| theirs.contains(it)),
                _ => false,
            };
            if implied {
                ties.push(Tie { holds, other: place, answers: TRUE });
            }
        }
    }
    ties
}

/// The least sets that have what they must have.
pub(super) fn tries(kind: FieldType, atoms: &[&Atom<'_>], wanted: &[Answers]) -> Vec<Fact> {
    let of = |relation: Relation, answers: Answers| {
        let mut found: Vec<&[Value]> = Vec::new();
        for (atom, wanted) in atoms.iter().zip(wanted) {
            if self::relation(atom) == Some(relation) && *wanted == answers {
                found.push(&atom.criterion.wanted);
            }
        }
        found
    };
    let forbidden: Vec<&Value> = of(Relation::Shares, FALSE).into_iter().flatten().collect();
    let mut chosen: Vec<Value> = of(Relation::IncludesAll, TRUE).into_iter().flatten().cloned().collect();
    for shares in of(Relation::Shares, TRUE) {
        if !shares.iter().any(|it| chosen.contains(it)) {
            chosen.extend(shares.iter().find(|it| !forbidden.contains(it)).cloned());
        }
    }
    let alone = set(kind, &chosen);
    chosen.push(other(kind, &members(atoms)));
    vec![alone, set(kind, &chosen)]
}
