//! What definitions can wait for.

use concierge_proto::common::CriterionField;
use concierge_proto::notification::{EventType, EventTypeDescription};

use crate::template::Placeholder;

const ALL: [(EventType, &str); 5] = [
    (EventType::TicketLogged, "A ticket was logged."),
    (EventType::TicketUpdated, "A field of a ticket was changed."),
    (EventType::TicketActionAdded, "An action was added to a ticket."),
    (EventType::TicketClosed, "A ticket was closed."),
    (EventType::RuleMatched, "A rule matched a ticket, whatever it did to it."),
];

/// All event types, in the order of their numbers, with the fields that criteria can name.
pub(super) fn all(fields: &[CriterionField]) -> Vec<EventTypeDescription> {
    ALL.into_iter()
        .map(|(event_type, description)| EventTypeDescription {
            event_type: event_type.into(),
            description: description.to_owned(),
            criterion_fields: fields.to_vec(),
            placeholders: Placeholder::ALL
                .into_iter()
                .filter(|placeholder| placeholder.is_for(event_type))
                .map(|placeholder| placeholder.name().to_owned())
                .collect(),
        })
        .collect()
}
