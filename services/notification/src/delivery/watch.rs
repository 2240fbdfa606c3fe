//! `WatchInbox`: somebody's inbox as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::Fields as _;
use concierge_proto::notification::{InboxItem, WatchInboxResponse};
use concierge_runtime::auth::TokenError;
use concierge_runtime::program::Host;
use concierge_runtime::resource::decode;
use concierge_runtime::{Call, Error};
use sqlx::Row as _;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::inbox::{Owner, sanitized};
use crate::Notification;
use crate::desk::Desk;

/// The items, as they come.
pub(super) type Items = Pin<Box<dyn Stream<Item = Result<WatchInboxResponse, Status>> + Send>>;

/// So many items are read at a time.
const BATCH: i64 = 100;
/// And no more than fill so many bytes, or one.
const BYTES: i64 = 1 << 20;
/// So many items wait for the reader before it counts as slow.
const AHEAD: usize = 16;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look when no hint came.
const POLL: Duration = Duration::from_secs(10);

/// Streams the items of the caller's inbox after a position.
pub(super) fn items(notification: &Notification, after: i64) -> Result<Items, Status> {
    let subject = Call::current().and_then(|call| call.caller.as_ref().map(|caller| caller.subject.clone()));
    let open = notification.desk.streams.open(subject.unwrap_or_default()).map_err(Error::from)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (host, desk) = (notification.host.clone(), Arc::clone(&notification.desk));
    let (owner, call) = (Owner::of_call(), Call::current());
    let work = async move {
        let _open = open;
        let ended = tokio::select! {
            () = sender.closed() => return,
            () = host.stop.cancelled() => Error::ShuttingDown,
            refused = refused(&host) => refused.into(),
            error = follow(&host, &desk, owner, after, &sender) => error,
        };
        // A reader that takes nothing gets no reason either.
        let _ = tokio::time::timeout(PATIENCE, sender.send(Err(ended.into()))).await;
    };
    match call {
        Some(call) => tokio::spawn(call.scope(work)),
        None => tokio::spawn(work),
    };
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Sends what is there, then what comes; ends when it cannot.
async fn follow(
    host: &Host,
    desk: &Arc<Desk>,
    owner: Owner,
    mut position: i64,
    sender: &mpsc::Sender<Result<WatchInboxResponse, Status>>,
) -> Error {
    let Some((_, id)) = owner.column() else { return std::future::pending().await };
    let mut watched = desk.watch_inbox(id);
    loop {
        watched.look();
        let (items, more) = match after(host, owner, position).await {
            Ok(read) => read,
            Err(error) => return error,
        };
        for item in items {
            position = item.position;
            let part = WatchInboxResponse { inbox_item: Some(sanitized(item)) };
            match tokio::time::timeout(PATIENCE, sender.send(Ok(part))).await {
                Ok(Ok(())) => {}
                // Gone: nobody hears the reason.
                Ok(Err(_)) => return Error::Cancelled,
                Err(_) => return crate::Error::InboxReaderTooSlow.into(),
            }
        }
        if !more {
            let _ = tokio::time::timeout(POLL, watched.changed()).await;
        }
    }
}

/// The next items of an inbox, and whether there may be more. One round trip.
async fn after(host: &Host, owner: Owner, position: i64) -> Result<(Vec<InboxItem>, bool), Error> {
    let Some((column, id)) = owner.column() else { return Ok((Vec::new(), false)) };
    let columns: Vec<String> = InboxItem::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
    // How many there are of the next, whether or not they are read now.
    let sql = format!(
        "select {}, version, next from (
             select *, count(*) over () as next, sum(bytes) over (order by position) - bytes as bytes_before
             from (select *, octet_length(body_html)::bigint as bytes from inbox_items
                   where {column} = $1 and position > $2 order by position limit $3) found) following
         where bytes_before < $4 order by position",
        columns.join(", ")
    );
    // Made of names in the service's own code.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(position)
        .bind(BATCH)
        .bind(BYTES)
        .fetch_all(host.service.pool())
        .await?;
    let next: i64 = rows.first().map_or(Ok(0), |row| row.try_get("next"))?;
    let items: Vec<InboxItem> = rows.iter().map(decode).collect::<Result<_, _>>()?;
    let more = next == BATCH || i64::try_from(items.len()).is_ok_and(|read| read < next);
    Ok((items, more))
}

/// Ends when the caller's token expires or is taken away: a stream must not outlive it.
async fn refused(host: &Host) -> TokenError {
    let call = Call::current();
    match call.as_ref().and_then(|call| call.caller.as_ref()) {
        Some(caller) => host.revocations.refused(caller, host.clock()).await,
        None => std::future::pending().await,
    }
}
