//! A ticket as rules see it.

use std::sync::LazyLock;

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
    criteria::record(rule_schema(), &input)
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
    let mut changed: FieldSet = new.changed_since(&old).iter().filter(|field| ABOUT.ticket.contains(*field)).collect();
    let others = [
        (before.user_id != after.user_id, &ABOUT.user),
        (before.site_id != after.site_id, &ABOUT.site),
        (before.customer_id != after.customer_id, &ABOUT.customer),
    ];
    for (another, fields) in others {
        if another {
            changed.extend(fields.iter());
        }
    }
    changed
}

/// What the fields are about.
struct About {
    /// The ticket itself, or its action.
    ticket: FieldSet,
    user: FieldSet,
    site: FieldSet,
    customer: FieldSet,
}

static ABOUT: LazyLock<About> = LazyLock::new(|| {
    let schema: &Schema = rule_schema();
    let about = |prefixes: &[&str]| -> FieldSet {
        let of = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        schema.fields().iter().filter(|field| of(&field.name)).map(|field| field.id).collect::<FieldSet>()
    };
    About {
        ticket: about(&["ticket.", "action."]),
        user: about(&["user."]),
        site: about(&["site."]),
        customer: about(&["customer."]),
    }
});

/// The names of fields, in the order of the contract's table.
pub(super) fn names(fields: &FieldSet) -> Vec<String> {
    rule_schema().names(fields).map(str::to_owned).collect()
}

/// The fields of these names; a name that the contract has no more is left out.
pub(super) fn fields(names: &[String]) -> FieldSet {
    names.iter().filter_map(|name| rule_schema().field(name)).collect()
}

/// Empties a field.
pub(super) fn empty(record: &mut Record, name: &str) {
    if let Some(field) = rule_schema().field(name) {
        // Any field can be empty.
        let _ = record.set(field, Fact::Empty);
    }
}

/// The name of a field.
pub(super) fn name(field: FieldId) -> String {
    rule_schema().get(field).map(|field| field.name.to_string()).unwrap_or_default()
}
