//! One second evaluation.

use std::collections::{BTreeSet, HashSet};

use concierge_model::custom_field;
use concierge_proto::Record as _;
use concierge_proto::common::{CustomFieldValue, criterion_value};
use concierge_proto::ticket_rule::{EvaluationCause, StatusCategory, Ticket};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use crate::TicketRule;
use crate::category::path;
use crate::evaluation::{self, Configuration, Evaluated, Input, MOST_TAGS, NewEvaluation, StoredEvaluation, is_gone};
use crate::facts::references::{self, Kind, Known};
use crate::facts::{Facts, Requester};
use crate::ticket::{Moment, Telling, Tickets, held_before_response, named, settle};

/// What became of an attempt.
pub(super) enum Corrected {
    /// It was made, or there is nothing left to correct.
    Done,
    /// Another replica makes it.
    TakenByAnother,
    /// Directory still does not answer.
    DirectoryAway,
}

/// Makes one second evaluation.
pub(super) async fn correct(service: &TicketRule, id: Uuid) -> Result<Corrected, Error> {
    let mut connection = service.service.pool().acquire().await?;
    let stored = evaluation::stored::get(&mut connection, id).await?;
    drop(connection);
    let Some(first) = stored else {
        // Earlier versions let what was not evaluated wait, too.
        forget(service, id).await?;
        return Ok(Corrected::Done);
    };
    let (whole, facts) = service.facts.complete(Requester::of(&first.ticket)).await?;
    if facts.stale {
        return Ok(Corrected::DirectoryAway);
    }
    let mut tx = service.service.begin().await?;
    match again(service, &mut tx, &first, whole, facts).await {
        Ok(true) => {
            service.service.commit(tx).await?;
            Ok(Corrected::Done)
        }
        Ok(false) => {
            tx.rollback().await?;
            Ok(Corrected::TakenByAnother)
        }
        Err(error) => {
            // The failure is what counts; a rollback that fails too is the pool's business.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

/// There is nothing to make again.
async fn forget(service: &TicketRule, id: Uuid) -> Result<(), Error> {
    sqlx::query("update second_evaluations set done_time = $2 where evaluation_id = $1 and done_time is null")
        .bind(id)
        .bind(service.service.clock().now())
        .execute(service.service.pool())
        .await?;
    Ok(())
}

/// False when another replica is at it, or was.
async fn again(
    service: &TicketRule,
    tx: &mut Tx,
    first: &StoredEvaluation,
    whole: Requester,
    facts: Facts,
) -> Result<bool, Error> {
    let waiting: Option<i64> = sqlx::query_scalar(
        "select ticket_version from second_evaluations
         where evaluation_id = $1 and done_time is null for update skip locked",
    )
    .bind(first.id)
    .fetch_optional(tx.conn().await?)
    .await?;
    let Some(version) = waiting else { return Ok(false) };
    let now_set = service.rule_sets.current(tx).await?;
    let set = service.rule_sets.at(tx.conn().await?, first.revision).await?;
    let before = tx.get_for_update::<Tickets>(&first.ticket.id).await?;
    let written = written_since(tx, &before, version).await?;
    let closed = |ticket: &Ticket| ticket.status_category() == StatusCategory::Closed;
    if closed(&before) && (written.contains("status_id") || closed(&first.ticket)) {
        // Closed by somebody since: nothing changes any more.
        done(tx, first.id, None).await?;
        return Ok(true);
    }

    let Requester { user_id, site_id, customer_id } = whole;
    let ticket = Ticket { user_id, site_id, customer_id, ..first.ticket.clone() };
    let mut input = Input { ticket: &ticket, facts: Some(&facts.known), withheld: BTreeSet::new(), ..first.input() };
    let mut known = Known::default();
    known.put_facts(&facts);
    let evaluated = evaluation::evaluate_given(tx.conn().await?, &set, &mut input, &mut known, None).await?;
    let new_id = tx.new_id();
    let new = NewEvaluation {
        id: new_id,
        set: &set,
        input: &input,
        evaluated: &evaluated,
        stale: false,
        cause: Some(EvaluationCause::Second),
        corrects: Some(first.id),
        awaits: None,
    };
    evaluation::store(tx, &new).await?;

    let prior = references::names(tx.conn().await?, &team_and_agent(&evaluated.ticket)).await?;
    let both = Both { first, second: &evaluated };
    let mut after = both.corrected(now_set.configuration(), &prior, &before, &written);
    let moment = Moment { at: tx.now, held_before_response: held_before_response(tx, &before).await? };
    settle(now_set.configuration(), Some(&before), &mut after, moment);
    let mut summary = evaluated.summary(&set, new_id.to_string(), false);
    // Nobody is told twice.
    summary.matches.retain(|m| first.outcome.matches.iter().all(|known| known.rule_id != m.rule_id));
    if after == before && summary.matches.is_empty() {
        done(tx, first.id, None).await?;
        return Ok(true);
    }
    let actor = tx.actor();
    let mut unnamed = named(&after, &actor);
    unnamed.retain(|(kind, id)| known.get(*kind, id).is_none());
    known.extend(references::names(tx.conn().await?, &unnamed).await?);
    let telling = Telling {
        set: &now_set,
        before: Some(&before),
        action: None,
        evaluation: Some(&summary),
        again: true,
        known: &known,
        actor: &actor,
        at: tx.now,
        imported: false,
        absorbs: false,
    };
    tx.store_told::<Tickets, _>(Some(&before), &mut after, |stored| telling.event(stored)).await?;
    done(tx, first.id, Some(after.version())).await?;
    Ok(true)
}

/// The fields that somebody wrote after the first evaluation: those are left alone. What second evaluations of earlier
/// evaluations wrote does not count, as this one comes after them.
async fn written_since(tx: &mut Tx, ticket: &Ticket, version: i64) -> Result<HashSet<String>, Error> {
    let id: Uuid = ticket.id.parse().map_err(Error::internal)?;
    let fields: Vec<String> = sqlx::query_scalar(
        "select distinct unnest(c.fields) from changes c
         where c.record_type = 'ticket' and c.record_id = $1 and c.version > $2
           and not exists (select from second_evaluations s
                           where s.ticket_id = $1 and s.ticket_version < $2 and s.corrected_version = c.version)",
    )
    .bind(id)
    .bind(version)
    .fetch_all(tx.conn().await?)
    .await?;
    Ok(fields.into_iter().collect())
}

/// The team and the agent that a ticket has.
fn team_and_agent(ticket: &Ticket) -> Vec<(Kind, &str)> {
    let both = [(Kind::Team, ticket.team_id.as_str()), (Kind::Agent, ticket.agent_id.as_str())];
    both.into_iter().filter(|(_, id)| !id.is_empty()).collect()
}

/// An evaluation, and what it would have been with the facts as they are.
struct Both<'a> {
    first: &'a StoredEvaluation,
    second: &'a Evaluated,
}

impl Both<'_> {
    /// Whether one of them set a field. Any other is not theirs to change: since the ticket was stored with the first
    /// evaluation, the second evaluation of an earlier one may have corrected it.
    fn set(&self, field: &str, criterion: &str) -> bool {
        let changes = self.first.outcome.matches.iter().flat_map(|matched| &matched.changes);
        self.second.gave.fields.contains(field) || changes.into_iter().any(|change| change.field == criterion)
    }

    /// The tags that the first evaluation added.
    fn first_tags(&self) -> HashSet<&str> {
        let changes = self.first.outcome.matches.iter().flat_map(|matched| &matched.changes);
        let added = changes.filter(|change| change.field == "ticket.tags").flat_map(|change| &change.to);
        let tags = added.filter_map(|value| match &value.kind {
            Some(criterion_value::Kind::Text(tag)) => Some(tag.as_str()),
            _ => None,
        });
        tags.filter(|tag| self.first.ticket.tags.iter().all(|before| before != tag)).collect()
    }

    /// Gives the custom fields that one of them set the values that the second left.
    fn correct_values(&self, after: &mut Ticket) {
        let first = self.first.outcome.matches.iter().flat_map(|matched| &matched.changes);
        let first = first.filter_map(|change| change.field.strip_prefix("ticket.custom."));
        let keys: BTreeSet<&str> = first.chain(self.second.gave.custom_fields.iter().map(String::as_str)).collect();
        let second = &self.second.ticket.custom_fields;
        let value = |key: &str| {
            let left = second.iter().find(|value| value.key == key).cloned();
            left.unwrap_or_else(|| CustomFieldValue { key: key.to_owned(), kind: None })
        };
        let kept = std::mem::replace(&mut after.custom_fields, keys.into_iter().map(value).collect());
        custom_field::merge(&kept, &mut after.custom_fields);
    }

    /// The ticket with what the second evaluation did, where the first one was the last to write: what both did stays,
    /// what only the first did is taken back, what only the second did is done.
    fn corrected(
        &self,
        configuration: &Configuration,
        known: &Known,
        before: &Ticket,
        written: &HashSet<String>,
    ) -> Ticket {
        let second = &self.second.ticket;
        let mut after = before.clone();
        macro_rules! put {
            ($($field:ident, $criterion:literal: $usable:expr),* $(,)?) => {
                $(if !written.contains(stringify!($field)) && self.set(stringify!($field), $criterion) && $usable {
                    after.$field.clone_from(&second.$field);
                })*
            };
        }
        // A record that was deleted since can be given to no ticket any more.
        put! {
            type_id, "ticket.type": second.type_id.is_empty()
                || configuration.ticket_type(&second.type_id).is_some_and(|found| found.delete_time.is_none()),
            status_id, "ticket.status":
                configuration.status(&second.status_id).is_some_and(|found| found.delete_time.is_none()),
            priority_id, "ticket.priority": second.priority_id.is_empty()
                || configuration.priority(&second.priority_id).is_some_and(|found| found.delete_time.is_none()),
            sla_id, "ticket.sla": second.sla_id.is_empty()
                || configuration.sla(&second.sla_id).is_some_and(|found| found.delete_time.is_none()),
            team_id, "ticket.team": !is_gone(known, Kind::Team, &second.team_id),
            agent_id, "ticket.agent": !is_gone(known, Kind::Agent, &second.agent_id),
        }
        for (level, field) in path::COLUMNS.into_iter().enumerate() {
            let id = path::of(second)[level];
            let live = configuration.ticket_category(id).is_some_and(|found| found.delete_time.is_none());
            if !written.contains(field) && self.set(field, path::CRITERIA[level]) && (id.is_empty() || live) {
                id.clone_into(path::of_mut(&mut after)[level]);
            }
        }
        if path::of(before) != path::of(&after) {
            path::prune(configuration, &mut after);
        }
        if !written.contains("custom_fields") {
            self.correct_values(&mut after);
        }
        if !written.contains("tags") {
            let (first, second) = (self.first_tags(), &self.second.gave.tags);
            after.tags.retain(|tag| second.contains(tag) || !first.contains(tag.as_str()));
            for tag in self.second.ticket.tags.iter().filter(|tag| second.contains(*tag)) {
                if !after.tags.contains(tag) && after.tags.len() < MOST_TAGS {
                    after.tags.push(tag.clone());
                }
            }
        }
        // What was left open because nobody knew it, and is still open.
        if after.user_id == second.user_id {
            if after.site_id.is_empty() && !written.contains("site_id") {
                after.site_id.clone_from(&second.site_id);
            }
            if after.customer_id.is_empty() && !written.contains("customer_id") {
                after.customer_id.clone_from(&second.customer_id);
            }
            after.user_important = second.user_important;
        }
        if after.customer_id == second.customer_id {
            after.customer_important = second.customer_important;
        }
        after
    }
}

async fn done(tx: &mut Tx, id: Uuid, version: Option<i64>) -> Result<(), Error> {
    let now = tx.now;
    sqlx::query("update second_evaluations set done_time = $2, corrected_version = $3 where evaluation_id = $1")
        .bind(id)
        .bind(now)
        .bind(version)
        .execute(tx.conn().await?)
        .await?;
    Ok(())
}
