//! The worker: takes what is due, sends it, records what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use concierge_proto::notification::{AttemptOutcome, DeliveryState};
use concierge_runtime::program::Host;
use concierge_runtime::seal::Sealer;
use concierge_runtime::{Error, Service};
use tokio::task::JoinSet;
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
/// So many rows are released or reaped at a time.
const BATCH: i64 = 1_000;

struct Worker {
    service: Service,
    desk: Arc<Desk>,
    sealer: Arc<Sealer>,
    /// Attempts under way; each answers with the sender it went through.
    attempts: JoinSet<Option<Uuid>>,
    under_way: HashMap<Uuid, usize>,
}

/// Sends what is due until the host stops; then ends what it has begun.
pub(crate) async fn run(host: Host) {
    let mut worker = Worker {
        desk: host.service.shared(),
        service: host.service,
        sealer: host.sealer,
        attempts: JoinSet::new(),
        under_way: HashMap::new(),
    };
    let desk = Arc::clone(&worker.desk);
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let tidy = tokio::select! {
            () = host.stop.cancelled() => break,
            () = desk.worker_woken() => false,
            () = desk.senders_woken() => true,
            _ = poll.tick() => true,
            Some(ended) = worker.attempts.join_next() => { worker.ended(ended); false }
        };
        let worked = async {
            if tidy {
                worker.tidy().await?;
            }
            worker.fill().await
        };
        if let Err(error) = worked.await {
            tracing::warn!(%error, "cannot take deliveries; trying again");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // What was begun has a hard limit; ending it now would make its outcome unknown.
    while worker.attempts.join_next().await.is_some() {}
}

impl Worker {
    /// What is seldom to be done: attempts that nobody recorded, e-mails that waited for a sender, metrics.
    async fn tidy(&self) -> Result<(), Error> {
        let pool = self.service.pool();
        let now = self.service.clock().now();
        let unknown = queue::reap(pool, now, BATCH).await?;
        if unknown > 0 {
            tracing::warn!(unknown, "attempts ended without a record; they are repeated");
        }
        let enabled: Vec<Uuid> = accounts(pool).await?.iter().filter(|a| a.enabled).map(|a| a.id).collect();
        while queue::release(pool, now, &enabled, BATCH).await? == BATCH.unsigned_abs() {}
        #[allow(clippy::cast_precision_loss, reason = "a count of rows")]
        metrics::gauge!("concierge_deliveries_due").set(queue::due(pool, now).await? as f64);
        Ok(())
    }

    /// Takes as much as there is room for.
    async fn fill(&mut self) -> Result<(), Error> {
        loop {
            let room = AT_ONCE.saturating_sub(self.attempts.len());
            if room == 0 {
                return Ok(());
            }
            let senders = Arc::new(accounts(self.service.pool()).await?);
            let default = choose(&senders, None).ok().map(|a| a.id);
            let (busy, room) = self.busy(default, room);
            let now = self.service.clock().now();
            let lease = (self.service.clock().new_id(), i64::try_from(room).unwrap_or(1));
            let until = now + self.desk.pace.lease();
            let jobs = queue::take(self.service.pool(), (now, until), lease, &busy, default).await?;
            let full = jobs.len() == room;
            for job in jobs {
                self.begin(job, &senders);
            }
            if !full {
                return Ok(());
            }
        }
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
        let (service, desk, sealer) = (self.service.clone(), Arc::clone(&self.desk), Arc::clone(&self.sealer));
        let senders = Arc::clone(senders);
        let sender = choose(&senders, job.wanted_sender).ok().map(|a| a.id);
        if let Some(sender) = sender {
            *self.under_way.entry(sender).or_default() += 1;
        }
        self.attempts.spawn(async move {
            let record = attempt(&service, &desk, &sealer, &senders, &job).await;
            keep(&service, &desk, &job, &record).await;
            sender
        });
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

/// One attempt: sends, and says what is to be recorded.
async fn attempt(service: &Service, desk: &Desk, sealer: &Sealer, senders: &[Account], job: &Job) -> Record {
    let sender = match choose(senders, job.wanted_sender) {
        Ok(sender) => sender,
        Err(none) => return no_sender(service, job, none.to_string()),
    };
    let password = match sender.password.as_str() {
        "" => Ok(None),
        sealed => sealer.open(PASSWORD, sealed).map(Some),
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
            send_within(desk.pace.limit(), &desk.connections, sender, password.as_ref(), &email).await
        }
    };
    judge(service, job, sender.id, outcome)
}

/// An e-mail without a sender waits without using up its attempts, but not for ever.
fn no_sender(service: &Service, job: &Job, detail: String) -> Record {
    let now = service.clock().now();
    let given_up = now >= job.patience_end;
    Record {
        outcome: AttemptOutcome::NoSender,
        reply_code: 0,
        detail,
        state: if given_up { DeliveryState::Dead } else { DeliveryState::Failed },
        next_attempt_time: (!given_up).then(|| now + wait(4).min(TimeDelta::minutes(5))),
        attempts_left: job.attempts_left + 1,
        sender: None,
    }
}

fn judge(service: &Service, job: &Job, sender: Uuid, outcome: Outcome) -> Record {
    let (told, reply_code, detail) = match outcome {
        Outcome::Accepted(code) => (AttemptOutcome::Accepted, code, String::new()),
        Outcome::RefusedForNow(code, detail) => (AttemptOutcome::RefusedForNow, code, detail),
        Outcome::Refused(code, detail) => (AttemptOutcome::Refused, code, detail),
        Outcome::Unreachable(detail) => (AttemptOutcome::Unreachable, 0, detail),
        Outcome::Unknown(detail) => (AttemptOutcome::Unknown, 0, detail),
    };
    let state = match told {
        AttemptOutcome::Accepted => DeliveryState::Sent,
        AttemptOutcome::Refused => DeliveryState::Dead,
        _ if job.attempts_left <= 0 => DeliveryState::Dead,
        _ => DeliveryState::Failed,
    };
    let tried = u32::try_from(ATTEMPTS - job.attempts_left).unwrap_or(1);
    let next = (state == DeliveryState::Failed).then(|| service.clock().now() + wait(tried));
    Record {
        outcome: told,
        reply_code,
        detail,
        state,
        next_attempt_time: next,
        attempts_left: job.attempts_left.max(0),
        sender: Some(sender),
    }
}

/// Records it, trying for as long as the lease lasts: what is not recorded is unknown.
async fn keep(service: &Service, desk: &Desk, job: &Job, record: &Record) {
    let name = record.outcome.as_str_name().trim_start_matches("ATTEMPT_OUTCOME_").to_lowercase();
    metrics::counter!("concierge_delivery_attempts_total", "outcome" => name).increment(1);
    let ends = tokio::time::Instant::now() + desk.pace.lease().to_std().unwrap_or_default();
    let mut pause = Duration::from_millis(50);
    loop {
        let now = service.clock().now();
        match queue::record(service.pool(), job, record, now).await {
            Ok(true) => {
                if record.state == DeliveryState::Sent {
                    let lag = (now - job.create_time).to_std().unwrap_or_default();
                    metrics::histogram!("concierge_delivery_seconds").record(lag.as_secs_f64());
                }
                return;
            }
            Ok(false) => {
                tracing::warn!(delivery = %job.id, "somebody else has taken the delivery; what this attempt came to is lost");
                return;
            }
            Err(error) if tokio::time::Instant::now() + pause < ends => {
                tracing::warn!(delivery = %job.id, %error, "cannot record an attempt; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) => {
                tracing::error!(delivery = %job.id, %error, "an attempt could not be recorded; it will be repeated");
                return;
            }
        }
    }
}
