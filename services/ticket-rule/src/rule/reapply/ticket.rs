//! Rules run again on one ticket.

use std::collections::BTreeSet;

use concierge_proto::ticket_rule::{
    EvaluationCause, EvaluationSummary, ReappliedTicket, ReapplyRulesRequest, StatusCategory, Ticket,
};
use concierge_runtime::{Error, Tx};

use super::job::Job;
use super::rules;
use crate::TicketRule;
use crate::evaluation::{Input, Occasion, evaluate_given};
use crate::facts::references::Known;
use crate::facts::{Facts, Requester};
use crate::ticket::{Moment, Step, Tickets, held_before_response};

/// What became of a ticket.
pub(super) enum Done {
    /// Somebody else goes on with the same batch, and did it.
    ByAnother,
    /// It was closed meanwhile.
    Skipped,
    /// No rule changed anything.
    Unchanged,
    /// A rule did, or would.
    Changed(Box<ReappliedTicket>),
}

/// Before the transaction: the facts. Round trips in it: begin, the place of the batch, the rule set, the ticket, those of
/// [`TicketRule::carry_out`], what became of it if anything did, commit.
pub(super) async fn again(
    service: &TicketRule,
    request: &ReapplyRulesRequest,
    job: &Job,
    found: &Ticket,
) -> Result<Done, Error> {
    let facts = service.facts.ask(Requester::of(found)).await?;
    if request.dry_run {
        return tried(service, request, found, &facts).await;
    }
    let mut tx = service.service.begin().await?;
    tx.request_id.clone_from(&request.request_id);
    match store(service, &mut tx, request, job, found, facts).await {
        Ok(Done::ByAnother) => {
            tx.rollback().await?;
            Ok(Done::ByAnother)
        }
        Ok(done) => {
            service.service.commit(tx).await?;
            Ok(done)
        }
        Err(error) => {
            // The failure is what counts; a rollback that fails too is the pool's business.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

async fn store(
    service: &TicketRule,
    tx: &mut Tx,
    request: &ReapplyRulesRequest,
    job: &Job,
    found: &Ticket,
    facts: Facts,
) -> Result<Done, Error> {
    if !job.take(tx, found.number).await? {
        return Ok(Done::ByAnother);
    }
    let set = service.rule_sets.current(tx).await?;
    let before = tx.get_for_update::<Tickets>(&found.id).await?;
    if before.status_category() == StatusCategory::Closed {
        job.note(tx, false, true).await?;
        return Ok(Done::Skipped);
    }
    let requester = Requester::of(&before);
    // Somebody may have given it another requester since we asked.
    let facts = if requester == Requester::of(found) {
        facts
    } else {
        service.facts.ask_in(tx.conn().await?, requester).await?
    };
    let moment = Moment { at: tx.now, held_before_response: held_before_response(tx, &before).await? };
    let step = Step {
        ticket: before.clone(),
        before: Some(before),
        action: None,
        occasion: Some(Occasion::Asked { rules: rules(&set, request) }),
        cause: Some(EvaluationCause::Reapplied),
        facts: Some(facts),
        known: Known::default(),
        moment,
        imported: false,
        absorbs: false,
    };
    let evaluation = service.carry_out(tx, &set, step).await?.evaluation.unwrap_or_default();
    let done = told(found, evaluation);
    job.note(tx, matches!(done, Done::Changed(_)), false).await?;
    Ok(done)
}

/// What would come of it; nothing is written. Two round trips.
async fn tried(
    service: &TicketRule,
    request: &ReapplyRulesRequest,
    found: &Ticket,
    facts: &Facts,
) -> Result<Done, Error> {
    let set = service.rule_sets.newest().await?;
    let mut input = Input {
        ticket: found,
        before: None,
        action: None,
        facts: Some(&facts.known),
        occasion: Occasion::Asked { rules: rules(&set, request) },
        now: service.service.clock().now(),
        withheld: BTreeSet::new(),
    };
    let mut connection = service.service.pool().acquire().await?;
    let evaluated = evaluate_given(&mut connection, &set, &mut input, &mut Known::default(), None).await?;
    Ok(told(found, evaluated.summary(&set, String::new(), facts.stale)))
}

fn told(ticket: &Ticket, evaluation: EvaluationSummary) -> Done {
    if evaluation.matches.iter().all(|matched| matched.changes.is_empty()) {
        return Done::Unchanged;
    }
    Done::Changed(Box::new(ReappliedTicket {
        ticket_id: ticket.id.clone(),
        ticket_number: ticket.number,
        evaluation_id: evaluation.evaluation_id,
        rule_names: evaluation.matches.iter().map(|matched| matched.rule_name.clone()).collect(),
        changes: evaluation.matches.into_iter().flat_map(|matched| matched.changes).collect(),
    }))
}
