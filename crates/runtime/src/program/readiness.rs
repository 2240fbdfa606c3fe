//! Readiness: a service is ready when its own database answers. No other service counts.

use std::time::Duration;

use super::Host;
use crate::db;
use crate::server::Health;

/// Keeps the health true until the host stops; then the server says that it is not ready.
pub(super) async fn watch(host: Host, health: Health) {
    let work = async {
        let mut was = None;
        loop {
            let ask = sqlx::query("select feed_id from feed").execute(host.service.background());
            let ready = tokio::time::timeout(Duration::from_secs(2), ask).await.is_ok_and(|answer| answer.is_ok());
            if ready {
                db::note_answer();
            }
            if was != Some(ready) {
                health.set_ready(ready).await;
                if !ready {
                    tracing::warn!("the database does not answer, or its schema is missing: run `migrate`");
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
