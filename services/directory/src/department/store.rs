//! Departments as a table.

use concierge_proto::directory::Department;
use concierge_proto::error::Reason;
use concierge_runtime::Resource;
use concierge_runtime::resource::{Child, Reference, Unique};

/// The table of departments.
#[derive(Clone, Copy, Debug)]
pub struct Departments;

impl Resource for Departments {
    type Record = Department;

    const TABLE: &'static str = "departments";
    const REFERENCES: &'static [Reference] = &[Reference { field: "manager_agent_id", table: "agents" }];
    const CHILDREN: &'static [Child] = &[
        Child { record_type: "team", table: "teams", column: "department_id", many: false },
        Child { record_type: "user", table: "users", column: "department_id", many: false },
    ];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "departments_name", field: "name", reason: Reason::NameTaken }];
}
