//! The values that rules give to custom fields, between YAML and messages: a map each, of the key and the value under
//! the name of its kind.

use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::custom_field_value::Kind as Of;
use concierge_proto::common::{CustomFieldChoices, CustomFieldValue};
use concierge_proto::record::datetime;

use super::Kind;
use super::node::{Node, Value};
use super::read::{Path, Reader};

const KINDS: [(&str, Kind); 5] = [
    ("text", Kind::Text),
    ("number", Kind::Number),
    ("flag", Kind::Flag),
    ("time", Kind::Time),
    ("choice", Kind::Choice),
];

impl Reader {
    pub(super) fn custom_fields(&mut self, node: &Node, path: &Path) -> Vec<CustomFieldValue> {
        let mut values = Vec::new();
        for (index, item) in self.list(node, path).iter().enumerate() {
            values.push(self.custom_field(item, &path.part(&format!("[{index}]"))));
        }
        values
    }

    fn custom_field(&mut self, node: &Node, path: &Path) -> CustomFieldValue {
        self.map(node, path, &["key", "text", "number", "flag", "time", "choice", "choices"]);
        let key = node.get("key").and_then(|key| self.text(key, &path.part("key"))).unwrap_or_default();
        let mut given: Vec<Of> = Vec::new();
        for (name, kind) in KINDS {
            let Some(inner) = node.get(name) else { continue };
            given.extend(self.plain(inner, &path.part(name), "custom_fields", kind).and_then(|kind| {
                Some(match kind {
                    ValueKind::Text(text) => Of::Text(text),
                    ValueKind::Number(number) => Of::Number(number),
                    ValueKind::Flag(flag) => Of::Flag(flag),
                    ValueKind::Time(time) => Of::Time(time),
                    ValueKind::Choice(name) => Of::Choice(name),
                    ValueKind::Id(_) => return None,
                })
            }));
        }
        if let Some(inner) = node.get("choices") {
            let path = path.part("choices");
            let mut names = Vec::new();
            for (index, name) in self.list(inner, &path).iter().enumerate() {
                names.extend(self.text(name, &path.part(&format!("[{index}]"))));
            }
            given.push(Of::Choices(CustomFieldChoices { names }));
        }
        if given.len() > 1 {
            self.problem(node, path, "must have one value".to_owned());
        }
        CustomFieldValue { key, kind: given.pop() }
    }
}

/// A value as a file has it.
pub(super) fn written(value: &CustomFieldValue) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut entries = vec![("key".to_owned(), Node::new(text(&value.key)))];
    let told = value.kind.as_ref().map(|kind| match kind {
        Of::Text(value) => ("text", text(value)),
        Of::Number(number) => ("number", Value::Int(*number)),
        Of::Flag(flag) => ("flag", Value::Bool(*flag)),
        Of::Time(time) => {
            let told = datetime(time).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
            ("time", told.map_or(Value::Null, Value::Text))
        }
        Of::Choice(name) => ("choice", text(name)),
        Of::Choices(choices) => ("choices", super::write::list(choices.names.iter().map(|name| text(name)))),
    });
    entries.extend(told.map(|(name, value)| (name.to_owned(), Node::new(value))));
    Value::Map(entries)
}
