//! Inboxes: everybody has one of their own and reaches no other.

use concierge_proto::notification::{
    InboxItem, ListInboxItemsRequest, ListInboxItemsResponse, MarkInboxItemsReadResponse,
};
use concierge_proto::{CallerKind, Record as _, Value};
use concierge_runtime::html::sanitize;
use concierge_runtime::resource::Only;
use concierge_runtime::{Call, Error, Service, Tx};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::store::InboxItems;

/// Whose inbox it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Agent(Uuid),
    User(Uuid),
    /// Somebody whose token names nobody that could have an inbox: what they see is empty.
    Nobody,
}

impl Owner {
    /// Whoever calls.
    pub(super) fn of_call() -> Self {
        let call = Call::current();
        let Some(caller) = call.as_ref().and_then(|c| c.caller.as_ref()) else { return Self::Nobody };
        match (caller.kind, caller.subject.parse()) {
            (CallerKind::Agent, Ok(id)) => Self::Agent(id),
            (CallerKind::User, Ok(id)) => Self::User(id),
            _ => Self::Nobody,
        }
    }

    /// The column that holds the owner, and the owner.
    pub(super) fn column(self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Agent(id) => Some(("agent_id", id)),
            Self::User(id) => Some(("user_id", id)),
            Self::Nobody => None,
        }
    }
}

/// A page of somebody's inbox. Two round trips, more for a page of more than fifty.
pub(super) async fn list(
    service: &Service,
    owner: Owner,
    request: &ListInboxItemsRequest,
) -> Result<ListInboxItemsResponse, Error> {
    // The nil id owns nothing, and the request is checked all the same.
    let (column, id) = owner.column().unwrap_or(("agent_id", Uuid::nil()));
    let mut only = Only::everything().equal(column, Value::Id(id));
    if request.unread_only {
        only = only.absent("read_time");
    }
    let (items, next_page_token) = service.page::<InboxItems, _>(request, only).await?;
    Ok(ListInboxItemsResponse {
        inbox_items: items.into_iter().map(sanitized).collect(),
        next_page_token,
        unread_count: unread(service.pool(), owner).await?,
    })
}

/// An item as it is shown: what was sanitised when it was put there is sanitised again.
pub(super) fn sanitized(item: InboxItem) -> InboxItem {
    InboxItem { body_html: sanitize(&item.body_html), ..item }
}

/// How many items of an inbox are not marked as read.
async fn unread(executor: impl PgExecutor<'_>, owner: Owner) -> Result<i64, Error> {
    let Some((column, id)) = owner.column() else { return Ok(0) };
    let sql = format!("select count(*) from inbox_items where {column} = $1 and read_time is null");
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).fetch_one(executor).await?)
}

/// Marks items as read, all of them or none. Three round trips.
pub(super) async fn mark_read(tx: &mut Tx, owner: Owner, ids: &[String]) -> Result<MarkInboxItemsReadResponse, Error> {
    let absent = |id: &str| Error::NotFound { record_type: InboxItem::TYPE, id: id.to_owned() };
    let Some((column, owner_id)) = owner.column() else {
        return Err(absent(ids.first().map(String::as_str).unwrap_or_default()));
    };
    let wanted: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let lock = format!("select id from inbox_items where {column} = $1 and id = any($2) order by id for update");
    let own: Vec<Uuid> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(lock)).bind(owner_id).bind(&wanted).fetch_all(tx.conn().await?).await?;
    if let Some(missing) = wanted.iter().find(|id| !own.contains(id)) {
        return Err(absent(&missing.to_string()));
    }
    let now = tx.now;
    let marked = sqlx::query(
        "update inbox_items set read_time = $2, update_time = $2, version = version + 1
         where id = any($1) and read_time is null",
    )
    .bind(&own)
    .bind(now)
    .execute(tx.conn().await?)
    .await?;
    let unread_count = unread(tx.conn().await?, owner).await?;
    Ok(MarkInboxItemsReadResponse {
        marked_count: i32::try_from(marked.rows_affected()).unwrap_or(i32::MAX),
        unread_count,
    })
}
