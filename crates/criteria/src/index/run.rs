//! Runs the rules that an index finds, in their order.

use super::RuleIndex;
use super::block::Wanted;
use super::scratch::{Found, MatchedPlace, Scratch};
use crate::eval::add_unknown_facts;
use crate::record::Record;
use crate::rule::Rule;
use crate::schema::FieldSet;
use crate::truth::Truth;
use crate::walk::{Occasion, apply};

pub(crate) fn run(index: &RuleIndex, record: &mut Record, occasion: &Occasion, scratch: &mut Scratch) {
    scratch.clear();
    scratch.base.read(&index.base.dimensions, record);
    if let Some(changes) = &index.changes {
        scratch.changes.read(&changes.rules.dimensions, record);
    }
    match occasion {
        Occasion::New => find(index, scratch, Wanted::New, None),
        Occasion::Existing { changed } => {
            find(index, scratch, Wanted::Existing(changed), None);
        }
        Occasion::Manual { rules } => {
            let enabled = |place: &Found| index.at(place.rule()).is_some_and(|rule| rule.enabled());
            let places = rules.iter().filter_map(|id| index.found(*id));
            scratch.found.extend(places.filter(enabled));
            scratch.found.sort_unstable();
        }
    }
    let mut next = 0;
    while let Some(found) = scratch.found.get(next).copied() {
        next += 1;
        let Some(rule) = index.at(found.rule()) else { continue };
        match truth(index, rule, found, record, scratch) {
            Truth::False => {}
            Truth::Unknown => note_undecided(rule, found, record, scratch),
            Truth::True => {
                let from = scratch.made.len();
                apply(rule, record, &mut scratch.made);
                let changes = (from, scratch.made.len());
                scratch.matched.push(MatchedPlace { rule: found.rule(), changes });
                if rule.stop_on_match() {
                    scratch.stopped_by = Some(found.rule());
                    return;
                }
                if from < scratch.made.len() {
                    follow(index, record, occasion, found, from, &mut next, scratch);
                }
            }
        }
    }
}

fn truth(index: &RuleIndex, rule: &Rule, found: Found, record: &Record, scratch: &Scratch) -> Truth {
    // What was sure when it was found may be otherwise since a rule changed the record.
    if found.is_sure() && (scratch.by_rules.is_empty() || !rule.criteria().fields().intersects(&scratch.by_rules)) {
        return Truth::True;
    }
    let place = found.rule();
    match &index.changes {
        Some(changes) if place.is_changed => changes.rules.truth(place.place, record, &scratch.changes),
        _ => index.base.truth(place.place, record, &scratch.base),
    }
}

fn note_undecided(rule: &Rule, found: Found, record: &Record, scratch: &mut Scratch) {
    let count = scratch.undecided_count;
    if scratch.undecided.len() == count {
        scratch.undecided.push((found.rule(), FieldSet::new()));
    }
    if let Some((place, facts)) = scratch.undecided.get_mut(count) {
        *place = found.rule();
        facts.clear();
        add_unknown_facts(rule.criteria(), record, facts);
    }
    scratch.undecided_count += 1;
}

/// Finds the later rules that may hold since a rule changed the record.
fn follow(
    index: &RuleIndex,
    record: &Record,
    occasion: &Occasion,
    after: Found,
    from: usize,
    next: &mut usize,
    scratch: &mut Scratch,
) {
    let mut last = std::mem::take(&mut scratch.by_last);
    last.clear();
    last.extend(scratch.made.iter().skip(from).map(|change| change.field));
    scratch.by_rules.extend(scratch.made.iter().skip(from).map(|change| change.field));
    scratch.base.read_again(&index.base.dimensions, record, &last);
    if let Some(changes) = &index.changes {
        scratch.changes.read_again(&changes.rules.dimensions, record, &last);
    }
    match occasion {
        // Exactly those asked for, whatever changes.
        Occasion::Manual { .. } => {}
        Occasion::New | Occasion::Existing { .. } => {
            scratch.found.drain(..*next);
            *next = 0;
            let wanted = |fields| match occasion {
                Occasion::New => Wanted::NewOn(fields),
                _ => Wanted::Existing(fields),
            };
            find(index, scratch, wanted(&last), Some(after));
        }
    }
    scratch.by_last = last;
}

/// Adds the rules that may hold, after one of them if that is given, in their order and each once.
fn find(index: &RuleIndex, scratch: &mut Scratch, wanted: Wanted<'_>, after: Option<Found>) {
    let Scratch { base, changes: changes_state, found, .. } = scratch;
    let later = |it: &Found| after.is_none_or(|after| it.is_after(after));
    match &index.changes {
        None => index.base.find(wanted, base, |rule, sure| {
            let it = Found::in_base(rule, sure);
            if later(&it) {
                found.push(it);
            }
        }),
        Some(changes) => {
            index.base.find(wanted, base, |rule, sure| {
                let it = Found::in_base(rule, sure);
                if !changes.lacks(rule) && later(&it) {
                    found.push(it);
                }
            });
            changes.rules.find(wanted, changes_state, |rule, sure| {
                let before = changes.before.get(rule as usize).copied().unwrap_or(u32::MAX);
                let it = Found::changed(rule, before, sure);
                if later(&it) {
                    found.push(it);
                }
            });
        }
    }
    found.sort_unstable();
    // Of one rule found twice the sure one stays: it comes last.
    found.dedup_by(|later, kept| {
        let same = later.is(*kept);
        if same {
            *kept = *later;
        }
        same
    });
}

impl RuleIndex {
    pub(crate) fn found(&self, id: uuid::Uuid) -> Option<Found> {
        if let Some(changes) = self.changes.as_deref() {
            if let Some(place) = changes.rules.places.get(&id) {
                let before = changes.before.get(*place as usize).copied().unwrap_or(u32::MAX);
                return Some(Found::changed(*place, before, false));
            }
            return self.base.places.get(&id).filter(|it| !changes.lacks(**it)).map(|it| Found::in_base(*it, false));
        }
        self.base.places.get(&id).map(|place| Found::in_base(*place, false))
    }
}
