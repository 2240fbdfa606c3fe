//! Removes what has had its time: deliveries, inbox items, answers to requests for test e-mails.

use std::time::Duration;

use chrono::TimeDelta;
use concierge_runtime::program::Host;
use concierge_runtime::{Error, Service};

/// How long deliveries are kept that are not to be tried any more, and inbox items that nobody read.
pub const DELIVERIES: TimeDelta = TimeDelta::days(400);
/// How long inbox items are kept once they are read.
pub const READ_ITEMS: TimeDelta = TimeDelta::days(90);
/// How long a repeated request for a test e-mail gets the first answer.
const TEST_EMAILS: TimeDelta = TimeDelta::hours(24);
/// How often to look.
const PAUSE: Duration = Duration::from_secs(600);
/// So many rows are removed at a time, so that nobody waits for a long transaction.
const BATCH: i64 = 5_000;

/// What is removed, and after how long. `$1` is the time before which it goes, `$2` how many at most.
const OLD: [(&str, TimeDelta); 4] = [
    (
        "delete from deliveries where ctid = any(array(
             select ctid from deliveries where create_time < $1 and state in (3, 5, 6) order by create_time
             limit $2 for update skip locked))",
        DELIVERIES,
    ),
    (
        "delete from inbox_items where ctid = any(array(
             select ctid from inbox_items where read_time < $1 limit $2 for update skip locked))",
        READ_ITEMS,
    ),
    (
        "delete from inbox_items where ctid = any(array(
             select ctid from inbox_items where create_time < $1 limit $2 for update skip locked))",
        DELIVERIES,
    ),
    (
        "delete from test_emails where ctid = any(array(
             select ctid from test_emails where create_time < $1 limit $2 for update skip locked))",
        TEST_EMAILS,
    ),
];

/// Cleans up every ten minutes until the host stops. Several replicas at once do no harm.
pub(crate) async fn run(host: Host) {
    loop {
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            cleaned = once(&host.service) => if let Err(error) = cleaned {
                tracing::warn!(error = error.cause(), "cannot remove what is old; trying again in ten minutes");
            },
        }
    }
}

/// One clean-up.
pub async fn once(service: &Service) -> Result<(), Error> {
    let now = service.clock().now();
    for (sql, age) in OLD {
        loop {
            let removed = sqlx::query(sql).bind(now - age).bind(BATCH).execute(service.pool()).await?;
            if removed.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
}
