//! What this service has heard of other services' records: the newest version of each, found by id or by an id in it.

use concierge_proto::Record;
use concierge_proto::event::RecordChanged;
use prost::bytes::Buf as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::error::Error;
use crate::outbox::type_url;

/// A record as last heard of.
#[derive(Clone, Debug)]
pub struct Projected<R> {
    /// The record.
    pub record: R,
    /// Its version.
    pub version: i64,
    /// True when it is deleted; its name is still of use.
    pub deleted: bool,
}

/// Keeps a change, unless a newer one is known. True when it was kept.
pub async fn keep(conn: &mut PgConnection, change: &RecordChanged, snapshot: Option<i64>) -> Result<bool, Error> {
    let Some(any) = &change.record else { return Ok(false) };
    let Ok(id) = change.record_id.parse::<Uuid>() else { return Ok(false) };
    // A snapshot is the truth, also where a restored database has older versions than we heard of.
    let newer = if snapshot.is_some() { "" } else { " where projections.version < excluded.version" };
    let sql = format!(
        "insert into projections (record_type, record_id, version, deleted, refs, record, update_time, snapshot)
         values ($1, $2, $3, $4, $5, $6, now(), $7)
         on conflict (record_type, record_id) do update set version = excluded.version, deleted = excluded.deleted,
             refs = excluded.refs, record = excluded.record, update_time = excluded.update_time,
             snapshot = excluded.snapshot{newer}"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&change.record_type)
        .bind(id)
        .bind(change.version)
        .bind(change.deleted)
        .bind(refs(&any.value, id))
        .bind(&any.value)
        .bind(snapshot.unwrap_or(0))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// After a snapshot: what it did not hold is gone.
pub(crate) async fn tombstone(conn: &mut PgConnection, record_types: &[String], snapshot: i64) -> Result<(), Error> {
    sqlx::query("update projections set deleted = true where record_type = any($1) and snapshot <> $2 and not deleted")
        .bind(record_types)
        .bind(snapshot)
        .execute(conn)
        .await?;
    Ok(())
}

/// One record, deleted or not.
pub async fn get<R: Record>(conn: &mut PgConnection, id: &str) -> Result<Option<Projected<R>>, Error> {
    Ok(get_many::<R>(conn, &[id]).await?.pop())
}

/// Several records, in no order; unknown ones are left out.
pub async fn get_many<R: Record>(conn: &mut PgConnection, ids: &[&str]) -> Result<Vec<Projected<R>>, Error> {
    let ids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query("select record, version, deleted from projections where record_type = $1 and record_id = any($2)")
            .bind(R::TYPE)
            .bind(ids)
            .fetch_all(conn)
            .await?;
    rows.iter().map(projected).collect()
}

/// The live records that name `id` in any of their fields, in the order of their ids.
pub async fn naming<R: Record>(conn: &mut PgConnection, id: &str) -> Result<Vec<Projected<R>>, Error> {
    let Ok(id) = id.parse::<Uuid>() else { return Ok(Vec::new()) };
    let rows = sqlx::query(
        "select record, version, deleted from projections
         where record_type = $1 and refs @> array[$2] and not deleted order by record_id",
    )
    .bind(R::TYPE)
    .bind(id)
    .fetch_all(conn)
    .await?;
    rows.iter().map(projected).collect()
}

fn projected<R: Record>(row: &sqlx::postgres::PgRow) -> Result<Projected<R>, Error> {
    let bytes: Vec<u8> = row.try_get(0)?;
    let record = R::decode(bytes.as_slice()).map_err(Error::internal)?;
    Ok(Projected { record, version: row.try_get(1)?, deleted: row.try_get(2)? })
}

/// Decodes the record that a change tells of, if it is of that type.
pub fn record<R: Record>(change: &RecordChanged) -> Option<R> {
    let any = change.record.as_ref().filter(|any| any.type_url == type_url(R::FULL_NAME))?;
    R::decode(any.value.as_slice()).ok()
}

/// The ids that a record names: its own fields that have the form of a UUID. What they mean only their reader knows.
fn refs(mut bytes: &[u8], own: Uuid) -> Vec<Uuid> {
    let mut found = Vec::new();
    while bytes.has_remaining() {
        let Ok((tag, wire)) = decode_key(&mut bytes) else { break };
        if wire != WireType::LengthDelimited {
            if skip_field(wire, tag, &mut bytes, DecodeContext::default()).is_err() {
                break;
            }
            continue;
        }
        let Ok(length) = decode_varint(&mut bytes).map(|l| usize::try_from(l).unwrap_or(usize::MAX)) else { break };
        let Some((value, rest)) = bytes.split_at_checked(length) else { break };
        bytes = rest;
        if length == 36
            && let Some(id) = std::str::from_utf8(value).ok().and_then(|t| t.parse::<Uuid>().ok())
            && id != own
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn finds_every_id_a_record_names_but_its_own() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let revocation = concierge_proto::event::Revocation {
            id: own.to_string(),
            site_id: other.to_string(),
            why: "x".repeat(36),
            ..Default::default()
        };
        assert_eq!(refs(&revocation.encode_to_vec(), own), vec![other]);
        assert_eq!(refs(&[0xff, 0xff, 0x01], own), Vec::<Uuid>::new());
    }
}
