//! What is known of a ticket, its user, site and customer, as criteria see it.

use chrono::{DateTime, Utc};
use concierge_criteria::{Fact, IdSet, Record, Schema, TextSet, Value};
use concierge_proto::common::CustomFieldValue;
use concierge_proto::directory::{CustomerFacts, RequesterFacts, SiteFacts, UserFacts};
use concierge_proto::options::CallerKind;
use concierge_proto::record::datetime;
use concierge_proto::ticket_rule::{Ticket, TicketAction};
use prost_types::Timestamp;

use crate::custom_field;

/// What criteria are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The ticket as it is; a draft has no number.
    pub ticket: &'a Ticket,
    /// The rank of its priority, if it has one and the rank is known.
    pub priority_rank: Option<i32>,
    /// The action this is about.
    pub action: Option<&'a TicketAction>,
    /// What is known of its user, site and customer; `None` when nothing is.
    pub facts: Option<&'a RequesterFacts>,
    /// When it is asked.
    pub now: DateTime<Utc>,
    /// What happened; only for notification definitions.
    pub event: Option<EventInput<'a>>,
}

/// What happened to the ticket.
#[derive(Clone, Copy, Debug)]
pub struct EventInput<'a> {
    /// The fields that changed.
    pub changed_fields: &'a [String],
    /// The ids of the rules that matched.
    pub matched_rules: &'a [String],
    /// Who caused it.
    pub actor_kind: CallerKind,
    /// Whether it was imported.
    pub imported: bool,
}

/// A record of the schema of rules, or of notification definitions, filled with what is known.
pub fn record(schema: &Schema, input: &Input<'_>) -> Record {
    let mut filled = Filled { record: Record::empty(schema), schema };
    filled.record.set_now(input.now);
    filled.ticket(input);
    filled.action(input.action);
    filled.requester(input);
    if let Some(event) = &input.event {
        filled.set("event.changed_fields", texts(event.changed_fields));
        filled.set("event.matched_rules", ids(event.matched_rules));
        filled.set("event.actor_kind", choice(event.actor_kind.as_str_name(), "CALLER_KIND_"));
        filled.set("event.imported", Fact::from(event.imported));
    }
    filled.record
}

struct Filled<'a> {
    record: Record,
    schema: &'a Schema,
}

impl Filled<'_> {
    fn set(&mut self, name: &str, fact: Fact) {
        if let Some(field) = self.schema.field(name) {
            let set = self.record.set(field, fact);
            debug_assert!(set.is_ok(), "{name}: {set:?}");
        }
    }

    fn ticket(&mut self, input: &Input<'_>) {
        let ticket = input.ticket;
        self.set("ticket.number", number((ticket.number > 0).then_some(ticket.number)));
        self.set("ticket.summary", Fact::from(ticket.summary.as_str()));
        self.set("ticket.details", Fact::from(ticket.details.as_str()));
        self.set("ticket.user", id(&ticket.user_id));
        self.set("ticket.site", id(&ticket.site_id));
        self.set("ticket.customer", id(&ticket.customer_id));
        self.set("ticket.type", id(&ticket.type_id));
        self.set("ticket.use", choice(ticket.r#use().as_str_name(), "TICKET_TYPE_USE_"));
        self.set("ticket.status", id(&ticket.status_id));
        self.set("ticket.status_category", choice(ticket.status_category().as_str_name(), "STATUS_CATEGORY_"));
        self.set("ticket.team", id(&ticket.team_id));
        self.set("ticket.agent", id(&ticket.agent_id));
        self.set("ticket.category_1", id(&ticket.category_1_id));
        self.set("ticket.category_2", id(&ticket.category_2_id));
        self.set("ticket.category_3", id(&ticket.category_3_id));
        self.set("ticket.category_4", id(&ticket.category_4_id));
        self.set("ticket.priority", id(&ticket.priority_id));
        let rank = match input.priority_rank {
            Some(rank) => Fact::from(i64::from(rank)),
            None if ticket.priority_id.is_empty() => Fact::Empty,
            None => Fact::Unknown,
        };
        self.set("ticket.priority_rank", rank);
        self.set("ticket.impact", choice(ticket.impact().as_str_name(), "TICKET_IMPACT_"));
        self.set("ticket.urgency", choice(ticket.urgency().as_str_name(), "TICKET_URGENCY_"));
        self.set("ticket.sla", id(&ticket.sla_id));
        self.set("ticket.source", choice(ticket.source().as_str_name(), "TICKET_SOURCE_"));
        self.set("ticket.tags", texts(&ticket.tags));
        self.set("ticket.followers", ids(&ticket.follower_user_ids));
        self.set("ticket.external_source", Fact::from(ticket.external_source.as_str()));
        self.set("ticket.external_id", Fact::from(ticket.external_id.as_str()));
        self.set("ticket.logged_time", time(ticket.logged_time.as_ref()));
        self.set("ticket.response_due_time", time(ticket.response_due_time.as_ref()));
        self.set("ticket.resolution_due_time", time(ticket.resolution_due_time.as_ref()));
        self.set("ticket.responded_time", time(ticket.responded_time.as_ref()));
        self.set("ticket.resolved_time", time(ticket.resolved_time.as_ref()));
        let logged = ticket.logged_time.as_ref().and_then(datetime);
        self.set("ticket.age_minutes", number(logged.map(|logged| (input.now - logged).num_minutes())));
        self.custom("ticket", &ticket.custom_fields);
    }

    /// The values of custom fields that the schema has.
    fn custom(&mut self, of: &str, values: &[CustomFieldValue]) {
        for value in values {
            let name = custom_field::criterion(of, &value.key);
            let field = self.schema.field(&name).and_then(|field| self.schema.get(field));
            if let (Some(field), Some(value)) = (field, custom_field::criterion_value(value))
                && field.kind == value.kind()
            {
                self.set(&name, Fact::from(value));
            }
        }
    }

    fn action(&mut self, action: Option<&TicketAction>) {
        let Some(action) = action else { return };
        self.set("action.text", Fact::from(action.text.as_str()));
        self.set("action.visibility", choice(action.visibility().as_str_name(), "TICKET_ACTION_VISIBILITY_"));
        self.set("action.author_kind", choice(action.author_kind().as_str_name(), "CALLER_KIND_"));
    }

    /// A part that nobody told of is unknown if the ticket names it, or if it would follow from one that is unknown;
    /// otherwise the ticket has none, and everything about it is empty.
    fn requester(&mut self, input: &Input<'_>) {
        let ticket = input.ticket;
        let user = input.facts.and_then(|f| f.user.as_ref());
        let site = input.facts.and_then(|f| f.site.as_ref());
        let customer = input.facts.and_then(|f| f.customer.as_ref());
        let user_unknown = user.is_none() && !ticket.user_id.is_empty();
        let site_unknown = site.is_none() && (user_unknown || !ticket.site_id.is_empty());
        let customer_unknown = customer.is_none() && (site_unknown || !ticket.customer_id.is_empty());
        // Where the ticket names none, it would have got the user's or the customer's, had it been known.
        if ticket.site_id.is_empty() && (site_unknown || customer_unknown) && site.is_none() {
            self.set("ticket.site", Fact::Unknown);
        }
        if ticket.customer_id.is_empty() && customer_unknown {
            self.set("ticket.customer", Fact::Unknown);
        }
        match user {
            Some(user) => self.user(user),
            None if user_unknown => self.unknown("user."),
            None => {}
        }
        match site {
            Some(site) => self.site(site),
            None if site_unknown => self.unknown("site."),
            None => {}
        }
        match customer {
            Some(customer) => self.customer(customer),
            None if customer_unknown => self.unknown("customer."),
            None => {}
        }
    }

    fn unknown(&mut self, prefix: &str) {
        let fields: Vec<_> =
            self.schema.fields().iter().filter(|f| f.name.starts_with(prefix)).map(|f| f.name.clone()).collect();
        for name in fields {
            self.set(&name, Fact::Unknown);
        }
    }

    fn user(&mut self, user: &UserFacts) {
        self.custom("user", &user.custom_fields);
        self.set("user.name", Fact::from(user.name.as_str()));
        self.set("user.important", flag(user.importance.as_ref().map(|f| f.value)));
        self.set("user.active", flag(user.activity.as_ref().map(|a| a.active)));
        self.set("user.roles", ids(&user.role_ids));
        self.set("user.relationships", ids(&user.relationship_ids));
        self.set("user.department", id(&user.department_id));
    }

    fn site(&mut self, site: &SiteFacts) {
        self.custom("site", &site.custom_fields);
        self.set("site.name", Fact::from(site.name.as_str()));
        self.set("site.active", flag(site.activity.as_ref().map(|a| a.active)));
        self.set("site.time_zone", Fact::from(site.time_zone.as_str()));
        self.set("site.email_domain", Fact::from(site.email_domain.as_str()));
    }

    fn customer(&mut self, customer: &CustomerFacts) {
        self.custom("customer", &customer.custom_fields);
        self.set("customer.name", Fact::from(customer.name.as_str()));
        self.set("customer.important", Fact::from(customer.important));
        self.set("customer.active", flag(customer.activity.as_ref().map(|a| a.active)));
        self.set("customer.stage", choice(customer.stage().as_str_name(), "CUSTOMER_STAGE_"));
        self.set("customer.relationships", ids(&customer.relationship_ids));
        self.set("customer.domains", texts(&customer.domains));
        self.set("customer.time_zone", Fact::from(customer.time_zone.as_str()));
        self.set("customer.account_manager", id(&customer.account_manager_agent_id));
        self.set("customer.ai_excluded", Fact::from(customer.ai_excluded));
    }
}

fn id(text: &str) -> Fact {
    text.parse().map_or(Fact::Empty, |id| Fact::from(Value::Id(id)))
}

fn ids(texts: &[String]) -> Fact {
    Fact::from(texts.iter().filter_map(|text| text.parse().ok()).collect::<IdSet>())
}

fn texts(texts: &[String]) -> Fact {
    Fact::from(texts.iter().map(|text| text.as_str().into()).collect::<TextSet>())
}

fn number(number: Option<i64>) -> Fact {
    Fact::known(number)
}

fn time(time: Option<&Timestamp>) -> Fact {
    Fact::known(time.and_then(datetime))
}

/// A flag whose message is missing is not known.
fn flag(flag: Option<bool>) -> Fact {
    flag.map_or(Fact::Unknown, Fact::from)
}

fn choice(name: &str, prefix: &str) -> Fact {
    match name.strip_prefix(prefix) {
        None | Some("UNSPECIFIED") => Fact::Empty,
        Some(name) => Fact::from(Value::choice(name)),
    }
}
