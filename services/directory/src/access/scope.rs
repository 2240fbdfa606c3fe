//! What a token may carry: nothing that its subject lacks, nothing that the caller does not hold.

use std::sync::LazyLock;

use concierge_proto::{CallerKind, METHODS, PermissionSet};
use concierge_runtime::Error;

use crate::grant::{self, ALL};

/// What people in the portal may do: whatever the methods need that are open to them. What they reach with it is
/// bounded by the methods' scopes.
static PORTAL: LazyLock<PermissionSet> = LazyLock::new(|| {
    let open = METHODS.iter().filter(|method| method.kinds.contains(&CallerKind::User));
    PermissionSet::of(open.filter_map(|method| method.permission).map(|permission| permission.name()))
});

/// See [`PORTAL`].
pub(super) fn portal() -> PermissionSet {
    *PORTAL
}

/// The permissions of a token, in alphabetical order. `subject` is what its subject has; `None` where there is no
/// telling, as of services. Nothing asked for: everything that both have.
pub(super) fn of(
    asked: &[String],
    subject_id: &str,
    subject: Option<PermissionSet>,
    caller: PermissionSet,
) -> Result<Vec<String>, Error> {
    grant::known(asked.iter().enumerate().map(|(i, name)| (format!("scope[{i}]"), name.as_str())))?;
    let names = || asked.iter().map(String::as_str);
    let has = subject.unwrap_or(PermissionSet::ALL);
    if let Some(permission) = grant::first_missing(has, names()) {
        return Err(crate::Error::ScopeTooWide { subject_id: subject_id.to_owned(), permission }.into());
    }
    grant::held(caller, names())?;
    if asked.is_empty() && has.covers(PermissionSet::ALL) && caller.covers(PermissionSet::ALL) {
        return Ok(vec![ALL.to_owned()]);
    }
    let mut scope: Vec<String> = match asked {
        [] => has.names().filter(|name| caller.covers(PermissionSet::of([*name]))).map(str::to_owned).collect(),
        asked => asked.to_vec(),
    };
    scope.sort_unstable();
    scope.dedup();
    Ok(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> PermissionSet {
        PermissionSet::of(names.iter().copied())
    }

    fn asked(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn nothing_asked_for_is_what_both_have() {
        let has = set(&["users.read", "customers.read", "tickets.read"]);
        let caller = set(&["tickets.read", "customers.read", "tokens.write"]);
        assert_eq!(of(&[], "x", Some(has), caller).unwrap(), ["customers.read", "tickets.read"]);
        assert_eq!(of(&[], "x", Some(PermissionSet::ALL), PermissionSet::ALL).unwrap(), ["*"]);
        assert_eq!(
            of(&[], "x", Some(PermissionSet::ALL), caller).unwrap(),
            ["customers.read", "tickets.read", "tokens.write"]
        );
    }

    #[test]
    fn what_is_asked_for_comes_in_alphabetical_order() {
        let all = Some(PermissionSet::ALL);
        let scope = of(&asked(&["users.read", "customers.read"]), "x", all, PermissionSet::ALL).unwrap();
        assert_eq!(scope, ["customers.read", "users.read"]);
    }

    #[test]
    fn people_in_the_portal_have_what_their_methods_need_and_no_more() {
        let portal: Vec<&str> = portal().names().collect();
        assert_eq!(
            portal,
            ["customers.read", "preferences.read", "preferences.write", "tickets.read", "tickets.write", "users.read"]
        );
    }
}
