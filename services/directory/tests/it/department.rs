//! `DepartmentService`.

use concierge_proto::directory::{
    CreateDepartmentRequest, CreateTeamRequest, CreateUserRequest, DeleteDepartmentRequest, Department,
    GetRequesterFactsRequest, ListUsersRequest, Team, UndeleteDepartmentRequest, UpdateDepartmentRequest, User,
    requester_service_client::RequesterServiceClient,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, nobody, reason};

async fn create(desk: &Desk, name: &str) -> Result<Department, Status> {
    let department = Department { name: name.to_owned(), ..Default::default() };
    let request = CreateDepartmentRequest { department: Some(department), request_id: request_id() };
    Ok(desk.departments().create_department(request).await?.into_inner().department.unwrap())
}

async fn delete(desk: &Desk, department: &Department) -> Result<(), Status> {
    let request = DeleteDepartmentRequest { id: department.id.clone(), request_id: request_id(), ..Default::default() };
    desk.departments().delete_department(request).await.map(drop)
}

#[tokio::test]
async fn is_created_changed_deleted_and_brought_back() {
    let desk = Desk::open().await;
    let ann = desk.agent("Ann Lee", &[]).await;
    let finance = create(&desk, "Finance").await.unwrap();
    assert_eq!((finance.active, finance.manager_agent_id.as_str()), (Some(true), ""));
    assert_eq!(reason(&create(&desk, "FINANCE").await.unwrap_err()), "NAME_TAKEN");

    let request = |manager: &str| UpdateDepartmentRequest {
        department: Some(Department {
            id: finance.id.clone(),
            manager_agent_id: manager.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(mask(&["manager_agent_id"])),
        request_id: request_id(),
    };
    let status = desk.departments().update_department(request(&nobody())).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status).join(" ").as_str()),
        ("REFERENCE_NOT_FOUND", "department.manager_agent_id")
    );
    let changed = desk.departments().update_department(request(&ann.id)).await.unwrap().into_inner();
    assert_eq!(changed.department.unwrap().manager_agent_id, ann.id);

    delete(&desk, &finance).await.unwrap();
    assert_eq!(reason(&delete(&desk, &finance).await.unwrap_err()), "RECORD_DELETED");
    let request = UndeleteDepartmentRequest { id: finance.id.clone(), request_id: request_id() };
    let back = desk.departments().undelete_department(request).await.unwrap().into_inner().department.unwrap();
    assert!(back.delete_time.is_none());
}

#[tokio::test]
async fn stays_while_a_team_or_a_user_belongs_to_it() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (finance, sales) = (create(&desk, "Finance").await.unwrap(), create(&desk, "Sales").await.unwrap());
    let ann = desk.user_with(&site, "Ann Lee", |user| user.department_id = finance.id.clone()).await;
    let team = Team { name: "First line".to_owned(), department_id: sales.id.clone(), ..Default::default() };
    let request = CreateTeamRequest { team: Some(team), request_id: request_id() };
    let team = desk.teams().create_team(request).await.unwrap().into_inner().team.unwrap();
    assert_eq!(team.department_id, sales.id);
    for department in [&finance, &sales] {
        let status = delete(&desk, department).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    }
    let filter = format!("department_id = \"{}\"", finance.id);
    let request = ListUsersRequest { filter, ..Default::default() };
    assert_eq!(desk.users().list_users(request).await.unwrap().into_inner().users, std::slice::from_ref(&ann));

    let ann = desk.change_user(User { department_id: String::new(), ..ann }, &["department_id"]).await;
    assert_eq!(ann.department_id, "");
    delete(&desk, &finance).await.unwrap();

    let user = User { site_id: site.id, name: "Bob Ray".to_owned(), department_id: finance.id, ..Default::default() };
    let request = CreateUserRequest { user: Some(user), request_id: request_id() };
    let status = desk.users().create_user(request).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status).join(" ").as_str()),
        ("REFERENCE_NOT_FOUND", "user.department_id")
    );
}

#[tokio::test]
async fn the_facts_of_a_user_say_which_it_belongs_to() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let finance = create(&desk, "Finance").await.unwrap();
    let ann = desk.user_with(&site, "Ann Lee", |user| user.department_id = finance.id.clone()).await;
    let mut requester = RequesterServiceClient::new(desk.suite.api("directory", &desk.who));
    let request = GetRequesterFactsRequest { user_id: ann.id, ..Default::default() };
    let facts = requester.get_requester_facts(request).await.unwrap().into_inner().facts.unwrap();
    assert_eq!(facts.user.unwrap().department_id, finance.id);
}

#[tokio::test]
async fn is_read_and_written_with_the_permissions_of_agents() {
    let mut desk = Desk::open().await;
    let finance = create(&desk, "Finance").await.unwrap();
    desk.limit(&["agents.read"]);
    assert_eq!(reason(&create(&desk, "Sales").await.unwrap_err()), "PERMISSION_MISSING");
    desk.limit(&["users.read", "customers.read"]);
    let request = concierge_proto::directory::GetDepartmentRequest { id: finance.id };
    let status = desk.departments().get_department(request).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
}
