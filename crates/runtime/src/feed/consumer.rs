//! Reading another service's feed: one leased reader among the replicas, each event's effect exactly once.

use std::time::Duration;

use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{Event, ReadSnapshotRequest, RecordChanged, SubscribeRequest};
use futures::future::BoxFuture;
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use super::{payload, projection};
use crate::error::Error;
use crate::service::Service;
use crate::tx::Tx;
use crate::upstream::Upstream;

/// How long a reader that went silent keeps others away.
const LEASE: Duration = Duration::from_secs(5);
/// How often the reader renews, and others look whether it still does.
const RENEW: Duration = Duration::from_secs(1);
/// So many events share a transaction.
const BATCH: usize = 100;

/// What a service does with what it hears.
pub trait Effects: Send + Sync + 'static {
    /// The effect of one event, in the transaction that moves the cursor. `tx.cause` is the event. An error stops the
    /// feed and is tried again: only failures that pass may be returned.
    fn apply<'a>(&'a self, tx: &'a mut Tx, event: &'a Event) -> BoxFuture<'a, Result<(), Error>>;

    /// What follows once effects are committed, such as waking who waits for them. It may be lost with the process.
    fn committed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// The effect of a record in a snapshot, after it was projected.
    fn restore<'a>(&'a self, _tx: &'a mut Tx, _change: &'a RecordChanged) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// What follows from a whole snapshot: records that it did not hold are marked as deleted by now.
    fn restored<'a>(&'a self, _tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// A consumer that only projects.
#[derive(Clone, Copy, Debug)]
pub struct OnlyProject;

impl Effects for OnlyProject {
    fn apply<'a>(&'a self, _: &'a mut Tx, _: &'a Event) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Reads one upstream's feed for one service.
#[derive(Debug)]
pub struct Consumer<E> {
    /// The service that listens.
    pub service: Service,
    /// The service it listens to.
    pub upstream: Upstream,
    /// The types of events wanted; records among them are projected.
    pub types: Vec<String>,
    /// The types of records a snapshot must hold.
    pub record_types: Vec<String>,
    /// What to do.
    pub effects: E,
}

/// Why a reader stopped reading.
enum Stopped {
    /// Somebody else reads now.
    LeaseLost,
    /// The cursor is not of this feed any more.
    OutOfRange,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<tonic::Status> for Stopped {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            Code::OutOfRange => Self::OutOfRange,
            _ => Self::Failed(Error::internal(status)),
        }
    }
}

struct Cursor {
    feed_id: Option<Uuid>,
    position: i64,
    epoch: i64,
}

impl<E: Effects> Consumer<E> {
    /// Reads until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let me = self.service.clock().new_id();
        let work = async {
            let mut wait = Duration::from_millis(50);
            loop {
                match self.lease(me).await {
                    Ok(Some(cursor)) => {
                        let epoch = cursor.epoch;
                        match self.read(cursor).await {
                            Stopped::LeaseLost => wait = RENEW,
                            Stopped::OutOfRange => match self.restore(epoch).await {
                                Ok(()) => wait = Duration::from_millis(10),
                                Err(Stopped::Failed(error)) => wait = self.failed(&error, wait),
                                Err(_) => wait = RENEW,
                            },
                            Stopped::Failed(error) => wait = self.failed(&error, wait),
                        }
                        let _ = self.release(epoch).await;
                    }
                    Ok(None) => wait = RENEW,
                    Err(error) => wait = self.failed(&error, wait),
                }
                let jitter = rand::rng().random_range(0.8..1.2);
                tokio::time::sleep(wait.mul_f64(jitter)).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    fn failed(&self, error: &Error, wait: Duration) -> Duration {
        tracing::warn!(upstream = self.upstream.name(), error = ?error, "the feed stopped; trying again");
        (wait * 2).clamp(Duration::from_millis(50), Duration::from_secs(2))
    }

    /// Takes the lease if nobody holds it. Every holder has an epoch of its own.
    async fn lease(&self, me: Uuid) -> Result<Option<Cursor>, Error> {
        let feed = self.upstream.name();
        let leased: Option<(Option<Uuid>, i64, i64)> = sqlx::query_as(
            "insert into feed_cursors as c (feed, lease_holder, lease_epoch, lease_until)
             values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
             on conflict (feed) do update set lease_holder = excluded.lease_holder, lease_epoch = c.lease_epoch + 1,
                 lease_until = excluded.lease_until
             where c.lease_until < clock_timestamp()
             returning feed_id, position, lease_epoch",
        )
        .bind(feed)
        .bind(me)
        .bind(LEASE.as_secs_f64())
        .fetch_optional(self.service.pool())
        .await?;
        Ok(leased.map(|(feed_id, position, epoch)| Cursor { feed_id, position, epoch }))
    }

    async fn release(&self, epoch: i64) -> Result<(), Error> {
        sqlx::query("update feed_cursors set lease_until = '-infinity' where feed = $1 and lease_epoch = $2")
            .bind(self.upstream.name())
            .bind(epoch)
            .execute(self.service.pool())
            .await?;
        Ok(())
    }

    async fn renew(&self, epoch: i64) -> Result<(), Stopped> {
        let renewed = sqlx::query(
            "update feed_cursors set lease_until = clock_timestamp() + make_interval(secs => $3)
             where feed = $1 and lease_epoch = $2",
        )
        .bind(self.upstream.name())
        .bind(epoch)
        .bind(LEASE.as_secs_f64())
        .execute(self.service.pool())
        .await
        .map_err(Error::from)?;
        if renewed.rows_affected() == 1 { Ok(()) } else { Err(Stopped::LeaseLost) }
    }

    /// Reads and applies until something stops it.
    async fn read(&self, cursor: Cursor) -> Stopped {
        match self.try_read(cursor).await {
            Ok(never) => match never {},
            Err(stopped) => stopped,
        }
    }

    async fn try_read(&self, mut cursor: Cursor) -> Result<std::convert::Infallible, Stopped> {
        let mut client = EventFeedServiceClient::new(self.upstream.channel())
            .max_decoding_message_size(64 << 20)
            .accept_compressed(tonic::codec::CompressionEncoding::Zstd);
        let request = self.upstream.request(SubscribeRequest {
            feed_id: cursor.feed_id.map(|id| id.to_string()).unwrap_or_default(),
            after_position: cursor.position,
            types: self.types.clone(),
        });
        // A server that takes the connection and says nothing must not hold the lease for ever.
        let mut stream = tokio::time::timeout(LEASE, client.subscribe(request))
            .await
            .map_err(|_| Error::UpstreamUnavailable { service: self.upstream.name() })??
            .into_inner();
        let mut renew = tokio::time::interval(RENEW);
        loop {
            let part = tokio::select! {
                part = stream.message() => part?,
                _ = renew.tick() => { self.renew(cursor.epoch).await?; continue; }
            };
            let Some(part) = part else {
                return Err(Error::UpstreamUnavailable { service: self.upstream.name() }.into());
            };
            let feed_id: Uuid = part.feed_id.parse().map_err(Error::internal)?;
            let mut events = part.events;
            while !events.is_empty() {
                let rest = events.split_off(events.len().min(BATCH));
                // The last batch moves past what was filtered out.
                let to =
                    if rest.is_empty() { part.position } else { events.last().map_or(part.position, |e| e.position) };
                self.apply(&mut cursor, feed_id, to, &events).await?;
                events = rest;
            }
            if part.position > cursor.position || cursor.feed_id != Some(feed_id) {
                self.apply(&mut cursor, feed_id, part.position, &[]).await?;
            }
            metrics::gauge!("concierge_feed_position", "feed" => self.upstream.name()).set(part.position as f64);
        }
    }

    /// The effects of some events and the cursor's move, in one transaction; neither without the other.
    async fn apply(&self, cursor: &mut Cursor, feed_id: Uuid, to: i64, events: &[Event]) -> Result<(), Stopped> {
        let mut tx = self.service.begin().await?;
        for event in events {
            tx.cause = event.id.parse().ok();
            tx.trace(&event.traceparent);
            if let Some(change) = payload::<RecordChanged>(event) {
                projection::keep(tx.conn().await?, &change, None).await?;
            }
            self.effects.apply(&mut tx, event).await?;
        }
        let moved = sqlx::query(
            "update feed_cursors set position = $2, feed_id = $3,
                 lease_until = clock_timestamp() + make_interval(secs => $6)
             where feed = $1 and position = $4 and lease_epoch = $5",
        )
        .bind(self.upstream.name())
        .bind(to)
        .bind(feed_id)
        .bind(cursor.position)
        .bind(cursor.epoch)
        .bind(LEASE.as_secs_f64())
        .execute(tx.conn().await?)
        .await
        .map_err(Error::from)?;
        if moved.rows_affected() == 0 {
            // Somebody else was here: nothing of ours may stay.
            tx.rollback().await?;
            return Err(Stopped::LeaseLost);
        }
        self.service.commit(tx).await?;
        cursor.position = to;
        cursor.feed_id = Some(feed_id);
        if !events.is_empty() {
            self.effects.committed().await;
        }
        Ok(())
    }

    /// Takes a snapshot: everything as it is, what is absent as deleted, and the position to go on from.
    async fn restore(&self, epoch: i64) -> Result<(), Stopped> {
        let mut client = EventFeedServiceClient::new(self.upstream.channel()).max_decoding_message_size(64 << 20);
        let request = self.upstream.request(ReadSnapshotRequest { record_types: self.record_types.clone() });
        let mut stream = client.read_snapshot(request).await?.into_inner();
        let number = self.service.clock().now().timestamp_micros();
        let mut tx = self.service.begin_long().await?;
        let mut head: Option<(Uuid, i64)> = None;
        let mut renewed = std::time::Instant::now();
        while let Some(part) = stream.message().await? {
            head = Some((part.feed_id.parse().map_err(Error::internal)?, part.position));
            for change in &part.records {
                projection::keep(tx.conn().await?, change, Some(number)).await?;
                self.effects.restore(&mut tx, change).await?;
            }
            if renewed.elapsed() > RENEW {
                self.renew(epoch).await?;
                renewed = std::time::Instant::now();
            }
        }
        let (feed_id, position) = head.ok_or(Error::UpstreamUnavailable { service: self.upstream.name() })?;
        projection::tombstone(tx.conn().await?, &self.record_types, number).await?;
        self.effects.restored(&mut tx).await?;
        let moved =
            sqlx::query("update feed_cursors set position = $2, feed_id = $3 where feed = $1 and lease_epoch = $4")
                .bind(self.upstream.name())
                .bind(position)
                .bind(feed_id)
                .bind(epoch)
                .execute(tx.conn().await?)
                .await
                .map_err(Error::from)?;
        if moved.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(Stopped::LeaseLost);
        }
        self.service.commit(tx).await?;
        tracing::info!(upstream = self.upstream.name(), position, "took a snapshot");
        Ok(())
    }
}
