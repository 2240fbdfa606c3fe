//! History: who changed what, and what a record was like before. Written with every change (see [`crate::resource`]),
//! read here for whichever service answers for it.

mod shape;

use chrono::{DateTime, Utc};
use concierge_proto::{CallerKind, PermissionSet};
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use uuid::Uuid;

pub use shape::{Shape, shape};

use crate::auth::kind_name;
use crate::error::Error;

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in history; grows.
    pub seq: i64,
    /// Its id: that of the event which told of it.
    pub id: Uuid,
    /// The type of the record.
    pub record_type: String,
    /// The record.
    pub record_id: Uuid,
    /// Its version after the change.
    pub version: i64,
    /// What was done, as `ChangeOperation` numbers it.
    pub operation: i32,
    /// When.
    pub time: DateTime<Utc>,
    /// What the caller was.
    pub actor_kind: CallerKind,
    /// Who the caller was: an id, or the name of a service.
    pub actor: String,
    /// For whom a service called, such as `agent:0190…`; empty for nobody.
    pub on_behalf_of: String,
    /// The `request_id` of the call.
    pub request_id: String,
    /// The full name of the method; empty for work that no request asked for.
    pub method: String,
    /// The fields.
    pub fields: Vec<FieldChange>,
}

/// How one field changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Its name.
    pub field: String,
    /// What it held before; `None` for nothing, and when hidden.
    pub old: Option<String>,
    /// What it holds since.
    pub new: Option<String>,
    /// True when the reader may not see its values.
    pub hidden: bool,
}

/// Which changes are wanted. Everything that is `None` narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Of records of this type.
    pub record_type: Option<&'a str>,
    /// Of this record.
    pub record_id: Option<Uuid>,
    /// Made by this actor, or on its behalf.
    pub actor: Option<&'a str>,
    /// Made by the call with this `request_id`.
    pub request_id: Option<&'a str>,
    /// At this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Older than this entry, by its time and place.
    pub older_than: Option<(DateTime<Utc>, i64)>,
    /// So many at most.
    pub limit: u16,
}

/// Changes, newest first, as far as the reader may see them. One round trip.
pub async fn list(
    pool: &PgPool,
    package: &str,
    wanted: &Wanted<'_>,
    permissions: PermissionSet,
) -> Result<Vec<Entry>, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select c.seq, c.id, c.record_type, c.record_id, c.version, c.operation, c.time, c.actor_kind, c.actor,
             c.on_behalf_of, c.request_id, c.method, c.fields, c.record, p.record
         from changes c
         left join changes p on p.record_type = c.record_type and p.record_id = c.record_id
             and p.version = c.version - 1
         where true",
    );
    if let Some(record_type) = wanted.record_type {
        sql.push(" and c.record_type = ").push_bind(record_type);
    }
    if let Some(record_id) = wanted.record_id {
        sql.push(" and c.record_id = ").push_bind(record_id);
    }
    if let Some(actor) = wanted.actor {
        let kinds = [CallerKind::Agent, CallerKind::User, CallerKind::ApiClient, CallerKind::Service];
        let named: Vec<String> = kinds.iter().map(|kind| format!("{}:{actor}", kind_name(*kind))).collect();
        sql.push(" and (c.actor = ").push_bind(actor);
        sql.push(" or (c.on_behalf_of <> '' and c.on_behalf_of = any(").push_bind(named).push(")))");
    }
    if let Some(request_id) = wanted.request_id {
        sql.push(" and c.request_id = ").push_bind(request_id);
    }
    if let Some(from) = wanted.from {
        sql.push(" and c.time >= ").push_bind(from);
    }
    if let Some(until) = wanted.until {
        sql.push(" and c.time < ").push_bind(until);
    }
    if let Some((time, seq)) = wanted.older_than {
        sql.push(" and (c.time, c.seq) < (").push_bind(time).push(", ").push_bind(seq).push(")");
    }
    sql.push(" order by c.time desc, c.seq desc limit ").push_bind(i64::from(wanted.limit));
    let rows = sql.build().persistent(false).fetch_all(pool).await?;
    rows.iter().map(|row| entry(row, package, permissions)).collect()
}

fn entry(row: &PgRow, package: &str, permissions: PermissionSet) -> Result<Entry, Error> {
    let record_type: String = row.try_get(2)?;
    let names: Vec<String> = row.try_get(12)?;
    let (after, before): (Vec<u8>, Option<Vec<u8>>) = (row.try_get(13)?, row.try_get(14)?);
    let fields = match shape(package, &record_type) {
        Some(shape) => shape.changes(before.as_deref(), &after, &names, permissions)?,
        // A type that the contract no longer has.
        None => Vec::new(),
    };
    Ok(Entry {
        seq: row.try_get(0)?,
        id: row.try_get(1)?,
        record_type,
        record_id: row.try_get(3)?,
        version: row.try_get(4)?,
        operation: row.try_get(5)?,
        time: row.try_get(6)?,
        actor_kind: CallerKind::try_from(row.try_get::<i32, _>(7)?).unwrap_or_default(),
        actor: row.try_get(8)?,
        on_behalf_of: row.try_get(9)?,
        request_id: row.try_get(10)?,
        method: row.try_get(11)?,
        fields,
    })
}

/// A record as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The record, encoded, without its secret fields.
    pub record: Vec<u8>,
    /// Its version then.
    pub version: i64,
    /// When it was given that version.
    pub time: DateTime<Utc>,
}

/// A record as it was at a time; `None` before it was created. One round trip.
pub async fn at(pool: &PgPool, record_type: &str, record_id: Uuid, time: DateTime<Utc>) -> Result<Option<Past>, Error> {
    let row: Option<(Vec<u8>, i64, DateTime<Utc>)> = sqlx::query_as(
        "select record, version, time from changes
         where record_type = $1 and record_id = $2 and time <= $3 order by version desc limit 1",
    )
    .bind(record_type)
    .bind(record_id)
    .bind(time)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(record, version, time)| Past { record, version, time }))
}
