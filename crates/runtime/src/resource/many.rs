//! Changing many records at once: as many as fit into one statement.

use std::fmt::Write as _;

use concierge_proto::Fields as _;
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
    /// and its event, in the order given. As [`Tx::change`] does it, but references are not checked and
    /// [`Resource::stored`] is not called: what follows from so many changes is better done at once. One round trip for
    /// every thousand.
    pub async fn change_many<S: Resource>(
        &mut self,
        changes: Vec<(S::Record, S::Record)>,
    ) -> Result<Vec<S::Record>, Error> {
        let mut names: Vec<String> = S::Record::FIELDS.iter().map(|f| format!("\"{}\"", f.name)).collect();
        names.push("version".to_owned());
        if S::SEARCH {
            names.push("search".to_owned());
        }
        let most = (MOST_PARAMETERS / (names.len() + TRAIL)).min(MOST_RECORDS);
        let mut stored = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut arguments = PgArguments::default();
            let mut count = 0;
            for (before, mut after) in changes.by_ref().take(most) {
                after.apply_defaults();
                S::check(self, Some(&before), &mut after).await?;
                let tell = |record: &S::Record, version, fields: &[String]| {
                    Told::changed(record, Operation::Updated, version, fields)
                };
                self.describe::<S>(Some(&before), &mut after, Operation::Updated, tell, &mut arguments)?;
                stored.push(after);
                count += 1;
            }
            let sql = statement(Statements::of::<S>().table, &names, count);
            let conn = self.conn().await?;
            // As long as there are records: keeping it prepared would only fill the connection's cache.
            let query = sqlx::query_with(sqlx::AssertSqlSafe(sql), arguments).persistent(false);
            query.execute(conn).await.map_err(|e| taken::<S>(e.into()))?;
            self.wrote_event();
        }
        Ok(stored)
    }
}

/// The statement that changes so many records, and writes their history and events.
fn statement(table: &str, names: &[String], count: usize) -> String {
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
    let assignments: Vec<String> = names.iter().skip(1).map(|name| format!("{name} = new.{name}")).collect();
    format!(
        "with record as (
             update {table} as old set {} from (values {}) as new ({columns}) where old.id = new.id),
         history as (insert into changes ({HISTORY}) values {})
         insert into outbox ({OUTBOX}) values {}",
        assignments.join(", "),
        rows(0, names.len()),
        rows(names.len(), 13),
        rows(names.len() + 12, 8),
    )
}
