//! What ticket-rule knows: tickets, the rules that matched them, and those that would match a draft.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::notification::{Popup, PopupKind};
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    EvaluateRulesRequest, EvaluateRulesResponse, ExplainTicketRequest, GetTicketRequest, RuleVerdict, Ticket,
    TicketDraft, TicketSource,
};
use concierge_runtime::Error;
use concierge_runtime::html::sanitize;
use concierge_runtime::program::Host;
use concierge_runtime::upstream::Upstream;
use tokio::time::Instant;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

/// How long ticket-rule has for all that one screen needs of it.
const BUDGET: Duration = Duration::from_secs(1);
/// What matched may have long texts.
const MOST_BYTES: usize = 64 << 20;
/// So many evaluations are kept in memory.
const KEPT: usize = 2_000;

/// The popups of rules, as far as ticket-rule told them.
#[derive(Debug, Default)]
pub(super) struct RulePopups {
    pub(super) popups: Vec<Popup>,
    /// True when it did not tell all of them.
    pub(super) missing: bool,
}

/// What became of the rules in one evaluation. Evaluations do not change, so they need not be asked for again.
#[derive(Debug)]
struct Matched {
    /// The ticket's evaluation before; empty for its first.
    previous_id: String,
    /// The evaluation that this one repeated on fresh facts; empty for none.
    corrected_id: String,
    /// One for each rule that matched, in the order in which they ran; without HTML for a rule without popup text.
    popups: Vec<Popup>,
}

/// Evaluations asked for before, by id.
#[derive(Debug, Default)]
struct Evaluations(Mutex<HashMap<String, Arc<Matched>>>);

impl Evaluations {
    fn get(&self, id: &str) -> Option<Arc<Matched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, id: String, matched: Arc<Matched>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, matched);
    }
}

/// A ticket; `None` when ticket-rule does not answer.
pub(super) async fn ticket(host: &Host, id: &str) -> Result<Option<Ticket>, Error> {
    let Some(upstream) = &host.ticket_rule else { return Ok(None) };
    let mut client = TicketServiceClient::new(upstream.channel());
    let request = upstream.request_within(GetTicketRequest { id: id.to_owned() }, BUDGET);
    match answer(upstream.patience(BUDGET), client.get_ticket(request)).await {
        Ok(answer) => Ok(answer.ticket),
        Err(status) if status.code() == Code::NotFound => {
            Err(Error::NotFound { record_type: Ticket::TYPE, id: id.to_owned() })
        }
        Err(status) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "no ticket from ticket-rule");
            Ok(None)
        }
    }
}

/// The popups of the rules that have matched a ticket: each rule once, where it matched last, with the text it had then.
/// An evaluation that a later one corrected does not count. One call for each evaluation not asked for before.
pub(super) async fn of_ticket(host: &Host, ticket_id: &str) -> RulePopups {
    let Some(upstream) = &host.ticket_rule else { return RulePopups { missing: true, ..Default::default() } };
    let known = host.service.shared::<Evaluations>();
    let deadline = Instant::now() + upstream.patience(BUDGET);
    let (mut corrected, mut seen) = (HashSet::new(), HashSet::new());
    let mut newest_first: Vec<Vec<Popup>> = Vec::new();
    let mut missing = false;
    // The latest, whichever that is.
    let mut id = String::new();
    loop {
        let matched = match known.get(&id) {
            Some(matched) => matched,
            None => match explain(upstream, ticket_id, &id, deadline).await {
                Ok(Some((told_id, matched))) => {
                    let matched = Arc::new(matched);
                    known.put(told_id.clone(), Arc::clone(&matched));
                    id = told_id;
                    matched
                }
                Ok(None) => break,
                Err(status) => {
                    tracing::warn!(code = ?status.code(), message = status.message(), "rules of a ticket are missing");
                    missing = true;
                    break;
                }
            },
        };
        if !corrected.contains(&id) {
            newest_first
                .push(matched.popups.iter().filter(|popup| seen.insert(popup.rule_id.clone())).cloned().collect());
        }
        if !matched.corrected_id.is_empty() {
            corrected.insert(matched.corrected_id.clone());
        }
        if matched.previous_id.is_empty() {
            break;
        }
        id.clone_from(&matched.previous_id);
    }
    let popups = newest_first.into_iter().rev().flatten().filter(|popup| !popup.html.is_empty()).collect();
    RulePopups { popups, missing }
}

/// One evaluation, the latest if none is named, with its id; `None` when there is none.
async fn explain(
    upstream: &Upstream,
    ticket_id: &str,
    evaluation_id: &str,
    deadline: Instant,
) -> Result<Option<(String, Matched)>, Status> {
    let mut client = RuleServiceClient::new(upstream.channel()).max_decoding_message_size(MOST_BYTES);
    let mut question = ExplainTicketRequest {
        ticket_id: ticket_id.to_owned(),
        evaluation_id: evaluation_id.to_owned(),
        verdicts: vec![RuleVerdict::Matched.into()],
        page_size: 1_000,
        page_token: String::new(),
    };
    let mut popups = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let request = upstream.request_within(question.clone(), left);
        let page = match answer(left, client.explain_ticket(request)).await {
            Ok(page) => page,
            // Not evaluated: no rule can have matched it. Not there: the ticket is asked for at the same time.
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => return Ok(None),
            Err(status) => return Err(status),
        };
        popups.extend(page.traces.into_iter().map(|t| popup(t.rule_id, t.rule_name, &t.popup_html)));
        if page.next_page_token.is_empty() {
            let evaluation = page.evaluation.unwrap_or_default();
            let matched = Matched {
                previous_id: evaluation.previous_evaluation_id,
                corrected_id: evaluation.corrected_evaluation_id,
                popups,
            };
            return Ok(Some((evaluation.id, matched)));
        }
        question.page_token = page.next_page_token;
    }
}

/// The popups of the rules that would match a draft, and the ticket that it would become; `None` for it when
/// ticket-rule does not answer.
pub(super) async fn of_draft(host: &Host, draft: TicketDraft) -> Result<(RulePopups, Option<Ticket>), Error> {
    let unanswered = (RulePopups { missing: true, ..Default::default() }, None);
    let Some(upstream) = &host.ticket_rule else { return Ok(unanswered) };
    let mut draft = draft;
    // An agent is about to log it; the service that asks is not who counts.
    if draft.source() == TicketSource::Unspecified {
        draft.set_source(TicketSource::Agent);
    }
    let question =
        EvaluateRulesRequest { draft: Some(draft), verdicts: vec![RuleVerdict::Matched.into()], ..Default::default() };
    let mut client = RuleServiceClient::new(upstream.channel()).max_decoding_message_size(MOST_BYTES);
    match answer(upstream.patience(BUDGET), client.evaluate_rules(upstream.request_within(question, BUDGET))).await {
        Ok(EvaluateRulesResponse { ticket, evaluation, .. }) => {
            let matches = evaluation.unwrap_or_default().matches;
            let popups = matches.into_iter().map(|m| popup(m.rule_id, m.rule_name, &m.popup_html));
            let popups = popups.filter(|popup| !popup.html.is_empty()).collect();
            Ok((RulePopups { popups, missing: false }, ticket))
        }
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition) => {
            Err(refused(&status))
        }
        Err(status) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "the rules for a draft are missing");
            Ok(unanswered)
        }
    }
}

fn popup(rule_id: String, rule_name: String, html: &str) -> Popup {
    Popup { kind: PopupKind::Rule.into(), rule_id, rule_name, html: sanitize(html), ..Default::default() }
}

/// What ticket-rule says is wrong with a draft, which is what is wrong with the request.
fn refused(status: &Status) -> Error {
    let details = status.get_error_details();
    let reason = details.error_info().and_then(|info| Reason::from_str_name(&format!("REASON_{}", info.reason)));
    let mut violations = Violations::default();
    for violation in details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default() {
        violations.add(violation.field.clone(), violation.description.clone());
    }
    let message = status.message().to_owned();
    match reason {
        Some(reason) => crate::Error::DraftRefused { code: status.code(), reason, message, violations }.into(),
        None => Error::internal(message),
    }
}

/// The answer of a call that has so long; no answer is one, too.
async fn answer<A>(
    within: Duration,
    call: impl Future<Output = Result<Response<A>, Status>> + Send,
) -> Result<A, Status> {
    match tokio::time::timeout(within, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}
