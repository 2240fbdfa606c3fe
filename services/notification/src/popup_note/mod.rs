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
use concierge_runtime::Answer;
use concierge_runtime::html::sanitize;
use tonic::Request;

use crate::Notification;
pub use store::PopupNotes;
pub(crate) use store::{Opening, shown};

#[tonic::async_trait]
impl PopupNoteService for Notification {
    async fn create_popup_note(&self, request: Request<CreatePopupNoteRequest>) -> Answer<CreatePopupNoteResponse> {
        let directory = self.host.directory.clone();
        let mut answer = self
            .service
            .write(request, move |tx, request| {
                Box::pin(async move {
                    let mut note = request.popup_note.unwrap_or_default();
                    // Nobody else is asked about what is wrong by itself.
                    check::check(&mut note)?;
                    target::check(directory.as_ref(), &note).await?;
                    Ok(CreatePopupNoteResponse { popup_note: Some(tx.insert::<PopupNotes>(note).await?) })
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
        let mut answer = self.service.list::<PopupNotes, _>(request).await?;
        for note in &mut answer.get_mut().popup_notes {
            note.text_html = sanitize(&note.text_html);
        }
        Ok(answer)
    }
}

/// What was sanitised when it was written is sanitised again when it is read.
fn clean(note: &mut Option<PopupNote>) {
    if let Some(note) = note {
        note.text_html = sanitize(&note.text_html);
    }
}
