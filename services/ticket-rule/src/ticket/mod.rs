//! `TicketService`: what users ask, what is done about it, and the rules that run on it.

mod change;
mod count;
mod draft;
mod event;
mod log;
mod merge;
mod problems;
mod reach;
mod step;
pub mod store;
mod times;

use concierge_proto::ticket_rule::ticket_service_server::TicketService;
use concierge_proto::ticket_rule::{
    AddTicketActionRequest, AddTicketActionResponse, CloseTicketRequest, CloseTicketResponse, CountOpenTicketsRequest,
    CountOpenTicketsResponse, GetTicketRequest, GetTicketResponse, ListTicketActionsRequest, ListTicketActionsResponse,
    ListTicketsRequest, ListTicketsResponse, LogTicketRequest, LogTicketResponse, MergeTicketsRequest,
    MergeTicketsResponse, TicketActionVisibility, TicketTypeUse, UpdateTicketRequest, UpdateTicketResponse,
};
use concierge_proto::{CallerKind, Value};
use concierge_runtime::resource::Only;
use concierge_runtime::tx::Actor;
use concierge_runtime::{Answer, Call, reply};
use tonic::Request;

use crate::TicketRule;
pub(crate) use change::held_before_response;
use change::{Change, Edit, Wanted};
pub(crate) use draft::give_team;
pub(crate) use event::{Telling, named};
pub(crate) use merge::refuse_merged;
pub(crate) use step::{Step, Stepped};
pub use store::{TicketActions, Tickets};
pub(crate) use times::{Moment, settle};

#[tonic::async_trait]
impl TicketService for TicketRule {
    async fn log_ticket(&self, request: Request<LogTicketRequest>) -> Answer<LogTicketResponse> {
        log::log(self, request).await
    }

    async fn get_ticket(&self, request: Request<GetTicketRequest>) -> Answer<GetTicketResponse> {
        let reach = self.reach().await?;
        Ok(reply(self.reached(&reach, &request.get_ref().id).await?.into()))
    }

    async fn update_ticket(&self, request: Request<UpdateTicketRequest>) -> Answer<UpdateTicketResponse> {
        let UpdateTicketRequest { ticket, update_mask, ticket_action, changed_time, .. } = request.get_ref().clone();
        let ticket = ticket.unwrap_or_default();
        let wanted = Wanted {
            id: ticket.id.clone(),
            etag: ticket.etag.clone(),
            edit: Edit::Fields(Box::new(ticket), update_mask.unwrap_or_default().paths),
            action: ticket_action,
            time: changed_time.map(|time| ("changed_time", time)),
        };
        // What is wrong is told later: a repeated request gets its first answer all the same.
        let change = Change::prepare(self, wanted).await;
        self.service
            .write(request, |tx, _| {
                Box::pin(async move {
                    let Stepped { ticket, action, evaluation, .. } = change?.store(tx).await?;
                    Ok(UpdateTicketResponse { ticket: Some(ticket), evaluation, ticket_action: action })
                })
            })
            .await
    }

    async fn list_tickets(&self, request: Request<ListTicketsRequest>) -> Answer<ListTicketsResponse> {
        let asked = request.get_ref();
        let mut only = Only::everything()
            .id("customer_id", &asked.customer_id)
            .id("site_id", &asked.site_id)
            .id("user_id", &asked.user_id);
        if asked.r#use() != TicketTypeUse::Unspecified {
            only = only.equal("use", Value::Int(asked.r#use.into()));
        }
        let only = self.reach().await?.narrow(only);
        Ok(reply(self.service.page::<Tickets, _>(asked, only).await?.into()))
    }

    async fn close_ticket(&self, request: Request<CloseTicketRequest>) -> Answer<CloseTicketResponse> {
        let CloseTicketRequest { id, status_id, etag, ticket_action, closed_time, .. } = request.get_ref().clone();
        let time = closed_time.map(|time| ("closed_time", time));
        let wanted = Wanted { id, etag, edit: Edit::Close(status_id), action: ticket_action, time };
        let change = Change::prepare(self, wanted).await;
        self.service
            .write(request, |tx, _| {
                Box::pin(async move {
                    let Stepped { ticket, action, .. } = change?.store(tx).await?;
                    Ok(CloseTicketResponse { ticket: Some(ticket), ticket_action: action })
                })
            })
            .await
    }

    async fn add_ticket_action(&self, request: Request<AddTicketActionRequest>) -> Answer<AddTicketActionResponse> {
        let AddTicketActionRequest { ticket_id, ticket_action, .. } = request.get_ref().clone();
        let action = ticket_action.unwrap_or_default();
        let wanted = Wanted {
            id: ticket_id,
            etag: String::new(),
            edit: Edit::None,
            time: action.action_time.map(|time| ("ticket_action.action_time", time)),
            action: Some(action),
        };
        let change = Change::prepare(self, wanted).await;
        self.service
            .write(request, |tx, _| {
                Box::pin(async move {
                    let Stepped { ticket, action, evaluation, .. } = change?.store(tx).await?;
                    let evaluation = evaluation.filter(|_| tx.call.kind() != CallerKind::User);
                    Ok(AddTicketActionResponse { ticket_action: action, ticket: Some(ticket), evaluation })
                })
            })
            .await
    }

    async fn list_ticket_actions(
        &self,
        request: Request<ListTicketActionsRequest>,
    ) -> Answer<ListTicketActionsResponse> {
        let asked = request.get_ref();
        let reach = self.reach().await?;
        self.reached(&reach, &asked.ticket_id).await?;
        let mut only = Only::everything().id("ticket_id", &asked.ticket_id).reached();
        if reach.portal().is_some() {
            only = only.equal("visibility", Value::Int(i32::from(TicketActionVisibility::Public).into()));
        }
        Ok(reply(self.service.page::<TicketActions, _>(asked, only).await?.into()))
    }

    async fn count_open_tickets(&self, request: Request<CountOpenTicketsRequest>) -> Answer<CountOpenTicketsResponse> {
        Ok(reply(count::count(self.service.pool(), request.get_ref()).await?))
    }

    async fn merge_tickets(&self, request: Request<MergeTicketsRequest>) -> Answer<MergeTicketsResponse> {
        let service = self.clone();
        self.service
            .write(request, |tx, request| Box::pin(async move { merge::merge(&service, tx, request).await }))
            .await
    }
}

/// Who calls.
fn actor() -> Option<Actor> {
    let call = Call::current()?;
    let caller = call.caller.as_ref()?;
    Some(Actor {
        kind: caller.kind,
        subject: caller.subject.clone(),
        on_behalf_of: caller.on_behalf_of.clone().unwrap_or_default(),
    })
}
