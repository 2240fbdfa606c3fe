//! Why a token does not do.

use chrono::{DateTime, Utc};
use concierge_proto::error::Reason;

/// Why a token was refused. The texts are for the caller: they say what to do and quote nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no `authorization`.
    #[error("this method needs a bearer token in the metadata key authorization")]
    Missing,
    /// It is not a token of the form we read.
    #[error("the token is not valid: it is not a JWT as this service reads it")]
    Malformed,
    /// A claim is absent or has a value that it cannot have.
    #[error("the token is not valid: the claim {0} is missing or has a value it cannot have")]
    Claim(&'static str),
    /// The algorithm in its header is not the key's.
    #[error("the token is not valid: it is not signed with the algorithm of its key")]
    WrongAlgorithm,
    /// No key has the id in its header.
    #[error("the token is not valid: no key has the id {0}")]
    UnknownKey(String),
    /// The signature does not verify.
    #[error("the token is not valid: its signature does not verify")]
    BadSignature,
    /// Somebody else issued it.
    #[error("the token is not valid: its issuer is not known here")]
    WrongIssuer,
    /// It is for other services.
    #[error("the token is not for {audience}: ask for one with that audience")]
    WrongAudience {
        /// This service.
        audience: String,
    },
    /// Its life is over.
    #[error("the token expired at {}: get another one", at.format("%Y-%m-%dT%H:%M:%SZ"))]
    Expired {
        /// When.
        at: DateTime<Utc>,
    },
    /// It is from the future.
    #[error("the token is not valid: it is not valid yet; check the clocks")]
    NotYetValid,
    /// It lives too long.
    #[error("the token is not valid: it lives longer than 15 minutes")]
    TooLong,
    /// It was taken back.
    #[error("the token was revoked: get another one")]
    Revoked,
}

impl TokenError {
    /// The reason that programs read.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::TokenMissing,
            Self::Expired { .. } => Reason::TokenExpired,
            Self::WrongAudience { .. } => Reason::TokenWrongAudience,
            Self::Revoked => Reason::TokenRevoked,
            _ => Reason::TokenInvalid,
        }
    }

    /// An unknown key, quoting its id only when that is short and plain: it is the caller's text.
    pub(super) fn unknown_key(id: &str) -> Self {
        let plain = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        Self::UnknownKey(if plain && !id.is_empty() { id } else { "given" }.to_owned())
    }
}
