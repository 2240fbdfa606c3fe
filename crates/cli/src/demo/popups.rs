//! Step 6: the popups of an agent who opens the ticket.

use anyhow::Context as _;
use concierge_proto::CallerKind;
use concierge_proto::directory::CreateTokenRequest;
use concierge_proto::directory::access_service_client::AccessServiceClient;
use concierge_proto::notification::popup_note_service_client::PopupNoteServiceClient;
use concierge_proto::notification::popup_service_client::PopupServiceClient;
use concierge_proto::notification::{
    CreatePopupNoteRequest, DismissPopupRequest, ListPopupsRequest, Popup, PopupKind, PopupNote, PopupSettings,
    UpdatePopupSettingsRequest,
};
use concierge_proto::ticket_rule::{Ticket, TicketDraft};

use super::{World, mask, once_heard, said, told, words};
use crate::client::{Api, Suite, request_id};

/// Writes the notes, turns the setting on, and looks with the agent's own token.
pub(super) async fn show(suite: &Suite, world: &World, ticket: &Ticket) -> anyhow::Result<()> {
    PopupServiceClient::new(suite.notification.clone())
        .update_popup_settings(UpdatePopupSettingsRequest {
            popup_settings: Some(PopupSettings { vip_popup_enabled: true, ..Default::default() }),
            update_mask: mask("vip_popup_enabled"),
            request_id: request_id(),
        })
        .await
        .map_err(told)?;
    let of_customer = write_notes(suite, world).await?;

    let mut popups = PopupServiceClient::new(suite.with_token(&token(suite, world).await?)?.notification);
    let of_ticket = ListPopupsRequest { ticket_id: ticket.id.clone(), ..Default::default() };
    for popup in list(&popups, &of_ticket).await? {
        let kind = match popup.kind() {
            PopupKind::Note => format!("note of the {}", owner(&popup)),
            kind => words(kind.as_str_name(), "POPUP_KIND_"),
        };
        said(&format!("{kind}: {}", popup.html));
    }
    let draft =
        TicketDraft { summary: "The line again".to_owned(), user_id: world.director.id.clone(), ..Default::default() };
    let of_draft = ListPopupsRequest { draft: Some(draft), ..Default::default() };
    said(&format!("a draft for {} shows {}, too", world.director.name, list(&popups, &of_draft).await?.len()));
    let dismissed = DismissPopupRequest {
        text_revision: Some(of_customer.text_revision),
        popup_note_id: of_customer.id,
        request_id: request_id(),
    };
    popups.dismiss_popup(dismissed).await.map_err(told)?;
    let left = list(&popups, &of_ticket).await?.len();
    said(&format!("the agent dismisses the customer's note for good: {left} are left; other agents still see it"));
    Ok(())
}

/// A note on the customer, on the site and on the user, and one whose time is over.
async fn write_notes(suite: &Suite, world: &World) -> anyhow::Result<PopupNote> {
    let notes = PopupNoteServiceClient::new(suite.notification.clone());
    let write = async |note: PopupNote| -> anyhow::Result<PopupNote> {
        let request = CreatePopupNoteRequest {
            popup_note: Some(PopupNote { dismissible: true, ..note }),
            request_id: request_id(),
        };
        let answer = once_heard(|| {
            let (mut notes, request) = (notes.clone(), request.clone());
            async move { notes.create_popup_note(request).await }
        });
        answer.await?.popup_note.context("a note")
    };
    let text = |text: &str| PopupNote { text_html: text.to_owned(), ..Default::default() };
    let of_user = PopupNote { user_id: world.director.id.clone(), ..Default::default() };
    write(PopupNote { site_id: world.site.id.clone(), ..text("Ring twice: the gate is far.") }).await?;
    let window =
        PopupNote { from_date: "2024-01-01".to_owned(), until_date: "2099-12-31".to_owned(), ..of_user.clone() };
    write(PopupNote { text_html: "Prefers mornings (until the end of 2099).".to_owned(), ..window }).await?;
    let over = PopupNote { until_date: "2024-01-01".to_owned(), ..of_user };
    write(PopupNote { text_html: "On leave until 2024: not shown any more.".to_owned(), ..over }).await?;
    write(PopupNote { customer_id: world.customer.id.clone(), ..text("<b>Ships at night.</b>") }).await
}

/// A token of the agent's own: what one dismisses is dismissed for oneself.
async fn token(suite: &Suite, world: &World) -> anyhow::Result<String> {
    let request = CreateTokenRequest {
        kind: CallerKind::Agent.into(),
        subject_id: world.agent_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let answer = AccessServiceClient::new(suite.directory.clone()).create_token(request).await.map_err(told)?;
    Ok(answer.into_inner().token)
}

async fn list(popups: &PopupServiceClient<Api>, request: &ListPopupsRequest) -> anyhow::Result<Vec<Popup>> {
    Ok(popups.clone().list_popups(request.clone()).await.map_err(told)?.into_inner().popups)
}

fn owner(popup: &Popup) -> &'static str {
    if !popup.user_id.is_empty() {
        "user"
    } else if !popup.site_id.is_empty() {
        "site"
    } else {
        "customer"
    }
}
