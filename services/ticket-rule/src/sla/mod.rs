//! `SlaService`: how soon a customer is promised an answer.

mod store;

use concierge_proto::ticket_rule::sla_service_server::SlaService;
use concierge_proto::ticket_rule::{
    CreateSlaRequest, CreateSlaResponse, DeleteSlaRequest, DeleteSlaResponse, GetSlaRequest, GetSlaResponse,
    ListSlasRequest, ListSlasResponse, UndeleteSlaRequest, UndeleteSlaResponse, UpdateSlaRequest, UpdateSlaResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::Slas;

#[tonic::async_trait]
impl SlaService for TicketRule {
    async fn create_sla(&self, request: Request<CreateSlaRequest>) -> Answer<CreateSlaResponse> {
        self.configure_create::<Slas, _>(request, Known::default()).await
    }

    async fn get_sla(&self, request: Request<GetSlaRequest>) -> Answer<GetSlaResponse> {
        self.service.get::<Slas, _>(request).await
    }

    async fn update_sla(&self, request: Request<UpdateSlaRequest>) -> Answer<UpdateSlaResponse> {
        self.configure_update::<Slas, _>(request, Known::default()).await
    }

    async fn delete_sla(&self, request: Request<DeleteSlaRequest>) -> Answer<DeleteSlaResponse> {
        self.configure_delete::<Slas, _>(request).await
    }

    async fn undelete_sla(&self, request: Request<UndeleteSlaRequest>) -> Answer<UndeleteSlaResponse> {
        self.configure_undelete::<Slas, _>(request, Known::default()).await
    }

    async fn list_slas(&self, request: Request<ListSlasRequest>) -> Answer<ListSlasResponse> {
        self.service.list::<Slas, _>(request).await
    }
}
