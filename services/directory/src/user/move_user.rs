//! A user at another site.

use concierge_proto::directory::{MoveUserRequest, MoveUserResponse};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::Users;

/// Moves a user; what follows, its tokens and its assignments, is the business of every change of a user.
pub(super) async fn move_user(tx: &mut Tx, request: MoveUserRequest) -> Result<MoveUserResponse, Error> {
    let before = tx.get_for_update::<Users>(&request.id).await?;
    tx.check_etag(&before, &request.etag)?;
    let mut after = before.clone();
    after.site_id.clone_from(&request.site_id);
    let moved = tx.change::<Users>(before, after).await.map_err(|error| match error {
        // Nothing else changes, so nothing else can be missing.
        Error::InvalidBecause { reason: Reason::ReferenceNotFound, .. } => {
            let why = format!("there is no live site {}", request.site_id);
            Error::because(Reason::ReferenceNotFound, "site_id", why)
        }
        other => other,
    })?;
    Ok(moved.into())
}
