//! What an evaluation of rules is: what rules see, which rules there are, what they do, and what is kept of it.
//!
//! [`evaluate`] is pure and the only place where rules are run: LogTicket, UpdateTicket, EvaluateRules, ExplainTicket,
//! ApplyRule and second evaluations call it alike, and only the caller commits.

mod compare;
pub mod configuration;
mod given;
mod inputs;
mod record;
mod rule;
pub mod rule_set;
pub mod rule_sets;
pub mod stored;
mod trace;
pub mod walk;

use chrono::{DateTime, Utc};
use concierge_criteria::FieldSet;
use concierge_proto::directory::RequesterFacts;
use concierge_proto::ticket_rule::{EvaluationSummary, Ticket, TicketAction};

pub use compare::{Difference, Pair};
pub use configuration::Configuration;
pub(crate) use given::{evaluate_given, is_gone};
pub use inputs::{Inputs, StoredInput};
pub(crate) use rule::compile;
pub use rule_set::RuleSet;
pub use rule_sets::RuleSets;
pub(crate) use rule_sets::{revise, revise_all};
pub use stored::{NewEvaluation, StoredEvaluation, store};
pub(crate) use walk::MOST_TAGS;
pub use walk::{Evaluated, Gave, Input, Occasion, evaluate, evaluate_explained};

/// What a change of a ticket changed by itself, before any rule; its [`names`] are for [`Occasion::Updated`]. That is every field of the
/// ticket that differs, those of an action that is added, and every fact about a user, site or customer that is another
/// one now.
pub fn changed(
    set: &RuleSet,
    before: &Ticket,
    after: &Ticket,
    action: Option<&TicketAction>,
    now: DateTime<Utc>,
) -> FieldSet {
    record::changed(set.configuration(), before, after, action, now)
}

/// The names of fields of a set, in the order of the contract's table, custom ones after them.
pub fn names(set: &RuleSet, fields: &FieldSet) -> Vec<String> {
    record::names(set.configuration().fields().schema(), fields)
}

/// What rules see of a ticket that is asked about at this time.
pub(crate) fn seen(
    set: &RuleSet,
    ticket: &Ticket,
    action: Option<&TicketAction>,
    facts: Option<&RequesterFacts>,
    now: DateTime<Utc>,
) -> concierge_criteria::Record {
    let ticket = record::settled(set.configuration(), ticket);
    record::record(set.configuration(), &record::Seen { ticket: &ticket, action, facts, now })
}

/// The summary of an evaluation in which no rule was asked.
pub fn nothing(set: &RuleSet, stale: bool) -> EvaluationSummary {
    EvaluationSummary { stale, rule_set_revision: set.revision(), ..EvaluationSummary::default() }
}
