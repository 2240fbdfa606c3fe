//! Custom fields: which values a record may have, whichever record it is.

use std::collections::HashSet;

use concierge_criteria::{FieldType, TextSet, Value};
use concierge_proto::Violations;
use concierge_proto::common::custom_field_value::Kind;
use concierge_proto::common::{CustomFieldChoice, CustomFieldType, CustomFieldValue};
use concierge_proto::directory::{CustomField, CustomFieldEntity};
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::TicketField;

/// So many values a record has at most, those of deleted definitions included.
pub const MOST_VALUES: usize = 200;

/// The definition of a custom field, as far as its values depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// Its key.
    pub key: &'a str,
    /// What kind of values it has.
    pub kind: CustomFieldType,
    /// What a CHOICE and a CHOICE_SET choose from.
    pub choices: &'a [CustomFieldChoice],
    /// Whether a new record needs a value, and none may lose it.
    pub required: bool,
}

impl<'a> From<&'a TicketField> for Definition<'a> {
    fn from(field: &'a TicketField) -> Self {
        Self { key: &field.key, kind: field.r#type(), choices: &field.choices, required: field.required }
    }
}

impl<'a> From<&'a CustomField> for Definition<'a> {
    fn from(field: &'a CustomField) -> Self {
        Self { key: &field.key, kind: field.r#type(), choices: &field.choices, required: field.required }
    }
}

impl Definition<'_> {
    /// The name of the field in criteria; `of` is the record that has it, such as `ticket`.
    pub fn criterion(&self, of: &str) -> String {
        criterion(of, self.key)
    }

    /// What it is in criteria.
    pub fn field_type(&self) -> FieldType {
        match self.kind {
            CustomFieldType::Text | CustomFieldType::Unspecified => FieldType::Text,
            CustomFieldType::Number => FieldType::Number,
            CustomFieldType::Flag => FieldType::Flag,
            CustomFieldType::Time => FieldType::Time,
            CustomFieldType::Choice => FieldType::Choice,
            CustomFieldType::ChoiceSet => FieldType::TextSet,
        }
    }
}

/// The record that has a custom field of directory, as criteria call it; none for one that only a newer contract has.
pub fn owner(field: &CustomField) -> Option<&'static str> {
    match field.entity() {
        CustomFieldEntity::Unspecified => None,
        CustomFieldEntity::Customer => Some("customer"),
        CustomFieldEntity::Site => Some("site"),
        CustomFieldEntity::User => Some("user"),
    }
}

/// Whether a field of criteria is a custom one, by its name.
pub fn is_criterion(name: &str) -> bool {
    name.contains(".custom.")
}

/// The name that a custom field has in criteria, such as `ticket.custom.serial_number`.
pub fn criterion(of: &str, key: &str) -> String {
    format!("{of}.custom.{key}")
}

/// A value as criteria see it; `None` for no value.
pub fn criterion_value(value: &CustomFieldValue) -> Option<Value> {
    if is_empty(value) {
        return None;
    }
    Some(match value.kind.as_ref()? {
        Kind::Text(text) => Value::from(text.as_str()),
        Kind::Number(number) => Value::Number(*number),
        Kind::Flag(flag) => Value::Flag(*flag),
        Kind::Time(time) => Value::Time(datetime(time)?),
        Kind::Choice(name) => Value::choice(name),
        Kind::Choices(choices) => {
            Value::TextSet(choices.names.iter().map(|name| name.as_str().into()).collect::<TextSet>())
        }
    })
}

/// What is wrong with a definition itself; `path` is that of its choices, such as `ticket_field.choices`.
pub fn check_choices(path: &str, kind: CustomFieldType, choices: &[CustomFieldChoice], problems: &mut Violations) {
    let chooses = matches!(kind, CustomFieldType::Choice | CustomFieldType::ChoiceSet);
    if chooses && choices.is_empty() {
        problems.add(path, "must not be empty for a CHOICE or a CHOICE_SET");
    }
    if !chooses && !choices.is_empty() {
        problems.add(path, "must be empty, but for a CHOICE or a CHOICE_SET");
    }
    let mut seen = HashSet::new();
    for (index, choice) in choices.iter().enumerate() {
        if !seen.insert(&choice.name) {
            problems.add(format!("{path}[{index}].name"), "another choice has this name");
        }
    }
}

/// Makes the values that were sent the values of the record: those that were there before stay unless they are named, a
/// value without content empties its field, and the order is that of the keys. Doing so again changes nothing.
pub fn merge(before: &[CustomFieldValue], after: &mut Vec<CustomFieldValue>) {
    let named: HashSet<String> = after.iter().map(|value| value.key.clone()).collect();
    after.extend(before.iter().filter(|value| !named.contains(&value.key)).cloned());
    after.retain(|value| !is_empty(value));
    for value in after.iter_mut() {
        if let Some(Kind::Choices(choices)) = &mut value.kind {
            choices.names.sort_unstable();
        }
    }
    after.sort_by(|one, other| one.key.cmp(&other.key));
}

/// Every value that is not as its definition says, and every required one that is missing; `path` is that of the values,
/// such as `ticket.custom_fields`. To be asked of what was sent, before [`merge`], so that places are the caller's; what
/// stays as it was is not looked at. `before` is `None` for a new record.
pub fn check(
    definitions: &[Definition<'_>],
    before: Option<&[CustomFieldValue]>,
    sent: &[CustomFieldValue],
    path: &str,
    problems: &mut Violations,
) {
    let known = before.unwrap_or_default();
    let mut seen = HashSet::new();
    for (index, value) in sent.iter().enumerate() {
        if !seen.insert(value.key.as_str()) {
            problems.add(format!("{path}[{index}].key"), "another value is for this custom field");
            continue;
        }
        let definition = definitions.iter().find(|definition| definition.key == value.key);
        let was = known.iter().find(|was| was.key == value.key);
        if was == Some(value) {
            continue;
        }
        match definition {
            None if is_empty(value) && was.is_some() => {}
            None => problems.add(format!("{path}[{index}].key"), unknown(&value.key, definitions)),
            Some(definition) => {
                if let Some((place, why)) = objection(definition, value) {
                    problems.add(format!("{path}[{index}]{place}"), why);
                }
            }
        }
    }
    let has = |key: &str| match sent.iter().find(|value| value.key == key) {
        Some(value) => !is_empty(value),
        None => known.iter().any(|value| value.key == key),
    };
    for definition in definitions.iter().filter(|definition| definition.required) {
        let touched = before.is_none() || seen.contains(definition.key);
        if touched && !has(definition.key) {
            problems.add(path, format!("must have a value for {}", definition.key));
        }
    }
    let kept = known.iter().filter(|value| !seen.contains(value.key.as_str())).count();
    if kept + sent.iter().filter(|value| !is_empty(value)).count() > MOST_VALUES {
        problems.add(path, format!("must have at most {MOST_VALUES} values"));
    }
}

/// Whether it is no value.
pub fn is_empty(value: &CustomFieldValue) -> bool {
    match &value.kind {
        None => true,
        Some(Kind::Text(text) | Kind::Choice(text)) => text.is_empty(),
        Some(Kind::Choices(choices)) => choices.names.is_empty(),
        Some(Kind::Number(_) | Kind::Flag(_) | Kind::Time(_)) => false,
    }
}

/// What is wrong with a value, and in which part of it.
fn objection(definition: &Definition<'_>, value: &CustomFieldValue) -> Option<(String, String)> {
    let of_choice = |name: &String| {
        let known = definition.choices.iter().any(|choice| choice.name == *name);
        let names: Vec<&str> = definition.choices.iter().map(|choice| choice.name.as_str()).collect();
        (!known).then(|| format!("must be one of {}", names.join(", ")))
    };
    match (value.kind.as_ref()?, definition.kind) {
        (Kind::Text(_), CustomFieldType::Text)
        | (Kind::Number(_), CustomFieldType::Number)
        | (Kind::Flag(_), CustomFieldType::Flag)
        | (Kind::Time(_), CustomFieldType::Time) => None,
        (Kind::Choice(name), CustomFieldType::Choice) if name.is_empty() => None,
        (Kind::Choice(name), CustomFieldType::Choice) => of_choice(name).map(|why| (".choice".to_owned(), why)),
        (Kind::Choices(choices), CustomFieldType::ChoiceSet) => {
            let mut bad = choices.names.iter().enumerate().filter_map(|(index, name)| Some((index, of_choice(name)?)));
            bad.next().map(|(index, why)| (format!(".choices.names[{index}]"), why))
        }
        (_, kind) => {
            let field = match kind {
                CustomFieldType::Text => "text",
                CustomFieldType::Number => "number",
                CustomFieldType::Flag => "flag",
                CustomFieldType::Time => "time",
                CustomFieldType::Choice => "choice",
                CustomFieldType::ChoiceSet | CustomFieldType::Unspecified => "choices",
            };
            Some((String::new(), format!("must have its value in `{field}`, as the custom field's type says")))
        }
    }
}

fn unknown(key: &str, definitions: &[Definition<'_>]) -> String {
    if definitions.is_empty() {
        return format!("there is no live custom field {key:?}; there are none");
    }
    let keys: Vec<&str> = definitions.iter().map(|definition| definition.key).collect();
    format!("there is no live custom field {key:?}; the keys are {}", keys.join(", "))
}

#[cfg(test)]
mod tests {
    use concierge_proto::common::CustomFieldChoices;

    use super::*;

    fn value(key: &str, kind: impl Into<Option<Kind>>) -> CustomFieldValue {
        CustomFieldValue { key: key.to_owned(), kind: kind.into() }
    }

    fn text(text: &str) -> Kind {
        Kind::Text(text.to_owned())
    }

    fn choices(names: &[&str]) -> Kind {
        Kind::Choices(CustomFieldChoices { names: names.iter().map(|name| (*name).to_owned()).collect() })
    }

    fn choice(name: &str) -> CustomFieldChoice {
        CustomFieldChoice { name: name.to_owned(), label: name.to_owned() }
    }

    /// What is wrong, of a serial number that is required, a device, and the parts of it that are broken.
    fn wrong(before: Option<&[CustomFieldValue]>, sent: &[CustomFieldValue]) -> Vec<(String, String)> {
        let offered = [choice("LAPTOP"), choice("PHONE")];
        let definition = |key, kind, required| Definition { key, kind, choices: &offered, required };
        let definitions = [
            definition("serial", CustomFieldType::Text, true),
            definition("device", CustomFieldType::Choice, false),
            definition("parts", CustomFieldType::ChoiceSet, false),
        ];
        let mut problems = Violations::default();
        check(&definitions, before, sent, "ticket.custom_fields", &mut problems);
        problems.into_iter().map(|problem| (problem.field, problem.description)).collect()
    }

    fn places(problems: &[(String, String)]) -> Vec<&str> {
        problems.iter().map(|(field, _)| field.trim_start_matches("ticket.custom_fields")).collect()
    }

    #[test]
    fn tells_every_bad_value_at_its_place() {
        let sent = [
            value("colour", text("red")),
            value("device", text("LAPTOP")),
            value("parts", choices(&["PHONE", "FAX"])),
            value("parts", choices(&["PHONE"])),
        ];
        let problems = wrong(None, &sent);
        assert_eq!(places(&problems), ["[0].key", "[1]", "[2].choices.names[1]", "[3].key", ""]);
        assert_eq!(problems[0].1, "there is no live custom field \"colour\"; the keys are serial, device, parts");
        assert_eq!(problems[2].1, "must be one of LAPTOP, PHONE");
        assert_eq!(problems[4].1, "must have a value for serial");
        assert_eq!(wrong(None, &[value("serial", text("C02X")), value("device", Kind::Choice("PHONE".into()))]), []);
    }

    #[test]
    fn what_stays_as_it_was_is_not_looked_at() {
        let before = [value("colour", text("red")), value("device", Kind::Choice("FAX".into()))];
        // The serial number was not required when the record was made.
        assert_eq!(wrong(Some(&before), &before), []);
        assert_eq!(wrong(Some(&before), &[value("colour", None)]), []);
        assert_eq!(places(&wrong(Some(&before), &[value("colour", text("blue"))])), ["[0].key"]);
        let serial = [value("serial", text("C02X"))];
        assert_eq!(wrong(Some(&serial), &[]), []);
        assert_eq!(places(&wrong(Some(&serial), &[value("serial", text(""))])), [""]);
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = [value("colour", text("red")), value("serial", text("C02X"))];
        let mut after = vec![value("serial", None), value("parts", choices(&["PHONE", "LAPTOP"]))];
        merge(&before, &mut after);
        let expected = [value("colour", text("red")), value("parts", choices(&["LAPTOP", "PHONE"]))];
        assert_eq!(after, expected);
        let mut again = after.clone();
        merge(&after, &mut again);
        assert_eq!(again, expected);
    }

    #[test]
    fn a_definition_has_choices_exactly_when_it_chooses() {
        let places = |kind, choices: &[CustomFieldChoice]| {
            let mut problems = Violations::default();
            check_choices("ticket_field.choices", kind, choices, &mut problems);
            problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(places(CustomFieldType::Text, &[choice("A")]), ["ticket_field.choices"]);
        assert_eq!(places(CustomFieldType::ChoiceSet, &[]), ["ticket_field.choices"]);
        assert_eq!(places(CustomFieldType::Choice, &[choice("A"), choice("A")]), ["ticket_field.choices[1].name"]);
        assert_eq!(places(CustomFieldType::Choice, &[choice("A"), choice("B")]), Vec::<String>::new());
    }
}
