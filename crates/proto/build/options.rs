//! Our options, read from the descriptors.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage, Value};

/// `concierge.options.v1.Method` of one method.
pub(crate) struct Method {
    pub(crate) public: bool,
    pub(crate) permission: String,
    pub(crate) kinds: Vec<i32>,
    pub(crate) scope: i32,
}

/// `concierge.options.v1.Field` of one field.
#[derive(Clone, Default)]
pub(crate) struct Field {
    pub(crate) required: bool,
    pub(crate) min_length: u32,
    pub(crate) max_length: u32,
    pub(crate) pattern: String,
    pub(crate) format: i32,
    pub(crate) minimum: Option<i64>,
    pub(crate) maximum: Option<i64>,
    pub(crate) max_items: u32,
    pub(crate) unique_items: bool,
    pub(crate) output_only: bool,
    pub(crate) immutable: bool,
    pub(crate) secret: bool,
    pub(crate) write_permission: String,
    pub(crate) read_permission: String,
    pub(crate) default_value: String,
    pub(crate) references: String,
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).into_owned() {
        Value::Message(message) => Some(message),
        _ => None,
    }
}

fn get(message: &DynamicMessage, name: &str) -> Option<Value> {
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).into_owned())
}

fn truth(message: &DynamicMessage, name: &str) -> bool {
    get(message, name).and_then(|v| v.as_bool()).unwrap_or(false)
}

fn text(message: &DynamicMessage, name: &str) -> String {
    get(message, name).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn method(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<Method> {
    let options = extension(pool, &method.options(), "concierge.options.v1.method")?;
    let kinds = get(&options, "kinds")
        .and_then(|v| v.as_list().map(|l| l.iter().filter_map(Value::as_enum_number).collect()))
        .unwrap_or_default();
    Some(Method {
        public: truth(&options, "public"),
        permission: text(&options, "permission"),
        kinds,
        scope: get(&options, "scope").and_then(|v| v.as_enum_number()).unwrap_or(0),
    })
}

pub(crate) fn field(pool: &DescriptorPool, field: &FieldDescriptor) -> Field {
    let Some(options) = extension(pool, &field.options(), "concierge.options.v1.field") else {
        return Field::default();
    };
    let count = |name| get(&options, name).and_then(|v| v.as_u32()).unwrap_or(0);
    let bound = |name| get(&options, name).and_then(|v| v.as_i64());
    Field {
        required: truth(&options, "required"),
        min_length: count("min_length"),
        max_length: count("max_length"),
        pattern: text(&options, "pattern"),
        format: get(&options, "format").and_then(|v| v.as_enum_number()).unwrap_or(0),
        minimum: bound("minimum"),
        maximum: bound("maximum"),
        max_items: count("max_items"),
        unique_items: truth(&options, "unique_items"),
        output_only: truth(&options, "output_only"),
        immutable: truth(&options, "immutable"),
        secret: truth(&options, "secret"),
        write_permission: text(&options, "write_permission"),
        read_permission: text(&options, "read_permission"),
        default_value: text(&options, "default_value"),
        references: text(&options, "references"),
    }
}
