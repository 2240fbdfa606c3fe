//! Stored inputs of past evaluations, many at a time: for simulations.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_proto::directory::RequesterFacts;
use concierge_proto::ticket_rule::{Ticket, TicketAction};
use concierge_runtime::Error;
use concierge_runtime::query::Expr;
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::stored::{occasion, read};
use super::walk::{Input, Occasion};

/// So many inputs are read at a time,
const BATCH: i64 = 1_000;
/// and no more than have so many bytes, or one.
const BYTES: i64 = 4 << 20;
/// So many contents of facts are kept in memory: those of a desk's usual requesters.
const MOST_FACTS: usize = 10_000;

/// An input as it was stored.
#[derive(Debug)]
pub struct StoredInput {
    /// The evaluation that it was for.
    pub id: Uuid,
    /// The time that the rules saw as now.
    pub time: DateTime<Utc>,
    /// The ticket that they began with.
    pub ticket: Ticket,
    before: Option<Ticket>,
    action: Option<TicketAction>,
    facts: Option<Arc<RequesterFacts>>,
    occasion: Occasion,
    withheld: BTreeSet<Uuid>,
}

impl StoredInput {
    /// What the rules were asked, to ask it again.
    pub fn input(&self) -> Input<'_> {
        Input {
            ticket: &self.ticket,
            before: self.before.as_ref(),
            action: self.action.as_ref(),
            facts: self.facts.as_deref(),
            occasion: self.occasion.clone(),
            now: self.time,
            withheld: self.withheld.clone(),
        }
    }
}

/// Reads the inputs of evaluations that count (of one that was made again, only the later), the newest first.
#[derive(Debug)]
pub struct Inputs {
    pool: PgPool,
    /// Of which tickets; all without.
    filter: Option<Expr>,
    /// How many more at most.
    left: i64,
    /// Those before this one come next.
    before: Uuid,
    facts: HashMap<Vec<u8>, Arc<RequesterFacts>>,
}

impl Inputs {
    /// The newest `most` inputs of tickets that a filter over their columns finds; nothing is read yet.
    pub fn new(pool: PgPool, filter: Option<Expr>, most: i64) -> Self {
        Self { pool, filter, left: most, before: Uuid::max(), facts: HashMap::new() }
    }

    /// How many there are to come. One round trip.
    pub async fn count(&self) -> Result<i64, Error> {
        let mut sql = QueryBuilder::<Postgres>::new("select count(*) from (select 1 from evaluations e where ");
        self.push_which(&mut sql);
        sql.push(" limit ").push_bind(self.left).push(") counted");
        Ok(sql.build_query_scalar().persistent(false).fetch_one(&self.pool).await?)
    }

    /// The next inputs; none when there are no more. One round trip, and one for facts that are not in memory.
    pub async fn next(&mut self) -> Result<Vec<StoredInput>, Error> {
        let mut sql = QueryBuilder::<Postgres>::new(
            "select id, occasion, time, ticket, before, action, changed_fields, rule_ids, withheld, facts_hash from (
                 select *, sum(bytes) over (order by id desc) - bytes as bytes_before from (
                     select *, (octet_length(ticket) + coalesce(octet_length(before), 0)
                                + coalesce(octet_length(action), 0))::bigint as bytes
                     from evaluations e where ",
        );
        self.push_which(&mut sql);
        sql.push(" order by id desc limit ").push_bind(self.left.min(BATCH));
        sql.push(") found) following where bytes_before < ").push_bind(BYTES).push(" order by id desc");
        let rows = sql.build().persistent(false).fetch_all(&self.pool).await?;

        let hashes: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.try_get(9)).collect::<Result<_, _>>()?;
        self.learn(hashes.iter().flatten()).await?;
        let mut inputs = Vec::with_capacity(rows.len());
        for (row, hash) in rows.iter().zip(hashes) {
            let message = |index: usize| row.try_get::<Option<Vec<u8>>, _>(index);
            inputs.push(StoredInput {
                id: row.try_get(0)?,
                occasion: occasion(row.try_get(1)?, row.try_get(6)?, row.try_get(7)?),
                time: row.try_get(2)?,
                ticket: read(row.try_get(3)?)?,
                before: message(4)?.as_deref().map(read).transpose()?,
                action: message(5)?.as_deref().map(read).transpose()?,
                facts: hash.and_then(|hash| self.facts.get(&hash).cloned()),
                withheld: row.try_get::<Vec<Uuid>, _>(8)?.into_iter().collect(),
            });
        }
        if let Some(last) = inputs.last() {
            self.before = last.id;
        }
        self.left -= i64::try_from(inputs.len()).unwrap_or(i64::MAX);
        Ok(inputs)
    }

    fn push_which(&self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("corrected_by is null and id < ").push_bind(self.before);
        if let Some(filter) = &self.filter {
            sql.push(" and ticket_id in (select id from tickets where ");
            filter.push(sql);
            sql.push(")");
        }
    }

    /// Has the facts of a batch in memory. One round trip if one of them is not there yet.
    async fn learn(&mut self, batch: impl Iterator<Item = &Vec<u8>>) -> Result<(), Error> {
        let batch: BTreeSet<&Vec<u8>> = batch.collect();
        if self.facts.len() > MOST_FACTS {
            self.facts.clear();
        }
        let unknown: Vec<&Vec<u8>> = batch.into_iter().filter(|hash| !self.facts.contains_key(*hash)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as("select hash, facts from facts where hash = any($1)")
            .bind(unknown)
            .fetch_all(&self.pool)
            .await?;
        for (hash, facts) in rows {
            self.facts.insert(hash, Arc::new(read(&facts)?));
        }
        Ok(())
    }
}
