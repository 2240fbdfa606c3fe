//! Made-up tickets: from what rules shall see to the messages that they are made of.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_criteria::lint::When;
use concierge_criteria::{Fact, Record, Value};
use concierge_proto::CallerKind;
use concierge_proto::directory::{
    CustomerFacts, CustomerStage, EffectiveActivity, EffectiveFlag, RequesterFacts, SiteFacts, UserFacts,
};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{
    Ticket, TicketAction, TicketActionVisibility, TicketImpact, TicketSource, TicketUrgency,
};
use prost_types::Timestamp;

/// A ticket with everything that rules look at.
#[derive(Clone, Debug, Default)]
pub(super) struct MadeUp {
    pub(super) ticket: Ticket,
    pub(super) action: Option<TicketAction>,
    pub(super) facts: RequesterFacts,
}

/// What a record says, field by field.
struct Said<'a>(&'a Record);

impl Said<'_> {
    fn fact(&self, name: &str) -> &Fact {
        self.0.schema().field(name).map_or(&Fact::Unknown, |field| self.0.get(field))
    }

    fn is_known(&self, name: &str) -> bool {
        *self.fact(name) != Fact::Unknown
    }

    fn value(&self, name: &str) -> Option<&Value> {
        if let Fact::Known(value) = self.fact(name) { Some(value) } else { None }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Some(Value::Text(text) | Value::Choice(text)) => text.to_string(),
            Some(Value::Id(id)) => id.to_string(),
            _ => String::new(),
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::TextSet(texts)) => texts.iter().map(|text| text.to_string()).collect(),
            Some(Value::IdSet(ids)) => ids.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        if let Some(Value::Flag(flag)) = self.value(name) { Some(*flag) } else { None }
    }

    fn number(&self, name: &str) -> Option<i64> {
        if let Some(Value::Number(number)) = self.value(name) { Some(*number) } else { None }
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        if let Some(Value::Time(time)) = self.value(name) { Some(timestamp(*time)) } else { None }
    }

    /// The value of an enum, by its name without prefix.
    fn choice<E>(&self, name: &str, prefix: &str, read: impl Fn(&str) -> Option<E>) -> Option<E> {
        read(&format!("{prefix}{}", self.text(name)))
    }
}

/// The ticket that a record tells of, as far as there can be one.
pub(super) fn made_up(record: &Record, when: When, now: DateTime<Utc>) -> MadeUp {
    let said = Said(record);
    MadeUp { ticket: ticket(&said, when, now), action: action(&said), facts: facts(&said) }
}

fn ticket(said: &Said<'_>, when: When, now: DateTime<Utc>) -> Ticket {
    let age = said.number("ticket.age_minutes").and_then(TimeDelta::try_minutes);
    let logged = said.time("ticket.logged_time");
    // The time says more than the age.
    let by_age = age.and_then(|age| now.checked_sub_signed(age)).map(timestamp);
    let logged = if when == When::New { Some(timestamp(now)) } else { logged.filter(|_| age.is_none()).or(by_age) };
    let mut ticket = Ticket {
        number: said.number("ticket.number").unwrap_or_default(),
        summary: said.text("ticket.summary"),
        details: said.text("ticket.details"),
        user_id: said.text("ticket.user"),
        site_id: said.text("ticket.site"),
        customer_id: said.text("ticket.customer"),
        category_1_id: said.text("ticket.category_1"),
        category_2_id: said.text("ticket.category_2"),
        category_3_id: said.text("ticket.category_3"),
        category_4_id: said.text("ticket.category_4"),
        type_id: said.text("ticket.type"),
        status_id: said.text("ticket.status"),
        team_id: said.text("ticket.team"),
        agent_id: said.text("ticket.agent"),
        priority_id: said.text("ticket.priority"),
        sla_id: said.text("ticket.sla"),
        tags: said.texts("ticket.tags"),
        follower_user_ids: said.texts("ticket.followers"),
        external_id: said.text("ticket.external_id"),
        external_source: said.text("ticket.external_source"),
        logged_time: logged,
        response_due_time: said.time("ticket.response_due_time"),
        resolution_due_time: said.time("ticket.resolution_due_time"),
        responded_time: said.time("ticket.responded_time"),
        resolved_time: said.time("ticket.resolved_time"),
        ..Ticket::default()
    };
    let impact = said.choice("ticket.impact", "TICKET_IMPACT_", TicketImpact::from_str_name);
    ticket.set_impact(impact.unwrap_or_default());
    let urgency = said.choice("ticket.urgency", "TICKET_URGENCY_", TicketUrgency::from_str_name);
    ticket.set_urgency(urgency.unwrap_or_default());
    let source = said.choice("ticket.source", "TICKET_SOURCE_", TicketSource::from_str_name);
    ticket.set_source(source.unwrap_or_default());
    ticket
}

fn action(said: &Said<'_>) -> Option<TicketAction> {
    let fields = ["action.text", "action.visibility", "action.author_kind"];
    fields.iter().find(|field| said.value(field).is_some())?;
    let mut action = TicketAction { text: said.text("action.text"), ..TicketAction::default() };
    let visibility =
        said.choice("action.visibility", "TICKET_ACTION_VISIBILITY_", TicketActionVisibility::from_str_name);
    action.set_visibility(visibility.unwrap_or_default());
    let kind = said.choice("action.author_kind", "CALLER_KIND_", CallerKind::from_str_name);
    action.set_author_kind(kind.unwrap_or(CallerKind::Unspecified));
    Some(action)
}

/// Facts are there for whom the ticket names, unless the record does not know whether he counts as active.
fn facts(said: &Said<'_>) -> RequesterFacts {
    let there =
        |part: &str| said.value(&format!("ticket.{part}")).is_some() && said.is_known(&format!("{part}.active"));
    RequesterFacts {
        user: there("user").then(|| user(said)),
        site: there("site").then(|| site(said)),
        customer: there("customer").then(|| customer(said)),
        ..RequesterFacts::default()
    }
}

fn active(said: &Said<'_>, name: &str) -> Option<EffectiveActivity> {
    Some(EffectiveActivity { active: said.flag(name)?, ..EffectiveActivity::default() })
}

fn user(said: &Said<'_>) -> UserFacts {
    let important = said.flag("user.important");
    UserFacts {
        user_id: said.text("ticket.user"),
        name: said.text("user.name"),
        importance: important.map(|value| EffectiveFlag { value, own: value, ..EffectiveFlag::default() }),
        activity: active(said, "user.active"),
        role_ids: said.texts("user.roles"),
        relationship_ids: said.texts("user.relationships"),
        department_id: said.text("user.department"),
        ..UserFacts::default()
    }
}

fn site(said: &Said<'_>) -> SiteFacts {
    SiteFacts {
        site_id: said.text("ticket.site"),
        name: said.text("site.name"),
        activity: active(said, "site.active"),
        time_zone: said.text("site.time_zone"),
        email_domain: said.text("site.email_domain"),
        ..SiteFacts::default()
    }
}

fn customer(said: &Said<'_>) -> CustomerFacts {
    let mut customer = CustomerFacts {
        customer_id: said.text("ticket.customer"),
        name: said.text("customer.name"),
        important: said.flag("customer.important").unwrap_or_default(),
        activity: active(said, "customer.active"),
        relationship_ids: said.texts("customer.relationships"),
        domains: said.texts("customer.domains"),
        time_zone: said.text("customer.time_zone"),
        account_manager_agent_id: said.text("customer.account_manager"),
        ai_excluded: said.flag("customer.ai_excluded").unwrap_or_default(),
        ..CustomerFacts::default()
    };
    let stage = said.choice("customer.stage", "CUSTOMER_STAGE_", CustomerStage::from_str_name);
    customer.set_stage(stage.unwrap_or_default());
    customer
}
