//! Whom a token is for: there, active, and what it has. What is read here stays as it is until the token is signed, so
//! whatever takes it away later also takes away this token.

use concierge_model::user::{activity, web_access};
use concierge_model::user_role::Held;
use concierge_proto::PermissionSet;
use concierge_proto::directory::{AccessLevel, InactivityCause, User};
use concierge_runtime::{Error, Tx};
use uuid::Uuid;

use super::scope;
use crate::agent::Agents;
use crate::agent_role::AgentRoles;
use crate::customer::Customers;
use crate::site::Sites;
use crate::user::Users;
use crate::user_role::UserRoles;

/// What a token says of its subject.
#[derive(Debug, Default)]
pub(super) struct Subject {
    /// Its id in the form in which it is revoked; `None` for one that is no record.
    pub(super) id: Option<String>,
    /// What it has; `None` when there is no telling.
    pub(super) permissions: Option<PermissionSet>,
    /// The customer of a user.
    pub(super) customer_id: Option<Uuid>,
    /// The site of a user.
    pub(super) site_id: Option<Uuid>,
}

fn uuids(ids: &[String]) -> Vec<Uuid> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

/// An agent has what its roles grant. Two round trips.
pub(super) async fn agent(tx: &mut Tx, id: &str) -> Result<Subject, Error> {
    let absent = || Error::NotFound { record_type: "agent", id: id.to_owned() };
    let agent = tx.share::<Agents>(&uuids(&[id.to_owned()])).await?.pop();
    let agent = agent.filter(|a| a.delete_time.is_none()).ok_or_else(absent)?;
    if agent.active == Some(false) {
        return Err(crate::Error::SubjectInactive { subject_id: agent.id, inactive: "agent" }.into());
    }
    let roles = tx.share::<AgentRoles>(&uuids(&agent.role_ids)).await?;
    let live = roles.iter().filter(|role| role.delete_time.is_none());
    let granted = PermissionSet::of(live.flat_map(|role| &role.permissions).map(String::as_str));
    Ok(Subject { id: Some(agent.id), permissions: Some(granted), ..Subject::default() })
}

/// A user has what people in the portal have, if it can log in. Four round trips.
pub(super) async fn user(tx: &mut Tx, id: &str) -> Result<Subject, Error> {
    let absent = || Error::NotFound { record_type: "user", id: id.to_owned() };
    let user = tx.share::<Users>(&uuids(&[id.to_owned()])).await?.pop();
    let user = user.filter(|u| u.delete_time.is_none()).ok_or_else(absent)?;
    // In the order in which a customer is deleted with its main site.
    let customer = tx.share::<Customers>(&uuids(std::slice::from_ref(&user.customer_id))).await?.pop();
    let site = tx.share::<Sites>(&uuids(std::slice::from_ref(&user.site_id))).await?.pop();
    let causes = activity(&user, site.as_ref(), customer.as_ref()).map(|a| a.causes).unwrap_or_default();
    if let Some(cause) = causes.into_iter().next() {
        return Err(crate::Error::SubjectInactive { subject_id: user.id, inactive: what(cause) }.into());
    }
    refuse_without_access(tx, &user).await?;
    Ok(Subject {
        id: Some(user.id),
        permissions: Some(scope::portal()),
        customer_id: user.customer_id.parse().ok(),
        site_id: user.site_id.parse().ok(),
    })
}

async fn refuse_without_access(tx: &mut Tx, user: &User) -> Result<(), Error> {
    let roles = tx.share::<UserRoles>(&uuids(&user.role_ids)).await?;
    let level = web_access(user, &Held::of(user, &roles)).map_or(AccessLevel::None, |access| access.level());
    if level > AccessLevel::None {
        return Ok(());
    }
    Err(crate::Error::WebAccessNone { subject_id: user.id.clone() }.into())
}

fn what(cause: i32) -> &'static str {
    match InactivityCause::try_from(cause) {
        Ok(InactivityCause::CustomerInactive | InactivityCause::CustomerDeleted) => "customer",
        Ok(InactivityCause::SiteInactive | InactivityCause::SiteDeleted) => "site",
        _ => "user",
    }
}
