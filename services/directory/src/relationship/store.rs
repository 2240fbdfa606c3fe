//! Relationships as a table.

use concierge_proto::directory::Relationship;
use concierge_proto::error::Reason;
use concierge_runtime::Resource;
use concierge_runtime::resource::{Child, Unique};

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
