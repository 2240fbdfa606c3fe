//! Sites.

use concierge_proto::directory::{Customer, EffectiveActivity, InactivityCause, Site};

use crate::customer;

/// Why the site makes itself, and its users, count as inactive; its customer aside.
pub fn causes(site: &Site) -> Vec<InactivityCause> {
    let mut causes = Vec::new();
    if site.active == Some(false) {
        causes.push(InactivityCause::SiteInactive);
    }
    if site.delete_time.is_some() {
        causes.push(InactivityCause::SiteDeleted);
    }
    causes
}

/// Whether the site counts as active; `None` when its customer is not known and would decide.
pub fn activity(site: &Site, customer: Option<&Customer>) -> Option<EffectiveActivity> {
    let mut all = causes(site);
    all.extend(customer.map(customer::causes).unwrap_or_default());
    customer::because_so_far(all, customer.is_some())
}

/// The time zone that counts at a site of a customer: its own, else its customer's, else UTC.
pub fn time_zone<'a>(site: Option<&'a Site>, customer: Option<&'a Customer>) -> &'a str {
    let own = site.map(|s| s.time_zone.as_str()).filter(|z| !z.is_empty());
    own.or(customer.map(|c| c.time_zone.as_str()).filter(|z| !z.is_empty())).unwrap_or("UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_inactive_with_its_customer() {
        let site = Site { active: Some(true), ..Default::default() };
        let off = Customer { active: Some(false), ..Default::default() };
        let inactive = activity(&site, Some(&off)).unwrap();
        assert!(!inactive.active);
        assert_eq!(inactive.causes().collect::<Vec<_>>(), [InactivityCause::CustomerInactive]);
        assert!(activity(&site, Some(&Customer::default())).unwrap().active);
    }

    #[test]
    fn activity_is_undecided_only_while_it_depends_on_an_unknown_customer() {
        let site = Site { active: Some(true), ..Default::default() };
        assert_eq!(activity(&site, None), None);
        let closed = Site { active: Some(false), ..site };
        assert!(!activity(&closed, None).unwrap().active);
    }

    #[test]
    fn takes_the_nearest_time_zone() {
        let site = Site { time_zone: "Europe/Berlin".into(), ..Default::default() };
        let customer = Customer { time_zone: "Asia/Tokyo".into(), ..Default::default() };
        assert_eq!(time_zone(Some(&site), Some(&customer)), "Europe/Berlin");
        assert_eq!(time_zone(Some(&Site::default()), Some(&customer)), "Asia/Tokyo");
        assert_eq!(time_zone(Some(&Site::default()), None), "UTC");
    }
}
