//! The rules and the configuration they refer to, at one revision: ready to run, never changed, shared by all calls.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use concierge_proto::Record;
use concierge_proto::ticket_rule::{Calendar, Priority, Rule, Sla, Status, TicketType};
use concierge_runtime::{Error, html};
use uuid::Uuid;

use super::configuration::{Configuration, Records};
use super::rule::compile;
use crate::rule::references;

/// A set of rules as it was at one revision, with everything that it refers to in this service.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    revision: i64,
    configuration: Configuration,
    rules: concierge_criteria::RuleSet,
    records: HashMap<Uuid, Arc<Rule>>,
}

/// A record of the configuration that a revision has, or has no longer.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) record_type: String,
    pub(crate) id: Uuid,
    /// None when the revision does not have it any more.
    pub(crate) record: Option<Vec<u8>>,
}

impl RuleSet {
    /// The revision, which grows with every change of a rule or of what rules refer to.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// What the rules refer to.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The live rules, ready to run, in the order in which they run.
    pub(crate) fn walked(&self) -> &concierge_criteria::RuleSet {
        &self.rules
    }

    /// A live rule.
    pub fn rule(&self, id: Uuid) -> Option<&Rule> {
        self.records.get(&id).map(Arc::as_ref)
    }

    /// The live rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.records.values().map(Arc::as_ref)
    }

    /// How many live rules name this record, in criteria or outcomes.
    pub(crate) fn naming(&self, id: &str) -> i64 {
        let names = |rule: &&Rule| references::named(rule).iter().any(|named| named.id == id);
        i64::try_from(self.rules().filter(names).count()).unwrap_or(i64::MAX)
    }

    /// The set with rules that do not give these teams and agents, and do not add these tags; else as they are.
    pub(crate) fn without(&self, ids: &BTreeSet<Uuid>, tags: &BTreeSet<String>) -> RuleSet {
        let mut next = self.clone();
        let mut compiled: Vec<Arc<concierge_criteria::Rule>> = Vec::with_capacity(self.rules.rules().len());
        for ready in self.rules.rules() {
            let record = self.records.get(&ready.id());
            let lessened = record.and_then(|rule| lessened(rule, ids, tags));
            // It compiled with more.
            match lessened.map(|rule| (compile(&self.configuration, &rule), rule)) {
                Some((Ok(again), rule)) => {
                    compiled.push(Arc::new(again));
                    next.records.insert(ready.id(), Arc::new(rule));
                }
                _ => compiled.push(Arc::clone(ready)),
            }
        }
        next.rules = concierge_criteria::RuleSet::new(compiled);
        next
    }

    /// How many live rules there are.
    pub(crate) fn size(&self) -> usize {
        self.records.len()
    }

    /// The set with these versions in place of its own. Rules are compiled again only where they changed, or all of
    /// them where what they refer to did.
    pub(crate) fn with(&self, revision: i64, versions: Vec<Version>) -> Result<RuleSet, Error> {
        let mut next = RuleSet { revision, ..self.clone() };
        let mut changed = HashSet::new();
        let mut all = false;
        for version in versions {
            let configuration = &mut next.configuration;
            match version.record_type.as_str() {
                Rule::TYPE => {
                    match version.record {
                        Some(bytes) => next.records.insert(version.id, Arc::new(sanitized(decode(&bytes)?))),
                        None => next.records.remove(&version.id),
                    };
                    changed.insert(version.id);
                    continue;
                }
                Status::TYPE => put(&mut configuration.statuses, version)?,
                Priority::TYPE => put(&mut configuration.priorities, version)?,
                TicketType::TYPE => put(&mut configuration.ticket_types, version)?,
                Sla::TYPE => put(&mut configuration.slas, version)?,
                Calendar::TYPE => put(&mut configuration.calendars, version)?,
                // Of a newer release that runs beside this one.
                other => {
                    tracing::warn!(record_type = other, "a rule set holds a record of a type that is not known here");
                    continue;
                }
            }
            all = true;
        }
        let kept = if all { &[][..] } else { self.rules.rules() };
        let mut compiled: Vec<Arc<concierge_criteria::Rule>> =
            kept.iter().filter(|rule| !changed.contains(&rule.id())).map(Arc::clone).collect();
        let again = next.records.values().filter(|rule| all || id(rule).is_some_and(|id| changed.contains(&id)));
        for rule in again {
            match compile(&next.configuration, rule) {
                Ok(rule) => compiled.push(Arc::new(rule)),
                // Written under an earlier contract. The others must run all the same.
                Err(violations) => {
                    tracing::error!(rule = rule.id, ?violations, "a rule cannot be read and does not run")
                }
            }
        }
        next.rules = concierge_criteria::RuleSet::new(compiled);
        Ok(next)
    }
}

/// The rule without what may not be given; `None` when it gives none of it.
fn lessened(rule: &Rule, ids: &BTreeSet<Uuid>, tags: &BTreeSet<String>) -> Option<Rule> {
    let outcomes = rule.outcomes.as_ref()?;
    let withheld = |id: &str| id.parse().is_ok_and(|id| ids.contains(&id));
    let (team, agent) = (withheld(&outcomes.team_id), withheld(&outcomes.agent_id));
    if !team && !agent && !outcomes.add_tags.iter().any(|tag| tags.contains(tag)) {
        return None;
    }
    let mut outcomes = outcomes.clone();
    if team {
        outcomes.team_id.clear();
    }
    if agent {
        outcomes.agent_id.clear();
    }
    outcomes.add_tags.retain(|tag| !tags.contains(tag));
    Some(Rule { outcomes: Some(outcomes), ..rule.clone() })
}

fn id(rule: &Rule) -> Option<Uuid> {
    rule.id.parse().ok()
}

fn decode<R: Record>(bytes: &[u8]) -> Result<R, Error> {
    R::decode(bytes).map_err(Error::internal)
}

/// HTML is sanitised again when it is read: what is safe is known better with time.
fn sanitized(mut rule: Rule) -> Rule {
    if let Some(outcomes) = &mut rule.outcomes {
        outcomes.popup_html = html::sanitize(&outcomes.popup_html);
    }
    rule
}

fn put<R: Record>(records: &mut Records<R>, version: Version) -> Result<(), Error> {
    if let Some(bytes) = version.record {
        records.put(version.id, decode(&bytes)?);
    }
    Ok(())
}
