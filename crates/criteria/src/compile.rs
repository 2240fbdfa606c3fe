//! Checks criteria against a schema and makes them ready to evaluate.

use std::sync::Arc;

use crate::definition::{Criterion, Definition, GroupKind, Places};
use crate::operator::{Arity, Operator};
use crate::pattern::Matcher;
use crate::predicate::Predicate;
use crate::problem::{Problem, ProblemKind};
use crate::schema::{Field, FieldSet, FieldType, Schema};
use crate::value::Value;

/// How deep groups may nest; one group with criteria in it is one deep.
pub const MAX_DEPTH: usize = 8;

/// How many criteria there may be in all.
pub const MAX_CRITERIA: usize = 500;

/// How many values one criterion may have.
pub const MAX_VALUES: usize = 1_000;

/// Criteria that were checked and are ready to evaluate. They never change, so threads may share them.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) root: Node,
    patterns: usize,
    fields: FieldSet,
}

impl Compiled {
    /// The fields that its criteria are on.
    #[must_use]
    pub fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// How many of its criteria are patterns, which take memory.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Criterion(Box<Checked>),
    Group { kind: GroupKind, items: Box<[Node]> },
}

/// A criterion that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Which of its definition's criteria it is, counted from 0.
    pub(crate) number: usize,
    pub(crate) field: Field,
    pub(crate) predicate: Predicate,
    // As written, for explaining.
    pub(crate) operator: Operator,
    pub(crate) wanted: Arc<[Value]>,
    pub(crate) case_sensitive: bool,
}

/// Checks criteria and makes them ready to evaluate.
///
/// # Errors
///
/// Every problem at once, each with its place. The top is `criteria`; in a group, criteria and groups are counted
/// apart, so that the first criterion in its second group is `criteria.groups[1].criteria[0]`; and in a criterion
/// `….field`, `….operator`, `….values` and `….values[0]` name the part. What lies beyond [`MAX_CRITERIA`] or
/// [`MAX_DEPTH`] is not looked at.
pub fn compile(schema: &Schema, definition: &Definition) -> Result<Compiled, Vec<Problem>> {
    let mut check = Check { schema, problems: Vec::new(), criteria: 0, patterns: 0, fields: FieldSet::new() };
    let root = match definition {
        // A rule without criteria is one that always holds.
        Definition::Group { kind: GroupKind::All, items } if items.is_empty() => {
            Some(Node::Group { kind: GroupKind::All, items: Box::new([]) })
        }
        other => check.node(other, "criteria", 0),
    };
    match root {
        Some(root) if check.problems.is_empty() => {
            Ok(Compiled { root, patterns: check.patterns, fields: check.fields })
        }
        _ => Err(check.problems),
    }
}

struct Check<'a> {
    schema: &'a Schema,
    problems: Vec<Problem>,
    criteria: usize,
    patterns: usize,
    fields: FieldSet,
}

impl Check<'_> {
    fn problem(&mut self, path: impl Into<String>, kind: ProblemKind) {
        self.problems.push(Problem { path: path.into(), kind });
    }

    /// The node, or nothing when a problem in it was noted.
    fn node(&mut self, definition: &Definition, path: &str, depth: usize) -> Option<Node> {
        if self.criteria > MAX_CRITERIA {
            return None;
        }
        match definition {
            Definition::Criterion(criterion) => {
                self.count()?;
                self.criterion(criterion, path).map(|checked| Node::Criterion(Box::new(checked)))
            }
            Definition::Group { kind, items } => self.group(*kind, items, path, depth + 1),
        }
    }

    /// Counts a criterion, and says so once when it is one too many.
    fn count(&mut self) -> Option<()> {
        self.criteria += 1;
        if self.criteria > MAX_CRITERIA {
            self.problem("criteria", ProblemKind::TooManyCriteria);
            return None;
        }
        Some(())
    }

    fn group(&mut self, kind: GroupKind, items: &[Definition], path: &str, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            // Counted, as an empty group is, so that a flood of them makes no flood of problems.
            self.count()?;
            self.problem(path, ProblemKind::TooDeep);
            return None;
        }
        if items.is_empty() {
            self.count()?;
            self.problem(path, ProblemKind::EmptyGroup(kind));
            return None;
        }
        if kind == GroupKind::Not && items.len() > 1 {
            self.problem(path, ProblemKind::NotTakesOne(items.len()));
        }
        let mut nodes = Vec::with_capacity(items.len().min(MAX_CRITERIA));
        let mut places = Places::default();
        for item in items {
            if self.criteria > MAX_CRITERIA {
                break;
            }
            let place = places.next(path, matches!(item, Definition::Group { .. }));
            nodes.extend(self.node(item, &place, depth));
        }
        Some(Node::Group { kind, items: nodes.into() })
    }

    fn criterion(&mut self, criterion: &Criterion, path: &str) -> Option<Checked> {
        let operator = criterion.operator;
        let before = self.problems.len();
        let field = self.schema.field(&criterion.field).and_then(|id| self.schema.get(id)).cloned();
        let fits = field.as_ref().is_none_or(|field| Operator::of(field.kind).contains(&operator));
        // How many values an operator takes is of no interest where another one is needed.
        if fits {
            self.count_values(criterion, path);
        }
        let Some(field) = field else {
            self.problem(format!("{path}.field"), ProblemKind::UnknownField(criterion.field.clone()));
            return None;
        };
        self.values(criterion, &field, path);
        let sound = fits && self.problems.len() == before;
        let predicate = if sound { self.predicate(criterion, &field, path) } else { None };
        let Some(predicate) = predicate else {
            if !fits || sound && self.problems.len() == before {
                self.problem(format!("{path}.operator"), ProblemKind::WrongOperator { operator, kind: field.kind });
            }
            return None;
        };
        self.fields.insert(field.id);
        Some(Checked {
            number: self.criteria - 1,
            field,
            predicate,
            operator,
            wanted: criterion.values.as_slice().into(),
            case_sensitive: criterion.case_sensitive,
        })
    }

    /// The predicate of a criterion that has no problem but perhaps its pattern.
    fn predicate(&mut self, criterion: &Criterion, field: &Field, path: &str) -> Option<Predicate> {
        if let (Operator::Matches, [Value::Text(pattern)]) = (criterion.operator, &*criterion.values) {
            self.patterns += 1;
            return match Matcher::new(pattern, criterion.case_sensitive) {
                Ok(matcher) => Some(Predicate::matches(matcher)),
                Err(wrong) => {
                    self.problem(format!("{path}.values[0]"), wrong);
                    None
                }
            };
        }
        Predicate::new(field.kind, criterion.operator, &criterion.values, criterion.case_sensitive)
    }

    fn count_values(&mut self, criterion: &Criterion, path: &str) {
        let found = criterion.values.len();
        let right = match criterion.operator.arity() {
            Arity::Zero => found == 0,
            Arity::One => found == 1,
            Arity::Two => found == 2,
            Arity::Many => (1..=MAX_VALUES).contains(&found),
        };
        if !right {
            let wrong = ProblemKind::WrongCount { operator: criterion.operator, found };
            self.problem(format!("{path}.values"), wrong);
        }
    }

    fn values(&mut self, criterion: &Criterion, field: &Field, path: &str) {
        for (index, value) in criterion.values.iter().enumerate().take(MAX_VALUES) {
            if let Some(problem) = wrong_value(value, field, criterion.operator.values(field.kind)) {
                self.problem(format!("{path}.values[{index}]"), problem);
            } else if value.is_empty() {
                self.problem(format!("{path}.values[{index}]"), ProblemKind::EmptyValue);
            }
        }
        if matches!(criterion.operator, Operator::WithinLast | Operator::WithinNext) {
            let lengths = criterion.values.iter().filter_map(Value::as_number);
            if lengths.take(1).any(|length| length < 1) {
                self.problem(format!("{path}.values[0]"), ProblemKind::NoLength);
            }
        }
        let reversed = match (criterion.operator, &*criterion.values) {
            (Operator::Between, [Value::Number(low), Value::Number(high)]) => low > high,
            (Operator::Between, [Value::Time(low), Value::Time(high)]) => low > high,
            _ => false,
        };
        if reversed {
            self.problem(format!("{path}.values"), ProblemKind::Reversed);
        }
    }
}

/// What is wrong with a value for this field, if it should be of this type: the field's own, or that of its members.
pub(crate) fn wrong_value(value: &Value, field: &Field, expected: FieldType) -> Option<ProblemKind> {
    let found = value.kind();
    if found != expected {
        return Some(ProblemKind::WrongValue { expected, found });
    }
    let choices = &field.choices;
    let names: &[Arc<str>] = match value {
        _ if choices.is_empty() => return None,
        Value::Choice(name) | Value::Text(name) => std::slice::from_ref(name),
        Value::TextSet(names) => names,
        _ => return None,
    };
    let name = names.iter().find(|name| !name.is_empty() && !choices.contains(name))?;
    Some(ProblemKind::UnknownChoice { name: name.clone(), choices: choices.clone() })
}
