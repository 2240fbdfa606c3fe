//! Facts from what was last heard of directory's records.

use concierge_model::requester::Known;
use concierge_proto::Record;
use concierge_proto::directory::{Customer, GetRequesterFactsRequest, RequesterFacts, Site, User, UserRole};
use concierge_runtime::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row as _};
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

/// Where it is read what was last heard: on any connection of the pool, or on that of a transaction.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    Pool(&'a PgPool),
    Connection(&'a mut PgConnection),
}

impl Heard<'_> {
    pub(super) async fn facts(&mut self, requester: &Requester) -> Result<RequesterFacts, Error> {
        match self {
            Self::Pool(pool) => facts(*pool, requester).await,
            Self::Connection(connection) => facts(&mut **connection, requester).await,
        }
    }

    pub(super) async fn main_site(&mut self, customer_id: &str) -> Result<String, Error> {
        match self {
            Self::Pool(pool) => main_site(*pool, customer_id).await,
            Self::Connection(connection) => main_site(&mut **connection, customer_id).await,
        }
    }
}

/// The facts of a requester as last heard; the part of what was never heard of is absent. One round trip.
async fn facts(executor: impl PgExecutor<'_>, requester: &Requester) -> Result<RequesterFacts, Error> {
    let id = |text: &str| text.parse::<Uuid>().ok();
    let rows = sqlx::query(HEARD)
        .bind(id(&requester.user_id))
        .bind(id(&requester.site_id))
        .bind(id(&requester.customer_id))
        .fetch_all(executor)
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
async fn main_site(executor: impl PgExecutor<'_>, customer_id: &str) -> Result<String, Error> {
    let row = sqlx::query(
        "select record_type, deleted, record from projections where record_type = 'customer' and record_id = $1",
    )
    .bind(customer_id.parse::<Uuid>().ok())
    .fetch_optional(executor)
    .await?;
    row.map_or(Ok(String::new()), |row| Ok(record::<Customer>(&row)?.main_site_id))
}

fn record<R: Record>(row: &PgRow) -> Result<R, Error> {
    let bytes: &[u8] = row.try_get(2)?;
    R::decode(bytes).map_err(Error::internal)
}
