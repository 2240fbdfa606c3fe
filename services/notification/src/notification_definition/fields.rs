//! The fields that the criteria of definitions can name: those of the contract, and the custom fields that directory and
//! ticket-rule have told of.

use concierge_criteria::Schema;
use concierge_model::criteria::{describe, describe_custom, notification_schema, notification_schema_with};
use concierge_model::custom_field::{self, Definition};
use concierge_proto::Record as _;
use concierge_proto::common::{CriteriaGroup, CriterionField, CustomFieldChoice, CustomFieldType};
use concierge_proto::directory::CustomField;
use concierge_proto::ticket_rule::TicketField;
use concierge_runtime::program::Host;
use concierge_runtime::{Error, Tx};
use prost::Message as _;
use sqlx::{PgConnection, Row as _};

use crate::telling;

/// A custom field as last heard of. A deleted one has still its values on records, and definitions that name it go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The record that has it, as criteria call it.
    of: &'static str,
    key: String,
    name: String,
    kind: CustomFieldType,
    choices: Vec<CustomFieldChoice>,
    deleted: bool,
}

impl Heard {
    fn definition(&self) -> (&'static str, Definition<'_>) {
        (self.of, Definition { key: &self.key, kind: self.kind, choices: &self.choices, required: false })
    }
}

/// Every custom field that was heard of, the oldest first: no two of the same records have one key. One round trip.
pub(crate) async fn heard(connection: &mut PgConnection) -> Result<Vec<Heard>, Error> {
    let rows = sqlx::query(
        "select record_type, record, deleted from projections where record_type in ('custom_field', 'ticket_field')
         order by record_id",
    )
    .fetch_all(connection)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (record_type, bytes, deleted): (&str, &[u8], bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if record_type == TicketField::TYPE {
            let field = TicketField::decode(bytes).map_err(Error::internal)?;
            let kind = field.r#type();
            all.push(Heard { of: "ticket", key: field.key, name: field.name, kind, choices: field.choices, deleted });
        } else {
            let field = CustomField::decode(bytes).map_err(Error::internal)?;
            let (of, kind) = (custom_field::owner(&field), field.r#type());
            let Some(of) = of else { continue };
            all.push(Heard { of, key: field.key, name: field.name, kind, choices: field.choices, deleted });
        }
    }
    Ok(all)
}

/// The fields with these custom ones. A choice that is no longer offered is still a value that records have: criteria can
/// name any.
pub(crate) fn schema(heard: &[Heard]) -> Schema {
    notification_schema_with(heard.iter().map(|heard| {
        let (of, definition) = heard.definition();
        (of, Definition { choices: &[], ..definition })
    }))
}

/// The fields as the contract describes them, those of deleted definitions left out. One round trip.
pub(super) async fn described(connection: &mut PgConnection) -> Result<Vec<CriterionField>, Error> {
    let heard = heard(connection).await?;
    let live = heard.iter().filter(|heard| !heard.deleted);
    let custom = live.map(|heard| describe_custom(heard.of, &heard.name, &heard.definition().1));
    Ok(describe(notification_schema()).into_iter().chain(custom).collect())
}

/// The fields that these criteria can name. One round trip where they name custom fields, else none.
pub(super) async fn of(tx: &mut Tx, criteria: Option<&CriteriaGroup>) -> Result<Schema, Error> {
    if custom(criteria).is_empty() {
        return Ok(notification_schema().clone());
    }
    Ok(schema(&heard(tx.conn().await?).await?))
}

/// The same, after a wait for what directory has told and was not heard yet where they name what nobody knows: the custom
/// field may have been made a moment ago.
pub(super) async fn caught_up(host: &Host, criteria: Option<&CriteriaGroup>) -> Result<Schema, Error> {
    let named = custom(criteria);
    if named.is_empty() {
        return Ok(notification_schema().clone());
    }
    let mut tx = host.service.begin().await?;
    let mut known = schema(&heard(tx.conn().await?).await?);
    if named.iter().any(|name| known.field(name).is_none()) && telling::heard_all(host, &mut tx).await.is_ok() {
        known = schema(&heard(tx.conn().await?).await?);
    }
    tx.rollback().await?;
    Ok(known)
}

/// The custom fields that criteria name.
fn custom(criteria: Option<&CriteriaGroup>) -> Vec<&str> {
    let Some(group) = criteria else { return Vec::new() };
    let named = group.criteria.iter().map(|criterion| criterion.field.as_str());
    let own = named.filter(|name| custom_field::is_criterion(name));
    own.chain(group.groups.iter().flat_map(|inner| custom(Some(inner)))).collect()
}
