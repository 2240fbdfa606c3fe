//! Facts from what was last heard of directory's records.

use concierge_model::requester::Known;
use concierge_proto::Record;
use concierge_proto::directory::{Customer, GetRequesterFactsRequest, RequesterFacts, Site, User, UserRole};
use concierge_runtime::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::Requester;

/// Every record that facts are made from: the user with its roles, its site and its customer; the site with its
/// customer; the customer. `refs` are all the ids that a record names, so a user leads to its roles, too.
const HEARD: &str = "
    with named as (
        select (select refs from projections where record_type = 'user' and record_id = $1) as by_user,
               (select refs from projections where record_type = 'site' and record_id = $2) as by_site)
    select record_type, deleted, record from projections
    where record_type = 'user' and record_id = $1
       or record_type = 'user_role' and record_id = any((select by_user from named)::uuid[])
       or record_type = 'site' and record_id = any((select array[$2] || by_user from named)::uuid[])
       or record_type = 'customer' and record_id = any((select array[$3] || by_user || by_site from named)::uuid[])";

/// The facts of a requester as last heard; the part of what was never heard of is absent. One round trip.
pub(super) async fn facts(pool: &PgPool, requester: &Requester) -> Result<RequesterFacts, Error> {
    let id = |text: &str| text.parse::<Uuid>().ok();
    let rows = sqlx::query(HEARD)
        .bind(id(&requester.user_id))
        .bind(id(&requester.site_id))
        .bind(id(&requester.customer_id))
        .fetch_all(pool)
        .await?;
    let mut known = Known::default();
    for row in &rows {
        let deleted = row.try_get(1)?;
        match row.try_get::<&str, _>(0)? {
            User::TYPE => known.add_user(record(row)?, deleted),
            UserRole::TYPE => known.add_role(record(row)?, deleted),
            Site::TYPE => known.add_site(record(row)?, deleted),
            Customer::TYPE => known.add_customer(record(row)?, deleted),
            _ => {}
        }
    }
    Ok(known.facts(&GetRequesterFactsRequest::from(requester.clone()), None))
}

/// The main site of a customer as last heard; empty when nothing was. One round trip.
pub(super) async fn main_site(pool: &PgPool, customer_id: &str) -> Result<String, Error> {
    let row = sqlx::query(
        "select record_type, deleted, record from projections where record_type = 'customer' and record_id = $1",
    )
    .bind(customer_id.parse::<Uuid>().ok())
    .fetch_optional(pool)
    .await?;
    row.map_or(Ok(String::new()), |row| Ok(record::<Customer>(&row)?.main_site_id))
}

fn record<R: Record>(row: &PgRow) -> Result<R, Error> {
    let bytes: &[u8] = row.try_get(2)?;
    R::decode(bytes).map_err(Error::internal)
}
