//! What the contract says of records: the values that absent fields get, and the fields that an update may not name.

use std::collections::BTreeSet;

use concierge_proto::directory::{
    Agent, AgentRole, CustomField, Customer, Department, Relationship, Site, SiteContactType, Team, User, UserRole,
};
use concierge_proto::notification::{EmailSender, NotificationDefinition, PopupNote, Preferences};
use concierge_proto::ticket_rule::{Calendar, Category, Priority, Rule, Sla, Status, TicketField, TicketType};
use concierge_proto::{Kind, Record, Value};
use prost_reflect::DescriptorPool;

use crate::options;

/// The fields of a record that have defaults, after checking that an empty record gets them and a set one keeps its own.
fn defaults<R: Record>() -> Vec<String> {
    let mut record = R::default();
    record.apply_defaults();
    let mut found = Vec::new();
    for (index, field) in R::FIELDS.iter().enumerate() {
        let name = format!("{}.{}", R::FULL_NAME, field.name);
        let Some(text) = field.default else {
            assert_eq!(record.value(index), R::default().value(index), "{name} has no default");
            continue;
        };
        let (expected, other) = match field.kind {
            Kind::Bool => (Value::Bool(text == "true"), Value::Bool(text != "true")),
            Kind::Int => (Value::Int(text.parse().unwrap()), Value::Int(text.parse::<i64>().unwrap() + 1)),
            Kind::Enum(values) => {
                let number = |(_, number): &(&str, i32)| i64::from(*number);
                let is_given = |value: &str| text == value || text.ends_with(&format!("_{value}"));
                let given = values.iter().find(|(value, _)| is_given(value)).map(number).unwrap();
                let other = values.iter().map(number).find(|n| *n != 0 && *n != given).unwrap();
                (Value::Int(given), Value::Int(other))
            }
            _ => panic!("{name}: this test knows no defaults of its kind"),
        };
        assert_eq!(record.value(index), expected, "{name} of a new record");
        let mut given = R::default();
        given.set_value(index, other.clone());
        given.apply_defaults();
        assert_eq!(given.value(index), other, "{name} is kept when it is given");
        found.push(name);
    }
    found
}

#[test]
fn absent_fields_get_the_values_that_the_contract_states() {
    let found: BTreeSet<String> = [
        defaults::<Agent>(),
        defaults::<AgentRole>(),
        defaults::<Calendar>(),
        defaults::<Category>(),
        defaults::<CustomField>(),
        defaults::<Customer>(),
        defaults::<Department>(),
        defaults::<EmailSender>(),
        defaults::<NotificationDefinition>(),
        defaults::<PopupNote>(),
        defaults::<Preferences>(),
        defaults::<Priority>(),
        defaults::<Relationship>(),
        defaults::<Rule>(),
        defaults::<Site>(),
        defaults::<SiteContactType>(),
        defaults::<Sla>(),
        defaults::<Status>(),
        defaults::<Team>(),
        defaults::<TicketField>(),
        defaults::<TicketType>(),
        defaults::<User>(),
        defaults::<UserRole>(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let pool = DescriptorPool::decode(concierge_proto::DESCRIPTOR_SET).unwrap();
    let stated: BTreeSet<String> = pool
        .all_messages()
        .flat_map(|m| m.fields().collect::<Vec<_>>())
        .filter(|f| !options::field(&pool, f).default_value.is_empty())
        .map(|f| f.full_name().to_owned())
        .collect();
    assert_eq!(found, stated);
}
