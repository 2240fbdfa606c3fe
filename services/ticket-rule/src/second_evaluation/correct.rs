//! One second evaluation.

use std::collections::HashSet;

use concierge_proto::Record as _;
use concierge_proto::ticket_rule::{StatusCategory, Ticket};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use crate::TicketRule;
use crate::evaluation::{self, Configuration, Evaluated, Input, NewEvaluation, StoredEvaluation};
use crate::facts::references::{self, Known};
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
    let Some(first) = stored else { return Err(Error::internal(format!("the evaluation {id} is gone"))) };
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
    let input = Input { ticket: &ticket, facts: Some(&facts.known), ..first.input() };
    let evaluated = evaluation::evaluate(&set, &input);
    let new_id = tx.new_id();
    let new = NewEvaluation {
        id: new_id,
        set: &set,
        input: &input,
        evaluated: &evaluated,
        stale: false,
        corrects: Some(first.id),
    };
    evaluation::store(tx, &new).await?;

    let mut after = corrected(now_set.configuration(), &before, &evaluated, &written);
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
    let known = names(tx, &after, &facts).await?;
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

/// The ticket with what the second evaluation did, where the first one was the last to write: what both did stays, what
/// only the first did is taken back, what only the second did is done.
fn corrected(
    configuration: &Configuration,
    before: &Ticket,
    evaluated: &Evaluated,
    written: &HashSet<String>,
) -> Ticket {
    let second = &evaluated.ticket;
    let mut after = before.clone();
    macro_rules! put {
        ($($field:ident: $usable:expr),* $(,)?) => {
            $(if !written.contains(stringify!($field)) && $usable {
                after.$field.clone_from(&second.$field);
            })*
        };
    }
    // A record that was deleted since can be given to no ticket any more.
    put! {
        type_id: second.type_id.is_empty()
            || configuration.ticket_type(&second.type_id).is_some_and(|found| found.delete_time.is_none()),
        status_id: configuration.status(&second.status_id).is_some_and(|found| found.delete_time.is_none()),
        priority_id: second.priority_id.is_empty()
            || configuration.priority(&second.priority_id).is_some_and(|found| found.delete_time.is_none()),
        sla_id: second.sla_id.is_empty()
            || configuration.sla(&second.sla_id).is_some_and(|found| found.delete_time.is_none()),
        team_id: true,
        agent_id: true,
        tags: true,
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

async fn names(tx: &mut Tx, ticket: &Ticket, facts: &Facts) -> Result<Known, Error> {
    let actor = tx.actor();
    let mut known = references::names(tx.conn().await?, &named(ticket, &actor)).await?;
    known.put_facts(facts);
    Ok(known)
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
