//! Statuses as a table.

use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::{Status, StatusCategory};
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured};
use crate::evaluation::{RuleSet, revise};

/// The table of statuses.
#[derive(Clone, Copy, Debug)]
pub struct Statuses;

impl Resource for Statuses {
    type Record = Status;

    const TABLE: &'static str = "statuses";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "statuses_name", field: "name", reason: Reason::NameTaken }];

    async fn stored(tx: &mut Tx, _before: Option<&Status>, after: &Status) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for Statuses {
    fn in_tickets(_record: &Status) -> Option<&'static str> {
        Some("status_id")
    }

    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Status> {
        set.configuration().status(id)
    }

    fn admit(change: &Change<'_>, before: Option<&Status>, after: &Status) -> Result<(), Error> {
        let deactivated = before.is_some_and(Status::active) && !after.active();
        if deactivated { check_not_last(change.set, after) } else { Ok(()) }
    }

    fn admit_deletion(set: &RuleSet, record: &Status) -> Result<(), Error> {
        if record.active() { check_not_last(set, record) } else { Ok(()) }
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let types = set.configuration().ticket_types.live().filter(|t| t.default_status_id == id).count();
        vec![("ticket_type", types as i64), ("rule", set.naming(id))]
    }
}

/// There is always an active status for new tickets, and one to close them with.
fn check_not_last(set: &RuleSet, status: &Status) -> Result<(), Error> {
    let category = match status.category() {
        StatusCategory::New => "NEW",
        StatusCategory::Closed => "CLOSED",
        _ => return Ok(()),
    };
    let mut others = set.configuration().statuses.live().filter(|s| s.id != status.id);
    if others.any(|other| other.category == status.category && other.active()) {
        return Ok(());
    }
    let (id, name) = (status.id.clone(), status.name.clone());
    Err(crate::Error::LastStatusOfCategory { id, name, category }.into())
}
