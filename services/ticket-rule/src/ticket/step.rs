//! One change of one ticket: rules, what follows from them, and storing it all. What logs, updates, closes, acts or
//! applies a rule ends here.

use std::collections::BTreeSet;
use std::sync::Arc;

use concierge_proto::ticket_rule::{EvaluationCause, EvaluationSummary, Ticket, TicketAction};
use concierge_proto::{CallerKind, Record};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::Tickets;
use super::event::{Telling, actor_name, named};
use super::store::{insert_action, keep_response_held};
use super::times::{Moment, settle};
use crate::TicketRule;
use crate::evaluation::{self, Input, NewEvaluation, Occasion, RuleSet};
use crate::facts::Facts;
use crate::facts::references::{self, Known};

/// A change about to be carried out: the caller's part is done, that of the rules is left.
#[derive(Debug)]
pub(crate) struct Step {
    /// The ticket before the change, its row locked; `None` for a new one.
    pub(crate) before: Option<Ticket>,
    /// The ticket as the caller wants it, with its id, settled.
    pub(crate) ticket: Ticket,
    /// The action to add, with everything but its author's name.
    pub(crate) action: Option<TicketAction>,
    /// Which rules run; `None` for none.
    pub(crate) occasion: Option<Occasion>,
    /// What the evaluation is made for, where the occasion does not say it.
    pub(crate) cause: Option<EvaluationCause>,
    /// What is known of the requester; `None` when no rule looks at it.
    pub(crate) facts: Option<Facts>,
    /// Names known so far.
    pub(crate) known: Known,
    /// When it happens.
    pub(crate) moment: Moment,
    /// True when the caller said when.
    pub(crate) imported: bool,
    /// True when others are merged into it: that is told, also where no field of it changes.
    pub(crate) absorbs: bool,
}

/// A change carried out.
#[derive(Debug)]
pub(crate) struct Stepped {
    /// As stored.
    pub(crate) ticket: Ticket,
    /// As stored.
    pub(crate) action: Option<TicketAction>,
    /// What the rules did, if any ran.
    pub(crate) evaluation: Option<EvaluationSummary>,
    /// The teams and agents that rules could not give, as they were gone.
    pub(crate) withheld: BTreeSet<Uuid>,
}

impl TicketRule {
    /// Runs the rules and stores ticket, history, event, action and evaluation.
    ///
    /// Round trips: the ticket with its history and event; the evaluation with its facts, and that it was made on stale
    /// ones; one for names not known yet; one for an action.
    pub(crate) async fn carry_out(&self, tx: &mut Tx, set: &Arc<RuleSet>, step: Step) -> Result<Stepped, Error> {
        let Step { before, ticket: wanted, mut action, occasion, cause, facts, mut known, moment, imported, absorbs } =
            step;
        let id = tx.new_id();
        let facts_known = facts.as_ref().map(|facts| &facts.known);
        let stale = facts.as_ref().is_some_and(|facts| facts.stale);
        let seen = action.clone();
        let mut input = occasion.map(|occasion| Input {
            ticket: &wanted,
            before: before.as_ref().filter(|_| matches!(occasion, Occasion::Updated { .. })),
            action: seen.as_ref(),
            facts: facts_known,
            occasion,
            now: moment.at,
            withheld: BTreeSet::new(),
        });
        let actor = tx.actor();
        if let Some(facts) = &facts {
            known.put_facts(facts);
        }
        let evaluated = match &mut input {
            Some(input) => {
                Some(evaluation::evaluate_given(tx.conn().await?, set, input, &mut known, Some(&actor)).await?)
            }
            None => {
                let mut unnamed = named(&wanted, &actor);
                unnamed.retain(|(kind, id)| known.get(*kind, id).is_none());
                known.extend(references::names(tx.conn().await?, &unnamed).await?);
                None
            }
        };
        let mut ticket = match &evaluated {
            Some(evaluated) => evaluated.ticket.clone(),
            None => wanted.clone(),
        };
        if facts.is_none() {
            // Nobody looked: what was known stays so.
            ticket.user_important = wanted.user_important;
            ticket.customer_important = wanted.customer_important;
        }
        let answered = settle(set.configuration(), before.as_ref(), &mut ticket, moment);
        let withheld = input.as_ref().map(|input| input.withheld.clone()).unwrap_or_default();
        let summary = evaluated.as_ref().map(|evaluated| evaluated.summary(set, id.to_string(), stale));

        if let Some(action) = &mut action {
            action.author_name = match actor.kind {
                CallerKind::Service => actor.subject.clone(),
                _ => actor_name(&actor, &known),
            };
        }

        let matched = summary.as_ref().is_some_and(|summary| !summary.matches.is_empty());
        let untouched =
            before.as_ref().filter(|_| !matched && !absorbs && action.is_none()).filter(|b| is_as(b, &ticket)).cloned();
        if let (Some(input), Some(evaluated)) = (&input, &evaluated) {
            let version = before.as_ref().map_or(0, Record::version) + i64::from(untouched.is_none());
            let awaits = stale.then_some(version);
            let new = NewEvaluation { id, set, input, evaluated, stale, cause, corrects: None, awaits };
            evaluation::store(tx, &new).await?;
        }
        if let Some(ticket) = untouched {
            return Ok(Stepped { ticket, action, evaluation: summary, withheld });
        }
        let telling = Telling {
            set,
            before: before.as_ref(),
            action: action.as_ref(),
            evaluation: summary.as_ref(),
            again: false,
            known: &known,
            actor: &actor,
            at: moment.at,
            imported,
            absorbs,
        };
        tx.store_told::<Tickets, _>(before.as_ref(), &mut ticket, |stored| telling.event(stored)).await?;
        if let Some(action) = &action {
            insert_action(tx, action).await?;
        }
        if let Some(held) = answered.filter(|held| !held.is_zero()) {
            keep_response_held(tx, &ticket.id, held).await?;
        }
        let action = action.map(|mut action| {
            action.update_time = action.create_time;
            action.set_etag("1".to_owned());
            action
        });
        Ok(Stepped { ticket, action, evaluation: summary, withheld })
    }
}

/// Whether nothing happened to a ticket. That it is known anew whether somebody is important is not for rules that did
/// not match to store.
fn is_as(before: &Ticket, after: &Ticket) -> bool {
    let (user_important, customer_important) = (before.user_important, before.customer_important);
    *before == Ticket { user_important, customer_important, ..after.clone() }
}
