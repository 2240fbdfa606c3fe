//! Priorities as a table.

use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::{Priority, Sla};
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured};
use crate::evaluation::{RuleSet, revise};

/// The table of priorities.
#[derive(Clone, Copy, Debug)]
pub struct Priorities;

impl Resource for Priorities {
    type Record = Priority;

    const TABLE: &'static str = "priorities";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "priorities_name", field: "name", reason: Reason::NameTaken }];

    async fn stored(tx: &mut Tx, _before: Option<&Priority>, after: &Priority) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for Priorities {
    fn in_tickets(_record: &Priority) -> Option<&'static str> {
        Some("priority_id")
    }

    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Priority> {
        set.configuration().priority(id)
    }

    fn admit(_change: &Change<'_>, _before: Option<&Priority>, _after: &Priority) -> Result<(), Error> {
        Ok(())
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let configuration = set.configuration();
        let types = configuration.ticket_types.live().filter(|t| t.default_priority_id == id).count();
        let names = |sla: &&Sla| sla.targets.iter().any(|target| target.priority_id == id);
        let slas = configuration.slas.live().filter(names).count();
        vec![("ticket_type", types as i64), ("sla", slas as i64), ("rule", set.naming(id))]
    }
}
