//! Customers.

use concierge_proto::directory::{Customer, EffectiveActivity, InactivityCause};

/// Why the customer makes itself, and what is below it, count as inactive.
pub fn causes(customer: &Customer) -> Vec<InactivityCause> {
    let mut causes = Vec::new();
    if customer.active == Some(false) {
        causes.push(InactivityCause::CustomerInactive);
    }
    if customer.delete_time.is_some() {
        causes.push(InactivityCause::CustomerDeleted);
    }
    causes
}

/// Whether the customer is active.
pub fn activity(customer: &Customer) -> EffectiveActivity {
    because(causes(customer))
}

/// The activity of what has these causes to be inactive.
pub(crate) fn because(causes: Vec<InactivityCause>) -> EffectiveActivity {
    EffectiveActivity { active: causes.is_empty(), causes: causes.into_iter().map(i32::from).collect() }
}

/// The same where a record above is not known: inactive if what is known says so, else undecided.
pub(crate) fn because_so_far(causes: Vec<InactivityCause>, all_known: bool) -> Option<EffectiveActivity> {
    (all_known || !causes.is_empty()).then(|| because(causes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_active_unless_switched_off_or_deleted() {
        let customer = Customer { active: Some(true), ..Default::default() };
        assert!(activity(&customer).active);
        let off = Customer { active: Some(false), delete_time: Some(Default::default()), ..customer };
        let activity = activity(&off);
        assert!(!activity.active);
        assert_eq!(
            activity.causes().collect::<Vec<_>>(),
            [InactivityCause::CustomerInactive, InactivityCause::CustomerDeleted]
        );
    }
}
