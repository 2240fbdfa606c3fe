//! The users of an agent: one agent, many users, a login each.

use concierge_proto::directory::{LinkUserRequest, LinkUserResponse, UnlinkUserRequest, UnlinkUserResponse, User};
use concierge_proto::error::Reason;
use concierge_runtime::{Error, Tx};

use super::Agents;
use crate::user::Users;

/// Links a user to an agent; one that is linked to it already is answered unchanged.
pub(super) async fn link(tx: &mut Tx, request: LinkUserRequest) -> Result<LinkUserResponse, Error> {
    let user = lock(tx, &request.user_id).await?;
    let agent = tx.get::<Agents>(&request.agent_id).await?;
    if agent.delete_time.is_some() {
        return Err(Error::Deleted { record_type: "agent", id: agent.id });
    }
    let before = live(user, &request.user_id)?;
    tx.check_etag(&before, &request.etag)?;
    if before.linked_agent_id == agent.id {
        return Ok(before.into());
    }
    if !before.linked_agent_id.is_empty() {
        let error = crate::Error::UserLinkedToOtherAgent { id: before.id, agent_id: before.linked_agent_id };
        return Err(error.into());
    }
    // That the agent stays, and that each of several users has a login name, is checked with every change of a user.
    let after = User { linked_agent_id: agent.id, ..before.clone() };
    Ok(tx.change::<Users>(before, after).await?.into())
}

/// Undoes the link of a user to an agent; one that is not linked to it is answered unchanged.
pub(super) async fn unlink(tx: &mut Tx, request: UnlinkUserRequest) -> Result<UnlinkUserResponse, Error> {
    let user = lock(tx, &request.user_id).await?;
    let agent = tx.get::<Agents>(&request.agent_id).await?;
    let before = live(user, &request.user_id)?;
    tx.check_etag(&before, &request.etag)?;
    if before.linked_agent_id != agent.id {
        return Ok(before.into());
    }
    let after = User { linked_agent_id: String::new(), ..before.clone() };
    Ok(tx.change::<Users>(before, after).await?.into())
}

async fn lock(tx: &mut Tx, id: &str) -> Result<Option<User>, Error> {
    match tx.get_for_update::<Users>(id).await {
        Ok(user) => Ok(Some(user)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn live(user: Option<User>, id: &str) -> Result<User, Error> {
    let absent = || Error::because(Reason::ReferenceNotFound, "user_id", format!("there is no live user {id}"));
    user.filter(|user| user.delete_time.is_none()).ok_or_else(absent)
}
