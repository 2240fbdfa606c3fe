//! Rules run again on tickets that are there already: slowly, each ticket once, whoever is stopped in between.

mod job;
mod ticket;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::ticket_rule::{
    ListTicketsRequest, ReappliedTicket, ReapplyRulesRequest, ReapplyRulesResponse, RuleAppliesTo, Ticket,
};
use concierge_runtime::program::{Parts, Sender};
use concierge_runtime::resource::Only;
use concierge_runtime::{Call, Error};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::problems::Problems;
use crate::TicketRule;
use crate::evaluation::RuleSet;
use crate::ticket::Tickets;
use job::Job;
use ticket::Done;

/// So many tickets a second when the request does not say.
const PACE: i32 = 20;
/// So many tickets are looked for at a time.
const AHEAD: i32 = 200;
/// So often it is told how far it is.
const TELL: Duration = Duration::from_secs(1);
/// So long one ticket may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many examples a call tells.
const EXAMPLES: usize = 20;

/// Before the first part: the filter is tried, the tickets are counted by the thousand, and the batch is found or begun.
pub(super) async fn reapply(
    service: &TicketRule,
    request: ReapplyRulesRequest,
) -> Result<Parts<ReapplyRulesResponse>, Error> {
    let caller = Call::current();
    if let Some(call) = &caller {
        call.unbroken()?;
    }
    // Where the filter is wrong is told by its own places.
    page(service, &request.filter, None, 1).await?;
    let job = if request.dry_run { Job::dry() } else { Job::open(service, &request).await? };
    if job.position == 0 {
        // What goes on does without a rule that was deleted meanwhile.
        let set = service.rule_sets.newest().await?;
        check_rules(&set, &request.rule_ids)?;
    }
    let left = count(service, &request.filter, job.position).await?;
    let told = ReapplyRulesResponse { total_count: job.done_count + left, ..job.told() };
    let batch = |sender| Batch { service: service.clone(), told, examples: 0, sender, caller, request, job };
    Ok(service.host.stream(1, |sender| batch(sender).work()))
}

struct Batch {
    service: TicketRule,
    request: ReapplyRulesRequest,
    job: Job,
    told: ReapplyRulesResponse,
    /// How many were told.
    examples: usize,
    sender: Sender<ReapplyRulesResponse>,
    caller: Option<Arc<Call>>,
}

impl Batch {
    /// What is done is kept whenever it is dropped, and the same request goes on with the rest.
    async fn work(mut self) -> Result<(), Error> {
        let pace = if self.request.tickets_per_second == 0 { PACE } else { self.request.tickets_per_second };
        let mut beat = interval(Duration::from_secs(1) / u32::try_from(pace).unwrap_or(1));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            let tickets =
                self.called(page(&self.service, &self.request.filter, Some(self.job.position), AHEAD)).await?;
            if tickets.is_empty() {
                self.told.finished = true;
                self.tell().await?;
                return Ok(());
            }
            for found in tickets {
                beat.tick().await;
                let done = self.called(ticket::again(&self.service, &self.request, &self.job, &found)).await?;
                self.note(&found, done);
                if last.elapsed() >= TELL {
                    last = Instant::now();
                    self.tell().await?;
                }
            }
        }
    }

    fn note(&mut self, found: &Ticket, done: Done) {
        self.job.position = found.number;
        match done {
            Done::ByAnother => return,
            Done::Skipped => self.told.skipped_count += 1,
            Done::Unchanged => {}
            Done::Changed(example) => {
                self.told.changed_count += 1;
                self.example(*example);
            }
        }
        self.told.done_count += 1;
    }

    fn example(&mut self, example: ReappliedTicket) {
        if self.examples < EXAMPLES {
            self.examples += 1;
            self.told.examples.push(example);
        }
    }

    async fn tell(&mut self) -> Result<(), Error> {
        let part = self.told.clone();
        self.told.examples.clear();
        self.sender.send(part).await
    }

    /// Does something as the caller, with a time of its own: the call that began the stream has long been answered.
    async fn called<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match &self.caller {
            Some(call) => {
                let deadline = std::time::Instant::now() + PATIENCE;
                Arc::new(Call { deadline, ..(**call).clone() }).scope(work).await
            }
            None => work.await,
        }
    }
}

/// The tickets that are not closed, the oldest first: all, or those after a place. One round trip.
async fn page(service: &TicketRule, filter: &str, after: Option<i64>, size: i32) -> Result<Vec<Ticket>, Error> {
    let filter = match after {
        None => filter.to_owned(),
        Some(number) => {
            let wanted = if filter.trim().is_empty() { String::new() } else { format!(" AND ({filter})") };
            format!("number > {number} AND status_category != CLOSED{wanted}")
        }
    };
    let request =
        ListTicketsRequest { filter, order_by: "number".to_owned(), page_size: size, ..ListTicketsRequest::default() };
    Ok(service.service.page::<Tickets, _>(&request, Only::everything()).await?.0)
}

async fn count(service: &TicketRule, filter: &str, after: i64) -> Result<i64, Error> {
    let (mut count, mut after) = (0, after);
    loop {
        let tickets = page(service, filter, Some(after), 1_000).await?;
        let Some(last) = tickets.last() else { return Ok(count) };
        after = last.number;
        count += i64::try_from(tickets.len()).unwrap_or_default();
    }
}

/// Refuses ids of no live rules.
fn check_rules(set: &RuleSet, ids: &[String]) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (index, id) in ids.iter().enumerate() {
        if id.parse().ok().and_then(|id| set.rule(id)).is_none() {
            problems.no_rule(format!("rule_ids[{index}]"), id);
        }
    }
    problems.result()
}

/// The rules that run: those asked for, or all that run on existing tickets; never one that is not enabled.
fn rules(set: &RuleSet, request: &ReapplyRulesRequest) -> BTreeSet<Uuid> {
    let asked: BTreeSet<Uuid> = request.rule_ids.iter().filter_map(|id| id.parse().ok()).collect();
    let runs = |applies_to: RuleAppliesTo| !matches!(applies_to, RuleAppliesTo::New | RuleAppliesTo::Manual);
    set.rules()
        .filter(|rule| rule.enabled())
        .filter_map(|rule| Some((rule, rule.id.parse::<Uuid>().ok()?)))
        .filter(|(rule, id)| if asked.is_empty() { runs(rule.applies_to()) } else { asked.contains(id) })
        .map(|(_, id)| id)
        .collect()
}
