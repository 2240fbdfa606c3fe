//! The six standard requests on a record, as traits: what lets one implementation serve every record.

use prost::Message;

use crate::{PermissionSet, Record};

/// A request that changes something: it carries a `request_id`.
pub trait Mutation: Message + Default + 'static {
    /// The UUID of the caller's making that names this request.
    fn request_id(&self) -> &str;
}

/// A message that may hold fields which not everybody, or nothing that is kept, may see.
pub trait Redact {
    /// True when it holds secret fields, itself or in a message inside it.
    const HAS_SECRETS: bool;
    /// Empties the secret fields.
    fn redact(&mut self);
    /// Empties the fields whose `read_permission` is not among those held.
    fn conceal(&mut self, permissions: PermissionSet);
}

/// `Create…Request`.
pub trait CreateRequest: Mutation {
    /// The record.
    type Record: Record;
    /// The answer.
    type Response: Message + Default + From<Self::Record>;
    /// The record to create.
    fn into_record(self) -> Self::Record;
}

/// `Get…Request`.
pub trait GetRequest: Message + Default + 'static {
    /// The record.
    type Record: Record;
    /// The answer.
    type Response: Message + Default + From<Self::Record>;
    /// The record's id.
    fn id(&self) -> &str;
}

/// `Update…Request`.
pub trait UpdateRequest: Mutation {
    /// The record.
    type Record: Record;
    /// The answer.
    type Response: Message + Default + From<Self::Record>;
    /// The new values, and the paths to change.
    fn into_parts(self) -> (Self::Record, Vec<String>);
}

/// `Delete…Request`.
pub trait DeleteRequest: Mutation {
    /// The record.
    type Record: Record;
    /// The answer.
    type Response: Message + Default + From<Self::Record>;
    /// The record's id.
    fn id(&self) -> &str;
    /// The etag the caller read; empty when it does not care.
    fn etag(&self) -> &str;
}

/// `Undelete…Request`.
pub trait UndeleteRequest: Mutation {
    /// The record.
    type Record: Record;
    /// The answer.
    type Response: Message + Default + From<Self::Record>;
    /// The record's id.
    fn id(&self) -> &str;
}

/// `List…Request`, and every other request that pages through records.
pub trait ListRequest: Message + Default + 'static {
    /// The record.
    type Record: Record;
    /// The answer: the records, and the token of the next page.
    type Response: Message + Default + From<(Vec<Self::Record>, String)>;
    /// How many at most.
    fn page_size(&self) -> i32;
    /// Where to go on.
    fn page_token(&self) -> &str;
    /// An AIP-160 filter.
    fn filter(&self) -> &str;
    /// Fields to order by.
    fn order_by(&self) -> &str;
    /// True when deleted records are wanted too.
    fn show_deleted(&self) -> bool;
}
