//! Settings of popups, and dismissals of popup notes.

use chrono::{DateTime, Utc};
use concierge_proto::Fields as _;
use concierge_proto::notification::{PopupNote, PopupSettings};
use concierge_proto::record::timestamp;
use concierge_runtime::{Error, Tx};
use prost::Message as _;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// What history calls the settings. They are one of their kind, so their id is nil.
const TYPE: &str = "popup_settings";

/// The settings. One round trip.
pub(super) async fn settings(pool: &PgPool) -> Result<PopupSettings, Error> {
    if let Some(call) = concierge_runtime::Call::current() {
        call.remaining()?;
    }
    let row =
        sqlx::query("select vip_popup_enabled, vip_customer_popup_enabled, update_time, version from popup_settings")
            .fetch_one(pool)
            .await?;
    read(&row)
}

fn read(row: &PgRow) -> Result<PopupSettings, Error> {
    let changed: Option<DateTime<Utc>> = row.try_get(2)?;
    Ok(PopupSettings {
        vip_popup_enabled: row.try_get(0)?,
        vip_customer_popup_enabled: row.try_get(1)?,
        update_time: changed.map(timestamp),
        etag: row.try_get::<i64, _>(3)?.to_string(),
    })
}

/// Changes the named settings; nothing is written when nothing differs. Two round trips: the second stores them with
/// their history.
pub(super) async fn change(tx: &mut Tx, new: &PopupSettings, paths: &[String]) -> Result<PopupSettings, Error> {
    let row = sqlx::query(
        "select vip_popup_enabled, vip_customer_popup_enabled, update_time, version from popup_settings for update",
    )
    .fetch_one(tx.conn().await?)
    .await?;
    let before = read(&row)?;
    if !new.etag.is_empty() && new.etag != before.etag {
        return Err(Error::StaleEtag { record_type: TYPE, id: String::new() });
    }
    let mut after = before.clone();
    let mut fields = Vec::new();
    for path in paths {
        let Some(index) = PopupSettings::index_of(path) else { continue };
        if after.value(index) != new.value(index) {
            after.set_value(index, new.value(index));
            fields.push(path.clone());
        }
    }
    if fields.is_empty() {
        return Ok(before);
    }
    let version = row.try_get::<i64, _>(3)? + 1;
    after.update_time = Some(timestamp(tx.now));
    after.etag = version.to_string();
    let (id, now, actor, request_id) = (tx.new_id(), tx.now, tx.actor(), tx.request_id.clone());
    let method = tx.call.method.map_or("", |m| m.path.trim_start_matches('/'));
    sqlx::query(
        "with history as (
             insert into changes (id, record_type, record_id, version, operation, time, actor_kind, actor,
                 on_behalf_of, request_id, method, fields, record)
             values ($5, $6, $7, $4, 2, $3, $8, $9, $10, $11, $12, $13, $14))
         update popup_settings
         set vip_popup_enabled = $1, vip_customer_popup_enabled = $2, update_time = $3, version = $4",
    )
    .bind(after.vip_popup_enabled)
    .bind(after.vip_customer_popup_enabled)
    .bind(now)
    .bind(version)
    .bind(id)
    .bind(TYPE)
    .bind(Uuid::nil())
    .bind(actor.kind as i32)
    .bind(actor.subject)
    .bind(actor.on_behalf_of)
    .bind(request_id)
    .bind(method)
    .bind(fields)
    .bind(after.encode_to_vec())
    .execute(tx.conn().await?)
    .await?;
    Ok(after)
}

/// Dismisses a note for the caller, as its text is now. Answers with the time of the first dismissal of this text.
/// One round trip.
pub(super) async fn dismiss(tx: &mut Tx, note: &PopupNote) -> Result<DateTime<Utc>, Error> {
    let (agent, now) = (tx.actor().subject, tx.now);
    let time = sqlx::query_scalar(
        "insert into popup_dismissals as known (popup_note_id, agent, text_revision, dismiss_time)
         values ($1, $2, $3, $4)
         on conflict (popup_note_id, agent) do update set text_revision = excluded.text_revision,
             dismiss_time = case when known.text_revision = excluded.text_revision then known.dismiss_time
                 else excluded.dismiss_time end
         returning dismiss_time",
    )
    .bind(note.id.parse::<Uuid>().map_err(Error::internal)?)
    .bind(agent)
    .bind(note.text_revision)
    .bind(now)
    .fetch_one(tx.conn().await?)
    .await?;
    Ok(time)
}
