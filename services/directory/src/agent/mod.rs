//! `AgentService`: the staff of the service desk.

mod create;
mod links;
mod store;

use concierge_proto::directory::agent_service_server::AgentService;
use concierge_proto::directory::{
    CreateAgentRequest, CreateAgentResponse, DeleteAgentRequest, DeleteAgentResponse, GetAgentRequest,
    GetAgentResponse, LinkUserRequest, LinkUserResponse, ListAgentUsersRequest, ListAgentUsersResponse,
    ListAgentsRequest, ListAgentsResponse, UndeleteAgentRequest, UndeleteAgentResponse, UnlinkUserRequest,
    UnlinkUserResponse, UpdateAgentRequest, UpdateAgentResponse,
};
use concierge_runtime::resource::Only;
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Directory;
use crate::user::Users;
pub use store::Agents;

#[tonic::async_trait]
impl AgentService for Directory {
    async fn create_agent(&self, request: Request<CreateAgentRequest>) -> Answer<CreateAgentResponse> {
        self.service.write(request, |tx, request| Box::pin(create::create(tx, request))).await
    }

    async fn get_agent(&self, request: Request<GetAgentRequest>) -> Answer<GetAgentResponse> {
        self.service.get::<Agents, _>(request).await
    }

    async fn update_agent(&self, request: Request<UpdateAgentRequest>) -> Answer<UpdateAgentResponse> {
        self.service.update::<Agents, _>(request).await
    }

    async fn delete_agent(&self, request: Request<DeleteAgentRequest>) -> Answer<DeleteAgentResponse> {
        self.service.delete::<Agents, _>(request).await
    }

    async fn undelete_agent(&self, request: Request<UndeleteAgentRequest>) -> Answer<UndeleteAgentResponse> {
        self.service.undelete::<Agents, _>(request).await
    }

    async fn list_agents(&self, request: Request<ListAgentsRequest>) -> Answer<ListAgentsResponse> {
        self.service.list::<Agents, _>(request).await
    }
    async fn list_agent_users(&self, request: Request<ListAgentUsersRequest>) -> Answer<ListAgentUsersResponse> {
        let request = request.get_ref();
        // Unknown agents are told apart from those without users.
        let agent = self.service.read::<Agents>(&request.id).await?;
        let only = Only::everything().id("linked_agent_id", &agent.id);
        Ok(reply(self.service.page::<Users, _>(request, only).await?.into()))
    }

    async fn link_user(&self, request: Request<LinkUserRequest>) -> Answer<LinkUserResponse> {
        self.service.write(request, |tx, request| Box::pin(links::link(tx, request))).await
    }

    async fn unlink_user(&self, request: Request<UnlinkUserRequest>) -> Answer<UnlinkUserResponse> {
        self.service.write(request, |tx, request| Box::pin(links::unlink(tx, request))).await
    }
}
