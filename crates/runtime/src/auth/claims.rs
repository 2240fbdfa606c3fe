//! The claims of a token.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::caller::{kind_name, kind_named};
use concierge_proto::CallerKind;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// The services it is for.
    pub aud: Audience,
    /// Whom it speaks for.
    pub sub: String,
    /// What the subject is.
    #[serde(serialize_with = "write_kind", deserialize_with = "read_kind")]
    pub kind: CallerKind,
    /// What it grants.
    #[serde(default)]
    pub scope: ScopeClaim,
    /// The customer of a user or an API client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    /// The site of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<Uuid>,
    /// When it was issued, in milliseconds since 1970, so that a token issued right after a revocation is told from one
    /// issued right before. In the token these are seconds with a fraction, as RFC 7519 allows.
    #[serde(serialize_with = "write_seconds", deserialize_with = "read_seconds")]
    pub iat: i64,
    /// When it stops being good, in seconds since 1970.
    pub exp: i64,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// The services a token is for: written as a list, read as a list or one string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audience(pub Vec<String>);

/// The permissions a token grants, `*` for all: written as one string with spaces, read as that or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeClaim(pub Vec<String>);

impl Serialize for ScopeClaim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(" "))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }))
    }
}

impl<'de> Deserialize<'de> for ScopeClaim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => one.split_ascii_whitespace().map(str::to_owned).collect(),
            OneOrMany::Many(many) => many,
        }))
    }
}

fn write_seconds<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*millis as f64 / 1_000.0)
}

fn read_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    // Beyond what a time can be it saturates, and is refused as one.
    Ok((f64::deserialize(deserializer)? * 1_000.0).round() as i64)
}

fn write_kind<S: Serializer>(kind: &CallerKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind_name(*kind))
}

fn read_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CallerKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    kind_named(&name).ok_or_else(|| serde::de::Error::custom("no such kind of caller"))
}
