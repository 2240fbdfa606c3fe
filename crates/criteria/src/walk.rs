//! Rules run over a record, one after the other.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::eval::{eval, unknown_facts};
use crate::explain::{Trace, explain};
use crate::record::{Fact, Record};
use crate::rule::{Action, AppliesTo, Rule, RuleSet};
use crate::schema::{FieldId, FieldSet};
use crate::truth::Truth;
use crate::value::Value;

/// Why rules are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// Something is new: the rules for new things.
    New,
    /// Something was updated: of the rules for existing things, those with a criterion on a field that the update, or a
    /// rule before them in this walk, changed. A rule without criteria is therefore none of them.
    Existing {
        /// The fields that the update changed. Who changes a ticket's user names every fact about the user here.
        changed: FieldSet,
    },
    /// Somebody asked for these rules and no others, whatever they are used for.
    Manual {
        /// The rules; they run in the order of the set.
        rules: BTreeSet<Uuid>,
    },
}

/// What a walk did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rules that matched, in the order they ran.
    pub matched: Vec<Match>,
    /// The rules that could not be decided, in order. They changed nothing and stopped nothing.
    pub undecided: Vec<Undecided>,
    /// The rule that stopped the walk, if one did.
    pub stopped_by: Option<Uuid>,
    /// What became of each rule, in order, for the rules that [`walk_explained`] was asked about.
    pub verdicts: Vec<RuleVerdict>,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The rule.
    pub rule: Uuid,
    /// What it changed. A field that had the value already is not among them.
    pub changes: Vec<Change>,
}

/// A field whose value a rule changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: FieldId,
    /// What it was.
    pub from: Fact,
    /// What it became.
    pub to: Fact,
}

/// A rule that could not be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The rule.
    pub rule: Uuid,
    /// The fields nobody knows the value of and that would have decided it.
    pub facts: FieldSet,
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The rule.
    pub rule: Uuid,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a rule. The traces show the record as it was when the rule's turn came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its criteria held.
    Matched {
        /// What it changed.
        changes: Vec<Change>,
        /// What its criteria saw.
        trace: Trace,
    },
    /// Its criteria failed.
    NotMatched {
        /// What its criteria saw.
        trace: Trace,
    },
    /// Its criteria neither held nor failed.
    Undecided {
        /// The fields nobody knows the value of and that would have decided it.
        facts: FieldSet,
        /// What its criteria saw.
        trace: Trace,
    },
    /// Its criteria were not asked.
    NotConsidered(NotConsidered),
}

/// Why a rule was not considered. Where several reasons apply, the first of these is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotConsidered {
    /// It is not enabled.
    Disabled,
    /// It is for another occasion, or others were asked for.
    OtherUse,
    /// An earlier rule stopped the walk.
    StoppedBy(Uuid),
    /// None of its criteria is on a field that changed.
    NoChangedField,
}

/// Runs the rules over the record and puts their outcomes into it.
///
/// Rules run in the order of the set, each at most once. A rule sees what the rules before it changed, and may
/// overwrite it. When a rule matches that stops on a match, no later one is considered. A rule that stays undecided
/// changes nothing. Adding to a set that nobody knows leaves it unknown.
///
/// ```
/// use concierge_criteria::*;
/// use uuid::Uuid;
///
/// let schema = Schema::new([("user.important", FieldType::Flag), ("ticket.team", FieldType::Id)])?;
/// let (rule, team) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let important = RuleDefinition {
///     id: rule,
///     name: "important users".to_owned(),
///     enabled: true,
///     applies_to: AppliesTo::NewAndExisting,
///     precedence: 50,
///     created: chrono::DateTime::UNIX_EPOCH,
///     stop_on_match: false,
///     criteria: Criterion::new("user.important", Operator::Is, [true]).into(),
///     outcomes: vec![OutcomeDefinition { field: "ticket.team".to_owned(), action: Action::Set(team.into()) }],
/// };
/// let rules = RuleSet::new([compile_rule(&schema, &important).map_err(|problems| problems[0].clone())?]);
///
/// let mut ticket = Record::empty(&schema);
/// ticket.set(schema.field("user.important").expect("named above"), true)?;
/// let outcome = walk(&rules, &mut ticket, &Occasion::New);
/// assert_eq!(outcome.matched[0].rule, rule);
/// assert_eq!(outcome.matched[0].changes[0].to, Fact::from(team));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn walk(rules: &RuleSet, record: &mut Record, occasion: &Occasion) -> Outcome {
    run(rules.rules().iter().map(|rule| &**rule), record, occasion, None)
}

/// Runs the rules as [`walk`] does, and tells for the rules that `wanted` selects what became of each.
pub fn walk_explained(
    rules: &RuleSet,
    record: &mut Record,
    occasion: &Occasion,
    mut wanted: impl FnMut(&Rule) -> bool,
) -> Outcome {
    explained(rules.rules().iter().map(|rule| &**rule), record, occasion, &mut wanted)
}

/// [`walk_explained`] over rules that come in the order they run.
pub(crate) fn explained<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    record: &mut Record,
    occasion: &Occasion,
    wanted: &mut dyn FnMut(&Rule) -> bool,
) -> Outcome {
    run(rules, record, occasion, Some(wanted))
}

/// The one function that decides.
fn run<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    record: &mut Record,
    occasion: &Occasion,
    mut wanted: Option<&mut dyn FnMut(&Rule) -> bool>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut changed = match occasion {
        Occasion::Existing { changed } => changed.clone(),
        Occasion::New | Occasion::Manual { .. } => FieldSet::new(),
    };
    for rule in rules {
        if outcome.stopped_by.is_some() && wanted.is_none() {
            break;
        }
        let told = wanted.as_mut().is_some_and(|wanted| wanted(rule));
        let verdict = match not_considered(rule, occasion, &changed, outcome.stopped_by) {
            Some(reason) => told.then_some(Verdict::NotConsidered(reason)),
            None => consider(rule, record, told, &mut changed, &mut outcome),
        };
        outcome.verdicts.extend(verdict.map(|verdict| RuleVerdict { rule: rule.id(), verdict }));
    }
    outcome
}

fn not_considered(
    rule: &Rule,
    occasion: &Occasion,
    changed: &FieldSet,
    stopped_by: Option<Uuid>,
) -> Option<NotConsidered> {
    let used = match (occasion, rule.applies_to()) {
        (Occasion::New, AppliesTo::NewAndExisting | AppliesTo::New) => true,
        (Occasion::Existing { .. }, AppliesTo::NewAndExisting | AppliesTo::Existing) => true,
        (Occasion::Manual { rules }, _) => rules.contains(&rule.id()),
        _ => false,
    };
    if !rule.enabled() {
        Some(NotConsidered::Disabled)
    } else if !used {
        Some(NotConsidered::OtherUse)
    } else if let Some(by) = stopped_by {
        Some(NotConsidered::StoppedBy(by))
    } else if matches!(occasion, Occasion::Existing { .. }) && !rule.criteria().fields().intersects(changed) {
        Some(NotConsidered::NoChangedField)
    } else {
        None
    }
}

/// Asks a rule's criteria and applies its outcomes; the verdict only if it is to be told.
fn consider(
    rule: &Rule,
    record: &mut Record,
    told: bool,
    changed: &mut FieldSet,
    outcome: &mut Outcome,
) -> Option<Verdict> {
    let truth = eval(rule.criteria(), record);
    // Before the outcomes change what the criteria saw.
    let trace = told.then(|| explain(rule.criteria(), record));
    match truth {
        Truth::False => trace.map(|trace| Verdict::NotMatched { trace }),
        Truth::Unknown => {
            let facts = unknown_facts(rule.criteria(), record);
            outcome.undecided.push(Undecided { rule: rule.id(), facts: facts.clone() });
            trace.map(|trace| Verdict::Undecided { facts, trace })
        }
        Truth::True => {
            let mut changes = Vec::new();
            apply(rule, record, &mut changes);
            changed.extend(changes.iter().map(|change| change.field));
            if rule.stop_on_match() {
                outcome.stopped_by = Some(rule.id());
            }
            let verdict = trace.map(|trace| Verdict::Matched { changes: changes.clone(), trace });
            outcome.matched.push(Match { rule: rule.id(), changes });
            verdict
        }
    }
}

/// Puts a rule's outcomes into the record and notes what changed.
pub(crate) fn apply(rule: &Rule, record: &mut Record, changes: &mut Vec<Change>) {
    for (field, action) in rule.outcomes() {
        let from = record.get(*field).clone();
        let to = match action {
            Action::Set(value) => Fact::Known(value.clone()),
            Action::Add(value) => added(&from, value),
        };
        // A record of another schema may refuse; then nothing changes.
        if from != to && record.set(*field, to.clone()).is_ok() {
            changes.push(Change { field: *field, from, to });
        }
    }
}

fn added(from: &Fact, more: &Value) -> Fact {
    match (from, more) {
        (Fact::Empty, more) => Fact::Known(more.clone()),
        (Fact::Known(Value::IdSet(old)), Value::IdSet(more)) => Fact::Known(Value::IdSet(old.union(more))),
        (Fact::Known(Value::TextSet(old)), Value::TextSet(more)) => Fact::Known(Value::TextSet(old.union(more))),
        (from, _) => from.clone(),
    }
}
