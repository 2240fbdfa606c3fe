//! Rules as a table.

use std::collections::HashMap;

use concierge_criteria::MAX_PATTERNS;
use concierge_model::custom_field;
use concierge_proto::Violations;
use concierge_proto::common::CustomFieldValue;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::Rule;
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx, html};
use uuid::Uuid;

use super::references::{self, Target};
use crate::category::path;
use crate::configure::{Change, Configured, Missing};
use crate::evaluation::{Configuration, RuleSet, compile, revise};
use crate::facts::references::Standing;

/// The table of rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules;

impl Resource for Rules {
    type Record = Rule;

    const TABLE: &'static str = "rules";
    const UNIQUE: &'static [Unique] = &[Unique { constraint: "rules_name", field: "name", reason: Reason::NameTaken }];
    const ORDER: &'static str = "precedence, create_time";

    async fn check(_tx: &mut Tx, _before: Option<&Rule>, after: &mut Rule) -> Result<(), Error> {
        let popup = |rule: &Rule| rule.outcomes.as_ref().is_some_and(|outcomes| !outcomes.popup_html.is_empty());
        let meant = popup(after);
        sanitize(after);
        let shows = after.outcomes.as_ref().is_some_and(|outcomes| !html::shows_nothing(&outcomes.popup_html));
        if meant && !shows {
            let nothing = Violations::one("rule.outcomes.popup_html", "must hold something that may be shown");
            return Err(Error::Invalid(nothing));
        }
        Ok(())
    }

    async fn stored(tx: &mut Tx, _before: Option<&Rule>, after: &Rule) -> Result<(), Error> {
        revise(tx, after, after.delete_time.is_none()).await
    }
}

// Evaluations keep the rules that they ran: no ticket needs one.
impl Configured for Rules {
    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Rule> {
        set.rule(id.parse().ok()?)
    }

    fn admit(change: &Change<'_>, before: Option<&Rule>, after: &Rule) -> Result<(), Error> {
        let own = Self::admit_one(change, before, after)?;
        let others = Self::patterns(change.set).into_iter().filter(|(id, _)| after.id != id.to_string());
        Self::admit_patterns(others.map(|(_, count)| count).sum::<usize>() + own, "rule.criteria")
    }
}

impl Rules {
    /// Refuses a rule for what is wrong with it by itself; tells how many patterns it has.
    pub(super) fn admit_one(change: &Change<'_>, before: Option<&Rule>, after: &Rule) -> Result<usize, Error> {
        let criteria = before.is_none_or(|before| before.criteria != after.criteria);
        let outcomes = before.is_none_or(|before| before.outcomes != after.outcomes);
        let mut missing = Missing::default();
        let named = references::named(after);
        let changed = named.iter().filter(|named| if named.in_criteria { criteria } else { outcomes });
        for named in changed {
            match named.target {
                Target::Directory(kind) => {
                    let told = change.known.get(kind, named.id);
                    if told.is_some_and(|told| told.standing == Standing::Missing) {
                        missing.add(&named.path, kind.record_type(), named.id);
                    }
                }
                own => own.check(change.set.configuration(), &named.path, named.id, &mut missing),
            }
        }
        let values = after.outcomes.as_ref().map(|given| given.custom_fields.as_slice()).unwrap_or_default();
        let invalid = if outcomes { invalid_values(change.set.configuration(), values) } else { Violations::default() };
        if !invalid.is_empty() {
            return Err(Error::Invalid(invalid));
        }
        let other_parent =
            if outcomes { other_parents(change.set.configuration(), after) } else { Violations::default() };
        match compile(change.set.configuration(), after) {
            Ok(compiled) => {
                missing.refuse()?;
                if !other_parent.is_empty() {
                    let reason = Reason::CategoryOfOtherParent;
                    return Err(Error::InvalidBecause { reason, violations: other_parent });
                }
                Ok(compiled.criteria().patterns())
            }
            Err(mut violations) => {
                for also in missing.into_violations().into_iter().chain(other_parent) {
                    violations.add(also.field, also.description);
                }
                Err(Error::InvalidBecause { reason: Reason::CriteriaInvalid, violations })
            }
        }
    }

    /// How many patterns each rule has.
    pub(super) fn patterns(set: &RuleSet) -> HashMap<Uuid, usize> {
        set.index().rules().map(|rule| (rule.id(), rule.criteria().patterns())).collect()
    }

    /// Refuses more patterns than all rules together may have.
    pub(super) fn admit_patterns(count: usize, field: &str) -> Result<(), Error> {
        if count <= MAX_PATTERNS {
            return Ok(());
        }
        let many = format!("all rules together may have at most {MAX_PATTERNS} criteria with MATCHES");
        Err(Error::Invalid(Violations::one(field, many)))
    }
}

/// What is wrong with the values that a rule gives to custom fields.
fn invalid_values(configuration: &Configuration, values: &[CustomFieldValue]) -> Violations {
    let mut violations = Violations::default();
    let path = "rule.outcomes.custom_fields";
    custom_field::check(&configuration.custom_fields(), Some(&[]), values, path, &mut violations);
    for (index, _) in values.iter().enumerate().filter(|(_, value)| custom_field::is_empty(value)) {
        violations.add(format!("{path}[{index}]"), "must have a value: no outcome empties a field");
    }
    violations
}

/// The categories that the rule gives below another parent than the category above them.
fn other_parents(configuration: &Configuration, rule: &Rule) -> Violations {
    let given = path::given(configuration, &rule.outcomes.clone().unwrap_or_default());
    let mut violations = Violations::default();
    for level in path::unfit(configuration, given.each_ref().map(String::as_str)) {
        let why = format!("stands below another parent than the category of level {level} that the rule gives");
        violations.add(format!("rule.outcomes.{}", path::COLUMNS[level]), why);
    }
    violations
}

/// Takes out of the popup what may not be shown: when it is written, and again when it is read.
pub(super) fn sanitize(rule: &mut Rule) {
    if let Some(outcomes) = &mut rule.outcomes {
        outcomes.popup_html = html::sanitize(&outcomes.popup_html);
    }
}
