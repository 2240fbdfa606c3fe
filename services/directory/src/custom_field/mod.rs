//! `CustomFieldService`: what records keep beside what the contract has.

mod store;
mod values;

use concierge_proto::directory::custom_field_service_server::CustomFieldService;
use concierge_proto::directory::{
    CreateCustomFieldRequest, CreateCustomFieldResponse, DeleteCustomFieldRequest, DeleteCustomFieldResponse,
    GetCustomFieldRequest, GetCustomFieldResponse, ListCustomFieldsRequest, ListCustomFieldsResponse,
    UndeleteCustomFieldRequest, UndeleteCustomFieldResponse, UpdateCustomFieldRequest, UpdateCustomFieldResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::CustomFields;
pub(crate) use values::accept;

#[tonic::async_trait]
impl CustomFieldService for Directory {
    async fn create_custom_field(
        &self,
        request: Request<CreateCustomFieldRequest>,
    ) -> Answer<CreateCustomFieldResponse> {
        self.service.create::<CustomFields, _>(request).await
    }

    async fn get_custom_field(&self, request: Request<GetCustomFieldRequest>) -> Answer<GetCustomFieldResponse> {
        self.service.get::<CustomFields, _>(request).await
    }

    async fn update_custom_field(
        &self,
        request: Request<UpdateCustomFieldRequest>,
    ) -> Answer<UpdateCustomFieldResponse> {
        self.service.update::<CustomFields, _>(request).await
    }

    async fn delete_custom_field(
        &self,
        request: Request<DeleteCustomFieldRequest>,
    ) -> Answer<DeleteCustomFieldResponse> {
        self.service.delete::<CustomFields, _>(request).await
    }

    async fn undelete_custom_field(
        &self,
        request: Request<UndeleteCustomFieldRequest>,
    ) -> Answer<UndeleteCustomFieldResponse> {
        self.service.undelete::<CustomFields, _>(request).await
    }

    async fn list_custom_fields(&self, request: Request<ListCustomFieldsRequest>) -> Answer<ListCustomFieldsResponse> {
        self.service.list::<CustomFields, _>(request).await
    }
}
