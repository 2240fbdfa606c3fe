//! The worker: takes what is due, sends it, records what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use concierge_proto::notification::{AttemptOutcome, DeliveryState};
use concierge_runtime::program::Host;
use concierge_runtime::telemetry::work_span;
use concierge_runtime::{Error, Service};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use super::message::Email;
use super::pace::wait;
use super::queue::{self, ATTEMPTS, Busy, Job, Record};
use super::smtp::{Outcome, send_within};
use crate::desk::Desk;
use crate::email_sender::PASSWORD;
use crate::email_sender::store::{Account, accounts, choose};

/// So many attempts are under way at once, in one process.
const AT_ONCE: usize = 32;
/// So many of them through one e-mail sender, so that a server that hangs does not hold up the others.
const PER_SENDER: usize = 8;
/// How often to look when nothing woke us.
const POLL: Duration = Duration::from_secs(1);
/// How often to look after what hardly ever happens, or only people look at.
const SELDOM: Duration = Duration::from_secs(15);
/// So many rows are released or reaped at a time.
const BATCH: i64 = 1_000;

struct Worker {
    host: Host,
    desk: Arc<Desk>,
    /// Attempts under way; each answers with the sender it went through.
    attempts: JoinSet<Option<Uuid>>,
    under_way: HashMap<Uuid, usize>,
    /// When to look after what is seldom looked after.
    seldom: Instant,
}

/// Why to tidy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tidy {
    No,
    /// Some time has passed.
    Time,
    /// E-mail senders were changed.
    Senders,
}

/// Sends what is due until the host stops; then ends what servers are getting already, and puts the rest back.
pub(crate) async fn run(host: Host) {
    let mut worker = Worker {
        desk: host.service.shared(),
        host: host.clone(),
        attempts: JoinSet::new(),
        under_way: HashMap::new(),
        seldom: Instant::now(),
    };
    let desk = Arc::clone(&worker.desk);
    // There from the beginning, so that a first one is an increase.
    for outcome in (1..).map_while(|number| AttemptOutcome::try_from(number).ok()) {
        attempted(outcome).increment(0);
    }
    drop(seconds());
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let tidy = tokio::select! {
            biased;
            () = host.stop.cancelled() => break,
            () = desk.senders_woken() => Tidy::Senders,
            _ = poll.tick() => Tidy::Time,
            Some(ended) = worker.attempts.join_next() => { worker.ended(ended); Tidy::No }
            () = desk.worker_woken() => Tidy::No,
        };
        let worked = async {
            if tidy != Tidy::No {
                worker.tidy(tidy).await?;
            }
            worker.fill().await
        };
        if let Err(error) = worked.await {
            tracing::warn!(error = error.cause(), "cannot take deliveries; trying again");
            if tidy == Tidy::Senders {
                // What waits for them is still to be woken.
                desk.senders_changed();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // What a server is getting has a hard limit; ending it now would make its outcome unknown.
    while worker.attempts.join_next().await.is_some() {}
}

impl Worker {
    /// What is seldom to be done: attempts that nobody recorded, connections that nobody needs, e-mails that waited for
    /// a sender, metrics.
    async fn tidy(&mut self, why: Tidy) -> Result<(), Error> {
        let pool = self.host.service.pool();
        let now = self.host.clock().now();
        let unknown = queue::reap(pool, now, BATCH).await?;
        if unknown > 0 {
            tracing::warn!(unknown, "attempts ended without a record; they are repeated");
        }
        let accounts = accounts(pool).await?;
        self.desk.connections.sweep(&accounts);
        let seldom = self.seldom <= Instant::now();
        if seldom || why == Tidy::Senders {
            let change = why == Tidy::Senders;
            let enabled: Vec<Uuid> = accounts.iter().filter(|a| a.enabled).map(|a| a.id).collect();
            while queue::release(pool, now, &enabled, change, BATCH).await? == BATCH.unsigned_abs() {}
        }
        if seldom {
            #[allow(clippy::cast_precision_loss, reason = "a count of rows")]
            metrics::gauge!("concierge_deliveries_due").set(queue::due(pool, now).await? as f64);
            self.seldom = Instant::now() + SELDOM;
        }
        Ok(())
    }

    /// Takes as much as there is room for.
    async fn fill(&mut self) -> Result<(), Error> {
        while !self.host.stop.is_cancelled() {
            let room = AT_ONCE.saturating_sub(self.attempts.len());
            if room == 0 {
                return Ok(());
            }
            let service = &self.host.service;
            let senders = Arc::new(accounts(service.pool()).await?);
            let default = choose(&senders, None).ok().map(|a| a.id);
            let (busy, room) = self.busy(default, room);
            let now = service.clock().now();
            let lease = (service.clock().new_id(), i64::try_from(room).unwrap_or(1));
            let until = now + self.desk.pace.lease();
            let jobs = queue::take(service.pool(), (now, until), lease, &busy, default).await?;
            let full = jobs.len() == room;
            for job in jobs {
                self.begin(job, &senders);
            }
            if !full {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whom to leave out, and how much to take so that nobody left in gets too much.
    fn busy(&self, default: Option<Uuid>, room: usize) -> (Busy, usize) {
        let mut busy = Busy::default();
        let mut least = room.min(PER_SENDER);
        for (sender, under_way) in &self.under_way {
            if *under_way >= PER_SENDER {
                busy.senders.push(*sender);
                busy.unnamed |= default == Some(*sender);
            } else {
                least = least.min(PER_SENDER - under_way);
            }
        }
        (busy, least)
    }

    fn begin(&mut self, job: Job, senders: &Arc<Vec<Account>>) {
        let (host, desk) = (self.host.clone(), Arc::clone(&self.desk));
        let senders = Arc::clone(senders);
        let sender = choose(&senders, job.wanted_sender).ok().map(|a| a.id);
        if let Some(sender) = sender {
            *self.under_way.entry(sender).or_default() += 1;
        }
        let span = work_span("send e-mail", &job.traceparent);
        let work = async move {
            match attempt(&host, &desk, &senders, &job).await {
                Some(record) => keep(&host.service, &desk, &job, &record).await,
                None => put_back(&host.service, &job).await,
            }
            sender
        };
        self.attempts.spawn(work.instrument(span));
    }

    fn ended(&mut self, ended: Result<Option<Uuid>, tokio::task::JoinError>) {
        match ended {
            Ok(Some(sender)) => {
                if let Some(under_way) = self.under_way.get_mut(&sender) {
                    *under_way -= 1;
                    if *under_way == 0 {
                        self.under_way.remove(&sender);
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                // Which sender it was is not known any more: counting begins anew, with a little too much at worst.
                tracing::error!(%error, "an attempt to send panicked");
                self.under_way.clear();
            }
        }
    }
}

/// One attempt: sends, and says what is to be recorded; `None` when it was given up before the server got anything.
async fn attempt(host: &Host, desk: &Desk, senders: &[Account], job: &Job) -> Option<Record> {
    let service = &host.service;
    let sender = match choose(senders, job.wanted_sender) {
        Ok(sender) => sender,
        Err(none) => return Some(no_sender(service, job, none.to_string())),
    };
    let password = match sender.password.as_str() {
        "" => Ok(None),
        sealed => host.sealer.open(PASSWORD, sealed).map(Some),
    };
    let email = Email {
        message_id: &job.message_id,
        to_address: &job.address,
        to_name: &job.recipient_name,
        subject: &job.subject,
        body_html: &job.body_html,
        time: job.create_time,
    };
    let outcome = match (email.prepare(sender), password) {
        (Err(error), _) => Outcome::Refused(0, error.to_string()),
        (_, Err(error)) => Outcome::Unreachable(error.to_string()),
        (Ok(email), Ok(password)) => {
            let stop = host.stop.cancelled();
            send_within(desk.pace.limit(), &desk.connections, sender, password.as_ref(), &email, stop).await
        }
    };
    judge(service, job, sender.id, outcome)
}

/// An e-mail without a sender waits without using up its attempts, but not for ever. Nobody looks at it until there is
/// a sender: then it is woken.
fn no_sender(service: &Service, job: &Job, detail: String) -> Record {
    let now = service.clock().now();
    let given_up = now >= job.patience_end;
    Record {
        outcome: AttemptOutcome::NoSender,
        reply_code: 0,
        detail,
        state: if given_up { DeliveryState::Dead } else { DeliveryState::Failed },
        next_attempt_time: (!given_up).then_some(job.patience_end),
        attempts_left: job.attempts_left + 1,
        sender: None,
        waits_for_sender: !given_up,
    }
}

/// The server does not let the sender in: that says nothing of the e-mail, so its attempts are not used up. It is tried
/// again, ever more seldom, or when an e-mail sender is changed, and not for ever.
fn not_let_in(service: &Service, job: &Job, sender: Uuid, (reply_code, detail): (i32, String)) -> Record {
    let now = service.clock().now();
    let given_up = now >= job.patience_end;
    let tried = u32::try_from(job.attempts.len()).unwrap_or(u32::MAX);
    Record {
        outcome: AttemptOutcome::RefusedForNow,
        reply_code,
        detail,
        state: if given_up { DeliveryState::Dead } else { DeliveryState::Failed },
        next_attempt_time: (!given_up).then(|| now + wait(tried)),
        attempts_left: job.attempts_left + 1,
        sender: Some(sender),
        waits_for_sender: !given_up,
    }
}

fn judge(service: &Service, job: &Job, sender: Uuid, outcome: Outcome) -> Option<Record> {
    let (told, reply_code, detail) = match outcome {
        Outcome::Accepted(code) => (AttemptOutcome::Accepted, code, String::new()),
        Outcome::RefusedForNow(code, detail) => (AttemptOutcome::RefusedForNow, code, detail),
        Outcome::Refused(code, detail) => (AttemptOutcome::Refused, code, detail),
        Outcome::Unreachable(detail) => (AttemptOutcome::Unreachable, 0, detail),
        Outcome::Unknown(detail) => (AttemptOutcome::Unknown, 0, detail),
        Outcome::NotLetIn(code, detail) => return Some(not_let_in(service, job, sender, (code, detail))),
        Outcome::GivenUp => return None,
    };
    let state = match told {
        AttemptOutcome::Accepted => DeliveryState::Sent,
        AttemptOutcome::Refused => DeliveryState::Dead,
        _ if job.attempts_left <= 0 => DeliveryState::Dead,
        _ => DeliveryState::Failed,
    };
    let tried = u32::try_from(ATTEMPTS - job.attempts_left).unwrap_or(1);
    let next = (state == DeliveryState::Failed).then(|| service.clock().now() + wait(tried));
    Some(Record {
        outcome: told,
        reply_code,
        detail,
        state,
        next_attempt_time: next,
        attempts_left: job.attempts_left.max(0),
        sender: Some(sender),
        waits_for_sender: false,
    })
}

/// Puts back what was given up; what cannot be put back is repeated after its lease.
async fn put_back(service: &Service, job: &Job) {
    match queue::put_back(service.pool(), job, service.clock().now()).await {
        Ok(_) => tracing::debug!(delivery = %job.id, "not sent: this process stops"),
        Err(error) => {
            tracing::warn!(delivery = %job.id, error = error.cause(), "cannot put back a delivery; it waits for its lease")
        }
    }
}

/// Counts the attempts that came to this.
fn attempted(outcome: AttemptOutcome) -> metrics::Counter {
    let name = outcome.as_str_name().trim_start_matches("ATTEMPT_OUTCOME_").to_lowercase();
    metrics::counter!("concierge_delivery_attempts_total", "outcome" => name)
}

/// How long e-mails took from being written to being accepted.
fn seconds() -> metrics::Histogram {
    metrics::histogram!("concierge_delivery_seconds")
}

/// Records it, trying for as long as the lease lasts: what is not recorded is unknown.
async fn keep(service: &Service, desk: &Desk, job: &Job, record: &Record) {
    attempted(record.outcome).increment(1);
    let ends = Instant::now() + desk.pace.lease().to_std().unwrap_or_default();
    let mut pause = Duration::from_millis(50);
    loop {
        let now = service.clock().now();
        match queue::record(service.pool(), job, record, now).await {
            Ok(true) => {
                if record.state == DeliveryState::Sent {
                    let lag = (now - job.create_time).to_std().unwrap_or_default();
                    seconds().record(lag.as_secs_f64());
                }
                return;
            }
            Ok(false) => {
                tracing::warn!(delivery = %job.id, "somebody else has taken the delivery; what this attempt came to is lost");
                return;
            }
            Err(error) if Instant::now() + pause < ends => {
                tracing::warn!(delivery = %job.id, error = error.cause(), "cannot record an attempt; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) => {
                tracing::error!(delivery = %job.id, error = error.cause(), "an attempt could not be recorded; it will be repeated");
                return;
            }
        }
    }
}
