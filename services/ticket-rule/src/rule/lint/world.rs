//! Which tickets there can be when rules look at them: what follows from what in a ticket and its facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use concierge_criteria::lint::{Law, When, World};
use concierge_criteria::{
    Criterion, Definition, FieldId, FieldSet, FieldType, Operator, Record, Schema, Value, compile,
};
use concierge_proto::directory::{CustomerFacts, CustomerStage, EffectiveActivity, EffectiveFlag, RequesterFacts};
use concierge_proto::directory::{SiteFacts, UserFacts};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketSource, TicketTypeUse};
use uuid::Uuid;

use super::model::{MadeUp, made_up};
use crate::category::path;
use crate::evaluation::{RuleSet, seen};

/// The tickets that rules of a set can look at.
pub(super) struct Tickets<'a> {
    set: &'a RuleSet,
    now: DateTime<Utc>,
    new: (Record, Vec<Law>),
    existing: (Record, Vec<Law>),
    may_be_unknown: FieldSet,
    stop: Arc<AtomicBool>,
}

impl<'a> Tickets<'a> {
    /// `stop` ends what is asked of them early.
    pub(super) fn new(set: &'a RuleSet, now: DateTime<Utc>, stop: Arc<AtomicBool>) -> Self {
        let world = |when| (plain(set, when, now), laws(set, when));
        let requester =
            |name: &str| name.starts_with("user.") || name.starts_with("site.") || name.starts_with("customer.");
        let schema = set.configuration().fields().schema();
        let unknown = schema.fields().iter().filter(|field| requester(&field.name));
        let also = ["ticket.site", "ticket.customer"].into_iter().filter_map(|name| schema.field(name));
        let may_be_unknown = unknown.map(|field| field.id).chain(also).collect();
        Self { set, now, new: world(When::New), existing: world(When::Existing), may_be_unknown, stop }
    }

    /// The messages that a record is made of.
    pub(super) fn made_up(&self, record: &Record, when: When) -> MadeUp {
        let mut made = made_up(record, when, self.now);
        path::fill(self.set.configuration(), path::of_mut(&mut made.ticket));
        made
    }

    fn of(&self, when: When) -> &(Record, Vec<Law>) {
        if when == When::New { &self.new } else { &self.existing }
    }
}

impl World for Tickets<'_> {
    fn plain(&self, when: When) -> &Record {
        &self.of(when).0
    }

    fn laws(&self, when: When) -> &[Law] {
        &self.of(when).1
    }

    fn may_be_unknown(&self) -> &FieldSet {
        &self.may_be_unknown
    }

    fn along(&self, field: FieldId) -> FieldSet {
        let schema = self.set.configuration().fields().schema();
        let name = schema.get(field).map_or("", |field| &*field.name);
        let prefixed = |prefix: &str| {
            let of = schema.fields().iter().filter(move |other| other.name.starts_with(prefix));
            of.map(|other| other.id).collect::<Vec<_>>()
        };
        let also = |names: &[&str]| names.iter().filter_map(|name| schema.field(name)).collect::<Vec<_>>();
        let others = match name {
            // Given once; and who looks twice at one time sees one age.
            "ticket.number" | "ticket.logged_time" | "ticket.age_minutes" => return FieldSet::new(),
            "ticket.status_category" => also(&["ticket.status"]),
            "ticket.use" => also(&["ticket.type"]),
            "ticket.priority_rank" => also(&["ticket.priority"]),
            "ticket.user" => prefixed("user."),
            "ticket.site" => prefixed("site."),
            "ticket.customer" => prefixed("customer."),
            // Another user is another name, and another everything.
            _ => match name.split_once('.') {
                Some((part @ ("user" | "site" | "customer"), _)) => {
                    [prefixed(&format!("{part}.")), also(&[&format!("ticket.{part}")])].concat()
                }
                Some(("action", _)) => prefixed("action."),
                _ => Vec::new(),
            },
        };
        others.into_iter().chain([field]).collect()
    }

    fn realize(&self, model: Record, asked: &FieldSet, when: When) -> Option<Record> {
        let MadeUp { ticket, action, facts } = self.made_up(&model, when);
        if path::unfit(self.set.configuration(), path::of(&ticket)).next().is_some() {
            return None;
        }
        let record = seen(self.set, &ticket, action.as_ref(), Some(&facts), self.now);
        asked.iter().all(|field| record.get(field) == model.get(field)).then_some(record)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// A ticket of somebody of whom there is nothing special.
fn plain(set: &RuleSet, when: When, now: DateTime<Utc>) -> Record {
    let configuration = set.configuration();
    let somebody = |number: u128| Uuid::from_u128(0xffff_ffff_ffff_7fff_bfff_ffff_0000_0000 | number).to_string();
    let (user_id, site_id, customer_id) = (somebody(1), somebody(2), somebody(3));
    let id = |id: Option<&String>| id.cloned().unwrap_or_default();
    let first = if when == When::New { StatusCategory::New } else { StatusCategory::Open };
    let status = configuration.first_status(first).or(configuration.first_status(StatusCategory::New));
    let mut ticket = Ticket {
        number: 1,
        summary: "Something".to_owned(),
        user_id: user_id.clone(),
        site_id: site_id.clone(),
        customer_id: customer_id.clone(),
        type_id: id(configuration.first_ticket_type(TicketTypeUse::Support).map(|first| &first.id)),
        status_id: id(status.map(|first| &first.id)),
        logged_time: Some(timestamp(now)),
        ..Ticket::default()
    };
    ticket.set_source(TicketSource::Agent);
    let activity = Some(EffectiveActivity { active: true, ..EffectiveActivity::default() });
    let mut customer = CustomerFacts {
        customer_id: customer_id.clone(),
        name: "Any customer".to_owned(),
        activity: activity.clone(),
        ..CustomerFacts::default()
    };
    customer.set_stage(CustomerStage::Customer);
    let facts = RequesterFacts {
        user: Some(UserFacts {
            user_id,
            name: "Anybody".to_owned(),
            site_id: site_id.clone(),
            customer_id: customer_id.clone(),
            importance: Some(EffectiveFlag::default()),
            activity: activity.clone(),
            ..UserFacts::default()
        }),
        site: Some(SiteFacts { site_id, customer_id, name: "Any site".to_owned(), activity, ..SiteFacts::default() }),
        customer: Some(customer),
        ..RequesterFacts::default()
    };
    seen(set, &ticket, None, Some(&facts), now)
}

fn on(field: &str, operator: Operator, values: impl IntoIterator<Item = Value>) -> Definition {
    Definition::Criterion(Criterion {
        field: field.to_owned(),
        operator,
        values: values.into_iter().collect(),
        case_sensitive: true,
    })
}

fn has(field: &str) -> Definition {
    on(field, Operator::HasValue, [])
}

/// The field has no value; a flag, which no operator asks so, is neither true nor false.
fn lacks(field: &str, kind: FieldType) -> Definition {
    match kind {
        FieldType::Flag => Definition::negation(given(field)),
        _ => on(field, Operator::HasNoValue, []),
    }
}

/// The flag is true or false.
fn given(flag: &str) -> Definition {
    Definition::any([true, false].map(|value| on(flag, Operator::Is, [Value::Flag(value)])))
}

/// The id is one of these, however many they are.
fn one_of(field: &str, ids: &[Uuid]) -> Option<Definition> {
    let some = ids
        .chunks(concierge_criteria::MAX_VALUES)
        .map(|ids| on(field, Operator::AnyOf, ids.iter().copied().map(Value::Id)));
    let some: Vec<Definition> = some.collect();
    (!some.is_empty()).then(|| Definition::any(some))
}

/// Collects laws; one that cannot be told in criteria is left out.
struct Laws<'a> {
    schema: &'a Schema,
    all: Vec<Law>,
}

impl Laws<'_> {
    fn add(&mut self, about: &[&str], definition: Definition) {
        if let Ok(criteria) = compile(self.schema, &definition) {
            let about = about.iter().filter_map(|name| self.schema.field(name)).collect();
            self.all.push(Law { about, criteria });
        }
    }

    /// A value of one field says what the other one is.
    fn follows(&mut self, fields: [&str; 2], ids: &[Uuid], follows: Definition) {
        if let Some(one_of) = one_of(fields[0], ids) {
            self.add(&fields, Definition::any([Definition::negation(one_of), follows]));
        }
    }
}

/// What holds whenever rules look at a ticket. Each is kept by every rule that runs before: outcomes set a status, a
/// type and a priority with what follows from them, and who closes a ticket ends the walk.
fn laws(set: &RuleSet, when: When) -> Vec<Law> {
    let schema = set.configuration().fields().schema();
    let mut laws = Laws { schema, all: Vec::new() };
    configured(set, &mut laws);
    laws.add(&["ticket.summary"], has("ticket.summary"));
    laws.add(&["ticket.logged_time"], has("ticket.logged_time"));
    let action = ["action.text", "action.visibility", "action.author_kind"];
    if when == When::New {
        laws.add(&["ticket.age_minutes"], on("ticket.age_minutes", Operator::Is, [Value::Number(0)]));
        for field in action {
            laws.add(&[field], lacks(field, FieldType::Text));
        }
    } else {
        let none = Definition::all(action.map(|field| lacks(field, FieldType::Text)));
        laws.add(&action, Definition::any([none, Definition::all(action.map(has))]));
    }
    // Of nobody there are no facts. A second evaluation may know the customer of a ticket that names only its user.
    for (part, named) in [
        ("user", &["ticket.user"][..]),
        ("site", &["ticket.site", "ticket.user", "ticket.customer"]),
        ("customer", &["ticket.customer", "ticket.site", "ticket.user"]),
    ] {
        let prefix = format!("{part}.");
        for field in schema.fields().iter().filter(|field| field.name.starts_with(&prefix)) {
            let named = named.iter().map(|name| has(name));
            laws.add(&[&field.name], Definition::any(named.chain([lacks(&field.name, field.kind)])));
        }
        for flag in ["important", "active", "ai_excluded"].map(|flag| format!("{prefix}{flag}")) {
            let nobody = lacks(&format!("ticket.{part}"), FieldType::Id);
            laws.add(&[&flag], Definition::any([nobody, given(&flag)]));
        }
    }
    laws.all
}

/// What follows from statuses, types and priorities.
fn configured(set: &RuleSet, laws: &mut Laws<'_>) {
    let configuration = set.configuration();
    let id = |id: &str| id.parse::<Uuid>().ok();
    let mut categories: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
    for status in configuration.statuses.all() {
        categories.entry(status.category).or_default().extend(id(&status.id));
    }
    for (category, ids) in &categories {
        let name = StatusCategory::try_from(*category).unwrap_or_default().as_str_name();
        let name = Value::choice(name.trim_start_matches("STATUS_CATEGORY_"));
        laws.follows(
            ["ticket.status", "ticket.status_category"],
            ids,
            on("ticket.status_category", Operator::Is, [name]),
        );
    }
    let statuses: Vec<Uuid> = categories.into_values().flatten().collect();
    if let Some(law) = one_of("ticket.status", &statuses) {
        laws.add(&["ticket.status", "ticket.status_category"], law);
    }
    let open = on("ticket.status_category", Operator::IsNot, [Value::choice("CLOSED")]);
    laws.add(&["ticket.status", "ticket.status_category"], open);

    let mut uses: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
    for of_type in configuration.ticket_types.all() {
        let name = configuration.ticket_use(&of_type.id).as_str_name().trim_start_matches("TICKET_TYPE_USE_");
        uses.entry(name).or_default().extend(id(&of_type.id));
    }
    let support = on("ticket.use", Operator::Is, [Value::choice("SUPPORT")]);
    laws.add(&["ticket.type", "ticket.use"], Definition::any([has("ticket.type"), support]));
    for (name, ids) in &uses {
        laws.follows(["ticket.type", "ticket.use"], ids, on("ticket.use", Operator::Is, [Value::choice(name)]));
    }
    let types: Vec<Uuid> = uses.into_values().flatten().collect();
    optional(laws, &["ticket.type", "ticket.use"], &types);

    let mut ranks: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
    for priority in configuration.priorities.all() {
        ranks.entry(priority.rank()).or_default().extend(id(&priority.id));
    }
    let none = lacks("ticket.priority_rank", FieldType::Number);
    laws.add(&["ticket.priority", "ticket.priority_rank"], Definition::any([has("ticket.priority"), none]));
    for (rank, ids) in &ranks {
        let rank = on("ticket.priority_rank", Operator::Is, [Value::Number(i64::from(*rank))]);
        laws.follows(["ticket.priority", "ticket.priority_rank"], ids, rank);
    }
    let priorities: Vec<Uuid> = ranks.into_values().flatten().collect();
    optional(laws, &["ticket.priority", "ticket.priority_rank"], &priorities);
    let slas: Vec<Uuid> = configuration.slas.all().filter_map(|sla| id(&sla.id)).collect();
    optional(laws, &["ticket.sla"], &slas);
}

/// The first of the fields holds one of these ids, or none.
fn optional(laws: &mut Laws<'_>, about: &[&str], ids: &[Uuid]) {
    let Some(field) = about.first() else { return };
    let none = lacks(field, FieldType::Id);
    laws.add(about, Definition::any(one_of(field, ids).into_iter().chain([none])));
}
