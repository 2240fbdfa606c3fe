//! Teams as a table.

use concierge_proto::directory::Team;
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Reference, Unique};
use concierge_runtime::{Error, Resource, Tx};

/// The table of teams.
#[derive(Clone, Copy, Debug)]
pub struct Teams;

impl Resource for Teams {
    type Record = Team;

    const TABLE: &'static str = "teams";
    const REFERENCES: &'static [Reference] = &[
        Reference { field: "lead_agent_id", table: "agents" },
        Reference { field: "agent_ids", table: "agents" },
        Reference { field: "department_id", table: "departments" },
    ];
    // A member that was deleted while the team was stays one until it is removed.
    const REFERENCES_ON_UNDELETE: bool = false;
    const UNIQUE: &'static [Unique] = &[Unique { constraint: "teams_name", field: "name", reason: Reason::NameTaken }];

    async fn check(_: &mut Tx, before: Option<&Team>, after: &mut Team) -> Result<(), Error> {
        if after.lead_agent_id.is_empty() || after.agent_ids.contains(&after.lead_agent_id) {
            return Ok(());
        }
        Err(crate::Error::AgentNotInTeam {
            field: "team.lead_agent_id".to_owned(),
            id: after.lead_agent_id.clone(),
            team_id: before.map(|team| team.id.clone()).unwrap_or_default(),
        }
        .into())
    }
}
