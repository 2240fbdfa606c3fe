//! The fields that criteria can name, in the order of the table in `concierge/common/v1/criteria.proto`.

use std::sync::{Arc, LazyLock};

use crate::custom_field::{self, Definition};
use concierge_criteria::{FieldType, Schema};
use concierge_proto::common::{CriterionField, FieldType as ProtoFieldType};

/// A line of the table.
struct Line {
    name: &'static str,
    kind: FieldType,
    description: &'static str,
    choices: &'static [&'static str],
}

const fn line(name: &'static str, kind: FieldType, description: &'static str) -> Line {
    Line { name, kind, description, choices: &[] }
}

const fn choice(name: &'static str, description: &'static str, choices: &'static [&'static str]) -> Line {
    Line { name, kind: FieldType::Choice, description, choices }
}

use FieldType::{Flag, Id, IdSet, Number, Text, TextSet, Time};

const LEVELS: &[&str] = &["LOW", "MEDIUM", "HIGH"];
const KINDS: &[&str] = &["AGENT", "USER", "SERVICE"];
const SOURCES: &[&str] = &["PORTAL", "EMAIL", "PHONE", "CHAT", "API", "MONITORING", "AGENT", "IN_PERSON", "OTHER"];
const CATEGORIES: &[&str] = &["NEW", "OPEN", "ON_HOLD", "RESOLVED", "CLOSED"];

const TABLE: &[Line] = &[
    line("ticket.number", Number, "The ticket's number; empty for a draft."),
    line("ticket.summary", Text, "Its summary."),
    line("ticket.details", Text, "Its details."),
    line("ticket.user", Id, "Its user."),
    line("ticket.site", Id, "Its site."),
    line("ticket.customer", Id, "Its customer."),
    line("ticket.type", Id, "Its ticket type."),
    choice("ticket.use", "What it is used for, by its type.", &["SUPPORT", "SALES"]),
    line("ticket.status", Id, "Its status."),
    choice("ticket.status_category", "The category of its status.", CATEGORIES),
    line("ticket.team", Id, "The team it is assigned to."),
    line("ticket.agent", Id, "The agent it is assigned to."),
    line("ticket.category_1", Id, "Its category of level 1."),
    line("ticket.category_2", Id, "Its category of level 2."),
    line("ticket.category_3", Id, "Its category of level 3."),
    line("ticket.category_4", Id, "Its category of level 4."),
    line("ticket.priority", Id, "Its priority."),
    line("ticket.priority_rank", Number, "The rank of its priority, 1 the most urgent."),
    choice("ticket.impact", "How much is affected.", LEVELS),
    choice("ticket.urgency", "How soon it matters.", LEVELS),
    line("ticket.sla", Id, "Its service level agreement."),
    choice("ticket.source", "How it came in.", SOURCES),
    line("ticket.tags", TextSet, "Its tags."),
    line("ticket.followers", IdSet, "The users who follow it."),
    line("ticket.external_source", Text, "The system it was imported from."),
    line("ticket.external_id", Text, "Its id in that system."),
    line("ticket.logged_time", Time, "When it was logged."),
    line("ticket.response_due_time", Time, "When the first response is due, as before the rules ran."),
    line("ticket.resolution_due_time", Time, "When the resolution is due, as before the rules ran."),
    line("ticket.responded_time", Time, "When it was first responded to."),
    line("ticket.resolved_time", Time, "When it was resolved."),
    line("ticket.age_minutes", Number, "Whole minutes from its logging to the evaluation."),
    line("action.text", Text, "The text of the action this is about; empty when it is about none."),
    choice("action.visibility", "Who can see that action.", &["PUBLIC", "INTERNAL"]),
    choice("action.author_kind", "Who added that action.", KINDS),
    line("user.name", Text, "The name of the ticket's user."),
    line("user.important", Flag, "Important by its own flag or by a role."),
    line("user.active", Flag, "Counts as active: it, its site and its customer are."),
    line("user.roles", IdSet, "Its user roles."),
    line("user.relationships", IdSet, "Its relationships."),
    line("user.department", Id, "The department it belongs to."),
    line("site.name", Text, "The name of the ticket's site."),
    line("site.active", Flag, "Counts as active: it and its customer are."),
    line("site.time_zone", Text, "Its time zone, such as `Europe/Berlin`."),
    line("site.email_domain", Text, "The e-mail domain of its users."),
    line("customer.name", Text, "The name of the ticket's customer."),
    line("customer.important", Flag, "It is marked important."),
    line("customer.active", Flag, "It is active."),
    choice("customer.stage", "Whether it is a customer yet.", &["PROSPECT", "CUSTOMER"]),
    line("customer.relationships", IdSet, "Its relationships."),
    line("customer.domains", TextSet, "Its domains."),
    line("customer.time_zone", Text, "Its time zone."),
    line("customer.account_manager", Id, "The agent who manages the account."),
    line("customer.ai_excluded", Flag, "Its data must reach no AI model."),
];

/// What is read in a field only with a permission: what the same records of directory ask for.
const READ_PERMISSIONS: &[(&str, &str)] =
    &[("user.important", "importance.read"), ("customer.important", "importance.read")];

/// The permission that reading the value of a field needs, beside what reading criteria needs.
pub fn read_permission(name: &str) -> Option<&'static str> {
    if custom_field::is_criterion(name) && !name.starts_with("ticket.") {
        return Some("custom_fields.read");
    }
    READ_PERMISSIONS.iter().find(|(field, _)| *field == name).map(|(_, permission)| *permission)
}

/// What only notification definitions can name.
const EVENT: &[Line] = &[
    line("event.changed_fields", TextSet, "The `ticket.…` fields that the event changed."),
    line("event.matched_rules", IdSet, "The rules that matched in the event."),
    choice("event.actor_kind", "Who caused it.", KINDS),
    line("event.imported", Flag, "It was imported: its time was given by the caller, not taken from the clock."),
];

fn schema<'a>(lines: impl Iterator<Item = &'a Line> + Clone) -> Schema {
    // The table is a constant that a test makes a schema of.
    #[allow(clippy::expect_used)]
    let schema = Schema::new(lines.clone().map(|l| (l.name, l.kind))).expect("a table without repetition");
    #[allow(clippy::expect_used)]
    lines.filter(|l| l.kind == FieldType::Choice).fold(schema, |schema, line| {
        schema.with_choices(line.name, line.choices.iter().copied()).expect("a field of type CHOICE")
    })
}

/// The fields that rules can name.
pub fn rule_schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema(TABLE.iter()));
    &SCHEMA
}

/// The fields that rules can name where there are custom fields, each with the record that has it, such as `ticket`:
/// those of [`rule_schema`] first, at the same places, then these, in the order given.
pub fn rule_schema_with<'a>(custom: impl IntoIterator<Item = (&'static str, Definition<'a>)>) -> Schema {
    with_custom(rule_schema(), custom)
}

/// As [`rule_schema_with`], for notification definitions.
pub fn notification_schema_with<'a>(custom: impl IntoIterator<Item = (&'static str, Definition<'a>)>) -> Schema {
    with_custom(notification_schema(), custom)
}

fn with_custom<'a>(own: &Schema, custom: impl IntoIterator<Item = (&'static str, Definition<'a>)>) -> Schema {
    let custom: Vec<(Arc<str>, Definition<'a>)> =
        custom.into_iter().map(|(of, definition)| (definition.criterion(of).into(), definition)).collect();
    let fields = own.fields().iter().map(|field| (Arc::clone(&field.name), field.kind));
    let fields = fields.chain(custom.iter().map(|(name, definition)| (Arc::clone(name), definition.field_type())));
    let chosen = own.fields().iter().filter(|field| !field.choices.is_empty());
    let chosen = chosen.map(|field| (&*field.name, field.choices.iter().map(|name| &**name).collect::<Vec<&str>>()));
    let offered = custom.iter().filter(|(_, definition)| !definition.choices.is_empty()).map(|(name, definition)| {
        (&**name, definition.choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<&str>>())
    });
    let made = Schema::new(fields).and_then(|schema| {
        chosen.chain(offered).try_fold(schema, |schema, (name, choices)| schema.with_choices(name, choices))
    });
    // Keys are unique; a definition that is broken all the same must not stop every rule.
    made.unwrap_or_else(|_| own.clone())
}

/// The fields that notification definitions can name: those of rules first, at the same places.
pub fn notification_schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema(TABLE.iter().chain(EVENT)));
    &SCHEMA
}

/// The fields of a schema made here, as the contract describes them.
pub fn describe(schema: &Schema) -> Vec<CriterionField> {
    TABLE
        .iter()
        .chain(EVENT)
        .take(schema.fields().len())
        .map(|line| CriterionField {
            name: line.name.to_owned(),
            r#type: field_type(line.kind).into(),
            description: line.description.to_owned(),
            choices: line.choices.iter().map(|name| (*name).to_owned()).collect(),
        })
        .collect()
}

/// A custom field of these records as the contract describes fields; `label` is what people call it.
pub fn describe_custom(of: &str, label: &str, definition: &Definition<'_>) -> CriterionField {
    CriterionField {
        name: definition.criterion(of),
        r#type: field_type(definition.field_type()).into(),
        description: format!("The custom field \"{label}\"."),
        choices: definition.choices.iter().map(|choice| choice.name.clone()).collect(),
    }
}

fn field_type(kind: FieldType) -> ProtoFieldType {
    match kind {
        FieldType::Flag => ProtoFieldType::Flag,
        FieldType::Id => ProtoFieldType::Id,
        FieldType::IdSet => ProtoFieldType::IdSet,
        FieldType::Choice => ProtoFieldType::Choice,
        FieldType::Text => ProtoFieldType::Text,
        FieldType::TextSet => ProtoFieldType::TextSet,
        FieldType::Number => ProtoFieldType::Number,
        FieldType::Time => ProtoFieldType::Time,
    }
}
