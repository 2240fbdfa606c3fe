//! Requests for test e-mails, so that each is sent once and answered the same whenever it is repeated.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use concierge_proto::notification::{SendTestEmailRequest, SendTestEmailResponse};
use concierge_runtime::auth::kind_name;
use concierge_runtime::{Call, Error, Service};
use prost::Message as _;
use uuid::Uuid;

use super::test_email::LIMIT;

/// A claim is so much longer than the e-mail server may take: for the record, and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(5);
/// How often a repeat looks whether it is answered.
const LOOK: Duration = Duration::from_millis(100);

/// A request that is this call's to serve.
#[derive(Debug)]
pub(super) struct Claim {
    caller: String,
    request_id: Uuid,
    lease: Uuid,
}

impl Claim {
    /// Claims a request, or finds its first answer. Waits for a call that serves it already; when that ended without
    /// an answer, the claim is this call's. One round trip, and two more for each look of a repeat.
    pub(super) async fn take(
        service: &Service,
        request: &SendTestEmailRequest,
    ) -> Result<Result<Self, SendTestEmailResponse>, Error> {
        let call = Call::current();
        let caller = call.as_ref().and_then(|call| call.caller.as_ref());
        let claim = Self {
            caller: caller.map(|c| format!("{}/{}", kind_name(c.kind), c.subject)).unwrap_or_default(),
            request_id: request
                .request_id
                .parse()
                .map_err(|_| Error::field("request_id", "must be a UUID of your making"))?,
            lease: service.clock().new_id(),
        };
        let bytes = request.encode_to_vec();
        loop {
            let now = service.clock().now();
            if claim.insert(service, &bytes, now).await? {
                return Ok(Ok(claim));
            }
            let known: Option<(Vec<u8>, Option<Vec<u8>>)> =
                sqlx::query_as("select request, answer from test_emails where caller = $1 and request_id = $2")
                    .bind(&claim.caller)
                    .bind(claim.request_id)
                    .fetch_optional(service.pool())
                    .await?;
            match known {
                Some((first, _)) if first != bytes => return Err(Error::RequestIdReused),
                Some((_, Some(answer))) => {
                    return SendTestEmailResponse::decode(answer.as_slice()).map(Err).map_err(Error::internal);
                }
                _ => {}
            }
            let left = call.as_ref().map_or(Ok(LOOK), |call| call.remaining())?;
            tokio::time::sleep(LOOK.min(left)).await;
        }
    }

    /// True when the request is this call's.
    async fn insert(&self, service: &Service, request: &[u8], now: DateTime<Utc>) -> Result<bool, Error> {
        let lease = TimeDelta::from_std(LIMIT + MARGIN).map_err(Error::internal)?;
        let done = sqlx::query(
            "insert into test_emails as known (caller, request_id, request, lease, lease_end, create_time)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (caller, request_id) do update set lease = excluded.lease, lease_end = excluded.lease_end
                 where known.answer is null and known.lease_end < $6 and known.request = excluded.request",
        )
        .bind(&self.caller)
        .bind(self.request_id)
        .bind(request)
        .bind(self.lease)
        .bind(now + lease)
        .bind(now)
        .execute(service.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Keeps the answer, unless another call serves the request by now.
    pub(super) async fn keep(&self, service: &Service, answer: &SendTestEmailResponse) -> Result<(), Error> {
        sqlx::query("update test_emails set answer = $4 where caller = $1 and request_id = $2 and lease = $3")
            .bind(&self.caller)
            .bind(self.request_id)
            .bind(self.lease)
            .bind(answer.encode_to_vec())
            .execute(service.pool())
            .await?;
        Ok(())
    }

    /// Lets a repeat try again at once.
    pub(super) async fn give_up(&self, service: &Service) {
        let done = sqlx::query("delete from test_emails where caller = $1 and request_id = $2 and lease = $3")
            .bind(&self.caller)
            .bind(self.request_id)
            .bind(self.lease)
            .execute(service.pool())
            .await;
        if let Err(error) = done {
            tracing::warn!(%error, "a claim of a request for a test e-mail was left; it ends by itself");
        }
    }
}
