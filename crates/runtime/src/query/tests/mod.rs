//! The module as its callers see it. What needs a database has a real one.

mod database;
mod filter;
mod order;
mod page;
mod paging;
mod sql;

use concierge_proto::{Field, Kind, Permission, PermissionSet};

const MOODS: &[(&str, i32)] = &[("UNSPECIFIED", 0), ("CALM", 1), ("CROSS", 2)];

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        optional: false,
        output_only: false,
        immutable: false,
        secret: false,
        write_permission: None,
        read_permission: None,
        default: None,
        references: None,
    }
}

/// One field of every kind, and the ones that a caller may not see.
static FIELDS: &[Field] = &[
    field("id", Kind::Id),
    field("name", Kind::Text),
    field("active", Kind::Bool),
    field("count", Kind::Int),
    Field { optional: true, ..field("level", Kind::Int) },
    field("score", Kind::Float),
    field("mood", Kind::Enum(MOODS)),
    field("due_time", Kind::Time),
    field("wait", Kind::Duration),
    field("site_id", Kind::Id),
    field("domains", Kind::Texts),
    field("role_ids", Kind::Ids),
    field("moods", Kind::Enums(MOODS)),
    field("address", Kind::Message),
    Field { secret: true, ..field("password", Kind::Text) },
    Field { read_permission: Some(Permission(0)), ..field("important", Kind::Bool) },
    field("create_time", Kind::Time),
];

/// A caller that holds nothing beyond the method's own permission.
fn nobody() -> PermissionSet {
    PermissionSet::default()
}
