//! Whether a rule is ever reached, and matches: by a record on which it does, or by proof that there is none.

use std::collections::HashSet;

use uuid::Uuid;

use super::Linter;
use super::finding::{Question, Why, Witness};
use super::formula::Want;
use super::query::{Asked, ask};
use super::search::Found;
use super::world::When;
use crate::record::Record;
use crate::rule::{Action, AppliesTo, Rule};
use crate::schema::{FieldId, FieldSet};
use crate::value::Value;
use crate::walk::{Occasion, Outcome};

/// So many records are tried for one rule.
const MOST_TRIES: usize = 10;
/// So many rules before one are looked at for what they set for it.
const MOST_CHAINED: usize = 4;
/// So many values that rules between two may set are looked at.
const MOST_SET: usize = 16;

/// What becomes of a rule, at one kind of time.
#[derive(Debug)]
pub(super) enum Reach {
    /// It matches this.
    Live(Witness),
    /// Its criteria contradict each other.
    Never,
    /// It runs only on updates, and nothing that it asks about can change.
    NeverAsked,
    /// Whenever it would match one of these ended the walk; as it does on this record.
    Shadowed(Vec<Uuid>, Option<Witness>),
    /// Nobody knows.
    Open(Question, Option<Uuid>, Why),
}

impl Linter<'_> {
    pub(super) fn reach(&mut self, place: usize, when: When) -> Reach {
        let rule = self.rules[place].clone();
        let occasions = self.occasions(&rule, when);
        if occasions.is_empty() {
            return Reach::NeverAsked;
        }
        // Rules that end the walk before it, and rules that change what it asks for, are ruled out one by one.
        let (mut stops, mut writers): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut shown: Option<Witness> = None;
        for _ in 0..MOST_TRIES {
            let before: Vec<_> = stops.iter().chain(&writers).map(|other| self.rules[*other].clone()).collect();
            let mut asked = vec![Asked::of(&rule, Want::True)];
            asked.extend(before.iter().map(|other| Asked::of(other, Want::NotTrue)));
            let fields = asked_fields(std::iter::once(&*rule).chain(before.iter().map(|other| &**other)));
            let record = match ask(self.world, when, &asked, &mut Some) {
                Found::Model(record) => record,
                Found::TooLong => return Reach::Open(question(&stops), self.first(&stops), Why::TooLong),
                Found::NoValue => return Reach::Open(question(&stops), self.first(&stops), Why::NoValue),
                Found::Nothing if stops.is_empty() && writers.is_empty() => return Reach::Never,
                Found::Nothing if writers.is_empty() && self.shadows(&rule, place, &stops, when) => {
                    let by = stops.iter().map(|stop| self.rules[*stop].id()).collect();
                    return Reach::Shadowed(by, shown);
                }
                Found::Nothing => {
                    let chained = self.chained(&rule, place, &stops, when, &occasions).map(Reach::Live);
                    return chained.unwrap_or(Reach::Open(question(&stops), self.first(&stops), Why::Chained));
                }
            };
            let (mut stopped, mut written) = (None, None);
            for occasion in &occasions {
                let outcome = self.walk(&record, occasion);
                let witness =
                    Witness { record: record.clone(), asked: fields.clone(), when, occasion: occasion.clone() };
                if outcome.matched.iter().any(|matched| matched.rule == rule.id()) {
                    return Reach::Live(witness);
                }
                match outcome.stopped_by.and_then(|by| self.places.get(&by)) {
                    Some(by) if *by < place => {
                        stopped = stopped.or(Some(*by));
                        shown.get_or_insert(witness);
                    }
                    _ => written = written.or_else(|| self.writer(&outcome, &rule, place)),
                }
            }
            match (stopped, written) {
                (Some(stop), _) if !stops.contains(&stop) => stops.push(stop),
                (_, Some(writer)) if !writers.contains(&writer) => writers.push(writer),
                _ => return Reach::Open(question(&stops), self.first(&stops), Why::Chained),
            }
        }
        Reach::Open(question(&stops), self.first(&stops), Why::TooLong)
    }

    /// A record on which the rule matches because of what a rule before it sets.
    fn chained(
        &mut self,
        rule: &Rule,
        place: usize,
        stops: &[usize],
        when: When,
        occasions: &[Occasion],
    ) -> Option<Witness> {
        let fields = rule.criteria().fields();
        let sets = |other: &Rule| other.outcomes().iter().any(|(field, _)| fields.contains(*field));
        let before = self.rules[..place].iter().rev().filter(|other| runs(other, when) && sets(other));
        let before: Vec<_> = before.take(MOST_CHAINED).cloned().collect();
        let stops: Vec<_> = stops.iter().map(|stop| self.rules[*stop].clone()).collect();
        for writer in before {
            let mut asked = vec![Asked::of(&writer, Want::True)];
            asked.push(Asked { after: Some(&*writer), ..Asked::of(rule, Want::True) });
            asked.extend(stops.iter().map(|stop| Asked::of(stop, Want::NotTrue)));
            let fields = asked_fields([rule, &*writer].into_iter().chain(stops.iter().map(|stop| &**stop)));
            let all: Vec<Occasion> = occasions.iter().cloned().chain(self.occasions(&writer, when)).collect();
            let (index, scratch) = (self.index, &mut self.scratch);
            let mut check = |record: Record| {
                let mut matches = |occasion: &Occasion| {
                    let outcome = index.walk(&mut record.clone(), occasion, scratch);
                    outcome.matched.iter().any(|it| it.rule == rule.id())
                };
                let occasion = all.iter().find(|occasion| matches(occasion))?.clone();
                Some(Witness { record: record.clone(), asked: fields.clone(), when, occasion })
            };
            if let Found::Model(witness) = ask(self.world, when, &asked, &mut check) {
                return Some(witness);
            }
        }
        None
    }

    fn first(&self, stops: &[usize]) -> Option<Uuid> {
        stops.first().map(|stop| self.rules[*stop].id())
    }

    /// What the rules do to a record.
    pub(super) fn walk(&mut self, record: &Record, occasion: &Occasion) -> Outcome {
        self.index.walk(&mut record.clone(), occasion, &mut self.scratch)
    }

    /// The first rule that changed what this one asks for.
    fn writer(&self, outcome: &Outcome, rule: &Rule, place: usize) -> Option<usize> {
        let fields = rule.criteria().fields();
        let changes = |matched: &&crate::walk::Match| matched.changes.iter().any(|it| fields.contains(it.field));
        let first = outcome.matched.iter().find(changes)?;
        self.places.get(&first.rule).copied().filter(|writer| *writer < place)
    }

    /// The occasions on which a rule is looked at: on updates one for every field of it that can change, of those that
    /// change with the same others only one.
    pub(super) fn occasions(&self, rule: &Rule, when: When) -> Vec<Occasion> {
        match when {
            When::New => vec![Occasion::New],
            When::Asked => vec![Occasion::Manual { rules: std::iter::once(rule.id()).collect() }],
            When::Existing => {
                let all = rule.criteria().fields().iter().map(|field| self.world.along(field));
                let mut seen = HashSet::new();
                let all = all.filter(|changed| !changed.is_empty() && seen.insert(changed.clone()));
                all.map(|changed| Occasion::Existing { changed }).collect()
            }
        }
    }

    /// Whether the stops end every walk in which the rule would match, when they match every record that it matches:
    /// they must be asked whenever it is, and what they see must be what it sees.
    fn shadows(&mut self, rule: &Rule, place: usize, stops: &[usize], when: When) -> bool {
        let stops: Vec<_> = stops.iter().map(|stop| (*stop, self.rules[*stop].clone())).collect();
        if when == When::Existing {
            let asked_too = |stop: &Rule| {
                let changes = rule.criteria().fields().iter().map(|field| self.world.along(field));
                let mut changes = changes.filter(|changed| !changed.is_empty());
                changes.all(|changed| changed.intersects(stop.criteria().fields()))
            };
            if !stops.iter().all(|(_, stop)| asked_too(stop)) {
                return false;
            }
        }
        let Some(from) = stops.iter().map(|(stop, _)| *stop).min() else { return false };
        let seen: FieldSet =
            stops.iter().flat_map(|(_, stop)| stop.criteria().fields().iter().collect::<Vec<_>>()).collect();
        let mut set: Vec<(FieldId, Action)> = Vec::new();
        for between in self.rules[from + 1..place].iter().filter(|it| runs(it, when)) {
            for (field, action) in between.outcomes().iter().filter(|(field, _)| seen.contains(*field)) {
                if set.iter().all(|known| known != &(*field, action.clone())) {
                    set.push((*field, action.clone()));
                    if set.len() > MOST_SET {
                        return false;
                    }
                }
            }
        }
        // What a rule between them set is not what this one sees.
        set.iter().all(|(field, action)| self.refuses(rule, *field, action, when))
    }

    /// Whether the rule matches no record that holds what an outcome puts into a field.
    fn refuses(&self, rule: &Rule, field: FieldId, action: &Action, when: When) -> bool {
        let Action::Set(value) = action else { return false };
        let Ok(holds) = holds(self.world.plain(when), field, value) else { return false };
        let asked = [Asked::of(rule, Want::True), Asked { node: &holds.root, want: Want::True, after: None }];
        matches!(ask(self.world, when, &asked, &mut Some), Found::Nothing)
    }
}

/// The criterion that a field holds a value.
fn holds(plain: &Record, field: FieldId, value: &Value) -> Result<crate::Compiled, ()> {
    let name = plain.schema().get(field).ok_or(())?.name.to_string();
    let operator = match value {
        Value::IdSet(_) | Value::TextSet(_) => return Err(()),
        _ => crate::Operator::Is,
    };
    let criterion = crate::Criterion::new(name, operator, [value.clone()]).case_sensitive();
    crate::compile(plain.schema(), &criterion.into()).map_err(|_| ())
}

/// Whether a rule runs by itself at such a time.
pub(super) fn runs(rule: &Rule, when: When) -> bool {
    rule.enabled()
        && match (rule.applies_to(), when) {
            (AppliesTo::NewAndExisting, When::New | When::Existing) => true,
            (AppliesTo::New, When::New) | (AppliesTo::Existing, When::Existing) => true,
            (_, When::Asked) | (AppliesTo::New | AppliesTo::Existing | AppliesTo::Manual, _) => false,
        }
}

fn question(stops: &[usize]) -> Question {
    if stops.is_empty() { Question::Match } else { Question::Shadow }
}

/// The fields that rules ask about.
pub(super) fn asked_fields<'a>(rules: impl Iterator<Item = &'a Rule>) -> FieldSet {
    rules.flat_map(|rule| rule.criteria().fields().iter().collect::<Vec<_>>()).collect()
}
