//! `AgentRoleService`: named sets of permissions for agents.

mod store;

use concierge_proto::directory::agent_role_service_server::AgentRoleService;
use concierge_proto::directory::{
    CreateAgentRoleRequest, CreateAgentRoleResponse, DeleteAgentRoleRequest, DeleteAgentRoleResponse,
    GetAgentRoleRequest, GetAgentRoleResponse, ListAgentRolesRequest, ListAgentRolesResponse, UndeleteAgentRoleRequest,
    UndeleteAgentRoleResponse, UpdateAgentRoleRequest, UpdateAgentRoleResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::AgentRoles;

#[tonic::async_trait]
impl AgentRoleService for Directory {
    async fn create_agent_role(&self, request: Request<CreateAgentRoleRequest>) -> Answer<CreateAgentRoleResponse> {
        self.service.create::<AgentRoles, _>(request).await
    }

    async fn get_agent_role(&self, request: Request<GetAgentRoleRequest>) -> Answer<GetAgentRoleResponse> {
        self.service.get::<AgentRoles, _>(request).await
    }

    async fn update_agent_role(&self, request: Request<UpdateAgentRoleRequest>) -> Answer<UpdateAgentRoleResponse> {
        self.service.update::<AgentRoles, _>(request).await
    }

    async fn delete_agent_role(&self, request: Request<DeleteAgentRoleRequest>) -> Answer<DeleteAgentRoleResponse> {
        self.service.delete::<AgentRoles, _>(request).await
    }

    async fn undelete_agent_role(
        &self,
        request: Request<UndeleteAgentRoleRequest>,
    ) -> Answer<UndeleteAgentRoleResponse> {
        self.service.undelete::<AgentRoles, _>(request).await
    }

    async fn list_agent_roles(&self, request: Request<ListAgentRolesRequest>) -> Answer<ListAgentRolesResponse> {
        self.service.list::<AgentRoles, _>(request).await
    }
}
