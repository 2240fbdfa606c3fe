//! A ticket as it would be logged: its requester made whole, its defaults filled in, its references checked.

use concierge_model::custom_field;
use concierge_proto::ticket_rule::{StatusCategory, Ticket, TicketTypeUse};
use concierge_proto::{Fields as _, Value};
use concierge_runtime::Error;
use sqlx::PgConnection;

use super::event::named;
use super::problems::{Problems, newly_named};
use crate::TicketRule;
use crate::category::path;
use crate::evaluation::{Configuration, is_gone};
use crate::facts::references::{self, Kind, Known};
use crate::facts::{Facts, Requester};

/// A ticket on its way to be logged, as far as it can be prepared outside a transaction.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The ticket, without what the server sets; site and customer filled in.
    pub(crate) ticket: Ticket,
    /// What is known of its requester.
    pub(crate) facts: Facts,
    /// The records of directory that it names.
    pub(crate) known: Known,
    /// What is wrong with it so far.
    pub(crate) problems: Problems,
}

impl TicketRule {
    /// Prepares a ticket that stands in the field `path` of the request. Asks directory for the facts and, at the same
    /// time, our own database for the records that the ticket names. Problems are told by [`Draft::complete`].
    pub(crate) async fn draft(&self, mut ticket: Ticket, path: &'static str) -> Result<Draft, Error> {
        for (index, _) in Ticket::FIELDS.iter().enumerate().filter(|(_, field)| field.output_only) {
            ticket.set_value(index, Value::Null);
        }
        let asked = Requester::of(&ticket);
        let checked = newly_named(None, &ticket);
        let checked: Vec<(Kind, &str)> = checked.iter().map(|(_, kind, id)| (*kind, *id)).collect();
        let actor = super::actor();
        let mut names = actor.as_ref().map(|actor| named(&ticket, actor)).unwrap_or_default();
        // The names of the requester come with the facts.
        names.retain(|(kind, _)| matches!(kind, Kind::Team | Kind::Agent));
        let ((whole, facts), known) =
            tokio::try_join!(self.facts.complete(asked.clone()), self.facts.check(&checked, &names))?;
        let mut problems = Problems::of(path);
        requester(&mut problems, None, &asked, &whole, &facts);
        let Requester { user_id, site_id, customer_id } = whole;
        ticket = Ticket { user_id, site_id, customer_id, ..ticket };
        Ok(Draft { ticket, facts, known, problems })
    }
}

impl Draft {
    /// Fills in the defaults of the configuration, and tells every problem; `all` where the required custom fields must
    /// be among those given.
    pub(crate) fn complete(
        mut self,
        configuration: &Configuration,
        all: bool,
    ) -> Result<(Ticket, Facts, Known), Error> {
        let before: Option<&[_]> = if all { None } else { Some(&[]) };
        self.problems.custom_fields(configuration, before, &self.ticket.custom_fields);
        custom_field::merge(&[], &mut self.ticket.custom_fields);
        path::fill(configuration, path::of_mut(&mut self.ticket));
        self.problems.configuration(configuration, None, &self.ticket);
        self.problems.directory(&self.known, None, &self.ticket);
        self.problems.result()?;
        fill(configuration, &mut self.ticket);
        Ok((self.ticket, self.facts, self.known))
    }
}

/// Checks the requester that was asked for against the facts, where it is another one than before.
pub(super) fn requester(
    problems: &mut Problems,
    before: Option<&Requester>,
    asked: &Requester,
    whole: &Requester,
    facts: &Facts,
) {
    let fields = [
        ("user_id", "user", &asked.user_id, before.map(|b| &b.user_id)),
        ("site_id", "site", &asked.site_id, before.map(|b| &b.site_id)),
        ("customer_id", "customer", &asked.customer_id, before.map(|b| &b.customer_id)),
    ];
    for (field, what, id, was) in fields {
        if !id.is_empty() && was != Some(id) && facts.is_missing(field) {
            problems.missing(field, what, id);
        }
    }
    let moved = before.is_none_or(|b| b.site_id != whole.site_id || b.customer_id != whole.customer_id);
    if moved
        && !whole.customer_id.is_empty()
        && let Some(site) = facts.known.site.as_ref().filter(|site| site.site_id == whole.site_id)
        && site.customer_id != whole.customer_id
    {
        problems.other_customer("site_id");
    }
}

/// Gives a new ticket without a team that of its type, unless it is known to be deleted or not active. One round trip,
/// none where there is no team to give.
pub(crate) async fn give_team(
    connection: &mut PgConnection,
    configuration: &Configuration,
    ticket: &mut Ticket,
    known: &mut Known,
) -> Result<(), Error> {
    let team = configuration.ticket_type(&ticket.type_id).map_or("", |of_type| &of_type.default_team_id);
    if !ticket.team_id.is_empty() || team.is_empty() {
        return Ok(());
    }
    known.extend(references::names(connection, &[(Kind::Team, team)]).await?);
    if !is_gone(known, Kind::Team, team) {
        team.clone_into(&mut ticket.team_id);
    }
    Ok(())
}

/// What a new ticket gets that was given none, but for its team.
fn fill(configuration: &Configuration, ticket: &mut Ticket) {
    if ticket.type_id.is_empty() {
        let first = configuration.first_ticket_type(TicketTypeUse::Support);
        ticket.type_id = first.map(|first| first.id.clone()).unwrap_or_default();
    }
    let of_type = configuration.ticket_type(&ticket.type_id).cloned().unwrap_or_default();
    macro_rules! default {
        ($field:ident, $default:ident, $find:ident) => {
            if ticket.$field.is_empty()
                && configuration.$find(&of_type.$default).is_some_and(|d| d.delete_time.is_none() && d.active())
            {
                ticket.$field.clone_from(&of_type.$default);
            }
        };
    }
    default!(status_id, default_status_id, status);
    default!(priority_id, default_priority_id, priority);
    default!(sla_id, default_sla_id, sla);
    if ticket.status_id.is_empty() {
        let first = configuration.first_status(StatusCategory::New);
        ticket.status_id = first.map(|first| first.id.clone()).unwrap_or_default();
    }
}
