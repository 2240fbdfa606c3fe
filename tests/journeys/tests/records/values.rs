//! A value for every field that a caller may set, another one for each seed.

use std::sync::LazyLock;

use concierge_journeys::contract::{inner, is, is_id, plain, references};
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};

use crate::world::{World, made, text};

/// Certificates that nobody uses.
static CERTIFICATES: LazyLock<[String; 2]> = LazyLock::new(|| {
    ["a.example", "b.example"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem())
});

/// A record of which every field has a value that a caller may set, but those without.
pub(crate) fn record(world: &World, descriptor: &MessageDescriptor, seed: usize, without: &[&str]) -> DynamicMessage {
    let mut record = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|field| settable(field) && !without.contains(&field.name())) {
        record.set_field(&field, value(world, &field, seed));
    }
    record
}

/// Whether a caller may set the field.
pub(crate) fn settable(field: &FieldDescriptor) -> bool {
    !is(field, "output_only") && field.name() != "etag"
}

/// What the field is given. Of a field with several items the first seed gives two, the second another one.
pub(crate) fn value(world: &World, field: &FieldDescriptor, seed: usize) -> Value {
    if !field.is_list() {
        return one(world, field, seed);
    }
    if let Some(inner) = inner(field).filter(|inner| inner.name() == "CustomFieldValue") {
        return custom_fields(&inner, seed);
    }
    let seeds = if seed == 0 { 0..2 } else { 2..3 };
    Value::List(seeds.map(|seed| one(world, field, seed)).collect())
}

fn one(world: &World, field: &FieldDescriptor, seed: usize) -> Value {
    match field.full_name() {
        // Without TLS it may have no account.
        "concierge.notification.v1.EmailSender.security" => return Value::EnumNumber([1, 2][seed % 2]),
        "concierge.notification.v1.EmailSender.ca_certificate" => return text(CERTIFICATES[seed % 2].clone()),
        // Addresses are reached by e-mail only.
        "concierge.notification.v1.NotificationDefinition.channels" if seed == 2 => return Value::EnumNumber(1),
        // When the event type is not RULE_MATCHED any more.
        "concierge.notification.v1.NotificationDefinition.rule_id" if seed == 1 => return text(""),
        // Users have relationships of their own.
        "concierge.directory.v1.User.relationship_ids" => return text(world.id("relationship of users", seed)),
        // One of its members.
        "concierge.directory.v1.Team.lead_agent_id" => return text(world.id("agent", seed + 1)),
        "concierge.common.v1.CriteriaGroup.kind" => return Value::EnumNumber(1),
        "concierge.common.v1.Criterion.operator" => return Value::EnumNumber(1),
        // Of the level below those known.
        "concierge.ticket_rule.v1.Category.level" => return Value::I32(2),
        name if name.starts_with("concierge.ticket_rule.v1.RuleOutcomes.category_") => {
            let level = field.name().trim_start_matches("category_").trim_end_matches("_id");
            let known = if level == "1" { "category".to_owned() } else { format!("category of level {level}") };
            return text(world.id(&known, seed));
        }
        _ => {}
    }
    if is_id(field) {
        return text(world.id(&references(field).unwrap(), seed));
    }
    match inner(field) {
        Some(inner) if inner.name() == "CriteriaGroup" => Value::Message(criteria(&inner, world, seed)),
        Some(inner) => Value::Message(record(world, &inner, seed, &[])),
        None if field.supports_presence() && field.kind() == prost_reflect::Kind::Bool => {
            // True is the default of all of them.
            Value::Bool(!seed.is_multiple_of(2))
        }
        None => plain(field, seed).unwrap_or_else(|| panic!("no value for {}", field.full_name())),
    }
}

/// A value of every known custom field: a change leaves what it does not name.
fn custom_fields(descriptor: &MessageDescriptor, seed: usize) -> Value {
    let value = |known: usize| {
        let fields = [("key", text(format!("known_{known}"))), ("text", text(format!("{seed} of {known}")))];
        Value::Message(made(descriptor, fields))
    };
    Value::List((0..2).map(value).collect())
}

/// All of: the ticket's team is this one, and not (any of: it is the other one).
fn criteria(group: &MessageDescriptor, world: &World, seed: usize) -> DynamicMessage {
    let team = |seed: usize| {
        let criterion = inner(&group.get_field_by_name("criteria").unwrap()).unwrap();
        let value = inner(&criterion.get_field_by_name("values").unwrap()).unwrap();
        let value = made(&value, [("id", text(world.id("team", seed)))]);
        let values = Value::List(vec![Value::Message(value)]);
        let made =
            made(&criterion, [("field", text("ticket.team")), ("operator", Value::EnumNumber(1)), ("values", values)]);
        Value::List(vec![Value::Message(made)])
    };
    let groups = |inner: DynamicMessage| Value::List(vec![Value::Message(inner)]);
    let any = made(group, [("kind", Value::EnumNumber(2)), ("criteria", team(seed + 1))]);
    let not = made(group, [("kind", Value::EnumNumber(3)), ("groups", groups(any))]);
    made(group, [("kind", Value::EnumNumber(1)), ("criteria", team(seed)), ("groups", groups(not))])
}
