//! `DepartmentService`: the parts of the organisation that teams and users belong to.

mod store;

use concierge_proto::directory::department_service_server::DepartmentService;
use concierge_proto::directory::{
    CreateDepartmentRequest, CreateDepartmentResponse, DeleteDepartmentRequest, DeleteDepartmentResponse,
    GetDepartmentRequest, GetDepartmentResponse, ListDepartmentsRequest, ListDepartmentsResponse,
    UndeleteDepartmentRequest, UndeleteDepartmentResponse, UpdateDepartmentRequest, UpdateDepartmentResponse,
};
use concierge_runtime::Answer;
use tonic::Request;

use crate::Directory;
pub use store::Departments;

#[tonic::async_trait]
impl DepartmentService for Directory {
    async fn create_department(&self, request: Request<CreateDepartmentRequest>) -> Answer<CreateDepartmentResponse> {
        self.service.create::<Departments, _>(request).await
    }

    async fn get_department(&self, request: Request<GetDepartmentRequest>) -> Answer<GetDepartmentResponse> {
        self.service.get::<Departments, _>(request).await
    }

    async fn update_department(&self, request: Request<UpdateDepartmentRequest>) -> Answer<UpdateDepartmentResponse> {
        self.service.update::<Departments, _>(request).await
    }

    async fn delete_department(&self, request: Request<DeleteDepartmentRequest>) -> Answer<DeleteDepartmentResponse> {
        self.service.delete::<Departments, _>(request).await
    }

    async fn undelete_department(
        &self,
        request: Request<UndeleteDepartmentRequest>,
    ) -> Answer<UndeleteDepartmentResponse> {
        self.service.undelete::<Departments, _>(request).await
    }

    async fn list_departments(&self, request: Request<ListDepartmentsRequest>) -> Answer<ListDepartmentsResponse> {
        self.service.list::<Departments, _>(request).await
    }
}
