//! The names of those who made changes.

use std::collections::HashMap;

use concierge_proto::directory::{Actor, ActorKind};
use concierge_runtime::Error;
use sqlx::PgPool;
use uuid::Uuid;

/// The names of agents and users by id, those of deleted ones too.
#[derive(Debug, Default)]
pub(super) struct Names {
    agents: HashMap<String, String>,
    users: HashMap<String, String>,
}

/// Reads the names that these ids have, if any. One round trip.
pub(super) async fn names(pool: &PgPool, ids: &[Uuid]) -> Result<Names, Error> {
    let mut names = Names::default();
    if ids.is_empty() {
        return Ok(names);
    }
    let rows: Vec<(bool, Uuid, String)> = sqlx::query_as(
        "select true, id, name from agents where id = any($1)
         union all select false, id, name from users where id = any($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await?;
    for (is_agent, id, name) in rows {
        if is_agent { &mut names.agents } else { &mut names.users }.insert(id.to_string(), name);
    }
    Ok(names)
}

impl Names {
    /// Somebody, by name if there is one.
    pub(super) fn actor(&self, kind: ActorKind, id: String) -> Actor {
        let names = match kind {
            ActorKind::Agent => Some(&self.agents),
            ActorKind::User => Some(&self.users),
            _ => None,
        };
        let name = names.and_then(|names| names.get(&id)).cloned().unwrap_or_default();
        Actor { kind: kind.into(), id, name }
    }
}
