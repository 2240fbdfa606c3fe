//! `PopupService`: what an agent is shown when opening a ticket or a draft.

mod facts;
mod heard;
mod list;
mod rules;
mod store;

use concierge_proto::notification::popup_service_server::PopupService;
use concierge_proto::notification::{
    DismissPopupRequest, DismissPopupResponse, GetPopupSettingsRequest, GetPopupSettingsResponse, ListPopupsRequest,
    ListPopupsResponse, UpdatePopupSettingsRequest, UpdatePopupSettingsResponse,
};
use concierge_proto::record::timestamp;
use concierge_proto::{Record as _, notification::PopupNote};
use concierge_runtime::{Answer, Error, reply};
use tonic::Request;

use crate::Notification;
use crate::popup_note::PopupNotes;

#[tonic::async_trait]
impl PopupService for Notification {
    async fn list_popups(&self, request: Request<ListPopupsRequest>) -> Answer<ListPopupsResponse> {
        Ok(reply(list::list(self, request.into_inner()).await?))
    }

    async fn dismiss_popup(&self, request: Request<DismissPopupRequest>) -> Answer<DismissPopupResponse> {
        self.service
            .write(request, |tx, request| {
                Box::pin(async move {
                    let id = request.popup_note_id;
                    // Shared: a change of the text comes before the dismissal, which then is of the new text, or after
                    // it and undoes it.
                    let notes = tx.share::<PopupNotes>(&id.parse().map(|id| vec![id]).unwrap_or_default()).await?;
                    let absent = || Error::NotFound { record_type: PopupNote::TYPE, id: id.clone() };
                    let note = notes.into_iter().find(|note| note.delete_time.is_none()).ok_or_else(absent)?;
                    if request.text_revision.is_some_and(|seen| seen != note.text_revision) {
                        return Err(Error::StaleEtag { record_type: PopupNote::TYPE, id });
                    }
                    if !note.dismissible {
                        return Err(crate::Error::PopupNotDismissible { id }.into());
                    }
                    let time = store::dismiss(tx, &note).await?;
                    Ok(DismissPopupResponse { dismiss_time: Some(timestamp(time)) })
                })
            })
            .await
    }

    async fn get_popup_settings(&self, _request: Request<GetPopupSettingsRequest>) -> Answer<GetPopupSettingsResponse> {
        let settings = store::settings(self.service.pool()).await?;
        Ok(reply(GetPopupSettingsResponse { popup_settings: Some(settings) }))
    }

    async fn update_popup_settings(
        &self,
        request: Request<UpdatePopupSettingsRequest>,
    ) -> Answer<UpdatePopupSettingsResponse> {
        self.service
            .write(request, |tx, request| {
                Box::pin(async move {
                    let paths = request.update_mask.unwrap_or_default().paths;
                    let settings = store::change(tx, &request.popup_settings.unwrap_or_default(), &paths).await?;
                    Ok(UpdatePopupSettingsResponse { popup_settings: Some(settings) })
                })
            })
            .await
    }
}
