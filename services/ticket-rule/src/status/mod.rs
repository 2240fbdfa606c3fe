//! `StatusService`: how far tickets have come.

mod store;

use concierge_proto::ticket_rule::status_service_server::StatusService;
use concierge_proto::ticket_rule::{
    CreateStatusRequest, CreateStatusResponse, DeleteStatusRequest, DeleteStatusResponse, GetStatusRequest,
    GetStatusResponse, ListStatusesRequest, ListStatusesResponse, UndeleteStatusRequest, UndeleteStatusResponse,
    UpdateStatusRequest, UpdateStatusResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::Statuses;

#[tonic::async_trait]
impl StatusService for TicketRule {
    async fn create_status(&self, request: Request<CreateStatusRequest>) -> Answer<CreateStatusResponse> {
        self.configure_create::<Statuses, _>(request, Known::default()).await
    }

    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        self.service.get::<Statuses, _>(request).await
    }

    async fn update_status(&self, request: Request<UpdateStatusRequest>) -> Answer<UpdateStatusResponse> {
        self.configure_update::<Statuses, _>(request, Known::default()).await
    }

    async fn delete_status(&self, request: Request<DeleteStatusRequest>) -> Answer<DeleteStatusResponse> {
        self.configure_delete::<Statuses, _>(request).await
    }

    async fn undelete_status(&self, request: Request<UndeleteStatusRequest>) -> Answer<UndeleteStatusResponse> {
        self.configure_undelete::<Statuses, _>(request, Known::default()).await
    }

    async fn list_statuses(&self, request: Request<ListStatusesRequest>) -> Answer<ListStatusesResponse> {
        self.service.list::<Statuses, _>(request).await
    }
}
