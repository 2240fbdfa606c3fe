//! Pieces of SQL that filters, orders and keysets share. Values are always bound, never written into the statement.

use concierge_proto::{Field, Kind, Value};
use sqlx::{Postgres, QueryBuilder};

/// Writes the field's column. Its name is a constant of the contract.
pub(super) fn column(query: &mut QueryBuilder<Postgres>, field: &Field) {
    query.push(format_args!("\"{}\"", field.name));
}

/// Writes the field's column for comparisons by order: text by its code points, in every database alike.
pub(super) fn ordered_column(query: &mut QueryBuilder<Postgres>, field: &Field) {
    column(query, field);
    if field.kind == Kind::Text {
        query.push(" COLLATE \"C\"");
    }
}

/// Binds a value as the type of the field's column.
pub(super) fn bind(query: &mut QueryBuilder<Postgres>, kind: Kind, value: &Value) {
    match value {
        Value::Null => query.push("NULL"),
        Value::Text(text) => query.push_bind(text.as_str()),
        Value::Id(id) => query.push_bind(*id),
        Value::Bool(b) => query.push_bind(*b),
        Value::Int(number) => match (kind, i32::try_from(*number)) {
            (Kind::Enum(_), Ok(number)) => query.push_bind(number),
            _ => query.push_bind(*number),
        },
        Value::Float(number) => query.push_bind(*number),
        Value::Time(time) => query.push_bind(*time),
        Value::Texts(texts) => query.push_bind(texts.as_slice()),
        Value::Ids(ids) => query.push_bind(ids.as_slice()),
        Value::Ints(numbers) => query.push_bind(numbers.as_slice()),
        Value::Bytes(bytes) => query.push_bind(bytes.as_slice()),
    };
}
