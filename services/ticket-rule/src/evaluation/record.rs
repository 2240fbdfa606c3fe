//! A ticket as rules see it.

use chrono::{DateTime, Utc};
use concierge_criteria::{Fact, FieldId, FieldSet, Record, Schema};
use concierge_model::criteria::{self, rule_schema};
use concierge_proto::directory::RequesterFacts;
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketAction};

use super::configuration::Configuration;

/// What rules see at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) ticket: &'a Ticket,
    pub(super) action: Option<&'a TicketAction>,
    pub(super) facts: Option<&'a RequesterFacts>,
    pub(super) now: DateTime<Utc>,
}

/// Every field that rules can name. The ticket must be [`settled`].
pub(super) fn record(configuration: &Configuration, seen: &Seen<'_>) -> Record {
    let rank = configuration.priority(&seen.ticket.priority_id).map(|priority| priority.rank());
    let input = criteria::Input {
        ticket: seen.ticket,
        priority_rank: rank,
        action: seen.action,
        facts: seen.facts,
        now: seen.now,
        event: None,
    };
    let mut record = criteria::record(configuration.fields().schema(), &input);
    record.set_hours(configuration.hours());
    record
}

/// What was known before an update, of which `after` is the end. Where the ticket before it was not kept, nobody knows
/// what the fields were that changed; the others were as they are.
pub(super) fn before(
    configuration: &Configuration,
    seen: &Seen<'_>,
    ticket: Option<&Ticket>,
    after: &Record,
    changed: &FieldSet,
) -> Record {
    match ticket {
        Some(ticket) => record(configuration, &Seen { ticket: &settled(configuration, ticket), action: None, ..*seen }),
        None => {
            let mut before = after.clone();
            for field in changed.iter() {
                let unknown = before.set(field, Fact::Unknown);
                debug_assert!(unknown.is_ok(), "{unknown:?}");
            }
            before
        }
    }
}

/// The ticket with what follows from its type and status.
pub(super) fn settled(configuration: &Configuration, ticket: &Ticket) -> Ticket {
    let mut ticket = ticket.clone();
    ticket.set_use(configuration.ticket_use(&ticket.type_id));
    let category = configuration.category(&ticket.status_id);
    if category != StatusCategory::Unspecified {
        ticket.set_status_category(category);
    }
    ticket
}

/// See [`super::changed`].
pub(super) fn changed(
    configuration: &Configuration,
    before: &Ticket,
    after: &Ticket,
    action: Option<&TicketAction>,
    now: DateTime<Utc>,
) -> FieldSet {
    let (old, new) = (settled(configuration, before), settled(configuration, after));
    let old = record(configuration, &Seen { ticket: &old, action: None, facts: None, now });
    let new = record(configuration, &Seen { ticket: &new, action, facts: None, now });
    // Without facts, what is about the requester says nothing: it is told from the ids.
    let about = configuration.fields();
    let mut changed: FieldSet = new.changed_since(&old).iter().filter(|field| about.ticket.contains(*field)).collect();
    let others = [
        (before.user_id != after.user_id, &about.user),
        (before.site_id != after.site_id, &about.site),
        (before.customer_id != after.customer_id, &about.customer),
    ];
    for (another, fields) in others {
        if another {
            changed.extend(fields.iter());
        }
    }
    changed
}

/// The fields that rules can name at one revision, and what they are about.
#[derive(Debug)]
pub(crate) struct RuleFields {
    schema: Schema,
    /// The ticket itself, or its action.
    ticket: FieldSet,
    user: FieldSet,
    site: FieldSet,
    customer: FieldSet,
}

/// Those of the contract alone.
impl Default for RuleFields {
    fn default() -> Self {
        Self::of(rule_schema().clone())
    }
}

impl RuleFields {
    pub(super) fn of(schema: Schema) -> Self {
        let about = |prefixes: &[&str]| -> FieldSet {
            let of = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            schema.fields().iter().filter(|field| of(&field.name)).map(|field| field.id).collect::<FieldSet>()
        };
        let (ticket, user) = (about(&["ticket.", "action."]), about(&["user."]));
        let (site, customer) = (about(&["site."]), about(&["customer."]));
        Self { ticket, user, site, customer, schema }
    }

    /// The fields, in the order of the contract's table, custom ones after them.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The fields of these names; a name that there is no more is left out.
    pub(super) fn named(&self, names: &[String]) -> FieldSet {
        names.iter().filter_map(|name| self.schema.field(name)).collect()
    }
}

/// The names of fields, in the order of their schema.
pub(super) fn names(schema: &Schema, fields: &FieldSet) -> Vec<String> {
    schema.names(fields).map(str::to_owned).collect()
}

/// Empties a field.
pub(super) fn empty(record: &mut Record, name: &str) {
    if let Some(field) = record.schema().field(name) {
        // Any field can be empty.
        let _ = record.set(field, Fact::Empty);
    }
}

/// The name of a field.
pub(super) fn name(schema: &Schema, field: FieldId) -> String {
    schema.get(field).map(|field| field.name.to_string()).unwrap_or_default()
}
