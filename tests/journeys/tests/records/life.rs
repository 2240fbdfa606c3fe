//! One record's life.

use concierge_journeys::contract::{is, message, references};
use concierge_testkit::request_id;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::Entry;
use crate::values::{record, settable, value};
use crate::world::{World, made, reason, text};

/// What the contract promises of any record, one after the other.
pub(crate) async fn live(world: &World, entry: &Entry) {
    let created = created(world, entry).await;
    let mut now = created;
    let mutable: Vec<FieldDescriptor> =
        entry.message().fields().filter(|field| settable(field) && !is(field, "immutable")).collect();
    for field in mutable.iter().filter(|field| references(field).is_some()) {
        refuses_unknown(world, entry, &now, field).await;
    }
    let mut changed: Vec<&str> = Vec::new();
    for field in &mutable {
        let fields: Vec<&str> =
            if entry.together.contains(&field.name()) { entry.together.to_vec() } else { vec![field.name()] };
        if !changed.contains(&fields[0]) {
            now = change(world, entry, &now, &fields).await;
            changed.extend(fields);
        }
    }
    refuses_stale(world, entry, &now).await;
    leave_and_return(world, entry, &now).await;
}

fn id(record: &DynamicMessage) -> Value {
    record.get_field_by_name("id").unwrap().into_owned()
}

fn etag(record: &DynamicMessage) -> u64 {
    record.get_field_by_name("etag").unwrap().as_str().unwrap().parse().unwrap()
}

fn same(what: &str, told: &DynamicMessage, expected: &DynamicMessage) {
    assert!(told == expected, "{what}:\n{told}\n{expected}");
}

/// The same but for what every change changes.
fn but_version(record: &DynamicMessage) -> DynamicMessage {
    let mut record = record.clone();
    record.clear_field_by_name("etag");
    record.clear_field_by_name("update_time");
    // Counts the changes of the text alone.
    if record.descriptor().get_field_by_name("text_revision").is_some() {
        record.clear_field_by_name("text_revision");
    }
    record
}

async fn get(world: &World, entry: &Entry, record: &DynamicMessage) -> DynamicMessage {
    world.ask(entry, "Get", [("id", id(record))]).await.unwrap()
}

/// The record in the list, if it is there.
async fn listed(world: &World, entry: &Entry, record: &DynamicMessage, show_deleted: bool) -> Option<DynamicMessage> {
    let plural: String = entry.many.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let method = format!("List{plural}");
    let request = made(
        &message(&format!("concierge.{}.v1.{method}Request", entry.package)),
        [("page_size", Value::I32(1_000)), ("show_deleted", Value::Bool(show_deleted))],
    );
    let answer = world.send(entry.package, &method, &request).await.unwrap();
    let all = answer.get_field_by_name(entry.many).unwrap().as_list().unwrap().to_vec();
    let mut found = all.into_iter().filter_map(|v| v.as_message().cloned()).filter(|found| id(found) == id(record));
    let one = found.next();
    assert!(found.next().is_none(), "{} is listed twice: {record}", entry.record);
    one
}

/// Every field is read back as it was set, from the answer, by its id and from the list.
async fn created(world: &World, entry: &Entry) -> DynamicMessage {
    let descriptor = entry.message();
    let sent = record(world, &descriptor, 0, entry.without);
    let created = world.create(entry, &sent).await;
    // As on the wire, where what is empty is not there.
    let sent = DynamicMessage::decode(descriptor.clone(), sent.encode_to_vec().as_slice()).unwrap();
    for field in descriptor.fields().filter(settable) {
        let what = format!("{}: {created}", field.full_name());
        if entry.without.contains(&field.name()) {
            assert!(!created.has_field(&field), "{what}");
        } else if is(&field, "secret") {
            assert!(sent.has_field(&field) && !created.has_field(&field), "{what}");
        } else {
            assert!(sent.has_field(&field), "{what}");
            assert_eq!(created.get_field(&field), sent.get_field(&field), "{what}");
        }
    }
    assert!(created.has_field_by_name("id") && created.has_field_by_name("create_time"), "{created}");
    assert!(!created.has_field_by_name("delete_time") && etag(&created) == 1, "{created}");
    assert_eq!(created.get_field_by_name("create_time"), created.get_field_by_name("update_time"));
    same("created", &get(world, entry, &created).await, &created);
    same("created and listed", &listed(world, entry, &created, false).await.unwrap(), &created);
    created
}

async fn update(world: &World, entry: &Entry, new: DynamicMessage, paths: &[&str]) -> Result<DynamicMessage, Status> {
    let mask = message("google.protobuf.FieldMask");
    let paths = Value::List(paths.iter().map(|path| text(*path)).collect());
    let mask = made(&mask, [("paths", paths)]);
    let record = (entry.name(), Value::Message(new));
    world.ask(entry, "Update", [(&record.0, record.1), ("update_mask", Value::Message(mask))]).await
}

/// These fields get other values, and nothing else does.
async fn change(world: &World, entry: &Entry, before: &DynamicMessage, fields: &[&str]) -> DynamicMessage {
    let descriptor = entry.message();
    let mut new =
        made(&descriptor, [("id", id(before)), ("etag", before.get_field_by_name("etag").unwrap().into_owned())]);
    let mut expected = but_version(before);
    for name in fields {
        let field = descriptor.get_field_by_name(name).unwrap();
        let value = value(world, &field, 1);
        if !is(&field, "secret") {
            assert_ne!(value, *before.get_field(&field), "{} has no other value", field.full_name());
            expected.set_field(&field, value.clone());
        }
        new.set_field(&field, value);
    }
    let after =
        update(world, entry, new, fields).await.unwrap_or_else(|e| panic!("{} {fields:?}: {e:?}", entry.record));
    // As on the wire, where what is empty is not there.
    let expected = DynamicMessage::decode(descriptor, expected.encode_to_vec().as_slice()).unwrap();
    same(&format!("{} {fields:?}", entry.record), &but_version(&after), &expected);
    assert_eq!(etag(&after), etag(before) + 1, "{} {fields:?}", entry.record);
    same("changed", &get(world, entry, &after).await, &after);
    after
}

fn refused(what: &str, told: Result<DynamicMessage, Status>, code: Code, expected: &str) -> Status {
    let status = told.expect_err(what);
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}: {status:?}");
    status
}

async fn refuses_unknown(world: &World, entry: &Entry, now: &DynamicMessage, field: &FieldDescriptor) {
    let what = format!("an unknown {}", field.full_name());
    let mut new = made(&entry.message(), [("id", id(now))]);
    let unknown = text(request_id());
    new.set_field(field, if field.is_list() { Value::List(vec![unknown]) } else { unknown });
    let told = update(world, entry, new, &[field.name()]).await;
    let violations =
        told.as_ref().expect_err(&what).get_error_details().bad_request().unwrap().field_violations.clone();
    // What goes together with the field may be wrong because of it.
    let others = violations.len() > 1 && entry.together.contains(&field.name());
    let expected = if others { "INVALID_FIELD" } else { "REFERENCE_NOT_FOUND" };
    refused(&what, told, Code::InvalidArgument, expected);
    let item = if field.is_list() { "[0]" } else { "" };
    let named: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let known = |name: &str| named.contains(&format!("{}.{name}", entry.name()).as_str());
    assert!(known(&format!("{}{item}", field.name())), "{what}: {named:?}");
    assert!(named.len() == 1 || others && named.len() == 1 + entry.together.iter().filter(|f| known(f)).count());
}

/// A name, or another text that can be changed without further ado.
fn words(entry: &Entry) -> &'static str {
    if entry.record == "PopupNote" { "text_html" } else { "name" }
}

async fn refuses_stale(world: &World, entry: &Entry, now: &DynamicMessage) {
    let stale = text("1");
    let new = made(&entry.message(), [("id", id(now)), ("etag", stale.clone()), (words(entry), text("Too late"))]);
    refused("a stale update", update(world, entry, new, &[words(entry)]).await, Code::Aborted, "STALE_ETAG");
    let told = world.ask(entry, "Delete", [("id", id(now)), ("etag", stale)]).await;
    refused("a stale deletion", told, Code::Aborted, "STALE_ETAG");
    same("not changed", &get(world, entry, now).await, now);
}

async fn leave_and_return(world: &World, entry: &Entry, now: &DynamicMessage) {
    let what = entry.record;
    let failed = Code::FailedPrecondition;
    refused(what, world.ask(entry, "Undelete", [("id", id(now))]).await, failed, "RECORD_NOT_DELETED");

    let deleted = world.ask(entry, "Delete", [("id", id(now))]).await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
    assert!(deleted.has_field_by_name("delete_time"), "{deleted}");
    assert_eq!(etag(&deleted), etag(now) + 1, "{what}");
    same("deleted", &get(world, entry, now).await, &deleted);
    assert!(listed(world, entry, now, false).await.is_none(), "{what} is listed though it is deleted");
    same("listed as deleted", &listed(world, entry, now, true).await.unwrap(), &deleted);
    let new = made(&entry.message(), [("id", id(now)), (words(entry), text("Too late"))]);
    refused(what, update(world, entry, new, &[words(entry)]).await, failed, "RECORD_DELETED");
    refused(what, world.ask(entry, "Delete", [("id", id(now))]).await, failed, "RECORD_DELETED");

    let back = world.ask(entry, "Undelete", [("id", id(now))]).await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
    same("brought back", &but_version(&back), &but_version(now));
    assert_eq!(etag(&back), etag(now) + 2, "{what}");
    same("back", &get(world, entry, now).await, &back);
    same("back and listed", &listed(world, entry, now, false).await.unwrap(), &back);
}
