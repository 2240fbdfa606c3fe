//! Pages of records: filter, order and position from the request, bounds from the caller.

use concierge_proto::{Fields as _, Kind, ListRequest, Value};
use prost::Message as _;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::read::bound;
use super::{Resource, Statements, decode};
use crate::call::Call;
use crate::error::Error;
use crate::query::{ListParams, ListQuery, page_size};
use crate::service::Service;

/// What the records of a page weigh at most, in bytes, unless the first alone weighs more: clients take 4 MiB.
const BYTES: usize = 3 << 20;
/// So many records are read at first: most pages are no longer.
const FIRST: usize = 50;

/// What a list is narrowed to beside its filter: fields that must equal a value (several ids: that hold one of them).
#[derive(Clone, Debug, Default)]
pub struct Only {
    conditions: Vec<(&'static str, Value)>,
    either: Vec<(&'static str, Value)>,
    reached: bool,
}

impl Only {
    /// No narrowing.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Records whose field has this id (or holds it among several). An empty text narrows nothing.
    #[must_use]
    pub fn id(self, field: &'static str, id: &str) -> Self {
        match id.parse::<Uuid>() {
            Ok(id) => self.equal(field, Value::Id(id)),
            Err(_) => self,
        }
    }

    /// Records of which one of the fields given with this function has its id. None given narrows nothing.
    #[must_use]
    pub fn or_id(mut self, field: &'static str, id: Uuid) -> Self {
        self.either.push((field, Value::Id(id)));
        self
    }

    /// Of records that belong to no customer by themselves: the handler has made sure that the caller may see what is
    /// left, so the scope of the method narrows nothing.
    #[must_use]
    pub fn reached(self) -> Self {
        Self { reached: true, ..self }
    }

    /// Records whose field is absent.
    #[must_use]
    pub fn absent(self, field: &'static str) -> Self {
        self.equal(field, Value::Null)
    }

    /// Records whose field has this value.
    #[must_use]
    pub fn equal(mut self, field: &'static str, value: Value) -> Self {
        self.conditions.push((field, value));
        self
    }
}

/// A page of records, which ends by what they weigh, too. One round trip for up to 50 records, and one for each further
/// part: as many records as half of what is left holds if they weigh what those before did.
pub(crate) async fn page<S, Q>(service: &Service, request: &Q, only: Only) -> Result<(Vec<S::Record>, String), Error>
where
    S: Resource,
    Q: ListRequest<Record = S::Record>,
{
    let call = Call::current();
    let permissions = call.as_ref().map_or(concierge_proto::PermissionSet::ALL, |c| c.permissions());
    let mut only = only;
    let mut nothing = false;
    if !only.reached
        && let Some(bound) = call.as_ref().and_then(|c| bound::<S>(c))
    {
        match bound {
            (Some(field), Some(own)) => only = only.equal(field, Value::Id(own)),
            _ => nothing = true,
        }
    }
    let scope = format!("{:?} {:?}", only.conditions, only.either);
    let path = call.as_ref().and_then(|c| c.method).map_or("", |m| m.path);
    let params = ListParams { default_order: S::ORDER, ..ListParams::new(request, path, scope.as_bytes()) };
    let tokens = service.page_tokens().await?;
    let wanted = usize::from(page_size(request.page_size()));
    let mut records: Vec<S::Record> = Vec::new();
    let mut token = request.page_token().to_owned();
    let (mut left, mut size) = (BYTES, wanted.min(FIRST));
    loop {
        let params = ListParams { page_size: i32::try_from(size).unwrap_or(i32::MAX), page_token: &token, ..params };
        let query = ListQuery::parse(S::Record::FIELDS, permissions, &params, tokens)?;
        if nothing {
            return Ok((Vec::new(), String::new()));
        }
        let rows = rows::<S>(service, &query, &only, request.show_deleted()).await?;
        let fits = fitting(&rows, left).max(usize::from(records.is_empty()));
        if fits == 0 && !rows.is_empty() {
            return Ok((records, token));
        }
        let cut = fits < rows.len().min(size);
        let (mut read, next) = query.page(rows, fits, tokens);
        left = left.saturating_sub(read.iter().map(S::Record::encoded_len).sum());
        records.append(&mut read);
        if cut || next.is_empty() || records.len() >= wanted || left == 0 {
            return Ok((records, next));
        }
        token = next;
        let weight = ((BYTES - left) / records.len()).max(1);
        size = (wanted - records.len()).min(left / (2 * weight)).max(1);
    }
}

/// How many of the first records fit.
fn fitting<R: prost::Message>(records: &[R], bytes: usize) -> usize {
    let mut weight = 0;
    let fits = |record: &&R| {
        weight += record.encoded_len();
        weight <= bytes
    };
    records.iter().take_while(fits).count()
}

/// The records of a part of a page, and one more if there is one. One round trip.
async fn rows<S: Resource>(
    service: &Service,
    query: &ListQuery,
    only: &Only,
    show_deleted: bool,
) -> Result<Vec<S::Record>, Error> {
    let statements = Statements::of::<S>();
    let mut sql = QueryBuilder::<Postgres>::new("select ");
    sql.push(statements.columns).push(" from ").push(statements.table).push(" where ");
    let has_deletion = S::Record::index_of("delete_time").is_some();
    sql.push(if show_deleted || !has_deletion { "true" } else { "delete_time is null" });
    for (field, value) in &only.conditions {
        sql.push(" and ");
        push_condition::<S>(&mut sql, field, value.clone());
    }
    for (place, (field, value)) in only.either.iter().enumerate() {
        sql.push(if place == 0 { " and (" } else { " or " });
        push_condition::<S>(&mut sql, field, value.clone());
    }
    sql.push(if only.either.is_empty() { "" } else { ")" });
    query.push_where(&mut sql);
    query.push_order_limit(&mut sql);
    if let Some(call) = Call::current() {
        call.remaining()?;
    }
    // Every filter makes another statement: keeping them prepared would fill the connections' caches.
    let rows = sql.build().persistent(false).fetch_all(service.pool()).await?;
    rows.iter().map(decode).collect::<Result<_, _>>()
}

fn push_condition<S: Resource>(sql: &mut QueryBuilder<Postgres>, field: &'static str, value: Value) {
    let Some(index) = S::Record::index_of(field) else {
        sql.push("false");
        return;
    };
    sql.push("\"").push(field).push("\" ");
    match (S::Record::FIELDS[index].kind, value) {
        (Kind::Ids, Value::Id(id)) => {
            sql.push("@> ").push_bind(vec![id]);
        }
        (_, Value::Null) => {
            sql.push("is null");
        }
        (_, Value::Id(id)) => {
            sql.push("= ").push_bind(id);
        }
        (_, Value::Ids(ids)) => {
            sql.push("= any(").push_bind(ids).push(")");
        }
        (Kind::Enum(_), Value::Int(number)) => {
            sql.push("= ").push_bind(i32::try_from(number).unwrap_or(0));
        }
        (_, Value::Int(number)) => {
            sql.push("= ").push_bind(number);
        }
        (_, Value::Bool(truth)) => {
            sql.push("= ").push_bind(truth);
        }
        (_, Value::Text(text)) => {
            sql.push("= ").push_bind(text);
        }
        // Nothing else is asked for; a condition that cannot be written must not let everything through.
        _ => {
            sql.push("is null and false");
        }
    }
}
