//! What is going on at a customer.

use concierge_proto::directory::CustomerOverview;
use concierge_runtime::{Error, Service};
use sqlx::Row as _;
use uuid::Uuid;

use super::Customers;
use crate::activity::{self, Heard, Owner};

/// Three round trips: the customer, its counts, what was heard of its tickets.
pub(super) async fn overview(service: &Service, id: &str) -> Result<CustomerOverview, Error> {
    let customer = service.read::<Customers>(id).await?;
    let live = customer.active != Some(false) && customer.delete_time.is_none();
    let id: Uuid = customer.id.parse().map_err(Error::internal)?;
    let row = sqlx::query(
        "select (select count(*) from sites where customer_id = $1 and delete_time is null),
             (select count(*) from sites where customer_id = $1 and delete_time is null and active and $2),
             count(*), count(*) filter (where u.active and s.active and s.delete_time is null and $2)
         from users u join sites s on s.id = u.site_id
         where u.customer_id = $1 and u.delete_time is null",
    )
    .bind(id)
    .bind(live)
    .fetch_one(service.pool())
    .await?;
    let Heard { open_ticket_count, recent_activity, as_of } =
        activity::heard(service.pool(), Owner::Customer, id).await?;
    Ok(CustomerOverview {
        customer_id: customer.id,
        site_count: row.try_get(0)?,
        active_site_count: row.try_get(1)?,
        user_count: row.try_get(2)?,
        active_user_count: row.try_get(3)?,
        open_ticket_count,
        recent_activity,
        as_of,
    })
}
