//! Deliveries and inbox items as tables.

use concierge_proto::notification::{Delivery, InboxItem};
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

use crate::sending::{ATTEMPTS, PATIENCE};

/// The table of deliveries. They come in through `telling` and go on through `sending`.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries;

impl Resource for Deliveries {
    type Record = Delivery;

    const TABLE: &'static str = "deliveries";
}

/// The table of inbox items.
#[derive(Clone, Copy, Debug)]
pub struct InboxItems;

impl Resource for InboxItems {
    type Record = InboxItem;

    const TABLE: &'static str = "inbox_items";
    const USER: Option<&'static str> = Some("user_id");
    const ORDER: &'static str = "position desc";
}

/// The e-mail sender that a delivery's definition named when it was queued.
pub(super) async fn wanted_sender(tx: &mut Tx, delivery: &Delivery) -> Result<Option<Uuid>, Error> {
    let id: Uuid = delivery.id.parse().map_err(Error::internal)?;
    let wanted = sqlx::query_scalar("select wanted_sender_id from deliveries where id = $1").bind(id);
    Ok(wanted.fetch_one(tx.conn().await?).await?)
}

/// Makes a delivery due at once, with a full number of attempts ahead of it.
pub(super) async fn begin_anew(tx: &mut Tx, delivery: &Delivery) -> Result<(), Error> {
    let id: Uuid = delivery.id.parse().map_err(Error::internal)?;
    let now = tx.now;
    sqlx::query(
        "update deliveries set due_time = $2, attempts_left = $3, patience_end = $4, waits_for_sender = false, lease = null
         where id = $1",
    )
    .bind(id)
    .bind(now)
    .bind(ATTEMPTS)
    .bind(now + PATIENCE)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}
