//! `EventFeedService`: the outbox as a stream, and the records as a snapshot.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::event::event_feed_service_server::EventFeedService;
use concierge_proto::event::{
    Event, ReadSnapshotRequest, ReadSnapshotResponse, RecordChanged, SubscribeRequest, SubscribeResponse,
};
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::revocations::in_force;
use super::{Extent, extent, parts, read, sequencer, wanted};
use crate::auth::{Revocations, TokenError};
use crate::call::Call;
use crate::error::Error;
use crate::outbox;
use crate::resource::{Resource, Statements, decode};
use crate::service::Service;

/// So many events are read and sent at a time.
const BATCH: i64 = 500;
/// How often a subscriber looks when no hint came.
const POLL: Duration = Duration::from_secs(1);

type Page = BoxFuture<'static, Result<(Vec<RecordChanged>, Option<Uuid>), Error>>;

/// One type of record that a snapshot can hold.
#[derive(Clone)]
struct Source {
    record_type: &'static str,
    page: Arc<dyn Fn(PgPool, Uuid) -> Page + Send + Sync>,
}

/// The feed of one service.
#[derive(Clone)]
pub struct FeedServer {
    service: Service,
    head: watch::Receiver<i64>,
    stop: CancellationToken,
    revocations: Arc<Revocations>,
    sources: Arc<Vec<Source>>,
}

impl std::fmt::Debug for FeedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedServer").field("service", &self.service.name()).finish_non_exhaustive()
    }
}

impl FeedServer {
    /// The feed of a service; it ends its streams when told to stop, and when the token that opened one is not good any
    /// more.
    pub fn new(
        service: Service,
        head: watch::Receiver<i64>,
        stop: CancellationToken,
        revocations: Arc<Revocations>,
    ) -> Self {
        Self { service, head, stop, revocations, sources: Arc::default() }
    }

    /// Lets snapshots hold the records of a resource.
    #[must_use]
    pub fn with<S: Resource>(mut self) -> Self {
        let source = Source {
            record_type: S::Record::TYPE,
            page: Arc::new(|pool, after| Box::pin(async move { page::<S>(&pool, after).await })),
        };
        // The host keeps a feed without sources: what is shared with it is copied.
        Arc::make_mut(&mut self.sources).push(source);
        self
    }
}

/// So many records are read at a time.
const PAGE: i64 = 200;

async fn page<S: Resource>(pool: &PgPool, after: Uuid) -> Result<(Vec<RecordChanged>, Option<Uuid>), Error> {
    let sql = format!(
        "select {} from {} where id > $1 order by id limit {PAGE}",
        Statements::of::<S>().columns,
        Statements::of::<S>().table
    );
    // Made of names in the service's own code.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).fetch_all(pool).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let record: S::Record = decode(row)?;
        records.push(outbox::changed(&record, record.version(), Vec::new()));
    }
    let last = records.last().and_then(|r| r.record_id.parse().ok()).filter(|_| rows.len() as i64 == PAGE);
    Ok((records, last))
}

/// True when these are the next events after a position, without a gap.
fn follows(position: i64, events: &[Event]) -> bool {
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    events.last().is_none_or(|last| last.position == position + count)
}

type Stream_<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EventFeedService for FeedServer {
    type SubscribeStream = Stream_<SubscribeResponse>;
    type ReadSnapshotStream = Stream_<ReadSnapshotResponse>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let extent = extent(self.service.pool()).await?;
        let Extent { feed_id, head, floor } = extent;
        let after = request.after_position;
        let other = !request.feed_id.is_empty() && request.feed_id != feed_id.to_string();
        if other || (request.feed_id.is_empty() && after > 0) || after < floor || after > head {
            return Err(extent.lacks(after).into());
        }
        let (sender, receiver) = mpsc::channel(4);
        let feed = self.clone();
        let call = Call::current();
        tokio::spawn(async move {
            let ended = tokio::select! {
                () = sender.closed() => return,
                () = feed.stop.cancelled() => Error::ShuttingDown,
                refused = feed.refused(call.as_deref()) => refused.into(),
                ended = feed.stream(&sender, request, feed_id, after) => match ended {
                    Ok(()) => return,
                    Err(error) => error,
                },
            };
            let _ = sender.send(Err(ended.into())).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn read_snapshot(
        &self,
        request: Request<ReadSnapshotRequest>,
    ) -> Result<Response<Self::ReadSnapshotStream>, Status> {
        let types = request.into_inner().record_types;
        let (sender, receiver) = mpsc::channel(4);
        let feed = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                failed = feed.snapshot(&sender, &types) => {
                    if let Err(error) = failed { let _ = sender.send(Err(error.into())).await; }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl FeedServer {
    /// Ends when the token of the caller is not good any more.
    async fn refused(&self, call: Option<&Call>) -> TokenError {
        match call.and_then(|call| call.caller.as_ref()) {
            Some(caller) => self.revocations.refused(caller, self.service.clock()).await,
            None => std::future::pending().await,
        }
    }

    async fn stream(
        &self,
        sender: &mpsc::Sender<Result<SubscribeResponse, Status>>,
        request: SubscribeRequest,
        feed_id: Uuid,
        mut position: i64,
    ) -> Result<(), Error> {
        let mut head = self.head.clone();
        // The first part comes at once, also when there is nothing yet: it tells the subscriber that it is heard.
        let mut first = true;
        loop {
            head.mark_unchanged();
            let (mut events, more) = read(self.service.pool(), self.service.name(), position, BATCH).await?;
            if !follows(position, &events) {
                // Positions have no gaps: what was between is gone after its retention.
                tracing::warn!(position, "a subscriber is too slow");
                return Err(extent(self.service.pool()).await?.lacks(position));
            }
            let read_any = !events.is_empty();
            position = events.last().map_or(position, |e| e.position);
            events.retain(|e| wanted(&request.types, &e.r#type));
            if read_any || first {
                first = false;
                let part = SubscribeResponse { feed_id: feed_id.to_string(), events, position };
                if sender.send(Ok(part)).await.is_err() {
                    return Ok(());
                }
            }
            if !more {
                let _ = tokio::time::timeout(POLL, head.changed()).await;
            }
        }
    }

    async fn snapshot(
        &self,
        sender: &mpsc::Sender<Result<ReadSnapshotResponse, Status>>,
        types: &[String],
    ) -> Result<(), Error> {
        // What is committed counts, numbered yet or not: who asks for the head wants to know what to wait for.
        sequencer::number(self.service.background()).await?;
        // The head first: whatever changes while records are read comes again as an event, with a greater version.
        let Extent { feed_id, head, .. } = extent(self.service.pool()).await?;
        let part = |records, revocations| ReadSnapshotResponse {
            feed_id: feed_id.to_string(),
            position: head,
            records,
            revocations,
        };
        let revocations = if types.is_empty() || types.iter().any(|t| t == "revocation") {
            in_force(&self.service).await?
        } else {
            Vec::new()
        };
        let mut revocations = parts(revocations).into_iter();
        // The first part comes in any case: it tells the position.
        let mut next = Some(revocations.next().unwrap_or_default());
        while let Some(told) = next {
            if sender.send(Ok(part(Vec::new(), told))).await.is_err() {
                return Ok(());
            }
            next = revocations.next();
        }
        for source in self.sources.iter().filter(|s| types.is_empty() || types.iter().any(|t| t == s.record_type)) {
            let mut after = Uuid::nil();
            loop {
                let (records, last) = (source.page)(self.service.pool().clone(), after).await?;
                for records in parts(records) {
                    if sender.send(Ok(part(records, Vec::new()))).await.is_err() {
                        return Ok(());
                    }
                }
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_anywhere_among_the_events_read_is_seen() {
        let at = |positions: &[i64]| -> Vec<Event> {
            positions.iter().map(|p| Event { position: *p, ..Event::default() }).collect()
        };
        assert!(follows(4, &at(&[])) && follows(4, &at(&[5, 6, 7])));
        assert!(!follows(4, &at(&[6, 7])) && !follows(4, &at(&[5, 7])));
    }
}
