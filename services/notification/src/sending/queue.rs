//! The queue: deliveries by e-mail that are due, taken with `FOR UPDATE SKIP LOCKED` so that replicas share the work.

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::notification::{AttemptOutcome, Delivery, DeliveryAttempt, DeliveryState};
use concierge_proto::record::timestamp;
use concierge_proto::{Fields as _, Value};
use concierge_runtime::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// So many attempts are made before a delivery is given up.
pub(crate) const ATTEMPTS: i32 = 12;
/// So many attempts are kept.
const KEPT: usize = 50;
/// No more are counted for the metrics than this.
const COUNTED: i64 = 100_000;

/// A delivery that was taken: its attempt is committed as begun.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) lease: Uuid,
    /// The last is the one that begins.
    pub(super) attempts: Vec<DeliveryAttempt>,
    pub(super) attempts_left: i32,
    pub(super) address: String,
    pub(super) recipient_name: String,
    pub(super) subject: String,
    pub(super) body_html: String,
    pub(super) message_id: String,
    pub(super) wanted_sender: Option<Uuid>,
    pub(super) create_time: DateTime<Utc>,
    pub(super) patience_end: DateTime<Utc>,
    /// The trace of the event that led to it.
    pub(super) traceparent: String,
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) outcome: AttemptOutcome,
    pub(super) reply_code: i32,
    pub(super) detail: String,
    pub(super) state: DeliveryState,
    pub(super) next_attempt_time: Option<DateTime<Utc>>,
    pub(super) attempts_left: i32,
    pub(super) sender: Option<Uuid>,
    /// True when a change of an e-mail sender may help sooner than time does.
    pub(super) waits_for_sender: bool,
}

/// Which e-mails are not to be taken now, because their server has as much to do as it gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy {
    /// Those that name one of these senders.
    pub(super) senders: Vec<Uuid>,
    /// Those that name none.
    pub(super) unnamed: bool,
}

/// Takes what is due: begins an attempt of each, and commits. One round trip.
pub(super) async fn take(
    pool: &PgPool,
    (now, lease_end): (DateTime<Utc>, DateTime<Utc>),
    (lease, limit): (Uuid, i64),
    busy: &Busy,
    default_sender: Option<Uuid>,
) -> Result<Vec<Job>, Error> {
    let begun = DeliveryAttempt { start_time: Some(timestamp(now)), ..Default::default() };
    let rows = sqlx::query(
        "update deliveries d set state = 2, lease = $4, due_time = $3, next_attempt_time = null,
             attempts = coalesce(d.attempts, ''::bytea) || $5, attempt_count = d.attempt_count + 1,
             attempts_left = d.attempts_left - 1, waits_for_sender = false,
             email_sender_id = coalesce(d.wanted_sender_id, $6), version = d.version + 1, update_time = $1
         from (select id from deliveries
               where due_time <= $1 and state in (1, 4)
                   and (wanted_sender_id is null and not $7 or wanted_sender_id <> all($8))
               order by due_time limit $2 for update skip locked) due
         where d.id = due.id
         returning d.id, d.attempts, d.attempts_left, d.address, d.recipient_name, d.subject, d.body_html,
             d.message_id, d.wanted_sender_id, d.create_time, d.patience_end, d.traceparent",
    )
    .bind(now)
    .bind(limit)
    .bind(lease_end)
    .bind(lease)
    .bind(encode(vec![begun]))
    .bind(default_sender)
    .bind(busy.unnamed)
    .bind(&busy.senders)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| job(row, lease)).collect()
}

fn job(row: &PgRow, lease: Uuid) -> Result<Job, Error> {
    Ok(Job {
        id: row.try_get(0)?,
        lease,
        attempts: decode(row.try_get(1)?),
        attempts_left: row.try_get(2)?,
        address: row.try_get(3)?,
        recipient_name: row.try_get(4)?,
        subject: row.try_get(5)?,
        body_html: row.try_get(6)?,
        message_id: row.try_get(7)?,
        wanted_sender: row.try_get(8)?,
        create_time: row.try_get(9)?,
        patience_end: row.try_get(10)?,
        traceparent: row.try_get(11)?,
    })
}

/// Records what an attempt came to, unless another has taken the delivery since. One round trip.
pub(super) async fn record(pool: &PgPool, job: &Job, record: &Record, now: DateTime<Utc>) -> Result<bool, Error> {
    let mut attempts = job.attempts.clone();
    if let Some(last) = attempts.last_mut() {
        last.end_time = Some(timestamp(now));
        last.outcome = record.outcome.into();
        last.reply_code = record.reply_code;
        last.detail.clone_from(&record.detail);
    }
    let sent_time = (record.state == DeliveryState::Sent).then_some(now);
    let done = sqlx::query(
        "update deliveries set state = $3, attempts = $4, next_attempt_time = $5, due_time = $5, sent_time = $6,
             attempts_left = $7, email_sender_id = $8, waits_for_sender = $9, lease = null, version = version + 1,
             update_time = $10
         where id = $1 and lease = $2 and state = 2",
    )
    .bind(job.id)
    .bind(job.lease)
    .bind(i32::from(record.state))
    .bind(encode(attempts))
    .bind(record.next_attempt_time)
    .bind(sent_time)
    .bind(record.attempts_left)
    .bind(record.sender)
    .bind(record.waits_for_sender)
    .bind(now)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a delivery back as if its attempt had never begun, unless another has taken it since. One round trip.
pub(super) async fn put_back(pool: &PgPool, job: &Job, now: DateTime<Utc>) -> Result<bool, Error> {
    let mut attempts = job.attempts.clone();
    attempts.pop();
    let state = if attempts.is_empty() { DeliveryState::Pending } else { DeliveryState::Failed };
    let done = sqlx::query(
        "update deliveries set state = $3, attempts = $4, attempt_count = attempt_count - 1,
             attempts_left = attempts_left + 1, next_attempt_time = $5, due_time = $5, lease = null,
             email_sender_id = case when $4 is null then null else email_sender_id end, version = version + 1,
             update_time = $5
         where id = $1 and lease = $2 and state = 2",
    )
    .bind(job.id)
    .bind(job.lease)
    .bind(i32::from(state))
    .bind((!attempts.is_empty()).then(|| encode(attempts)))
    .bind(now)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Attempts whose lease ended without a record: nobody knows whether the message arrived. They are tried again at once,
/// or given up when no attempt is left. Returns how many there were.
pub(super) async fn reap(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<usize, Error> {
    let mut tx = pool.begin().await?;
    let rows = sqlx::query(
        "select id, attempts, attempts_left from deliveries where due_time <= $1 and state = 2
         order by due_time limit $2 for update skip locked",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let mut attempts = decode(row.try_get(1)?);
        let given_up = row.try_get::<i32, _>(2)? <= 0;
        if let Some(last) = attempts.last_mut() {
            last.outcome = AttemptOutcome::Unknown.into();
            "the attempt ended without its outcome being recorded".clone_into(&mut last.detail);
        }
        let state = if given_up { DeliveryState::Dead } else { DeliveryState::Failed };
        sqlx::query(
            "update deliveries set state = $2, attempts = $3, next_attempt_time = $4, due_time = $4, lease = null,
                 version = version + 1, update_time = $5
             where id = $1",
        )
        .bind(row.try_get::<Uuid, _>(0)?)
        .bind(i32::from(state))
        .bind(encode(attempts))
        .bind((!given_up).then_some(now))
        .bind(now)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(rows.len())
}

/// Makes those e-mails due that wait for a sender and have one now; after a `change` of senders also those whose sender
/// was not let in. Returns how many there were.
pub(super) async fn release(
    pool: &PgPool,
    now: DateTime<Utc>,
    enabled: &[Uuid],
    change: bool,
    limit: i64,
) -> Result<u64, Error> {
    if enabled.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query(
        "update deliveries d set waits_for_sender = false, next_attempt_time = $1, due_time = $1,
             version = d.version + 1, update_time = $1
         from (select id from deliveries
               where waits_for_sender and state = 4 and (wanted_sender_id is null or wanted_sender_id = any($2))
                   and ($4 or due_time = patience_end)
               limit $3 for update skip locked) waiting
         where d.id = waiting.id",
    )
    .bind(now)
    .bind(enabled)
    .bind(limit)
    .bind(change)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// How many deliveries are due, for the metrics; of a long queue only that it is long.
pub(super) async fn due(pool: &PgPool, now: DateTime<Utc>) -> Result<i64, Error> {
    let count =
        sqlx::query_scalar("select count(*) from (select from deliveries where due_time <= $1 limit $2) due_now")
            .bind(now)
            .bind(COUNTED);
    Ok(count.fetch_one(pool).await?)
}

/// How long e-mails wait for a sender that is enabled and let in, before they are given up: nobody wants last month's
/// news at once.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::days(3);

fn index() -> usize {
    Delivery::index_of("attempts").unwrap_or_default()
}

/// Attempts as their column holds them; of too many the last ones.
pub(crate) fn encode(mut attempts: Vec<DeliveryAttempt>) -> Vec<u8> {
    let surplus = attempts.len().saturating_sub(KEPT);
    attempts.drain(..surplus);
    match (Delivery { attempts, ..Default::default() }).value(index()) {
        Value::Bytes(bytes) => bytes,
        _ => Vec::new(),
    }
}

fn decode(bytes: Option<Vec<u8>>) -> Vec<DeliveryAttempt> {
    let mut delivery = Delivery::default();
    delivery.set_value(index(), Value::Bytes(bytes.unwrap_or_default()));
    delivery.attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_can_be_appended_to_others_as_bytes_and_the_last_fifty_are_kept() {
        let attempt = |code| DeliveryAttempt { reply_code: code, ..Default::default() };
        let joined = [encode(vec![attempt(1), attempt(2)]), encode(vec![attempt(3)])].concat();
        assert_eq!(decode(Some(joined)), [attempt(1), attempt(2), attempt(3)]);
        assert_eq!(decode(None), []);
        let many = decode(Some(encode((0..60).map(attempt).collect())));
        assert_eq!((many.len(), many[0].reply_code), (50, 10));
    }
}
