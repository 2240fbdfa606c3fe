//! A second evaluator, written to be read and not to be fast. It knows the criteria as written, fields by name, and
//! sets as lists.

use std::collections::{BTreeMap, BTreeSet};

use concierge_criteria::{Action, AppliesTo, Criterion, Definition, Fact, GroupKind, Operator, RuleDefinition, Value};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
use uuid::Uuid;

/// What is known of each field, by name; what was known before an update, by `before ` and the name; as `now` the
/// time; and `hours` if those of calendars are known.
pub(crate) type Facts = BTreeMap<String, Fact>;

/// Whether criteria hold; `None` where nobody knows.
pub(crate) fn holds(definition: &Definition, facts: &Facts) -> Option<bool> {
    match definition {
        Definition::Criterion(criterion) => criterion_holds(criterion, &facts[&criterion.field], facts),
        Definition::Group { kind, items } => {
            let answers: Vec<Option<bool>> = items.iter().map(|item| holds(item, facts)).collect();
            match kind {
                GroupKind::Not => answers[0].map(|answer| !answer),
                GroupKind::All if answers.contains(&Some(false)) => Some(false),
                GroupKind::Any if answers.contains(&Some(true)) => Some(true),
                _ if answers.contains(&None) => None,
                GroupKind::All => Some(true),
                GroupKind::Any => Some(false),
            }
        }
    }
}

fn criterion_holds(criterion: &Criterion, fact: &Fact, facts: &Facts) -> Option<bool> {
    use Operator::*;
    if let (Changed | ChangedFrom | ChangedTo, known) = (criterion.operator, fact) {
        if *known == Fact::Unknown {
            return None;
        }
        let Some(before) = facts.get(&format!("before {}", criterion.field)) else { return Some(false) };
        let is = |fact| criterion_holds(&Criterion { operator: Is, ..criterion.clone() }, fact, facts);
        let asked = match criterion.operator {
            ChangedFrom => is(before),
            ChangedTo => is(known),
            _ => Some(true),
        };
        let changed = if *before == Fact::Unknown { None } else { Some(known != before) };
        return match (changed, asked) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
    }
    let seen = match fact {
        Fact::Unknown => return None,
        Fact::Empty => {
            return Some(matches!(criterion.operator, IsNot | NoneOf | HasNoValue | DoesNotInclude | DoesNotContain));
        }
        Fact::Known(value) => value,
    };
    // Only a single text is ever compared without case, never the members of a set.
    let folds = !criterion.case_sensitive && matches!(seen, Value::Text(_));
    let fold = |value: &Value| match value {
        Value::Text(text) if folds => Value::from(text.chars().map(without_case).collect::<String>()),
        other => other.clone(),
    };
    let wanted: Vec<Value> = criterion.values.iter().map(fold).collect();
    let seen = fold(seen);
    let members = members(&seen);
    let part = |test: fn(&str, &str) -> bool| match (&seen, &wanted[0]) {
        (Value::Text(seen), Value::Text(wanted)) => test(seen, wanted),
        other => panic!("{other:?} are no texts"),
    };
    Some(match criterion.operator {
        HasValue => true,
        HasNoValue => false,
        Is => seen == wanted[0],
        IsNot => seen != wanted[0],
        AnyOf => wanted.contains(&seen),
        NoneOf => !wanted.contains(&seen),
        Equals => members.iter().all(|one| wanted.contains(one)) && wanted.iter().all(|one| members.contains(one)),
        Includes => wanted.iter().any(|one| members.contains(one)),
        IncludesAll => wanted.iter().all(|one| members.contains(one)),
        DoesNotInclude => !wanted.iter().any(|one| members.contains(one)),
        Contains => part(|seen, wanted| seen.contains(wanted)),
        DoesNotContain => part(|seen, wanted| !seen.contains(wanted)),
        StartsWith => part(|seen, wanted| seen.starts_with(wanted)),
        EndsWith => part(|seen, wanted| seen.ends_with(wanted)),
        Less => number(&seen) < number(&wanted[0]),
        LessOrEqual => number(&seen) <= number(&wanted[0]),
        Greater => number(&seen) > number(&wanted[0]),
        GreaterOrEqual => number(&seen) >= number(&wanted[0]),
        Matches => {
            let case = if criterion.case_sensitive { "" } else { "(?i)" };
            // The value as it is, not folded.
            let (Fact::Known(Value::Text(text)), Value::Text(pattern)) = (fact, &criterion.values[0]) else {
                panic!("{criterion:?} on {fact:?}")
            };
            regex::Regex::new(&format!("{case}{pattern}")).unwrap().is_match(text)
        }
        WithinLast | WithinNext => {
            let Some(Fact::Known(now)) = facts.get("now") else { return None };
            let ago = number(now) - number(&seen);
            let ago = if criterion.operator == WithinLast { ago } else { -ago };
            0 <= ago && ago <= number(&wanted[0])
        }
        WithinHours | OutsideHours => {
            let Some(Fact::Known(_)) = facts.get("hours") else { return None };
            let of = |calendar: &&(u128, i64, i64)| wanted[0] == Value::from(Uuid::from_u128(calendar.0));
            let (_, from, until) = HOURS.iter().find(of)?;
            (*from <= number(&seen) && number(&seen) < *until) == (criterion.operator == WithinHours)
        }
        Changed | ChangedFrom | ChangedTo => unreachable!("answered above"),
        Between => number(&wanted[0]) <= number(&seen) && number(&seen) <= number(&wanted[1]),
    })
}

/// The first of all characters that differ only in case.
fn without_case(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    let mut alike = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
    alike.case_fold_simple();
    alike.ranges().iter().map(|range| range.start()).min().unwrap()
}

/// The oracle's calendars: so many seconds after 1970 from which on a calendar's hours are, and before which no more.
pub(crate) const HOURS: [(u128, i64, i64); 2] = [(1, 0, 2), (2, 1, 9)];

fn members(value: &Value) -> Vec<Value> {
    match value {
        Value::IdSet(set) => set.iter().map(|member| Value::from(*member)).collect(),
        Value::TextSet(set) => set.iter().map(|member| Value::from(member.clone())).collect(),
        _ => vec![],
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Number(number) => *number,
        Value::Time(time) => time.timestamp(),
        other => panic!("{other:?} is no number"),
    }
}

/// What each part of criteria answers, and the field and value that a criterion saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) holds: Option<bool>,
    pub(crate) seen: Option<(String, Fact)>,
    pub(crate) items: Vec<Answered>,
}

pub(crate) fn answered(definition: &Definition, facts: &Facts) -> Answered {
    let (seen, items) = match definition {
        Definition::Criterion(criterion) => {
            (Some((criterion.field.clone(), facts[&criterion.field].clone())), Vec::new())
        }
        Definition::Group { items, .. } => (None, items.iter().map(|item| answered(item, facts)).collect()),
    };
    Answered { holds: holds(definition, facts), seen, items }
}

/// The fields that criteria are on.
pub(crate) fn fields(definition: &Definition) -> BTreeSet<String> {
    match definition {
        Definition::Criterion(criterion) => BTreeSet::from([criterion.field.clone()]),
        Definition::Group { items, .. } => items.iter().flat_map(fields).collect(),
    }
}

/// The unknown fields of the criteria that are still open.
pub(crate) fn open(definition: &Definition, facts: &Facts) -> BTreeSet<String> {
    match definition {
        _ if holds(definition, facts).is_some() => BTreeSet::new(),
        Definition::Criterion(criterion) => BTreeSet::from([criterion.field.clone()]),
        Definition::Group { items, .. } => items.iter().flat_map(|item| open(item, facts)).collect(),
    }
}

/// Why rules are asked.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    New,
    Existing(BTreeSet<String>),
    Manual(BTreeSet<Uuid>),
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Became {
    Matched(Vec<(String, Fact, Fact)>),
    NotMatched,
    Undecided(BTreeSet<String>),
    Disabled,
    OtherUse,
    StoppedBy(Uuid),
    NoChangedField,
}

/// What is told of a rule: of one that was considered, also what its criteria answered when its turn came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) rule: Uuid,
    pub(crate) became: Became,
    pub(crate) answered: Option<Answered>,
}

/// Runs the rules over the facts, changing them, and says what became of each rule.
pub(crate) fn run(rules: &[RuleDefinition], facts: &mut Facts, asked: &Asked) -> Vec<Told> {
    let mut rules = rules.to_vec();
    rules.sort_by_key(|rule| (rule.precedence, rule.created, rule.id));
    let mut changed = if let Asked::Existing(fields) = asked { fields.clone() } else { BTreeSet::new() };
    let mut stopped_by = None;
    let mut told = Vec::new();
    for rule in &rules {
        let mut answers = None;
        let meant = match asked {
            Asked::New => [AppliesTo::New, AppliesTo::NewAndExisting].contains(&rule.applies_to),
            Asked::Existing(_) => [AppliesTo::Existing, AppliesTo::NewAndExisting].contains(&rule.applies_to),
            Asked::Manual(ids) => ids.contains(&rule.id),
        };
        let became = if !rule.enabled {
            Became::Disabled
        } else if !meant {
            Became::OtherUse
        } else if let Some(by) = stopped_by {
            Became::StoppedBy(by)
        } else if matches!(asked, Asked::Existing(_)) && fields(&rule.criteria).is_disjoint(&changed) {
            Became::NoChangedField
        } else {
            answers = Some(answered(&rule.criteria, facts));
            match holds(&rule.criteria, facts) {
                None => Became::Undecided(open(&rule.criteria, facts)),
                Some(false) => Became::NotMatched,
                Some(true) => {
                    let changes = apply(rule, facts);
                    changed.extend(changes.iter().map(|(field, _, _)| field.clone()));
                    stopped_by = rule.stop_on_match.then_some(rule.id);
                    Became::Matched(changes)
                }
            }
        };
        told.push(Told { rule: rule.id, became, answered: answers });
    }
    told
}

fn apply(rule: &RuleDefinition, facts: &mut Facts) -> Vec<(String, Fact, Fact)> {
    let mut changes = Vec::new();
    for outcome in &rule.outcomes {
        let from = facts[&outcome.field].clone();
        let to = match (&outcome.action, &from) {
            (Action::Set(value), _) | (Action::Add(value), Fact::Empty) => Fact::Known(value.clone()),
            (Action::Add(_), Fact::Unknown) => Fact::Unknown,
            (Action::Add(Value::IdSet(more)), Fact::Known(Value::IdSet(old))) => {
                Fact::Known(Value::IdSet(old.iter().chain(more.iter()).copied().collect()))
            }
            (Action::Add(Value::TextSet(more)), Fact::Known(Value::TextSet(old))) => {
                Fact::Known(Value::TextSet(old.iter().chain(more.iter()).cloned().collect()))
            }
            other => panic!("{other:?} cannot be added"),
        };
        facts.insert(outcome.field.clone(), to.clone());
        if from != to {
            changes.push((outcome.field.clone(), from, to));
        }
    }
    changes
}
