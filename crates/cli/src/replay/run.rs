//! The rows as calls, in order of time, several tickets at once.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use concierge_proto::record::timestamp;
use concierge_proto::ticket_rule::ticket_service_client::TicketServiceClient;
use concierge_proto::ticket_rule::{
    AddTicketActionRequest, CloseTicketRequest, EvaluationSummary, LogTicketRequest, StatusCategory, Ticket,
    TicketAction, TicketActionVisibility, TicketSource, UpdateTicketRequest,
};
use concierge_runtime::clock::{Clock as _, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::patience;
use super::rows::Row;
use super::world::{SOURCE, UNKNOWN_LOCATION, World};
use crate::client::{Api, Suite, explain, reason, request_id};

/// What happened.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) started: DateTime<Utc>,
    pub(crate) took: Duration,
    pub(crate) logged: usize,
    pub(crate) updated: usize,
    pub(crate) closed: usize,
    /// Rows that an earlier run had replayed.
    pub(crate) already: usize,
    pub(crate) matches: BTreeMap<String, usize>,
    pub(crate) latencies: Vec<Duration>,
    /// Rows that the services refused.
    pub(crate) failures: Vec<(u64, String)>,
}

impl Done {
    /// Whether there is anything that notification could tell of.
    pub(crate) fn changed_something(&self) -> bool {
        self.logged + self.updated + self.closed > 0
    }
}

/// What one lane did.
#[derive(Default)]
struct Lane {
    logged: usize,
    updated: usize,
    closed: usize,
    already: usize,
    matches: BTreeMap<String, usize>,
    latencies: Vec<Duration>,
    failures: Vec<(u64, String)>,
}

enum Outcome {
    Logged,
    Updated,
    Closed,
    Already,
}

pub(crate) async fn run(suite: &Suite, world: &World, rows: &[Row], lanes: u16) -> anyhow::Result<Done> {
    let started = SystemClock.now();
    let clock = Instant::now();
    let bar = ProgressBar::new(rows.len() as u64);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} rows  {per_sec}  {eta} left")?);
    let world = Arc::new(Ids::of(world));
    let mut senders = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..lanes {
        let (sender, mut queue) = mpsc::channel::<Row>(64);
        let client = TicketServiceClient::new(suite.ticket_rule.clone());
        let (world, bar) = (Arc::clone(&world), bar.clone());
        senders.push(sender);
        workers.push(tokio::spawn(async move {
            let mut lane = Lane::default();
            let mut worker = Worker { client, world, tickets: HashMap::new() };
            while let Some(row) = queue.recv().await {
                let started = Instant::now();
                let done = worker.replay(&row, &mut lane.matches).await;
                lane.latencies.push(started.elapsed());
                match done {
                    Ok(Outcome::Logged) => lane.logged += 1,
                    Ok(Outcome::Updated) => lane.updated += 1,
                    Ok(Outcome::Closed) => lane.closed += 1,
                    Ok(Outcome::Already) => lane.already += 1,
                    Err(status) => lane.failures.push((row.line, format!("{:#}", explain(&status)))),
                }
                bar.inc(1);
            }
            lane
        }));
    }
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    for row in rows {
        let lane = usize::try_from(hasher.hash_one(&row.number) % u64::from(lanes)).unwrap_or(0);
        if senders[lane].send(row.clone()).await.is_err() {
            break;
        }
    }
    drop(senders);
    let mut done = Done {
        started,
        took: Duration::ZERO,
        logged: 0,
        updated: 0,
        closed: 0,
        already: 0,
        matches: BTreeMap::new(),
        latencies: Vec::with_capacity(rows.len()),
        failures: Vec::new(),
    };
    for worker in workers {
        let lane = worker.await?;
        done.logged += lane.logged;
        done.updated += lane.updated;
        done.closed += lane.closed;
        done.already += lane.already;
        done.latencies.extend(lane.latencies);
        done.failures.extend(lane.failures);
        for (rule, count) in lane.matches {
            *done.matches.entry(rule).or_default() += count;
        }
    }
    done.took = clock.elapsed();
    done.latencies.sort_unstable();
    done.failures.sort();
    bar.finish_and_clear();
    for (line, failure) in &done.failures {
        eprintln!("line {line}: {failure}");
    }
    Ok(done)
}

/// The ids that rows need.
struct Ids {
    sites: HashMap<String, String>,
    users: HashMap<String, String>,
    teams: HashMap<String, String>,
    priorities: Vec<String>,
    statuses: HashMap<i32, String>,
}

impl Ids {
    fn of(world: &World) -> Self {
        Self {
            sites: world.sites.clone(),
            users: world.users.clone(),
            teams: world.teams.clone(),
            priorities: world.priorities.clone(),
            statuses: world.statuses.clone(),
        }
    }

    fn status(&self, state: &str) -> String {
        let category = match state {
            "New" => StatusCategory::New,
            "Resolved" => StatusCategory::Resolved,
            "Active" | "-100" => StatusCategory::Open,
            _ => StatusCategory::OnHold,
        };
        self.statuses.get(&i32::from(category)).cloned().unwrap_or_default()
    }

    fn priority(&self, level: Option<u8>) -> String {
        level.and_then(|l| self.priorities.get(usize::from(l) - 1)).cloned().unwrap_or_default()
    }

    /// The ticket that a row logs, which carries the incident's number: when the first row was refused it is the second
    /// that does, and a later run must find the same ticket.
    fn ticket(&self, row: &Row) -> Ticket {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "unknown".to_owned());
        Ticket {
            summary: format!("{} / {}: {}", text(&row.category), text(&row.subcategory), text(&row.symptom)),
            user_id: row.caller.as_ref().and_then(|c| self.users.get(c)).cloned().unwrap_or_default(),
            site_id: self.sites.get(row.location.as_deref().unwrap_or(UNKNOWN_LOCATION)).cloned().unwrap_or_default(),
            team_id: self.team(row.group.as_ref()),
            priority_id: self.priority(row.priority),
            impact: row.impact.map_or(0, |i| i32::from(4 - i)),
            urgency: row.urgency.map_or(0, |u| i32::from(4 - u)),
            source: source(row.contact.as_deref()).into(),
            external_id: row.number.clone(),
            external_source: SOURCE.to_owned(),
            logged_time: Some(timestamp(row.opened)),
            ..Default::default()
        }
    }

    fn team(&self, group: Option<&String>) -> String {
        group.and_then(|g| self.teams.get(g)).cloned().unwrap_or_default()
    }
}

/// A call that is made again, with the same `request_id`, while it is refused for a reason that passes.
macro_rules! patiently {
    ($worker:ident.client.$method:ident($request:ident)) => {{
        let client = &$worker.client;
        patience::patiently(move || {
            let (mut client, request) = (client.clone(), $request.clone());
            async move { client.$method(request).await }
        })
    }};
}

struct Worker {
    client: TicketServiceClient<Api>,
    world: Arc<Ids>,
    /// By incident: the ticket's id, and the row before.
    tickets: HashMap<String, (String, Row)>,
}

impl Worker {
    async fn replay(&mut self, row: &Row, matches: &mut BTreeMap<String, usize>) -> Result<Outcome, Status> {
        let Some((ticket_id, before)) = self.tickets.get(&row.number).cloned() else {
            let (id, outcome) = self.log(row, matches).await?;
            self.tickets.insert(row.number.clone(), (id, row.clone()));
            return Ok(outcome);
        };
        let outcome = self.change(row, &ticket_id, &before, matches).await?;
        self.tickets.insert(row.number.clone(), (ticket_id, row.clone()));
        Ok(outcome)
    }

    async fn log(&mut self, row: &Row, matches: &mut BTreeMap<String, usize>) -> Result<(String, Outcome), Status> {
        let request = LogTicketRequest { ticket: Some(self.world.ticket(row)), request_id: request_id() };
        match patiently!(self.client.log_ticket(request)).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                count(matches, answer.evaluation.as_ref());
                Ok((answer.ticket.unwrap_or_default().id, Outcome::Logged))
            }
            Err(status) => already(status).map(|id| (id, Outcome::Already)),
        }
    }

    async fn change(
        &mut self,
        row: &Row,
        ticket_id: &str,
        before: &Row,
        matches: &mut BTreeMap<String, usize>,
    ) -> Result<Outcome, Status> {
        let action = TicketAction {
            text: said(row, before),
            visibility: TicketActionVisibility::Internal.into(),
            external_id: row.action_id(),
            external_source: SOURCE.to_owned(),
            action_time: Some(timestamp(row.time())),
            ..Default::default()
        };
        // A row after the closing one only says something.
        if before.state == "Closed" {
            let request = AddTicketActionRequest {
                ticket_id: ticket_id.to_owned(),
                ticket_action: Some(action),
                request_id: request_id(),
            };
            return settle(patiently!(self.client.add_ticket_action(request)).await, Outcome::Updated)
                .map(|(outcome, _)| outcome);
        }
        if row.state == "Closed" {
            let request = CloseTicketRequest {
                id: ticket_id.to_owned(),
                closed_time: Some(timestamp(row.closed.unwrap_or(row.updated).max(row.time()))),
                ticket_action: Some(action),
                request_id: request_id(),
                ..Default::default()
            };
            return settle(patiently!(self.client.close_ticket(request)).await, Outcome::Closed)
                .map(|(outcome, _)| outcome);
        }
        let mut ticket = Ticket { id: ticket_id.to_owned(), ..Default::default() };
        let mut paths = Vec::new();
        if row.state != before.state {
            ticket.status_id = self.world.status(&row.state);
            paths.push("status_id".to_owned());
        }
        if row.group != before.group && row.group.is_some() {
            ticket.team_id = self.world.team(row.group.as_ref());
            paths.push("team_id".to_owned());
        }
        if row.priority != before.priority && row.priority.is_some() {
            ticket.priority_id = self.world.priority(row.priority);
            paths.push("priority_id".to_owned());
        }
        if paths.is_empty() {
            let request = AddTicketActionRequest {
                ticket_id: ticket_id.to_owned(),
                ticket_action: Some(action),
                request_id: request_id(),
            };
            let (outcome, answer) = settle(patiently!(self.client.add_ticket_action(request)).await, Outcome::Updated)?;
            count(matches, answer.and_then(|a| a.evaluation).as_ref());
            return Ok(outcome);
        }
        let request = UpdateTicketRequest {
            ticket: Some(ticket),
            update_mask: Some(prost_types::FieldMask { paths }),
            request_id: request_id(),
            ticket_action: Some(action),
            changed_time: Some(timestamp(row.time())),
        };
        let (outcome, answer) = settle(patiently!(self.client.update_ticket(request)).await, Outcome::Updated)?;
        count(matches, answer.and_then(|a| a.evaluation).as_ref());
        Ok(outcome)
    }
}

/// A row that was replayed before is no failure.
fn settle<A>(answer: Result<tonic::Response<A>, Status>, outcome: Outcome) -> Result<(Outcome, Option<A>), Status> {
    match answer {
        Ok(answer) => Ok((outcome, Some(answer.into_inner()))),
        Err(status) => already(status).map(|_| (Outcome::Already, None)),
    }
}

/// The id of what carries the row's external id already; any other refusal is passed on.
fn already(status: Status) -> Result<String, Status> {
    if status.code() != Code::AlreadyExists || reason(&status) != "EXTERNAL_ID_TAKEN" {
        return Err(status);
    }
    let details = status.get_error_details();
    let id = details.error_info().and_then(|i| i.metadata.get("id").cloned());
    id.ok_or(status)
}

fn count(matches: &mut BTreeMap<String, usize>, evaluation: Option<&EvaluationSummary>) {
    for matched in evaluation.iter().flat_map(|e| &e.matches) {
        *matches.entry(matched.rule_name.clone()).or_default() += 1;
    }
}

fn source(contact: Option<&str>) -> TicketSource {
    match contact {
        Some("Phone" | "IVR") => TicketSource::Phone,
        Some("Email") => TicketSource::Email,
        Some("Self service") => TicketSource::Portal,
        Some("Direct opening") => TicketSource::Agent,
        _ => TicketSource::Other,
    }
}

/// The row in words.
fn said(row: &Row, before: &Row) -> String {
    let mut parts = Vec::new();
    if row.state != before.state {
        parts.push(format!("state {} to {}", before.state, row.state));
    }
    if let Some(group) = row.group.as_ref().filter(|_| row.group != before.group) {
        parts.push(format!("assigned to {group}"));
    }
    if let Some(priority) = row.priority.filter(|_| row.priority != before.priority) {
        parts.push(format!("priority {priority}"));
    }
    if parts.is_empty() { "worked on".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_row_logs_a_ticket_it_carries_the_number_of_the_incident() {
        let world = Ids::of(&World::default());
        for index in [0, 1] {
            let row = super::super::rows::tests::row_at(index);
            let ticket = world.ticket(&row);
            assert_eq!((ticket.external_id.as_str(), ticket.external_source.as_str()), ("INC1", SOURCE));
        }
    }
}
