//! UpdateTicket, CloseTicket and AddTicketAction: one way of changing a ticket.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use concierge_criteria::FieldSet;
use concierge_model::custom_field;
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketAction, TicketActionVisibility};
use concierge_proto::{CallerKind, Fields as _};
use concierge_runtime::{Call, Error, Tx};
use uuid::Uuid;

use super::draft;
use super::event::named;
use super::log::{cut, external_id_taken, not_for_users, require_import};
use super::merge::refuse_merged;
use super::problems::{Problems, newly_named};
use super::reach::Reach;
use super::step::{Step, Stepped};
use super::times::{Moment, settle};
use super::{Tickets, actor, store};
use crate::TicketRule;
use crate::category::path;
use crate::evaluation::{self, Configuration, Occasion, RuleSet};
use crate::facts::references::{Kind, Known};
use crate::facts::{Facts, Requester};

/// What somebody wants of a ticket.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The ticket.
    pub(super) id: String,
    /// The etag that was read; empty when it does not matter.
    pub(super) etag: String,
    /// What becomes of its fields.
    pub(super) edit: Edit,
    /// The action to add.
    pub(super) action: Option<TicketAction>,
    /// When it was done, if the caller says so, and the field in which it does.
    pub(super) time: Option<(&'static str, prost_types::Timestamp)>,
}

/// What becomes of a ticket's fields.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// These take new values.
    Fields(Box<Ticket>, Vec<String>),
    /// It is closed, with this status or the first one there is.
    Close(String),
    /// Nothing.
    None,
}

/// What was asked and found before the transaction.
#[derive(Debug, Default)]
struct Prepared {
    /// The requester that was asked about, the same made whole, and its facts.
    requester: Option<(Requester, Requester, Facts)>,
    known: Known,
}

/// Changes a ticket.
///
/// Before the transaction: the ticket and the newest rule set, two round trips; then at once the facts (if rules may
/// run, or the requester changes) and one round trip for the records it names. Round trips in the transaction, beside
/// those of every write: the rule set; the ticket, locked; then those of [`TicketRule::carry_out`].
pub(super) struct Change {
    service: TicketRule,
    wanted: Wanted,
    reach: Reach,
    prepared: Prepared,
}

impl Change {
    /// Asks what can be asked outside the transaction.
    pub(super) async fn prepare(service: &TicketRule, mut wanted: Wanted) -> Result<Self, Error> {
        let call = Call::current();
        if let Some((field, _)) = &wanted.time {
            require_import(call.as_deref(), field)?;
        }
        if let Some(action) = &mut wanted.action {
            admit_action(call.as_deref(), action)?;
        }
        let (reach, current, set) =
            tokio::try_join!(service.reach(), service.service.read::<Tickets>(&wanted.id), service.rule_sets.newest())?;
        let current = reach.check(current)?;
        let mut after = current.clone();
        wanted.edit.apply(set.configuration(), &mut after);

        let requester = Requester::of(&after);
        let moved = requester != Requester::of(&current);
        let at = wanted.at(service.service.clock().now());
        wanted.respond(&current, &mut after, at);
        let moment = Moment { at, held_before_response: TimeDelta::zero() };
        settle(set.configuration(), Some(&current), &mut after, moment);
        let changed = evaluation::changed(&set, &current, &after, wanted.action.as_ref(), at);
        let facts = async {
            if !moved && !may_run(&set, &after, &changed) {
                return Ok(None);
            }
            let (whole, facts) = service.facts.complete(requester.clone()).await?;
            Ok::<_, Error>(Some((requester.clone(), whole, facts)))
        };
        let checked = newly_named(Some(&current), &after);
        let checked: Vec<(Kind, &str)> = checked.iter().map(|(_, kind, id)| (*kind, *id)).collect();
        let actor = actor();
        let names = actor.as_ref().map(|actor| named(&after, actor)).unwrap_or_default();
        let (requester, mut known) = tokio::try_join!(facts, service.facts.check(&checked, &names))?;
        if let Some(portal) = reach.portal() {
            known.put(Kind::User, &portal.user_id.to_string(), &portal.name);
        }
        Ok(Self { service: service.clone(), wanted, reach, prepared: Prepared { requester, known } })
    }

    /// Carries it out.
    pub(super) async fn store(self, tx: &mut Tx) -> Result<Stepped, Error> {
        let Self { service, wanted, reach, prepared } = self;
        let set = service.rule_sets.current(tx).await?;
        let before = reach.check(tx.get_for_update::<Tickets>(&wanted.id).await?)?;
        tx.check_etag(&before, &wanted.etag)?;
        if let Some(action) = &wanted.action
            && let Some(id) = store::action_by_external_id(tx, &before.id, action).await?
        {
            // Told before all else: what was done is done, whatever became of the ticket since.
            return Err(external_id_taken(tx, "ticket_action.external_id", Some(id)));
        }
        refuse_merged(tx, &before).await?;
        let was_closed = before.status_category() == StatusCategory::Closed;
        if was_closed && !wanted.may_touch_closed(set.configuration(), tx.call.kind()) {
            return Err(crate::Error::TicketClosed { id: before.id.clone(), number: before.number }.into());
        }
        let mut after = before.clone();
        wanted.edit.apply(set.configuration(), &mut after);
        wanted.check_status(set.configuration())?;
        let at = wanted.at(tx.now);

        let asked = Requester::of(&after);
        let (whole, mut facts) = match prepared.requester {
            Some((known, whole, facts)) if known == asked => (whole, Some(facts)),
            // Somebody else gave it another requester since we asked.
            _ if asked != Requester::of(&before) => {
                let (whole, facts) = service.facts.complete_in(tx.conn().await?, asked.clone()).await?;
                (whole, Some(facts))
            }
            _ => (asked.clone(), None),
        };
        let mut problems = wanted.problems(&set, &before, &after, &prepared.known, tx.now);
        if let Some(facts) = &facts {
            let was = Requester::of(&before);
            draft::requester(&mut problems, Some(&was), &asked, &whole, facts);
        }
        problems.result()?;
        after = Ticket { user_id: whole.user_id, site_id: whole.site_id, customer_id: whole.customer_id, ..after };
        forget_importance(&before, &mut after);

        wanted.respond(&before, &mut after, tx.now);
        let imported = wanted.time.is_some();
        let action = wanted.action.map(|action| complete_action(tx, &before, action));
        let moment = Moment { at, held_before_response: held_before_response(tx, &before).await? };
        settle(set.configuration(), Some(&before), &mut after, moment);
        if after == before && action.is_none() {
            return Ok(Stepped {
                ticket: before,
                action: None,
                evaluation: Some(evaluation::nothing(&set, false)),
                withheld: BTreeSet::new(),
            });
        }

        let changed = evaluation::changed(&set, &before, &after, action.as_ref(), at);
        let runs = may_run(&set, &after, &changed);
        if runs && facts.is_none() {
            facts = Some(service.facts.ask_in(tx.conn().await?, Requester::of(&after)).await?);
        }
        let closed = after.status_category() == StatusCategory::Closed;
        let source_id = (after.external_source.clone(), after.external_id.clone());
        let step = Step {
            occasion: (!closed).then_some(Occasion::Updated { changed: evaluation::names(&set, &changed) }),
            cause: None,
            facts: facts.filter(|_| runs),
            before: Some(before),
            ticket: after,
            action,
            known: prepared.known,
            moment,
            imported,
            absorbs: false,
        };
        match service.carry_out(tx, &set, step).await {
            Err(Error::Constraint { name }) if name == store::EXTERNAL_ID => {
                // This transaction cannot look any more.
                let id = store::by_external_id(service.service.pool(), &source_id.0, &source_id.1).await?;
                Err(external_id_taken(tx, "ticket.external_id", id))
            }
            done => done,
        }
    }
}

impl Wanted {
    /// A closed ticket can be reopened, and agents and services can add to it.
    fn may_touch_closed(&self, configuration: &Configuration, caller: CallerKind) -> bool {
        match &self.edit {
            Edit::Fields(new, paths) => {
                let category = configuration.category(&new.status_id);
                paths.iter().any(|path| path == "status_id")
                    && !matches!(category, StatusCategory::Closed | StatusCategory::Unspecified)
            }
            Edit::Close(_) => false,
            Edit::None => caller != CallerKind::User,
        }
    }

    /// Closing needs a status that closes.
    fn check_status(&self, configuration: &Configuration) -> Result<(), Error> {
        let Edit::Close(id) = &self.edit else { return Ok(()) };
        match configuration.status(id) {
            Some(status) if status.delete_time.is_none() && status.category() != StatusCategory::Closed => {
                let category = status.category().as_str_name().trim_start_matches("STATUS_CATEGORY_");
                Err(crate::Error::StatusOfOtherCategory { field: "status_id", id: id.clone(), category }.into())
            }
            _ => Ok(()),
        }
    }

    /// When it happens.
    fn at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.time.as_ref().and_then(|(_, time)| datetime(time)).map_or(now, cut)
    }

    /// What an agent says to the requester is the first response, if there was none before.
    fn respond(&self, before: &Ticket, after: &mut Ticket, now: DateTime<Utc>) {
        let response = |action: &&TicketAction| {
            action.author_kind() == CallerKind::Agent && action.visibility() == TicketActionVisibility::Public
        };
        if let Some(action) = self.action.as_ref().filter(response)
            && before.responded_time.is_none()
        {
            after.responded_time = Some(timestamp(action_time(action, now)));
        }
    }

    fn problems(&self, set: &RuleSet, before: &Ticket, after: &Ticket, known: &Known, now: DateTime<Utc>) -> Problems {
        // In CloseTicket the status stands beside the ticket's id.
        let mut problems = Problems::of(if matches!(self.edit, Edit::Close(_)) { "" } else { "ticket" });
        problems.configuration(set.configuration(), Some(before), after);
        problems.directory(known, Some(before), after);
        if let Edit::Fields(new, paths) = &self.edit
            && paths.iter().any(|path| path == "custom_fields")
        {
            problems.custom_fields(set.configuration(), Some(&before.custom_fields), &new.custom_fields);
        }
        if after.status_id.is_empty() {
            problems.invalid("status_id", "must not be emptied: a ticket always has a status");
        }
        if Requester::of(after).is_nobody() {
            problems.invalid("user_id", "must not be emptied, unless there is a site_id or a customer_id");
        }
        let logged = before.logged_time.as_ref().and_then(datetime).unwrap_or(DateTime::UNIX_EPOCH);
        let mut check = |field: &str, time: Option<&prost_types::Timestamp>| {
            if let Some(time) = time.and_then(datetime) {
                if time > now {
                    problems.invalid_at(field, "must not be in the future");
                } else if cut(time) < logged {
                    problems.invalid_at(field, "must not be before the ticket's logged_time");
                }
            }
        };
        if let Some((field, time)) = &self.time {
            check(field, Some(time));
        }
        if let Some(action) = &self.action
            && self.time.as_ref().is_none_or(|(field, _)| *field != "ticket_action.action_time")
        {
            check("ticket_action.action_time", action.action_time.as_ref());
        }
        problems
    }
}

impl Edit {
    /// Puts the new values into the ticket. Which fields may be named, the contract has checked.
    fn apply(&self, configuration: &Configuration, ticket: &mut Ticket) {
        match self {
            Self::Fields(new, paths) => {
                let values = ticket.custom_fields.clone();
                for index in paths.iter().filter_map(|path| Ticket::index_of(path)) {
                    ticket.set_value(index, new.value(index));
                }
                custom_field::merge(&values, &mut ticket.custom_fields);
                path::fill(configuration, path::of_mut(ticket));
            }
            Self::Close(status) if status.is_empty() => {
                let first = configuration.first_status(StatusCategory::Closed);
                ticket.status_id = first.map(|status| status.id.clone()).unwrap_or_default();
            }
            Self::Close(status) => ticket.status_id.clone_from(status),
            Self::None => {}
        }
    }
}

/// Refuses what the caller may not say in an action, and fills in what kind of caller it is and who can see it.
fn admit_action(call: Option<&Call>, action: &mut TicketAction) -> Result<(), Error> {
    let kind = call.map_or(CallerKind::Service, Call::kind);
    if kind == CallerKind::User {
        let set = [
            ("visibility", action.visibility() == TicketActionVisibility::Internal),
            ("external_id", !action.external_id.is_empty()),
            ("external_source", !action.external_source.is_empty()),
            ("action_time", action.action_time.is_some()),
        ];
        if let Some((field, _)) = set.into_iter().find(|(_, set)| *set) {
            return Err(not_for_users(format!("ticket_action.{field}")));
        }
    }
    if action.action_time.is_some() {
        require_import(call, "ticket_action.action_time")?;
    }
    action.set_author_kind(kind);
    if action.visibility() == TicketActionVisibility::Unspecified {
        action.set_visibility(match kind {
            CallerKind::User => TicketActionVisibility::Public,
            _ => TicketActionVisibility::Internal,
        });
    }
    Ok(())
}

/// The action as it will be stored, but for its author's name.
fn complete_action(tx: &Tx, ticket: &Ticket, wanted: TicketAction) -> TicketAction {
    let subject = tx.actor().subject;
    TicketAction {
        action_time: Some(timestamp(action_time(&wanted, tx.now))),
        id: tx.new_id().to_string(),
        ticket_id: ticket.id.clone(),
        original_ticket_id: String::new(),
        text: wanted.text,
        visibility: wanted.visibility,
        author_kind: wanted.author_kind,
        author_id: subject.parse::<Uuid>().map(|id| id.to_string()).unwrap_or_default(),
        author_name: String::new(),
        external_id: wanted.external_id,
        external_source: wanted.external_source,
        create_time: Some(timestamp(tx.now)),
        update_time: Some(timestamp(tx.now)),
        etag: "1".to_owned(),
    }
}

/// When an action was taken.
fn action_time(action: &TicketAction, now: DateTime<Utc>) -> DateTime<Utc> {
    action.action_time.as_ref().and_then(datetime).map_or(now, cut)
}

/// One round trip for tickets that were on hold and responded to; none for others.
pub(crate) async fn held_before_response(tx: &mut Tx, before: &Ticket) -> Result<TimeDelta, Error> {
    let held = before.held_duration.as_ref().is_some_and(|held| held.seconds != 0 || held.nanos != 0);
    if before.responded_time.is_some() && (held || before.hold_start_time.is_some()) {
        store::response_held(tx, &before.id).await
    } else {
        Ok(TimeDelta::zero())
    }
}

/// What was known of another user or customer is not known of this one.
fn forget_importance(before: &Ticket, after: &mut Ticket) {
    if before.user_id != after.user_id {
        after.user_important = None;
    }
    if before.customer_id != after.customer_id {
        after.customer_important = None;
    }
}

/// True when a rule for existing tickets has a criterion on a field that changed: without one, none runs.
fn may_run(set: &RuleSet, after: &Ticket, changed: &FieldSet) -> bool {
    // The status as the caller wants it: the category follows only when it is settled.
    set.configuration().category(&after.status_id) != StatusCategory::Closed && set.asks_existing_for(changed)
}
