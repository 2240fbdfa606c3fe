//! Events, written in the transaction that makes them true.

use concierge_proto::Record;
use concierge_proto::event::{RecordChanged, Revocation};
use concierge_proto::record::timestamp;
use prost::{Message as _, Name};
use prost_types::Any;
use uuid::Uuid;

use crate::error::Error;
use crate::tx::Tx;

/// The type URL of a message of the contract.
pub fn type_url(full_name: &str) -> String {
    format!("type.googleapis.com/{full_name}")
}

/// Packs a record, without its secret fields.
pub(crate) fn pack<R: Record>(record: &R) -> Any {
    Any { type_url: type_url(R::FULL_NAME), value: redacted(record).encode_to_vec() }
}

/// A record as history and events may know it.
pub(crate) fn redacted<R: Record>(record: &R) -> R {
    let mut record = record.clone();
    record.redact();
    record
}

/// The payload that tells of a record's change.
pub(crate) fn changed<R: Record>(record: &R, version: i64, fields: Vec<String>) -> RecordChanged {
    RecordChanged {
        record_type: R::TYPE.to_owned(),
        record_id: record.id().to_owned(),
        version,
        record: Some(pack(record)),
        changed_fields: fields,
        deleted: record.delete_time().is_some(),
    }
}

impl Tx {
    /// Writes an event about something that is not the change of a record.
    pub async fn emit<M: Name>(&mut self, event_type: &str, subject: &str, payload: &M) -> Result<uuid::Uuid, Error> {
        let id = self.new_id();
        let (now, cause, traceparent) = (self.now, self.cause, self.call.traceparent.clone());
        sqlx::query(
            "insert into outbox (id, type, subject, time, traceparent, cause, payload_type, payload)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(event_type)
        .bind(subject)
        .bind(now)
        .bind(traceparent)
        .bind(cause)
        .bind(M::full_name())
        .bind(payload.encode_to_vec())
        .execute(self.conn().await?)
        .await?;
        self.wrote_event();
        Ok(id)
    }

    /// Takes tokens away: everywhere within a second, for as long as such a token could live; those of a key for good.
    /// Answers with the revocation as it was told. One round trip: history and event.
    ///
    /// Lock the row that the tokens depend on first: the time is taken here, so that a token which was issued while
    /// this transaction waited for the row is taken away as well.
    pub async fn revoke(&mut self, revocation: Revocation) -> Result<Revocation, Error> {
        let told = self.revoke_each(vec![revocation]).await?.pop();
        told.ok_or_else(|| Error::internal("a revocation was not kept"))
    }

    /// Takes the tokens of many subjects away, as [`Tx::revoke`]. One round trip, however many they are.
    pub async fn revoke_subjects(&mut self, subjects: &[Uuid], why: &str) -> Result<(), Error> {
        let of =
            |subject: &Uuid| Revocation { subject: subject.to_string(), why: why.to_owned(), ..Default::default() };
        self.revoke_each(subjects.iter().map(of).collect()).await?;
        Ok(())
    }

    /// Keeps revocations of one kind of target, with their history and their events.
    async fn revoke_each(&mut self, mut revocations: Vec<Revocation>) -> Result<Vec<Revocation>, Error> {
        let Some(revocation) = revocations.first() else { return Ok(revocations) };
        let named = [
            ("subject", &revocation.subject),
            ("site_id", &revocation.site_id),
            ("customer_id", &revocation.customer_id),
            ("key_id", &revocation.key_id),
        ];
        let fields: Vec<&str> = named.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| *name).collect();
        let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
        let issued_before = timestamp(self.clock.now());
        let (mut ids, mut event_ids, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        for revocation in &mut revocations {
            let id = self.new_id();
            revocation.id = id.to_string();
            revocation.issued_before.get_or_insert(issued_before);
            ids.push(id);
            event_ids.push(self.new_id());
            payloads.push(revocation.encode_to_vec());
        }
        let actor = self.actor();
        let (now, cause, traceparent) = (self.now, self.cause, self.call.traceparent.clone());
        let (request_id, method) = (self.request_id.clone(), self.method());
        sqlx::query(
            "with told as (
                 select * from unnest($1::uuid[], $2::uuid[], $10::bytea[]) as t (event_id, id, payload)
             ), history as (
                 insert into changes (id, record_type, record_id, version, operation, time, actor_kind, actor,
                     on_behalf_of, request_id, method, fields, record)
                 select event_id, 'revocation', id, 1, 1, $3, $4, $5, $6, $7, $8, $9, payload from told)
             insert into outbox (id, type, subject, time, traceparent, cause, payload_type, payload)
             select event_id, 'revocation.created', 'revocation/' || id, $3, $11, $12, $13, payload from told",
        )
        .bind(event_ids)
        .bind(ids)
        .bind(now)
        .bind(actor.kind as i32)
        .bind(actor.subject)
        .bind(actor.on_behalf_of)
        .bind(request_id)
        .bind(method)
        .bind(fields)
        .bind(payloads)
        .bind(traceparent)
        .bind(cause)
        .bind(Revocation::full_name())
        .execute(self.conn().await?)
        .await?;
        self.wrote_event();
        Ok(revocations)
    }
}
