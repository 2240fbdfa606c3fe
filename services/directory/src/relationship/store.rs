//! Relationships as a table.

use concierge_proto::Violations;
use concierge_proto::directory::{Relationship, RelationshipEntity};
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Child, Unique};
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

/// The table of relationships.
#[derive(Clone, Copy, Debug)]
pub struct Relationships;

impl Resource for Relationships {
    type Record = Relationship;

    const TABLE: &'static str = "relationships";
    const CHILDREN: &'static [Child] = &[
        Child { record_type: "customer", table: "customers", column: "relationship_ids", many: true },
        Child { record_type: "user", table: "users", column: "relationship_ids", many: true },
    ];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "relationships_name", field: "name", reason: Reason::NameTaken }];
}

/// Refuses relationships that are configured for the other kind of record. Those `known` before were checked then.
pub(crate) async fn check_entity(
    tx: &mut Tx,
    entity: RelationshipEntity,
    field: &str,
    known: &[String],
    wanted: &[String],
) -> Result<(), Error> {
    let new: Vec<Uuid> = wanted.iter().filter(|id| !known.contains(id)).filter_map(|id| id.parse().ok()).collect();
    if new.is_empty() {
        return Ok(());
    }
    let other: Vec<Uuid> = sqlx::query_scalar("select id from relationships where id = any($1) and entity <> $2")
        .bind(new)
        .bind(i32::from(entity))
        .fetch_all(tx.conn().await?)
        .await?;
    let mut violations = Violations::default();
    for (position, id) in wanted.iter().enumerate() {
        if other.iter().any(|o| o.to_string() == *id) {
            violations.add(format!("{field}[{position}]"), "must be a relationship configured for this kind of record");
        }
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::InvalidBecause { reason: Reason::RelationshipOfOtherEntity, violations })
}
