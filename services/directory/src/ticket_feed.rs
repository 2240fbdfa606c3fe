//! What the directory hears of tickets: how many are open, and what happened lately, for the overviews of customers,
//! sites and users. Every event takes effect once: it moves the cursor in the transaction of its effect.

use chrono::{DateTime, Utc};
use concierge_proto::directory::ActivityKind;
use concierge_proto::event::{Event, RecordChanged, TicketCounting, TicketEvent, TicketEventKind};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{StatusCategory, Ticket};
use concierge_runtime::feed::consumer::{Consumer, Effects};
use concierge_runtime::feed::{payload, projection};
use concierge_runtime::program::{Host, Task};
use concierge_runtime::{Error, Tx};
use futures::future::BoxFuture;
use uuid::Uuid;

/// The consumer, if there is a ticket-rule service to listen to.
pub(crate) fn task(host: &Host) -> Option<Task> {
    let consumer = Consumer {
        service: host.service.clone(),
        upstream: host.ticket_rule.clone()?,
        types: vec!["ticket.*".to_owned()],
        record_types: vec!["ticket".to_owned()],
        effects: Tickets,
    };
    Some(Box::pin(consumer.run(host.stop.clone())))
}

/// Keeps what counts, and what happened.
#[derive(Clone, Copy, Debug)]
struct Tickets;

impl Effects for Tickets {
    fn apply<'a>(&'a self, tx: &'a mut Tx, event: &'a Event) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(told) = payload::<TicketEvent>(event) else { return Ok(()) };
            let Some(ticket) = &told.ticket else { return Ok(()) };
            let time = event.time.as_ref().and_then(datetime).unwrap_or(tx.now);
            let counting = told.counted_after.clone().unwrap_or_else(|| counting(ticket));
            keep(tx, ticket, &counting, told.version, time, false).await?;
            remember(tx, event, &told, ticket, &counting, time).await
        })
    }

    fn restore<'a>(&'a self, tx: &'a mut Tx, change: &'a RecordChanged) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(ticket) = projection::record::<Ticket>(change) else { return Ok(()) };
            let time = ticket.update_time.as_ref().and_then(datetime).unwrap_or(tx.now);
            keep(tx, &ticket, &counting(&ticket), change.version, time, true).await
        })
    }

    fn restored<'a>(&'a self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query(
                "delete from ticket_projection t where not exists (
                     select from projections p where p.record_type = 'ticket' and p.record_id = t.ticket_id
                         and not p.deleted)",
            )
            .execute(tx.conn().await?)
            .await?;
            Ok(())
        })
    }
}

/// In which counts a ticket takes part, by the ticket alone.
fn counting(ticket: &Ticket) -> TicketCounting {
    let open = matches!(ticket.status_category(), StatusCategory::New | StatusCategory::Open | StatusCategory::OnHold);
    TicketCounting {
        open,
        user_id: ticket.user_id.clone(),
        site_id: ticket.site_id.clone(),
        customer_id: ticket.customer_id.clone(),
        ..TicketCounting::default()
    }
}

fn id(text: &str) -> Option<Uuid> {
    text.parse().ok()
}

/// Keeps the newest version of a ticket; in a snapshot, whatever it holds: a restored database has older ones.
async fn keep(
    tx: &mut Tx,
    ticket: &Ticket,
    counting: &TicketCounting,
    version: i64,
    time: DateTime<Utc>,
    is_snapshot: bool,
) -> Result<(), Error> {
    let Some(ticket_id) = id(&ticket.id) else { return Ok(()) };
    sqlx::query(
        "insert into ticket_projection as t
             (ticket_id, number, summary, customer_id, site_id, user_id, open, version, update_time)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (ticket_id) do update set number = excluded.number, summary = excluded.summary,
             customer_id = excluded.customer_id, site_id = excluded.site_id, user_id = excluded.user_id,
             open = excluded.open, version = excluded.version, update_time = excluded.update_time
         where $10 or t.version < excluded.version",
    )
    .bind(ticket_id)
    .bind(ticket.number)
    .bind(&ticket.summary)
    .bind(id(&counting.customer_id))
    .bind(id(&counting.site_id))
    .bind(id(&counting.user_id))
    .bind(counting.open)
    .bind(version)
    .bind(time)
    .bind(is_snapshot)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

/// What an event is among the activity of a customer, each kind once.
fn kinds(told: &TicketEvent) -> Vec<ActivityKind> {
    let mut kinds: Vec<ActivityKind> = told
        .kinds()
        .filter_map(|kind| match kind {
            TicketEventKind::Unspecified | TicketEventKind::RulesMatched => None,
            TicketEventKind::Logged => Some(ActivityKind::TicketLogged),
            TicketEventKind::Closed => Some(ActivityKind::TicketClosed),
            TicketEventKind::ActionAdded => Some(ActivityKind::ActionAdded),
            // The status, or what a second evaluation corrected, is a field like any other.
            TicketEventKind::Reopened
            | TicketEventKind::Updated
            | TicketEventKind::Reevaluated
            | TicketEventKind::Merged => Some(ActivityKind::TicketUpdated),
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

async fn remember(
    tx: &mut Tx,
    event: &Event,
    told: &TicketEvent,
    ticket: &Ticket,
    counting: &TicketCounting,
    time: DateTime<Utc>,
) -> Result<(), Error> {
    let (Some(event_id), Some(ticket_id)) = (id(&event.id), id(&ticket.id)) else { return Ok(()) };
    let time = told.happened_time.as_ref().and_then(datetime).unwrap_or(time);
    for (seq, kind) in kinds(told).into_iter().enumerate() {
        let action = told.ticket_action.as_ref().filter(|_| kind == ActivityKind::ActionAdded);
        sqlx::query(
            "insert into activity (event_id, seq, time, kind, ticket_id, text, action_id, customer_id, site_id, user_id,
                 actor_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
        )
        .bind(event_id)
        .bind(i32::try_from(seq).unwrap_or(i32::MAX))
        .bind(time)
        .bind(kind as i32)
        .bind(ticket_id)
        .bind(&ticket.summary)
        .bind(action.and_then(|a| id(&a.id)))
        .bind(id(&counting.customer_id))
        .bind(id(&counting.site_id))
        .bind(id(&counting.user_id))
        .bind(&told.actor_id)
        .execute(tx.conn().await?)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_once_a_kind() {
        let told = |kinds: &[TicketEventKind]| TicketEvent {
            kinds: kinds.iter().map(|k| *k as i32).collect(),
            ..TicketEvent::default()
        };
        use TicketEventKind::{ActionAdded, Closed, Logged, Reevaluated, Reopened, Updated};
        assert_eq!(kinds(&told(&[Logged])), [ActivityKind::TicketLogged]);
        assert_eq!(kinds(&told(&[Reopened, Updated, Reevaluated])), [ActivityKind::TicketUpdated]);
        assert_eq!(
            kinds(&told(&[Closed, ActionAdded, Updated])),
            [ActivityKind::ActionAdded, ActivityKind::TicketUpdated, ActivityKind::TicketClosed]
        );
    }
}
