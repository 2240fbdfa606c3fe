//! What a change of a user takes from it, its tokens no longer grant.

use concierge_model::user::web_access;
use concierge_model::user_role::Held;
use concierge_proto::Record as _;
use concierge_proto::directory::{AccessLevel, User};
use concierge_proto::event::Revocation;
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use crate::user_role::UserRoles;

/// Revokes the user's tokens when they grant, or say, more than holds now.
pub(super) async fn take_away(tx: &mut Tx, before: &User, after: &User) -> Result<(), Error> {
    let why = match loss(before, after) {
        Some(why) => why,
        None if after.web_access_level < before.web_access_level && is_lower(tx, before, after).await? => {
            "the user's web access was lowered"
        }
        None => return Ok(()),
    };
    tx.revoke(Revocation { subject: after.id.clone(), why: why.to_owned(), ..Default::default() }).await?;
    Ok(())
}

/// What was taken away, as far as the user's own record says so.
fn loss(before: &User, after: &User) -> Option<&'static str> {
    if before.delete_time().is_none() && after.delete_time().is_some() {
        Some("the user was deleted")
    } else if before.active != Some(false) && after.active == Some(false) {
        Some("the user was deactivated")
    } else if before.site_id != after.site_id {
        Some("the user was moved")
    } else if before.role_ids.iter().any(|id| !after.role_ids.contains(id)) {
        Some("a role was taken from the user")
    } else {
        None
    }
}

/// Whether the user sees less in the end: a role may still grant what its own level no longer does.
async fn is_lower(tx: &mut Tx, before: &User, after: &User) -> Result<bool, Error> {
    let ids: Vec<Uuid> = after.role_ids.iter().flat_map(|id| id.parse()).collect();
    let roles = if ids.is_empty() { Vec::new() } else { tx.share::<UserRoles>(&ids).await? };
    let level = |user: &User| {
        web_access(user, &Held::of(user, &roles)).map_or(user.web_access_level(), |access| access.level())
    };
    let (old, new): (AccessLevel, AccessLevel) = (level(before), level(after));
    Ok(new < old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_taken_away_counts() {
        let user = User { site_id: "s".into(), role_ids: vec!["a".into()], active: Some(true), ..Default::default() };
        assert_eq!(
            loss(&user, &User { name: "New".into(), role_ids: vec!["b".into(), "a".into()], ..user.clone() }),
            None
        );
        assert!(loss(&user, &User { active: Some(false), ..user.clone() }).is_some());
        assert!(loss(&user, &User { role_ids: vec![], ..user.clone() }).is_some());
        assert!(loss(&user, &User { site_id: "t".into(), ..user.clone() }).is_some());
        assert!(loss(&user, &User { delete_time: Some(Default::default()), ..user.clone() }).is_some());
        let gone = User { active: Some(false), ..user.clone() };
        assert_eq!(loss(&gone, &user), None);
    }
}
