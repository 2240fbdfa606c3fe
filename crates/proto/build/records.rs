//! Records: their fields by index, and the standard requests on them.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::derive::Contract;
use crate::options::{self, Field};
use crate::{names, rules};

pub(crate) fn generate(contract: &Contract<'_>, message: &MessageDescriptor) -> Result<String, String> {
    let mut out = String::new();
    let is_record = is_record(message);
    let is_updated = contract.pool.all_messages().any(|m| {
        rules::updated(&m).is_some_and(|t| matches!(t.kind(), Kind::Message(r) if r.full_name() == message.full_name()))
    });
    if is_record || is_updated {
        out.push_str(&fields(contract, message)?);
    }
    if is_record {
        out.push_str(&record(message));
    }
    out.push_str(&requests(message));
    Ok(out)
}

/// A record has an id, an etag and times.
pub(crate) fn is_record(message: &MessageDescriptor) -> bool {
    ["id", "etag", "create_time", "update_time"].iter().all(|f| message.get_field_by_name(f).is_some())
}

/// Stored fields, in the order of their numbers; the etag is the version column.
fn stored(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    message.fields().filter(|f| f.name() != "etag").collect()
}

fn fields(contract: &Contract<'_>, message: &MessageDescriptor) -> Result<String, String> {
    let path = names::message(message);
    let (mut infos, mut gets, mut sets, mut defaults) = (String::new(), String::new(), String::new(), String::new());
    for (index, field) in stored(message).iter().enumerate() {
        let o = options::field(contract.pool, field);
        let place = format!("self.{}", names::field(field.name()));
        let column = column(message, field, &o, &place)?;
        let permission = |name: &str| {
            contract
                .permissions
                .iter()
                .position(|p| p == name)
                .map_or("None".to_owned(), |i| format!("Some(Permission({i}))"))
        };
        let quoted = |text: &str| if text.is_empty() { "None".to_owned() } else { format!("Some({text:?})") };
        let _ = write!(
            infos,
            "        Field {{ name: {:?}, kind: {}, optional: {}, output_only: {}, immutable: {}, secret: {}, write_permission: {}, read_permission: {}, default: {}, references: {} }},\n",
            field.name(),
            column.kind,
            presence(field),
            o.output_only,
            o.immutable,
            o.secret,
            permission(&o.write_permission),
            permission(&o.read_permission),
            quoted(&o.default_value),
            quoted(&o.references),
        );
        let _ = write!(gets, "            {index} => {},\n", column.get);
        let _ = write!(sets, "            {index} => {},\n", column.set);
        if !o.default_value.is_empty() {
            let _ = write!(defaults, "        {}\n", default(field, &o, &place)?);
        }
    }
    Ok(format!(
        "impl Fields for {path} {{\n    const FIELDS: &'static [Field] = &[\n{infos}    ];\n\
         \x20   fn value(&self, index: usize) -> Value {{\n        match index {{\n{gets}            _ => Value::Null,\n        }}\n    }}\n\
         \x20   fn set_value(&mut self, index: usize, value: Value) {{\n        match index {{\n{sets}            _ => {{}}\n        }}\n    }}\n\
         \x20   fn apply_defaults(&mut self) {{\n{defaults}    }}\n}}\n"
    ))
}

fn presence(field: &FieldDescriptor) -> bool {
    field.supports_presence() && !matches!(field.kind(), Kind::Message(_))
}

fn default(field: &FieldDescriptor, o: &Field, place: &str) -> Result<String, String> {
    if let Kind::Enum(e) = field.kind() {
        let name = format!("{}_{}", names::snake(e.name()).to_uppercase(), o.default_value);
        let value = e.values().find(|v| v.name() == name || v.name() == o.default_value);
        let number = value.ok_or_else(|| format!("{}: {:?} is no value", field.full_name(), o.default_value))?.number();
        return Ok(format!("if {place} == 0 {{ {place} = {number}; }}"));
    }
    if !presence(field) {
        return Err(format!("{}: a default needs a field with presence", field.full_name()));
    }
    let literal = if field.kind() == Kind::String {
        format!("{:?}.to_owned()", o.default_value)
    } else {
        o.default_value.clone()
    };
    Ok(format!("if {place}.is_none() {{ {place} = Some({literal}); }}"))
}

struct Column {
    kind: String,
    get: String,
    set: String,
}

fn column(message: &MessageDescriptor, field: &FieldDescriptor, o: &Field, place: &str) -> Result<Column, String> {
    let optional = presence(field);
    let make = |kind: &str, get: String, set: String| Ok(Column { kind: kind.to_owned(), get, set });
    let is_id = o.format == 1;
    if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) || field.is_map() {
        return Err(format!("{}: oneofs and maps cannot be columns of {}", field.full_name(), message.name()));
    }
    if field.is_list() {
        return match field.kind() {
            Kind::String if is_id => {
                make("Kind::Ids", format!("convert::ids(&{place})"), format!("{place} = convert::to_texts(value)"))
            }
            Kind::String => make(
                "Kind::Texts",
                format!("Value::Texts({place}.clone())"),
                format!("{place} = convert::to_texts(value)"),
            ),
            Kind::Enum(e) => make(
                &format!("Kind::Enums({})", names::enum_values(&e)),
                format!("Value::Ints({place}.clone())"),
                format!("{place} = convert::to_ints(value)"),
            ),
            Kind::Message(_) => make(
                "Kind::Message",
                format!("convert::messages(&{place})"),
                format!("{place} = convert::to_messages(&value)"),
            ),
            _ => Err(format!("{}: no column for a list of this type", field.full_name())),
        };
    }
    let number = |type_name: &str, kind: &str, convert: &str| {
        if optional {
            make(
                kind,
                format!("{place}.map_or(Value::Null, |v| {convert})"),
                format!("{place} = convert::to_int::<{type_name}>(&value)"),
            )
        } else {
            make(
                kind,
                format!("{{ let v = {place}; {convert} }}"),
                format!("{place} = convert::to_int::<{type_name}>(&value).unwrap_or_default()"),
            )
        }
    };
    match field.kind() {
        Kind::String if is_id && !optional => {
            make("Kind::Id", format!("convert::id(&{place})"), format!("{place} = convert::to_text(value)"))
        }
        Kind::String if !optional => {
            make("Kind::Text", format!("Value::Text({place}.clone())"), format!("{place} = convert::to_text(value)"))
        }
        Kind::Bool if optional => make(
            "Kind::Bool",
            format!("{place}.map_or(Value::Null, Value::Bool)"),
            format!("{place} = convert::to_bool(&value)"),
        ),
        Kind::Bool => make(
            "Kind::Bool",
            format!("Value::Bool({place})"),
            format!("{place} = convert::to_bool(&value).unwrap_or_default()"),
        ),
        Kind::Int32 => number("i32", "Kind::Int", "Value::Int(i64::from(v))"),
        Kind::Uint32 => number("u32", "Kind::Int", "Value::Int(i64::from(v))"),
        Kind::Int64 => number("i64", "Kind::Int", "Value::Int(v)"),
        Kind::Double if !optional => make(
            "Kind::Float",
            format!("Value::Float({place})"),
            format!("{place} = convert::to_float(&value).unwrap_or_default()"),
        ),
        Kind::Enum(e) => number("i32", &format!("Kind::Enum({})", names::enum_values(&e)), "Value::Int(i64::from(v))"),
        Kind::Message(m) if m.full_name() == "google.protobuf.Timestamp" => make(
            "Kind::Time",
            format!("convert::time({place}.as_ref())"),
            format!("{place} = convert::to_time(&value)"),
        ),
        Kind::Message(m) if m.full_name() == "google.protobuf.Duration" => make(
            "Kind::Duration",
            format!("convert::duration({place}.as_ref())"),
            format!("{place} = convert::to_duration(&value)"),
        ),
        Kind::Message(_) => make(
            "Kind::Message",
            format!("convert::message({place}.as_ref())"),
            format!("{place} = convert::to_message(&value)"),
        ),
        _ => Err(format!("{}: no column for this type", field.full_name())),
    }
}

fn record(message: &MessageDescriptor) -> String {
    let path = names::message(message);
    let (delete_time, set_delete_time) = if message.get_field_by_name("delete_time").is_some() {
        ("self.delete_time", "self.delete_time = time;")
    } else {
        ("None", "let _ = time;")
    };
    format!(
        "impl Record for {path} {{\n    const TYPE: &'static str = {:?};\n    const FULL_NAME: &'static str = {:?};\n\
         \x20   fn id(&self) -> &str {{ &self.id }}\n    fn set_id(&mut self, id: String) {{ self.id = id; }}\n\
         \x20   fn etag(&self) -> &str {{ &self.etag }}\n    fn set_etag(&mut self, etag: String) {{ self.etag = etag; }}\n\
         \x20   fn set_create_time(&mut self, time: Option<prost_types::Timestamp>) {{ self.create_time = time; }}\n\
         \x20   fn set_update_time(&mut self, time: Option<prost_types::Timestamp>) {{ self.update_time = time; }}\n\
         \x20   fn delete_time(&self) -> Option<prost_types::Timestamp> {{ {delete_time} }}\n\
         \x20   fn set_delete_time(&mut self, time: Option<prost_types::Timestamp>) {{ {set_delete_time} }}\n}}\n",
        names::snake(message.name()),
        message.full_name(),
    )
}

/// The standard requests, recognised by their shape.
fn requests(message: &MessageDescriptor) -> String {
    let Some(stem) = message.name().strip_suffix("Request") else { return String::new() };
    let path = names::message(message);
    let mut out = String::new();
    if message.get_field_by_name("request_id").is_some() {
        let _ = write!(out, "impl Mutation for {path} {{ fn request_id(&self) -> &str {{ &self.request_id }} }}\n");
    }
    let Some(response) =
        message.parent_pool().get_message_by_name(&format!("{}.{stem}Response", message.package_name()))
    else {
        return out;
    };
    let answer = names::message(&response);
    // The answer's first field says which record this is about.
    let Some(first) = response.fields().find(|f| matches!(f.kind(), Kind::Message(m) if is_record(&m))) else {
        return out;
    };
    let Kind::Message(record) = first.kind() else { return out };
    let record_path = names::message(&record);
    let field = names::field(first.name());
    if first.is_list() {
        if message.get_field_by_name("page_token").is_some() && response.get_field_by_name("next_page_token").is_some()
        {
            let has = |name: &str| message.get_field_by_name(name).is_some();
            let text = |name: &str| if has(name) { format!("&self.{name}") } else { "\"\"".to_owned() };
            let _ = write!(
                out,
                "impl ListRequest for {path} {{ type Record = {record_path}; type Response = {answer};\n\
                 fn page_size(&self) -> i32 {{ self.page_size }} fn page_token(&self) -> &str {{ &self.page_token }}\n\
                 fn filter(&self) -> &str {{ {} }} fn order_by(&self) -> &str {{ {} }} fn show_deleted(&self) -> bool {{ {} }} }}\n\
                 impl From<(Vec<{record_path}>, String)> for {answer} {{ fn from((records, next_page_token): (Vec<{record_path}>, String)) -> Self {{ Self {{ {field}: records, next_page_token, ..Default::default() }} }} }}\n",
                text("filter"),
                text("order_by"),
                if has("show_deleted") { "self.show_deleted" } else { "false" },
            );
        }
        return out;
    }
    let verb =
        ["Create", "Get", "Update", "Delete", "Undelete"].iter().find(|v| stem == format!("{v}{}", record.name()));
    let head = format!("type Record = {record_path}; type Response = {answer};");
    match verb.copied() {
        Some("Create") => {
            let _ = write!(
                out,
                "impl CreateRequest for {path} {{ {head} fn into_record(self) -> Self::Record {{ self.{field}.unwrap_or_default() }} }}\n"
            );
        }
        Some("Get") => {
            let _ = write!(out, "impl GetRequest for {path} {{ {head} fn id(&self) -> &str {{ &self.id }} }}\n");
        }
        Some("Update") => {
            let _ = write!(
                out,
                "impl UpdateRequest for {path} {{ {head} fn into_parts(self) -> (Self::Record, Vec<String>) {{ (self.{field}.unwrap_or_default(), self.update_mask.unwrap_or_default().paths) }} }}\n"
            );
        }
        Some("Delete") => {
            let etag = if message.get_field_by_name("etag").is_some() { "&self.etag" } else { "\"\"" };
            let _ = write!(
                out,
                "impl DeleteRequest for {path} {{ {head} fn id(&self) -> &str {{ &self.id }} fn etag(&self) -> &str {{ {etag} }} }}\n"
            );
        }
        Some("Undelete") => {
            let _ = write!(out, "impl UndeleteRequest for {path} {{ {head} fn id(&self) -> &str {{ &self.id }} }}\n");
        }
        _ => {}
    }
    // Every answer that carries one record can be made of it.
    let _ = write!(
        out,
        "impl From<{record_path}> for {answer} {{ fn from(record: {record_path}) -> Self {{ Self {{ {field}: Some(record), ..Default::default() }} }} }}\n"
    );
    out
}
