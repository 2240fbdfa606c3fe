//! `RelationshipService`: the configured values that customers and users choose from.

mod store;

use concierge_proto::directory::relationship_service_server::RelationshipService;
use concierge_proto::directory::{
    CreateRelationshipRequest, CreateRelationshipResponse, DeleteRelationshipRequest, DeleteRelationshipResponse,
    GetRelationshipRequest, GetRelationshipResponse, ListRelationshipsRequest, ListRelationshipsResponse,
    UndeleteRelationshipRequest, UndeleteRelationshipResponse, UpdateRelationshipRequest, UpdateRelationshipResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::Relationships;
pub(crate) use store::check_entity;

#[tonic::async_trait]
impl RelationshipService for Directory {
    async fn create_relationship(
        &self,
        request: Request<CreateRelationshipRequest>,
    ) -> Answer<CreateRelationshipResponse> {
        self.service.create::<Relationships, _>(request).await
    }

    async fn get_relationship(&self, request: Request<GetRelationshipRequest>) -> Answer<GetRelationshipResponse> {
        self.service.get::<Relationships, _>(request).await
    }

    async fn update_relationship(
        &self,
        request: Request<UpdateRelationshipRequest>,
    ) -> Answer<UpdateRelationshipResponse> {
        self.service.update::<Relationships, _>(request).await
    }

    async fn delete_relationship(
        &self,
        request: Request<DeleteRelationshipRequest>,
    ) -> Answer<DeleteRelationshipResponse> {
        self.service.delete::<Relationships, _>(request).await
    }

    async fn undelete_relationship(
        &self,
        request: Request<UndeleteRelationshipRequest>,
    ) -> Answer<UndeleteRelationshipResponse> {
        self.service.undelete::<Relationships, _>(request).await
    }

    async fn list_relationships(
        &self,
        request: Request<ListRelationshipsRequest>,
    ) -> Answer<ListRelationshipsResponse> {
        self.service.list::<Relationships, _>(request).await
    }
}
