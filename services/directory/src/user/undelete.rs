//! A deleted user that comes back.

use concierge_proto::directory::{UndeleteUserRequest, UndeleteUserResponse};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::Users;
use crate::user_role::UserRoles;

/// Brings a user back without the roles that were deleted meanwhile: they would be its own again, unasked, when they
/// are brought back in their turn.
pub(super) async fn undelete(tx: &mut Tx, request: UndeleteUserRequest) -> Result<UndeleteUserResponse, Error> {
    let back = tx.undelete::<Users>(&request.id).await?;
    if back.role_ids.is_empty() {
        return Ok(back.into());
    }
    let ids: Vec<Uuid> = back.role_ids.iter().flat_map(|id| id.parse()).collect();
    // None of them is deleted before this is committed.
    let roles = tx.share::<UserRoles>(&ids).await?;
    let is_live = |id: &String| roles.iter().any(|role| role.id == *id && role.delete_time.is_none());
    let mut after = back.clone();
    after.role_ids.retain(is_live);
    Ok(tx.change::<Users>(back, after).await?.into())
}
