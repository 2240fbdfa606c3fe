//! The rules become what a file says: all in one transaction, or nothing.

use std::collections::{HashMap, HashSet};

use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::{
    ImportRulesRequest, ImportRulesResponse, ResolvedRuleReference, Rule, RuleFileChange, RuleFileChangeKind,
    RuleReference,
};
use concierge_proto::{Fields as _, Record as _, Value};
use concierge_runtime::{Answer, Call, Error, Tx};
use tonic::Request;
use uuid::Uuid;

use super::Rules;
use super::difference::changed_fields;
use super::handles::{self, Scope};
use super::problems::Problems;
use super::references::{self, Target};
use crate::TicketRule;
use crate::configure::Change;
use crate::evaluation::{RuleSet, revise_all};
use crate::facts::references::Known;

/// Before the transaction: the newest rule set, those of [`handles::heard_named`], and the records named. In it: one for
/// ids that no live rule has, one for every thousand rules that differ, three for names and revisions.
pub(super) async fn import(service: &TicketRule, request: Request<ImportRulesRequest>) -> Answer<ImportRulesResponse> {
    // What is wrong is told later: a repeated request gets its first answer all the same.
    let ImportRulesRequest { rules, references, .. } = request.get_ref();
    let prepared = prepare(service, rules, references).await;
    service
        .configure(request, |tx, set, request| {
            Box::pin(async move { Import::new(&set, prepared?).run(tx, &request).await })
        })
        .await
}

/// The rules of a request, with the ids of this installation.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) rules: Vec<Rule>,
    references: Vec<ResolvedRuleReference>,
    /// What directory says of the records that the rules name.
    pub(super) known: Known,
    /// What is wrong with rules and references so far.
    pub(super) problems: Problems,
}

/// Finds what references stand for. Round trips: the newest rule set, those of [`handles::heard_named`], and the records
/// named.
pub(super) async fn prepare(
    service: &TicketRule,
    rules: &[Rule],
    references: &[RuleReference],
) -> Result<Prepared, Error> {
    let mut prepared = Prepared { rules: rules.iter().map(given).collect(), ..Prepared::default() };
    let mut handles: HashMap<&str, (usize, &Handle)> = HashMap::with_capacity(references.len());
    for (index, reference) in references.iter().enumerate() {
        let Some(handle) = &reference.handle else {
            prepared.problems.invalid(format!("references[{index}]"), "must have a name, an email or an external");
            continue;
        };
        if handles.insert(&reference.id, (index, handle)).is_some() {
            prepared.problems.invalid(format!("references[{index}].id"), "stands twice");
        }
    }
    let mut wanted: HashSet<(Scope, Handle)> = HashSet::new();
    for named in prepared.rules.iter().flat_map(references::named) {
        let Some((index, handle)) = handles.get(named.id) else { continue };
        if let (Target::Directory(kind), Some(call)) = (named.target, Call::current())
            && let Some(permission) = handles::permission(kind)
        {
            call.require(permission, Some(&format!("references[{index}]")))?;
        }
        wanted.insert((Scope::of(&named), (*handle).clone()));
    }
    let set = service.rule_sets.newest().await?;
    let found = handles::heard_named(service.service.pool(), &wanted).await?;
    let mut resolved: HashMap<(Scope, Handle), Vec<Uuid>> = HashMap::with_capacity(wanted.len());
    for key in wanted {
        let records = match (key.0.target, &key.1) {
            (Target::Directory(_), _) => found.get(&key).cloned().unwrap_or_default(),
            (own, Handle::Name(name)) => handles::own_named(set.configuration(), own, name),
            _ => Vec::new(),
        };
        resolved.insert(key, records);
    }

    let mut told: HashSet<(String, Uuid)> = HashSet::new();
    let mut unresolved: HashSet<String> = HashSet::new();
    for (index, rule) in prepared.rules.iter_mut().enumerate() {
        for named in references::named(rule) {
            let Some((_, handle)) = handles.get(named.id) else { continue };
            let key = (Scope::of(&named), (*handle).clone());
            match resolved.get(&key).map(Vec::as_slice).unwrap_or_default() {
                [id] => {
                    let id = *id;
                    if told.insert((named.id.to_owned(), id)) {
                        let (id, record_id) = (named.id.to_owned(), id.to_string());
                        prepared.references.push(ResolvedRuleReference { id, record_id });
                    }
                }
                several => {
                    unresolved.insert(named.id.to_owned());
                    let what = named.target.record_type().replace('_', " ");
                    let many = several.len();
                    let told = handles::told(handle);
                    prepared.problems.missing(
                        index,
                        &named.path,
                        if many > 1 {
                            format!("there are {many} live records of type {what} {told}: name the one by its id")
                        } else {
                            format!("there is no live {what} {told}")
                        },
                    );
                }
            }
        }
        references::replace(rule, |named| {
            let (_, handle) = handles.get(named.id)?;
            match resolved.get(&(Scope::of(&named), (*handle).clone())).map(Vec::as_slice) {
                Some([id]) => Some(id.to_string()),
                _ => None,
            }
        });
    }
    let whole = |rule: &&Rule| references::named(rule).iter().all(|named| !unresolved.contains(named.id));
    prepared.known = service.known_to_rules(prepared.rules.iter().filter(whole)).await?;
    Ok(prepared)
}

/// A rule as a request may give it: its id counts, what else the server sets does not.
fn given(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    for (index, field) in Rule::FIELDS.iter().enumerate() {
        if field.output_only && field.name != "id" {
            rule.set_value(index, Value::Null);
        }
    }
    rule.set_etag(String::new());
    rule.apply_defaults();
    rule
}

/// A rule that is there already, as it was and as it shall be.
struct Kept {
    index: usize,
    before: Rule,
    after: Rule,
    changed_fields: Vec<String>,
}

/// An import under way.
struct Import<'a> {
    set: &'a RuleSet,
    given: Prepared,
    kept: Vec<Kept>,
    added: Vec<(usize, Rule)>,
    removed: Vec<Rule>,
}

impl<'a> Import<'a> {
    fn new(set: &'a RuleSet, given: Prepared) -> Self {
        Self { set, given, kept: Vec::new(), added: Vec::new(), removed: Vec::new() }
    }

    async fn run(mut self, tx: &mut Tx, request: &ImportRulesRequest) -> Result<ImportRulesResponse, Error> {
        let current = self.set.revision();
        if request.base_revision != 0 && request.base_revision != current {
            return Err(crate::Error::RuleSetStale { base: request.base_revision, current }.into());
        }
        self.pair(tx).await?;
        self.check(tx).await?;
        std::mem::take(&mut self.given.problems).result()?;
        let mut revision = current;
        if !request.validate_only && self.differs() {
            self.store(tx).await?;
            revision = sqlx::query_scalar("select revision from rule_set_revision").fetch_one(tx.conn().await?).await?;
        }
        let changes = self.told();
        Ok(ImportRulesResponse { changes, references: self.given.references, revision })
    }

    fn differs(&self) -> bool {
        !(self.kept.is_empty() && self.added.is_empty() && self.removed.is_empty())
    }

    /// Finds the rule that each one of the request is.
    async fn pair(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let rules = std::mem::take(&mut self.given.rules);
        let mut ids: Vec<Option<Uuid>> = Vec::with_capacity(rules.len());
        let (mut seen, mut names) = (HashSet::new(), HashSet::new());
        for (index, rule) in rules.iter().enumerate() {
            let id = rule.id.parse::<Uuid>().ok();
            if id.is_none() && !rule.id.is_empty() {
                self.given.problems.invalid(format!("rules[{index}].id"), "must be a UUID");
            }
            if id.is_some_and(|id| !seen.insert(id)) {
                self.given.problems.invalid(format!("rules[{index}].id"), "another rule has it, too");
            }
            if !names.insert(rule.name.to_lowercase()) {
                self.given.problems.invalid(format!("rules[{index}].name"), "another rule has it, too");
            }
            ids.push(id);
        }
        let unknown: Vec<Uuid> = ids.iter().flatten().filter(|id| self.set.rule(**id).is_none()).copied().collect();
        let mut gone: HashMap<String, Rule> = HashMap::new();
        if !unknown.is_empty() {
            gone.extend(tx.share::<Rules>(&unknown).await?.into_iter().map(|rule| (rule.id.clone(), rule)));
        }
        let mut left: HashMap<String, &Rule> = self.set.rules().map(|rule| (rule.name.to_lowercase(), rule)).collect();
        for rule in ids.iter().flatten().filter_map(|id| self.set.rule(*id)) {
            left.remove(&rule.name.to_lowercase());
        }
        for (index, (rule, id)) in rules.into_iter().zip(ids).enumerate() {
            let live = id.and_then(|id| self.set.rule(id)).or_else(|| left.remove(&rule.name.to_lowercase()));
            match live.cloned().or_else(|| gone.remove(&rule.id)) {
                Some(before) => {
                    let after = merged(&before, rule);
                    self.kept.push(Kept { index, before, after, changed_fields: Vec::new() });
                }
                None => self.added.push((index, rule)),
            }
        }
        let kept: HashSet<&str> = self.kept.iter().map(|kept| kept.before.id.as_str()).collect();
        self.removed = self.set.rules().filter(|rule| !kept.contains(rule.id.as_str())).cloned().collect();
        self.removed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Checks the rules that differ, and leaves the others out.
    async fn check(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let Prepared { problems, known, .. } = &mut self.given;
        let change = Change { set: self.set, known };
        let mut patterns: HashMap<Uuid, usize> = Rules::patterns(self.set);
        let mut admit =
            |index: usize, before: Option<&Rule>, after: &Rule, problems: &mut Problems| match Rules::admit_one(
                &change, before, after,
            ) {
                Ok(count) => {
                    patterns.insert(after.id.parse().unwrap_or_else(|_| Uuid::from_u128(index as u128)), count);
                }
                Err(error) => problems.of_rule(index, error),
            };
        for (index, rule) in &mut self.added {
            if let Err(error) = checked(tx, None, rule).await {
                problems.of_rule(*index, error);
            }
            admit(*index, None, rule, problems);
        }
        for kept in &mut self.kept {
            if let Err(error) = checked(tx, Some(&kept.before), &mut kept.after).await {
                problems.of_rule(kept.index, error);
            }
            let was_deleted = kept.before.delete_time.is_some();
            kept.changed_fields = changed_fields(&kept.before, &kept.after);
            if !kept.changed_fields.is_empty() || was_deleted {
                admit(kept.index, Some(&kept.before).filter(|_| !was_deleted), &kept.after, problems);
            }
        }
        self.kept.retain(|kept| !kept.changed_fields.is_empty() || kept.before.delete_time.is_some());
        for rule in &self.removed {
            patterns.remove(&rule.id.parse().unwrap_or_default());
        }
        if let Err(error) = Rules::admit_patterns(patterns.values().sum(), "rules") {
            problems.add(error);
        }
        Ok(())
    }

    /// Writes what differs.
    async fn store(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let now = Some(timestamp(tx.now));
        if !self.removed.is_empty() {
            let removed = self.removed.iter().map(|rule| (rule.clone(), Rule { delete_time: now, ..rule.clone() }));
            let removed = tx.change_many::<Rules>(removed.collect()).await?;
            revise_all(tx, &removed, false).await?;
        }
        let mut stored = Vec::new();
        if !self.kept.is_empty() {
            self.free_names(tx).await?;
            let kept = self.kept.iter().map(|kept| (kept.before.clone(), kept.after.clone())).collect();
            stored = tx.change_many::<Rules>(kept).await?;
        }
        if !self.added.is_empty() {
            let added = tx.insert_many::<Rules>(self.added.iter().map(|(_, rule)| rule.clone()).collect()).await?;
            for ((_, rule), added) in self.added.iter_mut().zip(&added) {
                rule.id.clone_from(&added.id);
            }
            stored.extend(added);
        }
        if !stored.is_empty() {
            revise_all(tx, &stored, true).await?;
        }
        Ok(())
    }

    /// Takes the names that change out of the way, so that two rules can swap theirs. Nobody sees it: the rows get their
    /// new names in the same transaction.
    async fn free_names(&self, tx: &mut Tx) -> Result<(), Error> {
        let renamed = self.kept.iter().filter(|kept| kept.before.name != kept.after.name);
        let ids: Vec<Uuid> = renamed.filter_map(|kept| kept.before.id.parse().ok()).collect();
        if !ids.is_empty() {
            let free = "update rules set name = id::text where id = any($1)";
            sqlx::query(free).bind(ids).execute(tx.conn().await?).await?;
        }
        Ok(())
    }

    fn told(&self) -> Vec<RuleFileChange> {
        let place = |index: usize| i32::try_from(index).ok();
        let removed = self.removed.iter().map(|rule| RuleFileChange {
            kind: RuleFileChangeKind::Removed.into(),
            rule_id: rule.id.clone(),
            rule_name: rule.name.clone(),
            index: None,
            changed_fields: Vec::new(),
        });
        let added = self.added.iter().map(|(index, rule)| RuleFileChange {
            kind: RuleFileChangeKind::Added.into(),
            rule_id: rule.id.clone(),
            rule_name: rule.name.clone(),
            index: place(*index),
            changed_fields: Vec::new(),
        });
        let kept = self.kept.iter().map(|kept| RuleFileChange {
            kind: kind(kept).into(),
            rule_id: kept.before.id.clone(),
            rule_name: kept.after.name.clone(),
            index: place(kept.index),
            changed_fields: kept.changed_fields.clone(),
        });
        let mut others: Vec<RuleFileChange> = added.chain(kept).collect();
        others.sort_by_key(|change| change.index);
        removed.chain(others).collect()
    }
}

/// The rule as it was, with what the request says of it.
fn merged(before: &Rule, given: Rule) -> Rule {
    let mut after = before.clone();
    for (index, field) in Rule::FIELDS.iter().enumerate() {
        if !field.output_only && field.name != "etag" {
            after.set_value(index, given.value(index));
        }
    }
    after.delete_time = None;
    after
}

/// What the table checks of a rule.
async fn checked(tx: &mut Tx, before: Option<&Rule>, after: &mut Rule) -> Result<(), Error> {
    <Rules as concierge_runtime::Resource>::check(tx, before, after).await
}

fn kind(kept: &Kept) -> RuleFileChangeKind {
    match (&kept.before.delete_time, &kept.changed_fields[..]) {
        (Some(_), _) => RuleFileChangeKind::Added,
        (None, [field]) if field == "precedence" => RuleFileChangeKind::Reordered,
        (None, [field]) if field == "enabled" && kept.after.enabled() => RuleFileChangeKind::Enabled,
        (None, [field]) if field == "enabled" => RuleFileChangeKind::Disabled,
        _ => RuleFileChangeKind::Changed,
    }
}
