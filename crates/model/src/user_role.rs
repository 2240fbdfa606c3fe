//! User roles: what a user gets from them. The highest grant counts, and the answer says where it comes from.

use concierge_proto::directory::{
    AccessLevel, EffectiveAccessLevel, EffectiveFlag, EffectiveServiceLevel, User, UserRole,
};

/// The roles of a user, as far as they are known.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// Those that grant something, in the order of their ids: a deleted role grants nothing.
    roles: Vec<&'a UserRole>,
    /// False when the user has a role that is not among those given.
    complete: bool,
}

impl<'a> Held<'a> {
    /// The roles of `user` among `roles`.
    pub fn of(user: &User, roles: impl IntoIterator<Item = &'a UserRole>) -> Self {
        let mut found: Vec<&UserRole> = roles.into_iter().filter(|role| user.role_ids.contains(&role.id)).collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        let complete = user.role_ids.iter().all(|id| found.iter().any(|role| role.id == *id));
        found.retain(|role| role.delete_time.is_none());
        Self { roles: found, complete }
    }

    /// The live roles, in the order of their ids.
    pub fn roles(&self) -> &[&'a UserRole] {
        &self.roles
    }

    fn ids(&self, grants: impl Fn(&UserRole) -> bool) -> Vec<String> {
        self.roles.iter().filter(|role| grants(role)).map(|role| role.id.clone()).collect()
    }

    /// A switch: on if the user or any of its roles says so. `None` while an unknown role would decide.
    pub fn flag(&self, own: bool, says: impl Fn(&UserRole) -> bool) -> Option<EffectiveFlag> {
        let role_ids = self.ids(says);
        let value = own || !role_ids.is_empty();
        (value || self.complete).then_some(EffectiveFlag { value, own, role_ids })
    }

    /// An access level: the highest of the user's own and its roles'. `None` while an unknown role could raise it.
    pub fn access(&self, own: AccessLevel, of: impl Fn(&UserRole) -> AccessLevel) -> Option<EffectiveAccessLevel> {
        let own = own.max(AccessLevel::None);
        let level = self.roles.iter().map(|role| of(role)).fold(own, AccessLevel::max);
        let role_ids = if level == AccessLevel::None { Vec::new() } else { self.ids(|role| of(role) == level) };
        (self.complete || level == AccessLevel::Customer).then(|| EffectiveAccessLevel {
            level: level.into(),
            own: own.into(),
            role_ids,
        })
    }

    /// The service access level: the greatest number. `None` while an unknown role could raise it.
    pub fn service_level(&self, own: u32) -> Option<EffectiveServiceLevel> {
        let of = |role: &UserRole| role.service_access_level;
        let level = self.roles.iter().map(|role| of(role)).fold(own, u32::max);
        let role_ids = if level == 0 { Vec::new() } else { self.ids(|role| of(role) == level) };
        self.complete.then_some(EffectiveServiceLevel { level, own, role_ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(id: &str) -> UserRole {
        UserRole { id: id.into(), ..Default::default() }
    }

    fn user(roles: &[&str]) -> User {
        User { role_ids: roles.iter().map(|r| (*r).to_owned()).collect(), ..Default::default() }
    }

    #[test]
    fn a_flag_is_own_or_any_roles_and_says_which() {
        let roles = [UserRole { important: true, ..role("b") }, role("a"), UserRole { important: true, ..role("0") }];
        let held = Held::of(&user(&["a", "b", "0"]), &roles);
        let flag = held.flag(false, |r| r.important).unwrap();
        assert_eq!(flag, EffectiveFlag { value: true, own: false, role_ids: vec!["0".into(), "b".into()] });
        let own = Held::of(&user(&["a"]), &roles).flag(true, |r| r.important).unwrap();
        assert_eq!(own, EffectiveFlag { value: true, own: true, role_ids: vec![] });
        assert!(!Held::of(&user(&["a"]), &roles).flag(false, |r| r.important).unwrap().value);
    }

    #[test]
    fn the_highest_grant_counts_whoever_gives_it() {
        let site = UserRole { web_access_level: AccessLevel::Site.into(), service_access_level: 3, ..role("a") };
        let own = UserRole { web_access_level: AccessLevel::Own.into(), service_access_level: 7, ..role("b") };
        let roles = [site, own];
        let held = Held::of(&user(&["a", "b"]), &roles);
        let web = |own| held.access(own, UserRole::web_access_level).unwrap();
        assert_eq!(web(AccessLevel::None).level(), AccessLevel::Site);
        assert_eq!(web(AccessLevel::None).role_ids, ["a"]);
        let raised = web(AccessLevel::Customer);
        assert_eq!(
            (raised.level(), raised.own(), raised.role_ids),
            (AccessLevel::Customer, AccessLevel::Customer, vec![])
        );
        let service = held.service_level(5).unwrap();
        assert_eq!((service.level, service.own, service.role_ids), (7, 5, vec!["b".to_owned()]));
    }

    #[test]
    fn nothing_granted_names_no_role() {
        let roles = [UserRole { web_access_level: AccessLevel::None.into(), ..role("a") }];
        let held = Held::of(&user(&["a"]), &roles);
        let web = held.access(AccessLevel::Unspecified, UserRole::web_access_level).unwrap();
        assert_eq!((web.level(), web.own(), web.role_ids), (AccessLevel::None, AccessLevel::None, vec![]));
        assert_eq!(held.service_level(0).unwrap().role_ids, Vec::<String>::new());
    }

    #[test]
    fn a_deleted_role_grants_nothing() {
        let roles = [UserRole { important: true, delete_time: Some(Default::default()), ..role("a") }];
        let held = Held::of(&user(&["a"]), &roles);
        assert!(!held.flag(false, |r| r.important).unwrap().value);
        assert!(held.roles().is_empty());
    }

    #[test]
    fn an_unknown_role_leaves_undecided_what_it_could_change() {
        let held = Held::of(&user(&["a"]), &[]);
        assert_eq!(held.flag(false, |r| r.important), None);
        assert!(held.flag(true, |r| r.important).unwrap().value);
        assert_eq!(held.access(AccessLevel::Site, UserRole::web_access_level), None);
        assert!(held.access(AccessLevel::Customer, UserRole::web_access_level).is_some());
        assert_eq!(held.service_level(9), None);
    }

    #[test]
    fn roles_of_others_do_not_count() {
        let roles = [UserRole { important: true, ..role("a") }];
        assert!(!Held::of(&user(&[]), &roles).flag(false, |r| r.important).unwrap().value);
    }
}
