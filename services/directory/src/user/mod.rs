//! `UserService`: the people of customers.

mod access;
mod batch;
mod effective;
mod emails;
mod logins;
mod move_user;
mod overview;
mod search;
mod search_sql;
mod store;
mod undelete;

use concierge_proto::directory::user_service_server::UserService;
use concierge_proto::directory::{
    BatchGetUsersRequest, BatchGetUsersResponse, CreateUserRequest, CreateUserResponse, DeleteUserRequest,
    DeleteUserResponse, GetEffectiveUserRequest, GetEffectiveUserResponse, GetUserOverviewRequest,
    GetUserOverviewResponse, GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse, MoveUserRequest,
    MoveUserResponse, SearchUsersRequest, SearchUsersResponse, UndeleteUserRequest, UndeleteUserResponse,
    UpdateUserRequest, UpdateUserResponse,
};
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Directory;
pub use store::Users;

#[tonic::async_trait]
impl UserService for Directory {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Answer<CreateUserResponse> {
        self.service.create::<Users, _>(request).await
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Answer<GetUserResponse> {
        self.service.get::<Users, _>(request).await
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Answer<UpdateUserResponse> {
        self.service.update::<Users, _>(request).await
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Answer<DeleteUserResponse> {
        self.service.delete::<Users, _>(request).await
    }

    async fn undelete_user(&self, request: Request<UndeleteUserRequest>) -> Answer<UndeleteUserResponse> {
        self.service.write(request, |tx, request| Box::pin(undelete::undelete(tx, request))).await
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Answer<ListUsersResponse> {
        self.service.list::<Users, _>(request).await
    }

    async fn search_users(&self, request: Request<SearchUsersRequest>) -> Answer<SearchUsersResponse> {
        Ok(reply(search::search(&self.service, request.get_ref()).await?))
    }

    async fn batch_get_users(&self, request: Request<BatchGetUsersRequest>) -> Answer<BatchGetUsersResponse> {
        Ok(reply(batch::get(&self.service, request.into_inner().ids).await?))
    }

    async fn move_user(&self, request: Request<MoveUserRequest>) -> Answer<MoveUserResponse> {
        self.service.write(request, |tx, request| Box::pin(move_user::move_user(tx, request))).await
    }

    async fn get_effective_user(&self, request: Request<GetEffectiveUserRequest>) -> Answer<GetEffectiveUserResponse> {
        let effective_user = self.effective_user(&request.get_ref().id).await?;
        Ok(reply(GetEffectiveUserResponse { effective_user: Some(effective_user) }))
    }

    async fn get_user_overview(&self, request: Request<GetUserOverviewRequest>) -> Answer<GetUserOverviewResponse> {
        let overview = overview::overview(&self.service, &request.get_ref().id).await?;
        Ok(reply(GetUserOverviewResponse { overview: Some(overview) }))
    }
}
