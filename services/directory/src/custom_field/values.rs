//! The values that customers, sites and users have in custom fields.

use concierge_model::custom_field::{Definition, check, merge};
use concierge_proto::Violations;
use concierge_proto::common::CustomFieldValue;
use concierge_proto::directory::CustomFieldEntity;
use concierge_runtime::{Error, Tx};

use super::store;

/// Checks the values that were sent for a record against the definitions of its entity, and makes them those of the
/// record. `path` is where they are, such as `user.custom_fields`; `before` is `None` for a new record. One round trip,
/// none where the values stay as they are.
pub(crate) async fn accept(
    tx: &mut Tx,
    entity: CustomFieldEntity,
    path: &str,
    before: Option<&[CustomFieldValue]>,
    values: &mut Vec<CustomFieldValue>,
) -> Result<(), Error> {
    if before.is_some_and(|before| before == values.as_slice()) {
        return Ok(());
    }
    let known = store::live(tx, entity).await?;
    let definitions: Vec<Definition<'_>> = known.iter().map(Definition::from).collect();
    let mut problems = Violations::default();
    check(&definitions, before, values, path, &mut problems);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    merge(before.unwrap_or_default(), values);
    Ok(())
}
