//! Ticket types as a table.

use concierge_proto::error::Reason;
use concierge_proto::ticket_rule::TicketType;
use concierge_runtime::resource::Unique;
use concierge_runtime::{Error, Resource, Tx};

use crate::configure::{Change, Configured, Missing};
use crate::evaluation::{RuleSet, revise};
use crate::facts::references::{Kind, Standing};

/// The table of ticket types.
#[derive(Clone, Copy, Debug)]
pub struct TicketTypes;

impl Resource for TicketTypes {
    type Record = TicketType;

    const TABLE: &'static str = "ticket_types";
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "ticket_types_name", field: "name", reason: Reason::NameTaken }];

    async fn stored(tx: &mut Tx, _before: Option<&TicketType>, after: &TicketType) -> Result<(), Error> {
        revise(tx, after, true).await
    }
}

impl Configured for TicketTypes {
    fn in_tickets(_record: &TicketType) -> Option<&'static str> {
        Some("type_id")
    }

    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a TicketType> {
        set.configuration().ticket_type(id)
    }

    fn admit(change: &Change<'_>, before: Option<&TicketType>, after: &TicketType) -> Result<(), Error> {
        let configuration = change.set.configuration();
        let mut missing = Missing::default();
        let same = |field: fn(&TicketType) -> &String| before.is_some_and(|before| field(before) == field(after));
        if !same(|t| &t.default_status_id) {
            let id = &after.default_status_id;
            missing.unless("ticket_type.default_status_id", id, configuration.status(id));
        }
        if !same(|t| &t.default_priority_id) {
            let id = &after.default_priority_id;
            missing.unless("ticket_type.default_priority_id", id, configuration.priority(id));
        }
        if !same(|t| &t.default_sla_id) {
            let id = &after.default_sla_id;
            missing.unless("ticket_type.default_sla_id", id, configuration.sla(id));
        }
        let team = change.known.get(Kind::Team, &after.default_team_id);
        if !same(|t| &t.default_team_id) && team.is_some_and(|team| team.standing == Standing::Missing) {
            missing.add("ticket_type.default_team_id", "team", &after.default_team_id);
        }
        missing.refuse()
    }

    fn users(set: &RuleSet, id: &str) -> Vec<(&'static str, i64)> {
        vec![("rule", set.naming(id))]
    }
}
