//! Records as tables see them: an ordered list of fields, each readable and writable as a [`Value`].

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Permission;

/// What a field of a record is, and so which column carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string: `text not null`.
    Text,
    /// A string that is an id: `uuid`, null when empty.
    Id,
    /// A truth value: `boolean not null`.
    Bool,
    /// A whole number: `bigint`; null only for an absent field with presence.
    Int,
    /// A number: `double precision`.
    Float,
    /// An enum, by number: `integer not null`. The values are listed with their names.
    Enum(&'static [(&'static str, i32)]),
    /// A point in time: `timestamptz`, null when absent.
    Time,
    /// A length of time: `bigint` microseconds, null when absent.
    Duration,
    /// Several strings: `text[] not null`.
    Texts,
    /// Several ids: `uuid[] not null`.
    Ids,
    /// Several enum values, by number: `integer[] not null`.
    Enums(&'static [(&'static str, i32)]),
    /// A message, or several: `bytea`, protobuf encoded; null when absent.
    Message,
}

/// A field of a message, with what the contract's options say of it.
#[derive(Debug)]
pub struct Field {
    /// Its name in the contract; the column has the same.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// True when a scalar has presence (`optional`).
    pub optional: bool,
    /// Set by the server.
    pub output_only: bool,
    /// Set at creation only.
    pub immutable: bool,
    /// Never logged or kept in history, events and stored answers.
    pub secret: bool,
    /// What writing it needs beyond the method's permission.
    pub write_permission: Option<Permission>,
    /// What reading it needs beyond the method's permission.
    pub read_permission: Option<Permission>,
    /// The value it gets at creation when absent.
    pub default: Option<&'static str>,
    /// The type of record that its ids refer to.
    pub references: Option<&'static str>,
}

/// The value of a field on its way to or from a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// See [`Kind::Text`].
    Text(String),
    /// See [`Kind::Id`].
    Id(Uuid),
    /// See [`Kind::Bool`].
    Bool(bool),
    /// See [`Kind::Int`], [`Kind::Enum`] and [`Kind::Duration`].
    Int(i64),
    /// See [`Kind::Float`].
    Float(f64),
    /// See [`Kind::Time`].
    Time(DateTime<Utc>),
    /// See [`Kind::Texts`].
    Texts(Vec<String>),
    /// See [`Kind::Ids`].
    Ids(Vec<Uuid>),
    /// See [`Kind::Enums`].
    Ints(Vec<i32>),
    /// See [`Kind::Message`].
    Bytes(Vec<u8>),
}

/// A message whose fields can be listed, read and written by index.
pub trait Fields: prost::Message + Default + Clone + PartialEq + Send + Sync + 'static {
    /// The fields, in the order of their numbers.
    const FIELDS: &'static [Field];

    /// The value of field `index` of [`Fields::FIELDS`].
    fn value(&self, index: usize) -> Value;

    /// Sets field `index` of [`Fields::FIELDS`]. A value of another kind empties the field.
    fn set_value(&mut self, index: usize, value: Value);

    /// The index of the field of that name.
    fn index_of(name: &str) -> Option<usize> {
        Self::FIELDS.iter().position(|f| f.name == name)
    }

    /// Gives absent fields the default values that the contract states.
    fn apply_defaults(&mut self);
}

/// A record that a service keeps: it has an id, an etag and times.
pub trait Record: Fields + crate::Redact {
    /// Its type in one word, such as `site_contact`: used in errors, events, history.
    const TYPE: &'static str;
    /// Its full name in the contract.
    const FULL_NAME: &'static str;

    /// Its id as text.
    fn id(&self) -> &str;
    /// Sets the id.
    fn set_id(&mut self, id: String);
    /// Its etag.
    fn etag(&self) -> &str;
    /// Sets the etag.
    fn set_etag(&mut self, etag: String);
    /// Sets the time of creation.
    fn set_create_time(&mut self, time: Option<prost_types::Timestamp>);
    /// Sets the time of the last change.
    fn set_update_time(&mut self, time: Option<prost_types::Timestamp>);
    /// When it was deleted.
    fn delete_time(&self) -> Option<prost_types::Timestamp>;
    /// Sets the time of deletion.
    fn set_delete_time(&mut self, time: Option<prost_types::Timestamp>);

    /// The version that the etag states; 0 for a record that was never stored.
    fn version(&self) -> i64 {
        self.etag().parse().unwrap_or(0)
    }
}

/// Writes a time the way messages carry it.
pub fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0),
    }
}

/// Reads a time the way messages carry it; `None` outside the years 1 to 9999.
pub fn datetime(time: &prost_types::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}

/// Conversions that the generated [`Fields`] implementations call.
#[allow(dead_code, reason = "generated code calls those for the kinds of field that the contract has")]
pub(crate) mod convert {
    use super::{DateTime, Utc, Uuid, Value};

    pub(crate) fn id(text: &str) -> Value {
        text.parse().map_or(Value::Null, Value::Id)
    }
    pub(crate) fn ids(texts: &[String]) -> Value {
        Value::Ids(texts.iter().filter_map(|t| t.parse().ok()).collect())
    }
    pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> Value {
        time.and_then(super::datetime).map_or(Value::Null, Value::Time)
    }
    pub(crate) fn duration(duration: Option<&prost_types::Duration>) -> Value {
        duration.map_or(Value::Null, |d| Value::Int(d.seconds.saturating_mul(1_000_000) + i64::from(d.nanos / 1_000)))
    }
    pub(crate) fn message<M: prost::Message>(message: Option<&M>) -> Value {
        message.map_or(Value::Null, |m| Value::Bytes(m.encode_to_vec()))
    }
    /// Several messages are stored as one message with the repeated field 1.
    pub(crate) fn messages<M: prost::Message>(messages: &[M]) -> Value {
        let mut bytes = Vec::new();
        for message in messages {
            prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut bytes);
            prost::encoding::encode_varint(message.encoded_len() as u64, &mut bytes);
            // A Vec grows: encoding into it cannot fail.
            let _ = message.encode(&mut bytes);
        }
        Value::Bytes(bytes)
    }

    pub(crate) fn to_text(value: Value) -> String {
        match value {
            Value::Text(text) => text,
            Value::Id(id) => id.to_string(),
            _ => String::new(),
        }
    }
    pub(crate) fn to_texts(value: Value) -> Vec<String> {
        match value {
            Value::Texts(texts) => texts,
            Value::Ids(ids) => ids.iter().map(Uuid::to_string).collect(),
            _ => Vec::new(),
        }
    }
    pub(crate) fn to_bool(value: &Value) -> Option<bool> {
        if let Value::Bool(b) = value { Some(*b) } else { None }
    }
    pub(crate) fn to_int<T: TryFrom<i64>>(value: &Value) -> Option<T> {
        if let Value::Int(i) = value { T::try_from(*i).ok() } else { None }
    }
    pub(crate) fn to_float(value: &Value) -> Option<f64> {
        if let Value::Float(f) = value { Some(*f) } else { None }
    }
    pub(crate) fn to_ints(value: Value) -> Vec<i32> {
        if let Value::Ints(ints) = value { ints } else { Vec::new() }
    }
    pub(crate) fn to_time(value: &Value) -> Option<prost_types::Timestamp> {
        if let Value::Time(time) = value { Some(super::timestamp(*time as DateTime<Utc>)) } else { None }
    }
    pub(crate) fn to_duration(value: &Value) -> Option<prost_types::Duration> {
        to_int::<i64>(value).map(|micros| prost_types::Duration {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
        })
    }
    pub(crate) fn to_message<M: prost::Message + Default>(value: &Value) -> Option<M> {
        if let Value::Bytes(bytes) = value { M::decode(bytes.as_slice()).ok() } else { None }
    }
    pub(crate) fn to_messages<M: prost::Message + Default>(value: &Value) -> Vec<M> {
        let Value::Bytes(bytes) = value else { return Vec::new() };
        let mut buf = bytes.as_slice();
        let mut messages = Vec::new();
        while !buf.is_empty() {
            if prost::encoding::decode_key(&mut buf).is_err() {
                break;
            }
            match M::decode_length_delimited(&mut buf) {
                Ok(message) => messages.push(message),
                Err(_) => break,
            }
        }
        messages
    }
}
