//! What is going on with a user.

use concierge_proto::directory::UserOverview;
use concierge_runtime::{Error, Service};
use uuid::Uuid;

use super::Users;
use crate::activity::{self, Owner};

/// Three round trips: the user, its count, its newest entries.
pub(super) async fn overview(service: &Service, id: &str) -> Result<UserOverview, Error> {
    let user = service.read::<Users>(id).await?;
    let id: Uuid = user.id.parse().map_err(Error::internal)?;
    let open_ticket_count: i64 =
        sqlx::query_scalar("select count(*) from ticket_projection where user_id = $1 and open")
            .bind(id)
            .fetch_one(service.pool())
            .await?;
    let (recent_activity, as_of) = activity::recent(service.pool(), Owner::User, id).await?;
    Ok(UserOverview { user_id: user.id, open_ticket_count, recent_activity, as_of })
}
