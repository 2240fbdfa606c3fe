//! `ChangeHistoryService`: who changed what, when, and what a record was like before.

mod store;

use concierge_proto::directory::change_history_service_server::ChangeHistoryService;
use concierge_proto::directory::{
    Actor, ActorKind, Change, ChangeOperation, FieldChange, GetRecordAtRequest, GetRecordAtResponse,
    ListChangesRequest, ListChangesResponse,
};
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::{CallerKind, PermissionSet, Value, Violations};
use concierge_runtime::auth::parse_actor;
use concierge_runtime::history::{self, Entry, Wanted, shape};
use concierge_runtime::query::{Fingerprint, PageTokenError, QueryErrors, page_size};
use concierge_runtime::{Answer, Call, Error, reply, type_url};
use prost_types::Any;
use tonic::Request;
use uuid::Uuid;

use crate::Directory;
use store::Names;

/// So many changes are read at once where those before had nothing that the caller may read.
const MORE: u16 = 1000;

/// The package whose records these are.
const PACKAGE: &str = "concierge.directory.v1";

#[tonic::async_trait]
impl ChangeHistoryService for Directory {
    async fn list_changes(&self, request: Request<ListChangesRequest>) -> Answer<ListChangesResponse> {
        Ok(reply(self.changes(request.get_ref()).await?))
    }

    async fn get_record_at(&self, request: Request<GetRecordAtRequest>) -> Answer<GetRecordAtResponse> {
        Ok(reply(self.record_at(request.get_ref()).await?))
    }
}

impl Directory {
    /// Two round trips: the changes, the names of the actors; more only where much may not be read.
    async fn changes(&self, request: &ListChangesRequest) -> Result<ListChangesResponse, Error> {
        let mut violations = Violations::default();
        let time = |time: &Option<prost_types::Timestamp>| time.as_ref().and_then(datetime);
        let (from, until) = (time(&request.start_time), time(&request.end_time));
        if !request.record_type.is_empty() {
            check_type(&request.record_type, &mut violations);
        } else if !request.record_id.is_empty() {
            violations.add("record_type", "must be given with record_id");
        }
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            violations.add("end_time", "must not be before start_time");
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }

        let tokens = self.service.page_tokens().await?;
        let fingerprint = Fingerprint::of([
            b"changes".as_slice(),
            request.record_type.as_bytes(),
            request.record_id.as_bytes(),
            request.actor_id.as_bytes(),
            request.change_request_id.as_bytes(),
            format!("{from:?} {until:?}").as_bytes(),
        ]);
        let older_than = match request.page_token.as_str() {
            "" => None,
            token => match tokens.open(token, fingerprint).map_err(QueryErrors::from)?.as_slice() {
                [Value::Time(time), Value::Int(seq)] => Some((*time, *seq)),
                _ => return Err(QueryErrors::from(PageTokenError::Outdated).into()),
            },
        };
        let limit = usize::from(page_size(request.page_size));
        let wanted = Wanted {
            record_type: given(&request.record_type),
            record_id: request.record_id.parse().ok(),
            actor: given(&request.actor_id),
            request_id: given(&request.change_request_id),
            from,
            until,
            older_than,
            limit: page_size(request.page_size) + 1,
        };
        let mut entries = self.readable(wanted, limit + 1).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next_page_token = match entries.last() {
            Some(last) if more => tokens.seal(fingerprint, &[Value::Time(last.time), Value::Int(last.seq)]),
            _ => String::new(),
        };
        let names = store::names(self.service.pool(), &ids(&entries)).await?;
        let changes = entries.into_iter().map(|entry| self.change(entry, &names)).collect();
        Ok(ListChangesResponse { changes, next_page_token })
    }

    /// The first changes of which the caller may read anything, so many or more, or all that there are.
    async fn readable(&self, mut wanted: Wanted<'_>, least: usize) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        loop {
            let entries = history::list(self.service.pool(), PACKAGE, &wanted, self.permissions()?).await?;
            let ended = entries.len() < usize::from(wanted.limit);
            wanted.older_than = entries.last().map(|entry| (entry.time, entry.seq));
            wanted.limit = MORE;
            found.extend(entries.into_iter().filter_map(readable));
            if ended || found.len() >= least {
                return Ok(found);
            }
        }
    }

    /// One round trip.
    async fn record_at(&self, request: &GetRecordAtRequest) -> Result<GetRecordAtResponse, Error> {
        let mut violations = Violations::default();
        let shape = check_type(&request.record_type, &mut violations);
        let time = request.time.as_ref().and_then(datetime).unwrap_or_default();
        if time > self.service.clock().now() {
            violations.add("time", "must not be in the future");
        }
        let (Some((shape, record_type)), true) = (shape, violations.is_empty()) else {
            return Err(Error::Invalid(violations));
        };
        let absent = || Error::NotFound { record_type, id: request.record_id.clone() };
        let record_id: Uuid = request.record_id.parse().map_err(|_| absent())?;
        let permissions = self.permissions()?;
        let past = history::at(self.service.pool(), record_type, record_id, time).await?.ok_or_else(absent)?;
        let record = Any { type_url: type_url(shape.full_name()), value: shape.concealed(&past.record, permissions)? };
        Ok(GetRecordAtResponse { record: Some(record), version: past.version, change_time: Some(timestamp(past.time)) })
    }

    /// What the caller may read; refuses after its deadline.
    fn permissions(&self) -> Result<PermissionSet, Error> {
        match Call::current() {
            Some(call) => call.remaining().map(|_| call.permissions()),
            None => Ok(PermissionSet::default()),
        }
    }

    fn change(&self, entry: Entry, names: &Names) -> Change {
        let of_service = entry.actor_kind == CallerKind::Service;
        let actor = if of_service && entry.actor == self.service.name() && entry.method.is_empty() {
            Actor { kind: ActorKind::System.into(), id: entry.actor, name: String::new() }
        } else {
            names.actor(actor_kind(entry.actor_kind), entry.actor)
        };
        let on_behalf_of = (!entry.on_behalf_of.is_empty()).then(|| match parse_actor(&entry.on_behalf_of) {
            Some((kind, id)) => names.actor(actor_kind(kind), id.to_owned()),
            // A service may name whom it likes.
            None => Actor { kind: ActorKind::Unspecified.into(), id: entry.on_behalf_of, name: String::new() },
        });
        let fields = entry.fields.into_iter().map(|f| FieldChange {
            field: f.field,
            old_value: f.old,
            new_value: f.new,
            hidden: f.hidden,
        });
        Change {
            id: entry.id.to_string(),
            record_type: entry.record_type,
            record_id: entry.record_id.to_string(),
            operation: ChangeOperation::try_from(entry.operation).unwrap_or_default().into(),
            version: entry.version,
            change_time: Some(timestamp(entry.time)),
            actor: Some(actor),
            on_behalf_of,
            request_id: entry.request_id,
            method: entry.method,
            fields: fields.collect(),
        }
    }
}

/// A change without what the caller may not read: that a switch was turned tells how it stands. Nothing of an update
/// that was of nothing else.
fn readable(mut entry: Entry) -> Option<Entry> {
    let changed = entry.fields.len();
    entry.fields.retain(|field| !field.hidden);
    let nothing_left = entry.fields.is_empty() && changed > 0;
    let is_update = entry.operation == i32::from(ChangeOperation::Update);
    (!(is_update && nothing_left)).then_some(entry)
}

/// The type of record of that name, or a violation.
fn check_type(record_type: &str, violations: &mut Violations) -> Option<(&'static history::Shape, &'static str)> {
    let found = shape(PACKAGE, record_type);
    if found.is_none() {
        violations.add("record_type", "must be a type of record of this service, such as customer or user_role");
    }
    found.map(|shape| (shape, shape.record_type.as_str()))
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn actor_kind(kind: CallerKind) -> ActorKind {
    match kind {
        CallerKind::Unspecified => ActorKind::Unspecified,
        CallerKind::Agent => ActorKind::Agent,
        CallerKind::User => ActorKind::User,
        CallerKind::ApiClient => ActorKind::ApiClient,
        CallerKind::Service => ActorKind::Service,
    }
}

/// The ids of everyone who could have a name here.
fn ids(entries: &[Entry]) -> Vec<Uuid> {
    let on_behalf_of = entries.iter().filter_map(|e| parse_actor(&e.on_behalf_of)).map(|(_, id)| id);
    let mut ids: Vec<Uuid> =
        entries.iter().map(|e| e.actor.as_str()).chain(on_behalf_of).filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
