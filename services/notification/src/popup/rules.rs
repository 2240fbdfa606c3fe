//! What ticket-rule knows: tickets, the rules that matched them, and those that would match a draft.

use std::future::Future;
use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::notification::{Popup, PopupKind};
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    EvaluateRulesRequest, EvaluateRulesResponse, GetTicketMatchesRequest, GetTicketMatchesResponse, GetTicketRequest,
    RuleMatch, RuleVerdict, Ticket, TicketDraft, TicketSource,
};
use concierge_runtime::Error;
use concierge_runtime::html::{sanitize, shows_nothing};
use concierge_runtime::program::Host;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

/// How long ticket-rule has for all that one screen needs of it.
const BUDGET: Duration = Duration::from_secs(1);
/// What matched may have long texts.
const MOST_BYTES: usize = 64 << 20;

/// The popups of rules, as far as ticket-rule told them.
#[derive(Debug, Default)]
pub(super) struct RulePopups {
    pub(super) popups: Vec<Popup>,
    /// True when it did not tell all of them.
    pub(super) missing: bool,
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
/// An evaluation that a later one corrected does not count. One call, which is one round trip of ticket-rule's to its
/// database, however often the ticket was evaluated; at the same time one more call for the ticket itself.
pub(super) async fn of_ticket(host: &Host, ticket_id: &str) -> RulePopups {
    let Some(upstream) = &host.ticket_rule else { return RulePopups { missing: true, ..Default::default() } };
    let mut client = RuleServiceClient::new(upstream.channel()).max_decoding_message_size(MOST_BYTES);
    let request = upstream.request_within(GetTicketMatchesRequest { ticket_id: ticket_id.to_owned() }, BUDGET);
    match answer(upstream.patience(BUDGET), client.get_ticket_matches(request)).await {
        Ok(GetTicketMatchesResponse { matches }) => {
            let matches = matches.into_iter().filter_map(|matched| matched.r#match);
            RulePopups { popups: popups(matches), missing: false }
        }
        // The ticket is asked for at the same time, and told to be none there.
        Err(status) if status.code() == Code::NotFound => RulePopups::default(),
        Err(status) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "rules of a ticket are missing");
            RulePopups { missing: true, ..Default::default() }
        }
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
            Ok((RulePopups { popups: popups(matches), missing: false }, ticket))
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

/// Of the rules that have a popup text that shows something.
fn popups(matches: impl IntoIterator<Item = RuleMatch>) -> Vec<Popup> {
    let popup = |RuleMatch { rule_id, rule_name, popup_html, .. }| Popup {
        kind: PopupKind::Rule.into(),
        rule_id,
        rule_name,
        html: sanitize(&popup_html),
        ..Default::default()
    };
    matches.into_iter().map(popup).filter(|popup| !shows_nothing(&popup.html)).collect()
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
