//! What can go wrong in every service, as facts. How a failure looks on the wire is the business of [`crate::status`].

mod from;
mod gathered;

#[cfg(test)]
mod tests;

use std::time::Duration;

use concierge_proto::error::Reason;
use concierge_proto::{CallerKind, Permission, Violations};
use tonic::Code;
use uuid::Uuid;

use crate::auth::TokenError;

/// A failure that can be told to a caller: what a service's own error enum implements.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The status code.
    fn code(&self) -> Code;
    /// The reason that programs read.
    fn reason(&self) -> Reason;
    /// Facts about this occurrence, for `ErrorInfo.metadata`.
    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// The fields at fault.
    fn violations(&self) -> Violations {
        Violations::default()
    }
    /// How long to wait before trying again, where that helps.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The failures that every service has.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request break rules.
    #[error("{}", describe(.0))]
    Invalid(Violations),
    /// Fields of the request are wrong for a reason that has a name of its own.
    #[error("{}", describe(.violations))]
    InvalidBecause {
        /// Which reason.
        reason: Reason,
        /// The fields.
        violations: Violations,
    },
    /// The bytes are not the method's request.
    #[error("the request's bytes are not a {expected}: build the client from this version of the contract")]
    Malformed {
        /// The message expected.
        expected: &'static str,
    },
    /// The request is compressed in a way the server does not read.
    #[error("the request's compression is not one this server reads: use gzip, zstd or none")]
    UnknownEncoding,
    /// The message is larger than the server takes.
    #[error("the request is larger than this server takes ({limit} bytes)")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No such method.
    #[error("this server has no method {path}: {}", elsewhere(path))]
    UnknownMethod {
        /// The path asked for.
        path: String,
    },
    /// The token does not do.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The method is not for callers of this kind.
    #[error("this method is not for callers of kind {}", kind.as_str_name().trim_start_matches("CALLER_KIND_").to_lowercase())]
    KindRefused {
        /// The caller's kind.
        kind: CallerKind,
    },
    /// Somebody other than a service named an original caller, or a service named none.
    #[error(
        "concierge-on-behalf-of is for services, and names a caller as kind:subject, such as agent:0195e0c4-7a1c-7d3e-9b0a-3f1f6f0c2a11"
    )]
    OnBehalfOfRefused,
    /// The token lacks a permission.
    #[error("the token does not hold the permission {permission}{}", field.as_ref().map_or(String::new(), |f| format!(", which {f} needs")))]
    PermissionMissing {
        /// Which one.
        permission: Permission,
        /// The field that needs it, when it is not the method.
        field: Option<String>,
    },
    /// No such record, or none that this caller may see.
    #[error("there is no {} {id}", words(record_type))]
    NotFound {
        /// The type of record.
        record_type: &'static str,
        /// The id asked for.
        id: String,
    },
    /// The etag is not the current one.
    #[error("the {} was changed since it was read: read it again and repeat the change", words(record_type))]
    StaleEtag {
        /// The type of record.
        record_type: &'static str,
        /// Its id; empty where there is only one of its type.
        id: String,
    },
    /// The record is deleted.
    #[error("the {} {id} is deleted: undelete it first", words(record_type))]
    Deleted {
        /// The type of record.
        record_type: &'static str,
        /// Its id.
        id: String,
    },
    /// The record is not deleted.
    #[error("the {} {id} is not deleted", words(record_type))]
    NotDeleted {
        /// The type of record.
        record_type: &'static str,
        /// Its id.
        id: String,
    },
    /// Live records still need this one.
    #[error("the {} {id} is still used by {count} {}", words(record_type), words(by))]
    InUse {
        /// The type of record.
        record_type: &'static str,
        /// Its id.
        id: String,
        /// The type of what uses it.
        by: &'static str,
        /// How many do.
        count: i64,
    },
    /// A value that must be unique is taken.
    #[error("{field}: another record has this value")]
    Taken {
        /// Which reason.
        reason: Reason,
        /// The field.
        field: String,
    },
    /// The `request_id` was used for another request.
    #[error("this request_id was used for another request: make a new UUID for each request")]
    RequestIdReused,
    /// Two changes met; trying again helps.
    #[error("another change got in between: try again")]
    Conflict,
    /// The deadline passed.
    #[error("the deadline passed before the answer was ready")]
    DeadlineExceeded,
    /// The caller went away.
    #[error("the caller cancelled the request")]
    Cancelled,
    /// Too much at once.
    #[error("this server has as much to do as it can: try again a little later")]
    Overloaded,
    /// The database does not answer.
    #[error("the database does not answer: try again a little later")]
    DatabaseUnavailable,
    /// A service this one needs does not answer.
    #[error("the service {service} does not answer: try again a little later")]
    UpstreamUnavailable {
        /// Its name.
        service: &'static str,
    },
    /// The server is stopping.
    #[error("this server is stopping: connect again")]
    ShuttingDown,
    /// The subscriber asked for events that are not there.
    #[error("the feed does not have what comes after position {position}: read a snapshot and go on from its position")]
    FeedPosition {
        /// The position asked for.
        position: i64,
        /// The feed that there is.
        feed_id: Uuid,
        /// The first position it has.
        first: i64,
        /// Its newest position.
        head: i64,
    },
    /// Our fault. The cause is logged, never told.
    #[error("something went wrong on our side: tell the operator the request id")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A unique or other named constraint of the database was broken; mapped at the statement.
    #[error("something went wrong on our side: tell the operator the request id")]
    Constraint {
        /// The constraint.
        name: String,
    },
    /// A failure of the service's own.
    #[error("{0}")]
    Other(Box<dyn Failure>),
}

/// A record's type as words: `site_contact` is `site contact`.
/// Where a method is to be found that is not here.
fn elsewhere(path: &str) -> String {
    match concierge_proto::method::method(path).and_then(|method| method.service.split('.').nth(1)) {
        Some(package) => format!("{} has it, at another address", package.replace('_', "-")),
        None => "see the contract, or ask server reflection".to_owned(),
    }
}

fn words(record_type: &str) -> String {
    record_type.replace('_', " ")
}

fn describe(violations: &Violations) -> String {
    let Some(first) = violations.iter().next() else { return "the request is not valid".to_owned() };
    let more = match violations.count() - 1 {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}: {}{more}", first.field, first.description)
}

pub use gathered::Gathered;

impl Error {
    /// What went wrong, for the log: a failure of ours says to callers only that it is one.
    pub fn cause(&self) -> String {
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(self);
        let mut all = Vec::new();
        while let Some(next) = cause {
            all.push(next.to_string());
            cause = next.source();
        }
        if all.is_empty() { self.to_string() } else { all.join(": ") }
    }

    /// Our fault, with a sentence for the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// One field that breaks a rule.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(Violations::one(field, description))
    }

    /// One field that is wrong for a named reason.
    pub fn because(reason: Reason, field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::InvalidBecause { reason, violations: Violations::one(field, description) }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) | Self::InvalidBecause { .. } | Self::Malformed { .. } | Self::RequestIdReused => {
                Code::InvalidArgument
            }
            Self::TooLarge { .. } | Self::Overloaded => Code::ResourceExhausted,
            Self::UnknownMethod { .. } | Self::UnknownEncoding => Code::Unimplemented,
            Self::Token(_) => Code::Unauthenticated,
            Self::KindRefused { .. } | Self::OnBehalfOfRefused | Self::PermissionMissing { .. } => {
                Code::PermissionDenied
            }
            Self::NotFound { .. } => Code::NotFound,
            Self::StaleEtag { .. } | Self::Conflict => Code::Aborted,
            Self::Deleted { .. } | Self::NotDeleted { .. } | Self::InUse { .. } => Code::FailedPrecondition,
            Self::Taken { .. } => Code::AlreadyExists,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::DatabaseUnavailable | Self::UpstreamUnavailable { .. } | Self::ShuttingDown => Code::Unavailable,
            Self::FeedPosition { .. } => Code::OutOfRange,
            Self::Internal(_) | Self::Constraint { .. } => Code::Internal,
            Self::Other(failure) => failure.code(),
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::InvalidField,
            Self::InvalidBecause { reason, .. } | Self::Taken { reason, .. } => *reason,
            Self::Malformed { .. } => Reason::MalformedMessage,
            Self::TooLarge { .. } => Reason::MessageTooLarge,
            Self::UnknownMethod { .. } => Reason::UnknownMethod,
            Self::UnknownEncoding => Reason::UnknownEncoding,
            Self::Token(token) => token.reason(),
            Self::KindRefused { .. } => Reason::CallerKindRefused,
            Self::OnBehalfOfRefused => Reason::OnBehalfOfRefused,
            Self::PermissionMissing { .. } => Reason::PermissionMissing,
            Self::NotFound { .. } => Reason::RecordNotFound,
            Self::StaleEtag { .. } => Reason::StaleEtag,
            Self::Deleted { .. } => Reason::RecordDeleted,
            Self::NotDeleted { .. } => Reason::RecordNotDeleted,
            Self::InUse { .. } => Reason::RecordInUse,
            Self::RequestIdReused => Reason::RequestIdReused,
            Self::Conflict => Reason::Conflict,
            Self::DeadlineExceeded => Reason::DeadlineExceeded,
            Self::Cancelled => Reason::Cancelled,
            Self::Overloaded => Reason::Overloaded,
            Self::DatabaseUnavailable => Reason::DatabaseUnavailable,
            Self::UpstreamUnavailable { .. } => Reason::UpstreamUnavailable,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::FeedPosition { .. } => Reason::FeedPositionOutOfRange,
            Self::Internal(_) | Self::Constraint { .. } => Reason::Internal,
            Self::Other(failure) => failure.reason(),
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NotFound { record_type, id }
            | Self::Deleted { record_type, id }
            | Self::NotDeleted { record_type, id }
            | Self::StaleEtag { record_type, id } => {
                vec![("record_type", (*record_type).to_owned()), ("id", id.clone())]
            }
            Self::InUse { record_type, id, by, count } => vec![
                ("record_type", (*record_type).to_owned()),
                ("id", id.clone()),
                ("used_by", (*by).to_owned()),
                ("count", count.to_string()),
            ],
            Self::PermissionMissing { permission, field } => std::iter::once(("permission", permission.to_string()))
                .chain(field.clone().map(|f| ("field", f)))
                .collect(),
            Self::TooLarge { limit } => vec![("limit", limit.to_string())],
            Self::KindRefused { kind } => vec![("kind", crate::auth::kind_name(*kind).to_owned())],
            Self::UpstreamUnavailable { service } => vec![("upstream", (*service).to_owned())],
            Self::FeedPosition { feed_id, first, head, .. } => vec![
                ("feed_id", feed_id.to_string()),
                ("first_position", first.to_string()),
                ("head_position", head.to_string()),
            ],
            Self::Other(failure) => failure.metadata(),
            _ => Vec::new(),
        }
    }

    fn violations(&self) -> Violations {
        match self {
            Self::Invalid(violations) | Self::InvalidBecause { violations, .. } => violations.clone(),
            Self::Taken { field, .. } => Violations::one(field, "another record has this value"),
            Self::RequestIdReused => Violations::one("request_id", "was used for another request"),
            Self::Other(failure) => failure.violations(),
            _ => Violations::default(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Conflict => Some(Duration::from_millis(20)),
            Self::Overloaded => Some(Duration::from_millis(200)),
            Self::DatabaseUnavailable | Self::UpstreamUnavailable { .. } | Self::ShuttingDown => {
                Some(Duration::from_secs(1))
            }
            Self::Other(failure) => failure.retry_after(),
            _ => None,
        }
    }
}

/// Lets a service's own error enum be returned with `?` where an [`Error`] is expected.
#[macro_export]
macro_rules! failure {
    ($error:ty) => {
        impl From<$error> for $crate::Error {
            fn from(error: $error) -> Self {
                $crate::Error::Other(Box::new(error))
            }
        }
    };
}
