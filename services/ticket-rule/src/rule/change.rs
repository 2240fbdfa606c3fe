//! A set of rules as it would be with a change that somebody thinks about.

use std::collections::HashMap;

use concierge_criteria::MAX_PATTERNS;
use concierge_proto::Violations;
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{Rule, RuleSetChange};
use concierge_runtime::Error;
use uuid::Uuid;

use super::import::{self, Prepared};
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
    /// What the set would be with a change, or everything that is wrong with the change; `path` is the field of the
    /// request that holds it. Round trips: those of [`import::prepare`].
    pub(crate) async fn changed_set(
        &self,
        set: &RuleSet,
        change: &RuleSetChange,
        path: &str,
    ) -> Result<ChangedSet, Error> {
        let Prepared { rules: given, known, mut problems, .. } =
            import::prepare(self, &change.rules, &change.references).await?;
        let mut rules: HashMap<Uuid, Rule> = HashMap::new();
        let mut added = HashMap::new();
        let now = self.service.clock().now();
        for (index, mut rule) in given.into_iter().enumerate() {
            let mut before = None;
            let id = match rule.id.parse::<Uuid>() {
                Ok(id) => {
                    before = set.rule(id);
                    if before.is_none() {
                        problems.no_rule(format!("rules[{index}].id"), &rule.id);
                    }
                    id
                }
                Err(_) => {
                    let id = self.service.clock().new_id();
                    added.insert(id, format!("rules[{index}]"));
                    id
                }
            };
            rule.id = id.to_string();
            rule.create_time = before.and_then(|live| live.create_time).or(Some(timestamp(now)));
            if let Err(error) = Rules::admit(&Change { set, known: &known }, before, &rule) {
                problems.of_rule(index, error);
            }
            if rules.insert(id, rule).is_some() {
                problems.invalid(format!("rules[{index}].id"), "must not be that of a rule before it");
            }
        }
        let mut live = |field: &str, ids: &[String]| -> Vec<Uuid> {
            let mut found = Vec::with_capacity(ids.len());
            for (index, text) in ids.iter().enumerate() {
                match text.parse().ok().filter(|id| set.rule(*id).is_some()) {
                    Some(id) => found.push(id),
                    None => problems.no_rule(format!("{field}[{index}]"), text),
                }
            }
            found
        };
        let removed = live("removed_rule_ids", &change.removed_rule_ids);
        let disabled = live("disabled_rule_ids", &change.disabled_rule_ids);
        let ordered = live("ordered_rule_ids", &change.ordered_rule_ids);
        problems.within(path).result()?;

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
