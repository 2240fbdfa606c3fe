//! `CategoryService`: what tickets are about, in four levels.

pub(crate) mod path;
mod store;

use concierge_proto::ticket_rule::category_service_server::CategoryService;
use concierge_proto::ticket_rule::{
    CreateCategoryRequest, CreateCategoryResponse, DeleteCategoryRequest, DeleteCategoryResponse, GetCategoryRequest,
    GetCategoryResponse, ListCategoriesRequest, ListCategoriesResponse, UndeleteCategoryRequest,
    UndeleteCategoryResponse, UpdateCategoryRequest, UpdateCategoryResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::TicketRule;
use crate::facts::references::Known;
pub use store::Categories;

#[tonic::async_trait]
impl CategoryService for TicketRule {
    async fn create_category(&self, request: Request<CreateCategoryRequest>) -> Answer<CreateCategoryResponse> {
        self.configure_create::<Categories, _>(request, Known::default()).await
    }

    async fn get_category(&self, request: Request<GetCategoryRequest>) -> Answer<GetCategoryResponse> {
        self.service.get::<Categories, _>(request).await
    }

    async fn update_category(&self, request: Request<UpdateCategoryRequest>) -> Answer<UpdateCategoryResponse> {
        self.configure_update::<Categories, _>(request, Known::default()).await
    }

    async fn delete_category(&self, request: Request<DeleteCategoryRequest>) -> Answer<DeleteCategoryResponse> {
        self.configure_delete::<Categories, _>(request).await
    }

    async fn undelete_category(&self, request: Request<UndeleteCategoryRequest>) -> Answer<UndeleteCategoryResponse> {
        self.configure_undelete::<Categories, _>(request, Known::default()).await
    }

    async fn list_categories(&self, request: Request<ListCategoriesRequest>) -> Answer<ListCategoriesResponse> {
        self.service.list::<Categories, _>(request).await
    }
}
