//! The validators: one `Check` for every message that a request can contain, one `Validate` for every message.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::derive::Contract;
use crate::names;
use crate::options::{self, Field};

const FORMS: [&str; 10] = ["Any", "Id", "Email", "Phone", "Domain", "TimeZone", "Currency", "Url", "Line", "Color"];

pub(crate) fn generate(contract: &Contract<'_>, message: &MessageDescriptor) -> String {
    let path = names::message(message);
    let mut out = String::new();
    if contract.received.contains(message.full_name()) {
        let mut body = String::new();
        for field in
            message.fields().filter(|f| f.containing_oneof().is_none() || f.supports_presence() && is_synthetic(f))
        {
            let options = options::field(contract.pool, &field);
            if options.output_only || field.name() == "etag" && message.get_field_by_name("id").is_some() {
                continue;
            }
            let check = rule(contract, message, &field, &options, &format!("self.{}", names::field(field.name())));
            if !check.is_empty() {
                let _ = write!(
                    body,
                    "        if validate::covers(mask, {0:?}) {{ let path = &path.field({0:?}); {check} }}\n",
                    field.name()
                );
            }
        }
        for oneof in message.oneofs().filter(|o| !o.is_synthetic()) {
            let enumeration = format!("{}::{}", module(&path, message), names::pascal(oneof.name()));
            let mut arms = String::new();
            for field in oneof.fields() {
                let options = options::field(contract.pool, &field);
                let check = scalar(contract, &field, &options, "(*value)", "value");
                let _ = write!(
                    arms,
                    "            Some({enumeration}::{}(value)) => {{ let path = &path.field({:?}); {check} }}\n",
                    names::pascal(field.name()),
                    field.name()
                );
            }
            let _ = write!(
                body,
                "        match &self.{} {{\n{arms}            None => {{}}\n        }}\n",
                names::field(oneof.name())
            );
        }
        let _ = write!(
            out,
            "impl Check for {path} {{\n    fn check(&self, path: &Path<'_>, mask: Option<&[String]>, violations: &mut Violations) {{\n{body}    }}\n}}\n"
        );
    }
    let body = if contract.inputs.contains(message.full_name()) {
        "Check::check(self, &Path::Root, None, violations);"
    } else {
        ""
    };
    let _ =
        write!(out, "impl Validate for {path} {{ fn validate(&self, violations: &mut Violations) {{ {body} }} }}\n");
    out
}

/// What is wrong with the rules of a message's fields: a rule that no validator would keep must not look as if it held.
pub(crate) fn problems(contract: &Contract<'_>, message: &MessageDescriptor) -> Vec<String> {
    let mut problems = Vec::new();
    for field in message.fields() {
        let o = options::field(contract.pool, &field);
        let kind = field.kind();
        let is_list = field.is_list();
        let is_number =
            matches!(&kind, Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64);
        let is_duration = matches!(&kind, Kind::Message(m) if m.full_name() == "google.protobuf.Duration");
        let has_text = o.min_length > 0 || o.max_length > 0 || !o.pattern.is_empty() || o.format != 0;
        let has_emptiness =
            is_list || field.supports_presence() || matches!(&kind, Kind::String | Kind::Enum(_) | Kind::Message(_));
        let rules = [
            (has_text && kind != Kind::String, "min_length, max_length, pattern and format are for strings"),
            (
                (o.minimum.is_some() || o.maximum.is_some()) && !is_number && !is_duration,
                "minimum and maximum are for whole numbers and durations",
            ),
            ((o.max_items > 0 || o.unique_items) && !is_list, "max_items and unique_items are for repeated fields"),
            (
                o.unique_items && is_list && !matches!(&kind, Kind::String | Kind::Enum(_)),
                "unique_items is for lists of strings and of enum values",
            ),
            (o.required && !has_emptiness, "required needs a field that can be absent"),
        ];
        let broken = rules.iter().filter(|(is_broken, _)| *is_broken);
        problems.extend(broken.map(|(_, why)| format!("{}: {why}", field.full_name())));
    }
    problems
}

fn is_synthetic(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|o| o.is_synthetic())
}

fn module(path: &str, message: &MessageDescriptor) -> String {
    let parent = path.rsplit_once("::").map_or("", |(p, _)| p);
    format!("{parent}::{}", names::snake(message.name()))
}

/// The statement that checks one field of a message.
fn rule(
    contract: &Contract<'_>,
    message: &MessageDescriptor,
    field: &FieldDescriptor,
    options: &Field,
    place: &str,
) -> String {
    if field.is_map() {
        return String::new();
    }
    if field.is_list() {
        let items = format!(
            "&Items {{ required: {}, max: {}, unique: {} }}",
            options.required,
            if options.max_items == 0 { 1000 } else { options.max_items },
            options.unique_items
        );
        return match field.kind() {
            Kind::String => format!("validate::texts(&{place}, path, {items}, {}, violations);", text_rules(options)),
            Kind::Enum(e) => {
                format!("validate::choices(&{place}, path, {items}, {}, violations);", names::enum_values(&e))
            }
            _ => {
                let each = scalar(contract, field, &Field { required: false, ..options.clone() }, "(*value)", "value");
                format!(
                    "if validate::items({place}.len(), path, {items}, violations) {{ for (index, value) in {place}.iter().enumerate() {{ let path = &path.item(index); {each} }} }}"
                )
            }
        };
    }
    if let Kind::Message(inner) = field.kind() {
        if inner.full_name() == "google.protobuf.FieldMask" {
            let Some(target) = updated(message) else { return String::new() };
            let Kind::Message(record) = target.kind() else { return String::new() };
            return format!(
                "match &{place} {{ None => validate::present(false, path, violations), Some(mask) => validate::mask(&mask.paths, <{} as Fields>::FIELDS, path, violations) }}",
                names::message(&record)
            );
        }
        let is_update_target = updated(message).is_some_and(|t| t.name() == field.name());
        let mask =
            if is_update_target { "Some(self.update_mask.as_ref().map_or(&[][..], |m| &m.paths[..]))" } else { "None" };
        return match inner.full_name() {
            "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
                scalar(contract, field, options, &format!("{place}.as_ref()"), &format!("{place}.as_ref()"))
            }
            name if contract.received.contains(name) => {
                let absent = if options.required { "validate::present(false, path, violations)" } else { "{}" };
                let id = if is_update_target && inner.get_field_by_name("id").is_some() {
                    format!(
                        "validate::text(&inner.id, &path.field(\"id\"), {}, violations);",
                        text_rules(&Field { required: true, format: 1, ..Field::default() })
                    )
                } else {
                    String::new()
                };
                format!("match &{place} {{ None => {absent}, Some(inner) => {{ {id} Check::check(inner.borrow_inner(), path, {mask}, violations) }} }}")
                    .replace("inner.borrow_inner()", "&*inner")
            }
            _ if options.required => format!("validate::present({place}.is_some(), path, violations);"),
            _ => String::new(),
        };
    }
    if field.supports_presence() {
        let required = if options.required { "else { validate::present(false, path, violations); }" } else { "" };
        let inner = scalar(contract, field, options, "(*value)", "value");
        return format!("if let Some(value) = &{place} {{ {inner} }} {required}");
    }
    scalar(contract, field, options, place, &format!("&{place}"))
}

/// The field that an update request updates: the message beside its `update_mask`.
pub(crate) fn updated(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message.get_field_by_name("update_mask")?;
    message
        .fields()
        .find(|f| !f.is_list() && matches!(f.kind(), Kind::Message(m) if m.package_name().starts_with("concierge.")))
}

/// The statement that checks one value.
fn scalar(contract: &Contract<'_>, field: &FieldDescriptor, options: &Field, value: &str, reference: &str) -> String {
    let bounds = || format!("{:?}, {:?}", options.minimum, options.maximum);
    match field.kind() {
        Kind::String => format!("validate::text({reference}, path, {}, violations);", text_rules(options)),
        Kind::Enum(e) => {
            // A value of zero stands for "not given": fine unless required.
            format!("validate::choice({value}, path, {}, {}, violations);", options.required, names::enum_values(&e))
        }
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Sint32 | Kind::Sint64 => {
            if options.minimum.is_none() && options.maximum.is_none() {
                return String::new();
            }
            format!("validate::number(i64::from({value}), path, {}, violations);", bounds())
        }
        Kind::Uint64 => {
            format!("validate::number(i64::try_from({value}).unwrap_or(i64::MAX), path, {}, violations);", bounds())
        }
        Kind::Double => format!("validate::float({value}, path, violations);"),
        Kind::Message(m) if m.full_name() == "google.protobuf.Timestamp" => {
            format!("validate::time({}, path, {}, violations);", as_option(field, reference), options.required)
        }
        Kind::Message(m) if m.full_name() == "google.protobuf.Duration" => format!(
            "validate::duration({}, path, {}, ({}), violations);",
            as_option(field, reference),
            options.required,
            bounds()
        ),
        Kind::Message(m) if contract.received.contains(m.full_name()) => {
            format!("Check::check(&*{reference}, path, None, violations);")
        }
        _ => String::new(),
    }
}

/// Inside lists and oneofs there is a value, in a plain field an option of one.
fn as_option(field: &FieldDescriptor, reference: &str) -> String {
    let inside = field.is_list() || field.containing_oneof().is_some_and(|o| !o.is_synthetic());
    if inside { format!("Some({reference})") } else { reference.to_owned() }
}

fn text_rules(options: &Field) -> String {
    let max = if options.max_length == 0 { 1000 } else { options.max_length };
    let pattern = if options.pattern.is_empty() {
        "None".to_owned()
    } else {
        let anchored = format!("^(?:{})$", options.pattern);
        format!(
            "{{ static PATTERN: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| regex::Regex::new({anchored:?}).expect(\"a pattern of the contract\")); Some(&PATTERN) }}"
        )
    };
    format!(
        "&Text {{ required: {}, min: {}, max: {max}, form: Form::{}, pattern: {pattern} }}",
        options.required,
        options.min_length,
        FORMS[usize::try_from(options.format).unwrap_or(0)]
    )
}
