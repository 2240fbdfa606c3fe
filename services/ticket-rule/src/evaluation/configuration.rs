//! What tickets and rules refer to, at one revision: statuses, priorities, ticket types, service level agreements,
//! calendars, categories and ticket fields.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use concierge_criteria::Hours;
use concierge_model::calendar::WorkingTime;
use concierge_model::criteria;
use concierge_model::custom_field::{self, Definition};
use concierge_proto::Record;
use concierge_proto::directory::CustomField;
use concierge_proto::ticket_rule::{
    Calendar, Category, Priority, Sla, Status, StatusCategory, TicketField, TicketType, TicketTypeUse,
};
use uuid::Uuid;

use super::record::RuleFields;

/// The records of one type, deleted ones included.
#[derive(Clone, Debug)]
pub(crate) struct Records<R> {
    by_id: HashMap<Uuid, Arc<R>>,
}

impl<R> Default for Records<R> {
    fn default() -> Self {
        Self { by_id: HashMap::new() }
    }
}

impl<R: Record> Records<R> {
    pub(crate) fn get(&self, id: &str) -> Option<&R> {
        self.by_id.get(&id.parse::<Uuid>().ok()?).map(Arc::as_ref)
    }

    pub(crate) fn put(&mut self, id: Uuid, record: R) {
        self.by_id.insert(id, Arc::new(record));
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &R> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// The live ones, in no order.
    pub(crate) fn live(&self) -> impl Iterator<Item = &R> {
        self.by_id.values().map(Arc::as_ref).filter(|record| record.delete_time().is_none())
    }
}

/// Everything that tickets and rules refer to in this service. Lookups find deleted and inactive records as well:
/// tickets keep what they have.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    pub(crate) statuses: Records<Status>,
    pub(crate) priorities: Records<Priority>,
    pub(crate) ticket_types: Records<TicketType>,
    pub(crate) slas: Records<Sla>,
    pub(crate) calendars: Records<Calendar>,
    pub(crate) categories: Records<Category>,
    pub(crate) ticket_fields: Records<TicketField>,
    /// Those of customers, sites and users, as directory told of them.
    pub(crate) requester_fields: Records<CustomField>,
    fields: Arc<RuleFields>,
    /// The hours of the calendars, ready to ask.
    hours: Arc<CalendarHours>,
}

/// The hours of calendars, deleted ones included, by their ids.
#[derive(Clone, Debug, Default)]
struct CalendarHours(HashMap<Uuid, WorkingTime>);

impl Hours for CalendarHours {
    fn contain(&self, calendar: Uuid, time: DateTime<Utc>) -> Option<bool> {
        self.0.get(&calendar).map(|hours| hours.contains(time))
    }
}

impl Configuration {
    /// Puts a calendar in place of the one with this id.
    pub(crate) fn put_calendar(&mut self, id: Uuid, calendar: Calendar) {
        if let Some(hours) = WorkingTime::of(&calendar) {
            Arc::make_mut(&mut self.hours).0.insert(id, hours);
        }
        self.calendars.put(id, calendar);
    }

    /// The hours of the calendars, for criteria that ask for them.
    pub(crate) fn hours(&self) -> Arc<dyn Hours> {
        Arc::clone(&self.hours) as Arc<dyn Hours>
    }

    /// The status with this id.
    pub fn status(&self, id: &str) -> Option<&Status> {
        self.statuses.get(id)
    }

    /// The priority with this id.
    pub fn priority(&self, id: &str) -> Option<&Priority> {
        self.priorities.get(id)
    }

    /// The ticket type with this id.
    pub fn ticket_type(&self, id: &str) -> Option<&TicketType> {
        self.ticket_types.get(id)
    }

    /// The service level agreement with this id.
    pub fn sla(&self, id: &str) -> Option<&Sla> {
        self.slas.get(id)
    }

    /// The calendar with this id.
    pub fn calendar(&self, id: &str) -> Option<&Calendar> {
        self.calendars.get(id)
    }

    /// The category of tickets with this id.
    pub fn ticket_category(&self, id: &str) -> Option<&Category> {
        self.categories.get(id)
    }

    /// The ticket field with this id.
    pub fn ticket_field(&self, id: &str) -> Option<&TicketField> {
        self.ticket_fields.get(id)
    }

    /// The definitions of the custom fields of tickets that are live, by key.
    pub(crate) fn custom_fields(&self) -> Vec<Definition<'_>> {
        let mut live: Vec<Definition<'_>> = self.ticket_fields.live().map(Definition::from).collect();
        live.sort_unstable_by_key(|definition| definition.key);
        live
    }

    /// The fields that rules can name: those of the contract, and custom ones.
    pub(crate) fn fields(&self) -> &Arc<RuleFields> {
        &self.fields
    }

    /// Takes the custom fields as they are now: to be called when one of them is another one.
    pub(crate) fn renew_fields(&mut self) {
        // Values that a deleted definition left behind, and choices that are no longer offered, are still on records:
        // directory does not know which rules name them, so rules can.
        let any = |field| Definition { choices: &[], ..Definition::from(field) };
        let all = self.requester_fields.all();
        let mut theirs: Vec<_> = all.filter_map(|field| Some((custom_field::owner(field)?, any(field)))).collect();
        theirs.sort_unstable_by_key(|(of, definition)| (*of, definition.key));
        let own = self.custom_fields().into_iter().map(|definition| ("ticket", definition));
        let custom = own.chain(theirs);
        self.fields = Arc::new(RuleFields::of(criteria::rule_schema_with(custom)));
    }

    /// What a status means; UNSPECIFIED for one that does not exist.
    pub fn category(&self, status_id: &str) -> StatusCategory {
        self.status(status_id).map_or(StatusCategory::Unspecified, Status::category)
    }

    /// What tickets of a type are used for; SUPPORT without one.
    pub fn ticket_use(&self, type_id: &str) -> TicketTypeUse {
        match self.ticket_type(type_id).map_or(TicketTypeUse::Unspecified, TicketType::r#use) {
            TicketTypeUse::Unspecified => TicketTypeUse::Support,
            known => known,
        }
    }

    /// The first active status of a category, by position, then by creation.
    pub fn first_status(&self, category: StatusCategory) -> Option<&Status> {
        let active = |s: &&Status| s.category() == category && s.active();
        self.statuses.live().filter(active).min_by_key(|s| (s.position(), order(s.create_time, &s.id)))
    }

    /// The first active ticket type of a use, by position, then by creation.
    pub fn first_ticket_type(&self, usage: TicketTypeUse) -> Option<&TicketType> {
        let active = |t: &&TicketType| t.r#use() == usage && t.active();
        self.ticket_types.live().filter(active).min_by_key(|t| (t.position(), order(t.create_time, &t.id)))
    }
}

/// The order of creation; ties by id, so that every replica sees the same.
fn order(created: Option<prost_types::Timestamp>, id: &str) -> (i64, i32, Option<Uuid>) {
    let created = created.unwrap_or_default();
    (created.seconds, created.nanos, id.parse().ok())
}
