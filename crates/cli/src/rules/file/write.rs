//! Rules to YAML.

use std::collections::HashMap;

use concierge_proto::common::criterion_value::Kind as ValueKind;
use concierge_proto::common::{CriteriaGroup, Criterion, GroupKind};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::rule_reference::Handle;
use concierge_proto::ticket_rule::{Rule, RuleAppliesTo, RuleExternalId, RuleOutcomes};

use super::custom_fields::written;
use super::node::{Node, Value};
use super::{APPLIES_TO, Kind, OPERATOR, RuleFile, expected, word};

/// What ids stand for.
type Handles<'a> = HashMap<&'a str, &'a Handle>;

impl RuleFile {
    /// What the ids in the rules stand for.
    pub(crate) fn handles(&self) -> Handles<'_> {
        self.references.iter().filter_map(|known| Some((known.id.as_str(), known.handle.as_ref()?))).collect()
    }

    /// As YAML, the same bytes for the same rules.
    pub(crate) fn write(&self) -> anyhow::Result<String> {
        let handles = self.handles();
        let mut entries = Entries::default();
        if let Some(revision) = self.revision {
            entries.put("revision", Value::Int(revision));
        }
        entries.put("rules", list(self.rules.iter().map(|rule| rule_value(rule, &handles))));
        let yaml = Value::Map(entries.0).write()?;
        Ok(format!("# All ticket rules, in the order in which they run. What may stand here: docs/rules.md\n{yaml}"))
    }
}

/// A rule as files have it. What is as by default is left out.
pub(crate) fn rule_value(rule: &Rule, handles: &Handles<'_>) -> Value {
    let mut entries = Entries::default();
    entries.put("name", text(&rule.name));
    entries.put_text("id", &rule.id);
    entries.put_text("description", &rule.description);
    if !rule.enabled.unwrap_or(true) {
        entries.put("enabled", Value::Bool(false));
    }
    if !matches!(rule.applies_to(), RuleAppliesTo::Unspecified | RuleAppliesTo::NewAndExisting) {
        entries.put("applies_to", text(&word(rule.applies_to().as_str_name(), APPLIES_TO)));
    }
    entries.put("precedence", Value::Int(rule.precedence.unwrap_or(DEFAULT_PRECEDENCE).into()));
    if rule.stop_on_match {
        entries.put("stop_on_match", Value::Bool(true));
    }
    if let Some(group) = rule.criteria.as_ref().filter(|group| !asks_nothing(group)) {
        entries.put("criteria", group_value(group, handles));
    }
    let outcomes = outcomes_value(rule.outcomes.as_ref().unwrap_or(&RuleOutcomes::default()), handles);
    if !outcomes.is_empty() {
        entries.put("outcomes", Value::Map(outcomes));
    }
    Value::Map(entries.0)
}

/// Where a rule stands that does not say so.
pub(super) const DEFAULT_PRECEDENCE: i32 = 50;

fn asks_nothing(group: &CriteriaGroup) -> bool {
    group.kind() == GroupKind::All && group.criteria.is_empty() && group.groups.is_empty()
}

fn group_value(group: &CriteriaGroup, handles: &Handles<'_>) -> Value {
    let criteria = group.criteria.iter().map(|criterion| criterion_value(criterion, handles));
    let members = list(criteria.chain(group.groups.iter().map(|inner| group_value(inner, handles))));
    let mut entries = Entries::default();
    entries.put(&word(group.kind().as_str_name(), "GROUP_KIND_"), members);
    Value::Map(entries.0)
}

fn criterion_value(criterion: &Criterion, handles: &Handles<'_>) -> Value {
    let operator = criterion.operator();
    let kind = expected(&criterion.field, operator);
    let mut entries = Entries::default();
    entries.put("field", text(&criterion.field));
    entries.put("operator", text(&word(operator.as_str_name(), OPERATOR)));
    let mut values: Vec<Value> =
        criterion.values.iter().map(|value| single_value(value.kind.as_ref(), kind, handles)).collect();
    match values.len() {
        0 => {}
        1 => entries.put("value", values.remove(0)),
        _ => entries.put("values", list(values.into_iter())),
    }
    if criterion.case_sensitive {
        entries.put("case_sensitive", Value::Bool(true));
    }
    Value::Map(entries.0)
}

/// A value: plain where its kind is that of the field, else as a map of its kind and itself.
fn single_value(value: Option<&ValueKind>, expected: Option<Kind>, handles: &Handles<'_>) -> Value {
    let Some(value) = value else { return Value::Null };
    let (kind, name, plain) = match value {
        ValueKind::Flag(flag) => (Kind::Flag, "flag", Value::Bool(*flag)),
        ValueKind::Id(id) if expected == Some(Kind::Id) => return reference_value(id, handles),
        ValueKind::Id(id) => return reference_map(id, handles),
        ValueKind::Choice(name) => (Kind::Choice, "choice", text(name)),
        ValueKind::Text(value) => (Kind::Text, "text", text(value)),
        ValueKind::Number(number) => (Kind::Number, "number", Value::Int(*number)),
        ValueKind::Time(time) => {
            let told = datetime(time).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
            (Kind::Time, "time", told.map_or(Value::Null, Value::Text))
        }
    };
    if expected == Some(kind) {
        return plain;
    }
    let mut entries = Entries::default();
    entries.put(name, plain);
    Value::Map(entries.0)
}

/// What an id stands for: a name by itself, anything else as a map.
fn reference_value(id: &str, handles: &Handles<'_>) -> Value {
    match handles.get(id) {
        Some(Handle::Name(name)) => text(name),
        _ => reference_map(id, handles),
    }
}

fn reference_map(id: &str, handles: &Handles<'_>) -> Value {
    let mut entries = Entries::default();
    match handles.get(id) {
        Some(Handle::Name(name)) => entries.put("name", text(name)),
        Some(Handle::Email(email)) => entries.put("email", text(email)),
        Some(Handle::External(RuleExternalId { source, id })) => {
            entries.put("external_id", text(id));
            entries.put_text("external_source", source);
        }
        None => entries.put("id", text(id)),
    }
    Value::Map(entries.0)
}

fn outcomes_value(outcomes: &RuleOutcomes, handles: &Handles<'_>) -> Vec<(String, Node)> {
    // Every field is here, or this does not build.
    let RuleOutcomes {
        type_id,
        status_id,
        priority_id,
        sla_id,
        category_1_id,
        category_2_id,
        category_3_id,
        category_4_id,
        team_id,
        agent_id,
        add_tags,
        custom_fields,
        popup_html,
    } = outcomes;
    let mut entries = Entries::default();
    for (key, id) in [
        ("type", type_id),
        ("status", status_id),
        ("priority", priority_id),
        ("sla", sla_id),
        ("category_1", category_1_id),
        ("category_2", category_2_id),
        ("category_3", category_3_id),
        ("category_4", category_4_id),
        ("team", team_id),
        ("agent", agent_id),
    ] {
        if !id.is_empty() {
            entries.put(key, reference_value(id, handles));
        }
    }
    if !add_tags.is_empty() {
        entries.put("add_tags", list(add_tags.iter().map(|tag| text(tag))));
    }
    if !custom_fields.is_empty() {
        entries.put("custom_fields", list(custom_fields.iter().map(written)));
    }
    entries.put_text("popup_html", popup_html);
    entries.0
}

/// The entries of a map.
#[derive(Default)]
struct Entries(Vec<(String, Node)>);

impl Entries {
    fn put(&mut self, key: &str, value: Value) {
        self.0.push((key.to_owned(), Node::new(value)));
    }

    fn put_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, text(value));
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::List(values.map(Node::new).collect())
}
