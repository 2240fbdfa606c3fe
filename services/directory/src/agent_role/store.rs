//! Agent roles as a table.

use concierge_proto::PermissionSet;
use concierge_proto::directory::AgentRole;
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Child, Unique};
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

use crate::grant;

/// The table of agent roles.
#[derive(Clone, Copy, Debug)]
pub struct AgentRoles;

impl Resource for AgentRoles {
    type Record = AgentRole;

    const TABLE: &'static str = "agent_roles";
    const CHILDREN: &'static [Child] =
        &[Child { record_type: "agent", table: "agents", column: "role_ids", many: true }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "agent_roles_name", field: "name", reason: Reason::NameTaken }];

    async fn check(tx: &mut Tx, before: Option<&AgentRole>, after: &mut AgentRole) -> Result<(), Error> {
        // What the role had before stays, whoever changes something else of it.
        let old = before.map_or(&[][..], |b| &b.permissions);
        let new = || after.permissions.iter().enumerate().filter(|(_, name)| !old.contains(name));
        grant::known(new().map(|(i, name)| (format!("agent_role.permissions[{i}]"), name.as_str())))?;
        grant::held(tx.call.permissions(), new().map(|(_, name)| name.as_str()))
    }

    async fn stored(tx: &mut Tx, before: Option<&AgentRole>, after: &AgentRole) -> Result<(), Error> {
        let granted = |role: &AgentRole| PermissionSet::of(role.permissions.iter().map(String::as_str));
        if before.is_none_or(|before| granted(after).covers(granted(before))) {
            return Ok(());
        }
        // The role's row is locked: no agent is given it until this is committed.
        let role: Uuid = after.id.parse().map_err(Error::internal)?;
        let agents: Vec<Uuid> =
            sqlx::query_scalar("select id from agents where role_ids @> array[$1] and delete_time is null order by id")
                .bind(role)
                .fetch_all(tx.conn().await?)
                .await?;
        tx.revoke_subjects(&agents, "a permission was taken from a role of the agent").await
    }
}
