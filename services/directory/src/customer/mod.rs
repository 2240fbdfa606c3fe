//! `CustomerService`: the organisations that the service desk works for.

mod create;
mod delete;
mod overview;
pub(crate) mod search;
mod store;

use concierge_proto::directory::customer_service_server::CustomerService;
use concierge_proto::directory::{
    CreateCustomerRequest, CreateCustomerResponse, DeleteCustomerRequest, DeleteCustomerResponse,
    GetCustomerOverviewRequest, GetCustomerOverviewResponse, GetCustomerRequest, GetCustomerResponse,
    ListCustomersRequest, ListCustomersResponse, SearchCustomersRequest, SearchCustomersResponse,
    UndeleteCustomerRequest, UndeleteCustomerResponse, UpdateCustomerRequest, UpdateCustomerResponse,
};
use concierge_runtime::{Answer, reply};
use tonic::Request;

use crate::Directory;
pub use store::Customers;

#[tonic::async_trait]
impl CustomerService for Directory {
    async fn create_customer(&self, request: Request<CreateCustomerRequest>) -> Answer<CreateCustomerResponse> {
        self.service.write(request, |tx, request| Box::pin(create::create(tx, request))).await
    }

    async fn get_customer(&self, request: Request<GetCustomerRequest>) -> Answer<GetCustomerResponse> {
        self.service.get::<Customers, _>(request).await
    }

    async fn update_customer(&self, request: Request<UpdateCustomerRequest>) -> Answer<UpdateCustomerResponse> {
        self.service.update::<Customers, _>(request).await
    }

    async fn delete_customer(&self, request: Request<DeleteCustomerRequest>) -> Answer<DeleteCustomerResponse> {
        self.service.write(request, |tx, request| Box::pin(delete::delete(tx, request))).await
    }

    async fn undelete_customer(&self, request: Request<UndeleteCustomerRequest>) -> Answer<UndeleteCustomerResponse> {
        self.service.write(request, |tx, request| Box::pin(delete::undelete(tx, request))).await
    }

    async fn list_customers(&self, request: Request<ListCustomersRequest>) -> Answer<ListCustomersResponse> {
        self.service.list::<Customers, _>(request).await
    }

    async fn search_customers(&self, request: Request<SearchCustomersRequest>) -> Answer<SearchCustomersResponse> {
        Ok(reply(search::search(&self.service, request.get_ref()).await?))
    }

    async fn get_customer_overview(
        &self,
        request: Request<GetCustomerOverviewRequest>,
    ) -> Answer<GetCustomerOverviewResponse> {
        let overview = overview::overview(&self.service, &request.get_ref().id).await?;
        Ok(reply(GetCustomerOverviewResponse { overview: Some(overview) }))
    }
}
