//! The values of placeholders for one event and one reader.

use chrono_tz::Tz;
use concierge_proto::directory::RequesterFacts;
use concierge_proto::event::TicketEvent;
use concierge_proto::notification::EventType;
use concierge_proto::options::CallerKind;
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{RuleMatch, Ticket, TicketAction, TicketActionVisibility};
use prost_types::Timestamp;

use crate::template::Placeholder;

/// What values are taken from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) told: &'a TicketEvent,
    pub(super) ticket: &'a Ticket,
    pub(super) facts: &'a RequesterFacts,
    pub(super) event_type: EventType,
    /// Of the definition; empty unless it waits for a rule.
    pub(super) rule_id: &'a str,
    /// Whether an agent reads it.
    pub(super) for_agent: bool,
    /// Who reads it; empty where that is not known.
    pub(super) recipient: &'a str,
}

impl Words<'_> {
    /// The value of a placeholder: what the ticket does not have, or the reader may not see, is empty.
    pub(super) fn value(&self, placeholder: Placeholder) -> String {
        let ticket = self.ticket;
        let name = |name: fn(&concierge_proto::event::TicketNames) -> &String| {
            self.told.names.as_ref().map(|names| name(names).clone()).unwrap_or_default()
        };
        match placeholder {
            Placeholder::TicketNumber => ticket.number.to_string(),
            Placeholder::TicketSummary => ticket.summary.clone(),
            Placeholder::TicketDetails => ticket.details.clone(),
            Placeholder::TicketType => name(|n| &n.r#type),
            Placeholder::TicketStatus => name(|n| &n.status),
            Placeholder::TicketPriority => name(|n| &n.priority),
            Placeholder::TicketSla => name(|n| &n.sla),
            Placeholder::TicketTeam => name(|n| &n.team),
            Placeholder::TicketAgent => name(|n| &n.agent),
            Placeholder::TicketImpact => in_words(ticket.impact().as_str_name(), "TICKET_IMPACT_"),
            Placeholder::TicketUrgency => in_words(ticket.urgency().as_str_name(), "TICKET_URGENCY_"),
            Placeholder::TicketSource => in_words(ticket.source().as_str_name(), "TICKET_SOURCE_"),
            Placeholder::TicketTags => ticket.tags.join(", "),
            Placeholder::TicketLoggedTime => self.time(ticket.logged_time.as_ref()),
            Placeholder::TicketClosedTime => self.time(ticket.closed_time.as_ref()),
            Placeholder::TicketResponseDueTime => self.time(ticket.response_due_time.as_ref()),
            Placeholder::TicketResolutionDueTime => self.time(ticket.resolution_due_time.as_ref()),
            // Whom ticket-rule had not heard of we may know.
            Placeholder::UserName => or(name(|n| &n.user), || self.facts.user.as_ref().map(|user| user.name.clone())),
            Placeholder::UserEmail => self.facts.user.as_ref().map(|u| u.primary_email.clone()).unwrap_or_default(),
            Placeholder::SiteName => or(name(|n| &n.site), || self.facts.site.as_ref().map(|site| site.name.clone())),
            Placeholder::CustomerName => {
                or(name(|n| &n.customer), || self.facts.customer.as_ref().map(|customer| customer.name.clone()))
            }
            Placeholder::ActionText => self.action().map(|action| action.text.clone()).unwrap_or_default(),
            Placeholder::ActionAuthor => self.action().map(|action| action.author_name.clone()).unwrap_or_default(),
            Placeholder::RuleName => self.rules(|rule| rule.rule_id == self.rule_id),
            Placeholder::RulesNames => self.rules(|_| true),
            Placeholder::Changes => self.changes(),
            Placeholder::EventType => what(self.event_type).to_owned(),
            Placeholder::EventTime => self.time(self.told.happened_time.as_ref()),
            Placeholder::EventActor => self.actor(),
            Placeholder::RecipientName => self.recipient.to_owned(),
        }
    }

    /// The action that was added, if this reader may see it.
    fn action(&self) -> Option<&TicketAction> {
        let public = |action: &&TicketAction| action.visibility() == TicketActionVisibility::Public;
        self.told.ticket_action.as_ref().filter(|action| self.for_agent || public(action))
    }

    /// The names of rules that matched: for agents only.
    fn rules(&self, which: impl Fn(&RuleMatch) -> bool) -> String {
        let Some(evaluation) = self.told.evaluation.as_ref().filter(|_| self.for_agent) else { return String::new() };
        let names: Vec<&str> =
            evaluation.matches.iter().filter(|rule| which(rule)).map(|rule| rule.rule_name.as_str()).collect();
        names.join(", ")
    }

    fn changes(&self) -> String {
        let names: Vec<String> = self
            .told
            .changed_fields
            .iter()
            .map(|field| field.strip_prefix("ticket.").unwrap_or(field).replace('_', " "))
            .collect();
        names.join(", ")
    }

    fn actor(&self) -> String {
        if self.told.actor_name.is_empty() && self.told.actor_kind() == CallerKind::Service {
            return self.told.actor_id.clone();
        }
        self.told.actor_name.clone()
    }

    /// A time where the ticket's site is.
    fn time(&self, time: Option<&Timestamp>) -> String {
        let Some(time) = time.and_then(datetime) else { return String::new() };
        let zone: Tz = self.facts.time_zone.parse().unwrap_or(Tz::UTC);
        time.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
    }
}

fn or(text: String, other: impl FnOnce() -> Option<String>) -> String {
    if text.is_empty() { other().unwrap_or_default() } else { text }
}

/// `TICKET_SOURCE_IN_PERSON` is `In person`.
fn in_words(name: &str, prefix: &str) -> String {
    let name = name.strip_prefix(prefix).filter(|name| *name != "UNSPECIFIED").unwrap_or_default();
    let words = name.replace('_', " ").to_lowercase();
    match words.as_str() {
        "api" => "API".to_owned(),
        _ => words.get(..1).map(str::to_uppercase).unwrap_or_default() + words.get(1..).unwrap_or_default(),
    }
}

fn what(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Unspecified => "",
        EventType::TicketLogged => "Ticket logged",
        EventType::TicketUpdated => "Ticket updated",
        EventType::TicketActionAdded => "Action added",
        EventType::TicketClosed => "Ticket closed",
        EventType::RuleMatched => "Rule matched",
    }
}
