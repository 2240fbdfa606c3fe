//! Checking a record before it is stored: what it refers to, and what its resource says; all of it at once.

use std::sync::Arc;

use concierge_proto::error::Reason;
use concierge_proto::{Fields as _, Record as _, Value, Violations};
use uuid::Uuid;

use super::{Resource, statements};
use crate::error::{Error, Gathered};
use crate::tx::Tx;

impl Tx {
    /// Everything that is wrong with a record beyond the contract's rules, at once.
    pub(super) async fn check<S: Resource>(
        &mut self,
        before: Option<&S::Record>,
        after: &mut S::Record,
    ) -> Result<(), Error> {
        let mut found = Gathered::default();
        found.take(self.check_references::<S>(before, after).await)?;
        found.take(S::check(self, before, after).await)?;
        found.refuse()
    }

    /// Checks that what changed references name is there and live, and keeps it so until the end of the transaction.
    pub async fn check_references<S: Resource>(
        &mut self,
        before: Option<&S::Record>,
        after: &S::Record,
    ) -> Result<(), Error> {
        let mut violations = Violations::default();
        for reference in S::REFERENCES {
            let Some(index) = S::Record::index_of(reference.field) else { continue };
            let value = after.value(index);
            if before.is_some_and(|b| b.value(index) == value) {
                continue;
            }
            let (mut ids, many) = match value {
                Value::Id(id) => (vec![(0, id)], false),
                Value::Ids(ids) => (ids.into_iter().enumerate().collect::<Vec<_>>(), true),
                _ => continue,
            };
            // What was named before may have been deleted since, and stays until somebody takes it out.
            if let Some(Value::Ids(known)) = before.map(|b| b.value(index)) {
                ids.retain(|(_, id)| !known.contains(id));
            }
            // Of a list in which not every id is one, nobody can tell which of them is missing.
            let list = format!(".{}[", reference.field);
            let is_broken = |broken: &Arc<Violations>| broken.iter().any(|violation| violation.field.contains(&list));
            if ids.is_empty() || (many && self.call.broken.get().is_some_and(is_broken)) {
                continue;
            }
            let live: Vec<Uuid> = sqlx::query_scalar(statements::live(reference.table))
                .bind(ids.iter().map(|(_, id)| *id).collect::<Vec<_>>())
                .fetch_all(self.conn().await?)
                .await?;
            let what = S::Record::FIELDS[index].references.unwrap_or("record").replace('_', " ");
            for (position, id) in ids.iter().filter(|(_, id)| !live.contains(id)) {
                let item = if many { format!("[{position}]") } else { String::new() };
                violations.add(
                    format!("{}.{}{item}", S::Record::TYPE, reference.field),
                    format!("there is no live {what} {id}"),
                );
            }
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations })
        }
    }
}
