//! Removes what has had its time: answers after a day, events after seven.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::answers;
use crate::error::Error;
use crate::feed::RETENTION;
use crate::service::Service;

/// So many rows are removed at a time, so that nobody waits for a long transaction.
const BATCH: i64 = 5_000;

/// Cleans up every ten minutes until told to stop. Several replicas at once do no harm.
pub async fn run(service: Service, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(600)) => {}
        }
        if let Err(error) = once(&service).await {
            tracing::warn!(error = error.cause(), "cannot clean up; trying again in ten minutes");
        }
    }
}

/// One clean-up.
pub async fn once(service: &Service) -> Result<(), Error> {
    let now = service.clock().now();
    loop {
        let removed = sqlx::query(
            "delete from answers where ctid = any(array(
                 select ctid from answers where create_time < $1 limit $2 for update skip locked))",
        )
        .bind(now - TimeDelta::hours(answers::KEPT_HOURS))
        .bind(BATCH)
        .execute(service.pool())
        .await?;
        if removed.rows_affected() == 0 {
            break;
        }
    }
    loop {
        // The floor moves with what is removed, so that a reader of an older position is told.
        let removed = sqlx::query(
            "with old as (select seq, position from outbox
                 where position is not null and time < $1 order by position limit $2 for update skip locked),
             gone as (delete from outbox using old where outbox.seq = old.seq returning old.position)
             update feed set floor = greatest(floor, (select max(position) from gone))
             where exists (select from gone)",
        )
        .bind(now - RETENTION)
        .bind(BATCH)
        .execute(service.pool())
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(());
        }
    }
}
