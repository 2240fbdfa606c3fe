//! Reading another service's feed: one leased reader among the replicas, each event's effect exactly once.

mod restore;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_proto::event::{Event, RecordChanged, SubscribeRequest};
use concierge_proto::record::datetime;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::lag::Lag;
use super::{LARGEST, payload, projection, reason};
use crate::error::Error;
use crate::layers::panic_text;
use crate::service::Service;
use crate::telemetry;
use crate::tx::Tx;
use crate::upstream::Upstream;

/// How long a reader that went silent keeps others away.
const LEASE: Duration = Duration::from_secs(5);
/// How often the reader renews, and others look whether it still does.
const RENEW: Duration = Duration::from_secs(1);
/// So many events share a transaction.
const BATCH: usize = 100;
/// A transaction takes no further event after so long: what was applied is kept, and the rest begins anew.
const WORK: Duration = Duration::from_secs(1);
/// How long the effect of one event may take.
const LONGEST: Duration = Duration::from_secs(600);
/// How long the next part of a snapshot may take to come.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a snapshot may take.
const SNAPSHOT: Duration = Duration::from_secs(3600);
/// How long to wait after a first failure.
const SHORT: Duration = Duration::from_millis(25);
/// How long the end of the reader may wait for the lease to be given back.
const PARTING: Duration = Duration::from_secs(1);

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
    /// The stream ended as streams do, with its token or its server: the next one goes on from the cursor.
    Ended,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<tonic::Status> for Stopped {
    fn from(status: tonic::Status) -> Self {
        // By the reason: transport answers OUT_OF_RANGE too, of a message that is too large, and a snapshot in place of
        // events would lose their effects.
        match reason(&status).as_str() {
            "FEED_POSITION_OUT_OF_RANGE" => Self::OutOfRange,
            "TOKEN_EXPIRED" | "TOKEN_REVOKED" | "SHUTTING_DOWN" => Self::Ended,
            _ => Self::Failed(Error::internal(status)),
        }
    }
}

/// How long to wait after one more failure.
fn longer(wait: Duration) -> Duration {
    (wait * 2).clamp(SHORT, Duration::from_secs(2))
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
        // The lease that is held; 0: none.
        let held = AtomicI64::new(0);
        // There from the beginning, so that a first failure is an increase.
        metrics::counter!("concierge_feed_failures_total", "feed" => self.upstream.name()).increment(0);
        let lag = Lag::new(self.upstream.name(), Arc::clone(self.service.clock()));
        let work = async {
            let mut wait = SHORT;
            loop {
                match self.lease(me).await {
                    Ok(Some(cursor)) => {
                        let epoch = cursor.epoch;
                        held.store(epoch, Ordering::Relaxed);
                        lag.deaf();
                        let began = Instant::now();
                        // A panic over one event is a failure of this feed, not the end of the process.
                        let read = AssertUnwindSafe(self.hold(cursor, &lag)).catch_unwind().await;
                        if began.elapsed() > LEASE {
                            wait = SHORT;
                        }
                        let stopped =
                            read.unwrap_or_else(|panic| Stopped::Failed(Error::internal(panic_text(&*panic))));
                        lag.deaf();
                        wait = match stopped {
                            Stopped::LeaseLost => RENEW,
                            Stopped::OutOfRange => SHORT,
                            Stopped::Ended => {
                                self.upstream.renew();
                                longer(wait)
                            }
                            Stopped::Failed(error) => self.failed(&error, wait),
                        };
                        let _ = self.release(epoch).await;
                        held.store(0, Ordering::Relaxed);
                    }
                    Ok(None) => {
                        lag.none();
                        wait = RENEW;
                    }
                    Err(error) => {
                        lag.deaf();
                        wait = self.failed(&error, wait);
                    }
                }
                let jitter = rand::rng().random_range(0.8..1.2);
                tokio::time::sleep(wait.mul_f64(jitter)).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
            () = lag.run() => {}
        }
        // Another replica, or this one started again, reads on at once.
        let epoch = held.into_inner();
        if epoch != 0 {
            let _ = tokio::time::timeout(PARTING, self.release(epoch)).await;
        }
    }

    /// Reads while the lease lasts; takes a snapshot when what comes next is not there any more.
    async fn hold(&self, cursor: Cursor, lag: &Lag) -> Stopped {
        let epoch = cursor.epoch;
        match self.read(cursor, lag).await {
            Stopped::OutOfRange => {
                tracing::warn!(upstream = self.upstream.name(), "the feed does not have what comes next any more");
                let restoring = self.restore(epoch);
                match self.keeping(epoch, restoring).await {
                    Ok(()) => Stopped::OutOfRange,
                    Err(stopped) => stopped,
                }
            }
            stopped => stopped,
        }
    }

    /// Does work that may take longer than the lease, which is renewed meanwhile.
    async fn keeping<T>(&self, epoch: i64, work: impl Future<Output = Result<T, Stopped>>) -> Result<T, Stopped> {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW).await;
                // A database that hesitates is no loss: the work's own transaction finds out whose cursor it is.
                if let Err(Stopped::LeaseLost) = self.renew(epoch).await {
                    return;
                }
            }
        };
        // Both go on at once: a renewal may wait for the row that the work is about to commit.
        tokio::select! {
            done = work => done,
            () = renewing => Err(Stopped::LeaseLost),
        }
    }

    fn failed(&self, error: &Error, wait: Duration) -> Duration {
        tracing::warn!(upstream = self.upstream.name(), error = error.cause(), "the feed stopped; trying again");
        metrics::counter!("concierge_feed_failures_total", "feed" => self.upstream.name()).increment(1);
        longer(wait)
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
        .fetch_optional(self.service.background())
        .await?;
        Ok(leased.map(|(feed_id, position, epoch)| Cursor { feed_id, position, epoch }))
    }

    async fn release(&self, epoch: i64) -> Result<(), Error> {
        sqlx::query("update feed_cursors set lease_until = '-infinity' where feed = $1 and lease_epoch = $2")
            .bind(self.upstream.name())
            .bind(epoch)
            .execute(self.service.background())
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
        .execute(self.service.background())
        .await
        .map_err(Error::from)?;
        if renewed.rows_affected() == 1 { Ok(()) } else { Err(Stopped::LeaseLost) }
    }

    /// Reads and applies until something stops it.
    async fn read(&self, cursor: Cursor, lag: &Lag) -> Stopped {
        match self.try_read(cursor, lag).await {
            Ok(never) => match never {},
            Err(stopped) => stopped,
        }
    }

    async fn try_read(&self, mut cursor: Cursor, lag: &Lag) -> Result<std::convert::Infallible, Stopped> {
        let mut client = EventFeedServiceClient::new(self.upstream.channel())
            .max_decoding_message_size(LARGEST)
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
            let mut events = part.events.as_slice();
            // Once more without any moves past what was filtered out.
            while !events.is_empty() || part.position > cursor.position || cursor.feed_id != Some(feed_id) {
                if let Some(time) = events.first().and_then(|event| datetime(event.time.as_ref()?)) {
                    lag.behind(time);
                }
                let epoch = cursor.epoch;
                let applied = self.keeping(epoch, self.apply(&mut cursor, feed_id, part.position, events)).await?;
                events = events.get(applied..).unwrap_or_default();
            }
            lag.none();
            metrics::gauge!("concierge_feed_position", "feed" => self.upstream.name()).set(part.position as f64);
        }
    }

    /// The effects of the first of these events and the cursor's move, in one transaction; neither without the other.
    /// As many as are done in about a second, one at least; answers with how many. The last moves the cursor to `end`.
    async fn apply(&self, cursor: &mut Cursor, feed_id: Uuid, end: i64, events: &[Event]) -> Result<usize, Stopped> {
        let mut tx = self.service.begin_within(LONGEST).await?;
        let began = Instant::now();
        let mut applied = 0;
        for event in events.iter().take(BATCH) {
            let span = telemetry::work_span(&format!("apply {}", event.r#type), &event.traceparent);
            tx.cause = event.id.parse().ok();
            tx.trace(&telemetry::traceparent_within(&span, &event.traceparent));
            // What the effect asks of others is asked under the event's trace.
            let call = Arc::clone(&tx.call);
            call.scope(self.apply_one(&mut tx, event)).instrument(span).await?;
            applied += 1;
            if began.elapsed() > WORK {
                break;
            }
        }
        let to = match events.get(applied) {
            None => end,
            Some(_) => events.get(applied.saturating_sub(1)).map_or(cursor.position, |last| last.position),
        };
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
        if applied > 0 {
            self.effects.committed().await;
        }
        Ok(applied)
    }

    async fn apply_one(&self, tx: &mut Tx, event: &Event) -> Result<(), Error> {
        if let Some(change) = payload::<RecordChanged>(event) {
            projection::keep(tx.conn().await?, &change).await?;
        }
        self.effects.apply(tx, event).await
    }
}
