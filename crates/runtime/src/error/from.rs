//! What queries and the database say, as failures.

use concierge_proto::Violations;
use concierge_proto::error::Reason;

use super::Error;
use crate::query::{QueryError, QueryErrors};

impl From<QueryErrors> for Error {
    fn from(errors: QueryErrors) -> Self {
        let reason = match errors.0.first() {
            Some(QueryError::OrderBy(_)) => Reason::OrderByInvalid,
            Some(QueryError::PageToken(_)) => Reason::PageTokenInvalid,
            _ => Reason::FilterInvalid,
        };
        let mut violations = Violations::default();
        for error in &errors.0 {
            violations.add(error.request_field(), error.to_string());
        }
        Self::InvalidBecause { reason, violations }
    }
}

impl From<sqlx::Error> for Error {
    /// The one place that reads what the database says. Constraints come out by name, to be mapped at the statement.
    fn from(error: sqlx::Error) -> Self {
        let unavailable = |error: &sqlx::Error| {
            crate::db::complain(error);
            Self::DatabaseUnavailable
        };
        match &error {
            sqlx::Error::PoolTimedOut if crate::db::is_answering() => Self::Overloaded,
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed => unavailable(&error),
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("40001" | "40P01") => Self::Conflict,
                // The statement or lock timeout, which is the caller's deadline.
                Some("57014" | "55P03") => Self::DeadlineExceeded,
                Some(code) if ["08", "57P", "53", "28", "3D"].iter().any(|class| code.starts_with(class)) => {
                    unavailable(&error)
                }
                // No such table or column: the schema is missing, or older than this program.
                Some("42P01" | "42703") => unavailable(&error),
                Some("23505" | "23503" | "23514" | "23P01") => match database.constraint() {
                    Some(name) => Self::Constraint { name: name.to_owned() },
                    None => Self::internal(error),
                },
                _ => Self::internal(error),
            },
            // A connection that died in the middle of a protocol exchange.
            sqlx::Error::Protocol(_) => unavailable(&error),
            _ => Self::internal(error),
        }
    }
}
