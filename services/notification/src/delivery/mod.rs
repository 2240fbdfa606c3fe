//! `DeliveryService`: what became of every notification, and the inboxes.

pub(crate) mod hints;
mod inbox;
pub(crate) mod store;
mod streams;
mod watch;

use concierge_proto::notification::delivery_service_server::DeliveryService;
use concierge_proto::notification::{
    Channel, DeliveryState, GetDeliveryRequest, GetDeliveryResponse, ListDeliveriesRequest, ListDeliveriesResponse,
    ListInboxItemsRequest, ListInboxItemsResponse, MarkInboxItemsReadRequest, MarkInboxItemsReadResponse,
    RetryDeliveryRequest, RetryDeliveryResponse, WatchInboxRequest,
};
use concierge_proto::record::timestamp;
use concierge_runtime::resource::Only;
use concierge_runtime::{Answer, reply};
use tonic::{Request, Response, Status};

use crate::email_sender::store::{NoSender, accounts, choose};
use crate::{Error, Notification};
use inbox::Owner;
pub use store::{Deliveries, InboxItems};
pub(crate) use streams::Streams;

#[tonic::async_trait]
impl DeliveryService for Notification {
    type WatchInboxStream = watch::Items;

    async fn list_deliveries(&self, request: Request<ListDeliveriesRequest>) -> Answer<ListDeliveriesResponse> {
        let (deliveries, next) = self.service.page::<Deliveries, _>(request.get_ref(), Only::everything()).await?;
        Ok(reply((deliveries, next).into()))
    }

    async fn get_delivery(&self, request: Request<GetDeliveryRequest>) -> Answer<GetDeliveryResponse> {
        self.service.get::<Deliveries, _>(request).await
    }

    async fn retry_delivery(&self, request: Request<RetryDeliveryRequest>) -> Answer<RetryDeliveryResponse> {
        let answer = self
            .service
            .write(request, |tx, request| {
                Box::pin(async move {
                    let before = tx.get_for_update::<Deliveries>(&request.id).await?;
                    tx.check_etag(&before, &request.etag)?;
                    if !matches!(before.state(), DeliveryState::Failed | DeliveryState::Dead) {
                        let state = before.state().as_str_name().trim_start_matches("DELIVERY_STATE_");
                        return Err(Error::DeliveryNotRetryable { id: request.id, state }.into());
                    }
                    if before.channel() == Channel::Email {
                        let wanted = store::wanted_sender(tx, &before).await?;
                        choose(&accounts(tx.conn().await?).await?, wanted).map_err(|none| match none {
                            NoSender::NoneEnabled => Error::EmailSenderMissing,
                            NoSender::Disabled(id) | NoSender::Deleted(id) => {
                                Error::EmailSenderDisabled { id: id.to_string() }
                            }
                        })?;
                    }
                    let mut after = before.clone();
                    after.set_state(DeliveryState::Pending);
                    after.next_attempt_time = Some(timestamp(tx.now));
                    let after = tx.change::<Deliveries>(before, after).await?;
                    store::begin_anew(tx, &after).await?;
                    Ok(after.into())
                })
            })
            .await;
        self.desk.wake_worker();
        answer
    }

    async fn watch_inbox(&self, request: Request<WatchInboxRequest>) -> Result<Response<watch::Items>, Status> {
        Ok(Response::new(watch::items(self, request.get_ref().after_position)?))
    }

    async fn list_inbox_items(&self, request: Request<ListInboxItemsRequest>) -> Answer<ListInboxItemsResponse> {
        Ok(reply(inbox::list(&self.service, Owner::of_call(), request.get_ref()).await?))
    }

    async fn mark_inbox_items_read(
        &self,
        request: Request<MarkInboxItemsReadRequest>,
    ) -> Answer<MarkInboxItemsReadResponse> {
        let owner = Owner::of_call();
        self.service
            .write(request, move |tx, request| Box::pin(async move { inbox::mark_read(tx, owner, &request.ids).await }))
            .await
    }
}
