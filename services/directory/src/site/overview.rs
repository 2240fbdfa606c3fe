//! What is going on at a site.

use concierge_proto::directory::SiteOverview;
use concierge_runtime::{Error, Service};
use sqlx::Row as _;
use uuid::Uuid;

use super::Sites;
use crate::activity::{self, Heard, Owner};

/// Three round trips: the site, its counts, what was heard of its tickets.
pub(super) async fn overview(service: &Service, id: &str) -> Result<SiteOverview, Error> {
    let site = service.read::<Sites>(id).await?;
    let id: Uuid = site.id.parse().map_err(Error::internal)?;
    let row = sqlx::query(
        "select count(*), count(*) filter (where u.active and s.active and s.delete_time is null
                 and c.active and c.delete_time is null)
         from users u join sites s on s.id = u.site_id join customers c on c.id = s.customer_id
         where u.site_id = $1 and u.delete_time is null",
    )
    .bind(id)
    .fetch_one(service.pool())
    .await?;
    let Heard { open_ticket_count, recent_activity, as_of } = activity::heard(service.pool(), Owner::Site, id).await?;
    Ok(SiteOverview {
        site_id: site.id,
        user_count: row.try_get(0)?,
        active_user_count: row.try_get(1)?,
        open_ticket_count,
        recent_activity,
        as_of,
    })
}
