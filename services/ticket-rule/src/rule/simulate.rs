//! What another set of rules would have done to past tickets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::{
    SimulateRulesRequest, SimulateRulesResponse, SimulatedField, SimulatedRule, SimulationExample, SimulationResult,
    Ticket,
};
use concierge_proto::{Fields as _, Permission, PermissionSet};
use concierge_runtime::program::{Parts, Sender};
use concierge_runtime::query::{Expr, QueryError, QueryErrors};
use concierge_runtime::{Call, Error};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::change::ChangedSet;
use crate::TicketRule;
use crate::evaluation::{Difference, Inputs, Pair, RuleSet, StoredInput};

/// So many evaluations are looked at unless another number is given.
const USUAL: i64 = 100_000;
/// So many examples are told of unless another number is given.
const USUAL_EXAMPLES: usize = 10;
/// So many rules are told of.
const MOST_RULES: usize = 1_000;
/// So many simulations run in a process: each takes a core.
const AT_ONCE: usize = 2;

/// The simulations that may begin.
#[derive(Debug)]
struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Round trips: what [`TicketRule::changed_set`] takes, the newest revision, a count; then one for each thousand inputs,
/// and one where these have facts that no input before them had.
pub(super) async fn simulate(
    service: &TicketRule,
    request: SimulateRulesRequest,
) -> Result<Parts<SimulateRulesResponse>, Error> {
    let call = Call::current();
    if let (Some(call), Some(permission)) = (&call, Permission::named("tickets.read")) {
        call.require(permission, None)?;
    }
    let permissions = call.map_or(PermissionSet::ALL, |call| call.permissions());
    let filter = Expr::parse(&request.filter, Ticket::FIELDS, permissions)
        .map_err(|errors| QueryErrors(errors.into_iter().map(QueryError::Filter).collect()))?;
    let set = service.rule_sets.newest().await?;
    let changed = service.changed_set(&set, &request.change.clone().unwrap_or_default(), "change").await?;
    let room = service.service.shared::<Room>();
    let place = Arc::clone(&room.0).try_acquire_owned().map_err(|_| Error::Overloaded)?;
    let most = if request.max_evaluations > 0 { i64::from(request.max_evaluations) } else { USUAL };
    let inputs = Inputs::new(service.service.pool().clone(), filter, most);
    let examples = request.max_examples.map_or(USUAL_EXAMPLES, |most| usize::try_from(most).unwrap_or(0));
    Ok(service.host.stream(4, move |sender| async move {
        let ended = run(&set, changed, inputs, examples, &sender).await;
        drop(place);
        ended
    }))
}

async fn run(
    set: &Arc<RuleSet>,
    changed: ChangedSet,
    mut inputs: Inputs,
    examples: usize,
    sender: &Sender<SimulateRulesResponse>,
) -> Result<(), Error> {
    let total_count = inputs.count().await?;
    let then = Arc::new(changed.set.clone());
    let mut work = Work { pair: Pair::new(Arc::clone(set), then), found: Found::new(examples) };
    loop {
        let batch = inputs.next().await?;
        let is_last = batch.is_empty();
        // Thousands of evaluations take a while, in which this thread has other calls to serve.
        work = tokio::task::spawn_blocking(move || work.go(&batch)).await.map_err(Error::internal)?;
        let mut part = SimulateRulesResponse {
            total_count,
            simulated_count: work.found.simulated,
            differing_count: work.found.differing,
            result: None,
        };
        if is_last {
            part.result = Some(work.found.result(set, &changed));
            return sender.send(part).await;
        }
        sender.send(part).await?;
    }
}

struct Work {
    pair: Pair,
    found: Found,
}

impl Work {
    fn go(mut self, batch: &[StoredInput]) -> Self {
        for stored in batch {
            self.found.simulated += 1;
            if let Some(difference) = self.pair.differ(&stored.input()) {
                self.found.note(stored, difference);
            }
        }
        self
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    simulated: i64,
    differing: i64,
    tickets: HashSet<Uuid>,
    fields: HashMap<String, i64>,
    rules: HashMap<Uuid, Counts>,
    most_examples: usize,
    /// Those that show a rule or a field that none before shows; and others.
    telling: Vec<SimulationExample>,
    others: Vec<SimulationExample>,
}

/// In how many evaluations a rule does otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    newly_matched: i64,
    no_longer_matched: i64,
    newly_undecided: i64,
}

impl Counts {
    fn sum(self) -> i64 {
        self.newly_matched + self.no_longer_matched + self.newly_undecided
    }
}

impl Found {
    fn new(most_examples: usize) -> Self {
        Self { most_examples, ..Self::default() }
    }

    fn note(&mut self, stored: &StoredInput, difference: Difference) {
        self.differing += 1;
        self.tickets.extend(stored.ticket.id.parse::<Uuid>().ok());
        let mut is_telling = false;
        for change in &difference.changes {
            let count = self.fields.entry(change.field.clone()).or_default();
            is_telling |= *count == 0;
            *count += 1;
        }
        let mut count = |ids: &[Uuid], of: fn(&mut Counts) -> &mut i64| {
            for id in ids {
                let counts = self.rules.entry(*id).or_default();
                is_telling |= counts.sum() == 0;
                *of(counts) += 1;
            }
        };
        count(&difference.newly_matched, |counts| &mut counts.newly_matched);
        count(&difference.no_longer_matched, |counts| &mut counts.no_longer_matched);
        count(&difference.newly_undecided, |counts| &mut counts.newly_undecided);
        let kept = if is_telling { &mut self.telling } else { &mut self.others };
        if kept.len() < self.most_examples {
            kept.push(example(stored, difference));
        }
    }

    fn result(self, set: &RuleSet, changed: &ChangedSet) -> SimulationResult {
        let mut fields: Vec<SimulatedField> =
            self.fields.into_iter().map(|(field, count)| SimulatedField { field, count }).collect();
        fields.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.field.cmp(&b.field)));
        let mut rules: Vec<(Uuid, Counts)> = self.rules.into_iter().collect();
        rules.sort_by_key(|(id, counts)| (std::cmp::Reverse(counts.sum()), *id));
        rules.truncate(MOST_RULES);
        let name = |id: Uuid| changed.set.rule(id).or_else(|| set.rule(id)).map(|rule| rule.name.clone());
        let rules = rules.into_iter().map(|(id, counts)| SimulatedRule {
            rule_id: changed.told_id(id),
            rule_name: name(id).unwrap_or_default(),
            newly_matched_count: counts.newly_matched,
            no_longer_matched_count: counts.no_longer_matched,
            newly_undecided_count: counts.newly_undecided,
        });
        let mut examples = self.telling;
        examples.extend(self.others);
        examples.truncate(self.most_examples);
        examples.sort_by(|a, b| b.evaluation_id.cmp(&a.evaluation_id));
        for example in &mut examples {
            let ids = [
                &mut example.newly_matched_rule_ids,
                &mut example.no_longer_matched_rule_ids,
                &mut example.newly_undecided_rule_ids,
            ];
            for id in ids.into_iter().flatten() {
                if let Ok(known) = id.parse() {
                    *id = changed.told_id(known);
                }
            }
        }
        SimulationResult {
            rule_set_revision: set.revision(),
            differing_ticket_count: i64::try_from(self.tickets.len()).unwrap_or(i64::MAX),
            fields,
            rules: rules.collect(),
            examples,
        }
    }
}

fn example(stored: &StoredInput, difference: Difference) -> SimulationExample {
    let ids = |ids: Vec<Uuid>| ids.into_iter().map(|id| id.to_string()).collect();
    SimulationExample {
        ticket_id: stored.ticket.id.clone(),
        ticket_number: stored.ticket.number,
        ticket_summary: stored.ticket.summary.clone(),
        evaluation_id: stored.id.to_string(),
        time: Some(timestamp(stored.time)),
        changes: difference.changes,
        newly_matched_rule_ids: ids(difference.newly_matched),
        no_longer_matched_rule_ids: ids(difference.no_longer_matched),
        newly_undecided_rule_ids: ids(difference.newly_undecided),
    }
}
