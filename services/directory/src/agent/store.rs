//! Agents as a table.

use concierge_proto::directory::Agent;
use concierge_proto::error::Reason;
use concierge_proto::event::Revocation;
use concierge_runtime::resource::{Child, Reference, Unique};
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

use crate::grant;

/// The table of agents.
#[derive(Clone, Copy, Debug)]
pub struct Agents;

impl Resource for Agents {
    type Record = Agent;

    const TABLE: &'static str = "agents";
    const REFERENCES: &'static [Reference] = &[Reference { field: "role_ids", table: "agent_roles" }];
    const CHILDREN: &'static [Child] = &[
        Child { record_type: "customer", table: "customers", column: "account_manager_agent_id", many: false },
        Child { record_type: "team", table: "teams", column: "agent_ids", many: true },
        Child { record_type: "department", table: "departments", column: "manager_agent_id", many: false },
    ];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "agents_email", field: "email", reason: Reason::EmailTaken }];

    async fn check(tx: &mut Tx, before: Option<&Agent>, after: &mut Agent) -> Result<(), Error> {
        let old = before.map_or(&[][..], |b| &b.role_ids);
        let new = after.role_ids.iter().filter(|id| !old.contains(id)).flat_map(|id| id.parse()).collect();
        // The roles' rows are locked by the check of references: what they grant stays until this is committed.
        check_granted(tx, new).await
    }

    /// What its roles grant it has again.
    async fn check_undelete(tx: &mut Tx, agent: &Agent) -> Result<(), Error> {
        check_granted(tx, agent.role_ids.iter().flat_map(|id| id.parse()).collect()).await
    }

    async fn stored(tx: &mut Tx, before: Option<&Agent>, after: &Agent) -> Result<(), Error> {
        match before.and_then(|before| loss(before, after)) {
            None => Ok(()),
            Some(why) => {
                let revocation = Revocation { subject: after.id.clone(), why: why.to_owned(), ..Default::default() };
                tx.revoke(revocation).await.map(drop)
            }
        }
    }
}

/// Nobody gives an agent what they do not hold themselves. One round trip.
async fn check_granted(tx: &mut Tx, roles: Vec<Uuid>) -> Result<(), Error> {
    if roles.is_empty() {
        return Ok(());
    }
    let permissions: Vec<String> =
        sqlx::query_scalar("select distinct unnest(permissions) from agent_roles where id = any($1) order by 1")
            .bind(roles)
            .fetch_all(tx.conn().await?)
            .await?;
    grant::held(tx.call.permissions(), permissions.iter().map(String::as_str))
}

/// Why the agent's tokens grant more than it has now.
fn loss(before: &Agent, after: &Agent) -> Option<&'static str> {
    let inactive = |agent: &Agent| agent.active == Some(false);
    if before.delete_time.is_none() && after.delete_time.is_some() {
        Some("the agent was deleted")
    } else if !inactive(before) && inactive(after) {
        Some("the agent was deactivated")
    } else if before.role_ids.iter().any(|id| !after.role_ids.contains(id)) {
        Some("a role was taken from the agent")
    } else {
        None
    }
}
