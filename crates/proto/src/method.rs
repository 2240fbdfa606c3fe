//! The table of methods: who may call what, as the contract's options say it.

use std::collections::HashMap;
use std::sync::LazyLock;

pub use crate::derived::{METHODS, PERMISSIONS};
pub use crate::options::{CallerKind, Scope};

/// One method of the contract.
#[derive(Debug)]
pub struct Method {
    /// The path of its requests, `/package.Service/Method`.
    pub path: &'static str,
    /// The full name of its service.
    pub service: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// True when no token is needed.
    pub public: bool,
    /// What the token must hold; `None` only for public methods.
    pub permission: Option<Permission>,
    /// Who may call it.
    pub kinds: &'static [CallerKind],
    /// How far callers of kind user and API client see.
    pub scope: Scope,
    /// True when the answer (or the request) is a stream: no deadline of ours, no permit held.
    pub streaming: bool,
    /// True when its request carries a `request_id`.
    pub mutation: bool,
    /// The full name of its request message.
    pub input: &'static str,
}

/// Finds a method by the path of its requests.
pub fn method(path: &str) -> Option<&'static Method> {
    static BY_PATH: LazyLock<HashMap<&'static str, &'static Method>> =
        LazyLock::new(|| METHODS.iter().map(|m| (m.path, m)).collect());
    BY_PATH.get(path).copied()
}

/// A permission that the contract names, as its index in [`PERMISSIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission(pub u16);

impl Permission {
    /// Finds a permission by its name, such as `customers.read`.
    pub fn named(name: &str) -> Option<Self> {
        let index = PERMISSIONS.iter().position(|p| *p == name)?;
        u16::try_from(index).ok().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        PERMISSIONS.get(usize::from(self.0)).copied().unwrap_or("")
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of permissions, of at most 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u128);

impl PermissionSet {
    /// Every permission: what the scope `*` grants.
    pub const ALL: Self = Self(u128::MAX);

    /// The set of the named permissions; unknown names (of a newer or older contract) grant nothing.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for name in names {
            if name == "*" {
                return Self::ALL;
            }
            if let Some(permission) = Permission::named(name) {
                set.0 |= 1 << permission.0;
            }
        }
        set
    }

    /// True when the set holds the permission.
    pub fn holds(self, permission: Permission) -> bool {
        self.0 & (1 << permission.0) != 0
    }

    /// True when the set holds everything that `other` holds.
    pub fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names in the set, in the order of [`PERMISSIONS`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        PERMISSIONS.iter().enumerate().filter(move |(i, _)| self.0 & (1 << i) != 0).map(|(_, name)| *name)
    }
}
