//! Ticket fields as a table.

use std::collections::HashSet;

use concierge_model::custom_field;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::TicketField;
use concierge_proto::{Record as _, Violations};
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured};
use crate::evaluation::{RuleSet, revise};
use crate::rule::references::names_custom_field;

/// So many custom fields tickets have at most, deleted ones not counted: each is a fact in every evaluation.
const MOST_FIELDS: usize = 200;

/// The table of ticket fields.
#[derive(Clone, Copy, Debug)]
pub struct TicketFields;

impl Resource for TicketFields {
    type Record = TicketField;

    const TABLE: &'static str = "ticket_fields";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "ticket_fields_key", field: "key", reason: Reason::KeyTaken }];

    async fn check(_tx: &mut Tx, _before: Option<&TicketField>, after: &mut TicketField) -> Result<(), Error> {
        let mut problems = Violations::default();
        custom_field::check_choices("ticket_field.choices", after.r#type(), &after.choices, &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    async fn stored(tx: &mut Tx, _before: Option<&TicketField>, after: &TicketField) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for TicketFields {
    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a TicketField> {
        set.configuration().ticket_field(id)
    }

    fn admit(change: &Change<'_>, before: Option<&TicketField>, after: &TicketField) -> Result<(), Error> {
        let others = change.set.configuration().ticket_fields.live().filter(|field| field.id != after.id).count();
        if before.is_none() && others >= MOST_FIELDS {
            let why = format!("there are {MOST_FIELDS} ticket fields, and there can be no more: delete one first");
            return Err(Error::Invalid(Violations::one("ticket_field.key", why)));
        }
        let offered: HashSet<&str> = after.choices.iter().map(|choice| choice.name.as_str()).collect();
        let was = before.map(|before| before.choices.as_slice()).unwrap_or_default();
        let gone: Vec<&str> = was.iter().map(|c| c.name.as_str()).filter(|name| !offered.contains(name)).collect();
        let names = |rule: &&concierge_proto::ticket_rule::Rule| names_custom_field(rule, &after.key, Some(&gone));
        match change.set.rules().filter(names).count() {
            0 => Ok(()),
            count => Err(Error::InUse {
                record_type: TicketField::TYPE,
                id: after.id.clone(),
                by: "rule",
                count: i64::try_from(count).unwrap_or(i64::MAX),
            }),
        }
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let key = set.configuration().ticket_field(id).map(|field| field.key.as_str()).unwrap_or_default();
        let rules = set.rules().filter(|rule| names_custom_field(rule, key, None)).count();
        vec![("rule", i64::try_from(rules).unwrap_or(i64::MAX))]
    }
}
