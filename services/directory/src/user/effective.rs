//! What holds for a user in the end.

use concierge_model::user::effective as derive;
use concierge_proto::directory::EffectiveUser;
use concierge_runtime::{Error, Service};

use super::Users;
use crate::customer::Customers;
use crate::site::Sites;
use crate::user_role::UserRoles;

/// Everything is read as of one moment: in between, nothing can have been taken from the user that the answer still
/// grants. Six round trips.
pub(super) async fn effective(service: &Service, id: &str) -> Result<EffectiveUser, Error> {
    let mut tx = service.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(tx.conn().await?).await?;
    let user = tx.get::<Users>(id).await?;
    let site = tx.get::<Sites>(&user.site_id).await?;
    let customer = tx.get::<Customers>(&user.customer_id).await?;
    let mut roles = Vec::with_capacity(user.role_ids.len());
    for role in &user.role_ids {
        roles.push(tx.get::<UserRoles>(role).await?);
    }
    tx.rollback().await?;
    Ok(derive(&user, &roles, Some(&site), Some(&customer)))
}
