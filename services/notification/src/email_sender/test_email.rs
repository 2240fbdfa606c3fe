//! `SendTestEmail`: one e-mail at once, outside the queue.

use std::sync::Arc;
use std::time::Duration;

use concierge_proto::Record as _;
use concierge_proto::notification::{
    AttemptOutcome, DeliveryAttempt, EmailSender, SendTestEmailRequest, SendTestEmailResponse,
};
use concierge_proto::record::timestamp;
use concierge_runtime::{Answer, Call, Error};
use tonic::Request;
use uuid::Uuid;

use super::PASSWORD;
use super::store::{EmailSenders, accounts};
use crate::Notification;
use crate::sending::{Email, Outcome, send_within};

/// How long the server may take.
const LIMIT: Duration = Duration::from_secs(10);
/// What is left of the caller's time to tell what happened.
const REST: Duration = Duration::from_millis(200);

impl Notification {
    pub(super) async fn send_test(&self, request: Request<SendTestEmailRequest>) -> Answer<SendTestEmailResponse> {
        let (desk, sealer) = (Arc::clone(&self.desk), Arc::clone(&self.host.sealer));
        self.service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let sender = tx.get::<EmailSenders>(&request.id).await?;
                    let id: Uuid = sender.id().parse().map_err(Error::internal)?;
                    let account = accounts(tx.conn().await?).await?.into_iter().find(|a| a.id == id && a.enabled);
                    let Some(account) = account else {
                        return Err(crate::Error::EmailSenderDisabled { id: request.id }.into());
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
                        time: tx.now,
                    };
                    let refused = |detail: String| crate::Error::EmailRefused { reply_code: 0, detail };
                    let email = email.prepare(&account).map_err(|error| refused(error.to_string()))?;
                    let password = match account.password.as_str() {
                        "" => None,
                        sealed => Some(sealer.open(PASSWORD, sealed).map_err(Error::internal)?),
                    };
                    let start_time = Some(timestamp(tx.clock.now()));
                    let left = Call::current().map_or(Ok(LIMIT), |call| call.remaining())?.saturating_sub(REST);
                    let limit = LIMIT.min(left);
                    let outcome = send_within(limit, &desk.connections, &account, password.as_ref(), &email).await;
                    let reply_code = accepted(outcome)?;
                    Ok(SendTestEmailResponse {
                        message_id,
                        attempt: Some(DeliveryAttempt {
                            start_time,
                            end_time: Some(timestamp(tx.clock.now())),
                            outcome: AttemptOutcome::Accepted.into(),
                            reply_code,
                            detail: String::new(),
                        }),
                    })
                })
            })
            .await
    }
}

fn body(sender: &EmailSender) -> String {
    let escaped = sender.name.replace('&', "&amp;").replace('<', "&lt;");
    format!("<p>This is a test of the e-mail sender <b>{escaped}</b>. It works.</p>")
}

fn accepted(outcome: Outcome) -> Result<i32, Error> {
    match outcome {
        Outcome::Accepted(code) => Ok(code),
        Outcome::RefusedForNow(reply_code, detail) | Outcome::Refused(reply_code, detail) => {
            Err(crate::Error::EmailRefused { reply_code, detail }.into())
        }
        Outcome::Unreachable(detail) | Outcome::Unknown(detail) => {
            Err(crate::Error::EmailServerUnreachable { detail }.into())
        }
    }
}
