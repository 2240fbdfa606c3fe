//! One rule on one ticket, because somebody asks for it.

use std::collections::BTreeSet;

use concierge_proto::Record as _;
use concierge_proto::ticket_rule::{ApplyRuleRequest, ApplyRuleResponse, Rule, StatusCategory};
use concierge_runtime::{Answer, Error, Tx};
use tonic::Request;

use super::conceal::conceal;
use crate::TicketRule;
use crate::evaluation::{Input, Occasion, evaluate_explained};
use crate::facts::references::Known;
use crate::facts::{Facts, Requester};
use crate::ticket::{Moment, Step, Tickets, held_before_response, refuse_merged};

/// Before the transaction: the ticket, then its facts. Round trips in the transaction, beside those of every write: the
/// rule set; the ticket, locked; then those of [`TicketRule::carry_out`].
pub(super) async fn apply(service: &TicketRule, request: Request<ApplyRuleRequest>) -> Answer<ApplyRuleResponse> {
    // What is wrong is told later: a repeated request gets its first answer all the same.
    let prepared = prepare(service, &request.get_ref().ticket_id).await;
    let service = service.clone();
    service
        .service
        .clone()
        .write(request, move |tx, request| Box::pin(async move { run(&service, tx, request, prepared?).await }))
        .await
}

async fn prepare(service: &TicketRule, ticket_id: &str) -> Result<(Requester, Facts), Error> {
    let ticket = service.service.read::<Tickets>(ticket_id).await?;
    let requester = Requester::of(&ticket);
    let facts = service.facts.ask(requester.clone()).await?;
    Ok((requester, facts))
}

async fn run(
    service: &TicketRule,
    tx: &mut Tx,
    request: ApplyRuleRequest,
    (asked, facts): (Requester, Facts),
) -> Result<ApplyRuleResponse, Error> {
    let set = service.rule_sets.current(tx).await?;
    let rule = request.rule_id.parse().ok().and_then(|id| Some((id, set.rule(id)?)));
    let (rule_id, rule) =
        rule.ok_or_else(|| Error::NotFound { record_type: Rule::TYPE, id: request.rule_id.clone() })?;
    let before = tx.get_for_update::<Tickets>(&request.ticket_id).await?;
    tx.check_etag(&before, &request.etag)?;
    if !rule.enabled() {
        return Err(crate::Error::RuleDisabled { id: rule.id.clone(), name: rule.name.clone() }.into());
    }
    refuse_merged(tx, &before).await?;
    if before.status_category() == StatusCategory::Closed {
        return Err(crate::Error::TicketClosed { id: before.id.clone(), number: before.number }.into());
    }
    let requester = Requester::of(&before);
    // Somebody else may have given it another requester since we asked.
    let facts = if requester == asked { facts } else { service.facts.ask_in(tx.conn().await?, requester).await? };
    let occasion = Occasion::Asked { rules: BTreeSet::from([rule_id]) };
    let moment = Moment { at: tx.now, held_before_response: held_before_response(tx, &before).await? };
    let step = Step {
        ticket: before.clone(),
        before: Some(before.clone()),
        action: None,
        occasion: Some(occasion.clone()),
        cause: None,
        facts: Some(facts.clone()),
        known: Known::default(),
        moment,
        imported: false,
        absorbs: false,
    };
    let done = service.carry_out(tx, &set, step).await?;
    let input = Input {
        ticket: &before,
        before: None,
        action: None,
        facts: Some(&facts.known),
        occasion,
        now: moment.at,
        withheld: done.withheld,
    };
    let (_, mut traces) = evaluate_explained(&set, &input, |id| id == rule_id);
    conceal(&mut traces);
    Ok(ApplyRuleResponse { ticket: Some(done.ticket), evaluation: done.evaluation, trace: traces.pop() })
}
