//! One role more or less for a user.

use concierge_proto::directory::{
    AssignUserRoleRequest, AssignUserRoleResponse, UnassignUserRoleRequest, UnassignUserRoleResponse,
};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::UserRoles;
use crate::user::Users;

/// So many roles a user can have; the contract's `max_items` of its roles.
const MOST: usize = 100;

/// Gives a role; a user that has it already is answered unchanged. Nobody gives importance who may not: the user's own
/// hook checks what changed.
pub(super) async fn assign(tx: &mut Tx, request: AssignUserRoleRequest) -> Result<AssignUserRoleResponse, Error> {
    let before = tx.get_for_update::<Users>(&request.user_id).await?;
    tx.check_etag(&before, &request.etag)?;
    if before.role_ids.contains(&request.role_id) {
        return Ok(before.into());
    }
    if before.role_ids.len() >= MOST {
        return Err(Error::field("role_id", format!("cannot be given: the user has {MOST} roles, which is the most")));
    }
    let unknown = || {
        let why = format!("there is no live user role {}", request.role_id);
        Error::because(Reason::ReferenceNotFound, "role_id", why)
    };
    let role = tx.get::<UserRoles>(&request.role_id).await.map_err(|error| match error {
        Error::NotFound { .. } => unknown(),
        other => other,
    })?;
    if role.delete_time.is_some() {
        return Err(unknown());
    }
    let mut after = before.clone();
    after.role_ids.push(request.role_id);
    Ok(tx.change::<Users>(before, after).await?.into())
}

/// Takes a role; a user that does not have it is answered unchanged. The user's own hooks check that the caller may, and
/// revoke the user's tokens.
pub(super) async fn unassign(tx: &mut Tx, request: UnassignUserRoleRequest) -> Result<UnassignUserRoleResponse, Error> {
    let before = tx.get_for_update::<Users>(&request.user_id).await?;
    tx.check_etag(&before, &request.etag)?;
    let mut after = before.clone();
    after.role_ids.retain(|id| *id != request.role_id);
    Ok(tx.change::<Users>(before, after).await?.into())
}
