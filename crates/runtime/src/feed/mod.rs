//! The feed: a service's outbox, numbered after commit and told to other services in order.
//!
//! [`sequencer`] gives positions, [`server`] streams and snapshots, [`consumer`] reads another service's feed with one
//! leased reader and applies each event once, [`projection`] keeps what was heard of other services' records,
//! [`revocations`] hears of tokens taken away in every replica.

pub mod consumer;
mod lag;
pub mod projection;
pub mod revocations;
pub mod sequencer;
pub mod server;

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::event::Event;
use concierge_proto::record::timestamp;
use prost::Message;
use prost_types::Any;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::error::Error;
use crate::outbox::type_url;

/// How long events are kept. A consumer that was away for longer reads a snapshot.
pub const RETENTION: TimeDelta = TimeDelta::days(7);

/// A message holds so many bytes of events or records; one that is larger goes alone. A little less than what readers
/// take that set no limit of their own, 4 MiB.
const PART: usize = (4 << 20) - (256 << 10);
/// What an event is counted for beside its payload, at most about.
const ENVELOPE: usize = 512;

/// The largest message that a reader takes: a part, and far more than any one record.
pub(crate) const LARGEST: usize = 256 << 20;

/// Cuts what is to be sent into messages of about [`PART`] bytes, each of one at least.
pub(crate) fn parts<M: Message>(items: Vec<M>) -> Vec<Vec<M>> {
    let mut parts = Vec::new();
    let (mut part, mut size) = (Vec::new(), 0);
    for item in items {
        let bytes = item.encoded_len();
        if !part.is_empty() && size + bytes > PART {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += bytes;
        part.push(item);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The reason that a status tells programs; empty when it tells none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Which feed this is, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) feed_id: Uuid,
    /// The position of the newest event.
    pub(crate) head: i64,
    /// The position up to which events are gone.
    pub(crate) floor: i64,
}

impl Extent {
    /// The failure of who asks for what comes after a position that this feed does not have.
    pub(crate) fn lacks(&self, position: i64) -> Error {
        Error::FeedPosition { position, feed_id: self.feed_id, first: self.floor + 1, head: self.head }
    }
}

pub(crate) async fn extent(pool: &PgPool) -> Result<Extent, Error> {
    let row = sqlx::query("select feed_id, head, floor from feed").fetch_one(pool).await?;
    Ok(Extent { feed_id: row.try_get(0)?, head: row.try_get(1)?, floor: row.try_get(2)? })
}

/// Events after a position, in order, at most `limit`, and no more than fill a message; true when there may be more.
pub(crate) async fn read(pool: &PgPool, source: &str, after: i64, limit: i64) -> Result<(Vec<Event>, bool), Error> {
    let rows = sqlx::query(
        "select id, type, subject, time, traceparent, cause, position, payload_type, payload from (
             select *, sum(octet_length(payload) + $4) over (order by position) - octet_length(payload) - $4 as before
             from outbox where position > $1 order by position limit $2) as o
         where before < $3 order by position",
    )
    .bind(after)
    .bind(limit)
    .bind(PART as i64)
    .bind(ENVELOPE as i32)
    .fetch_all(pool)
    .await?;
    let mut events: Vec<Event> = rows.iter().map(|row| event(row, source)).collect::<Result<_, _>>()?;
    let counted = |event: &Event| event.payload.as_ref().map_or(0, |any| any.value.len()) + ENVELOPE;
    let bytes: usize = events.iter().map(counted).sum();
    let more = bytes >= PART || i64::try_from(events.len()).is_ok_and(|read| read >= limit);
    // The one that did not fit any more comes with the next message.
    if bytes > PART && events.len() > 1 {
        events.pop();
    }
    Ok((events, more))
}

fn event(row: &PgRow, source: &str) -> Result<Event, Error> {
    let time: DateTime<Utc> = row.try_get(3)?;
    let cause: Option<Uuid> = row.try_get(5)?;
    let payload_type: String = row.try_get(7)?;
    Ok(Event {
        id: row.try_get::<Uuid, _>(0)?.to_string(),
        source: source.to_owned(),
        r#type: row.try_get(1)?,
        subject: row.try_get(2)?,
        time: Some(timestamp(time)),
        traceparent: row.try_get(4)?,
        cause: cause.map(|c| c.to_string()).unwrap_or_default(),
        position: row.try_get(6)?,
        payload: Some(Any { type_url: type_url(&payload_type), value: row.try_get(8)? }),
    })
}

/// True when one of the wanted types names the event's; no wanted types mean all.
pub(crate) fn wanted(types: &[String], event_type: &str) -> bool {
    types.is_empty()
        || types.iter().any(|t| match t.strip_suffix(".*") {
            Some(stem) => event_type.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')),
            None => t == event_type,
        })
}

/// Decodes an event's payload, if it is of that type.
pub fn payload<M: prost::Message + prost::Name + Default>(event: &Event) -> Option<M> {
    let any = event.payload.as_ref()?;
    (any.type_url == type_url(&M::full_name())).then(|| M::decode(any.value.as_slice()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use concierge_proto::event::Revocation;

    use super::{parts, wanted};

    #[test]
    fn a_part_has_its_size_and_one_item_at_least() {
        let of = |kilobytes: usize| Revocation { why: "x".repeat(kilobytes << 10), ..Default::default() };
        let items = [1500, 1500, 1500, 9000, 1, 1].map(of).to_vec();
        let parts: Vec<Vec<usize>> =
            parts(items).iter().map(|p| p.iter().map(|r| r.why.len() >> 10).collect()).collect();
        assert_eq!(parts, [vec![1500, 1500], vec![1500], vec![9000], vec![1, 1]]);
        assert!(super::parts::<Revocation>(Vec::new()).is_empty());
    }

    #[test]
    fn a_trailing_star_stands_for_every_verb_of_exactly_that_record() {
        let types = vec!["site.*".to_owned(), "ticket.logged".to_owned()];
        assert!(wanted(&types, "site.created") && wanted(&types, "ticket.logged") && wanted(&[], "anything"));
        assert!(!wanted(&types, "site_contact.created") && !wanted(&types, "ticket.closed"));
    }
}
