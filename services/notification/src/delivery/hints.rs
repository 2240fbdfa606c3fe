//! Hints that something came into an inbox, for those who watch it in any replica. A hint may be lost: behind each there
//! is a look into the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use concierge_runtime::Error;
use concierge_runtime::program::Host;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::desk::Desk;

/// The channel that tells other replicas.
const CHANNEL: &str = "concierge_inbox";
/// A notification of Postgres takes just under 8,000 bytes: so many ids of 36 characters and a comma.
const OWNERS: usize = 200;
/// How often each replica looks for what it was not told.
const POLL: Duration = Duration::from_millis(500);
/// How far back it looks: longer than a transaction that puts items there may take.
const WINDOW: TimeDelta = TimeDelta::seconds(30);

/// Tells every replica, this one at once.
pub(crate) async fn tell(pool: &PgPool, desk: &Desk, owners: Vec<Uuid>) {
    desk.wake_inboxes(owners.iter().copied());
    for some in owners.chunks(OWNERS) {
        let text: Vec<String> = some.iter().map(Uuid::to_string).collect();
        let told = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(text.join(",")).execute(pool).await;
        if let Err(error) = told {
            tracing::debug!(%error, "cannot hint at new inbox items; replicas find them by themselves");
        }
    }
}

/// Hears the hints of other replicas, until the host stops.
pub(crate) async fn listen(host: Host) {
    let desk: Arc<Desk> = host.service.shared();
    let heard = async {
        loop {
            if let Ok(mut listener) = PgListener::connect_with(host.service.pool()).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                while let Ok(hint) = listener.recv().await {
                    desk.wake_inboxes(hint.payload().split(',').filter_map(|id| id.parse().ok()));
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = host.stop.cancelled() => {}
        () = heard => {}
    }
}

/// Looks for what came into inboxes, in case a hint was lost, until the host stops.
pub(crate) async fn poll(host: Host) {
    let desk: Arc<Desk> = host.service.shared();
    let mut known: HashMap<Uuid, i64> = HashMap::new();
    let looked = async {
        loop {
            tokio::time::sleep(POLL).await;
            if !desk.watches_any() {
                known.clear();
                continue;
            }
            match recent(&host).await {
                Ok(recent) => {
                    let moved = recent.iter().filter(|(owner, position)| known.get(*owner) != Some(*position));
                    desk.wake_inboxes(moved.map(|(owner, _)| *owner));
                    known = recent;
                }
                Err(error) => tracing::debug!(%error, "cannot look for new inbox items; trying again"),
            }
        }
    };
    tokio::select! {
        () = host.stop.cancelled() => {}
        () = looked => {}
    }
}

async fn recent(host: &Host) -> Result<HashMap<Uuid, i64>, Error> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("select owner_id, last_position from inboxes where update_time > $1")
        .bind(host.clock().now() - WINDOW)
        .fetch_all(host.service.pool())
        .await?;
    Ok(rows.into_iter().collect())
}
