//! Repeated requests: the first answer is kept for a day under the caller, the method and the `request_id`.

use concierge_proto::{Mutation, Redact};
use prost::Message;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::Error;
use crate::tx::Tx;

/// How long answers are kept.
pub(crate) const KEPT_HOURS: i64 = 24;

/// What names one request.
#[derive(Debug)]
pub(crate) struct Key {
    caller: String,
    method: &'static str,
    request_id: Uuid,
    hash: Vec<u8>,
}

impl Key {
    pub(crate) fn of<Q: Mutation>(tx: &Tx, request: &Q) -> Result<Self, Error> {
        let actor = tx.actor();
        let request_id =
            request.request_id().parse().map_err(|_| Error::field("request_id", "must be a UUID of your making"))?;
        Ok(Self {
            caller: format!("{}/{}", actor.kind.as_str_name(), actor.subject),
            method: tx.call.method.map_or("", |m| m.path),
            request_id,
            hash: Sha256::digest(request.encode_to_vec()).to_vec(),
        })
    }

    /// Takes the request; or finds its first answer. Waits for a request under the same key that is still running.
    pub(crate) async fn take<A: Message + Default>(&self, tx: &mut Tx) -> Result<Option<A>, Error> {
        let now = tx.now;
        let taken = sqlx::query(
            "insert into answers (caller, method, request_id, request_hash, create_time) values ($1, $2, $3, $4, $5)
             on conflict do nothing",
        )
        .bind(&self.caller)
        .bind(self.method)
        .bind(self.request_id)
        .bind(&self.hash)
        .bind(now)
        .execute(tx.conn().await?)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(None);
        }
        let first: Option<(Vec<u8>, Option<Vec<u8>>)> = sqlx::query_as(
            "select request_hash, answer from answers where caller = $1 and method = $2 and request_id = $3",
        )
        .bind(&self.caller)
        .bind(self.method)
        .bind(self.request_id)
        .fetch_optional(tx.conn().await?)
        .await?;
        match first {
            // Removed after its day between the two statements: the caller tries again.
            None => Err(Error::Conflict),
            Some((hash, _)) if hash != self.hash => Err(Error::RequestIdReused),
            Some((_, answer)) => A::decode(answer.unwrap_or_default().as_slice()).map(Some).map_err(Error::internal),
        }
    }

    /// Keeps the answer, without its secret fields.
    pub(crate) async fn keep<A: Message + Clone + Redact>(&self, tx: &mut Tx, answer: &A) -> Result<(), Error> {
        let bytes = if A::HAS_SECRETS {
            let mut told = answer.clone();
            told.redact();
            told.encode_to_vec()
        } else {
            answer.encode_to_vec()
        };
        sqlx::query("update answers set answer = $4 where caller = $1 and method = $2 and request_id = $3")
            .bind(&self.caller)
            .bind(self.method)
            .bind(self.request_id)
            .bind(bytes)
            .execute(tx.conn().await?)
            .await?;
        Ok(())
    }
}
