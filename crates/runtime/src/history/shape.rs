//! What records look like, by reflection: for reading what history keeps of any type of record, old bytes included.

use std::collections::HashMap;
use std::sync::LazyLock;

use concierge_proto::{DESCRIPTOR_SET, Permission, PermissionSet};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions, Value,
};
use serde_json::Value as Json;

use super::FieldChange;
use crate::error::Error;

/// A type of record.
#[derive(Debug)]
pub struct Shape {
    /// Its name, such as `site_contact`.
    pub record_type: String,
    message: MessageDescriptor,
}

/// What the contract's options say of a field that history must know.
#[derive(Clone, Copy, Debug, Default)]
struct Guard {
    secret: bool,
    read_permission: Option<Permission>,
}

struct Shapes {
    /// By package and type.
    records: HashMap<(String, String), Shape>,
    /// The fields that are not for everybody, by their full names.
    guards: HashMap<String, Guard>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::read);

/// What is kept in history beside a service's own records: tokens taken away.
pub(super) const REVOCATION: (&str, &str) = ("revocation", "concierge.event.v1.Revocation");

impl Shapes {
    fn read() -> Self {
        let mut shapes = Self { records: HashMap::new(), guards: HashMap::new() };
        // The contract's own descriptors, written by its build.
        let Ok(pool) = DescriptorPool::decode(DESCRIPTOR_SET) else { return shapes };
        for message in pool.all_messages() {
            for field in message.fields() {
                let guard = Guard::of(&pool, &field);
                if guard.secret || guard.read_permission.is_some() {
                    shapes.guards.insert(field.full_name().to_owned(), guard);
                }
            }
            if ["id", "etag", "create_time", "update_time"].iter().all(|f| message.get_field_by_name(f).is_some()) {
                let record_type = snake(message.name());
                let key = (message.package_name().to_owned(), record_type.clone());
                shapes.records.insert(key, Shape { record_type, message });
            }
        }
        shapes
    }

    fn guard(&self, field: &FieldDescriptor) -> Guard {
        self.guards.get(field.full_name()).copied().unwrap_or_default()
    }
}

impl Guard {
    fn of(pool: &DescriptorPool, field: &FieldDescriptor) -> Self {
        let Some(extension) = pool.get_extension_by_name("concierge.options.v1.field") else { return Self::default() };
        let options = field.options();
        if !options.has_extension(&extension) {
            return Self::default();
        }
        let options = options.get_extension(&extension);
        let get = |name: &str| options.as_message().and_then(|m| m.get_field_by_name(name).map(|v| v.into_owned()));
        Self {
            secret: get("secret").and_then(|v| v.as_bool()).unwrap_or(false),
            read_permission: get("read_permission").and_then(|v| v.as_str().and_then(Permission::named)),
        }
    }
}

/// The type of record of that name in a package, such as `concierge.directory.v1`; tokens taken away in any.
pub fn shape(package: &str, record_type: &str) -> Option<&'static Shape> {
    static REVOKED: LazyLock<Option<Shape>> = LazyLock::new(|| {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).ok()?;
        Some(Shape { record_type: REVOCATION.0.to_owned(), message: pool.get_message_by_name(REVOCATION.1)? })
    });
    if record_type == REVOCATION.0 {
        return REVOKED.as_ref();
    }
    SHAPES.records.get(&(package.to_owned(), record_type.to_owned()))
}

impl Shape {
    /// The full name of the record's message.
    pub fn full_name(&self) -> &str {
        self.message.full_name()
    }

    /// A record without what needs a permission that is not held, encoded again.
    pub fn concealed(&self, bytes: &[u8], permissions: PermissionSet) -> Result<Vec<u8>, Error> {
        let mut record = self.decode(bytes)?;
        conceal(&mut record, permissions);
        Ok(record.encode_to_vec())
    }

    /// How the named fields changed; of a new record (no `before`), the fields that are set.
    pub fn changes(
        &self,
        before: Option<&[u8]>,
        after: &[u8],
        names: &[String],
        permissions: PermissionSet,
    ) -> Result<Vec<FieldChange>, Error> {
        let (old, new) = (before.map(|b| self.decode(b)).transpose()?, self.decode(after)?);
        let mut fields: Vec<FieldDescriptor> = self.message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        fields.retain(|f| {
            let told = match &old {
                Some(_) => names.iter().any(|n| n == f.name()),
                None => new.has_field(f),
            };
            told && !SHAPES.guard(f).secret && !matches!(f.name(), "etag" | "update_time")
        });
        let (old, new) = (old.map(|m| Texts::of(m, permissions)).transpose()?, Texts::of(new, permissions)?);
        let change = |field: &FieldDescriptor| {
            let hidden = SHAPES.guard(field).read_permission.is_some_and(|p| !permissions.holds(p));
            let text = |texts: &Texts| if hidden { None } else { texts.get(field) };
            let (old, new) = (old.as_ref().and_then(text), text(&new));
            FieldChange { field: field.name().to_owned(), old, new, hidden }
        };
        Ok(fields.iter().map(change).collect())
    }

    fn decode(&self, bytes: &[u8]) -> Result<DynamicMessage, Error> {
        DynamicMessage::decode(self.message.clone(), bytes).map_err(Error::internal)
    }
}

/// The fields of one record as people read them: in protobuf's JSON form.
struct Texts {
    fields: serde_json::Map<String, Json>,
}

impl Texts {
    fn of(mut record: DynamicMessage, permissions: PermissionSet) -> Result<Self, Error> {
        conceal(&mut record, permissions);
        let options = SerializeOptions::new().skip_default_fields(true);
        match record.serialize_with_options(serde_json::value::Serializer, &options).map_err(Error::internal)? {
            Json::Object(fields) => Ok(Self { fields }),
            _ => Err(Error::internal("a record is a JSON object")),
        }
    }

    /// A text stands without its quotes. Numbers and truth values that are not set are 0 and false; everything else
    /// that is not set is absent.
    fn get(&self, field: &FieldDescriptor) -> Option<String> {
        match self.fields.get(field.json_name()) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None if field.is_list() || field.is_map() || field.supports_presence() => None,
            None => match field.kind() {
                Kind::Bool => Some("false".to_owned()),
                Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => None,
                _ => Some("0".to_owned()),
            },
        }
    }
}

/// Empties what needs a permission that is not held, also inside; and what the contract no longer knows.
fn conceal(message: &mut DynamicMessage, permissions: PermissionSet) {
    message.take_unknown_fields().for_each(drop);
    let hidden: Vec<FieldDescriptor> = message
        .fields()
        .map(|(field, _)| field)
        .filter(|field| {
            let guard = SHAPES.guard(field);
            guard.secret || guard.read_permission.is_some_and(|p| !permissions.holds(p))
        })
        .collect();
    for field in hidden {
        message.clear_field(&field);
    }
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(inner) => conceal(inner, permissions),
            Value::List(items) => {
                items.iter_mut().filter_map(Value::as_message_mut).for_each(|inner| conceal(inner, permissions));
            }
            Value::Map(entries) => {
                entries.values_mut().filter_map(Value::as_message_mut).for_each(|inner| conceal(inner, permissions));
            }
            _ => {}
        }
    }
}

/// `SiteContact` is `site_contact`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use concierge_proto::Record as _;
    use concierge_proto::common::Address;
    use concierge_proto::directory::{AccessLevel, Site, User};

    use super::*;

    fn shape(record_type: &str) -> &'static Shape {
        super::shape("concierge.directory.v1", record_type).unwrap()
    }

    fn all(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn texts(changes: &[FieldChange]) -> Vec<(&str, Option<&str>, Option<&str>)> {
        changes.iter().map(|c| (c.field.as_str(), c.old.as_deref(), c.new.as_deref())).collect()
    }

    #[test]
    fn every_record_has_a_shape_of_its_type() {
        assert_eq!(shape(User::TYPE).full_name(), User::FULL_NAME);
        assert_eq!(shape("revocation").full_name(), "concierge.event.v1.Revocation");
        assert!(super::shape("concierge.directory.v1", "ticket").is_none());
        assert!(super::shape("concierge.directory.v1", "create_user_request").is_none());
    }

    #[test]
    fn a_change_is_told_in_the_json_form_of_its_fields() {
        let before = User { name: "Ann".to_owned(), important: true, phones: all(&["1"]), ..Default::default() };
        let after = User {
            name: "Ann Lee".to_owned(),
            web_access_level: AccessLevel::Own.into(),
            service_access_level: 3,
            active: Some(false),
            etag: "2".to_owned(),
            ..Default::default()
        };
        let names = ["web_access_level", "name", "important", "phones", "active", "service_access_level", "etag"];
        let bytes = before.encode_to_vec();
        let told =
            shape("user").changes(Some(&bytes), &after.encode_to_vec(), &all(&names), PermissionSet::ALL).unwrap();
        assert_eq!(
            texts(&told),
            [
                ("name", Some("Ann"), Some("Ann Lee")),
                ("phones", Some(r#"["1"]"#), None),
                ("important", Some("true"), Some("false")),
                ("active", None, Some("false")),
                ("web_access_level", None, Some("ACCESS_LEVEL_OWN")),
                ("service_access_level", Some("0"), Some("3")),
            ]
        );
    }

    #[test]
    fn a_new_record_tells_what_was_set_and_messages_as_objects() {
        let address = Address { city: "Berlin".to_owned(), ..Default::default() };
        let site = Site { id: "x".to_owned(), address: Some(address), ..Default::default() };
        let told = shape("site").changes(None, &site.encode_to_vec(), &[], PermissionSet::ALL).unwrap();
        assert_eq!(texts(&told), [("id", None, Some("x")), ("address", None, Some(r#"{"city":"Berlin"}"#))]);
    }

    #[test]
    fn what_the_caller_may_not_read_is_named_without_its_value() {
        let after =
            User { important: true, notes: "Calls often".to_owned(), name: "Ann".to_owned(), ..User::default() };
        let none = PermissionSet::default();
        let told = shape("user").changes(None, &after.encode_to_vec(), &[], none).unwrap();
        assert_eq!(texts(&told), [("name", None, Some("Ann")), ("important", None, None), ("notes", None, None)]);
        assert_eq!(told.iter().map(|c| c.hidden).collect::<Vec<_>>(), [false, true, true]);
        let concealed =
            User::decode(shape("user").concealed(&after.encode_to_vec(), none).unwrap().as_slice()).unwrap();
        assert_eq!(concealed, User { name: "Ann".to_owned(), ..User::default() });
    }
}
