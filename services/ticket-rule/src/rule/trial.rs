//! What the rules would do to a draft.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use concierge_proto::error::Reason;
use concierge_proto::record::{datetime, timestamp};
use concierge_proto::ticket_rule::{
    EvaluateRulesRequest, EvaluateRulesResponse, StatusCategory, Ticket, TicketDraft, TicketSource,
};
use concierge_proto::{CallerKind, Violations};
use concierge_runtime::{Answer, Call, Error, reply};
use uuid::Uuid;

use super::conceal::conceal;
use super::explain::{CONSIDERED, is_wanted};
use crate::TicketRule;
use crate::evaluation::{Input, Occasion, RuleSet, evaluate_explained, evaluate_given};
use crate::ticket::{Moment, give_team, settle};

/// So many traces are told at most.
const MOST_TRACES: usize = 1_000;

/// Beside one call of directory: one round trip for the records that the draft names, one for the newest revision;
/// one for the team of its type and one for the team and the agent that rules give, if they do.
pub(super) async fn evaluate(service: &TicketRule, request: EvaluateRulesRequest) -> Answer<EvaluateRulesResponse> {
    let EvaluateRulesRequest { draft, rule_ids, verdicts } = request;
    let now = service.service.clock().now();
    let mut wanted = ticket(draft.unwrap_or_default());
    let call = Call::current();
    let kind = call.as_ref().map_or(CallerKind::Service, |call| call.kind());
    if wanted.source() == TicketSource::Unspecified {
        wanted.set_source(if kind == CallerKind::Agent { TicketSource::Agent } else { TicketSource::Api });
    }
    let at = wanted.logged_time.as_ref().and_then(datetime).unwrap_or(now);
    let (mut draft, set) = tokio::try_join!(service.draft(wanted, "draft"), service.rule_sets.newest())?;
    if at > now {
        draft.problems.invalid("logged_time", "must not be in the future");
    }
    let (mut ticket, facts, mut known) = draft.complete(set.configuration(), false)?;
    let mut connection = service.service.pool().acquire().await.map_err(Error::from)?;
    give_team(&mut connection, set.configuration(), &mut ticket, &mut known).await?;
    ticket.logged_time = Some(timestamp(at));
    ticket.set_logged_by_kind(kind);
    let caller = call.and_then(|call| call.caller.as_ref()?.subject.parse::<Uuid>().ok());
    ticket.logged_by_id = caller.map(|id| id.to_string()).unwrap_or_default();
    let moment = Moment { at, held_before_response: TimeDelta::zero() };
    settle(set.configuration(), None, &mut ticket, moment);

    let occasion = occasion(&set, &rule_ids)?;
    let stale = facts.stale;
    if ticket.status_category() == StatusCategory::Closed {
        // On closed tickets no rule runs.
        let evaluation = Some(crate::evaluation::nothing(&set, stale));
        return Ok(reply(EvaluateRulesResponse { ticket: Some(ticket), evaluation, traces: Vec::new() }));
    }
    let mut input = Input {
        ticket: &ticket,
        before: None,
        action: None,
        facts: Some(&facts.known),
        occasion,
        now: at,
        withheld: BTreeSet::new(),
    };
    evaluate_given(&mut connection, &set, &mut input, &mut known, None).await?;
    drop(connection);
    let (evaluated, mut traces) = evaluate_explained(&set, &input, |_| true);
    let verdicts = if verdicts.is_empty() { CONSIDERED.to_vec() } else { verdicts };
    traces.retain(|trace| is_wanted(trace, &verdicts));
    traces.truncate(MOST_TRACES);
    conceal(&mut traces);
    let evaluation = Some(evaluated.summary(&set, String::new(), stale));
    let mut ticket = evaluated.ticket;
    settle(set.configuration(), None, &mut ticket, moment);
    Ok(reply(EvaluateRulesResponse { ticket: Some(ticket), evaluation, traces }))
}

fn ticket(draft: TicketDraft) -> Ticket {
    Ticket {
        summary: draft.summary,
        details: draft.details,
        user_id: draft.user_id,
        site_id: draft.site_id,
        customer_id: draft.customer_id,
        type_id: draft.type_id,
        status_id: draft.status_id,
        team_id: draft.team_id,
        agent_id: draft.agent_id,
        priority_id: draft.priority_id,
        impact: draft.impact,
        urgency: draft.urgency,
        sla_id: draft.sla_id,
        source: draft.source,
        tags: draft.tags,
        follower_user_ids: draft.follower_user_ids,
        external_id: draft.external_id,
        external_source: draft.external_source,
        logged_time: draft.logged_time,
        category_1_id: draft.category_1_id,
        category_2_id: draft.category_2_id,
        category_3_id: draft.category_3_id,
        category_4_id: draft.category_4_id,
        custom_fields: draft.custom_fields,
        ..Ticket::default()
    }
}

/// All rules for new tickets, or those asked for.
fn occasion(set: &RuleSet, rule_ids: &[String]) -> Result<Occasion, Error> {
    if rule_ids.is_empty() {
        return Ok(Occasion::Logged);
    }
    let mut violations = Violations::default();
    let mut rules = BTreeSet::new();
    for (index, id) in rule_ids.iter().enumerate() {
        match id.parse().ok().filter(|id| set.rule(*id).is_some()) {
            Some(id) => {
                rules.insert(id);
            }
            None => violations.add(format!("rule_ids[{index}]"), format!("there is no live rule {id}")),
        }
    }
    if violations.is_empty() {
        return Ok(Occasion::Asked { rules });
    }
    Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations })
}
