//! What of a ticket's life an event is, as preferences tell it apart.

use concierge_proto::event::{TicketEvent, TicketEventKind};
use concierge_proto::notification::{EventType, Preferences};

/// What users can want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A ticket is new.
    New,
    /// Something was done about it.
    Action,
    /// It was closed.
    Closed,
}

impl Occasion {
    /// What it is for a definition that waits for events of this type. A rule matched on the occasion of what happened.
    pub(super) fn of(event_type: EventType, told: &TicketEvent) -> Self {
        let has = |wanted: TicketEventKind| told.kinds().any(|kind| kind == wanted);
        match event_type {
            EventType::TicketLogged => Self::New,
            EventType::TicketClosed => Self::Closed,
            EventType::RuleMatched if has(TicketEventKind::Logged) => Self::New,
            EventType::RuleMatched if has(TicketEventKind::Closed) => Self::Closed,
            _ => Self::Action,
        }
    }

    /// Whether somebody wants to be told of it at their site or, if not, at their customer.
    pub(super) fn is_wanted(self, preferences: &Preferences, at_site: bool) -> bool {
        match (self, at_site) {
            (Self::New, true) => preferences.site_new,
            (Self::Action, true) => preferences.site_action,
            (Self::Closed, true) => preferences.site_closed,
            (Self::New, false) => preferences.customer_new,
            (Self::Action, false) => preferences.customer_action,
            (Self::Closed, false) => preferences.customer_closed,
        }
    }
}
