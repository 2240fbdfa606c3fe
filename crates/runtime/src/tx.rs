//! A transaction of one call: it knows who changes what, and sends no statement after the caller's deadline.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use concierge_proto::CallerKind;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::call::Call;
use crate::clock::SharedClock;
use crate::db;
use crate::error::Error;

/// An open transaction. Dropped without `Service::commit`, it rolls back.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    /// The call it serves.
    pub call: Arc<Call>,
    /// The one time that everything in it carries.
    pub now: DateTime<Utc>,
    /// Where ids come from.
    pub clock: SharedClock,
    /// The `request_id` of the request, for history; of work that no request asked for, the call's id.
    pub request_id: String,
    /// The event that led to it; `None` when a caller did.
    pub cause: Option<Uuid>,
    /// The statement timeout set on the connection.
    armed: Duration,
    /// Whether the outbox was written, so that the sequencer must be woken.
    wrote_events: bool,
    name: &'static str,
}

/// Who made a change, as history tells it.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What the actor is.
    pub kind: CallerKind,
    /// The token's subject, or the service's name.
    pub subject: String,
    /// For whom a service acted.
    pub on_behalf_of: String,
}

impl Tx {
    /// Opens a transaction: one round trip, which also sets how long its statements may take.
    pub async fn begin(pool: &PgPool, call: Arc<Call>, clock: SharedClock, name: &'static str) -> Result<Self, Error> {
        let left = call.remaining()?;
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", millis(left));
        let inner = tokio::time::timeout(left, db::begin(pool, begin)).await.map_err(|_| Error::DeadlineExceeded)??;
        let now = clock.now();
        let request_id = call.request_id.clone();
        Ok(Self { inner, call, now, clock, request_id, cause: None, armed: left, wrote_events: false, name })
    }

    /// The connection, for a statement about to be sent: refuses after the deadline, and lowers the statement timeout
    /// when what is left has shrunk by a fifth since it was set.
    pub async fn conn(&mut self) -> Result<&mut PgConnection, Error> {
        let left = self.call.remaining()?;
        if left < self.armed.mul_f32(0.8) {
            let set = format!("SET LOCAL statement_timeout = {}", millis(left));
            sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *self.inner).await?;
            self.armed = left;
        }
        Ok(&mut self.inner)
    }

    /// A new id, of this transaction's clock.
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Who changes what is changed here.
    pub fn actor(&self) -> Actor {
        match &self.call.caller {
            Some(caller) => Actor {
                kind: caller.kind,
                subject: caller.subject.clone(),
                on_behalf_of: caller.on_behalf_of.clone().unwrap_or_default(),
            },
            None => Actor { kind: CallerKind::Service, subject: self.name.to_owned(), on_behalf_of: String::new() },
        }
    }

    /// The full name of the method that was called, for history; empty for work that no request asked for.
    pub(crate) fn method(&self) -> &'static str {
        self.call.method.map_or("", |m| m.path.trim_start_matches('/'))
    }

    /// Goes on under the trace of the event being applied.
    pub(crate) fn trace(&mut self, traceparent: &str) {
        if self.call.traceparent != traceparent {
            let call = Call { traceparent: traceparent.to_owned(), ..(*self.call).clone() };
            self.call = Arc::new(call);
        }
    }

    /// Notes that an event was written.
    pub(crate) fn wrote_event(&mut self) {
        self.wrote_events = true;
    }

    /// Commits; true when events wait for the sequencer.
    pub(crate) async fn commit_inner(self) -> Result<bool, Error> {
        self.call.remaining()?;
        self.call.unbroken()?;
        self.inner.commit().await?;
        Ok(self.wrote_events)
    }

    /// Rolls back, so that the connection is free at once.
    pub async fn rollback(self) -> Result<(), Error> {
        self.inner.rollback().await.map_err(Error::from)
    }
}

fn millis(time: Duration) -> u128 {
    time.as_millis().max(1)
}
