//! User roles as a table.

use concierge_proto::directory::{AccessLevel, UserRole};
use concierge_proto::error::Reason;
use concierge_runtime::resource::{Child, Unique};
use concierge_runtime::{Error, Resource, Tx};
use uuid::Uuid;

use crate::grant;

/// The table of user roles.
#[derive(Clone, Copy, Debug)]
pub struct UserRoles;

impl Resource for UserRoles {
    type Record = UserRole;

    const TABLE: &'static str = "user_roles";
    const CHILDREN: &'static [Child] = &[Child { record_type: "user", table: "users", column: "role_ids", many: true }];
    const UNIQUE: &'static [Unique] =
        &[Unique { constraint: "user_roles_name", field: "name", reason: Reason::NameTaken }];

    /// A user that comes back comes without the roles deleted meanwhile, so this too can take importance.
    async fn check_delete(tx: &mut Tx, role: &UserRole) -> Result<(), Error> {
        if role.important { grant::importance(tx) } else { Ok(()) }
    }

    async fn check_undelete(tx: &mut Tx, role: &UserRole) -> Result<(), Error> {
        if role.important { grant::importance(tx) } else { Ok(()) }
    }

    /// Lowered access leaves some users without any: their tokens are taken away.
    async fn stored(tx: &mut Tx, before: Option<&UserRole>, after: &UserRole) -> Result<(), Error> {
        let none = i32::from(AccessLevel::None);
        let lowered = before.is_some_and(|b| b.web_access_level > none && after.web_access_level <= none);
        if !lowered {
            return Ok(());
        }
        let id: Uuid = after.id.parse().map_err(Error::internal)?;
        let users: Vec<Uuid> = sqlx::query_scalar(
            "select u.id from users u where u.role_ids @> array[$1] and u.delete_time is null
                 and u.web_access_level <= $2 and not exists (
                     select from user_roles r
                     where r.id = any(u.role_ids) and r.delete_time is null and r.web_access_level > $2)",
        )
        .bind(id)
        .bind(none)
        .fetch_all(tx.conn().await?)
        .await?;
        tx.revoke_subjects(&users, "web access lowered by a role").await
    }
}
