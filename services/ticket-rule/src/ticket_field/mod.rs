//! `TicketFieldService`: the custom fields of tickets.

mod store;

use concierge_proto::ticket_rule::ticket_field_service_server::TicketFieldService;
use concierge_proto::ticket_rule::{
    CreateTicketFieldRequest, CreateTicketFieldResponse, DeleteTicketFieldRequest, DeleteTicketFieldResponse,
    GetTicketFieldRequest, GetTicketFieldResponse, ListTicketFieldsRequest, ListTicketFieldsResponse,
    UndeleteTicketFieldRequest, UndeleteTicketFieldResponse, UpdateTicketFieldRequest, UpdateTicketFieldResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::TicketFields;

#[tonic::async_trait]
impl TicketFieldService for TicketRule {
    async fn create_ticket_field(
        &self,
        request: Request<CreateTicketFieldRequest>,
    ) -> Answer<CreateTicketFieldResponse> {
        self.configure_create::<TicketFields, _>(request, Known::default()).await
    }

    async fn get_ticket_field(&self, request: Request<GetTicketFieldRequest>) -> Answer<GetTicketFieldResponse> {
        self.service.get::<TicketFields, _>(request).await
    }

    async fn update_ticket_field(
        &self,
        request: Request<UpdateTicketFieldRequest>,
    ) -> Answer<UpdateTicketFieldResponse> {
        self.configure_update::<TicketFields, _>(request, Known::default()).await
    }

    async fn delete_ticket_field(
        &self,
        request: Request<DeleteTicketFieldRequest>,
    ) -> Answer<DeleteTicketFieldResponse> {
        self.configure_delete::<TicketFields, _>(request).await
    }

    async fn undelete_ticket_field(
        &self,
        request: Request<UndeleteTicketFieldRequest>,
    ) -> Answer<UndeleteTicketFieldResponse> {
        self.configure_undelete::<TicketFields, _>(request, Known::default()).await
    }

    async fn list_ticket_fields(&self, request: Request<ListTicketFieldsRequest>) -> Answer<ListTicketFieldsResponse> {
        self.service.list::<TicketFields, _>(request).await
    }
}
