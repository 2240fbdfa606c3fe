//! Records written once: what makes a table of records a resource, and the six standard requests on it.
//!
//! A service describes a record by implementing [`Resource`] for a marker type; the fields come from the contract.

mod check;
pub(crate) mod list;
mod many;
mod read;
mod rows;
mod statements;
mod write;

use std::future::Future;

use concierge_proto::Record;
use concierge_proto::error::Reason;

pub use list::Only;
pub use read::Loader;
pub(crate) use read::in_scope;
pub use rows::{decode, decode_from, encode};
pub(crate) use statements::Statements;

use crate::error::Error;
use crate::tx::Tx;

/// A table of records. Its columns are the record's fields by name and kind (see [`concierge_proto::Kind`]), a
/// `version bigint not null`, and `search text not null` when [`Resource::SEARCH`] says so.
pub trait Resource: Send + Sync + 'static {
    /// The record.
    type Record: Record;

    /// The table.
    const TABLE: &'static str;
    /// Fields that name other records of this service, checked to exist (and not to be deleted) when they change.
    const REFERENCES: &'static [Reference] = &[];
    /// False when a deleted record comes back also if what it refers to was deleted meanwhile.
    const REFERENCES_ON_UNDELETE: bool = true;
    /// Live records that forbid deletion.
    const CHILDREN: &'static [Child] = &[];
    /// What must be unique.
    const UNIQUE: &'static [Unique] = &[];
    /// The field with the customer a record belongs to (`id` for customers themselves): bounds what outsiders see.
    const CUSTOMER: Option<&'static str> = None;
    /// The field with the site a record belongs to.
    const SITE: Option<&'static str> = None;
    /// The field with the user a record belongs to.
    const USER: Option<&'static str> = None;
    /// True when the table has a column `search`, filled by [`Resource::search`].
    const SEARCH: bool = false;
    /// The order of lists that ask for none.
    const ORDER: &'static str = "create_time";

    /// The words by which a search finds the record.
    fn search(_record: &Self::Record) -> String {
        String::new()
    }

    /// Checks what the fields alone cannot say, and fills what the server sets, before the record is stored. `before`
    /// is `None` for a new record. Every problem at once: see [`Gathered`](crate::Gathered). What references name may be
    /// missing, and fields may break the contract's rules: whatever this finds then is told with that.
    fn check(
        _tx: &mut Tx,
        _before: Option<&Self::Record>,
        _after: &mut Self::Record,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// What follows from a stored change, in its transaction. Also called after deletion and undeletion.
    fn stored(
        _tx: &mut Tx,
        _before: Option<&Self::Record>,
        _after: &Self::Record,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Refuses a deletion, beyond [`Resource::CHILDREN`].
    fn check_delete(_tx: &mut Tx, _record: &Self::Record) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Refuses an undeletion, for instance because the parent is deleted.
    fn check_undelete(_tx: &mut Tx, _record: &Self::Record) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// A field that names another record of the same service.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The field: an id, or several.
    pub field: &'static str,
    /// The table it points into.
    pub table: &'static str,
}

/// Records that need this one.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Their type, for the error.
    pub record_type: &'static str,
    /// Their table.
    pub table: &'static str,
    /// Their column with this record's id.
    pub column: &'static str,
    /// True when that column holds several ids.
    pub many: bool,
}

/// A unique constraint or index, and what it means when it is broken.
#[derive(Clone, Copy, Debug)]
pub struct Unique {
    /// Its name in the database.
    pub constraint: &'static str,
    /// The field at fault.
    pub field: &'static str,
    /// The reason.
    pub reason: Reason,
}

/// Maps a broken constraint of the resource to what it means.
pub(crate) fn taken<S: Resource>(error: Error) -> Error {
    crate::db::constraint(error, |name| {
        S::UNIQUE
            .iter()
            .find(|u| u.constraint == name)
            .map(|u| Error::Taken { reason: u.reason, field: format!("{}.{}", <S::Record as Record>::TYPE, u.field) })
    })
}
