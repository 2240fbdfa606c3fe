//! With nothing, with ids that are none, with ids of nothing, and with bytes that are no message.

use std::collections::BTreeSet;

use concierge_journeys::contract::{inner, is, is_id, message, plain};
use concierge_proto::{CallerKind, Method};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};
use tonic::Code;

use crate::{Walk, caller, check, reason, violated};

/// What can only be told to be unknown with some of its ids: the fields that are left out then.
const ONE_OF_SEVERAL: &[&str] = &[
    // Of exactly one.
    "concierge.notification.v1.PopupNote.customer_id",
    "concierge.notification.v1.PopupNote.site_id",
    "concierge.notification.v1.ListPopupsRequest.ticket_id",
    // Not for the first level.
    "concierge.ticket_rule.v1.Category.parent_id",
    // Not for the first event type.
    "concierge.notification.v1.NotificationDefinition.rule_id",
];

/// What answers all the same, and what refuses in a way of its own.
const OTHERWISE: &[(&str, Option<(Code, &str)>)] = &[
    // They say of each that it is not found.
    ("BatchGetUsers", None),
    ("BatchGetRequesterFacts", None),
    // Who is not known here may hold a token of another issuer.
    ("RevokeTokens", None),
    // Of nobody there are none.
    ("ListTickets", None),
    ("CountOpenTickets", None),
    ("ListChanges", Some((Code::InvalidArgument, "INVALID_FIELD"))),
    ("ReorderRules", Some((Code::FailedPrecondition, "RULE_ORDER_INCOMPLETE"))),
    ("Subscribe", Some((Code::OutOfRange, "FEED_POSITION_OUT_OF_RANGE"))),
];

/// A request in the making: ids everywhere a caller may give one, at any depth, and what is required beside them.
struct Making<'a> {
    id: &'a dyn Fn() -> String,
    leave_out: &'a [&'a str],
    /// The paths of the ids.
    ids: BTreeSet<String>,
    /// Whether there are others, in fields that also take something else.
    others: bool,
}

impl Making<'_> {
    fn fill(&mut self, descriptor: &MessageDescriptor, path: &str, within: &mut Vec<String>) -> DynamicMessage {
        let mut made = DynamicMessage::new(descriptor.clone());
        let masked = descriptor.get_field_by_name("update_mask").is_some();
        // What is changed, in a request for a change.
        let changed = within.len() == 1 && within[0].ends_with(&format!(".Update{}Request", descriptor.name()));
        within.push(descriptor.full_name().to_owned());
        for field in descriptor.fields() {
            let here = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
            let given = changed && field.name() == "id";
            if !given && is(&field, "output_only")
                || changed && !given && is(&field, "immutable")
                || self.leave_out.contains(&field.full_name())
                // Which there are only an installation knows, and whether there are any, the type of the field.
                || inner(&field).is_some_and(|it| ["CustomFieldValue", "CustomFieldChoice"].contains(&it.name()))
            {
                continue;
            }
            if let Some(value) = self.value(&field, &here, within) {
                made.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
            }
        }
        within.pop();
        if masked {
            mask(&mut made);
        }
        made
    }

    fn value(&mut self, field: &FieldDescriptor, path: &str, within: &mut Vec<String>) -> Option<Value> {
        let path = if field.is_list() { format!("{path}[0]") } else { path.to_owned() };
        // An id in another system is any text.
        let elsewhere = field.parent_message().name() == "RuleExternalId";
        if is_id(field) || field.name() == "id" && field.kind() == Kind::String && !elsewhere {
            self.ids.insert(path);
            return Some(Value::String((self.id)()));
        }
        if let Some(inner) = inner(field) {
            let around = within.iter().any(|name| name == inner.full_name());
            return (!around).then(|| Value::Message(self.fill(&inner, &path, within)));
        }
        if !is(field, "required") {
            return None;
        }
        if field.name().ends_with("_id") {
            self.others = true;
            return Some(Value::String((self.id)()));
        }
        match field.kind() {
            // The first there is.
            Kind::Enum(_) => Some(Value::EnumNumber(1)),
            _ => plain(field, 0),
        }
    }
}

/// Names in the mask of a change everything that the record holds, or what it could hold.
fn mask(request: &mut DynamicMessage) {
    let record = request.fields().find_map(|(field, value)| inner(&field).and_then(|_| value.as_message().cloned()));
    let record = record.unwrap();
    let mut names: Vec<String> = record.fields().map(|(field, _)| field.name().to_owned()).collect();
    names.retain(|name| name != "id");
    if names.is_empty() {
        names = record.descriptor().fields().filter(|f| !is(f, "output_only")).map(|f| f.name().to_owned()).collect();
        names.retain(|name| name != "etag" && name != "id");
    }
    let mut mask = DynamicMessage::new(message("google.protobuf.FieldMask"));
    mask.set_field_by_name("paths", Value::List(names.into_iter().map(Value::String).collect()));
    request.set_field_by_name("update_mask", Value::Message(mask));
}

/// A request with such ids.
fn with_ids<'a>(method: &Method, id: &'a dyn Fn() -> String, leave_out: &'a [&'a str]) -> (DynamicMessage, Making<'a>) {
    let mut making = Making { id, leave_out, ids: BTreeSet::new(), others: false };
    let request = making.fill(&message(method.input), "", &mut Vec::new());
    (request, making)
}

async fn nothing_at_all(walk: &Walk, method: &'static Method, home: &str, token: &str) {
    let what = format!("{} of {home} with an empty request", method.path);
    let required: Vec<String> =
        message(method.input).fields().filter(|f| is(f, "required")).map(|f| f.name().to_owned()).collect();
    match walk.call(home, method.path, Some(token), Vec::new()).await {
        Ok(()) => assert!(required.is_empty(), "{what}: went through without {required:?}"),
        Err(status) => {
            check(&what, &status);
            if !required.is_empty() {
                assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
                let violated = violated(&status);
                assert!(required.iter().all(|f| violated.contains(f)), "{what}: {required:?} of {violated:?}");
            }
        }
    }
}

/// Every id that is none is named, however deep it stands, and nothing else.
async fn malformed_ids(walk: &Walk, method: &'static Method, home: &str, token: &str) {
    let what = format!("{} of {home} with malformed ids", method.path);
    let (request, Making { ids, .. }) = with_ids(method, &|| "no-id".to_owned(), &[]);
    if ids.is_empty() {
        return;
    }
    let status = walk.call(home, method.path, Some(token), request.encode_to_vec()).await.unwrap_err();
    check(&what, &status);
    assert_eq!((status.code(), violated(&status)), (Code::InvalidArgument, ids), "{what}: {status:?}");
}

/// Ids of nothing are told to be unknown, whatever method they are given to.
async fn unknown_ids(walk: &Walk, method: &'static Method, home: &str, token: &str) {
    let what = format!("{} of {home} with unknown ids", method.path);
    let (request, Making { mut ids, others, .. }) = with_ids(method, &concierge_testkit::request_id, ONE_OF_SEVERAL);
    let told = walk.call(home, method.path, Some(token), request.encode_to_vec()).await;
    if let Err(status) = &told {
        check(&what, status);
    }
    ids.remove("request_id");
    if ids.is_empty() && !others {
        return;
    }
    let reason = told.as_ref().err().map(reason);
    let refused = told.as_ref().err().map(tonic::Status::code).zip(reason.as_deref());
    if let Some((_, expected)) = OTHERWISE.iter().find(|(name, _)| *name == method.name) {
        assert_eq!(refused, *expected, "{what}: {told:?}");
        return;
    }
    let absent = Some((Code::NotFound, "RECORD_NOT_FOUND"));
    // What is to be read or changed is absent; what something new refers to cannot be referred to.
    let itself = ids.iter().any(|path| path == "id" || path.ends_with(".id") && !path.contains('['));
    let expected =
        if itself || refused == absent { absent } else { Some((Code::InvalidArgument, "REFERENCE_NOT_FOUND")) };
    assert_eq!(refused, expected, "{what} {ids:?}: {told:?}");
}

async fn garbage(walk: &Walk, method: &'static Method, home: &str, token: &str) {
    let what = format!("{} of {home} with garbage", method.path);
    let status = walk.call(home, method.path, Some(token), vec![0xff; 20]).await.unwrap_err();
    check(&what, &status);
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "MALFORMED_MESSAGE"), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_is_told_what_is_bad_about_it() {
    let walk = Walk::start().await;
    walk.each(async |method, home| {
        let mut who = caller(method);
        if who.kind != CallerKind::User {
            (who.customer_id, who.site_id) = (None, None);
        }
        let token = walk.suite.token(home, &who);
        nothing_at_all(&walk, method, home, &token).await;
        malformed_ids(&walk, method, home, &token).await;
        unknown_ids(&walk, method, home, &token).await;
        garbage(&walk, method, home, &token).await;
    })
    .await;
}
