//! Users: what holds for one in the end, once its own settings, its roles, its site and its customer are taken together.

use concierge_proto::directory::{
    AccessLevel, Customer, EffectiveAccessLevel, EffectiveActivity, EffectiveFlag, EffectiveUser, HeldRole,
    InactivityCause, Site, User, UserRole,
};

use crate::user_role::Held;
use crate::{customer, site};

/// Whether a user is important, and by what: its own flag, roles, or both. Its customer does not matter.
pub fn importance(user: &User, held: &Held<'_>) -> Option<EffectiveFlag> {
    held.flag(user.important, |role| role.important)
}

/// Whether all e-mail to a user is forbidden, and by what.
pub fn never_send_emails(user: &User, held: &Held<'_>) -> Option<EffectiveFlag> {
    held.flag(user.never_send_emails, |role| role.never_send_emails)
}

/// Whose tickets a user sees in the portal.
pub fn web_access(user: &User, held: &Held<'_>) -> Option<EffectiveAccessLevel> {
    held.access(user.web_access_level(), UserRole::web_access_level)
}

/// Whether a user counts as active: it, its site and its customer are. Derived, never stored, so what was not disabled
/// itself is active again with what is above it. `None` when a record above is not known and would decide.
pub fn activity(user: &User, site: Option<&Site>, customer: Option<&Customer>) -> Option<EffectiveActivity> {
    let mut causes = Vec::new();
    if user.active == Some(false) {
        causes.push(InactivityCause::UserInactive);
    }
    if user.delete_time.is_some() {
        causes.push(InactivityCause::UserDeleted);
    }
    causes.extend(site.map(site::causes).unwrap_or_default());
    causes.extend(customer.map(customer::causes).unwrap_or_default());
    customer::because_so_far(causes, site.is_some() && customer.is_some())
}

/// Everything that holds for a user in the end. `roles` may hold roles that are not the user's.
pub fn effective<'a>(
    user: &User,
    roles: impl IntoIterator<Item = &'a UserRole>,
    site: Option<&Site>,
    customer: Option<&Customer>,
) -> EffectiveUser {
    let held = Held::of(user, roles);
    let activity = activity(user, site, customer);
    let web_access = web_access(user, &held);
    let is_active = activity.as_ref().is_some_and(|a| a.active);
    let sees_something = web_access.as_ref().is_some_and(|w| w.level() > AccessLevel::None);
    EffectiveUser {
        user_id: user.id.clone(),
        importance: importance(user, &held),
        activity,
        asset_access: held.access(user.asset_access_level(), UserRole::asset_access_level),
        service_access: held.service_level(user.service_access_level),
        approver: held.flag(user.approver, |role| role.approver),
        never_send_emails: never_send_emails(user, &held),
        can_log_in: is_active && sees_something,
        web_access,
        roles: held.roles().iter().map(|role| HeldRole { role_id: role.id.clone(), name: role.name.clone() }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active() -> (User, Site, Customer) {
        (
            User {
                id: "u".into(),
                active: Some(true),
                web_access_level: AccessLevel::Own.into(),
                ..Default::default()
            },
            Site { active: Some(true), ..Default::default() },
            Customer { active: Some(true), ..Default::default() },
        )
    }

    #[test]
    fn decision_5_an_important_customer_does_not_make_its_users_important() {
        let (user, site, customer) = active();
        let customer = Customer { important: true, ..customer };
        let importance = effective(&user, &[], Some(&site), Some(&customer)).importance.unwrap();
        assert_eq!(importance, EffectiveFlag::default());
    }

    #[test]
    fn decision_5_losing_a_role_leaves_the_own_flag() {
        let (user, ..) = active();
        let role = UserRole { id: "r".into(), important: true, ..Default::default() };
        let both = User { important: true, role_ids: vec!["r".into()], ..user };
        let flag = importance(&both, &Held::of(&both, [&role])).unwrap();
        assert_eq!((flag.value, flag.own, flag.role_ids), (true, true, vec!["r".to_owned()]));
        let left = User { role_ids: vec![], ..both };
        let flag = importance(&left, &Held::of(&left, [&role])).unwrap();
        assert_eq!((flag.value, flag.own, flag.role_ids), (true, true, vec![]));
    }

    #[test]
    fn decision_6_reactivating_the_customer_revives_only_who_was_not_disabled() {
        let (user, site, customer) = active();
        let disabled = User { active: Some(false), ..user.clone() };
        let off = Customer { active: Some(false), ..customer.clone() };
        let is_active = |u: &User, c: &Customer| activity(u, Some(&site), Some(c)).unwrap().active;
        assert!(!is_active(&user, &off) && !is_active(&disabled, &off));
        assert!(is_active(&user, &customer) && !is_active(&disabled, &customer));
    }

    #[test]
    fn every_cause_is_told_the_nearest_first() {
        let (user, site, customer) = active();
        let gone = Some(prost_types::Timestamp::default());
        let user = User { active: Some(false), delete_time: gone, ..user };
        let site = Site { active: Some(false), delete_time: gone, ..site };
        let customer = Customer { active: Some(false), delete_time: gone, ..customer };
        let activity = activity(&user, Some(&site), Some(&customer)).unwrap();
        assert_eq!(activity.causes, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn activity_is_undecided_while_a_record_above_is_unknown() {
        let (user, site, customer) = active();
        assert_eq!(activity(&user, None, Some(&customer)), None);
        assert_eq!(activity(&user, Some(&site), None), None);
        assert!(!activity(&User { active: Some(false), ..user }, None, None).unwrap().active);
    }

    #[test]
    fn logs_in_only_when_active_and_seeing_something() {
        let (user, site, customer) = active();
        let can = |u: &User, roles: &[UserRole], s: &Site| effective(u, roles, Some(s), Some(&customer)).can_log_in;
        assert!(can(&user, &[], &site));
        assert!(!can(&user, &[], &Site { active: Some(false), ..site.clone() }));
        let blind = User { web_access_level: AccessLevel::None.into(), role_ids: vec!["r".into()], ..user };
        let role = UserRole { id: "r".into(), ..Default::default() };
        assert!(!can(&blind, std::slice::from_ref(&role), &site));
        let opening = UserRole { web_access_level: AccessLevel::Own.into(), ..role };
        assert!(can(&blind, &[opening], &site));
    }

    #[test]
    fn roles_are_named_in_the_order_of_their_ids() {
        let (user, ..) = active();
        let user = User { role_ids: vec!["b".into(), "a".into()], ..user };
        let role = |id: &str, name: &str| UserRole { id: id.into(), name: name.into(), ..Default::default() };
        let roles = [role("b", "Buyer"), role("a", "Approver"), role("c", "Other")];
        let names: Vec<String> = effective(&user, &roles, None, None).roles.into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["Approver", "Buyer"]);
    }
}
