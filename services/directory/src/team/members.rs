//! One agent more or less in a team.

use concierge_proto::directory::{
    AddTeamMemberRequest, AddTeamMemberResponse, RemoveTeamMemberRequest, RemoveTeamMemberResponse,
};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::Teams;

/// So many agents a team can have; the contract's `max_items` of its members.
const MOST: usize = 1_000;

/// Adds an agent; one that is a member already changes nothing.
pub(super) async fn add(tx: &mut Tx, request: AddTeamMemberRequest) -> Result<AddTeamMemberResponse, Error> {
    let before = tx.get_for_update::<Teams>(&request.team_id).await?;
    tx.check_etag(&before, &request.etag)?;
    if before.agent_ids.contains(&request.agent_id) {
        return Ok(before.into());
    }
    if before.agent_ids.len() >= MOST {
        return Err(Error::field(
            "agent_id",
            format!("cannot be added: the team has {MOST} members, which is the most"),
        ));
    }
    let mut after = before.clone();
    let description = format!("there is no live agent {}", request.agent_id);
    after.agent_ids.push(request.agent_id);
    let team = tx.change::<Teams>(before, after).await.map_err(|error| match error {
        // Only what is new is checked, and that is the agent.
        Error::InvalidBecause { reason: Reason::ReferenceNotFound, .. } => {
            Error::because(Reason::ReferenceNotFound, "agent_id", description)
        }
        other => other,
    })?;
    Ok(team.into())
}

/// Removes an agent; one that is no member changes nothing.
pub(super) async fn remove(tx: &mut Tx, request: RemoveTeamMemberRequest) -> Result<RemoveTeamMemberResponse, Error> {
    let before = tx.get_for_update::<Teams>(&request.team_id).await?;
    tx.check_etag(&before, &request.etag)?;
    let mut after = before.clone();
    after.agent_ids.retain(|id| *id != request.agent_id);
    if after.lead_agent_id == request.agent_id {
        after.lead_agent_id.clear();
    }
    Ok(tx.change::<Teams>(before, after).await?.into())
}
