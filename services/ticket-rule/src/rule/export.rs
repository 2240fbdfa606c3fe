//! All rules, and what the records that they name are known by.

use std::collections::HashSet;

use concierge_proto::Record as _;
use concierge_proto::ticket_rule::{ExportRulesResponse, Rule, RuleReference};
use concierge_runtime::program::Parts;
use concierge_runtime::{Call, Error};
use uuid::Uuid;

use super::handles::{self, Scope};
use super::references::{self, Target};
use super::store;
use crate::TicketRule;
use crate::facts::references::Kind;

/// So many rules are in a part.
const PART: usize = 250;

/// Two round trips, and those of [`handles::heard`].
pub(super) async fn export(service: &TicketRule) -> Result<Parts<ExportRulesResponse>, Error> {
    let set = service.rule_sets.newest().await?;
    let mut rules: Vec<Rule> = set.rules().cloned().collect();
    rules.sort_by_cached_key(order);
    let wanted: HashSet<(Kind, Uuid)> = rules.iter().flat_map(references::named).filter_map(of_directory).collect();
    let known = handles::heard(service.service.pool(), &wanted).await?;

    let mut told: HashSet<(Scope, Uuid)> = HashSet::new();
    let mut parts: Vec<ExportRulesResponse> = Vec::new();
    for rules in rules.chunks(PART) {
        let mut references = Vec::new();
        for named in rules.iter().flat_map(references::named) {
            let Ok(id) = named.id.parse::<Uuid>() else { continue };
            let handle = match named.target {
                Target::Directory(kind) => known.get(&(kind, id)).cloned(),
                own => handles::own(set.configuration(), own, named.id),
            };
            if handle.is_some() && told.insert((Scope::of(&named), id)) {
                let record_type = named.target.record_type().to_owned();
                references.push(RuleReference { id: named.id.to_owned(), record_type, handle });
            }
        }
        let mut rules = rules.to_vec();
        rules.iter_mut().for_each(store::sanitize);
        parts.push(ExportRulesResponse { revision: set.revision(), rules, references });
    }
    if parts.is_empty() {
        parts.push(ExportRulesResponse { revision: set.revision(), ..ExportRulesResponse::default() });
    }
    Ok(Box::pin(futures::stream::iter(parts.into_iter().map(Ok))))
}

/// The order in which rules run.
fn order(rule: &Rule) -> (i32, i64, i32, Option<Uuid>) {
    let created = rule.create_time.unwrap_or_default();
    (rule.precedence(), created.seconds, created.nanos, rule.id().parse().ok())
}

/// A record of directory that a rule names and whose kind the caller may read.
fn of_directory(named: references::Named<'_>) -> Option<(Kind, Uuid)> {
    let Target::Directory(kind) = named.target else { return None };
    may_read(kind).then_some((kind, named.id.parse().ok()?))
}

fn may_read(kind: Kind) -> bool {
    Call::current().is_none_or(|call| handles::permission(kind).is_none_or(|needed| call.permissions().holds(needed)))
}
