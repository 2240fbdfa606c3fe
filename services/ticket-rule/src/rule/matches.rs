//! GetTicketMatches: which rules have matched a ticket, over all its evaluations.

use std::collections::HashSet;

use concierge_proto::Record as _;
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{
    EvaluationCause, GetTicketMatchesRequest, GetTicketMatchesResponse, Ticket, TicketMatch,
};
use concierge_runtime::{Answer, Call, Error, html, reply};
use uuid::Uuid;

use crate::TicketRule;
use crate::evaluation::stored::{self, StoredOutcome};

/// One round trip, whatever happened to the ticket: outcomes are stored, so no rule runs again.
pub(super) async fn matches(
    service: &TicketRule,
    request: GetTicketMatchesRequest,
) -> Answer<GetTicketMatchesResponse> {
    let absent = || Error::NotFound { record_type: Ticket::TYPE, id: request.ticket_id.clone() };
    let id: Uuid = request.ticket_id.parse().map_err(|_| absent())?;
    if let Some(call) = Call::current() {
        call.remaining()?;
    }
    let outcomes = stored::outcomes(service.service.pool(), id).await?.ok_or_else(absent)?;
    Ok(reply(GetTicketMatchesResponse { matches: last(outcomes) }))
}

/// Each rule once, where it matched last; `newest_first` are the evaluations that count.
fn last(newest_first: Vec<StoredOutcome>) -> Vec<TicketMatch> {
    let mut seen = HashSet::new();
    let mut evaluations: Vec<Vec<TicketMatch>> = Vec::with_capacity(newest_first.len());
    for evaluation in newest_first {
        let mut matched = Vec::new();
        for mut rule in evaluation.outcome.matches {
            if !seen.insert(rule.rule_id.clone()) {
                continue;
            }
            // What is safe is known better with time.
            rule.popup_html = html::sanitize(&rule.popup_html);
            matched.push(TicketMatch {
                evaluation_id: evaluation.id.to_string(),
                cause: EvaluationCause::try_from(evaluation.cause).unwrap_or_default().into(),
                corrected_evaluation_id: evaluation.corrects.map(|id| id.to_string()).unwrap_or_default(),
                time: Some(timestamp(evaluation.time)),
                r#match: Some(rule),
            });
        }
        evaluations.push(matched);
    }
    evaluations.into_iter().rev().flatten().collect()
}
