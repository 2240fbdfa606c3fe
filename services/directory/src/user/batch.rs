//! Several users by id.

use std::collections::HashMap;

use concierge_proto::Fields as _;
use concierge_proto::directory::{BatchGetUsersResponse, User};
use concierge_runtime::resource::decode;
use concierge_runtime::{Call, Error, Service};
use uuid::Uuid;

/// The columns of users in a statement that calls their table `u`, in the order of the fields, then `version`.
pub(super) fn columns() -> String {
    let columns: Vec<String> = User::FIELDS.iter().map(|f| format!("u.\"{}\"", f.name)).collect();
    format!("{}, u.version", columns.join(", "))
}

/// Those that exist, deleted ones included, in the order asked. One round trip.
pub(super) async fn get(service: &Service, ids: Vec<String>) -> Result<BatchGetUsersResponse, Error> {
    let wanted: Vec<Uuid> = ids.iter().flat_map(|id| id.parse()).collect();
    if let Some(call) = Call::current() {
        call.remaining()?;
    }
    let sql = format!("select {} from users u where u.id = any($1)", columns());
    // Made of names in our own code.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(wanted).fetch_all(service.pool()).await?;
    let mut found: HashMap<String, User> = HashMap::new();
    for row in &rows {
        let user: User = decode(row)?;
        found.insert(user.id.clone(), user);
    }
    let mut answer = BatchGetUsersResponse::default();
    for id in ids {
        match found.remove(&id) {
            Some(user) => answer.users.push(user),
            None => answer.not_found_ids.push(id),
        }
    }
    Ok(answer)
}
