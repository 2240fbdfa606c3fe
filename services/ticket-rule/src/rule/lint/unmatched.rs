//! Rules that matched nothing of late.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{EvaluationSummary, Rule, RuleFinding, RuleFindingKind, RuleFindingSeverity};
use concierge_runtime::Error;
use futures::TryStreamExt as _;
use prost::Message as _;
use sqlx::PgPool;

use super::told::finding;

/// What the evaluations of some days say.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// Since when.
    since: DateTime<Utc>,
    /// How many days that is.
    days: i32,
    /// How many evaluations there were.
    pub(super) evaluations: i64,
    /// The rules that matched in one of them.
    rules: HashSet<String>,
}

/// Which rules matched since a time, in evaluations that were not corrected. One round trip, which reads every
/// evaluation of the time, one after the other.
pub(super) async fn matched(pool: &PgPool, since: DateTime<Utc>, days: i32) -> Result<Matched, Error> {
    let mut found = Matched { since, days, ..Matched::default() };
    let outcomes = "select outcome from evaluations where time >= $1 and corrected_by is null";
    let mut rows = sqlx::query_scalar::<_, Vec<u8>>(outcomes).bind(since).fetch(pool);
    while let Some(outcome) = rows.try_next().await? {
        let outcome = EvaluationSummary::decode(outcome.as_slice()).map_err(Error::internal)?;
        found.evaluations += 1;
        for matched in outcome.matches {
            if !found.rules.contains(&matched.rule_id) {
                found.rules.insert(matched.rule_id);
            }
        }
    }
    Ok(found)
}

impl Matched {
    /// What this says of a rule; nothing of one that is younger.
    pub(super) fn finding(&self, rule: &Rule) -> Option<RuleFinding> {
        let created = rule.create_time.as_ref().and_then(datetime)?;
        if self.evaluations == 0 || created > self.since || self.rules.contains(&rule.id) {
            return None;
        }
        let mut found = finding(rule, RuleFindingKind::Unmatched, RuleFindingSeverity::Note);
        let (count, days) = (self.evaluations, self.days);
        found.description = format!("It matched in none of the {count} evaluations of the last {days} days.");
        Some(found)
    }
}
