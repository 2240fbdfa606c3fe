//! Evaluations as they are kept: with everything they were made from, so that they can be explained and repeated.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use concierge_proto::directory::RequesterFacts;
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{Evaluation, EvaluationCause, EvaluationSummary, Ticket, TicketAction};
use concierge_runtime::{Error, Tx};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::rule_set::RuleSet;
use super::walk::{Evaluated, Input, Occasion};

/// An evaluation about to be kept.
#[derive(Debug)]
pub struct NewEvaluation<'a> {
    /// Its id.
    pub id: Uuid,
    /// The rules.
    pub set: &'a RuleSet,
    /// What they were asked.
    pub input: &'a Input<'a>,
    /// What they did.
    pub evaluated: &'a Evaluated,
    /// True when directory had not answered.
    pub stale: bool,
    /// What it was made for, where the occasion does not say it.
    pub cause: Option<EvaluationCause>,
    /// The evaluation that this one repeats on fresh facts.
    pub corrects: Option<Uuid>,
    /// The version that the ticket will have, if it is to be evaluated again once directory is back.
    pub awaits: Option<i64>,
}

/// An evaluation as it was kept.
#[derive(Clone, Debug)]
pub struct StoredEvaluation {
    /// Its id.
    pub id: Uuid,
    /// Its place among the evaluations of the ticket, from 1.
    pub number: i32,
    /// What it was made for.
    pub cause: EvaluationCause,
    /// Which rules were asked.
    pub occasion: Occasion,
    /// The time that the rules saw as now.
    pub time: DateTime<Utc>,
    /// The revision of the rule set.
    pub revision: i64,
    /// The ticket that the rules began with.
    pub ticket: Ticket,
    /// The ticket before the update; none for what was no update, or was evaluated before this was kept.
    pub before: Option<Ticket>,
    /// The action that was added.
    pub action: Option<TicketAction>,
    /// What was known of the requester.
    pub facts: Option<RequesterFacts>,
    /// The teams and agents that rules could not give, as they were gone.
    pub withheld: BTreeSet<Uuid>,
    /// True when directory had not answered.
    pub stale: bool,
    /// True when a rule was left undecided.
    pub undecided: bool,
    /// What the rules did.
    pub outcome: EvaluationSummary,
    /// The ticket's evaluation before this one.
    pub previous: Option<Uuid>,
    /// The evaluation that this one repeated.
    pub corrects: Option<Uuid>,
    /// The evaluation that repeated this one.
    pub corrected_by: Option<Uuid>,
}

impl StoredEvaluation {
    /// What the rules were asked, to ask it again.
    pub fn input(&self) -> Input<'_> {
        Input {
            ticket: &self.ticket,
            before: self.before.as_ref(),
            action: self.action.as_ref(),
            facts: self.facts.as_ref(),
            occasion: self.occasion.clone(),
            now: self.time,
            withheld: self.withheld.clone(),
        }
    }

    /// As the contract tells it.
    pub fn told(&self) -> Evaluation {
        let changed_fields = match &self.occasion {
            Occasion::Updated { changed } => changed.clone(),
            Occasion::Logged | Occasion::Asked { .. } => Vec::new(),
        };
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        Evaluation {
            id: self.id.to_string(),
            ticket_id: self.ticket.id.clone(),
            time: Some(timestamp(self.time)),
            cause: self.cause.into(),
            stale: self.stale,
            rule_set_revision: self.revision,
            ticket_before: Some(self.ticket.clone()),
            changed_fields,
            previous_evaluation_id: id(self.previous),
            corrected_evaluation_id: id(self.corrects),
        }
    }
}

/// Keeps an evaluation, its facts unless they are there already, and that it waits for directory. One round trip.
///
/// The ticket must be new or its row locked: its evaluations are numbered one after the other.
pub async fn store(tx: &mut Tx, new: &NewEvaluation<'_>) -> Result<(), Error> {
    let (ticket, input) = (new.input.ticket, new.input);
    let (occasion, changed, rules) = match &input.occasion {
        Occasion::Logged => (EvaluationCause::Logged, Vec::new(), Vec::new()),
        Occasion::Updated { changed } => (EvaluationCause::Updated, changed.clone(), Vec::new()),
        Occasion::Asked { rules } => (EvaluationCause::Applied, Vec::new(), rules.iter().copied().collect()),
    };
    let cause = new.cause.unwrap_or(occasion);
    let facts = input.facts.map(content);
    let ticket_id: Uuid = ticket.id.parse().map_err(Error::internal)?;
    let withheld: Vec<Uuid> = input.withheld.iter().copied().collect();
    let now = tx.now;
    let outcome = new.evaluated.summary(new.set, new.id.to_string(), new.stale);
    sqlx::query(
        "with kept as (insert into facts (hash, facts) select $1, $2 where $1 is not null on conflict do nothing),
              corrected as (update evaluations set corrected_by = $4 where id = $3),
              awaiting as (insert into second_evaluations (evaluation_id, ticket_id, ticket_version, create_time)
                           select $4, $5, $17::bigint, $18 where $17::bigint is not null)
         insert into evaluations (facts_hash, corrects, id, ticket_id, number, cause, occasion, time, revision, ticket,
             action, changed_fields, rule_ids, stale, undecided, outcome, withheld, before)
         values ($1, $3, $4, $5, (select coalesce(max(number), 0) + 1 from evaluations where ticket_id = $5), $6, $7, $8,
             $9, $10, $11, $12, $13, $14, $15, $16, $19, $20)",
    )
    .bind(facts.as_ref().map(|(hash, _)| hash))
    .bind(facts.as_ref().map(|(_, facts)| facts))
    .bind(new.corrects)
    .bind(new.id)
    .bind(ticket_id)
    .bind(i32::from(cause))
    .bind(i32::from(occasion))
    .bind(input.now)
    .bind(new.set.revision())
    .bind(ticket.encode_to_vec())
    .bind(input.action.map(TicketAction::encode_to_vec))
    .bind(changed)
    .bind(rules)
    .bind(new.stale)
    .bind(!new.evaluated.undecided.is_empty())
    .bind(outcome.encode_to_vec())
    .bind(new.awaits)
    .bind(now)
    .bind(withheld)
    .bind(input.before.map(Ticket::encode_to_vec))
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

/// Facts as they are kept: without the time of reading, so that what did not change is kept once.
fn content(facts: &RequesterFacts) -> (Vec<u8>, Vec<u8>) {
    let bytes = RequesterFacts { read_time: None, ..facts.clone() }.encode_to_vec();
    (Sha256::digest(&bytes).to_vec(), bytes)
}

const COLUMNS: &str = "select e.id, e.number, e.cause, e.occasion, e.time, e.revision, e.ticket, e.action,
    e.changed_fields, e.rule_ids, f.facts, e.stale, e.undecided, e.outcome, e.corrects, e.corrected_by,
    (select p.id from evaluations p where p.ticket_id = e.ticket_id and p.number = e.number - 1) as previous, e.withheld,
    e.before
    from evaluations e left join facts f on f.hash = e.facts_hash";

/// One evaluation. One round trip.
pub async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<StoredEvaluation>, Error> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} where e.id = $1")))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(decode).transpose()
}

/// The newest evaluation of a ticket. One round trip.
pub async fn latest(connection: &mut PgConnection, ticket_id: Uuid) -> Result<Option<StoredEvaluation>, Error> {
    let row =
        sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} where e.ticket_id = $1 order by e.number desc limit 1")))
            .bind(ticket_id)
            .fetch_optional(connection)
            .await?;
    row.as_ref().map(decode).transpose()
}

/// What an evaluation did, without what it was made from.
#[derive(Clone, Debug)]
pub struct StoredOutcome {
    /// Its id.
    pub id: Uuid,
    /// What it was made for: an `EvaluationCause`.
    pub cause: i32,
    /// The time that the rules saw as now.
    pub time: DateTime<Utc>,
    /// The evaluation that it repeated.
    pub corrects: Option<Uuid>,
    /// What the rules did.
    pub outcome: EvaluationSummary,
}

/// So many evaluations of a ticket are looked at, its latest.
const MOST_OUTCOMES: i64 = 1_000;

/// What the evaluations of a ticket did, the newest first, without those that were corrected; `None` when there is no
/// such ticket. One round trip.
pub async fn outcomes(pool: &PgPool, ticket_id: Uuid) -> Result<Option<Vec<StoredOutcome>>, Error> {
    type Outcome = (Option<Uuid>, Option<i32>, Option<DateTime<Utc>>, Option<Uuid>, Option<Vec<u8>>);
    let rows: Vec<Outcome> = sqlx::query_as(
        "select e.id, e.cause, e.time, e.corrects, e.outcome
         from tickets t left join lateral (
             select * from evaluations where ticket_id = t.id and corrected_by is null order by number desc limit $2
         ) e on true
         where t.id = $1 order by e.number desc",
    )
    .bind(ticket_id)
    .bind(MOST_OUTCOMES)
    .fetch_all(pool)
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        // A ticket without any evaluation is one row of nothing.
        if let (Some(id), Some(cause), Some(time), corrects, Some(outcome)) = row {
            outcomes.push(StoredOutcome { id, cause, time, corrects, outcome: read(&outcome)? });
        }
    }
    Ok(Some(outcomes))
}

fn decode(row: &PgRow) -> Result<StoredEvaluation, Error> {
    let message = |index: usize| row.try_get::<Option<Vec<u8>>, _>(index);
    let occasion = occasion(row.try_get(3)?, row.try_get(8)?, row.try_get(9)?);
    Ok(StoredEvaluation {
        id: row.try_get(0)?,
        number: row.try_get(1)?,
        cause: EvaluationCause::try_from(row.try_get::<i32, _>(2)?).unwrap_or_default(),
        occasion,
        time: row.try_get(4)?,
        revision: row.try_get(5)?,
        ticket: read(&row.try_get::<Vec<u8>, _>(6)?)?,
        action: message(7)?.map(|bytes| read(&bytes)).transpose()?,
        facts: message(10)?.map(|bytes| read(&bytes)).transpose()?,
        stale: row.try_get(11)?,
        undecided: row.try_get(12)?,
        outcome: read(&row.try_get::<Vec<u8>, _>(13)?)?,
        corrects: row.try_get(14)?,
        corrected_by: row.try_get(15)?,
        previous: row.try_get(16)?,
        withheld: row.try_get::<Vec<Uuid>, _>(17)?.into_iter().collect(),
        before: message(18)?.map(|bytes| read(&bytes)).transpose()?,
    })
}

/// Which rules were asked, by what is stored of it.
pub(super) fn occasion(cause: i32, changed: Vec<String>, rule_ids: Vec<Uuid>) -> Occasion {
    match EvaluationCause::try_from(cause) {
        Ok(EvaluationCause::Logged) => Occasion::Logged,
        Ok(EvaluationCause::Updated) => Occasion::Updated { changed },
        _ => Occasion::Asked { rules: rule_ids.into_iter().collect() },
    }
}

pub(super) fn read<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(Error::internal)
}
