//! Readiness: a service is ready when its own database answers and has its schema. No other service counts.

use std::time::Duration;

use tokio::sync::watch;

use super::{Host, Program};
use crate::db;
use crate::server::Health;

/// Keeps the health true until the host stops; then the server says that it is not ready. Tells `own` once the database
/// is known to be this service's.
pub(super) async fn watch<P: Program>(host: Host, health: Health, own: watch::Sender<bool>) {
    let work = async {
        let mut was = None;
        loop {
            let ask = db::is_ready(host.service.background(), P::NAME, P::migrations());
            let answer = tokio::time::timeout(Duration::from_secs(2), ask).await;
            let ready = matches!(answer, Ok(Ok(true)));
            if ready {
                own.send_replace(true);
            }
            match &answer {
                Ok(Ok(_)) => db::note_answer(),
                // A pool tells of a server that it cannot reach only that no connection came.
                Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                    if let Err(unreachable) = db::reach(host.service.background()).await {
                        db::complain(&unreachable);
                    }
                }
                Ok(Err(error)) => db::complain(error),
            }
            if was != Some(ready) {
                health.set_ready(ready).await;
                if !ready {
                    tracing::warn!(
                        "the database does not answer, is another service's, or its schema is missing or old: see \
                         DATABASE_URL, and run `migrate`"
                    );
                }
            }
            was = Some(ready);
            tokio::time::sleep(if ready { Duration::from_secs(1) } else { Duration::from_millis(100) }).await;
        }
    };
    tokio::select! {
        () = host.stop.cancelled() => {}
        () = work => {}
    }
}
