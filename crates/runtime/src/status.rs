//! The only place that makes a [`Status`].

use std::collections::HashMap;
use std::error::Error as _;

use concierge_proto::codec::Refused;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::call::Call;
use crate::error::{Error, Failure};

/// Makes the status that tells a caller about a failure, with everything a program needs to act on it. A request that
/// breaks rules of the contract is refused for these, and for what else is wrong with its fields.
pub fn status(failure: &dyn Failure) -> Status {
    let call = Call::current();
    match call.as_ref().and_then(|call| call.broken.get()) {
        Some(broken) => {
            let mut violations = (**broken).clone();
            if failure.code() == Code::InvalidArgument {
                violations.extend(failure.violations());
            }
            of(&Error::Invalid(violations), call.as_deref())
        }
        None => of(failure, call.as_deref()),
    }
}

fn of(failure: &dyn Failure, call: Option<&Call>) -> Status {
    let mut metadata: HashMap<String, String> =
        failure.metadata().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let violations = failure.violations();
    let mut domain = "concierge";
    if let Some(call) = call {
        metadata.insert("request_id".to_owned(), call.request_id.clone());
        if let Some(method) = call.method {
            domain = method.service.rsplit_once('.').map_or(method.service, |(package, _)| package);
        }
    }
    if let Some(first) = violations.iter().next() {
        metadata.entry("field".to_owned()).or_insert_with(|| first.field.clone());
    }
    let reason = failure.reason().as_str_name();
    let reason = reason.strip_prefix("REASON_").unwrap_or(reason);
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    if !violations.is_empty() {
        details.set_bad_request(
            violations.into_iter().map(|v| FieldViolation::new(v.field, v.description)).collect::<Vec<_>>(),
        );
    }
    if let Some(delay) = failure.retry_after() {
        details.set_retry_info(Some(delay));
    }
    let code = failure.code();
    if code == Code::Internal {
        let mut causes = Vec::new();
        let mut cause = failure.source();
        while let Some(next) = cause {
            causes.push(next.to_string());
            cause = next.source();
        }
        tracing::error!(
            request_id = call.map_or("", |c| c.request_id.as_str()),
            failure = ?failure,
            causes = causes.join(": "),
            "internal error"
        );
    }
    Status::with_error_details(code, failure.to_string(), details)
}

/// Makes the answer of a status that tonic or the codec made: bytes that are no message, broken rules, no such method.
pub(crate) fn finished(status: &Status, path: &str, limit: usize) -> Option<Status> {
    if status.code() == Code::Ok || !status.details().is_empty() {
        return None;
    }
    let expected = Call::current().and_then(|c| c.method).map_or("message of this method", |m| m.input);
    let error = match status.source().and_then(|s| s.downcast_ref::<Refused>()) {
        Some(Refused::Malformed) => Error::Malformed { expected },
        Some(Refused::Invalid(violations)) => Error::Invalid((**violations).clone()),
        None => match status.code() {
            // Tonic says which compressions it reads when it refuses one.
            Code::Unimplemented if status.metadata().contains_key("grpc-accept-encoding") => Error::UnknownEncoding,
            Code::Unimplemented => Error::UnknownMethod { path: path.to_owned() },
            // Health was asked for a service that is not here, and says so as its own protocol demands.
            Code::NotFound => return None,
            // What tonic answers when a message passes the limit.
            Code::OutOfRange | Code::ResourceExhausted => Error::TooLarge { limit },
            Code::Cancelled => Error::Cancelled,
            Code::DeadlineExceeded => Error::DeadlineExceeded,
            // A body that ends early, a bad compression flag, an unsupported encoding: the caller's doing.
            _ => Error::Malformed { expected },
        },
    };
    Some(self::status(&error))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        status(&error)
    }
}
