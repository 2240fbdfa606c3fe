//! Popup notes as a table, and which of them an agent is shown.

use chrono::NaiveDate;
use concierge_proto::notification::{Popup, PopupKind, PopupNote};
use concierge_runtime::html::sanitize;
use concierge_runtime::{Error, Resource, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::check;

/// The table of popup notes.
#[derive(Clone, Copy, Debug)]
pub struct PopupNotes;

impl Resource for PopupNotes {
    type Record = PopupNote;

    const TABLE: &'static str = "popup_notes";

    async fn check(_tx: &mut Tx, before: Option<&PopupNote>, after: &mut PopupNote) -> Result<(), Error> {
        check::check(after)?;
        after.text_revision = match before {
            None => 1,
            Some(before) => before.text_revision + i64::from(before.text_html != after.text_html),
        };
        Ok(())
    }
}

/// Who opens a ticket, whose it is, and what day it is there.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    /// The agent.
    pub(crate) agent: &'a str,
    /// The ticket's customer; empty for none, as the other ids.
    pub(crate) customer_id: &'a str,
    /// The ticket's site.
    pub(crate) site_id: &'a str,
    /// The ticket's user.
    pub(crate) user_id: &'a str,
    /// Today, where the ticket is.
    pub(crate) day: NaiveDate,
}

/// The notes to show, in their order. One round trip.
pub(crate) async fn shown(pool: &PgPool, opening: &Opening<'_>) -> Result<Vec<Popup>, Error> {
    let id = |text: &str| text.parse::<Uuid>().ok();
    let rows = sqlx::query(
        "select id, customer_id, site_id, user_id, text_html, dismissible, text_revision from popup_notes as note
         where (customer_id = $1 or site_id = $2 or user_id = $3) and active and delete_time is null
             and (from_date = '' or from_date <= $4) and (until_date = '' or until_date >= $4)
             and not (dismissible and exists (
                 select from popup_dismissals as dismissal
                 where dismissal.popup_note_id = note.id and dismissal.agent = $5
                     and dismissal.text_revision = note.text_revision))
         order by customer_id is null, site_id is null, create_time, id",
    )
    .bind(id(opening.customer_id))
    .bind(id(opening.site_id))
    .bind(id(opening.user_id))
    .bind(opening.day.format("%Y-%m-%d").to_string())
    .bind(opening.agent)
    .fetch_all(pool)
    .await?;
    rows.iter().map(popup).collect()
}

fn popup(row: &PgRow) -> Result<Popup, Error> {
    let id = |column| -> Result<String, sqlx::Error> {
        Ok(row.try_get::<Option<Uuid>, _>(column)?.map(|id| id.to_string()).unwrap_or_default())
    };
    Ok(Popup {
        kind: PopupKind::Note.into(),
        popup_note_id: id(0)?,
        customer_id: id(1)?,
        site_id: id(2)?,
        user_id: id(3)?,
        html: sanitize(row.try_get(4)?),
        dismissible: row.try_get(5)?,
        text_revision: row.try_get(6)?,
        ..Default::default()
    })
}
