//! Writing records: every change is one statement that stores the row, its history and its event.

use chrono::{DateTime, Utc};
use concierge_proto::event::RecordChanged;
use concierge_proto::{Fields, Kind, Record, Value};
use prost::{Message as _, Name};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Row as _};
use uuid::Uuid;

use super::{Child, Resource, Statements, decode, encode, taken};
use crate::error::Error;
use crate::outbox;
use crate::tx::Tx;

/// The event that tells of a change.
pub(super) struct Told {
    event_type: String,
    payload_type: String,
    payload: Vec<u8>,
}

impl Told {
    /// The event that tells of a record's change where the resource has none of its own.
    pub(super) fn changed<R: Record>(record: &R, operation: Operation, version: i64, fields: &[String]) -> Self {
        Self {
            event_type: format!("{}.{}", R::TYPE, operation.verb()),
            payload_type: RecordChanged::full_name(),
            payload: outbox::changed(record, version, fields.to_vec()).encode_to_vec(),
        }
    }
}

/// What a change of a record was, as history numbers it (`ChangeOperation` of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Created = 1,
    Updated = 2,
    Deleted = 3,
    Undeleted = 4,
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Undeleted => "undeleted",
        }
    }
}

impl Tx {
    /// Reads a record, deleted or not, as far as the caller may see it.
    pub async fn get<S: Resource>(&mut self, id: &str) -> Result<S::Record, Error> {
        let found = self.find::<S>(id, Statements::of::<S>().get).await?;
        self.visible::<S>(found, id)
    }

    /// Reads a record and locks its row.
    pub async fn get_for_update<S: Resource>(&mut self, id: &str) -> Result<S::Record, Error> {
        let found = self.find::<S>(id, Statements::of::<S>().lock).await?;
        self.visible::<S>(found, id)
    }

    /// Reads records, deleted ones too, in the order of their ids, and keeps them as they are until the end of the
    /// transaction. Unknown ids, and records that the caller may not see, are left out. One round trip.
    pub async fn share<S: Resource>(&mut self, ids: &[Uuid]) -> Result<Vec<S::Record>, Error> {
        let rows = sqlx::query(Statements::of::<S>().share).bind(ids).fetch_all(self.conn().await?).await?;
        let mut records: Vec<S::Record> = rows.iter().map(decode).collect::<Result<_, _>>()?;
        records.retain(|record| super::read::in_scope::<S>(&self.call, record));
        Ok(records)
    }

    async fn find<S: Resource>(&mut self, id: &str, statement: &'static str) -> Result<Option<S::Record>, Error> {
        let Ok(id) = id.parse::<Uuid>() else { return Ok(None) };
        let row = sqlx::query(statement).bind(id).fetch_optional(self.conn().await?).await?;
        row.as_ref().map(decode).transpose()
    }

    fn visible<S: Resource>(&self, found: Option<S::Record>, id: &str) -> Result<S::Record, Error> {
        found
            .filter(|record| super::read::in_scope::<S>(&self.call, record))
            .ok_or_else(|| Error::NotFound { record_type: <S::Record as Record>::TYPE, id: id.to_owned() })
    }

    /// Stores a new record that a caller gave; see [`Tx::accept`].
    pub async fn insert<S: Resource>(&mut self, record: S::Record) -> Result<S::Record, Error> {
        let record = self.accept::<S>(record)?;
        self.insert_own::<S>(record).await
    }

    /// A new record as a caller may give it: what only the server sets is dropped, what needs more permission is
    /// refused.
    pub fn accept<S: Resource>(&self, mut record: S::Record) -> Result<S::Record, Error> {
        let empty = S::Record::default();
        for (index, field) in S::Record::FIELDS.iter().enumerate() {
            if field.output_only {
                record.set_value(index, Value::Null);
            } else if let Some(permission) = field.write_permission
                && record.value(index) != empty.value(index)
            {
                self.call.require(permission, Some(&format!("{}.{}", S::Record::TYPE, field.name)))?;
            }
        }
        Ok(record)
    }

    /// Stores a new record that the service made: fields that only the server sets are kept.
    pub async fn insert_own<S: Resource>(&mut self, mut record: S::Record) -> Result<S::Record, Error> {
        record.apply_defaults();
        if record.id().is_empty() {
            record.set_id(self.new_id().to_string());
        }
        self.check::<S>(None, &mut record).await?;
        self.store::<S>(None, &mut record, Operation::Created).await?;
        S::stored(self, None, &record).await?;
        Ok(record)
    }

    /// Changes the named fields of a record, as a caller asked for it.
    pub async fn update<S: Resource>(&mut self, new: &S::Record, paths: &[String]) -> Result<S::Record, Error> {
        let before = self.get_for_update::<S>(new.id()).await?;
        let mut after = before.clone();
        for path in paths {
            let Some(index) = S::Record::index_of(path) else { continue };
            let field = &S::Record::FIELDS[index];
            let value = new.value(index);
            // Who may not read the value must not learn from the answer whether it differs.
            let hidden = field.read_permission.is_some_and(|read| !self.call.permissions().holds(read));
            if let Some(permission) = field.write_permission
                && (hidden || value != before.value(index))
            {
                self.call.require(permission, Some(&format!("{}.{path}", S::Record::TYPE)))?;
            }
            after.set_value(index, value);
        }
        self.check_etag(&before, new.etag())?;
        self.change::<S>(before, after).await
    }

    /// Refuses a stale etag, and any change of a deleted record.
    pub fn check_etag<R: Record>(&self, current: &R, etag: &str) -> Result<(), Error> {
        if !etag.is_empty() && etag != current.etag() {
            return Err(Error::StaleEtag { record_type: R::TYPE, id: current.id().to_owned() });
        }
        if current.delete_time().is_some() {
            return Err(Error::Deleted { record_type: R::TYPE, id: current.id().to_owned() });
        }
        Ok(())
    }

    /// Stores a changed record whose row is locked. Nothing is written when nothing differs.
    pub async fn change<S: Resource>(&mut self, before: S::Record, mut after: S::Record) -> Result<S::Record, Error> {
        after.apply_defaults();
        self.check::<S>(Some(&before), &mut after).await?;
        if before == after {
            return Ok(before);
        }
        self.store::<S>(Some(&before), &mut after, Operation::Updated).await?;
        S::stored(self, Some(&before), &after).await?;
        Ok(after)
    }

    /// Deletes a record softly, unless live records need it.
    pub async fn delete<S: Resource>(&mut self, id: &str, etag: &str) -> Result<S::Record, Error> {
        let before = self.get_for_update::<S>(id).await?;
        self.check_etag(&before, etag)?;
        for child in S::CHILDREN {
            let count = self.count_children(child, id).await?;
            if count > 0 {
                return Err(Error::InUse {
                    record_type: S::Record::TYPE,
                    id: id.to_owned(),
                    by: child.record_type,
                    count,
                });
            }
        }
        S::check_delete(self, &before).await?;
        let mut after = before.clone();
        after.set_delete_time(Some(concierge_proto::record::timestamp(self.now)));
        self.store::<S>(Some(&before), &mut after, Operation::Deleted).await?;
        S::stored(self, Some(&before), &after).await?;
        Ok(after)
    }

    /// Brings a deleted record back, as long as what it refers to is live.
    pub async fn undelete<S: Resource>(&mut self, id: &str) -> Result<S::Record, Error> {
        let before = self.get_for_update::<S>(id).await?;
        if before.delete_time().is_none() {
            return Err(Error::NotDeleted { record_type: S::Record::TYPE, id: id.to_owned() });
        }
        S::check_undelete(self, &before).await?;
        let mut after = before.clone();
        after.set_delete_time(None);
        if S::REFERENCES_ON_UNDELETE {
            self.check_references::<S>(None, &after).await?;
        }
        self.store::<S>(Some(&before), &mut after, Operation::Undeleted).await?;
        S::stored(self, Some(&before), &after).await?;
        Ok(after)
    }

    async fn count_children(&mut self, child: &Child, id: &str) -> Result<i64, Error> {
        let Ok(id) = id.parse::<Uuid>() else { return Ok(0) };
        let condition = if child.many { "@> array[$1]" } else { "= $1" };
        let sql =
            format!("select count(*) from {} where {} {condition} and delete_time is null", child.table, child.column);
        // Made of names in the service's own code.
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_one(self.conn().await?).await?;
        Ok(row.try_get(0)?)
    }

    /// One round trip: the row, its history, its event.
    async fn store<S: Resource>(
        &mut self,
        before: Option<&S::Record>,
        after: &mut S::Record,
        operation: Operation,
    ) -> Result<(), Error> {
        self.store_as::<S>(before, after, operation, |record, version, fields| {
            Told::changed(record, operation, version, fields)
        })
        .await
    }

    /// Stores a new record (with its id), or a changed one whose row is locked, with an event of the caller's own in
    /// place of `RecordChanged`: its type and its payload, made from the record as it is stored. What the resource
    /// checks is checked by the caller; a change is stored also when no field differs. One round trip.
    pub async fn store_told<S: Resource, M: Name>(
        &mut self,
        before: Option<&S::Record>,
        after: &mut S::Record,
        tell: impl FnOnce(&S::Record) -> (String, M) + Send,
    ) -> Result<(), Error> {
        let operation = if before.is_none() { Operation::Created } else { Operation::Updated };
        self.store_as::<S>(before, after, operation, |record, _, _| {
            let (event_type, payload) = tell(record);
            Told { event_type, payload_type: M::full_name(), payload: payload.encode_to_vec() }
        })
        .await
    }

    async fn store_as<S: Resource>(
        &mut self,
        before: Option<&S::Record>,
        after: &mut S::Record,
        operation: Operation,
        tell: impl FnOnce(&S::Record, i64, &[String]) -> Told + Send,
    ) -> Result<(), Error> {
        let statements = Statements::of::<S>();
        let mut arguments = PgArguments::default();
        self.describe::<S>(before, after, operation, tell, &mut arguments)?;
        let sql = if before.is_none() { statements.insert } else { statements.update };
        let conn = self.conn().await?;
        sqlx::query_with(sql, arguments).execute(conn).await.map_err(|e| taken::<S>(e.into()))?;
        self.wrote_event();
        Ok(())
    }

    /// Sets what every change sets, and adds what a statement of [`Statements`] takes: the row, its history, its event.
    pub(super) fn describe<S: Resource>(
        &self,
        before: Option<&S::Record>,
        after: &mut S::Record,
        operation: Operation,
        tell: impl FnOnce(&S::Record, i64, &[String]) -> Told,
        arguments: &mut PgArguments,
    ) -> Result<(), Error> {
        // The transaction's time was taken before the row was locked: what others wrote meanwhile is not later.
        let time = before.and_then(update_time).map_or(self.now, |earlier| earlier.max(self.now));
        let now = concierge_proto::record::timestamp(time);
        let version = before.map_or(0, Record::version) + 1;
        if before.is_none() {
            after.set_create_time(Some(now));
        }
        after.set_update_time(Some(now));
        after.set_etag(version.to_string());
        let fields = changed_fields(before, after);

        for (index, field) in S::Record::FIELDS.iter().enumerate() {
            encode(arguments, field.kind, after.value(index))?;
        }
        let actor = self.actor();
        let event_id = self.new_id();
        let subject = format!("{}/{}", S::Record::TYPE, after.id());
        let id: Uuid = after.id().parse().map_err(Error::internal)?;
        let Told { event_type, payload_type, payload } = tell(after, version, &fields);
        let history = outbox::redacted(after).encode_to_vec();
        add_all(arguments, |a| {
            a.add(version)?;
            if S::SEARCH {
                a.add(S::search(after))?;
            }
            a.add(S::Record::TYPE)?;
            a.add(id)?;
            a.add(version)?;
            a.add(operation as i32)?;
            a.add(time)?;
            a.add(actor.kind as i32)?;
            a.add(actor.subject)?;
            a.add(actor.on_behalf_of)?;
            a.add(&self.request_id)?;
            a.add(self.method())?;
            a.add(fields)?;
            a.add(history)?;
            // Once for both: a change has the id of the event that told of it.
            a.add(event_id)?;
            a.add(event_type)?;
            a.add(subject)?;
            a.add(time)?;
            a.add(&self.call.traceparent)?;
            a.add(self.cause)?;
            a.add(payload_type)?;
            a.add(payload)
        })
    }
}

fn update_time<R: Record>(record: &R) -> Option<DateTime<Utc>> {
    match R::index_of("update_time").map(|index| record.value(index)) {
        Some(Value::Time(time)) => Some(time),
        _ => None,
    }
}

fn add_all(
    arguments: &mut PgArguments,
    add: impl FnOnce(&mut PgArguments) -> Result<(), sqlx::error::BoxDynError>,
) -> Result<(), Error> {
    add(arguments).map_err(Error::internal)
}

/// The names of the fields that differ, those that every change sets left out.
fn changed_fields<R: Record>(before: Option<&R>, after: &R) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    R::FIELDS
        .iter()
        .enumerate()
        .filter(|(_, f)| !matches!(f.name, "create_time" | "update_time"))
        .filter(|(index, f)| match f.kind {
            // Order does not matter in a set of ids.
            Kind::Ids => sorted(before.value(*index)) != sorted(after.value(*index)),
            _ => before.value(*index) != after.value(*index),
        })
        .map(|(_, f)| f.name.to_owned())
        .collect()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Ids(mut ids) => {
            ids.sort_unstable();
            Value::Ids(ids)
        }
        other => other,
    }
}
