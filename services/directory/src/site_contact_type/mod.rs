//! `SiteContactTypeService`: what a site contact can be a contact for.

mod store;

use concierge_proto::directory::site_contact_type_service_server::SiteContactTypeService;
use concierge_proto::directory::{
    CreateSiteContactTypeRequest, CreateSiteContactTypeResponse, DeleteSiteContactTypeRequest,
    DeleteSiteContactTypeResponse, GetSiteContactTypeRequest, GetSiteContactTypeResponse, ListSiteContactTypesRequest,
    ListSiteContactTypesResponse, UndeleteSiteContactTypeRequest, UndeleteSiteContactTypeResponse,
    UpdateSiteContactTypeRequest, UpdateSiteContactTypeResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::SiteContactTypes;

#[tonic::async_trait]
impl SiteContactTypeService for Directory {
    async fn create_site_contact_type(
        &self,
        request: Request<CreateSiteContactTypeRequest>,
    ) -> Answer<CreateSiteContactTypeResponse> {
        self.service.create::<SiteContactTypes, _>(request).await
    }

    async fn get_site_contact_type(
        &self,
        request: Request<GetSiteContactTypeRequest>,
    ) -> Answer<GetSiteContactTypeResponse> {
        self.service.get::<SiteContactTypes, _>(request).await
    }

    async fn update_site_contact_type(
        &self,
        request: Request<UpdateSiteContactTypeRequest>,
    ) -> Answer<UpdateSiteContactTypeResponse> {
        self.service.update::<SiteContactTypes, _>(request).await
    }

    async fn delete_site_contact_type(
        &self,
        request: Request<DeleteSiteContactTypeRequest>,
    ) -> Answer<DeleteSiteContactTypeResponse> {
        self.service.delete::<SiteContactTypes, _>(request).await
    }

    async fn undelete_site_contact_type(
        &self,
        request: Request<UndeleteSiteContactTypeRequest>,
    ) -> Answer<UndeleteSiteContactTypeResponse> {
        self.service.undelete::<SiteContactTypes, _>(request).await
    }

    async fn list_site_contact_types(
        &self,
        request: Request<ListSiteContactTypesRequest>,
    ) -> Answer<ListSiteContactTypesResponse> {
        self.service.list::<SiteContactTypes, _>(request).await
    }
}
