//! What ticket-rule's events said of customers, sites and users, for overviews.

use chrono::{DateTime, Utc};
use concierge_proto::directory::ActivityEntry;
use concierge_proto::record::timestamp;
use concierge_runtime::Error;
use prost_types::Timestamp;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// Whose activity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner {
    /// A customer's.
    Customer,
    /// A site's.
    Site,
    /// A user's.
    User,
}

/// An overview shows so many entries.
const SHOWN: i64 = 20;

/// What was heard of the tickets of somebody, all of it up to one event.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// How many are open.
    pub(crate) open_ticket_count: i64,
    /// The newest entries, newest first.
    pub(crate) recent_activity: Vec<ActivityEntry>,
    /// The time of the latest event.
    pub(crate) as_of: Option<Timestamp>,
}

/// What was heard so far. One round trip, so that the count and the entries are of one moment.
pub(crate) async fn heard(pool: &PgPool, owner: Owner, id: Uuid) -> Result<Heard, Error> {
    let column = match owner {
        Owner::Customer => "customer_id",
        Owner::Site => "site_id",
        Owner::User => "user_id",
    };
    let sql = format!(
        "select a.time, a.kind, a.ticket_id, coalesce(t.number, 0), a.text, a.action_id, a.customer_id, a.site_id,
             a.user_id, a.actor_id, latest.time, latest.open
         from (
             select (select max(update_time) from ticket_projection) as time,
                 (select count(*) from ticket_projection where {column} = $1 and open) as open
         ) latest
         left join lateral (
             select * from activity where {column} = $1 order by time desc, event_id desc, seq desc limit {SHOWN}
         ) a on true
         left join ticket_projection t on t.ticket_id = a.ticket_id
         order by a.time desc, a.event_id desc, a.seq desc"
    );
    // The column is one of three names of our own.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_all(pool).await?;
    let mut heard = Heard::default();
    for row in &rows {
        heard.open_ticket_count = row.try_get(11)?;
        heard.as_of = row.try_get::<Option<DateTime<Utc>>, _>(10)?.map(timestamp);
        let Some(time) = row.try_get::<Option<DateTime<Utc>>, _>(0)? else { continue };
        let id = |index| -> Result<String, Error> {
            Ok(row.try_get::<Option<Uuid>, _>(index)?.map(|id| id.to_string()).unwrap_or_default())
        };
        heard.recent_activity.push(ActivityEntry {
            time: Some(timestamp(time)),
            kind: row.try_get(1)?,
            ticket_id: id(2)?,
            ticket_number: row.try_get(3)?,
            ticket_summary: row.try_get(4)?,
            action_id: id(5)?,
            customer_id: id(6)?,
            site_id: id(7)?,
            user_id: id(8)?,
            actor_id: row.try_get(9)?,
        });
    }
    Ok(heard)
}
