//! Every RPC of every service, called as nobody should call it: each refusal has the right code, a reason, every bad
//! field, and nothing of the server's inside.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use chrono::TimeDelta;
use concierge_directory::Directory;
use concierge_journeys::{CONTRACT, call, message};
use concierge_notification::Notification;
use concierge_proto::{CallerKind, METHODS, Method};
use concierge_runtime::auth::Audience;
use concierge_testkit::{Suite, Who};
use concierge_ticket_rule::TicketRule;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

const AUDIENCES: [(&str, &str); 3] = [
    ("concierge.directory.v1", "directory"),
    ("concierge.ticket_rule.v1", "ticket-rule"),
    ("concierge.notification.v1", "notification"),
];

/// The services that have a method: every one has the feed.
fn homes(method: &Method) -> Vec<&'static str> {
    let own = AUDIENCES.iter().find(|(package, _)| method.service.starts_with(package));
    own.map_or_else(|| AUDIENCES.iter().map(|(_, home)| *home).collect(), |(_, home)| vec![*home])
}

async fn start() -> Suite {
    let mut suite = Suite::new();
    suite.start::<Directory>().await;
    suite.start::<TicketRule>().await;
    suite.start::<Notification>().await;
    suite
}

/// What every refusal must be.
fn check(what: &str, status: &Status) {
    assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss), "{what}: {status:?}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{what}: no ErrorInfo in {status:?}"));
    assert!(!info.reason.is_empty() && info.domain.starts_with("concierge"), "{what}: {info:?}");
    assert!(info.metadata.contains_key("request_id"), "{what}: {info:?}");
    let text = format!("{} {:?}", status.message(), details).to_lowercase();
    for leak in ["sqlx", "postgres", "relation \"", "syntax error", "panicked", "src/", "select ", "insert into"] {
        assert!(!text.contains(leak), "{what}: leaks {leak:?}: {text}");
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|i| i.reason.clone()).unwrap_or_default()
}

fn violated(status: &Status) -> BTreeSet<String> {
    let details = status.get_error_details();
    details.bad_request().map(|b| b.field_violations.iter().map(|v| v.field.clone()).collect()).unwrap_or_default()
}

fn option(field: &prost_reflect::FieldDescriptor, name: &str) -> Option<Value> {
    let extension = CONTRACT.get_extension_by_name("concierge.options.v1.field")?;
    let options = field.options();
    let options = options.get_extension(&extension);
    let message = options.as_message()?;
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).into_owned())
}

fn is_id(field: &prost_reflect::FieldDescriptor) -> bool {
    field.kind() == Kind::String && option(field, "format").and_then(|f| f.as_enum_number()) == Some(1)
}

fn unknown_id() -> String {
    concierge_testkit::request_id()
}

/// A request whose ids are all `id`, one level down as well; nothing else is set.
fn with_ids(descriptor: &MessageDescriptor, id: &str, depth: u8) -> DynamicMessage {
    let mut request = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if is_id(&field) {
            let value = Value::String(id.to_owned());
            request.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
        } else if let Kind::Message(inner) = field.kind()
            && !field.is_list()
            && depth > 0
            && inner.package_name().starts_with("concierge.")
        {
            request.set_field(&field, Value::Message(with_ids(&inner, id, depth - 1)));
        }
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_that_does_not_do_opens_anything() {
    let suite = start().await;
    let mut walked = 0;
    for method in METHODS.iter().filter(|m| !m.public) {
        for home in homes(method) {
            let kind = method.kinds[0];
            // Ids enough for a token of any kind.
            let home_ids = Some(Uuid::from_u128(2));
            let who = Who { kind, customer_id: home_ids, site_id: home_ids, ..Who::agent(Uuid::from_u128(1)) };
            let sign = |spoil: &dyn Fn(&mut concierge_runtime::auth::Claims)| {
                let mut claims = suite.claims(home, &who);
                spoil(&mut claims);
                suite.signer.sign(&claims)
            };
            let good = sign(&|_| {});
            let unsigned = {
                let body = good.split('.').nth(1).unwrap();
                // {"alg":"none","typ":"JWT"}
                format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
            };
            let hour = TimeDelta::hours(1);
            let wrong_kind = [CallerKind::Agent, CallerKind::User, CallerKind::ApiClient, CallerKind::Service]
                .into_iter()
                .find(|k| !method.kinds.contains(k));
            let mut cases = vec![
                ("no token", None, Code::Unauthenticated, "TOKEN_MISSING"),
                (
                    "an expired token",
                    Some(sign(&|c| {
                        c.iat -= hour.num_milliseconds();
                        c.exp -= hour.num_seconds();
                    })),
                    Code::Unauthenticated,
                    "TOKEN_EXPIRED",
                ),
                (
                    "a token for another audience",
                    Some(sign(&|c| c.aud = Audience(vec!["elsewhere".to_owned()]))),
                    Code::Unauthenticated,
                    "TOKEN_WRONG_AUDIENCE",
                ),
                ("an unsigned token", Some(unsigned), Code::Unauthenticated, "TOKEN_INVALID"),
                (
                    "a token without the permission",
                    Some(sign(&|c| c.scope.0 = vec!["nothing.at_all".to_owned()])),
                    Code::PermissionDenied,
                    "PERMISSION_MISSING",
                ),
            ];
            if let Some(kind) = wrong_kind {
                cases.push((
                    "a token of the wrong kind",
                    Some(sign(&|c| {
                        c.kind = kind;
                        if kind == CallerKind::Service {
                            c.sub = "ticket-rule".to_owned();
                        }
                    })),
                    Code::PermissionDenied,
                    "CALLER_KIND_REFUSED",
                ));
            }
            for (case, token, code, expected) in cases {
                let what = format!("{} with {case}", method.path);
                let status = call(suite.channel(home), method.path, token.as_deref(), Vec::new()).await.unwrap_err();
                check(&what, &status);
                assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}: {status:?}");
                walked += 1;
            }
        }
    }
    assert!(walked > 500, "{walked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_is_told_what_is_bad_about_it() {
    let suite = start().await;
    for method in METHODS {
        for home in homes(method) {
            let kind = method.kinds.first().copied().unwrap_or(CallerKind::Agent);
            let token = suite.token(home, &Who { kind, ..Who::agent(Uuid::from_u128(1)) });
            let descriptor = message(method.input);
            let send = async |body: Vec<u8>| call(suite.channel(home), method.path, Some(&token), body).await;

            // Nothing at all: every required field is named.
            let what = format!("{} with an empty request", method.path);
            let required: Vec<String> = descriptor
                .fields()
                .filter(|f| option(f, "required").and_then(|r| r.as_bool()) == Some(true))
                .map(|f| f.name().to_owned())
                .collect();
            match send(Vec::new()).await {
                Ok(_) => assert!(required.is_empty(), "{what}: went through without {required:?}"),
                Err(status) => {
                    check(&what, &status);
                    if !required.is_empty() {
                        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
                        let violated = violated(&status);
                        assert!(required.iter().all(|f| violated.contains(f)), "{what}: {required:?} of {violated:?}");
                    }
                }
            }

            // Ids that are none: each is named.
            let what = format!("{} with malformed ids", method.path);
            let ids: Vec<String> = descriptor
                .fields()
                .filter(is_id)
                .map(|f| if f.is_list() { format!("{}[0]", f.name()) } else { f.name().to_owned() })
                .collect();
            if !ids.is_empty() {
                let status = send(with_ids(&descriptor, "no-id", 0).encode_to_vec()).await.unwrap_err();
                check(&what, &status);
                assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
                let violated = violated(&status);
                assert!(ids.iter().all(|f| violated.contains(f)), "{what}: {ids:?} of {violated:?}");
            }

            // Ids of nothing: refused in an orderly way, and where the id is all there is, as absent.
            let what = format!("{} with unknown ids", method.path);
            let unknown = with_ids(&descriptor, &unknown_id(), 2);
            let plain = ["Get", "Delete", "Undelete"].iter().any(|verb| method.name.starts_with(verb))
                && descriptor.get_field_by_name("id").is_some();
            match send(unknown.encode_to_vec()).await {
                Ok(_) => assert!(!plain, "{what}: answered"),
                Err(status) => {
                    check(&what, &status);
                    if plain {
                        assert_eq!(status.code(), Code::NotFound, "{what}: {status:?}");
                        assert_eq!(reason(&status), "RECORD_NOT_FOUND", "{what}");
                    }
                }
            }

            // Bytes that are no message.
            let what = format!("{} with garbage", method.path);
            let status = send(vec![0xff; 20]).await.unwrap_err();
            check(&what, &status);
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::InvalidArgument, "MALFORMED_MESSAGE"),
                "{what}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_does_not_exist_says_so() {
    let suite = start().await;
    for home in ["directory", "ticket-rule", "notification"] {
        let status =
            call(suite.channel(home), "/concierge.directory.v1.NoService/None", None, Vec::new()).await.unwrap_err();
        check(home, &status);
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    }
}
