//! `UserRoleService`: named sets of grants, and who has them.

mod assign;
mod store;

use concierge_proto::directory::user_role_service_server::UserRoleService;
use concierge_proto::directory::{
    AssignUserRoleRequest, AssignUserRoleResponse, CreateUserRoleRequest, CreateUserRoleResponse,
    DeleteUserRoleRequest, DeleteUserRoleResponse, GetUserRoleRequest, GetUserRoleResponse, ListUserRolesRequest,
    ListUserRolesResponse, UnassignUserRoleRequest, UnassignUserRoleResponse, UndeleteUserRoleRequest,
    UndeleteUserRoleResponse, UpdateUserRoleRequest, UpdateUserRoleResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::UserRoles;

#[tonic::async_trait]
impl UserRoleService for Directory {
    async fn create_user_role(&self, request: Request<CreateUserRoleRequest>) -> Answer<CreateUserRoleResponse> {
        self.service.create::<UserRoles, _>(request).await
    }

    async fn get_user_role(&self, request: Request<GetUserRoleRequest>) -> Answer<GetUserRoleResponse> {
        self.service.get::<UserRoles, _>(request).await
    }

    async fn update_user_role(&self, request: Request<UpdateUserRoleRequest>) -> Answer<UpdateUserRoleResponse> {
        self.service.update::<UserRoles, _>(request).await
    }

    async fn delete_user_role(&self, request: Request<DeleteUserRoleRequest>) -> Answer<DeleteUserRoleResponse> {
        self.service.delete::<UserRoles, _>(request).await
    }

    async fn undelete_user_role(&self, request: Request<UndeleteUserRoleRequest>) -> Answer<UndeleteUserRoleResponse> {
        self.service.undelete::<UserRoles, _>(request).await
    }

    async fn list_user_roles(&self, request: Request<ListUserRolesRequest>) -> Answer<ListUserRolesResponse> {
        self.service.list::<UserRoles, _>(request).await
    }

    async fn assign_user_role(&self, request: Request<AssignUserRoleRequest>) -> Answer<AssignUserRoleResponse> {
        self.service.write(request, |tx, request| Box::pin(assign::assign(tx, request))).await
    }

    async fn unassign_user_role(&self, request: Request<UnassignUserRoleRequest>) -> Answer<UnassignUserRoleResponse> {
        self.service.write(request, |tx, request| Box::pin(assign::unassign(tx, request))).await
    }
}
