//! The contract by reflection: what its options say of a field, and values that a field takes.

use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};

/// The contract.
pub static CONTRACT: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(concierge_proto::DESCRIPTOR_SET).expect("our own descriptors"));

/// A message of the contract by its full name.
pub fn message(name: &str) -> MessageDescriptor {
    CONTRACT.get_message_by_name(name).expect("a message of the contract")
}

/// What a field's option of that name says, if it is set.
pub fn option(field: &FieldDescriptor, name: &str) -> Option<Value> {
    let extension = CONTRACT.get_extension_by_name("concierge.options.v1.field")?;
    let options = field.options();
    let options = options.get_extension(&extension);
    let message = options.as_message()?;
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).into_owned())
}

/// Whether a field's option of that name is true.
pub fn is(field: &FieldDescriptor, name: &str) -> bool {
    option(field, name).and_then(|value| value.as_bool()) == Some(true)
}

/// The form of a string, as the number of `Format`.
pub fn format(field: &FieldDescriptor) -> i32 {
    option(field, "format").and_then(|value| value.as_enum_number()).unwrap_or(0)
}

/// Whether a field holds an id, or several.
pub fn is_id(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::String && format(field) == 1
}

/// The record type that the ids in a field refer to.
pub fn references(field: &FieldDescriptor) -> Option<String> {
    option(field, "references").and_then(|value| value.as_str().map(str::to_owned))
}

/// The message in a field, if it is one of ours.
pub fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if inner.package_name().starts_with("concierge.") => Some(inner),
        _ => None,
    }
}

/// A value that a field (or an item of it) takes by its form, another for each seed; none for ids and for messages of
/// ours.
pub fn plain(field: &FieldDescriptor, seed: usize) -> Option<Value> {
    let number = |field: &FieldDescriptor| {
        let least = option(field, "minimum").and_then(|value| value.as_i64()).unwrap_or(0);
        least + 6 + i64::try_from(seed).unwrap_or(0)
    };
    Some(match field.kind() {
        Kind::Bool => Value::Bool(seed.is_multiple_of(2)),
        Kind::String if is_id(field) => return None,
        Kind::String => Value::String(text(field, seed)),
        Kind::Enum(kind) => {
            // The last value first: it is nobody's default.
            let values: Vec<i32> = kind.values().map(|value| value.number()).filter(|number| *number > 0).collect();
            Value::EnumNumber(values[values.len() - 1 - seed % values.len()])
        }
        Kind::Int32 => Value::I32(i32::try_from(number(field)).ok()?),
        Kind::Uint32 => Value::U32(u32::try_from(number(field)).ok()?),
        Kind::Int64 => Value::I64(number(field)),
        Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.") => {
            let seconds = match inner.name() {
                "Timestamp" => 1_700_000_000 + number(field),
                "Duration" => 60 * number(field),
                _ => return None,
            };
            let mut value = DynamicMessage::new(inner);
            value.set_field_by_name("seconds", Value::I64(seconds));
            Value::Message(value)
        }
        _ => return None,
    })
}

fn text(field: &FieldDescriptor, seed: usize) -> String {
    let name = field.name();
    let choices: &[&str] = match (format(field), field.full_name()) {
        (3, _) => return format!("+49 30 {seed}123"),
        (2, _) => return format!("{}.{seed}@example.com", name.replace('_', "-")),
        (4, _) => return format!("{}.{seed}.example.com", name.replace('_', "-")),
        (5, _) => &["Europe/Berlin", "America/New_York"],
        (6, _) => &["CHF", "USD"],
        (7, _) => return format!("https://example.com/{seed}"),
        (9, _) => &["#102030", "#405060"],
        (_, "concierge.common.v1.Address.country_code") => &["PT", "NZ"],
        (_, "concierge.common.v1.Criterion.field") => &["ticket.team"],
        (_, "concierge.ticket_rule.v1.WorkingHours.start_time") => &["08:00", "09:30"],
        (_, "concierge.ticket_rule.v1.WorkingHours.end_time") => &["16:00", "24:00"],
        (_, "concierge.ticket_rule.v1.Holiday.date") => &["2026-12-25", "2027-01-01", "2024-02-29"],
        (_, "concierge.common.v1.CustomFieldChoice.name") => &["LAPTOP", "PHONE", "TABLET"],
        (_, "concierge.directory.v1.CustomField.key") => &["device", "floor"],
        (_, "concierge.ticket_rule.v1.TicketField.key" | "concierge.common.v1.CustomFieldValue.key") => {
            &["serial_number", "seats", "warranty"]
        }
        (_, "concierge.directory.v1.AgentRole.permissions") => &["tickets.read", "tickets.write", "popups.read"],
        (_, "concierge.directory.v1.GetRecordAtRequest.record_type") => &["customer"],
        (_, "concierge.notification.v1.EmailSender.host") => &["mail.example.com", "smtp.example.org"],
        (_, "concierge.notification.v1.PopupNote.from_date") => &["2026-01-01", "2026-01-02"],
        (_, "concierge.notification.v1.PopupNote.until_date") => &["2026-12-30", "2026-12-31"],
        _ if name.ends_with("_html") || name.ends_with("_html_template") => return format!("<p>{name} {seed}</p>"),
        _ => {
            // Names are unique, also without regard to case.
            let most = option(field, "max_length").and_then(|value| value.as_u32()).unwrap_or(1_000);
            let words = format!("{seed} {}", field.full_name().rsplit(".v1.").next().unwrap_or_default());
            return words.chars().take(most as usize).collect();
        }
    };
    choices[seed % choices.len()].to_owned()
}
