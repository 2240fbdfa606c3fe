//! A set of rules as it would be with a change that somebody thinks about.

use std::collections::HashMap;

use concierge_criteria::MAX_PATTERNS;
use concierge_proto::error::Reason;
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{Rule, RuleSetChange};
use concierge_proto::{Fields as _, Record as _, Violations};
use concierge_runtime::Error;
use uuid::Uuid;

use super::{Rules, order};
use crate::TicketRule;
use crate::configure::{Change, Configured as _};
use crate::evaluation::RuleSet;

/// The set with a change.
#[derive(Debug)]
pub(crate) struct ChangedSet {
    pub(crate) set: RuleSet,
    /// The rules that the change adds, by the ids they have in this set alone: their places in the change.
    added: HashMap<Uuid, String>,
}

impl ChangedSet {
    /// The name that a rule has in answers: its id, or its place in the change that adds it.
    pub(crate) fn told_id(&self, id: Uuid) -> String {
        self.added.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

impl TicketRule {
    /// What the set would be with a change, or everything that is wrong with the change. `path` is the field of the
    /// request that holds it. At most one call of directory and one round trip.
    pub(crate) async fn changed_set(
        &self,
        set: &RuleSet,
        change: &RuleSetChange,
        path: &str,
    ) -> Result<ChangedSet, Error> {
        let known = self.known_to_rules(&change.rules).await?;
        let mut wrong = Wrong::default();
        let mut rules: HashMap<Uuid, Rule> = HashMap::new();
        let mut added = HashMap::new();
        let now = self.service.clock().now();
        for (index, rule) in change.rules.iter().enumerate() {
            let place = format!("rules[{index}]");
            let mut rule = rule.clone();
            rule.apply_defaults();
            let mut before = None;
            let id = match rule.id.parse::<Uuid>() {
                Ok(id) => {
                    before = set.rule(id);
                    if before.is_none() {
                        wrong.absent(format!("{path}.{place}.id"), &rule.id);
                    }
                    id
                }
                Err(_) => {
                    let id = self.service.clock().new_id();
                    added.insert(id, place.clone());
                    id
                }
            };
            rule.id = id.to_string();
            rule.create_time = before.and_then(|live| live.create_time).or(Some(timestamp(now)));
            if let Err(error) = Rules::admit(&Change { set, known: &known }, before, &rule) {
                wrong.refused(error, &format!("{path}.{place}"))?;
            }
            if rules.insert(id, rule).is_some() {
                wrong.invalid(format!("{path}.{place}.id"), "must not be that of a rule before it");
            }
        }
        let live = |field: &str, ids: &[String], wrong: &mut Wrong| -> Vec<Uuid> {
            let mut found = Vec::with_capacity(ids.len());
            for (index, text) in ids.iter().enumerate() {
                match text.parse().ok().filter(|id| set.rule(*id).is_some()) {
                    Some(id) => found.push(id),
                    None => wrong.absent(format!("{path}.{field}[{index}]"), text),
                }
            }
            found
        };
        let removed = live("removed_rule_ids", &change.removed_rule_ids, &mut wrong);
        let disabled = live("disabled_rule_ids", &change.disabled_rule_ids, &mut wrong);
        let ordered = live("ordered_rule_ids", &change.ordered_rule_ids, &mut wrong);
        wrong.refuse()?;

        let mut changed = |id: Uuid, edit: &dyn Fn(&mut Rule)| {
            if let Some(rule) = set.rule(id) {
                edit(rules.entry(id).or_insert_with(|| rule.clone()));
            }
        };
        for id in disabled {
            changed(id, &|rule| rule.enabled = Some(false));
        }
        for (id, precedence) in ordered.into_iter().zip(order::precedences()) {
            changed(id, &|rule| rule.precedence = Some(precedence));
        }
        rules.retain(|id, _| !removed.contains(id));
        let rules = rules.into_values().collect();
        let base = set.clone();
        // Compiling thousands of rules takes a while, in which this thread has other calls to serve.
        let set = tokio::task::spawn_blocking(move || base.changed(rules, &removed)).await.map_err(Error::internal)?;
        if set.index().rules().map(|rule| rule.criteria().patterns()).sum::<usize>() > MAX_PATTERNS {
            let many = format!("all rules together may have at most {MAX_PATTERNS} criteria with MATCHES");
            return Err(Error::Invalid(Violations::one(path, many)));
        }
        Ok(ChangedSet { set, added })
    }
}

/// Everything that is wrong with a change, for the first reason found.
#[derive(Debug, Default)]
struct Wrong {
    reason: Option<Reason>,
    violations: Violations,
}

impl Wrong {
    fn invalid(&mut self, field: String, description: &str) {
        self.violations.add(field, description);
    }

    fn absent(&mut self, field: String, id: &str) {
        self.reason.get_or_insert(Reason::ReferenceNotFound);
        self.violations.add(field, format!("there is no live {} {id}", Rule::TYPE));
    }

    /// Takes over what is wrong with a rule, at its place in the change.
    fn refused(&mut self, error: Error, place: &str) -> Result<(), Error> {
        let violations = match error {
            Error::Invalid(violations) => violations,
            Error::InvalidBecause { reason, violations } => {
                self.reason.get_or_insert(reason);
                violations
            }
            other => return Err(other),
        };
        for violation in violations.iter() {
            let field = violation.field.strip_prefix(Rule::TYPE).unwrap_or(&violation.field);
            self.violations.add(format!("{place}{field}"), violation.description.clone());
        }
        Ok(())
    }

    fn refuse(self) -> Result<(), Error> {
        match (self.violations.is_empty(), self.reason) {
            (true, _) => Ok(()),
            (false, Some(reason)) => Err(Error::InvalidBecause { reason, violations: self.violations }),
            (false, None) => Err(Error::Invalid(self.violations)),
        }
    }
}
