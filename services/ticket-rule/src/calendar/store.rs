//! Calendars as a table.

use concierge_model::calendar;
use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::Calendar;
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured};
use crate::evaluation::{RuleSet, revise};

/// The table of calendars.
#[derive(Clone, Copy, Debug)]
pub struct Calendars;

impl Resource for Calendars {
    type Record = Calendar;

    const TABLE: &'static str = "calendars";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "calendars_name", field: "name", reason: Reason::NameTaken }];

    async fn check(_tx: &mut Tx, _before: Option<&Calendar>, after: &mut Calendar) -> Result<(), Error> {
        let violations = calendar::check(after);
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }

    async fn stored(tx: &mut Tx, _before: Option<&Calendar>, after: &Calendar) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for Calendars {
    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Calendar> {
        set.configuration().calendar(id)
    }

    fn admit(_change: &Change<'_>, _before: Option<&Calendar>, _after: &Calendar) -> Result<(), Error> {
        Ok(())
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        let slas = set.configuration().slas.live().filter(|sla| sla.calendar_id == id).count();
        vec![("sla", slas as i64), ("rule", set.naming(id))]
    }
}
