//! `EmailSenderService`: the servers that e-mails go through.

mod claim;
pub(crate) mod store;
mod test_email;

use std::sync::Arc;

use concierge_proto::UpdateRequest as _;
use concierge_proto::notification::email_sender_service_server::EmailSenderService;
use concierge_proto::notification::{
    CreateEmailSenderRequest, CreateEmailSenderResponse, DeleteEmailSenderRequest, DeleteEmailSenderResponse,
    EmailSender, GetEmailSenderRequest, GetEmailSenderResponse, ListEmailSendersRequest, ListEmailSendersResponse,
    SendTestEmailRequest, SendTestEmailResponse, UndeleteEmailSenderRequest, UndeleteEmailSenderResponse,
    UpdateEmailSenderRequest, UpdateEmailSenderResponse,
};
use concierge_runtime::seal::{SealError, Sealer};
use concierge_runtime::{Answer, Error};
use tonic::Request;

use crate::Notification;
pub use store::EmailSenders;

#[tonic::async_trait]
impl EmailSenderService for Notification {
    async fn create_email_sender(
        &self,
        request: Request<CreateEmailSenderRequest>,
    ) -> Answer<CreateEmailSenderResponse> {
        let sealer = Arc::clone(&self.host.sealer);
        let answer = self
            .service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let mut sender = request.email_sender.unwrap_or_default();
                    seal(&sealer, &mut sender)?;
                    Ok(tx.insert::<EmailSenders>(sender).await?.into())
                })
            })
            .await;
        self.desk.senders_changed();
        answer
    }

    async fn get_email_sender(&self, request: Request<GetEmailSenderRequest>) -> Answer<GetEmailSenderResponse> {
        self.service.get::<EmailSenders, _>(request).await
    }

    async fn update_email_sender(
        &self,
        request: Request<UpdateEmailSenderRequest>,
    ) -> Answer<UpdateEmailSenderResponse> {
        let sealer = Arc::clone(&self.host.sealer);
        let answer = self
            .service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let (mut sender, paths) = request.into_parts();
                    if paths.iter().any(|path| path == "password") {
                        seal(&sealer, &mut sender)?;
                    }
                    Ok(tx.update::<EmailSenders>(&sender, &paths).await?.into())
                })
            })
            .await;
        self.desk.senders_changed();
        answer
    }

    async fn delete_email_sender(
        &self,
        request: Request<DeleteEmailSenderRequest>,
    ) -> Answer<DeleteEmailSenderResponse> {
        let answer = self.service.delete::<EmailSenders, _>(request).await;
        // Its connections are closed.
        self.desk.senders_changed();
        answer
    }

    async fn undelete_email_sender(
        &self,
        request: Request<UndeleteEmailSenderRequest>,
    ) -> Answer<UndeleteEmailSenderResponse> {
        let answer = self.service.undelete::<EmailSenders, _>(request).await;
        self.desk.senders_changed();
        answer
    }

    async fn list_email_senders(&self, request: Request<ListEmailSendersRequest>) -> Answer<ListEmailSendersResponse> {
        self.service.list::<EmailSenders, _>(request).await
    }

    async fn send_test_email(&self, request: Request<SendTestEmailRequest>) -> Answer<SendTestEmailResponse> {
        self.send_test(request).await
    }
}

/// What a stored password is sealed for.
pub(crate) const PASSWORD: &str = "email_sender.password";

/// Encrypts the password that a caller gave, so that it is nowhere in the clear from here on.
fn seal(sealer: &Sealer, sender: &mut EmailSender) -> Result<(), Error> {
    if sender.password.is_empty() {
        return Ok(());
    }
    sender.password = sealer.seal(PASSWORD, &sender.password).map_err(|error| match error {
        SealError::NoKey => crate::Error::SecretKeyMissing.into(),
        other => Error::internal(other),
    })?;
    Ok(())
}
