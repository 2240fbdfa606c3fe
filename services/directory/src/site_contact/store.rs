//! Site contacts as a table.

use concierge_proto::directory::SiteContact;
use concierge_runtime::{Error, Resource};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// The table of site contacts.
#[derive(Clone, Copy, Debug)]
pub struct SiteContacts;

impl Resource for SiteContacts {
    type Record = SiteContact;

    // What it refers to is checked where it is assigned, under the names that the request has; it never changes.
    const TABLE: &'static str = "site_contacts";
}

/// The customer of a live user, whose row is locked: nobody moves it, and nobody else makes the same assignment.
pub(super) async fn lock_user(conn: &mut PgConnection, id: Uuid) -> Result<Option<Uuid>, Error> {
    let sql = "select customer_id from users where id = $1 and delete_time is null for no key update";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(conn).await?)
}

/// The customer of a live site, which stays live until the end of the transaction.
pub(super) async fn share_site(conn: &mut PgConnection, id: Uuid) -> Result<Option<Uuid>, Error> {
    let sql = "select customer_id from sites where id = $1 and delete_time is null for share";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(conn).await?)
}

/// Whether a live type is active; it stays so until the end of the transaction.
pub(super) async fn share_type(conn: &mut PgConnection, id: Uuid) -> Result<Option<bool>, Error> {
    let sql = "select active from site_contact_types where id = $1 and delete_time is null for share";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(conn).await?)
}

/// The live assignment of a user to a site for a type.
pub(super) async fn find(
    conn: &mut PgConnection,
    site: Uuid,
    user: Uuid,
    contact_type: Option<Uuid>,
) -> Result<Option<Uuid>, Error> {
    let sql = "select id from site_contacts
               where site_id = $1 and user_id = $2 and type_id is not distinct from $3 and delete_time is null";
    Ok(sqlx::query_scalar(sql).bind(site).bind(user).bind(contact_type).fetch_optional(conn).await?)
}

/// The live assignments of a user.
pub(super) async fn of_user(conn: &mut PgConnection, user: Uuid) -> Result<Vec<Uuid>, Error> {
    let sql = "select id from site_contacts where user_id = $1 and delete_time is null order by id for update";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_all(conn).await?)
}

/// Whether there is such a site, and whose: `None` when there is none. Deleted ones count.
pub(super) async fn customer_of_site(pool: &PgPool, id: Uuid) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar("select customer_id from sites where id = $1").bind(id).fetch_optional(pool).await?)
}

/// Whether there is such a customer. Deleted ones count.
pub(super) async fn is_customer(pool: &PgPool, id: Uuid) -> Result<bool, Error> {
    let sql = "select exists (select from customers where id = $1)";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_one(pool).await?)
}

/// One row of the address book.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// What the book is ordered by.
    pub(super) sort: String,
    pub(super) email: String,
    pub(super) job_title: String,
    pub(super) site_name: String,
    pub(super) important: bool,
    pub(super) never_send_emails: bool,
    pub(super) assigned: bool,
    pub(super) type_ids: Vec<Uuid>,
}

/// Which users.
#[derive(Clone, Copy, Debug)]
pub(super) enum Users {
    /// Those assigned to the site and, if wanted, the important ones of it.
    ContactsOfSite { site: Uuid, important: bool },
    /// Those of the site.
    OfSite(Uuid),
    /// Those of the customer.
    OfCustomer(Uuid),
}

/// Which part of the book.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// A regular expression that the name or the address must match.
    pub(super) pattern: Option<String>,
    /// After this name and id.
    pub(super) after: Option<(String, Uuid)>,
    /// So many at most.
    pub(super) limit: i64,
}

/// Users who count as active and have an e-mail address, by name. `site` is the one whose contacts are marked.
pub(super) async fn users(pool: &PgPool, which: Users, site: Option<Uuid>, part: &Part) -> Result<Vec<Person>, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select u.id, u.name, lower(u.name) as sort, u.emails[1] as email, u.job_title, s.name as site_name,
             u.important or role.important as important,
             u.never_send_emails or role.never_send_emails as never_send_emails, contact.assigned, contact.type_ids
         from users u
         join sites s on s.id = u.site_id and s.active and s.delete_time is null
         join customers c on c.id = u.customer_id and c.active and c.delete_time is null
         cross join lateral (
             select coalesce(bool_or(r.important), false) as important,
                 coalesce(bool_or(r.never_send_emails), false) as never_send_emails
             from user_roles r where r.id = any(u.role_ids) and r.delete_time is null) role
         cross join lateral (
             select count(*) > 0 as assigned,
                 coalesce(array_agg(distinct a.type_id) filter (where a.type_id is not null), '{}') as type_ids
             from site_contacts a
             where a.user_id = u.id and a.delete_time is null and a.site_id = ",
    );
    sql.push_bind(site).push(") contact where u.active and u.delete_time is null and cardinality(u.emails) > 0 and ");
    match which {
        Users::OfSite(site) => {
            sql.push("u.site_id = ").push_bind(site);
        }
        Users::OfCustomer(customer) => {
            sql.push("u.customer_id = ").push_bind(customer);
        }
        Users::ContactsOfSite { site, important } => {
            sql.push("u.id in (select user_id from site_contacts where delete_time is null and site_id = ");
            sql.push_bind(site);
            if important {
                sql.push(" union select id from users where site_id = ").push_bind(site);
            }
            sql.push(") and (contact.assigned");
            if important {
                sql.push(" or u.important or role.important");
            }
            sql.push(")");
        }
    }
    part.push(&mut sql, "u", "u.emails[1]");
    Ok(sql.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Active agents, by name.
pub(super) async fn agents(pool: &PgPool, part: &Part) -> Result<Vec<Person>, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select a.id, a.name, lower(a.name) as sort, a.email, a.job_title, '' as site_name, false as important,
             false as never_send_emails, false as assigned, '{}'::uuid[] as type_ids
         from agents a where a.active and a.delete_time is null",
    );
    part.push(&mut sql, "a", "a.email");
    Ok(sql.build_query_as().persistent(false).fetch_all(pool).await?)
}

impl Part {
    /// Narrows, orders and bounds a statement over people.
    fn push(&self, sql: &mut QueryBuilder<Postgres>, table: &str, email: &str) {
        if let Some(pattern) = &self.pattern {
            sql.push(format_args!(" and ({table}.name ~* ")).push_bind(pattern.clone());
            sql.push(format_args!(" or {email} ~* ")).push_bind(pattern.clone()).push(")");
        }
        if let Some((name, id)) = &self.after {
            sql.push(format_args!(" and (lower({table}.name) collate \"C\", {table}.id) > ("));
            sql.push_bind(name.clone()).push(", ").push_bind(*id).push(")");
        }
        sql.push(format_args!(" order by lower({table}.name) collate \"C\", {table}.id limit ")).push_bind(self.limit);
    }
}
