//! `PriorityService`: how soon tickets are seen to.

mod store;

use concierge_proto::ticket_rule::priority_service_server::PriorityService;
use concierge_proto::ticket_rule::{
    CreatePriorityRequest, CreatePriorityResponse, DeletePriorityRequest, DeletePriorityResponse, GetPriorityRequest,
    GetPriorityResponse, ListPrioritiesRequest, ListPrioritiesResponse, UndeletePriorityRequest,
    UndeletePriorityResponse, UpdatePriorityRequest, UpdatePriorityResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::Priorities;

#[tonic::async_trait]
impl PriorityService for TicketRule {
    async fn create_priority(&self, request: Request<CreatePriorityRequest>) -> Answer<CreatePriorityResponse> {
        self.configure_create::<Priorities, _>(request, Known::default()).await
    }

    async fn get_priority(&self, request: Request<GetPriorityRequest>) -> Answer<GetPriorityResponse> {
        self.service.get::<Priorities, _>(request).await
    }

    async fn update_priority(&self, request: Request<UpdatePriorityRequest>) -> Answer<UpdatePriorityResponse> {
        self.configure_update::<Priorities, _>(request, Known::default()).await
    }

    async fn delete_priority(&self, request: Request<DeletePriorityRequest>) -> Answer<DeletePriorityResponse> {
        self.configure_delete::<Priorities, _>(request).await
    }

    async fn undelete_priority(&self, request: Request<UndeletePriorityRequest>) -> Answer<UndeletePriorityResponse> {
        self.configure_undelete::<Priorities, _>(request, Known::default()).await
    }

    async fn list_priorities(&self, request: Request<ListPrioritiesRequest>) -> Answer<ListPrioritiesResponse> {
        self.service.list::<Priorities, _>(request).await
    }
}
