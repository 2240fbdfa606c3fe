//! Whether all that directory has told was heard: who was made a site's contact before a ticket was logged is told of
//! it, though the two are heard of on different ways.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use concierge_proto::event::ReadSnapshotRequest;
use concierge_proto::event::event_feed_service_client::EventFeedServiceClient;
use concierge_runtime::upstream::Upstream;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

/// How long directory has to say how far its feed goes.
const BUDGET: Duration = Duration::from_millis(300);
/// After no answer it is not asked for so long: those who are told wait for nothing.
const PAUSE: Duration = Duration::from_secs(2);
/// How long to wait for what directory has told and we have not heard.
const CATCH_UP: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Directory {
    upstream: Option<Upstream>,
    /// Until when it is not asked.
    pause_end: Mutex<Option<Instant>>,
}

impl Directory {
    pub(super) fn new(upstream: Option<Upstream>) -> Self {
        Self { upstream, pause_end: Mutex::default() }
    }

    /// True when everything was heard that directory had told before this call; false when it does not answer and what
    /// was heard before has to do. An error when nothing can be told yet: nothing was ever heard of directory, or it
    /// has told much that is still on its way.
    pub(super) async fn caught_up(&self, tx: &mut Tx) -> Result<bool, Error> {
        let behind = || Error::UpstreamUnavailable { service: "directory" };
        let Some((feed_id, head)) = self.head().await else {
            let heard: bool = sqlx::query_scalar(
                "select exists (select from feed_cursors where feed = 'directory' and feed_id is not null)",
            )
            .fetch_one(tx.conn().await?)
            .await?;
            return if heard { Ok(false) } else { Err(behind()) };
        };
        let until = Instant::now() + CATCH_UP;
        let mut wait = Duration::from_millis(1);
        loop {
            let cursor: Option<(Option<Uuid>, i64)> =
                sqlx::query_as("select feed_id, position from feed_cursors where feed = 'directory'")
                    .fetch_optional(tx.conn().await?)
                    .await?;
            if cursor.is_some_and(|(heard, position)| heard == Some(feed_id) && position >= head) {
                return Ok(true);
            }
            if Instant::now() + wait > until {
                return Err(behind());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(50));
        }
    }

    /// The feed's id and its newest position, as directory says it.
    async fn head(&self) -> Option<(Uuid, i64)> {
        let upstream = self.upstream.as_ref()?;
        let paused =
            self.pause_end.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| Instant::now() < end);
        if paused {
            return None;
        }
        let asked = async {
            // A snapshot begins with where the feed is; of no type there are no records.
            let request = upstream.request(ReadSnapshotRequest { record_types: vec!["none".to_owned()] });
            let mut parts = EventFeedServiceClient::new(upstream.channel()).read_snapshot(request).await?.into_inner();
            parts.message().await
        };
        let answer = tokio::time::timeout(upstream.patience(BUDGET), asked).await;
        let head = match answer {
            Ok(Ok(Some(part))) => part.feed_id.parse().ok().map(|id| (id, part.position)),
            _ => None,
        };
        let pause_end = if head.is_none() { Some(Instant::now() + PAUSE) } else { None };
        *self.pause_end.lock().unwrap_or_else(PoisonError::into_inner) = pause_end;
        head
    }
}
