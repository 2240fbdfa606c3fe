//! Every record that the facts of some tickets need, in one statement.

use std::sync::LazyLock;

use concierge_model::requester::Known;
use concierge_proto::directory::{Customer, GetRequesterFactsRequest, Site, User, UserRole};
use concierge_proto::{Fields, Record};
use concierge_runtime::Error;
use concierge_runtime::resource::decode_from;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// One row a record: which kind it is, then the columns of all four kinds, those of the others null.
static STATEMENT: LazyLock<String> = LazyLock::new(|| {
    let kinds = [
        ("users", columns::<User>()),
        ("user_roles", columns::<UserRole>()),
        ("sites", columns::<Site>()),
        ("customers", columns::<Customer>()),
    ];
    let select = |kind: usize, from: &str| {
        let all: Vec<String> = kinds
            .iter()
            .enumerate()
            .flat_map(|(at, (table, columns))| {
                let source = if at == kind { "t".to_owned() } else { format!("(null::{table})") };
                columns.iter().map(move |column| format!("{source}.\"{column}\"")).collect::<Vec<_>>()
            })
            .collect();
        format!("select {kind}, {} from {from} t", all.join(", "))
    };
    // A ticket's own site and customer count beside the user's, and a site's customer beside both. Arrays, so that each
    // is looked up by its key.
    format!(
        "with u as (select * from users where id = any($1)),
         s as (select * from sites where id = any($2 || array(select site_id from u))),
         c as (select * from customers
               where id = any($3 || array(select customer_id from u) || array(select customer_id from s))),
         r as (select * from user_roles where id = any(array(select unnest(role_ids) from u)))
         {} union all {} union all {} union all {}",
        select(0, "u"),
        select(1, "r"),
        select(2, "s"),
        select(3, "c"),
    )
});

fn columns<R: Fields>() -> Vec<&'static str> {
    R::FIELDS.iter().map(|f| f.name).chain(["version"]).collect()
}

/// Reads what the facts of these tickets need. One round trip.
pub(super) async fn known(pool: &PgPool, requests: &[GetRequesterFactsRequest]) -> Result<Known, Error> {
    let ids = |id: fn(&GetRequesterFactsRequest) -> &String| -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = requests.iter().filter_map(|r| id(r).parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    // The text is made once, of names in our own code.
    let rows = sqlx::query(sqlx::AssertSqlSafe(STATEMENT.as_str()))
        .bind(ids(|r| &r.user_id))
        .bind(ids(|r| &r.site_id))
        .bind(ids(|r| &r.customer_id))
        .fetch_all(pool)
        .await?;
    let starts = {
        let widths = [columns::<User>().len(), columns::<UserRole>().len(), columns::<Site>().len()];
        [1, 1 + widths[0], 1 + widths[0] + widths[1], 1 + widths.iter().sum::<usize>()]
    };
    let mut known = Known::default();
    for row in &rows {
        match row.try_get::<i32, _>(0)? {
            0 => {
                let user: User = decode_from(row, starts[0])?;
                let deleted = user.delete_time().is_some();
                known.add_user(user, deleted);
            }
            1 => {
                let role: UserRole = decode_from(row, starts[1])?;
                let deleted = role.delete_time().is_some();
                known.add_role(role, deleted);
            }
            2 => {
                let site: Site = decode_from(row, starts[2])?;
                let deleted = site.delete_time().is_some();
                known.add_site(site, deleted);
            }
            _ => {
                let customer: Customer = decode_from(row, starts[3])?;
                let deleted = customer.delete_time().is_some();
                known.add_customer(customer, deleted);
            }
        }
    }
    Ok(known)
}
