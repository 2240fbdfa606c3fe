//! What is going on with a user.

use concierge_proto::directory::UserOverview;
use concierge_runtime::{Error, Service};
use uuid::Uuid;

use super::Users;
use crate::activity::{self, Heard, Owner};

/// Two round trips: the user, what was heard of its tickets.
pub(super) async fn overview(service: &Service, id: &str) -> Result<UserOverview, Error> {
    let user = service.read::<Users>(id).await?;
    let id: Uuid = user.id.parse().map_err(Error::internal)?;
    let Heard { open_ticket_count, recent_activity, as_of } = activity::heard(service.pool(), Owner::User, id).await?;
    Ok(UserOverview { user_id: user.id, open_ticket_count, recent_activity, as_of })
}
