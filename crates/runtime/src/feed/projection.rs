//! What this service has heard of other services' records: the newest version of each, found by id or by an id in it.

use std::collections::BTreeMap;

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

/// Records that nobody looks up by what they name, and of which there are many: they are kept without it, so that what
/// is looked up is found among few.
const FOUND_BY_ID: [&str; 1] = ["ticket"];

/// Keeps a change, unless a newer one is known. True when it was kept.
pub async fn keep(conn: &mut PgConnection, change: &RecordChanged) -> Result<bool, Error> {
    let Some(any) = &change.record else { return Ok(false) };
    let Ok(id) = change.record_id.parse::<Uuid>() else { return Ok(false) };
    let done = sqlx::query(
        "insert into projections (record_type, record_id, version, deleted, refs, record, update_time)
         values ($1, $2, $3, $4, $5, $6, now())
         on conflict (record_type, record_id) do update set version = excluded.version, deleted = excluded.deleted,
             refs = excluded.refs, record = excluded.record, update_time = excluded.update_time, snapshot = 0
         where projections.version < excluded.version",
    )
    .bind(&change.record_type)
    .bind(id)
    .bind(change.version)
    .bind(change.deleted)
    .bind(named(change, &any.value, id))
    .bind(&any.value)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the records of a part of a snapshot, which is the truth, also where a restored database has older versions
/// than we heard of. One round trip.
pub(crate) async fn keep_many(conn: &mut PgConnection, changes: &[RecordChanged], snapshot: i64) -> Result<(), Error> {
    // By id: one statement must not touch a row twice, whatever the other side sends.
    let mut newest = BTreeMap::new();
    for change in changes {
        if let (Some(any), Ok(id)) = (&change.record, change.record_id.parse::<Uuid>()) {
            newest.insert((change.record_type.as_str(), id), (change, any));
        }
    }
    let (mut types, mut ids, mut versions, mut deleted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut references, mut records) = (Vec::new(), Vec::new());
    for ((record_type, id), (change, any)) in newest {
        types.push(record_type);
        ids.push(id);
        versions.push(change.version);
        deleted.push(change.deleted);
        // As the text of an array: arrays of different lengths make no array.
        let named: Vec<String> = named(change, &any.value, id).iter().map(Uuid::to_string).collect();
        references.push(format!("{{{}}}", named.join(",")));
        records.push(any.value.as_slice());
    }
    sqlx::query(
        "insert into projections (record_type, record_id, version, deleted, refs, record, update_time, snapshot)
         select t, id, version, deleted, refs::uuid[], record, now(), $7
         from unnest($1::text[], $2::uuid[], $3::bigint[], $4::boolean[], $5::text[], $6::bytea[])
             as part (t, id, version, deleted, refs, record)
         on conflict (record_type, record_id) do update set version = excluded.version, deleted = excluded.deleted,
             refs = excluded.refs, record = excluded.record, update_time = excluded.update_time,
             snapshot = excluded.snapshot",
    )
    .bind(types)
    .bind(ids)
    .bind(versions)
    .bind(deleted)
    .bind(references)
    .bind(records)
    .bind(snapshot)
    .execute(conn)
    .await?;
    Ok(())
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

/// The live records that name `id` in any of their fields, in the order of their ids. The type is a literal in the
/// statement, so that it can use an index over that type alone: `on projections using gin (refs) where record_type = …`.
pub async fn naming<R: Record>(conn: &mut PgConnection, id: &str) -> Result<Vec<Projected<R>>, Error> {
    let Ok(id) = id.parse::<Uuid>() else { return Ok(Vec::new()) };
    // The type is one of the contract's words.
    let sql = format!(
        "select record, version, deleted from projections
         where record_type = '{}' and refs @> array[$1] and not deleted order by record_id",
        R::TYPE
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_all(conn).await?;
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

/// The ids that a record is to be found by.
fn named(change: &RecordChanged, bytes: &[u8], own: Uuid) -> Vec<Uuid> {
    if FOUND_BY_ID.contains(&change.record_type.as_str()) { Vec::new() } else { refs(bytes, own) }
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

        // Of a ticket that nobody asks for.
        let change = |record_type: &str| RecordChanged { record_type: record_type.to_owned(), ..Default::default() };
        let bytes = revocation.encode_to_vec();
        assert_eq!(named(&change("ticket"), &bytes, own), Vec::<Uuid>::new());
        assert_eq!(named(&change("site_contact"), &bytes, own), vec![other]);
    }
}
