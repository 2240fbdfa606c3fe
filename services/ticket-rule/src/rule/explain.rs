//! Why rules did what they did, from what was stored with an evaluation: the evaluation is made again and told.

use concierge_proto::Value;
use concierge_proto::ticket_rule::{ExplainTicketRequest, ExplainTicketResponse, RuleTrace, RuleVerdict};
use concierge_runtime::query::{Fingerprint, PageTokenError, QueryErrors, page_size};
use concierge_runtime::{Answer, Call, Error, reply};
use uuid::Uuid;

use super::conceal::conceal;
use crate::TicketRule;
use crate::evaluation::{evaluate_explained, stored};
use crate::ticket::Tickets;

const METHOD: &str = "ExplainTicket";

/// Three round trips at most: the ticket, the evaluation, and the rule set if it is not in memory.
pub(super) async fn explain(service: &TicketRule, request: ExplainTicketRequest) -> Answer<ExplainTicketResponse> {
    let tokens = service.service.page_tokens().await?;
    let fingerprint = fingerprint(&request);
    let position = match request.page_token.as_str() {
        "" => None,
        token => Some(position(&tokens.open(token, fingerprint).map_err(QueryErrors::from).map_err(Error::from)?)?),
    };
    let ticket = service.service.read::<Tickets>(&request.ticket_id).await?;
    if let Some(call) = Call::current() {
        call.remaining()?;
    }
    let mut connection = service.service.pool().acquire().await.map_err(Error::from)?;
    let wanted = position.map(|(evaluation, _)| evaluation).or_else(|| request.evaluation_id.parse().ok());
    let evaluation = match wanted {
        Some(id) => stored::get(&mut connection, id)
            .await?
            .filter(|found| found.ticket.id == ticket.id)
            .ok_or_else(|| Error::NotFound { record_type: "evaluation", id: id.to_string() })?,
        None => {
            let id: Uuid = ticket.id.parse().map_err(Error::internal)?;
            let none = || crate::Error::TicketNotEvaluated { id: ticket.id.clone(), number: ticket.number };
            stored::latest(&mut connection, id).await?.ok_or_else(none).map_err(Error::from)?
        }
    };
    let set = service.rule_sets.at(&mut connection, evaluation.revision).await?;
    drop(connection);

    let start = position.map_or(0, |(_, place)| place);
    let limit = usize::from(page_size(request.page_size));
    let mut place = 0;
    let from_start = |_: Uuid| {
        place += 1;
        place > start
    };
    let (_, traces) = evaluate_explained(&set, &evaluation.input(), from_start);
    let mut found = traces.into_iter().enumerate().filter(|(_, trace)| is_wanted(trace, &request.verdicts));
    let page: Vec<(usize, RuleTrace)> = found.by_ref().take(limit).collect();
    let next_page_token = match (page.last(), found.next()) {
        (Some((last, _)), Some(_)) => {
            let next = i64::try_from(start + last + 1).map_err(Error::internal)?;
            tokens.seal(fingerprint, &[Value::Id(evaluation.id), Value::Int(next)])
        }
        _ => String::new(),
    };
    let mut traces: Vec<RuleTrace> = page.into_iter().map(|(_, trace)| trace).collect();
    conceal(&mut traces);
    Ok(reply(ExplainTicketResponse { evaluation: Some(evaluation.told()), traces, next_page_token }))
}

/// A page token is of one ticket, one evaluation asked for and one choice of verdicts.
fn fingerprint(request: &ExplainTicketRequest) -> Fingerprint {
    let verdicts: Vec<u8> = request.verdicts.iter().flat_map(|verdict| verdict.to_be_bytes()).collect();
    Fingerprint::of([METHOD.as_bytes(), request.ticket_id.as_bytes(), request.evaluation_id.as_bytes(), &verdicts])
}

/// The evaluation, and the place in the order of its rules, where a page goes on.
fn position(values: &[Value]) -> Result<(Uuid, usize), Error> {
    match values {
        [Value::Id(evaluation), Value::Int(place)] => {
            Ok((*evaluation, usize::try_from(*place).map_err(Error::internal)?))
        }
        _ => Err(QueryErrors::from(PageTokenError::Outdated).into()),
    }
}

/// Whether a verdict was asked for; none asked for means all.
pub(super) fn is_wanted(trace: &RuleTrace, verdicts: &[i32]) -> bool {
    verdicts.is_empty() || verdicts.contains(&trace.verdict)
}

/// The verdicts of rules that were looked at.
pub(super) const CONSIDERED: [i32; 3] =
    [RuleVerdict::Matched as i32, RuleVerdict::NotMatched as i32, RuleVerdict::Undecided as i32];
