//! Records to and from rows.

use chrono::{DateTime, Utc};
use concierge_proto::{Kind, Record, Value};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Row as _};
use uuid::Uuid;

use crate::error::Error;

/// Reads a record from a row of its columns followed by `version`.
pub fn decode<R: Record>(row: &PgRow) -> Result<R, Error> {
    decode_from(row, 0)
}

/// Reads a record from a row in which its columns, followed by `version`, begin at index `start`.
pub fn decode_from<R: Record>(row: &PgRow, start: usize) -> Result<R, Error> {
    let mut record = R::default();
    for (index, field) in R::FIELDS.iter().enumerate() {
        let value = column(row, start + index, field.kind)?;
        if value != Value::Null {
            record.set_value(index, value);
        }
    }
    let version: i64 = row.try_get(start + R::FIELDS.len())?;
    record.set_etag(version.to_string());
    Ok(record)
}

fn column(row: &PgRow, index: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    macro_rules! get {
        ($type:ty, $make:expr) => {
            row.try_get::<Option<$type>, _>(index)?.map_or(Value::Null, $make)
        };
    }
    Ok(match kind {
        Kind::Text => get!(String, Value::Text),
        Kind::Id => get!(Uuid, Value::Id),
        Kind::Bool => get!(bool, Value::Bool),
        Kind::Int | Kind::Duration => get!(i64, Value::Int),
        Kind::Enum(_) => get!(i32, |v| Value::Int(i64::from(v))),
        Kind::Float => get!(f64, Value::Float),
        Kind::Time => get!(DateTime<Utc>, Value::Time),
        Kind::Texts => get!(Vec<String>, Value::Texts),
        Kind::Ids => get!(Vec<Uuid>, Value::Ids),
        Kind::Enums(_) => get!(Vec<i32>, Value::Ints),
        Kind::Message => get!(Vec<u8>, Value::Bytes),
    })
}

/// Adds a value to a statement's arguments with the type of its column.
pub fn encode(arguments: &mut PgArguments, kind: Kind, value: Value) -> Result<(), Error> {
    macro_rules! add {
        ($type:ty, $pattern:pat => $value:expr) => {
            match value {
                $pattern => arguments.add(Some::<$type>($value)),
                _ => arguments.add(None::<$type>),
            }
        };
    }
    let added = match kind {
        Kind::Text => add!(String, Value::Text(v) => v),
        Kind::Id => add!(Uuid, Value::Id(v) => v),
        Kind::Bool => add!(bool, Value::Bool(v) => v),
        Kind::Int | Kind::Duration => add!(i64, Value::Int(v) => v),
        Kind::Enum(_) => add!(i32, Value::Int(v) => i32::try_from(v).unwrap_or(0)),
        Kind::Float => add!(f64, Value::Float(v) => v),
        Kind::Time => add!(DateTime<Utc>, Value::Time(v) => v),
        Kind::Texts => add!(Vec<String>, Value::Texts(v) => v),
        Kind::Ids => add!(Vec<Uuid>, Value::Ids(v) => v),
        Kind::Enums(_) => add!(Vec<i32>, Value::Ints(v) => v),
        Kind::Message => add!(Vec<u8>, Value::Bytes(v) => v),
    };
    added.map_err(Error::internal)
}
