//! `UserRoleService`: roles that carry grants, and who has them.

use concierge_proto::directory::{
    AssignUserRoleRequest, DeleteUserRoleRequest, UnassignUserRoleRequest, User, UserRole,
};
use concierge_testkit::request_id;
use tonic::Code;

use crate::desk::{Desk, reason};

fn assign(user: &User, role: &UserRole) -> AssignUserRoleRequest {
    AssignUserRoleRequest {
        user_id: user.id.clone(),
        role_id: role.id.clone(),
        request_id: request_id(),
        ..Default::default()
    }
}

fn board() -> UserRole {
    UserRole { name: "Board".to_owned(), important: true, ..Default::default() }
}

#[tokio::test]
async fn is_given_and_taken_one_at_a_time_and_doing_so_again_changes_nothing() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, board) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    for _ in 0..2 {
        let given = desk.user_roles().assign_user_role(assign(&ann, &board)).await.unwrap().into_inner().user.unwrap();
        assert_eq!((given.role_ids, given.etag.as_str()), (vec![board.id.clone()], "2"));
    }
    for _ in 0..2 {
        let request = UnassignUserRoleRequest {
            user_id: ann.id.clone(),
            role_id: board.id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let taken = desk.user_roles().unassign_user_role(request).await.unwrap().into_inner().user.unwrap();
        assert_eq!((taken.role_ids.len(), taken.etag.as_str()), (0, "3"));
    }
}

#[tokio::test]
async fn nobody_gives_importance_who_may_not() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, board) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    desk.limit(&["users.roles.write", "users.read"]);
    let status = desk.user_roles().assign_user_role(assign(&ann, &board)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"));
}

#[tokio::test]
async fn that_somebody_has_stays() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, board) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    desk.user_roles().assign_user_role(assign(&ann, &board)).await.unwrap();
    let request = DeleteUserRoleRequest { id: board.id, etag: String::new(), request_id: request_id() };
    let status = desk.user_roles().delete_user_role(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_IN_USE"));
}
