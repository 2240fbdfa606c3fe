//! `UserRoleService`: roles that carry grants, and who has them.

use concierge_proto::directory::{
    AccessLevel, AssignUserRoleRequest, CreateUserRoleRequest, DeleteUserRequest, DeleteUserRoleRequest,
    GetEffectiveUserRequest, GetUserRequest, GetUserRoleRequest, UnassignUserRoleRequest, UndeleteUserRequest,
    UndeleteUserRoleRequest, UpdateUserRoleRequest, User, UserRole,
};
use concierge_testkit::request_id;
use tonic::{Code, Status};

use crate::desk::{Desk, fields, mask, metadata, nobody, reason};

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
async fn nobody_takes_importance_or_brings_it_back_who_may_not() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, board) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    let plain = desk.user_role(UserRole { name: "Plain".into(), ..Default::default() }).await;
    let unused = desk.user_role(UserRole { name: "Unused".into(), important: true, ..Default::default() }).await;
    for role in [&board, &plain] {
        desk.user_roles().assign_user_role(assign(&ann, role)).await.unwrap();
    }
    let refused = |answer: Result<(), Status>| {
        let status = answer.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"));
        assert_eq!(metadata(&status, "permission"), "importance.write");
    };
    let all = desk.who.clone();
    desk.limit(&["users.roles.write", "users.write", "configuration.write"]);
    let take = |role: &UserRole| UnassignUserRoleRequest {
        user_id: ann.id.clone(),
        role_id: role.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    refused(desk.user_roles().unassign_user_role(take(&board)).await.map(drop));
    desk.user_roles().unassign_user_role(take(&plain)).await.unwrap();
    let remove =
        |role: &UserRole| DeleteUserRoleRequest { id: role.id.clone(), etag: String::new(), request_id: request_id() };
    refused(desk.user_roles().delete_user_role(remove(&unused)).await.map(drop));
    desk.user_roles().delete_user_role(remove(&plain)).await.unwrap();

    // A user that is deleted and comes back would be important again.
    let delete = DeleteUserRequest { id: ann.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    let back = || UndeleteUserRequest { id: ann.id.clone(), request_id: request_id() };
    refused(desk.users().undelete_user(back()).await.map(drop));
    let limited = std::mem::replace(&mut desk.who, all);
    desk.users().undelete_user(back()).await.unwrap();
    desk.user_roles().delete_user_role(remove(&unused)).await.unwrap();
    desk.who = limited;
    let back = |role: &UserRole| UndeleteUserRoleRequest { id: role.id.clone(), request_id: request_id() };
    refused(desk.user_roles().undelete_user_role(back(&unused)).await.map(drop));
    desk.user_roles().undelete_user_role(back(&plain)).await.unwrap();
}

#[tokio::test]
async fn that_was_deleted_meanwhile_does_not_come_back_with_its_user() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, board) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    let plain = desk.user_role(UserRole { name: "Plain".into(), ..Default::default() }).await;
    for role in [&board, &plain] {
        desk.user_roles().assign_user_role(assign(&ann, role)).await.unwrap();
    }
    let delete = DeleteUserRequest { id: ann.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    let remove = DeleteUserRoleRequest { id: board.id.clone(), etag: String::new(), request_id: request_id() };
    desk.user_roles().delete_user_role(remove).await.unwrap();
    let undelete = UndeleteUserRequest { id: ann.id.clone(), request_id: request_id() };
    let back = desk.users().undelete_user(undelete).await.unwrap().into_inner().user.unwrap();
    assert_eq!((back.role_ids, back.delete_time), (vec![plain.id], None));
    let stored = GetUserRequest { id: ann.id.clone() };
    let stored = desk.users().get_user(stored).await.unwrap().into_inner().user.unwrap();
    assert_eq!((stored.role_ids.len(), stored.etag), (1, back.etag));
    // A role that comes back finds nobody who has it.
    let undelete = UndeleteUserRoleRequest { id: board.id, request_id: request_id() };
    desk.user_roles().undelete_user_role(undelete).await.unwrap();
    let effective = GetEffectiveUserRequest { id: ann.id };
    let effective = desk.users().get_effective_user(effective).await.unwrap().into_inner().effective_user.unwrap();
    assert!(!effective.importance.unwrap().value);
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

async fn update(desk: &Desk, role: UserRole, paths: &[&str]) -> Result<UserRole, Status> {
    let request =
        UpdateUserRoleRequest { user_role: Some(role), update_mask: Some(mask(paths)), request_id: request_id() };
    Ok(desk.user_roles().update_user_role(request).await?.into_inner().user_role.unwrap())
}

#[tokio::test]
async fn names_are_unique_among_live_roles_in_any_case() {
    let desk = Desk::open().await;
    let create = async |name: &str| {
        let role = UserRole { name: name.to_owned(), ..Default::default() };
        let request = CreateUserRoleRequest { user_role: Some(role), request_id: request_id() };
        Ok::<_, Status>(desk.user_roles().create_user_role(request).await?.into_inner().user_role.unwrap())
    };
    let board = create("Board").await.unwrap();
    let status = create("BOARD").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "NAME_TAKEN"));
    let other = create("Other").await.unwrap();
    let taken = UserRole { name: "board".into(), ..other.clone() };
    assert_eq!(reason(&update(&desk, taken, &["name"]).await.unwrap_err()), "NAME_TAKEN");

    let back = || UndeleteUserRoleRequest { id: board.id.clone(), request_id: request_id() };
    assert_eq!(reason(&desk.user_roles().undelete_user_role(back()).await.unwrap_err()), "RECORD_NOT_DELETED");
    let request = DeleteUserRoleRequest { id: board.id.clone(), etag: String::new(), request_id: request_id() };
    let gone = desk.user_roles().delete_user_role(request).await.unwrap().into_inner().user_role.unwrap();
    assert_eq!(reason(&update(&desk, gone, &["name"]).await.unwrap_err()), "RECORD_DELETED");
    update(&desk, UserRole { name: "Board".into(), ..other.clone() }, &["name"]).await.unwrap();
    assert_eq!(reason(&desk.user_roles().undelete_user_role(back()).await.unwrap_err()), "NAME_TAKEN");
    let stale = UserRole { name: "Third".into(), ..other };
    assert_eq!(reason(&update(&desk, stale, &["name"]).await.unwrap_err()), "STALE_ETAG");
    let request = GetUserRoleRequest { id: nobody() };
    assert_eq!(reason(&desk.user_roles().get_user_role(request).await.unwrap_err()), "RECORD_NOT_FOUND");
}

#[tokio::test]
async fn a_role_that_lets_nobody_in_any_more_revokes_the_tokens_of_those_it_leaves_outside() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let opening = |name: &str| UserRole {
        name: name.to_owned(),
        web_access_level: AccessLevel::Site.into(),
        ..Default::default()
    };
    let (one, two) = (desk.user_role(opening("One")).await, desk.user_role(opening("Two")).await);
    let with = async |name: &str, own: AccessLevel, roles: &[&UserRole]| {
        let role_ids = roles.iter().map(|r| r.id.clone()).collect();
        desk.user_with(&site, name, |u| (u.web_access_level, u.role_ids) = (own.into(), role_ids)).await
    };
    let outside = with("Ann Lee", AccessLevel::None, &[&one]).await;
    with("Bob Ray", AccessLevel::Own, &[&one]).await;
    with("Eve Fox", AccessLevel::None, &[&one, &two]).await;
    desk.revoked().await;
    let lower =
        |level: AccessLevel| UserRole { id: one.id.clone(), web_access_level: level.into(), ..Default::default() };
    update(&desk, lower(AccessLevel::Own), &["web_access_level"]).await.unwrap();
    assert!(desk.revoked().await.is_empty());
    update(&desk, lower(AccessLevel::None), &["web_access_level"]).await.unwrap();
    assert_eq!(desk.revoked().await, [format!("subject/{}", outside.id)]);
}

#[tokio::test]
async fn is_given_only_to_who_is_there_and_only_if_it_is() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let (ann, role) = (desk.user(&site, "Ann Lee").await, desk.user_role(board()).await);
    let give = async |request: AssignUserRoleRequest| {
        desk.user_roles().assign_user_role(request).await.map(|a| a.into_inner().user.unwrap())
    };
    let status = give(AssignUserRoleRequest { role_id: nobody(), ..assign(&ann, &role) }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REFERENCE_NOT_FOUND"));
    assert_eq!(fields(&status), ["role_id"]);
    let status = give(AssignUserRoleRequest { user_id: nobody(), ..assign(&ann, &role) }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    let status = give(AssignUserRoleRequest { etag: "7".into(), ..assign(&ann, &role) }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STALE_ETAG"));
    give(assign(&ann, &role)).await.unwrap();
    desk.revoked().await;
    let take = UnassignUserRoleRequest {
        user_id: ann.id.clone(),
        role_id: role.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk.user_roles().unassign_user_role(take.clone()).await.unwrap();
    assert_eq!(desk.revoked().await, [format!("subject/{}", ann.id)]);
    let request = DeleteUserRequest { id: ann.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(request).await.unwrap();
    let status = desk.user_roles().assign_user_role(assign(&ann, &role)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "RECORD_DELETED"));
    let again = UnassignUserRoleRequest { request_id: request_id(), ..take };
    assert_eq!(reason(&desk.user_roles().unassign_user_role(again).await.unwrap_err()), "RECORD_DELETED");
}
