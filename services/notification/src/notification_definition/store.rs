//! Notification definitions as a table.

use concierge_proto::error::Reason;
use concierge_proto::notification::NotificationDefinition;
use concierge_runtime::resource::{Reference, Unique};
use concierge_runtime::{Error, Resource, Tx};
use prost::Message;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{check, fields};

/// The table of notification definitions.
#[derive(Clone, Copy, Debug)]
pub struct NotificationDefinitions;

impl Resource for NotificationDefinitions {
    type Record = NotificationDefinition;

    const TABLE: &'static str = "notification_definitions";
    const REFERENCES: &'static [Reference] = &[Reference { field: "email_sender_id", table: "email_senders" }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "notification_definitions_name", field: "name", reason: Reason::NameTaken }];

    async fn check(
        tx: &mut Tx,
        _before: Option<&NotificationDefinition>,
        after: &mut NotificationDefinition,
    ) -> Result<(), Error> {
        let fields = fields::of(tx, after.criteria.as_ref()).await?;
        check::check(after, &fields)
    }
}

/// The definitions that are enabled, in the order of their creation. One round trip.
pub(crate) async fn enabled(tx: &mut Tx) -> Result<Vec<NotificationDefinition>, Error> {
    let rows = sqlx::query(
        "select id, event_type, rule_id, criteria, recipients, channels, email_sender_id, subject_template,
             body_html_template, version
         from notification_definitions where enabled and delete_time is null order by create_time, id",
    )
    .fetch_all(tx.conn().await?)
    .await?;
    rows.iter().map(definition).collect()
}

/// What telling people needs of a definition.
fn definition(row: &PgRow) -> Result<NotificationDefinition, Error> {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Ok(NotificationDefinition {
        id: id(row.try_get(0)?),
        event_type: row.try_get(1)?,
        rule_id: id(row.try_get(2)?),
        criteria: message(row, 3)?,
        recipients: message(row, 4)?,
        channels: row.try_get(5)?,
        email_sender_id: id(row.try_get(6)?),
        subject_template: row.try_get(7)?,
        body_html_template: row.try_get(8)?,
        etag: row.try_get::<i64, _>(9)?.to_string(),
        ..Default::default()
    })
}

fn message<M: Message + Default>(row: &PgRow, column: usize) -> Result<Option<M>, Error> {
    let bytes: Option<Vec<u8>> = row.try_get(column)?;
    bytes.map(|bytes| M::decode(bytes.as_slice())).transpose().map_err(Error::internal)
}
