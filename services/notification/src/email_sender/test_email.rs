//! `SendTestEmail`: one e-mail at once, outside the queue.
//!
//! The e-mail server is waited for outside of any transaction. So the request is claimed first, and its answer is
//! recorded after; a repeat between the two waits.

use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::notification::{
    AttemptOutcome, DeliveryAttempt, EmailSender, SendTestEmailRequest, SendTestEmailResponse,
};
use concierge_proto::record::timestamp;
use concierge_runtime::{Answer, Call, Error, reply};
use tonic::Request;
use uuid::Uuid;

use super::PASSWORD;
use super::claim::Claim;
use super::store::{EmailSenders, accounts};
use crate::Notification;
use crate::sending::{Email, Outcome, send_within};

/// How long the server may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// What is left of the caller's time to tell what happened.
const REST: Duration = Duration::from_millis(200);

impl Notification {
    pub(super) async fn send_test(&self, request: Request<SendTestEmailRequest>) -> Answer<SendTestEmailResponse> {
        let request = request.into_inner();
        let claim = match Claim::take(&self.service, &request).await? {
            Ok(claim) => claim,
            Err(first) => return Ok(reply(first)),
        };
        // A caller who goes away stops nothing: what was sent is recorded, and a repeat gets the answer.
        let this = self.clone();
        let work = async move {
            let sent = this.send_now(&request).await;
            match &sent {
                Ok(answer) => claim.keep(&this.service, answer).await?,
                // Failures are not kept; a claim that cannot be given up ends by itself.
                Err(_) => claim.give_up(&this.service).await,
            }
            sent
        };
        let work = match Call::current() {
            Some(call) => tokio::spawn(call.scope(work)),
            None => tokio::spawn(work),
        };
        Ok(reply(work.await.map_err(Error::internal)??))
    }

    async fn send_now(&self, request: &SendTestEmailRequest) -> Result<SendTestEmailResponse, Error> {
        let (service, clock) = (&self.service, self.service.clock());
        let sender = service.read::<EmailSenders>(&request.id).await?;
        let id: Uuid = sender.id().parse().map_err(Error::internal)?;
        let account = accounts(service.pool()).await?.into_iter().find(|a| a.id == id && a.enabled);
        let Some(account) = account else {
            return Err(crate::Error::EmailSenderDisabled { id: request.id.clone() }.into());
        };
        let domain = account.from_address.rsplit_once('@').map_or("", |(_, domain)| domain);
        // Of the request: a repeat that sends again is known as the same e-mail.
        let message_id = format!("<test.{}@{domain}>", request.request_id);
        let email = Email {
            message_id: &message_id,
            to_address: &request.to_address,
            to_name: "",
            subject: &format!("Test e-mail of {}", sender.name),
            body_html: &body(&sender),
            time: clock.now(),
        };
        let refused = |detail: String| crate::Error::EmailRefused { reply_code: 0, detail };
        let email = email.prepare(&account).map_err(|error| refused(error.to_string()))?;
        let password = match account.password.as_str() {
            "" => None,
            sealed => Some(self.host.sealer.open(PASSWORD, sealed).map_err(Error::internal)?),
        };
        let start_time = Some(timestamp(clock.now()));
        let left = Call::current().map_or(Ok(LIMIT), |call| call.remaining())?.saturating_sub(REST);
        let (limit, never) = (LIMIT.min(left), std::future::pending());
        let outcome = send_within(limit, &self.desk.connections, &account, password.as_ref(), &email, never).await;
        let reply_code = accepted(outcome)?;
        Ok(SendTestEmailResponse {
            message_id,
            attempt: Some(DeliveryAttempt {
                start_time,
                end_time: Some(timestamp(clock.now())),
                outcome: AttemptOutcome::Accepted.into(),
                reply_code,
                detail: String::new(),
            }),
        })
    }
}

fn body(sender: &EmailSender) -> String {
    let escaped = sender.name.replace('&', "&amp;").replace('<', "&lt;");
    format!("<p>This is a test of the e-mail sender <b>{escaped}</b>. It works.</p>")
}

fn accepted(outcome: Outcome) -> Result<i32, Error> {
    match outcome {
        Outcome::Accepted(code) => Ok(code),
        Outcome::RefusedForNow(reply_code, detail)
        | Outcome::Refused(reply_code, detail)
        | Outcome::NotLetIn(reply_code, detail) => Err(crate::Error::EmailRefused { reply_code, detail }.into()),
        Outcome::Unreachable(detail) | Outcome::Unknown(detail) => {
            Err(crate::Error::EmailServerUnreachable { detail }.into())
        }
        // Nothing stops it.
        Outcome::GivenUp => Err(Error::ShuttingDown),
    }
}
