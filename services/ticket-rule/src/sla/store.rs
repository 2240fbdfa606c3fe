//! Service level agreements as a table.

use std::collections::HashSet;

use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::Sla;
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured, Missing};
use crate::evaluation::{RuleSet, revise};

/// The table of service level agreements.
#[derive(Clone, Copy, Debug)]
pub struct Slas;

impl Resource for Slas {
    type Record = Sla;

    const TABLE: &'static str = "slas";
    const UNIQUE: &'static [Unique] = &[Unique { constraint: "slas_name", field: "name", reason: Reason::NameTaken }];

    async fn check(_tx: &mut Tx, _before: Option<&Sla>, after: &mut Sla) -> Result<(), Error> {
        let mut violations = Violations::default();
        let mut seen = HashSet::new();
        for (index, target) in after.targets.iter().enumerate() {
            if !seen.insert(&target.priority_id) {
                violations.add(format!("sla.targets[{index}].priority_id"), "another target is for this priority");
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }

    async fn stored(tx: &mut Tx, _before: Option<&Sla>, after: &Sla) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for Slas {
    fn in_tickets(_record: &Sla) -> Option<&'static str> {
        Some("sla_id")
    }

    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Sla> {
        set.configuration().sla(id)
    }

    fn admit(change: &Change<'_>, before: Option<&Sla>, after: &Sla) -> Result<(), Error> {
        let mut missing = Missing::default();
        if before.is_none_or(|before| before.targets != after.targets) {
            for (index, target) in after.targets.iter().enumerate() {
                let found = change.set.configuration().priority(&target.priority_id);
                missing.unless(format!("sla.targets[{index}].priority_id"), &target.priority_id, found);
            }
        }
        if before.is_none_or(|before| before.calendar_id != after.calendar_id) {
            let found = change.set.configuration().calendar(&after.calendar_id);
            missing.unless("sla.calendar_id", &after.calendar_id, found);
        }
        missing.refuse()
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let types = set.configuration().ticket_types.live().filter(|t| t.default_sla_id == id).count();
        vec![("ticket_type", types as i64), ("rule", set.naming(id))]
    }
}
