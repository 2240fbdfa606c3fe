//! Site contact types as a table.

use concierge_proto::directory::SiteContactType;
use concierge_proto::error::Reason;
use concierge_runtime::Resource;
use concierge_runtime::resource::{Child, Unique};

/// The table of site contact types.
#[derive(Clone, Copy, Debug)]
pub struct SiteContactTypes;

impl Resource for SiteContactTypes {
    type Record = SiteContactType;

    const TABLE: &'static str = "site_contact_types";
    const CHILDREN: &'static [Child] =
        &[Child { record_type: "site_contact", table: "site_contacts", column: "type_id", many: false }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "site_contact_types_name", field: "name", reason: Reason::NameTaken }];
}
