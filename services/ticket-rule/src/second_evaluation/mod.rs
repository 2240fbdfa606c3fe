//! Second evaluations: what was evaluated while directory did not answer is evaluated again once it does, on the same
//! ticket and rules with fresh facts.

mod correct;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use concierge_runtime::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::TicketRule;
use correct::{Corrected, correct};

/// How often to look whether something waits and directory is back.
const LOOK: Duration = Duration::from_millis(500);
/// So many are read at a time.
const BATCH: i64 = 100;
/// How often to remove what was done long ago.
const CLEAN_UP: Duration = Duration::from_secs(3_600);
/// So long it is remembered that a second evaluation was made.
const KEPT: TimeDelta = TimeDelta::days(7);
/// So many rows are removed at a time.
const REMOVED: i64 = 5_000;

/// Makes second evaluations until told to stop. Several replicas share the work.
pub async fn run(service: TicketRule, stop: CancellationToken) {
    let work = async {
        let mut cleaned: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = round(&service).await {
                tracing::warn!(error = error.cause(), "cannot evaluate again; trying again");
            }
            if cleaned.is_none_or(|last| last.elapsed() >= CLEAN_UP) {
                cleaned = Some(Instant::now());
                if let Err(error) = clean_up(&service).await {
                    tracing::warn!(
                        error = error.cause(),
                        "cannot remove what was evaluated again; trying again in an hour"
                    );
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Makes the second evaluations that wait, the oldest first, until directory does not answer. One that fails is left for
/// the next round, with those of its ticket that come after it; it keeps no other ticket waiting.
async fn round(service: &TicketRule) -> Result<(), Error> {
    let mut after = (DateTime::<Utc>::UNIX_EPOCH, Uuid::nil());
    let mut left: HashSet<Uuid> = HashSet::new();
    loop {
        let waiting: Vec<(Uuid, Uuid, DateTime<Utc>)> = sqlx::query_as(
            "select evaluation_id, ticket_id, create_time from second_evaluations
             where done_time is null and (create_time, evaluation_id) > ($1, $2)
             order by create_time, evaluation_id limit $3",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(BATCH)
        .fetch_all(service.service.pool())
        .await?;
        let Some((last, _, time)) = waiting.last() else { return Ok(()) };
        after = (*time, *last);
        for (evaluation_id, ticket_id, _) in &waiting {
            if left.contains(ticket_id) {
                continue;
            }
            match correct(service, *evaluation_id).await {
                Ok(Corrected::Done) => {}
                Ok(Corrected::DirectoryAway) => return Ok(()),
                Ok(Corrected::TakenByAnother) => {
                    left.insert(*ticket_id);
                }
                Err(error) => {
                    tracing::error!(error = error.cause(), %evaluation_id, %ticket_id, "an evaluation cannot be made again");
                    left.insert(*ticket_id);
                }
            }
        }
    }
}

/// Forgets what was done long ago. While another one of the ticket waits, what second evaluations wrote must be known.
pub async fn clean_up(service: &TicketRule) -> Result<(), Error> {
    let before = service.service.clock().now() - KEPT;
    loop {
        let removed = sqlx::query(
            "delete from second_evaluations where evaluation_id = any(array(
                 select s.evaluation_id from second_evaluations s
                 where s.done_time < $1
                   and not exists (select from second_evaluations w
                                   where w.ticket_id = s.ticket_id and w.done_time is null)
                 limit $2 for update skip locked))",
        )
        .bind(before)
        .bind(REMOVED)
        .execute(service.service.pool())
        .await?;
        if removed.rows_affected() == 0 {
            return Ok(());
        }
    }
}
