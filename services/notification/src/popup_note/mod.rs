//! `PopupNoteService`: what agents are to be shown on the tickets of a customer, a site or a user.

mod check;
mod store;
mod target;

use concierge_proto::notification::popup_note_service_server::PopupNoteService;
use concierge_proto::notification::{
    CreatePopupNoteRequest, CreatePopupNoteResponse, DeletePopupNoteRequest, DeletePopupNoteResponse,
    GetPopupNoteRequest, GetPopupNoteResponse, ListPopupNotesRequest, ListPopupNotesResponse, PopupNote,
    UndeletePopupNoteRequest, UndeletePopupNoteResponse, UpdatePopupNoteRequest, UpdatePopupNoteResponse,
};
use concierge_runtime::html::sanitize;
use concierge_runtime::resource::Only;
use concierge_runtime::{Answer, Error, reply};
use tonic::Request;

use crate::Notification;
pub use store::PopupNotes;
pub(crate) use store::{Opening, shown};

#[tonic::async_trait]
impl PopupNoteService for Notification {
    async fn create_popup_note(&self, request: Request<CreatePopupNoteRequest>) -> Answer<CreatePopupNoteResponse> {
        // Before the transaction: whoever waits for directory must not hold a connection.
        let note = self.checked_note(request.get_ref().popup_note.clone().unwrap_or_default()).await;
        let mut answer = self
            .service
            .write(request, move |tx, _| {
                Box::pin(async move {
                    Ok(CreatePopupNoteResponse { popup_note: Some(tx.insert::<PopupNotes>(note?).await?) })
                })
            })
            .await?;
        clean(&mut answer.get_mut().popup_note);
        Ok(answer)
    }

    async fn get_popup_note(&self, request: Request<GetPopupNoteRequest>) -> Answer<GetPopupNoteResponse> {
        let mut answer = self.service.get::<PopupNotes, _>(request).await?;
        clean(&mut answer.get_mut().popup_note);
        Ok(answer)
    }

    async fn update_popup_note(&self, request: Request<UpdatePopupNoteRequest>) -> Answer<UpdatePopupNoteResponse> {
        let mut answer = self.service.update::<PopupNotes, _>(request).await?;
        clean(&mut answer.get_mut().popup_note);
        Ok(answer)
    }

    async fn delete_popup_note(&self, request: Request<DeletePopupNoteRequest>) -> Answer<DeletePopupNoteResponse> {
        let mut answer = self.service.delete::<PopupNotes, _>(request).await?;
        clean(&mut answer.get_mut().popup_note);
        Ok(answer)
    }

    async fn undelete_popup_note(
        &self,
        request: Request<UndeletePopupNoteRequest>,
    ) -> Answer<UndeletePopupNoteResponse> {
        let mut answer = self.service.undelete::<PopupNotes, _>(request).await?;
        clean(&mut answer.get_mut().popup_note);
        Ok(answer)
    }

    async fn list_popup_notes(&self, request: Request<ListPopupNotesRequest>) -> Answer<ListPopupNotesResponse> {
        let (mut notes, next) = self.service.page::<PopupNotes, _>(request.get_ref(), Only::everything()).await?;
        for note in &mut notes {
            note.text_html = sanitize(&note.text_html);
        }
        Ok(reply((notes, next).into()))
    }
}

impl Notification {
    /// A note as it is to be stored; an error when it is wrong by itself, or about what is not there.
    async fn checked_note(&self, mut note: PopupNote) -> Result<PopupNote, Error> {
        // Nobody else is asked about what is wrong by itself.
        check::check(&mut note)?;
        target::check(&self.host, &note).await?;
        Ok(note)
    }
}

/// What was sanitised when it was written is sanitised again when it is read.
fn clean(note: &mut Option<PopupNote>) {
    if let Some(note) = note {
        note.text_html = sanitize(&note.text_html);
    }
}
