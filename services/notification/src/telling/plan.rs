//! Who is told what on which channel, and who is not, and why. Pure: what is written is decided here.

use std::collections::HashMap;

use concierge_proto::directory::AccessLevel;
use concierge_proto::notification::{Channel, DeliveryReason, EventType, RecipientKind, RecipientRole};
use uuid::Uuid;

use super::definitions::Ready;
use super::people::Person;

/// What becomes of the default notification.
#[derive(Debug)]
pub(super) enum Default {
    /// The ticket is not new.
    NotNow,
    /// It tells the site's assigned contacts.
    Tells { contacts: Vec<Person> },
    /// A definition silences it.
    Silenced { by: Uuid, contacts: Vec<Person> },
}

/// A definition that was met, and whom it names.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) definition: &'a Ready,
    pub(super) recipients: Vec<(RecipientRole, Person)>,
}

/// One delivery to be written.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    /// `None` for the default notification.
    pub(super) definition: Option<&'a Ready>,
    pub(super) event_type: EventType,
    pub(super) role: RecipientRole,
    pub(super) person: Person,
    pub(super) channel: Channel,
    /// True when it is not to be sent.
    pub(super) suppressed: bool,
    pub(super) reason: DeliveryReason,
    pub(super) other_definition: Option<Uuid>,
}

impl Planned<'_> {
    /// Who it is on this channel: by e-mail whoever has the same address is the same person.
    pub(super) fn person_key(&self) -> String {
        person_key(&self.person, self.channel)
    }
}

fn person_key(person: &Person, channel: Channel) -> String {
    match (channel, person.id) {
        (Channel::Email, _) if !person.address.is_empty() => person.address.to_lowercase(),
        (_, Some(id)) => format!("{}:{id}", person.kind.as_str_name()),
        _ => person.address.to_lowercase(),
    }
}

/// The channels of the default notification.
const BOTH: [Channel; 2] = [Channel::Email, Channel::Inbox];

/// Decides about everybody: the default notification first, then the definitions in the order of their creation.
/// `internal`: the event has an action that is for agents only.
pub(super) fn plan<'a>(default: &Default, matched: &[Matched<'a>], internal: bool) -> Vec<Planned<'a>> {
    let mut plan = Plan { planned: Vec::new(), told: HashMap::new() };
    match default {
        Default::NotNow => {}
        Default::Tells { contacts } => {
            for (person, channel) in contacts.iter().flat_map(|p| BOTH.map(|channel| (p, channel))) {
                plan.add(None, RecipientRole::SiteContact, person, channel, false);
            }
        }
        Default::Silenced { by, contacts } => {
            for (person, channel) in contacts.iter().flat_map(|p| BOTH.map(|channel| (p, channel))) {
                plan.planned.push(Planned {
                    definition: None,
                    event_type: EventType::TicketLogged,
                    role: RecipientRole::SiteContact,
                    person: person.clone(),
                    channel,
                    suppressed: true,
                    reason: DeliveryReason::SuppressedByDefinition,
                    other_definition: Some(*by),
                });
            }
        }
    }
    for Matched { definition, recipients } in matched {
        let internal = internal && definition.event_type == EventType::TicketActionAdded;
        for (role, person) in recipients {
            for channel in &definition.channels {
                plan.add(Some(definition), *role, person, *channel, internal);
            }
        }
    }
    plan.planned
}

struct Plan<'a> {
    planned: Vec<Planned<'a>>,
    /// Who is told on which channel, and by which definition; by none: by the default.
    told: HashMap<(Channel, String), Option<Uuid>>,
}

impl<'a> Plan<'a> {
    fn add(
        &mut self,
        definition: Option<&'a Ready>,
        role: RecipientRole,
        person: &Person,
        channel: Channel,
        internal: bool,
    ) {
        if channel == Channel::Inbox && person.kind == RecipientKind::Address {
            // An address has no inbox: the definition's other channel reaches it.
            return;
        }
        let key = (channel, person_key(person, channel));
        let against = against(person, role, channel, internal).map(|reason| (reason, None));
        let against = against.or_else(|| self.told.get(&key).map(|by| (DeliveryReason::Duplicate, *by)));
        if against.is_none() {
            self.told.insert(key, definition.map(|d| d.id));
        }
        let reason =
            if definition.is_some() { DeliveryReason::DefinitionMatched } else { DeliveryReason::DefaultNotification };
        self.planned.push(Planned {
            definition,
            event_type: definition.map_or(EventType::TicketLogged, |d| d.event_type),
            role,
            person: person.clone(),
            channel,
            suppressed: against.is_some(),
            reason: against.map_or(reason, |(reason, _)| reason),
            other_definition: against.and_then(|(_, by)| by),
        });
    }
}

/// Why a person is not to be told, whoever wants to.
fn against(person: &Person, role: RecipientRole, channel: Channel, internal: bool) -> Option<DeliveryReason> {
    if !person.active {
        return Some(DeliveryReason::RecipientInactive);
    }
    if person.web_access < needed(role) {
        return Some(DeliveryReason::NoAccess);
    }
    if internal && person.kind != RecipientKind::Agent {
        return Some(DeliveryReason::InternalAction);
    }
    if channel == Channel::Email && person.never_send_emails {
        return Some(DeliveryReason::NeverSendEmails);
    }
    if channel == Channel::Email && person.address.is_empty() {
        return Some(DeliveryReason::NoAddress);
    }
    None
}

/// Whose tickets somebody must see to be told of them by a preference, which users set themselves.
fn needed(role: RecipientRole) -> AccessLevel {
    match role {
        RecipientRole::SitePreference => AccessLevel::Site,
        RecipientRole::CustomerPreference => AccessLevel::Customer,
        _ => AccessLevel::Unspecified,
    }
}
