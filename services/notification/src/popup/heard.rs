//! Tickets as they were last heard of, for the time when ticket-rule does not answer.

use concierge_proto::ticket_rule::Ticket;
use concierge_runtime::Error;
use concierge_runtime::feed::projection;
use sqlx::PgPool;

/// A ticket as it was last heard of. One round trip.
pub(super) async fn ticket(pool: &PgPool, id: &str) -> Result<Option<Ticket>, Error> {
    let mut connection = pool.acquire().await?;
    Ok(projection::get::<Ticket>(&mut connection, id).await?.map(|heard| heard.record))
}
