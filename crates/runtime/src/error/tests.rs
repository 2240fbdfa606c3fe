use std::collections::BTreeSet;

use tonic::Status;
use tonic_types::StatusExt as _;

use super::*;
use crate::query::{FilterError, FilterProblem, OrderError, PageTokenError, QueryError, QueryErrors};

/// The reasons of services, which the runtime itself never gives: their own tests assert those.
const OF_SERVICES: [Reason; 5] = [
    Reason::GrantNotHeld,
    Reason::ReferenceInactive,
    Reason::ParentDeleted,
    Reason::ReaderTooSlow,
    Reason::FieldNotForCaller,
];

/// Every failure that every service has: its code, its reason, and after how many milliseconds to try again.
fn every() -> Vec<(Error, Code, Reason, Option<u64>)> {
    let record_type = "customer";
    let id = || "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".to_owned();
    let violations = Violations::one("user.site_id", "there is no live site");
    let permission = Permission::named("customers.read").unwrap();
    let field = || "customer.name".to_owned();
    let query = |error| Error::from(QueryErrors(vec![error]));
    let filter = QueryError::Filter(FilterError { position: 0, problem: FilterProblem::TooLong });
    let token = |error, reason| (Error::Token(error), Code::Unauthenticated, reason, None);
    let at = chrono::DateTime::UNIX_EPOCH;
    let audience = "directory".to_owned();
    vec![
        (Error::Invalid(violations.clone()), Code::InvalidArgument, Reason::InvalidField, None),
        (
            Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations },
            Code::InvalidArgument,
            Reason::ReferenceNotFound,
            None,
        ),
        (Error::Malformed { expected: "x" }, Code::InvalidArgument, Reason::MalformedMessage, None),
        (Error::RequestIdReused, Code::InvalidArgument, Reason::RequestIdReused, None),
        (query(filter), Code::InvalidArgument, Reason::FilterInvalid, None),
        (query(QueryError::OrderBy(OrderError::Empty)), Code::InvalidArgument, Reason::OrderByInvalid, None),
        (query(QueryError::PageToken(PageTokenError::Damaged)), Code::InvalidArgument, Reason::PageTokenInvalid, None),
        (Error::TooLarge { limit: 8 }, Code::ResourceExhausted, Reason::MessageTooLarge, None),
        (Error::Overloaded, Code::ResourceExhausted, Reason::Overloaded, Some(200)),
        (Error::UnknownMethod { path: "/x/y".to_owned() }, Code::Unimplemented, Reason::UnknownMethod, None),
        (Error::UnknownEncoding, Code::Unimplemented, Reason::UnknownEncoding, None),
        token(TokenError::Missing, Reason::TokenMissing),
        token(TokenError::Malformed, Reason::TokenInvalid),
        token(TokenError::Expired { at }, Reason::TokenExpired),
        token(TokenError::WrongAudience { audience }, Reason::TokenWrongAudience),
        token(TokenError::Revoked, Reason::TokenRevoked),
        (Error::KindRefused { kind: CallerKind::User }, Code::PermissionDenied, Reason::CallerKindRefused, None),
        (Error::OnBehalfOfRefused, Code::PermissionDenied, Reason::OnBehalfOfRefused, None),
        (Error::PermissionMissing { permission, field: None }, Code::PermissionDenied, Reason::PermissionMissing, None),
        (Error::NotFound { record_type, id: id() }, Code::NotFound, Reason::RecordNotFound, None),
        // Trying again without reading again does not help.
        (Error::StaleEtag { record_type, id: id() }, Code::Aborted, Reason::StaleEtag, None),
        (Error::Conflict, Code::Aborted, Reason::Conflict, Some(20)),
        (Error::Deleted { record_type, id: id() }, Code::FailedPrecondition, Reason::RecordDeleted, None),
        (Error::NotDeleted { record_type, id: id() }, Code::FailedPrecondition, Reason::RecordNotDeleted, None),
        (
            Error::InUse { record_type, id: id(), by: "site", count: 2 },
            Code::FailedPrecondition,
            Reason::RecordInUse,
            None,
        ),
        (Error::Taken { reason: Reason::NameTaken, field: field() }, Code::AlreadyExists, Reason::NameTaken, None),
        (Error::DeadlineExceeded, Code::DeadlineExceeded, Reason::DeadlineExceeded, None),
        (Error::Cancelled, Code::Cancelled, Reason::Cancelled, None),
        (Error::DatabaseUnavailable, Code::Unavailable, Reason::DatabaseUnavailable, Some(1_000)),
        (
            Error::UpstreamUnavailable { service: "directory" },
            Code::Unavailable,
            Reason::UpstreamUnavailable,
            Some(1_000),
        ),
        (Error::ShuttingDown, Code::Unavailable, Reason::ShuttingDown, Some(1_000)),
        (
            Error::FeedPosition { position: 1, feed_id: Uuid::nil(), first: 2, head: 3 },
            Code::OutOfRange,
            Reason::FeedPositionOutOfRange,
            None,
        ),
        (Error::internal("a secret of ours"), Code::Internal, Reason::Internal, None),
        (Error::Constraint { name: "a_secret_of_ours".to_owned() }, Code::Internal, Reason::Internal, None),
    ]
}

#[test]
fn every_failure_has_its_code_its_reason_and_says_when_trying_again_helps() {
    for (error, code, reason, retry) in every() {
        let what = format!("{error:?}");
        let violations: Vec<String> = error.violations().into_iter().map(|v| v.field).collect();
        let status = Status::from(error);
        assert_eq!(status.code(), code, "{what}");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(format!("REASON_{}", info.reason), reason.as_str_name(), "{what}");
        assert_eq!(info.domain, "concierge", "{what}");
        let delay = details.retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(delay, retry.map(Duration::from_millis), "{what}");
        let fields: Vec<String> = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect())
            .unwrap_or_default();
        assert_eq!(fields, violations, "{what}");
        assert!(!status.message().is_empty() && !status.message().contains("secret"), "{what}: {}", status.message());
    }
}

#[test]
fn every_reason_below_those_of_services_is_given_by_a_failure() {
    let given: BTreeSet<i32> = every().into_iter().map(|(_, _, reason, _)| reason.into()).collect();
    for reason in (1..100).filter_map(|number| Reason::try_from(number).ok()) {
        let of_services = OF_SERVICES.contains(&reason);
        assert_ne!(given.contains(&i32::from(reason)), of_services, "{}", reason.as_str_name());
    }
}

#[test]
fn what_the_database_says_is_a_failure_that_callers_can_act_on() {
    let io = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
    for away in [io(), sqlx::Error::PoolClosed, sqlx::Error::WorkerCrashed, sqlx::Error::Protocol("cut".to_owned())] {
        assert!(matches!(Error::from(away), Error::DatabaseUnavailable));
    }
    assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Internal(_)));
}
