//! Records that rules name and that are gone or not active.

use std::collections::{BTreeSet, HashSet};

use concierge_proto::Record;
use concierge_proto::ticket_rule::{
    Rule, RuleFinding, RuleFindingKind, RuleFindingRecord, RuleFindingSeverity, RuleUndecidedReason,
};
use concierge_runtime::Error;
use uuid::Uuid;

use super::told::{finding, undecided};
use crate::TicketRule;
use crate::evaluation::{Configuration, RuleSet, is_gone};
use crate::facts::references::{Kind, Known, Standing};
use crate::rule::references::{Named, Target, named};

/// What is known of the records of directory that enabled rules name; see
/// [`Source::check`](crate::facts::Source::check) for its cost.
pub(super) async fn ask(service: &TicketRule, set: &RuleSet) -> Result<Known, Error> {
    let mut asked: Vec<(Kind, &str)> = Vec::new();
    let mut seen = HashSet::new();
    for named in set.rules().filter(|rule| rule.enabled()).flat_map(named) {
        if let Target::Directory(kind) = named.target
            && seen.insert((kind, named.id))
        {
            asked.push((kind, named.id));
        }
    }
    if asked.is_empty() { Ok(Known::default()) } else { service.facts.check(&asked, &[]).await }
}

/// The teams and agents that rules would give, and that no ticket is given.
pub(super) fn withheld(set: &RuleSet, known: &Known) -> BTreeSet<Uuid> {
    let given = set.rules().flat_map(named).filter(|named| !named.in_criteria);
    let gone = given.filter(|named| matches!(named.target, Target::Directory(kind) if is_gone(known, kind, named.id)));
    gone.filter_map(|named| named.id.parse().ok()).collect()
}

/// What is known of a record that a rule names.
struct Found {
    record_type: &'static str,
    name: String,
    standing: Standing,
}

fn own<R: Record>(found: Option<&R>, name: impl Fn(&R) -> &str, active: impl Fn(&R) -> bool) -> Found {
    let standing = match found {
        Some(record) if record.delete_time().is_some() => Standing::Missing,
        Some(record) if !active(record) => Standing::Inactive,
        Some(_) => Standing::Active,
        None => Standing::Missing,
    };
    Found { record_type: R::TYPE, name: found.map(|record| name(record).to_owned()).unwrap_or_default(), standing }
}

fn find(configuration: &Configuration, known: &Known, named: &Named<'_>) -> Found {
    let id = named.id;
    match named.target {
        Target::Status => own(configuration.status(id), |it| &it.name, |it| it.active()),
        Target::Priority => own(configuration.priority(id), |it| &it.name, |it| it.active()),
        Target::TicketType => own(configuration.ticket_type(id), |it| &it.name, |it| it.active()),
        Target::Sla => own(configuration.sla(id), |it| &it.name, |it| it.active()),
        Target::Calendar => own(configuration.calendar(id), |it| &it.name, |it| it.active()),
        Target::Category(_) => own(configuration.ticket_category(id), |it| &it.name, |it| it.active()),
        Target::Directory(kind) => {
            let told = known.get(kind, id);
            let standing = told.map_or(Standing::Believed, |told| told.standing);
            Found { record_type: kind.record_type(), name: known.name(kind, id), standing }
        }
    }
}

/// The findings of one rule.
pub(super) fn findings(set: &RuleSet, known: &Known, rule: &Rule) -> Vec<RuleFinding> {
    let mut findings = Vec::new();
    for named in named(rule) {
        let Found { record_type, name, standing } = find(set.configuration(), known, &named);
        let what = record_type.replace('_', " ");
        let called = if name.is_empty() { named.id.to_owned() } else { format!("{name:?}") };
        let inactive = match standing {
            Standing::Active => continue,
            Standing::Believed => {
                let mut open = undecided(rule, RuleFindingKind::Reference, RuleUndecidedReason::Unheard);
                open.description = format!(
                    "It names the {what} {called}, of which nothing was ever heard, and directory does not answer."
                );
                open.paths = vec![named.path];
                findings.push(open);
                continue;
            }
            Standing::Inactive => true,
            Standing::Missing => false,
        };
        let is = if inactive { "not active" } else { "deleted, or never was" };
        // Rules give a team or an agent that is gone to no ticket.
        let useless = !named.in_criteria && matches!(named.target, Target::Directory(_));
        let severity = if useless { RuleFindingSeverity::Error } else { RuleFindingSeverity::Warning };
        let nothing = if useless { " No ticket is given it." } else { "" };
        let place = if named.in_criteria { "Its criteria name" } else { "Its outcomes name" };
        let mut found = finding(rule, RuleFindingKind::Reference, severity);
        found.description = format!("{place} the {what} {called}, which is {is}.{nothing}");
        found.paths = vec![named.path.clone()];
        found.record = Some(RuleFindingRecord {
            record_type: record_type.to_owned(),
            record_id: named.id.to_owned(),
            record_name: name,
            inactive,
        });
        findings.push(found);
    }
    findings
}
