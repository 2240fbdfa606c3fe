//! A new order of all rules.

use std::collections::HashSet;

use concierge_proto::ticket_rule::{ReorderRulesRequest, ReorderRulesResponse, Rule};
use concierge_runtime::{Answer, Error};
use tonic::Request;

use super::Rules;
use crate::TicketRule;
use crate::evaluation::{RuleSet, revise_all};

/// How far apart rules stand, so that one fits between two others.
const STEP: i32 = 10;

/// The precedences of rules in a new order.
pub(super) fn precedences() -> impl Iterator<Item = i32> {
    (1..).map(|place| place * STEP)
}

/// One round trip for every thousand rules that move, one for the revision.
pub(super) async fn reorder(
    service: &TicketRule,
    request: Request<ReorderRulesRequest>,
) -> Answer<ReorderRulesResponse> {
    service
        .configure(request, |tx, set, request| {
            Box::pin(async move {
                let moved = moved(&set, &request.rule_ids)?;
                let changed_count = i32::try_from(moved.len()).map_err(Error::internal)?;
                if !moved.is_empty() {
                    let moved = tx.change_many::<Rules>(moved).await?;
                    revise_all(tx, &moved, true).await?;
                }
                Ok(ReorderRulesResponse { changed_count })
            })
        })
        .await
}

/// The rules whose precedence is another one in the new order. No row needs a lock: the configuration has one.
fn moved(set: &RuleSet, order: &[String]) -> Result<Vec<(Rule, Rule)>, Error> {
    let named: HashSet<&str> = order.iter().map(String::as_str).collect();
    let missing = set.rules().filter(|rule| !named.contains(rule.id.as_str())).count();
    let mut unknown = 0;
    let mut moved = Vec::new();
    for (id, precedence) in order.iter().zip(precedences()) {
        match id.parse().ok().and_then(|id| set.rule(id)) {
            None => unknown += 1,
            Some(rule) if rule.precedence() == precedence => {}
            Some(rule) => {
                moved.push((rule.clone(), Rule { precedence: Some(precedence), ..rule.clone() }));
            }
        }
    }
    if missing + unknown > 0 {
        return Err(crate::Error::RuleOrderIncomplete { missing, unknown }.into());
    }
    Ok(moved)
}
