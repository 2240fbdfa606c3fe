//! Reading records: by id, coalesced, and in pages; never more than the caller may see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concierge_proto::{Fields, Record, Scope, Value};
use sqlx::PgPool;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Resource, Statements, decode};
use crate::call::Call;
use crate::error::Error;

/// The field that must equal one of the caller's ids, when the caller does not see everything.
pub(crate) fn bound<S: Resource>(call: &Call) -> Option<(Option<&'static str>, Option<Uuid>)> {
    let caller = call.caller.as_ref().filter(|_| call.is_outsider())?;
    match call.method.map_or(Scope::Unspecified, |m| m.scope) {
        Scope::All => None,
        Scope::OwnCustomer => Some((S::CUSTOMER, caller.customer_id)),
        Scope::OwnSite => Some((S::SITE, caller.site_id)),
        Scope::Self_ => Some((S::USER, caller.subject.parse().ok())),
        // Nothing: a method that outsiders cannot call.
        Scope::Unspecified => Some((None, None)),
    }
}

/// True when the caller may know that the record exists.
pub(crate) fn in_scope<S: Resource>(call: &Call, record: &S::Record) -> bool {
    match bound::<S>(call) {
        None => true,
        Some((Some(field), Some(own))) => S::Record::index_of(field).is_some_and(|i| record.value(i) == Value::Id(own)),
        Some(_) => false,
    }
}

/// Reads records by id for many callers at once: calls that wait while others are being read share one statement.
///
/// A call joins only a batch that is not yet sent, so it never sees a state older than its own beginning.
#[derive(Debug)]
pub struct Loader<S: Resource> {
    state: Arc<Mutex<State<S::Record>>>,
    pool: PgPool,
    lanes: usize,
}

impl<S: Resource> Clone for Loader<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), pool: self.pool.clone(), lanes: self.lanes }
    }
}

type Waiter<R> = oneshot::Sender<Result<Option<R>, Error>>;

#[derive(Debug)]
struct State<R> {
    waiting: Vec<(Uuid, Waiter<R>)>,
    running: usize,
}

/// So many ids go into one statement.
const BATCH: usize = 256;

impl<S: Resource> Loader<S> {
    /// Reads with at most `lanes` statements at a time.
    pub fn new(pool: PgPool, lanes: usize) -> Self {
        Self { state: Arc::new(Mutex::new(State { waiting: Vec::new(), running: 0 })), pool, lanes: lanes.max(1) }
    }

    /// Reads one record. One round trip, shared with whoever else asks at the same time.
    pub async fn get(&self, id: Uuid) -> Result<Option<S::Record>, Error> {
        let (sender, receiver) = oneshot::channel();
        let start = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.waiting.push((id, sender));
            let start = state.running < self.lanes;
            state.running += usize::from(start);
            start
        };
        if start {
            // A task of its own: the caller that starts a lane may go away, those who wait with it must not suffer.
            tokio::spawn(self.clone().run());
        }
        receiver.await.map_err(|_| Error::DatabaseUnavailable)?
    }

    /// One lane: batch after batch until nobody waits.
    async fn run(self) {
        loop {
            let batch = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                // Those who went away need no answer.
                state.waiting.retain(|(_, waiter)| !waiter.is_closed());
                let from = state.waiting.len().saturating_sub(BATCH);
                let batch =
                    if from == 0 { std::mem::take(&mut state.waiting) } else { state.waiting.drain(..BATCH).collect() };
                if batch.is_empty() {
                    state.running -= 1;
                    return;
                }
                batch
            };
            self.answer(batch).await;
        }
    }

    async fn answer(&self, batch: Vec<(Uuid, Waiter<S::Record>)>) {
        match self.read(&batch).await {
            Ok(mut found) => {
                let mut left: HashMap<Uuid, usize> = HashMap::new();
                for (id, _) in &batch {
                    *left.entry(*id).or_default() += 1;
                }
                for (id, waiter) in batch {
                    let more = left.get_mut(&id).map_or(0, |n| {
                        *n -= 1;
                        *n
                    });
                    let record = if more == 0 { found.remove(&id) } else { found.get(&id).cloned() };
                    let _ = waiter.send(Ok(record));
                }
            }
            Err(error) => {
                let overloaded = matches!(error, Error::DeadlineExceeded);
                if let Error::Internal(cause) = &error {
                    tracing::error!(cause = %cause, "a batch of reads failed");
                }
                for (_, waiter) in batch {
                    let told = if overloaded { Error::DeadlineExceeded } else { Error::DatabaseUnavailable };
                    let _ = waiter.send(Err(told));
                }
            }
        }
    }

    async fn read(&self, batch: &[(Uuid, Waiter<S::Record>)]) -> Result<HashMap<Uuid, S::Record>, Error> {
        let statements = Statements::of::<S>();
        let rows = if let [(id, _)] = batch {
            sqlx::query(statements.get).bind(*id).fetch_all(&self.pool).await?
        } else {
            let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
            sqlx::query(statements.get_many).bind(ids).fetch_all(&self.pool).await?
        };
        rows.iter()
            .map(|row| {
                let record: S::Record = decode(row)?;
                let id = record.id().parse().map_err(Error::internal)?;
                Ok((id, record))
            })
            .collect()
    }
}
