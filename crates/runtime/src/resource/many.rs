//! Changing many records at once: as many as fit into one statement.

use std::fmt::Write as _;

use concierge_proto::{Fields as _, Record};
use sqlx::postgres::PgArguments;

use super::statements::{HISTORY, OUTBOX};
use super::write::{Operation, Told};
use super::{Resource, Statements, taken};
use crate::error::Error;
use crate::tx::Tx;

/// The columns of history and outbox, of which they share the id.
const TRAIL: usize = 20;
/// A statement takes no more parameters than 65,535.
const MOST_PARAMETERS: usize = 60_000;
/// So many records share a statement at most.
const MOST_RECORDS: usize = 1_000;

impl Tx {
    /// Stores many changed records, each before and after, whose rows nobody else can change; every one with its history
    /// and its event, in the order given: as updated, or as deleted or brought back where its `delete_time` says so. As
    /// [`Tx::change`] does it, but references are not checked and [`Resource::stored`] is not called: what follows from so
    /// many changes is better done at once. One round trip for every thousand.
    pub async fn change_many<S: Resource>(
        &mut self,
        changes: Vec<(S::Record, S::Record)>,
    ) -> Result<Vec<S::Record>, Error> {
        self.store_many::<S>(changes.into_iter().map(|(before, after)| (Some(before), after))).await
    }

    /// Stores many new records that the service made, with their ids if they have them; as [`Tx::change_many`].
    pub async fn insert_many<S: Resource>(&mut self, records: Vec<S::Record>) -> Result<Vec<S::Record>, Error> {
        self.store_many::<S>(records.into_iter().map(|record| (None, record))).await
    }

    /// All of them new, or none.
    async fn store_many<S: Resource>(
        &mut self,
        changes: impl Iterator<Item = (Option<S::Record>, S::Record)>,
    ) -> Result<Vec<S::Record>, Error> {
        let mut names: Vec<String> = S::Record::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
        names.push("version".to_owned());
        if S::SEARCH {
            names.push("search".to_owned());
        }
        let most = (MOST_PARAMETERS / (names.len() + TRAIL)).min(MOST_RECORDS);
        let mut stored = Vec::with_capacity(changes.size_hint().0);
        let mut changes = changes.peekable();
        while let Some((first, _)) = changes.peek() {
            let is_new = first.is_none();
            let mut arguments = PgArguments::default();
            let mut count = 0;
            for (before, mut after) in changes.by_ref().take(most) {
                after.apply_defaults();
                if after.id().is_empty() {
                    after.set_id(self.new_id().to_string());
                }
                S::check(self, before.as_ref(), &mut after).await?;
                let operation = operation(before.as_ref(), &after);
                let tell =
                    |record: &S::Record, version, fields: &[String]| Told::changed(record, operation, version, fields);
                self.describe::<S>(before.as_ref(), &mut after, operation, tell, &mut arguments)?;
                stored.push(after);
                count += 1;
            }
            let sql = statement(Statements::of::<S>().table, &names, count, is_new);
            let conn = self.conn().await?;
            // As long as there are records: keeping it prepared would only fill the connection's cache.
            let query = sqlx::query_with(sqlx::AssertSqlSafe(sql), arguments).persistent(false);
            query.execute(conn).await.map_err(|e| taken::<S>(e.into()))?;
            self.wrote_event();
        }
        Ok(stored)
    }
}

/// What a change does to a record.
fn operation<R: Record>(before: Option<&R>, after: &R) -> Operation {
    match (before.map(Record::delete_time), after.delete_time()) {
        (None, _) => Operation::Created,
        (Some(None), Some(_)) => Operation::Deleted,
        (Some(Some(_)), None) => Operation::Undeleted,
        _ => Operation::Updated,
    }
}

/// The statement that stores so many records, new or changed, and writes their history and events.
fn statement(table: &str, names: &[String], count: usize, is_new: bool) -> String {
    let row = names.len() + TRAIL;
    let rows = |from: usize, columns: usize| {
        let mut text = String::new();
        for record in 0..count {
            let open = if record > 0 { ", (" } else { "(" };
            text.push_str(open);
            for column in 0..columns {
                let comma = if column > 0 { ", " } else { "" };
                let _ = write!(text, "{comma}${}", record * row + from + column + 1);
            }
            text.push(')');
        }
        text
    };
    let columns = names.join(", ");
    let records = rows(0, names.len());
    let record = if is_new {
        format!("insert into {table} ({columns}) values {records}")
    } else {
        let assignments: Vec<String> = names.iter().skip(1).map(|name| format!("{name} = new.{name}")).collect();
        let assignments = assignments.join(", ");
        format!(
            "update {table} as old set {assignments} from (values {records}) as new ({columns}) where old.id = new.id"
        )
    };
    format!(
        "with record as ({record}),
         history as (insert into changes ({HISTORY}) values {})
         insert into outbox ({OUTBOX}) values {}",
        rows(names.len(), 13),
        rows(names.len() + 12, 8),
    )
}
