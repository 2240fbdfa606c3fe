//! `SiteService`: the places of customers.

mod main_site;
mod overview;
mod search;
mod store;

use concierge_proto::directory::site_service_server::SiteService;
use concierge_proto::directory::{
    CreateSiteRequest, CreateSiteResponse, DeleteSiteRequest, DeleteSiteResponse, GetSiteOverviewRequest,
    GetSiteOverviewResponse, GetSiteRequest, GetSiteResponse, ListSitesRequest, ListSitesResponse, SearchSitesRequest,
    SearchSitesResponse, SetMainSiteRequest, SetMainSiteResponse, UndeleteSiteRequest, UndeleteSiteResponse,
    UpdateSiteRequest, UpdateSiteResponse,
};
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Directory;
pub use store::Sites;

#[tonic::async_trait]
impl SiteService for Directory {
    async fn create_site(&self, request: Request<CreateSiteRequest>) -> Answer<CreateSiteResponse> {
        self.service.create::<Sites, _>(request).await
    }

    async fn get_site(&self, request: Request<GetSiteRequest>) -> Answer<GetSiteResponse> {
        self.service.get::<Sites, _>(request).await
    }

    async fn update_site(&self, request: Request<UpdateSiteRequest>) -> Answer<UpdateSiteResponse> {
        self.service.update::<Sites, _>(request).await
    }

    async fn delete_site(&self, request: Request<DeleteSiteRequest>) -> Answer<DeleteSiteResponse> {
        self.service.delete::<Sites, _>(request).await
    }

    async fn undelete_site(&self, request: Request<UndeleteSiteRequest>) -> Answer<UndeleteSiteResponse> {
        self.service.undelete::<Sites, _>(request).await
    }

    async fn list_sites(&self, request: Request<ListSitesRequest>) -> Answer<ListSitesResponse> {
        self.service.list::<Sites, _>(request).await
    }

    async fn search_sites(&self, request: Request<SearchSitesRequest>) -> Answer<SearchSitesResponse> {
        Ok(reply(search::search(&self.service, request.get_ref()).await?))
    }

    async fn set_main_site(&self, request: Request<SetMainSiteRequest>) -> Answer<SetMainSiteResponse> {
        self.service.write(request, |tx, request| Box::pin(main_site::set(tx, request))).await
    }

    async fn get_site_overview(&self, request: Request<GetSiteOverviewRequest>) -> Answer<GetSiteOverviewResponse> {
        let overview = overview::overview(&self.service, &request.get_ref().id).await?;
        Ok(reply(GetSiteOverviewResponse { overview: Some(overview) }))
    }
}
