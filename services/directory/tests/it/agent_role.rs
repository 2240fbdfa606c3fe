//! `AgentRoleService`.

use concierge_proto::directory::{
    AgentRole, DeleteAgentRoleRequest, ListAgentRolesRequest, UndeleteAgentRoleRequest, UpdateAgentRoleRequest,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, reason, role};

async fn change(desk: &Desk, role: AgentRole, paths: &[&str]) -> Result<AgentRole, Status> {
    let request =
        UpdateAgentRoleRequest { agent_role: Some(role), update_mask: Some(mask(paths)), request_id: request_id() };
    Ok(desk.agent_roles().update_agent_role(request).await?.into_inner().agent_role.unwrap())
}

#[tokio::test]
async fn lists_roles_by_permission() {
    let desk = Desk::open().await;
    let first = desk.role("First line", &["customers.read", "tickets.write"]).await;
    desk.role("Billing", &["customers.read"]).await;
    let request = ListAgentRolesRequest { filter: r#"permissions : "tickets.write""#.to_owned(), ..Default::default() };
    let listed = desk.agent_roles().list_agent_roles(request).await.unwrap().into_inner();
    assert_eq!(listed.agent_roles, vec![first.clone()]);
    assert_eq!(
        (first.active, first.permissions.as_slice()),
        (Some(true), &["customers.read", "tickets.write"].map(str::to_owned)[..])
    );
}

#[tokio::test]
async fn names_every_unknown_permission() {
    let desk = Desk::open().await;
    let request = role("First line", &["customers.read", "customer.read", "tickets.burn"]);
    let status = desk.agent_roles().create_agent_role(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PERMISSION_UNKNOWN"));
    assert_eq!(fields(&status), ["agent_role.permissions[1]", "agent_role.permissions[2]"]);
    assert_eq!(metadata(&status, "permission"), "customer.read");
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let mut desk = Desk::open().await;
    let wide = desk.role("Everything", &["*"]).await;
    desk.limit(&["configuration.write", "customers.read"]);
    for (permissions, missing) in [(&["customers.read", "tickets.read"][..], "tickets.read"), (&["*"], "*")] {
        let status = desk.agent_roles().create_agent_role(role("New", permissions)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"));
        assert_eq!(metadata(&status, "permission"), missing);
    }
    let mine = desk.role("Readers", &["customers.read"]).await;
    let more = AgentRole { permissions: vec!["customers.read".into(), "users.read".into()], ..mine };
    assert_eq!(reason(&change(&desk, more, &["permissions"]).await.unwrap_err()), "GRANT_NOT_HELD");
    // What is there already is not granted again.
    let renamed = AgentRole { name: "All".into(), permissions: vec!["*".into(), "customers.read".into()], ..wide };
    assert_eq!(change(&desk, renamed, &["name", "permissions"]).await.unwrap().name, "All");
}

#[tokio::test]
async fn rejects_taken_name_in_any_case() {
    let desk = Desk::open().await;
    desk.role("First line", &[]).await;
    let status = desk.agent_roles().create_agent_role(role("FIRST LINE", &[])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "NAME_TAKEN"));
    let other = desk.role("Second line", &[]).await;
    let status = change(&desk, AgentRole { name: "first line".into(), ..other }, &["name"]).await.unwrap_err();
    assert_eq!(reason(&status), "NAME_TAKEN");
}

#[tokio::test]
async fn a_role_that_an_agent_has_cannot_be_deleted() {
    let desk = Desk::open().await;
    let role = desk.role("First line", &[]).await;
    let agent = desk.agent("Ann Lee", &[&role]).await;
    let delete = || DeleteAgentRoleRequest { id: role.id.clone(), etag: String::new(), request_id: request_id() };
    let status = desk.agent_roles().delete_agent_role(delete()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
    let mut without = agent;
    without.role_ids.clear();
    desk.change_agent(without, &["role_ids"]).await.unwrap();
    desk.agent_roles().delete_agent_role(delete()).await.unwrap();

    let renamed = AgentRole { name: "Other".into(), ..role.clone() };
    let renamed = AgentRole { etag: String::new(), ..renamed };
    assert_eq!(reason(&change(&desk, renamed, &["name"]).await.unwrap_err()), "RECORD_DELETED");
    desk.role("first line", &[]).await;
    let undelete = UndeleteAgentRoleRequest { id: role.id.clone(), request_id: request_id() };
    assert_eq!(reason(&desk.agent_roles().undelete_agent_role(undelete).await.unwrap_err()), "NAME_TAKEN");
}
