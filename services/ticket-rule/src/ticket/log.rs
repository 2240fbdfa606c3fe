//! LogTicket.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{LogTicketRequest, LogTicketResponse, StatusCategory, Ticket, TicketSource};
use concierge_proto::{CallerKind, Fields as _, Permission};
use concierge_runtime::{Answer, Call, Error, Tx};
use tonic::Request;
use uuid::Uuid;

use super::draft::{Draft, give_team};
use super::reach::{Portal, Reach};
use super::step::Step;
use super::store;
use super::times::{Moment, settle};
use crate::TicketRule;
use crate::evaluation::Occasion;
use crate::facts::Requester;
use crate::facts::references::Kind;

/// What portal users may set.
const PORTAL_FIELDS: [&str; 6] = ["summary", "details", "type_id", "impact", "urgency", "user_id"];

/// Logs a ticket.
///
/// Before the transaction, at once: one call of directory for the facts (for portal users one more, in the same batch if
/// it can be), and one round trip for the records the ticket names. Round trips of the transaction: begin; the
/// `request_id`; revision, number and who has the external id; the evaluation with its facts, and that it waits for
/// directory; the ticket with its history and event; the answer; commit: seven. One more each for the team of the
/// ticket's type, and for a team or agent that rules give, where there is one; one for a portal user's name that is not
/// known.
pub(super) async fn log(service: &TicketRule, request: Request<LogTicketRequest>) -> Answer<LogTicketResponse> {
    let wanted = request.get_ref().ticket.clone().unwrap_or_default();
    // What is wrong is told later: a repeated request gets its first answer all the same.
    let prepared = prepare(service, wanted).await;
    let service = service.clone();
    service
        .service
        .clone()
        .write(request, move |tx, _| Box::pin(async move { store(&service, tx, prepared?).await }))
        .await
}

async fn prepare(service: &TicketRule, mut wanted: Ticket) -> Result<Draft, Error> {
    let call = Call::current();
    let kind = call.as_ref().map_or(CallerKind::Service, |call| call.kind());
    let now = service.service.clock().now();
    if kind == CallerKind::User {
        refuse_agent_fields(&wanted)?;
        if wanted.user_id.is_empty() {
            wanted.user_id =
                call.as_ref().and_then(|c| c.caller.as_ref()).map_or_else(String::new, |c| c.subject.clone());
        }
    }
    if wanted.logged_time.is_some() {
        require_import(call.as_deref(), "ticket.logged_time")?;
    }
    if wanted.source() == TicketSource::Unspecified {
        wanted.set_source(match kind {
            CallerKind::User => TicketSource::Portal,
            CallerKind::Agent => TicketSource::Agent,
            _ => TicketSource::Api,
        });
    }
    let nobody = [&wanted.user_id, &wanted.site_id, &wanted.customer_id].into_iter().all(String::is_empty);
    let logged_time = wanted.logged_time;
    let (reach, mut draft) = tokio::try_join!(service.reach(), service.draft(wanted, "ticket"))?;
    if nobody {
        draft.problems.invalid("user_id", "is required, unless there is a site_id or a customer_id");
    }
    if logged_time.as_ref().and_then(datetime).is_some_and(|time| time > now) {
        draft.problems.invalid("logged_time", "must not be in the future");
    }
    if let Reach::Portal(portal) = &reach {
        if draft.ticket.user_id == portal.user_id.to_string() && draft.facts.stale && draft.facts.known.user.is_none() {
            // Nothing was ever heard of it; its token knows where it belongs.
            let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
            draft.ticket.site_id = id(portal.site_id);
            draft.ticket.customer_id = id(portal.customer_id);
            draft.facts = service.facts.ask(Requester::of(&draft.ticket)).await?;
        }
        keep_within(portal, &mut draft);
    }
    Ok(draft)
}

/// Refuses what only agents and services may set.
fn refuse_agent_fields(wanted: &Ticket) -> Result<(), Error> {
    let empty = Ticket::default();
    let set = |index: usize| wanted.value(index) != empty.value(index);
    let fields = Ticket::FIELDS.iter().enumerate().filter(|(_, field)| !field.output_only);
    match fields.filter(|(_, f)| !PORTAL_FIELDS.contains(&f.name)).find(|(index, _)| set(*index)) {
        Some((_, field)) => Err(not_for_users(format!("ticket.{}", field.name))),
        None => Ok(()),
    }
}

/// The refusal of a field to a portal user.
pub(super) fn not_for_users(field: String) -> Error {
    crate::Error::FieldNotForCaller { kind: "user", field }.into()
}

/// Refuses to have the time set by who may not import.
pub(super) fn require_import(call: Option<&Call>, field: &str) -> Result<(), Error> {
    let Some(permission) = Permission::named("tickets.import") else {
        return Err(Error::internal("the contract has no permission tickets.import"));
    };
    call.map_or(Ok(()), |call| call.require(permission, Some(field)))
}

/// A portal user logs for those whose tickets it sees, and for nobody else: others look as if they did not exist.
fn keep_within(portal: &Portal, draft: &mut Draft) {
    let own = portal.user_id.to_string();
    draft.known.put(Kind::User, &own, &portal.name);
    let user_id = draft.ticket.user_id.clone();
    let (site_id, customer_id) = match &draft.facts.known.user {
        Some(user) => (user.site_id.as_str(), user.customer_id.as_str()),
        None if user_id == own => (draft.ticket.site_id.as_str(), draft.ticket.customer_id.as_str()),
        None => ("", ""),
    };
    if !portal.sees(&user_id, site_id, customer_id) && !draft.facts.is_missing("user_id") {
        draft.problems.missing("user_id", "user", &user_id);
    }
}

async fn store(service: &TicketRule, tx: &mut Tx, draft: Draft) -> Result<LogTicketResponse, Error> {
    let (revision, number, taken) = store::begin(tx, &draft.ticket).await?;
    let set = service.rule_sets.at(tx.conn().await?, revision).await?;
    let (mut ticket, facts, mut known) = draft.complete(set.configuration(), tx.call.kind() != CallerKind::User)?;
    if let Some(id) = taken {
        return Err(external_id_taken(tx, "ticket.external_id", Some(id)));
    }
    give_team(tx.conn().await?, set.configuration(), &mut ticket, &mut known).await?;
    ticket.id = tx.new_id().to_string();
    ticket.number = number;
    let given = ticket.logged_time.as_ref().and_then(datetime).map(cut);
    let at = given.unwrap_or(tx.now);
    ticket.logged_time = Some(timestamp(at));
    let actor = tx.actor();
    ticket.set_logged_by_kind(actor.kind);
    ticket.logged_by_id = actor.subject.parse::<Uuid>().map(|id| id.to_string()).unwrap_or_default();
    let moment = Moment { at, held_before_response: TimeDelta::zero() };
    settle(set.configuration(), None, &mut ticket, moment);

    let closed = ticket.status_category() == StatusCategory::Closed;
    let step = Step {
        before: None,
        occasion: (!closed).then_some(Occasion::Logged),
        cause: None,
        facts: Some(facts),
        action: None,
        known,
        moment,
        imported: given.is_some(),
        absorbs: false,
        ticket,
    };
    let (source, external_id) = (step.ticket.external_source.clone(), step.ticket.external_id.clone());
    match service.carry_out(tx, &set, step).await {
        Ok(done) => {
            let evaluation = done.evaluation.filter(|_| actor.kind != CallerKind::User);
            Ok(LogTicketResponse { ticket: Some(done.ticket), evaluation })
        }
        // Somebody else took it between our look and our insert; this transaction cannot look again.
        Err(Error::Constraint { name }) if name == store::EXTERNAL_ID => {
            let id = store::by_external_id(service.service.pool(), &source, &external_id).await?;
            Err(external_id_taken(tx, "ticket.external_id", id))
        }
        Err(error) => Err(error),
    }
}

/// The external id is taken, by a record that is named to who may read tickets.
pub(super) fn external_id_taken(tx: &Tx, field: &'static str, id: Option<Uuid>) -> Error {
    let readable = Permission::named("tickets.read").is_some_and(|read| tx.call.permissions().holds(read));
    let id = id.filter(|_| readable).map(|id| id.to_string());
    crate::Error::ExternalIdTaken { field, id }.into()
}

/// A time as the database keeps it.
pub(super) fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}
