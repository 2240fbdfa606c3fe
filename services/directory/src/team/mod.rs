//! `TeamService`: groups of agents that tickets are given to.

mod members;
mod store;

use concierge_proto::directory::team_service_server::TeamService;
use concierge_proto::directory::{
    AddTeamMemberRequest, AddTeamMemberResponse, CreateTeamRequest, CreateTeamResponse, DeleteTeamRequest,
    DeleteTeamResponse, GetTeamRequest, GetTeamResponse, ListTeamsRequest, ListTeamsResponse, RemoveTeamMemberRequest,
    RemoveTeamMemberResponse, UndeleteTeamRequest, UndeleteTeamResponse, UpdateTeamRequest, UpdateTeamResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::Teams;

#[tonic::async_trait]
impl TeamService for Directory {
    async fn create_team(&self, request: Request<CreateTeamRequest>) -> Answer<CreateTeamResponse> {
        self.service.create::<Teams, _>(request).await
    }

    async fn get_team(&self, request: Request<GetTeamRequest>) -> Answer<GetTeamResponse> {
        self.service.get::<Teams, _>(request).await
    }

    async fn update_team(&self, request: Request<UpdateTeamRequest>) -> Answer<UpdateTeamResponse> {
        self.service.update::<Teams, _>(request).await
    }

    async fn delete_team(&self, request: Request<DeleteTeamRequest>) -> Answer<DeleteTeamResponse> {
        self.service.delete::<Teams, _>(request).await
    }

    async fn undelete_team(&self, request: Request<UndeleteTeamRequest>) -> Answer<UndeleteTeamResponse> {
        self.service.undelete::<Teams, _>(request).await
    }

    async fn list_teams(&self, request: Request<ListTeamsRequest>) -> Answer<ListTeamsResponse> {
        self.service.list::<Teams, _>(request).await
    }
    async fn add_team_member(&self, request: Request<AddTeamMemberRequest>) -> Answer<AddTeamMemberResponse> {
        self.service.write(request, |tx, request| Box::pin(members::add(tx, request))).await
    }

    async fn remove_team_member(&self, request: Request<RemoveTeamMemberRequest>) -> Answer<RemoveTeamMemberResponse> {
        self.service.write(request, |tx, request| Box::pin(members::remove(tx, request))).await
    }
}
