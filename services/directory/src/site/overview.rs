//! What is going on at a site.

use concierge_proto::directory::SiteOverview;
use concierge_runtime::{Error, Service};
use sqlx::Row as _;
use uuid::Uuid;

use super::Sites;
use crate::activity::{self, Owner};

/// Three round trips: the site, its counts, its newest entries.
pub(super) async fn overview(service: &Service, id: &str) -> Result<SiteOverview, Error> {
    let site = service.read::<Sites>(id).await?;
    let id: Uuid = site.id.parse().map_err(Error::internal)?;
    let row = sqlx::query(
        "select count(*), count(*) filter (where u.active and s.active and s.delete_time is null
                 and c.active and c.delete_time is null),
             (select count(*) from ticket_projection where site_id = $1 and open)
         from users u join sites s on s.id = u.site_id join customers c on c.id = s.customer_id
         where u.site_id = $1 and u.delete_time is null",
    )
    .bind(id)
    .fetch_one(service.pool())
    .await?;
    let (recent_activity, as_of) = activity::recent(service.pool(), Owner::Site, id).await?;
    Ok(SiteOverview {
        site_id: site.id,
        user_count: row.try_get(0)?,
        active_user_count: row.try_get(1)?,
        open_ticket_count: row.try_get(2)?,
        recent_activity,
        as_of,
    })
}
