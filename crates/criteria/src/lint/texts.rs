//! Texts: candidates made of what atoms ask for, and what follows from what.

use std::sync::Arc;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::axis::{Choices, Tie};
use super::formula::{Answers, Atom, FALSE, TRUE};
use crate::fold::fold;
use crate::predicate::{Place, Positive};
use crate::record::Fact;
use crate::value::Value;

/// What an atom asks of a text. Where case does not matter its texts are folded.
enum Asks<'a> {
    Is(Vec<String>),
    Part(Place, String),
    Matches(&'a [String]),
    Present,
    Other,
}

fn folded(text: &str) -> String {
    fold(text).collect()
}

fn asks<'a>(atom: &Atom<'a>) -> Asks<'a> {
    match &atom.criterion.predicate.positive {
        Positive::Present => Asks::Present,
        Positive::Texts(texts) => Asks::Is(texts.iter().map(|text| text.to_string()).collect()),
        Positive::FoldedTexts(texts) => Asks::Is(texts.iter().map(|text| text.to_string()).collect()),
        Positive::Part(place, text) => Asks::Part(*place, text.to_string()),
        Positive::FoldedPart(place, text) => Asks::Part(*place, text.to_string()),
        Positive::Pattern(pattern) => Asks::Part(Place::Anywhere, pattern.text()),
        Positive::Matches(matcher) => Asks::Matches(&matcher.required),
        _ => Asks::Other,
    }
}

/// Whether the atom says the same of texts that differ in case only.
fn folds(atom: &Atom<'_>) -> bool {
    matches!(
        atom.predicate().positive,
        Positive::Present | Positive::FoldedTexts(_) | Positive::FoldedPart(..) | Positive::Pattern(_)
    )
}

pub(super) fn choices(choices: &mut Choices<'_>) {
    let atoms = choices.atoms;
    let mut longest = 0;
    for atom in atoms {
        for value in atom.criterion.wanted.iter().filter_map(Value::as_text) {
            longest = longest.max(value.len());
            match asks(atom) {
                Asks::Matches(_) => samples(value).into_iter().for_each(|text| choices.add(text)),
                _ => choices.add(Value::Text(value.clone())),
            }
        }
    }
    // One of these is none of the texts that are named: it is longer, also when it is folded.
    choices.add("other");
    choices.add("x".repeat(longest * 3 + 1));
    let all_fold = atoms.iter().all(|atom| folds(atom));
    let open: Vec<Answers> = atoms
        .iter()
        .map(|atom| match asks(atom) {
            Asks::Is(_) if all_fold || !folds(atom) => FALSE,
            Asks::Present => TRUE,
            _ => FALSE | TRUE,
        })
        .collect();
    if open.contains(&(FALSE | TRUE)) {
        choices.open(open);
    }
}

/// For every atom, what its holding says of the others.
pub(super) fn ties(atoms: &[&Atom<'_>]) -> Vec<Tie> {
    let mut ties = Vec::new();
    for (holds, one) in atoms.iter().enumerate() {
        for (place, other) in atoms.iter().enumerate().filter(|(place, _)| *place != holds) {
            let answers = follows(one, other);
            if answers != FALSE | TRUE {
                ties.push(Tie { holds, other: place, answers });
            }
        }
    }
    ties
}

/// What the second can answer on texts on which the first holds.
fn follows(one: &Atom<'_>, other: &Atom<'_>) -> Answers {
    let both_mind = !folds(one) && !folds(other);
    // A text that holds a part holds the folded part when it is folded itself.
    let as_seen = |text: &str| if both_mind { text.to_owned() } else { folded(text) };
    let can = |any: bool, all: bool| match (any, all) {
        (false, _) => FALSE,
        (true, true) => TRUE,
        _ => FALSE | TRUE,
    };
    match (asks(one), asks(other)) {
        (Asks::Other, _) | (_, Asks::Other) => FALSE | TRUE,
        (_, Asks::Present) => TRUE,
        (Asks::Present, _) => FALSE | TRUE,
        // What the first holds on is known text by text.
        (Asks::Is(texts), _) if !folds(one) || folds(other) => {
            let holds = |text: &String| other.predicate().positive.holds(&Value::from(text.as_str())) == Some(true);
            can(texts.iter().any(holds), texts.iter().all(holds))
        }
        (Asks::Is(texts), Asks::Is(others)) => {
            let others: Vec<String> = others.iter().map(|text| folded(text)).collect();
            can(texts.iter().any(|text| others.contains(text)), false)
        }
        (Asks::Is(texts), Asks::Part(place, part)) => {
            can(texts.iter().any(|text| has(text, place, &folded(&part))), false)
        }
        (Asks::Is(_), Asks::Matches(_)) | (Asks::Matches(_), Asks::Matches(_)) => FALSE | TRUE,
        (Asks::Part(place, part), Asks::Is(texts)) => {
            can(texts.iter().any(|text| has(&as_seen(text), place, &as_seen(&part))), false)
        }
        (Asks::Part(place, part), Asks::Part(wanted_place, wanted)) => {
            let (part, wanted) = (as_seen(&part), as_seen(&wanted));
            let same_end = place == wanted_place && place != Place::Anywhere;
            let implied = match wanted_place {
                Place::Anywhere => part.contains(&wanted),
                _ => same_end && has(&part, place, &wanted),
            };
            // What folds implies nothing of what minds case.
            if implied && (folds(other) || both_mind) {
                TRUE
            } else if same_end && !has(&part, place, &wanted) && !has(&wanted, place, &part) {
                FALSE
            } else {
                FALSE | TRUE
            }
        }
        (Asks::Part(..), Asks::Matches(_)) => FALSE | TRUE,
        (Asks::Matches(_), Asks::Is(texts)) if !folds(other) => {
            let holds = |text: &String| one.predicate().positive.holds(&Value::from(text.as_str())) == Some(true);
            can(texts.iter().any(holds), false)
        }
        (Asks::Matches([required]), Asks::Part(Place::Anywhere, wanted)) if folds(other) => {
            if required.contains(&wanted) { TRUE } else { FALSE | TRUE }
        }
        (Asks::Matches(_), _) => FALSE | TRUE,
    }
}

fn has(text: &str, place: Place, part: &str) -> bool {
    match place {
        Place::Anywhere => text.contains(part),
        Place::Start => text.starts_with(part),
        Place::End => text.ends_with(part),
    }
}

/// Texts put together from what shall be in them.
pub(super) fn tries(atoms: &[&Atom<'_>], wanted: &[Answers]) -> Vec<Fact> {
    let (mut start, mut end) = (String::new(), String::new());
    let (mut within, mut patterns, mut is) = (Vec::<String>::new(), Vec::<Arc<str>>::new(), Vec::<Arc<str>>::new());
    for (atom, _) in atoms.iter().zip(wanted).filter(|(_, wanted)| **wanted == TRUE) {
        let Some(text) = atom.criterion.wanted.first().and_then(Value::as_text) else { continue };
        match asks(atom) {
            Asks::Part(Place::Start, _) if text.len() > start.len() => start = text.to_string(),
            Asks::Part(Place::End, _) if text.len() > end.len() => end = text.to_string(),
            Asks::Part(Place::Anywhere, _) => within.push(text.to_string()),
            Asks::Matches(_) => patterns.push(text.clone()),
            Asks::Is(_) => is.extend(atom.criterion.wanted.iter().filter_map(Value::as_text).cloned()),
            _ => {}
        }
    }
    let mut tries: Vec<String> = is.iter().flat_map(|text| [text.to_lowercase(), text.to_uppercase()]).collect();
    let of_patterns: Vec<Vec<String>> = patterns.iter().map(|pattern| samples(pattern)).collect();
    let most = of_patterns.iter().map(Vec::len).max().unwrap_or(1);
    for number in 0..most {
        let mut parts: Vec<&str> = within.iter().map(String::as_str).collect();
        parts.extend(
            of_patterns
                .iter()
                .filter_map(|samples| samples.get(number.min(samples.len().saturating_sub(1))))
                .map(String::as_str),
        );
        for between in [" ", "", "~", "\n"] {
            let around = |text: &str, start: &str, end: &str| {
                let all = [start, text, end];
                all.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
            };
            tries.push(around(&parts.join(between), &start, &end));
            parts.reverse();
            tries.push(around(&parts.join(between), &start, &end));
            tries.push(format!("{}{between}\u{2026}", around(&parts.join(between), &start, &end)));
            parts.reverse();
        }
    }
    tries.into_iter().map(|text| Fact::from(text.as_str())).collect()
}

/// Texts that a pattern should match.
fn samples(pattern: &str) -> Vec<String> {
    let Ok(hir) = ParserBuilder::new().build().parse(pattern) else { return Vec::new() };
    (0..3)
        .map(|variant| {
            let mut text = String::new();
            sample(&hir, variant, &mut text);
            text
        })
        .filter(|text| text.len() <= 10_000)
        .collect()
}

fn sample(hir: &Hir, variant: usize, text: &mut String) {
    // A repetition of repetitions could be long.
    if text.len() > 10_000 {
        return;
    }
    match hir.kind() {
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let nice = ['a', 'x', '1', ' ', '-'];
            let in_class = |it: &char| class.iter().any(|range| (range.start()..=range.end()).contains(it));
            let first = class.iter().next().map(|range| range.start());
            text.extend(nice.into_iter().skip(variant).find(in_class).or(first));
        }
        HirKind::Repetition(repetition) => {
            let least = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            let more = variant.min(usize::from(repetition.max != Some(repetition.min)));
            (0..least.saturating_add(more).min(10_000)).for_each(|_| sample(&repetition.sub, variant, text));
        }
        HirKind::Capture(capture) => sample(&capture.sub, variant, text),
        HirKind::Concat(items) => items.iter().for_each(|item| sample(item, variant, text)),
        HirKind::Alternation(items) => {
            items.get(variant % items.len().max(1)).into_iter().for_each(|it| sample(it, variant, text))
        }
        _ => {}
    }
}
