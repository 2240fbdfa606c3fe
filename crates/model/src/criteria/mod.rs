//! The criteria of the contract: which fields there are, what is known of each for a ticket, and the way between the
//! messages of `concierge/common/v1/criteria.proto` and [`concierge_criteria`]. Ticket rules and notification definitions
//! use the same.

mod convert;
mod fields;
mod record;
#[cfg(test)]
mod tests;

pub use convert::{compile, criterion, definition, operator, value, values};
pub use fields::{
    describe, describe_custom, notification_schema, notification_schema_with, read_permission, rule_schema,
    rule_schema_with,
};
pub use record::{EventInput, Input, record};
