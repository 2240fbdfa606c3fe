//! The event that tells of a change of a ticket.

use chrono::{DateTime, Utc};
use concierge_proto::event::{TicketCounting, TicketEvent, TicketEventKind, TicketNames};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{EvaluationSummary, StatusCategory, Ticket, TicketAction, TicketTypeUse};
use concierge_proto::{CallerKind, Fields as _, Record as _};
use concierge_runtime::tx::Actor;

use crate::category::path;
use crate::evaluation::{self, Configuration, RuleSet};
use crate::facts::references::{Kind, Known};

/// What happened to a ticket, and what is known around it.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    pub(crate) set: &'a RuleSet,
    /// The ticket before it; `None` when it was logged.
    pub(crate) before: Option<&'a Ticket>,
    pub(crate) action: Option<&'a TicketAction>,
    /// What the rules did, if any ran.
    pub(crate) evaluation: Option<&'a EvaluationSummary>,
    /// True for a second evaluation.
    pub(crate) again: bool,
    pub(crate) known: &'a Known,
    pub(crate) actor: &'a Actor,
    /// When it happened.
    pub(crate) at: DateTime<Utc>,
    /// True when the caller said when.
    pub(crate) imported: bool,
    /// True when others are merged into it.
    pub(crate) absorbs: bool,
}

impl Telling<'_> {
    /// The event and its type, for the ticket as it is stored.
    pub(crate) fn event(&self, after: &Ticket) -> (String, TicketEvent) {
        let kinds = self.kinds(after);
        let first = kinds.first().copied().unwrap_or(TicketEventKind::RulesMatched);
        let name = first.as_str_name().trim_start_matches("TICKET_EVENT_KIND_").to_lowercase();
        let changed = self.before.map(|before| evaluation::changed(self.set, before, after, None, self.at));
        let mut changed_fields = changed.map(|changed| evaluation::names(self.set, &changed)).unwrap_or_default();
        changed_fields.retain(|name| name.starts_with("ticket."));
        let event = TicketEvent {
            kinds: kinds.into_iter().map(i32::from).collect(),
            version: after.version(),
            names: Some(self.names(after)),
            ticket: Some(after.clone()),
            ticket_action: self.action.cloned(),
            changed_fields,
            evaluation: self.evaluation.cloned(),
            counted_before: self.before.map(counting),
            counted_after: Some(counting(after)),
            happened_time: Some(timestamp(self.at)),
            imported: self.imported,
            actor_kind: self.actor.kind.into(),
            actor_id: self.actor.subject.clone(),
            actor_name: actor_name(self.actor, self.known),
        };
        (format!("ticket.{name}"), event)
    }

    fn kinds(&self, after: &Ticket) -> Vec<TicketEventKind> {
        let closed = |ticket: &Ticket| ticket.status_category() == StatusCategory::Closed;
        let was_closed = self.before.is_some_and(closed);
        let closes = closed(after) && !was_closed;
        let merged = self.before.is_some_and(|before| before.merged_into_id != after.merged_into_id);
        let happened = [
            (TicketEventKind::Logged, self.before.is_none()),
            (TicketEventKind::Closed, closes),
            (TicketEventKind::Reopened, was_closed && !closed(after)),
            (TicketEventKind::ActionAdded, self.action.is_some()),
            (TicketEventKind::Updated, self.before.is_some_and(|before| is_updated(before, after, closes))),
            (TicketEventKind::Reevaluated, self.again),
            (TicketEventKind::Merged, self.absorbs || merged),
        ];
        let mut kinds: Vec<TicketEventKind> =
            happened.into_iter().filter_map(|(kind, so)| so.then_some(kind)).collect();
        if kinds.is_empty() {
            kinds.push(TicketEventKind::RulesMatched);
        }
        kinds
    }

    fn names(&self, ticket: &Ticket) -> TicketNames {
        let configuration = self.set.configuration();
        let name = |kind, id: &str| self.known.name(kind, id);
        TicketNames {
            r#type: configuration.ticket_type(&ticket.type_id).map(|t| t.name.clone()).unwrap_or_default(),
            status: configuration.status(&ticket.status_id).map(|s| s.name.clone()).unwrap_or_default(),
            priority: configuration.priority(&ticket.priority_id).map(|p| p.name.clone()).unwrap_or_default(),
            sla: configuration.sla(&ticket.sla_id).map(|s| s.name.clone()).unwrap_or_default(),
            team: name(Kind::Team, &ticket.team_id),
            agent: name(Kind::Agent, &ticket.agent_id),
            user: name(Kind::User, &ticket.user_id),
            site: name(Kind::Site, &ticket.site_id),
            customer: name(Kind::Customer, &ticket.customer_id),
            categories: categories(configuration, ticket),
        }
    }
}

/// The names of the categories, up to the last one there is.
fn categories(configuration: &Configuration, ticket: &Ticket) -> Vec<String> {
    let path = path::of(ticket);
    let count = path.iter().rposition(|id| !id.is_empty()).map_or(0, |last| last + 1);
    let name = |id: &&str| configuration.ticket_category(id).map(|category| category.name.clone()).unwrap_or_default();
    path[..count].iter().map(name).collect()
}

/// True when a caller or a rule changed a field; what follows from other things by itself does not count, nor does the
/// status with which the ticket is closed.
fn is_updated(before: &Ticket, after: &Ticket, closes: bool) -> bool {
    let changed = |index: usize| before.value(index) != after.value(index);
    let fields = Ticket::FIELDS.iter().enumerate().filter(|(_, field)| !field.output_only);
    fields.filter(|(_, field)| !(closes && field.name == "status_id")).any(|(index, _)| changed(index))
}

/// The name of who caused a change; empty when unknown, and for a service.
pub(crate) fn actor_name(actor: &Actor, known: &Known) -> String {
    match actor.kind {
        CallerKind::Agent => known.name(Kind::Agent, &actor.subject),
        CallerKind::User => known.name(Kind::User, &actor.subject),
        _ => String::new(),
    }
}

/// What an event needs to know the names of.
pub(crate) fn named<'a>(ticket: &'a Ticket, actor: &'a Actor) -> Vec<(Kind, &'a str)> {
    let actor_kind = if actor.kind == CallerKind::User { Kind::User } else { Kind::Agent };
    let all = [
        (Kind::Team, ticket.team_id.as_str()),
        (Kind::Agent, ticket.agent_id.as_str()),
        (Kind::User, ticket.user_id.as_str()),
        (Kind::Site, ticket.site_id.as_str()),
        (Kind::Customer, ticket.customer_id.as_str()),
        (actor_kind, actor.subject.as_str()),
    ];
    all.into_iter().filter(|(_, id)| !id.is_empty()).collect()
}

fn counting(ticket: &Ticket) -> TicketCounting {
    let open = [StatusCategory::New, StatusCategory::Open, StatusCategory::OnHold].contains(&ticket.status_category());
    TicketCounting {
        open,
        sales: ticket.r#use() == TicketTypeUse::Sales,
        user_id: ticket.user_id.clone(),
        site_id: ticket.site_id.clone(),
        customer_id: ticket.customer_id.clone(),
    }
}
