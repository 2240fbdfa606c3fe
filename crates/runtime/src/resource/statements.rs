//! The statements of a resource, written once from its fields.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{LazyLock, PoisonError, RwLock};

use concierge_proto::{Fields, Record};

use super::Resource;

/// The text of every statement on one table.
#[derive(Debug)]
pub(crate) struct Statements {
    /// The columns, in the order of the fields, then `version`.
    pub(crate) columns: &'static str,
    /// By id.
    pub(crate) get: &'static str,
    /// By several ids.
    pub(crate) get_many: &'static str,
    /// By id, locking the row.
    pub(crate) lock: &'static str,
    /// By several ids, in their order, keeping others from changing the rows.
    pub(crate) share: &'static str,
    /// A new row, its history and its event: fields, version, search, then [`TRAIL`].
    pub(crate) insert: &'static str,
    /// All columns of a row, its history and its event: fields, version, search, then [`TRAIL`].
    pub(crate) update: &'static str,
    /// Whether live rows with these ids exist; share-locked so that they stay.
    pub(crate) table: &'static str,
}

/// What follows a record's own columns in a write: the history's and the outbox' columns, with their types.
pub(super) const HISTORY: &str = "record_type, record_id, version, operation, time, actor_kind, actor, on_behalf_of, request_id, method, fields, record, id";
pub(super) const OUTBOX: &str = "id, type, subject, time, traceparent, cause, payload_type, payload";

impl Statements {
    /// The statements of `S`. Made at first use and kept: there are as many as record types.
    pub(crate) fn of<S: Resource>() -> &'static Self {
        static ALL: LazyLock<RwLock<HashMap<TypeId, &'static Statements>>> = LazyLock::new(RwLock::default);
        let key = TypeId::of::<S>();
        if let Some(found) = ALL.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return found;
        }
        let made: &'static Statements = Box::leak(Box::new(Self::make::<S>()));
        ALL.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(made)
    }

    fn make<S: Resource>() -> Self {
        let table = S::TABLE;
        let mut names: Vec<String> = S::Record::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
        names.push("version".to_owned());
        let columns = names.join(", ");
        if S::SEARCH {
            names.push("search".to_owned());
        }
        let n = names.len();
        let parameters =
            |from: usize, count: usize| (from..from + count).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
        let trail = format!(
            "history as (insert into changes ({HISTORY}) values ({})) insert into outbox ({OUTBOX}) values ({})",
            parameters(n + 1, 13),
            parameters(n + 13, 8),
        );
        let mut assignments = String::new();
        for (i, name) in names.iter().enumerate().skip(1) {
            let comma = if i > 1 { ", " } else { "" };
            let _ = write!(assignments, "{comma}{name} = ${}", i + 1);
        }
        let id = <S::Record as Fields>::index_of("id").unwrap_or(0);
        debug_assert_eq!(id, 0, "the id is field 1 of {}", <S::Record as Record>::FULL_NAME);
        let keep = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        Self {
            get: keep(format!("select {columns} from {table} where id = $1")),
            get_many: keep(format!("select {columns} from {table} where id = any($1)")),
            lock: keep(format!("select {columns} from {table} where id = $1 for update")),
            share: keep(format!("select {columns} from {table} where id = any($1) order by id for share")),
            insert: keep(format!(
                "with record as (insert into {table} ({}) values ({})), {trail}",
                names.join(", "),
                parameters(1, n)
            )),
            update: keep(format!("with record as (update {table} set {assignments} where id = $1), {trail}")),
            columns: keep(columns),
            table,
        }
    }
}

/// The statement that finds which of some ids are live in a table, locking them against deletion.
pub(crate) fn live(table: &'static str) -> &'static str {
    static ALL: LazyLock<RwLock<HashMap<&'static str, &'static str>>> = LazyLock::new(RwLock::default);
    if let Some(found) = ALL.read().unwrap_or_else(PoisonError::into_inner).get(table) {
        return found;
    }
    let made: &'static str = Box::leak(
        format!("select id from {table} where id = any($1) and delete_time is null order by id for share")
            .into_boxed_str(),
    );
    ALL.write().unwrap_or_else(PoisonError::into_inner).entry(table).or_insert(made)
}
