//! Second evaluations: what was evaluated while directory did not answer is evaluated again once it does, on the same
//! ticket and rules with fresh facts.

mod correct;

use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::ticket_rule::Ticket;
use concierge_runtime::{Error, Tx};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::TicketRule;
use correct::{Corrected, correct};

/// How often to look whether something waits and directory is back.
const LOOK: Duration = Duration::from_millis(500);
/// So many are read at a time.
const BATCH: i64 = 100;

/// Remembers that an evaluation was made on stale facts, and of which version of the ticket it is part. One round trip.
pub(crate) async fn await_directory(tx: &mut Tx, evaluation_id: Uuid, ticket: &Ticket) -> Result<(), Error> {
    let ticket_id: Uuid = ticket.id.parse().map_err(Error::internal)?;
    let now = tx.now;
    sqlx::query(
        "insert into second_evaluations (evaluation_id, ticket_id, ticket_version, create_time) values ($1, $2, $3, $4)",
    )
    .bind(evaluation_id)
    .bind(ticket_id)
    .bind(ticket.version())
    .bind(now)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

/// Makes second evaluations until told to stop. Several replicas share the work.
pub async fn run(service: TicketRule, stop: CancellationToken) {
    let work = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = round(&service).await {
                tracing::warn!(%error, "cannot evaluate again; trying again");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Makes the second evaluations that wait, the oldest first, until directory does not answer.
async fn round(service: &TicketRule) -> Result<(), Error> {
    loop {
        let waiting: Vec<Uuid> = sqlx::query_scalar(
            "select evaluation_id from second_evaluations where done_time is null
             order by create_time, evaluation_id limit $1",
        )
        .bind(BATCH)
        .fetch_all(service.service.pool())
        .await?;
        let mut done = 0;
        for evaluation_id in &waiting {
            match correct(service, *evaluation_id).await? {
                Corrected::Done => done += 1,
                Corrected::TakenByAnother => {}
                Corrected::DirectoryAway => return Ok(()),
            }
        }
        if done == 0 {
            return Ok(());
        }
    }
}
