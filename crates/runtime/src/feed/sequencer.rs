//! Numbers committed events. Ids taken at insert commit out of order, and a reader would skip one; a position is given
//! only to what is committed, by one replica at a time, so a reader that has seen position n has seen all before it.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::db;
use crate::error::Error;
use crate::service::Service;

/// The channel that wakes other replicas' subscribers: a hint, with polling behind it.
pub(crate) const CHANNEL: &str = "concierge_feed";
/// The advisory lock of sequencers: one numbers at a time.
const LOCK: i64 = 0x0063_6f6e_6369_6572;
/// So many events are numbered at a time.
const BATCH: i64 = 2_000;
/// How often to look when nothing woke us: the bound for events of a replica that died between commit and numbering.
const POLL: Duration = Duration::from_millis(200);

/// Numbers events until told to stop, and publishes the head.
pub async fn run(service: Service, head: watch::Sender<i64>, stop: CancellationToken) {
    let mut wait = POLL;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = service.events().notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = match number(service.background()).await {
            Ok(new_head) => {
                publish(&head, new_head);
                POLL
            }
            Err(error) => {
                tracing::warn!(error = error.cause(), "cannot number events; trying again");
                (wait * 2).min(Duration::from_secs(5))
            }
        };
    }
}

/// Tells subscribers of a newer head.
fn publish(head: &watch::Sender<i64>, new_head: i64) {
    head.send_if_modified(|known| {
        let newer = new_head > *known;
        *known = new_head.max(*known);
        newer
    });
}

/// Numbers what is committed; returns the head. One round trip when there is nothing to do, four otherwise.
pub async fn number(pool: &PgPool) -> Result<i64, Error> {
    loop {
        let (waiting, head): (bool, i64) =
            sqlx::query_as("select exists (select from outbox where position is null), head from feed")
                .fetch_one(pool)
                .await?;
        db::note_answer();
        if !waiting {
            return Ok(head);
        }
        // The lock is taken in a statement of its own: the numbering statement's snapshot must be newer than the
        // commit of the sequencer before us.
        let mut tx = db::begin(pool, format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await?;
        sqlx::query(
            "with waiting as (select seq from outbox where position is null order by seq limit $1),
             numbered as (select seq, (select head from feed) + row_number() over (order by seq) as position from waiting),
             done as (update outbox o set position = n.position from numbered n where o.seq = n.seq returning o.position),
             moved as (update feed set head = head + (select count(*) from done) returning head)
             select pg_notify($2, head::text) from moved",
        )
        .bind(BATCH)
        .bind(CHANNEL)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
}

/// Hears other replicas' hints, until told to stop. Without them subscribers poll.
pub async fn listen(service: Service, head: watch::Sender<i64>, stop: CancellationToken) {
    let heard = async {
        loop {
            if let Ok(mut listener) = sqlx::postgres::PgListener::connect_with(service.background()).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                while let Ok(notification) = listener.recv().await {
                    if let Ok(new_head) = notification.payload().parse::<i64>() {
                        publish(&head, new_head);
                    }
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = heard => {}
    }
}
