//! MergeTickets: several tickets about the same become one.

use std::collections::{BTreeMap, BTreeSet};

use concierge_proto::Violations;
use concierge_proto::ticket_rule::{MergeTicketsRequest, MergeTicketsResponse, StatusCategory, Ticket};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::change::held_before_response;
use super::step::Step;
use super::times::{Moment, settle};
use super::{Tickets, store};
use crate::TicketRule;
use crate::evaluation::RuleSet;
use crate::facts::references::Known;

/// Merges run one after the other, so that what is merged into what stays as it was looked up; and they lock their
/// tickets in the order of the ids, so two that share some, and whoever locks one of them, never wait for each other.
///
/// Round trips, beside those of every write: the rule set, the lock, who was merged before, and the actions; for each
/// ticket, one to lock it and those of [`TicketRule::carry_out`].
pub(super) async fn merge(
    service: &TicketRule,
    tx: &mut Tx,
    request: MergeTicketsRequest,
) -> Result<MergeTicketsResponse, Error> {
    let MergeTicketsRequest { target_id, ticket_ids, etag, .. } = request;
    if let Some(index) = ticket_ids.iter().position(|id| *id == target_id) {
        let why = "must be another ticket than the target";
        return Err(Error::Invalid(Violations::one(format!("ticket_ids[{index}]"), why)));
    }
    let set = service.rule_sets.current(tx).await?;
    let merged_before = store::lock_merges(tx, &ticket_ids).await?;
    let all: BTreeSet<&String> = ticket_ids.iter().chain([&target_id]).chain(&merged_before).collect();
    let mut locked: BTreeMap<String, Ticket> = BTreeMap::new();
    for id in all {
        locked.insert(id.clone(), tx.get_for_update::<Tickets>(id).await?);
    }
    let mut take = |id: &String| locked.remove(id).unwrap_or_default();
    let target = take(&target_id);
    let sources: Vec<Ticket> = ticket_ids.iter().map(&mut take).collect();
    let earlier: Vec<Ticket> = merged_before.iter().map(&mut take).collect();

    tx.check_etag(&target, &etag)?;
    for ticket in std::iter::once(&target).chain(&sources) {
        refuse_merged(tx, ticket).await?;
    }
    let is_other = |ticket: &&Ticket| ticket.customer_id != target.customer_id;
    if let Some(other) = sources.iter().find(is_other) {
        let (id, number, target) = (other.id.clone(), other.number, target.number);
        return Err(
            crate::Error::TicketOfOtherCustomer { id, number, target, customer_id: other.customer_id.clone() }.into()
        );
    }

    store::move_actions(tx, &target, &sources).await?;
    let mut merged_tickets = Vec::with_capacity(sources.len());
    for before in &sources {
        let mut after = Ticket { merged_into_id: target.id.clone(), ..before.clone() };
        if before.status_category() != StatusCategory::Closed {
            let closed = set.configuration().first_status(StatusCategory::Closed);
            after.status_id = closed.map(|status| status.id.clone()).unwrap_or_default();
        }
        merged_tickets.push(carry_out(service, tx, &set, before.clone(), after, false).await?);
    }
    for before in earlier {
        let after = Ticket { merged_into_id: target.id.clone(), ..before.clone() };
        carry_out(service, tx, &set, before, after, false).await?;
    }
    let after = joined(&target, &sources);
    let ticket = Some(carry_out(service, tx, &set, target, after, true).await?);
    Ok(MergeTicketsResponse { ticket, merged_tickets })
}

/// Refuses to change a ticket that was merged into another one. One round trip, none for any other ticket.
pub(crate) async fn refuse_merged(tx: &mut Tx, ticket: &Ticket) -> Result<(), Error> {
    if ticket.merged_into_id.is_empty() {
        return Ok(());
    }
    let into: Uuid = ticket.merged_into_id.parse().map_err(Error::internal)?;
    let target: i64 =
        sqlx::query_scalar("select number from tickets where id = $1").bind(into).fetch_one(tx.conn().await?).await?;
    let (id, number, merged_into_id) = (ticket.id.clone(), ticket.number, ticket.merged_into_id.clone());
    Err(crate::Error::TicketMerged { id, number, target, merged_into_id }.into())
}

/// The target with the tags and followers of all, and with those who asked as followers.
fn joined(target: &Ticket, sources: &[Ticket]) -> Ticket {
    let mut after = target.clone();
    for source in sources {
        for tag in &source.tags {
            if !after.tags.contains(tag) {
                after.tags.push(tag.clone());
            }
        }
        for user in source.follower_user_ids.iter().chain([&source.user_id]) {
            if !user.is_empty() && *user != target.user_id && !after.follower_user_ids.contains(user) {
                after.follower_user_ids.push(user.clone());
            }
        }
    }
    after
}

async fn carry_out(
    service: &TicketRule,
    tx: &mut Tx,
    set: &std::sync::Arc<RuleSet>,
    before: Ticket,
    mut after: Ticket,
    absorbs: bool,
) -> Result<Ticket, Error> {
    let moment = Moment { at: tx.now, held_before_response: held_before_response(tx, &before).await? };
    settle(set.configuration(), Some(&before), &mut after, moment);
    let step = Step {
        before: Some(before),
        ticket: after,
        action: None,
        occasion: None,
        cause: None,
        facts: None,
        known: Known::default(),
        moment,
        imported: false,
        absorbs,
    };
    Ok(service.carry_out(tx, set, step).await?.ticket)
}
