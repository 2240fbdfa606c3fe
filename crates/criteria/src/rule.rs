//! Rules and the order they run in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::compile::{Compiled, compile, wrong_value};
use crate::definition::Definition;
use crate::pattern::MAX_PATTERNS;
use crate::problem::{Problem, ProblemKind};
use crate::schema::{FieldId, FieldType, Schema};
use crate::value::Value;

/// When a rule is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AppliesTo {
    /// When something is new and when it is updated.
    #[default]
    NewAndExisting,
    /// Only when it is new.
    New,
    /// Only when it is updated.
    Existing,
    /// Only when somebody asks for this rule.
    Manual,
}

/// What an outcome does to its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Puts this value in place of the old one.
    Set(Value),
    /// Adds these members to a set.
    Add(Value),
}

impl Action {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Action::Set(value) | Action::Add(value) => value,
        }
    }
}

/// What a rule does to one field when it matches. A field without an outcome is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeDefinition {
    /// The field's name.
    pub field: String,
    /// What happens to it.
    pub action: Action,
}

/// A rule as somebody wrote it, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDefinition {
    /// Its id.
    pub id: Uuid,
    /// Its name, for people.
    pub name: String,
    /// Whether it runs at all.
    pub enabled: bool,
    /// When it is used.
    pub applies_to: AppliesTo,
    /// Its place in the order: lower runs earlier.
    pub precedence: i32,
    /// When it was created: of rules with one precedence the older runs first, and of those created at once the one
    /// with the lower id.
    pub created: DateTime<Utc>,
    /// Whether no later rule is considered when this one matches.
    pub stop_on_match: bool,
    /// When it matches.
    pub criteria: Definition,
    /// What it does then. A field that follows from another, such as the category of a status, has an outcome of its
    /// own, so that later rules see it change too.
    pub outcomes: Vec<OutcomeDefinition>,
}

/// A rule that was checked and is ready to run. It never changes, so threads and rule sets may share it.
#[derive(Debug)]
pub struct Rule {
    id: Uuid,
    name: Arc<str>,
    enabled: bool,
    applies_to: AppliesTo,
    precedence: i32,
    created: DateTime<Utc>,
    stop_on_match: bool,
    criteria: Compiled,
    outcomes: Box<[(FieldId, Action)]>,
}

impl Rule {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it runs at all.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// When it is used.
    #[must_use]
    pub fn applies_to(&self) -> AppliesTo {
        self.applies_to
    }

    /// Its place in the order.
    #[must_use]
    pub fn precedence(&self) -> i32 {
        self.precedence
    }

    /// Whether no later rule is considered when it matches.
    #[must_use]
    pub fn stop_on_match(&self) -> bool {
        self.stop_on_match
    }

    /// When it matches.
    #[must_use]
    pub fn criteria(&self) -> &Compiled {
        &self.criteria
    }

    /// What it does then; each field at most once.
    #[must_use]
    pub fn outcomes(&self) -> &[(FieldId, Action)] {
        &self.outcomes
    }

    /// What rules are sorted by.
    pub(crate) fn order(&self) -> (i32, DateTime<Utc>, Uuid) {
        (self.precedence, self.created, self.id)
    }
}

/// Checks a rule and makes it ready to run. Whether an outcome may set its field is the caller's to check.
///
/// # Errors
///
/// Every problem at once: those of [`compile`], and in outcomes `outcomes[1].field` and `outcomes[1].value`.
pub fn compile_rule(schema: &Schema, definition: &RuleDefinition) -> Result<Rule, Vec<Problem>> {
    let mut problems = Vec::new();
    let criteria = compile(schema, &definition.criteria).map_err(|mut found| problems.append(&mut found)).ok();
    let mut outcomes = Vec::with_capacity(definition.outcomes.len());
    let mut named = HashSet::new();
    for (index, outcome) in definition.outcomes.iter().enumerate() {
        let mut problem = |part: &str, kind| problems.push(Problem { path: format!("outcomes[{index}].{part}"), kind });
        let Some(field) = schema.field(&outcome.field).and_then(|id| schema.get(id)) else {
            problem("field", ProblemKind::UnknownField(outcome.field.clone()));
            continue;
        };
        if !named.insert(field.id) {
            problem("field", ProblemKind::OutcomeTwice(outcome.field.clone()));
        }
        let value = outcome.action.value();
        let is_set = matches!(field.kind, FieldType::IdSet | FieldType::TextSet);
        if matches!(outcome.action, Action::Add(_)) && !is_set {
            problem("field", ProblemKind::AddToNoSet(field.kind));
        } else if let Some(wrong) = wrong_value(value, field, field.kind) {
            problem("value", wrong);
        } else if value.is_empty() {
            problem("value", ProblemKind::EmptyOutcome);
        }
        outcomes.push((field.id, outcome.action.clone()));
    }
    match criteria {
        Some(criteria) if problems.is_empty() => Ok(Rule {
            id: definition.id,
            name: definition.name.as_str().into(),
            enabled: definition.enabled,
            applies_to: definition.applies_to,
            precedence: definition.precedence,
            created: definition.created,
            stop_on_match: definition.stop_on_match,
            criteria,
            outcomes: outcomes.into(),
        }),
        _ => Err(problems),
    }
}

/// Rules of one schema, in the order they run: by precedence, then by creation time, then by id.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    places: HashMap<Uuid, usize>,
}

impl RuleSet {
    /// A set of the given rules. Of several with one id the last counts.
    #[must_use]
    pub fn new<R: Into<Arc<Rule>>>(rules: impl IntoIterator<Item = R>) -> RuleSet {
        let by_id: HashMap<Uuid, Arc<Rule>> = rules.into_iter().map(Into::into).map(|rule| (rule.id, rule)).collect();
        let mut rules: Vec<Arc<Rule>> = by_id.into_values().collect();
        rules.sort_unstable_by_key(|rule| rule.order());
        let places = rules.iter().enumerate().map(|(place, rule)| (rule.id, place)).collect();
        RuleSet { rules, places }
    }

    /// The rules, in the order they run.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Whether the rules have few enough patterns for the memory that these may take.
    ///
    /// # Errors
    ///
    /// When they have more than [`MAX_PATTERNS`].
    pub fn check_patterns(&self) -> Result<(), ProblemKind> {
        let count = self.rules.iter().map(|rule| rule.criteria.patterns()).sum();
        if count > MAX_PATTERNS { Err(ProblemKind::TooManyPatterns(count)) } else { Ok(()) }
    }

    /// The rule with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Arc<Rule>> {
        self.places.get(&id).and_then(|place| self.rules.get(*place))
    }
}
