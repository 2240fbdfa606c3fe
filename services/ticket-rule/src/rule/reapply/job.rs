//! How far a batch is: a row that moves with every ticket, in the ticket's own transaction.

use chrono::TimeDelta;
use concierge_proto::ticket_rule::{ReapplyRulesRequest, ReapplyRulesResponse};
use concierge_runtime::{Error, Tx};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::TicketRule;

/// So long a batch can be gone on with.
const KEPT: TimeDelta = TimeDelta::days(7);

/// A batch, as it is stored; a dry one is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    key: Option<(String, Uuid)>,
    /// The number of the last ticket that is done.
    pub(super) position: i64,
    pub(super) done_count: i64,
    changed_count: i64,
    skipped_count: i64,
}

impl Job {
    /// One that nothing is kept of.
    pub(super) fn dry() -> Self {
        Self::default()
    }

    /// The batch of that request, begun if it is new. Another request under its id is refused, but for its pace.
    pub(super) async fn open(service: &TicketRule, request: &ReapplyRulesRequest) -> Result<Self, Error> {
        let id: Uuid =
            request.request_id.parse().map_err(|_| Error::field("request_id", "must be a UUID of your making"))?;
        let wanted = ReapplyRulesRequest { tickets_per_second: 0, ..request.clone() };
        let hash = Sha256::digest(wanted.encode_to_vec()).to_vec();
        let mut tx = service.service.begin().await?;
        let (actor, now) = (tx.actor(), tx.now);
        let caller = format!("{}/{}", actor.kind.as_str_name(), actor.subject);
        sqlx::query("delete from rule_reapplications where create_time < $1")
            .bind(now - KEPT)
            .execute(tx.conn().await?)
            .await?;
        sqlx::query(
            "insert into rule_reapplications (caller, request_id, request_hash, create_time) values ($1, $2, $3, $4)
             on conflict do nothing",
        )
        .bind(&caller)
        .bind(id)
        .bind(&hash)
        .bind(now)
        .execute(tx.conn().await?)
        .await?;
        let (known, position, done_count, changed_count, skipped_count): (Vec<u8>, i64, i64, i64, i64) =
            sqlx::query_as(
                "select request_hash, position, done_count, changed_count, skipped_count
             from rule_reapplications where caller = $1 and request_id = $2",
            )
            .bind(&caller)
            .bind(id)
            .fetch_one(tx.conn().await?)
            .await?;
        service.service.commit(tx).await?;
        if known != hash {
            return Err(Error::RequestIdReused);
        }
        Ok(Self { key: Some((caller, id)), position, done_count, changed_count, skipped_count })
    }

    /// How far it is.
    pub(super) fn told(&self) -> ReapplyRulesResponse {
        ReapplyRulesResponse {
            done_count: self.done_count,
            changed_count: self.changed_count,
            skipped_count: self.skipped_count,
            ..ReapplyRulesResponse::default()
        }
    }

    /// Takes the next ticket, until the end of the transaction from everybody else; false when somebody did it already.
    pub(super) async fn take(&self, tx: &mut Tx, number: i64) -> Result<bool, Error> {
        let Some((caller, id)) = &self.key else { return Ok(true) };
        let taken = sqlx::query(
            "update rule_reapplications set position = $3, done_count = done_count + 1
             where caller = $1 and request_id = $2 and position < $3",
        )
        .bind(caller)
        .bind(id)
        .bind(number)
        .execute(tx.conn().await?)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Notes what became of the ticket taken.
    pub(super) async fn note(&self, tx: &mut Tx, changed: bool, skipped: bool) -> Result<(), Error> {
        let Some((caller, id)) = &self.key else { return Ok(()) };
        if !changed && !skipped {
            return Ok(());
        }
        sqlx::query(
            "update rule_reapplications
             set changed_count = changed_count + $3, skipped_count = skipped_count + $4
             where caller = $1 and request_id = $2",
        )
        .bind(caller)
        .bind(id)
        .bind(i64::from(changed))
        .bind(i64::from(skipped))
        .execute(tx.conn().await?)
        .await?;
        Ok(())
    }
}
