//! Users as a table.

use concierge_model::search::SearchText;
use concierge_proto::Record as _;
use concierge_proto::directory::{CustomFieldEntity, RelationshipEntity, User};
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Reference, Unique};
use concierge_runtime::{Error, Gathered, Resource, Tx};
use uuid::Uuid;

use super::{access, emails, logins};
use crate::custom_field;
use crate::grant;
use crate::relationship;
use crate::site::Sites;
use crate::site_contact;
use crate::user_role::UserRoles;

/// The table of users. `user_search` and `user_names` follow it by triggers.
#[derive(Clone, Copy, Debug)]
pub struct Users;

impl Resource for Users {
    type Record = User;

    const TABLE: &'static str = "users";
    const REFERENCES: &'static [Reference] = &[
        Reference { field: "site_id", table: "sites" },
        Reference { field: "role_ids", table: "user_roles" },
        Reference { field: "relationship_ids", table: "relationships" },
        Reference { field: "linked_agent_id", table: "agents" },
        Reference { field: "department_id", table: "departments" },
    ];
    // Its site is looked at before; what else went away while it was deleted must not keep it from coming back.
    const REFERENCES_ON_UNDELETE: bool = false;
    const UNIQUE: &'static [Unique] = &[
        Unique { constraint: "users_login_name", field: "login_name", reason: Reason::LoginNameTaken },
        Unique { constraint: "users_external_id", field: "external_id", reason: Reason::ExternalIdTaken },
    ];
    const CUSTOMER: Option<&'static str> = Some("customer_id");
    const SITE: Option<&'static str> = Some("site_id");
    const USER: Option<&'static str> = Some("id");
    const SEARCH: bool = true;

    fn search(user: &User) -> String {
        SearchText::named([user.name.as_str(), user.given_name.as_str(), user.family_name.as_str()])
            .texts([user.login_name.as_str()])
            .texts(user.emails.iter().map(String::as_str))
            .phones(user.phones.iter().map(String::as_str))
            .to_string()
    }

    async fn check(tx: &mut Tx, before: Option<&User>, after: &mut User) -> Result<(), Error> {
        let mut found = Gathered::default();
        if after.site_id.is_empty() {
            found.take(Err(Error::field("user.site_id", "must not be empty")))?;
        } else if before.is_none_or(|b| b.site_id != after.site_id) {
            after.customer_id = customer_of(tx, &after.site_id).await?;
        }
        found.take(emails::check_distinct(&after.emails))?;
        let known = before.map_or(&[][..], |b| &b.relationship_ids[..]);
        let field = "user.relationship_ids";
        let entity = RelationshipEntity::User;
        found.take(relationship::check_entity(tx, entity, field, known, &after.relationship_ids).await)?;
        let known = before.map(|b| &b.custom_fields[..]);
        let (entity, field) = (CustomFieldEntity::User, "user.custom_fields");
        found.take(custom_field::accept(tx, entity, field, known, &mut after.custom_fields).await)?;
        found.refuse()?;
        let known = before.map_or(&[][..], |b| &b.role_ids[..]);
        check_importance(tx, differing(known, &after.role_ids)).await?;
        check_login_name(tx, before, after).await
    }

    async fn stored(tx: &mut Tx, before: Option<&User>, after: &User) -> Result<(), Error> {
        emails::keep(tx, before, after).await?;
        logins::check(tx, before, after).await?;
        let Some(before) = before else { return Ok(()) };
        access::take_away(tx, before, after).await?;
        if before.customer_id != after.customer_id {
            site_contact::end_all_of_user(tx, &after.id).await?;
        }
        Ok(())
    }

    async fn check_undelete(tx: &mut Tx, user: &User) -> Result<(), Error> {
        let site_id: Uuid = user.site_id.parse().map_err(Error::internal)?;
        // Kept as it is until this is committed.
        let site = tx.share::<Sites>(&[site_id]).await?.pop();
        if site.is_none_or(|site| site.delete_time().is_some()) {
            return Err(crate::Error::ParentDeleted { record_type: "site", id: user.site_id.clone() }.into());
        }
        // What it has by its roles it has again.
        check_importance(tx, differing(&[], &user.role_ids)).await?;
        // Its agent may have got another user meanwhile.
        check_login_name(tx, None, user).await
    }
}

/// The customer of a site, whose row the check of references has locked; empty when that found none.
async fn customer_of(tx: &mut Tx, site_id: &str) -> Result<String, Error> {
    let customer: Option<Uuid> = sqlx::query_scalar("select customer_id from sites where id = $1")
        .bind(site_id.parse::<Uuid>().unwrap_or_default())
        .fetch_optional(tx.conn().await?)
        .await?;
    Ok(customer.map(|id| id.to_string()).unwrap_or_default())
}

/// The ids that are in one of both only.
fn differing(before: &[String], after: &[String]) -> Vec<Uuid> {
    let given = after.iter().filter(|id| !before.contains(id));
    let taken = before.iter().filter(|id| !after.contains(id));
    given.chain(taken).flat_map(|id| id.parse()).collect()
}

/// Nobody changes by roles given or taken who is important, who could not do it by a user's own flag. One round trip,
/// none for those who may.
async fn check_importance(tx: &mut Tx, roles: Vec<Uuid>) -> Result<(), Error> {
    if roles.is_empty() || grant::holds_importance(tx) {
        return Ok(());
    }
    // None becomes important, or stops being so, before this is committed.
    let roles = tx.share::<UserRoles>(&roles).await?;
    let matters = roles.iter().any(|role| role.important && role.delete_time.is_none());
    if matters { grant::importance(tx) } else { Ok(()) }
}

/// An agent with several users has a login name on each of them: otherwise nobody could tell whom it logs in as.
async fn check_login_name(tx: &mut Tx, before: Option<&User>, after: &User) -> Result<(), Error> {
    let is_same =
        before.is_some_and(|b| b.linked_agent_id == after.linked_agent_id && b.login_name == after.login_name);
    if is_same {
        return Ok(());
    }
    let Ok(agent) = after.linked_agent_id.parse::<Uuid>() else { return Ok(()) };
    let own: Uuid = after.id.parse().map_err(Error::internal)?;
    // Two users linked to one agent at the same time would not see each other.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("users of agent {agent}"))
        .execute(tx.conn().await?)
        .await?;
    let others: Vec<(Uuid, bool)> = sqlx::query_as(
        "select id, login_name = '' from users
         where linked_agent_id = $1 and id <> $2 and delete_time is null order by id",
    )
    .bind(agent)
    .bind(own)
    .fetch_all(tx.conn().await?)
    .await?;
    if others.is_empty() {
        return Ok(());
    }
    if after.login_name.is_empty() {
        return Err(crate::Error::LoginNameRequired { id: after.id.clone() }.into());
    }
    match others.into_iter().find(|(_, is_nameless)| *is_nameless) {
        Some((id, _)) => Err(crate::Error::LoginNameRequired { id: id.to_string() }.into()),
        None => Ok(()),
    }
}
