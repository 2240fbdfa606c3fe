//! Tickets and their actions as tables.

use chrono::TimeDelta;
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{Ticket, TicketAction};
use concierge_runtime::{Error, Resource, Tx};
use sqlx::PgPool;
use uuid::Uuid;

/// The table of tickets. Written with `Tx::store_told`: a change of a ticket is told by a `TicketEvent`.
#[derive(Clone, Copy, Debug)]
pub struct Tickets;

impl Resource for Tickets {
    type Record = Ticket;

    const TABLE: &'static str = "tickets";
    const CUSTOMER: Option<&'static str> = Some("customer_id");
    const SITE: Option<&'static str> = Some("site_id");
    const USER: Option<&'static str> = Some("user_id");
}

/// The unique index of ids from other systems.
pub(super) const EXTERNAL_ID: &str = "tickets_external_id";

/// The table of actions. They do not change, and the `TicketEvent` of their ticket tells of them.
#[derive(Clone, Copy, Debug)]
pub struct TicketActions;

impl Resource for TicketActions {
    type Record = TicketAction;

    const TABLE: &'static str = "ticket_actions";
}

/// What a new ticket begins with: the newest revision of the rule set, which stays the newest until the end of the
/// transaction, a number, and the ticket that has its external id already. One round trip.
pub(super) async fn begin(tx: &mut Tx, ticket: &Ticket) -> Result<(i64, i64, Option<Uuid>), Error> {
    let row = sqlx::query_as(
        "select configuration_revision(), nextval('ticket_numbers'),
             (select id from tickets where external_source = $1 and external_id = $2 and external_id <> '')",
    )
    .bind(&ticket.external_source)
    .bind(&ticket.external_id)
    .fetch_one(tx.conn().await?)
    .await?;
    Ok(row)
}

/// The ticket with an external id. One round trip.
pub(super) async fn by_external_id(pool: &PgPool, source: &str, external_id: &str) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar(
        "select id from tickets where external_source = $1 and external_id = $2 and external_id <> ''",
    )
    .bind(source)
    .bind(external_id)
    .fetch_optional(pool)
    .await?;
    Ok(id)
}

/// How long a ticket was on hold before its first response. One round trip.
pub(crate) async fn response_held(tx: &mut Tx, id: &str) -> Result<TimeDelta, Error> {
    let id: Uuid = id.parse().map_err(Error::internal)?;
    let micros: i64 = sqlx::query_scalar("select response_held from tickets where id = $1")
        .bind(id)
        .fetch_one(tx.conn().await?)
        .await?;
    Ok(TimeDelta::microseconds(micros))
}

/// Keeps how long a ticket was on hold before its first response. One round trip.
pub(crate) async fn keep_response_held(tx: &mut Tx, id: &str, held: TimeDelta) -> Result<(), Error> {
    let id: Uuid = id.parse().map_err(Error::internal)?;
    sqlx::query("update tickets set response_held = $2 where id = $1")
        .bind(id)
        .bind(held.num_microseconds().unwrap_or(i64::MAX))
        .execute(tx.conn().await?)
        .await?;
    Ok(())
}

/// The action that was added to a ticket with an external id, wherever it is now. One round trip, none without an external id.
pub(super) async fn action_by_external_id(
    tx: &mut Tx,
    ticket_id: &str,
    action: &TicketAction,
) -> Result<Option<Uuid>, Error> {
    if action.external_id.is_empty() {
        return Ok(None);
    }
    let ticket: Uuid = ticket_id.parse().map_err(Error::internal)?;
    let id = sqlx::query_scalar(
        "select id from ticket_actions
         where coalesce(original_ticket_id, ticket_id) = $1 and external_source = $2 and external_id = $3
           and external_id <> ''",
    )
    .bind(ticket)
    .bind(&action.external_source)
    .bind(&action.external_id)
    .fetch_optional(tx.conn().await?)
    .await?;
    Ok(id)
}

/// A new action of a ticket whose row is locked. One round trip.
pub(super) async fn insert_action(tx: &mut Tx, action: &TicketAction) -> Result<(), Error> {
    let id: Uuid = action.id.parse().map_err(Error::internal)?;
    let ticket: Uuid = action.ticket_id.parse().map_err(Error::internal)?;
    let now = tx.now;
    sqlx::query(
        "insert into ticket_actions (id, ticket_id, text, visibility, author_kind, author_id, author_name, external_id,
             external_source, action_time, create_time, update_time, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1)",
    )
    .bind(id)
    .bind(ticket)
    .bind(&action.text)
    .bind(action.visibility)
    .bind(action.author_kind)
    .bind(action.author_id.parse::<Uuid>().ok())
    .bind(&action.author_name)
    .bind(&action.external_id)
    .bind(&action.external_source)
    .bind(action.action_time.as_ref().and_then(datetime).unwrap_or(now))
    .bind(now)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

/// Keeps other merges waiting until the end of the transaction; answers with the tickets that were merged into these
/// before. Two round trips.
pub(super) async fn lock_merges(tx: &mut Tx, ids: &[String]) -> Result<Vec<String>, Error> {
    sqlx::query("select pg_advisory_xact_lock(merge_lock())").execute(tx.conn().await?).await?;
    // A statement of its own: it sees what the holder before committed.
    let ids = uuids(ids.iter())?;
    let merged: Vec<Uuid> = sqlx::query_scalar("select id from tickets where merged_into_id = any($1) order by id")
        .bind(ids)
        .fetch_all(tx.conn().await?)
        .await?;
    Ok(merged.iter().map(Uuid::to_string).collect())
}

/// Makes the actions of tickets those of another one; the rows of all of them are locked. One round trip.
pub(super) async fn move_actions(tx: &mut Tx, target: &Ticket, sources: &[Ticket]) -> Result<(), Error> {
    let into: Uuid = target.id.parse().map_err(Error::internal)?;
    let from = uuids(sources.iter().map(|source| &source.id))?;
    let now = tx.now;
    sqlx::query(
        "update ticket_actions
         set ticket_id = $1, original_ticket_id = coalesce(original_ticket_id, ticket_id),
             update_time = $3, version = version + 1
         where ticket_id = any($2)",
    )
    .bind(into)
    .bind(from)
    .bind(now)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

fn uuids<'a>(ids: impl Iterator<Item = &'a String>) -> Result<Vec<Uuid>, Error> {
    ids.map(|id| id.parse().map_err(Error::internal)).collect()
}
