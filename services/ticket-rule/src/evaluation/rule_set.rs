//! The rules and the configuration they refer to, at one revision: ready to run, never changed, shared by all calls.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use concierge_criteria::{AppliesTo, FieldSet, RuleIndex};
use concierge_proto::Record;
use concierge_proto::directory::CustomField;
use concierge_proto::ticket_rule::{
    Calendar, Category, Priority, Rule, RuleOutcomes, Sla, Status, TicketField, TicketType,
};
use concierge_runtime::{Error, html};
use uuid::Uuid;

use super::configuration::{Configuration, Records};
use super::rule::compile;
use crate::category::path;
use crate::rule::references;

/// A set of rules as it was at one revision, with everything that it refers to in this service.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    revision: i64,
    configuration: Configuration,
    rules: RuleIndex,
    records: HashMap<Uuid, Arc<Rule>>,
    /// The fields that rules for existing tickets ask for.
    asked_of_existing: FieldSet,
}

/// Of more rules than one in so many, an index is made anew: changes are for few.
const FEW: usize = 8;

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

    /// The live rules, ready to run.
    pub(crate) fn index(&self) -> &RuleIndex {
        &self.rules
    }

    /// Whether a rule for existing tickets asks for one of these fields.
    pub(crate) fn asks_existing_for(&self, changed: &FieldSet) -> bool {
        self.asked_of_existing.intersects(changed)
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
        let mut compiled = Vec::new();
        for rule in self.rules() {
            let Some(rule) = lessened(rule, ids, tags) else { continue };
            // It compiled with more.
            let Ok(again) = compile(&self.configuration, &rule) else { continue };
            next.records.insert(again.id(), Arc::new(rule));
            compiled.push(Arc::new(again));
        }
        next.rules = self.rules.with(compiled, []);
        next
    }

    /// The set with an index of the same rules that was merged; `merged` was made of `from`, an earlier set or this one.
    pub(crate) fn with_merged(&self, from: &RuleSet, merged: &RuleIndex) -> RuleSet {
        if !Arc::ptr_eq(self.configuration.fields(), from.configuration.fields()) {
            // Made for another schema.
            return self.clone();
        }
        let is_same = |rule: &&Arc<concierge_criteria::Rule>| {
            from.rules.get(rule.id()).is_some_and(|known| Arc::ptr_eq(known, rule))
        };
        let changed: Vec<_> = self.rules.rules().filter(|rule| !is_same(rule)).cloned().collect();
        let removed: Vec<Uuid> =
            from.rules.rules().map(|rule| rule.id()).filter(|id| self.rules.get(*id).is_none()).collect();
        let rules =
            if changed.is_empty() && removed.is_empty() { merged.clone() } else { merged.with(changed, removed) };
        RuleSet { rules, ..self.clone() }
    }

    /// How many live rules there are.
    pub(crate) fn size(&self) -> usize {
        self.records.len()
    }

    /// The set with these versions in place of its own. Rules are compiled again only where they changed, or what
    /// their outcomes name did.
    pub(crate) fn with(&self, revision: i64, versions: Vec<Version>) -> Result<RuleSet, Error> {
        let mut next = RuleSet { revision, ..self.clone() };
        let mut changed = HashSet::new();
        let mut named = HashSet::new();
        let (mut categories, mut fields) = (false, false);
        for version in versions {
            let id = version.id;
            let configuration = &mut next.configuration;
            match version.record_type.as_str() {
                Rule::TYPE => {
                    match version.record {
                        Some(bytes) => next.records.insert(id, Arc::new(sanitized(decode(&bytes)?))),
                        None => next.records.remove(&id),
                    };
                    changed.insert(id);
                    continue;
                }
                Status::TYPE => put(&mut configuration.statuses, version)?,
                Priority::TYPE => put(&mut configuration.priorities, version)?,
                TicketType::TYPE => put(&mut configuration.ticket_types, version)?,
                Sla::TYPE => put(&mut configuration.slas, version)?,
                Calendar::TYPE => {
                    if let Some(bytes) = version.record {
                        configuration.put_calendar(version.id, decode(&bytes)?);
                    }
                }
                Category::TYPE => {
                    put(&mut configuration.categories, version)?;
                    categories = true;
                }
                TicketField::TYPE => {
                    put(&mut configuration.ticket_fields, version)?;
                    fields = true;
                }
                CustomField::TYPE => {
                    put(&mut configuration.requester_fields, version)?;
                    fields = true;
                }
                // Of a newer release that runs beside this one.
                other => {
                    tracing::warn!(record_type = other, "a rule set holds a record of a type that is not known here");
                    continue;
                }
            }
            named.insert(id.to_string());
        }
        if fields {
            // Another schema: fields have other places.
            next.configuration.renew_fields();
            changed.extend(next.records.keys());
        }
        if !named.is_empty() {
            let depends = next.records.iter().filter(|(_, rule)| {
                let outcomes = rule.outcomes.as_ref();
                // Any of the categories above may be another one.
                follows(outcomes, &named) || categories && outcomes.is_some_and(path::gives_any)
            });
            changed.extend(depends.map(|(id, _)| *id));
        }
        next.replace(changed);
        Ok(next)
    }

    /// The set with these rules in place of those with their ids, or added, and without those removed. The
    /// rules must be such as would be stored.
    pub fn changed(&self, rules: Vec<Rule>, removed: &[Uuid]) -> RuleSet {
        let mut next = self.clone();
        let mut changed: HashSet<Uuid> = removed.iter().copied().collect();
        for id in removed {
            next.records.remove(id);
        }
        for rule in rules {
            let Ok(id) = rule.id.parse() else { continue };
            next.records.insert(id, Arc::new(sanitized(rule)));
            changed.insert(id);
        }
        next.replace(changed);
        next
    }

    /// Puts the rules with these ids into the index as the records are.
    fn replace(&mut self, changed: HashSet<Uuid>) {
        let mut compiled = Vec::with_capacity(changed.len());
        let mut removed = Vec::new();
        for id in changed {
            match self.records.get(&id).map(|rule| compile(&self.configuration, rule)) {
                Some(Ok(rule)) => compiled.push(Arc::new(rule)),
                // Written under an earlier contract. The others must run all the same.
                Some(Err(violations)) => {
                    tracing::error!(rule = %id, ?violations, "a rule cannot be read and does not run");
                    removed.push(id);
                }
                None => removed.push(id),
            }
        }
        if compiled.is_empty() && removed.is_empty() {
            return;
        }
        self.rules = if (compiled.len() + removed.len()) * FEW > self.rules.len() {
            let gone: HashSet<Uuid> = compiled.iter().map(|rule| rule.id()).chain(removed).collect();
            let kept = self.rules.rules().filter(|rule| !gone.contains(&rule.id())).cloned();
            RuleIndex::new(&concierge_criteria::RuleSet::new(kept.chain(compiled).collect::<Vec<_>>()))
        } else {
            self.rules.with(compiled, removed)
        };
        let existing = |rule: &&Arc<concierge_criteria::Rule>| {
            rule.enabled() && matches!(rule.applies_to(), AppliesTo::NewAndExisting | AppliesTo::Existing)
        };
        let mut asked = FieldSet::new();
        self.rules.rules().filter(existing).for_each(|rule| asked.extend(rule.criteria().fields().iter()));
        self.asked_of_existing = asked;
    }
}

/// Whether what outcomes do follows from one of these records: the category of a status, the rank of a priority, the
/// use of a type.
fn follows(outcomes: Option<&RuleOutcomes>, ids: &HashSet<String>) -> bool {
    outcomes.is_some_and(|it| [&it.status_id, &it.priority_id, &it.type_id].into_iter().any(|id| ids.contains(id)))
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
