//! What a caller may grant: only permissions that exist, and only those it holds.

use concierge_proto::{Permission, PermissionSet};
use concierge_runtime::{Error, Tx};

use crate::error::UnknownPermission;

/// What stands for every permission.
pub(crate) const ALL: &str = "*";
/// What it takes to say who is important.
const IMPORTANCE: &str = "importance.write";

/// Refuses names that are no permission's, all of them at once. `names` come with the field that names them.
pub(crate) fn known<'a>(names: impl IntoIterator<Item = (String, &'a str)>) -> Result<(), Error> {
    let permissions: Vec<UnknownPermission> = names
        .into_iter()
        .filter(|(_, name)| *name != ALL && Permission::named(name).is_none())
        .map(|(field, name)| UnknownPermission { field, permission: name.to_owned() })
        .collect();
    if permissions.is_empty() { Ok(()) } else { Err(crate::Error::PermissionUnknown { permissions }.into()) }
}

/// Refuses to grant what is not held. Names of permissions that an older release had grant nothing.
pub(crate) fn held<'a>(holds: PermissionSet, names: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    match first_missing(holds, names) {
        None => Ok(()),
        Some(permission) => Err(crate::Error::GrantNotHeld { permission }.into()),
    }
}

/// The first of the names that is not among those held.
pub(crate) fn first_missing<'a>(holds: PermissionSet, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    names.into_iter().find(|name| !holds.covers(PermissionSet::of([*name]))).map(str::to_owned)
}

/// Whether the caller may say who is important.
pub(crate) fn holds_importance(tx: &Tx) -> bool {
    Permission::named(IMPORTANCE).is_none_or(|permission| tx.call.permissions().holds(permission))
}

/// Refuses to change who is important by a role to callers who could not do it by a user's own flag.
pub(crate) fn importance(tx: &Tx) -> Result<(), Error> {
    if holds_importance(tx) {
        return Ok(());
    }
    Err(crate::Error::ImportanceNotHeld { permission: IMPORTANCE.to_owned() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_held_only_by_who_holds_everything() {
        let some = PermissionSet::of(["customers.read", "users.read"]);
        assert_eq!(first_missing(some, ["users.read", "customers.read"]), None);
        assert_eq!(first_missing(some, ["users.read", "users.write", "*"]), Some("users.write".to_owned()));
        assert_eq!(first_missing(some, ["*"]), Some("*".to_owned()));
        assert_eq!(
            first_missing(PermissionSet::of(concierge_proto::PERMISSIONS.iter().copied()), ["*"]).as_deref(),
            Some("*")
        );
        assert_eq!(first_missing(PermissionSet::ALL, ["*", "users.write"]), None);
        assert_eq!(first_missing(PermissionSet::default(), ["permission.of_yesterday"]), None);
    }
}
