//! A new agent, with the user it uses the portal as.

use concierge_proto::Permission;
use concierge_proto::directory::{Agent, CreateAgentRequest, CreateAgentResponse, User};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::Agents;
use crate::user::Users;

/// Adds the agent and, if a site is given, its user.
pub(super) async fn create(tx: &mut Tx, request: CreateAgentRequest) -> Result<CreateAgentResponse, Error> {
    let site_id = request.site_id;
    if !site_id.is_empty()
        && let Some(permission) = Permission::named("users.write")
    {
        tx.call.require(permission, Some("site_id"))?;
    }
    let agent = tx.insert::<Agents>(request.agent.unwrap_or_default()).await?;
    if site_id.is_empty() {
        return Ok(CreateAgentResponse { agent: Some(agent), user: None });
    }
    let no_site = format!("there is no live site {site_id}");
    // What is wrong with the user is wrong with the request, under the names that the request has.
    let user = tx.insert_own::<Users>(user(&agent, site_id)).await.map_err(|error| match error {
        Error::InvalidBecause { reason: Reason::ReferenceNotFound, .. } => {
            Error::because(Reason::ReferenceNotFound, "site_id", no_site)
        }
        Error::Taken { reason, .. } => Error::Taken { reason, field: "agent.email".to_owned() },
        other => other,
    })?;
    Ok(CreateAgentResponse { agent: Some(agent), user: Some(user) })
}

fn user(agent: &Agent, site_id: String) -> User {
    User {
        site_id,
        name: agent.name.clone(),
        emails: vec![agent.email.clone()],
        phones: Some(agent.phone.clone()).filter(|phone| !phone.is_empty()).into_iter().collect(),
        job_title: agent.job_title.clone(),
        linked_agent_id: agent.id.clone(),
        ..Default::default()
    }
}
