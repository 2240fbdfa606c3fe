//! `TicketTypeService`: what kinds of tickets there are.

mod store;

use concierge_proto::ticket_rule::ticket_type_service_server::TicketTypeService;
use concierge_proto::ticket_rule::{
    CreateTicketTypeRequest, CreateTicketTypeResponse, DeleteTicketTypeRequest, DeleteTicketTypeResponse,
    GetTicketTypeRequest, GetTicketTypeResponse, ListTicketTypesRequest, ListTicketTypesResponse, TicketType,
    UndeleteTicketTypeRequest, UndeleteTicketTypeResponse, UpdateTicketTypeRequest, UpdateTicketTypeResponse,
};
use concierge_runtime::{Answer, Error};
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::{Kind, Known};
pub use store::TicketTypes;

#[tonic::async_trait]
impl TicketTypeService for TicketRule {
    async fn create_ticket_type(&self, request: Request<CreateTicketTypeRequest>) -> Answer<CreateTicketTypeResponse> {
        let known = self.known_to_type(request.get_ref().ticket_type.as_ref()).await?;
        self.configure_create::<TicketTypes, _>(request, known).await
    }

    async fn get_ticket_type(&self, request: Request<GetTicketTypeRequest>) -> Answer<GetTicketTypeResponse> {
        self.service.get::<TicketTypes, _>(request).await
    }

    async fn update_ticket_type(&self, request: Request<UpdateTicketTypeRequest>) -> Answer<UpdateTicketTypeResponse> {
        let known = self.known_to_type(request.get_ref().ticket_type.as_ref()).await?;
        self.configure_update::<TicketTypes, _>(request, known).await
    }

    async fn delete_ticket_type(&self, request: Request<DeleteTicketTypeRequest>) -> Answer<DeleteTicketTypeResponse> {
        self.configure_delete::<TicketTypes, _>(request).await
    }

    async fn undelete_ticket_type(
        &self,
        request: Request<UndeleteTicketTypeRequest>,
    ) -> Answer<UndeleteTicketTypeResponse> {
        let ticket_type = match self.service.read::<TicketTypes>(&request.get_ref().id).await {
            // Told with everything else, in the transaction.
            Err(Error::NotFound { .. }) => None,
            found => Some(found?),
        };
        let known = self.known_to_type(ticket_type.as_ref()).await?;
        self.configure_undelete::<TicketTypes, _>(request, known).await
    }

    async fn list_ticket_types(&self, request: Request<ListTicketTypesRequest>) -> Answer<ListTicketTypesResponse> {
        self.service.list::<TicketTypes, _>(request).await
    }
}

impl TicketRule {
    /// What directory says of the team that tickets of a type begin with.
    async fn known_to_type(&self, ticket_type: Option<&TicketType>) -> Result<Known, Error> {
        match ticket_type.map(|t| t.default_team_id.as_str()).filter(|id| !id.is_empty()) {
            Some(team) => self.facts.check(&[(Kind::Team, team)], &[]).await,
            None => Ok(Known::default()),
        }
    }
}
