//! Step 4: a ticket, what the rules did to it, and why.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use concierge_proto::common::{CriterionValue, criterion_value::Kind};
use concierge_proto::ticket_rule::rule_service_client::RuleServiceClient;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    CriterionTrace, ExplainTicketRequest, LogTicketRequest, RuleVerdict, Ticket, TicketSource, Truth,
};

use super::{World, said, told, words};
use crate::client::{Suite, request_id};

/// The director logs a ticket.
pub(super) async fn log(suite: &Suite, world: &World) -> anyhow::Result<Ticket> {
    let ticket = Ticket {
        summary: "The board's conference line is silent".to_owned(),
        user_id: world.director.id.clone(),
        source: TicketSource::Phone.into(),
        ..Default::default()
    };
    let logged = TicketServiceClient::new(suite.ticket_rule.clone())
        .log_ticket(LogTicketRequest { ticket: Some(ticket), request_id: request_id() })
        .await
        .map_err(told)?
        .into_inner();
    let ticket = logged.ticket.context("a ticket")?;
    for matched in logged.evaluation.iter().flat_map(|evaluation| &evaluation.matches) {
        let fields: Vec<&str> = matched.changes.iter().map(|change| change.field.as_str()).collect();
        said(&format!("{} set {}", matched.rule_name, fields.join(", ")));
    }
    let team = [&world.white_glove, &world.retention].into_iter().find(|team| team.id == ticket.team_id);
    let Some(team) = team else { bail!("the rules did not give the ticket to a team of the demo") };
    said(&format!("ticket #{}: team {}, tags {:?}", ticket.number, team.name, ticket.tags));
    Ok(ticket)
}

/// For every rule: whether it matched, and if not, at which criterion and on which values.
pub(super) async fn explain_rules(suite: &Suite, world: &World, ticket: &Ticket) -> anyhow::Result<()> {
    let explained = RuleServiceClient::new(suite.ticket_rule.clone())
        .explain_ticket(ExplainTicketRequest { ticket_id: ticket.id.clone(), ..Default::default() })
        .await
        .map_err(told)?
        .into_inner();
    let names: HashMap<&str, &str> =
        [&world.high_value, &world.at_risk].into_iter().map(|r| (r.id.as_str(), r.name.as_str())).collect();
    for trace in &explained.traces {
        said(&format!("{}: {}", trace.rule_name, words(trace.verdict().as_str_name(), "RULE_VERDICT_")));
        if trace.verdict() == RuleVerdict::NotMatched {
            let failed = trace.criteria.iter().filter(|criterion| criterion.truth() == Truth::Fails);
            failed.for_each(|criterion| said(&format!("  {}", why_not(criterion, &names))));
        }
    }
    Ok(())
}

fn why_not(trace: &CriterionTrace, names: &HashMap<&str, &str>) -> String {
    let values = |values: &[CriterionValue]| {
        let names = values.iter().map(|value| match &value.kind {
            Some(Kind::Id(id)) => names.get(id.as_str()).copied().unwrap_or(id).to_owned(),
            other => format!("{other:?}"),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let criterion = trace.criterion.clone().unwrap_or_default();
    let operator = words(criterion.operator().as_str_name(), "OPERATOR_");
    format!("{} {operator} {}: fails on {}", criterion.field, values(&criterion.values), values(&trace.seen))
}
