//! Custom fields as a table.

use concierge_model::custom_field;
use concierge_proto::Violations;
use concierge_proto::directory::{CustomField, CustomFieldEntity};
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Unique, decode};
use concierge_runtime::{Error, Resource, Tx};

/// The table of custom fields.
#[derive(Clone, Copy, Debug)]
pub struct CustomFields;

impl Resource for CustomFields {
    type Record = CustomField;

    const TABLE: &'static str = "custom_fields";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "custom_fields_key", field: "key", reason: Reason::KeyTaken }];

    async fn check(_: &mut Tx, _: Option<&CustomField>, after: &mut CustomField) -> Result<(), Error> {
        let mut problems = Violations::default();
        custom_field::check_choices("custom_field.choices", after.r#type(), &after.choices, &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}

/// The live custom fields of an entity, in the order in which they are shown. One round trip.
pub(super) async fn live(tx: &mut Tx, entity: CustomFieldEntity) -> Result<Vec<CustomField>, Error> {
    let rows = sqlx::query(
        "select id, entity, key, name, description, type, choices, required, position, create_time, update_time,
             delete_time, version
         from custom_fields where entity = $1 and delete_time is null order by position, name, id",
    )
    .bind(i32::from(entity))
    .fetch_all(tx.conn().await?)
    .await?;
    rows.iter().map(decode).collect()
}
