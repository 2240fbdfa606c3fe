//! The contract of Concierge in Rust: the messages, clients and servers generated from `proto/`, and what the build
//! derives from the contract's options: the table of methods with their permissions, the validators, and the
//! descriptions of records.
//!
//! Nothing here is written by hand for one message: [`Validate`], [`Record`] and [`METHODS`] come out of `build.rs`.

pub mod codec;
pub mod method;
pub mod record;
pub mod request;
pub mod validate;

pub use method::{CallerKind, METHODS, Method, PERMISSIONS, Permission, PermissionSet, Scope};
pub use record::{Field, Fields, Kind, Record, Value};
pub use request::{
    CreateRequest, DeleteRequest, GetRequest, ListRequest, Mutation, Redact, UndeleteRequest, UpdateRequest,
};
pub use validate::{Validate, Violation, Violations};

/// What prost and tonic generate, under the packages' own names.
#[allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

/// What our own generator writes: method table, validators, records.
#[allow(clippy::all, unused_variables, unused_parens)]
mod derived {
    include!(concat!(env!("OUT_DIR"), "/derived.rs"));
}

pub use generated::concierge::common::v1 as common;
pub use generated::concierge::directory::v1 as directory;
pub use generated::concierge::error::v1 as error;
pub use generated::concierge::event::v1 as event;
pub use generated::concierge::notification::v1 as notification;
pub use generated::concierge::options::v1 as options;
pub use generated::concierge::ticket_rule::v1 as ticket_rule;

/// Every file of the contract with its comments and options, as an encoded `google.protobuf.FileDescriptorSet`:
/// what server reflection serves.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
