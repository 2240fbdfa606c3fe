//! Changing what rule sets hold: rules, statuses, priorities, ticket types, service level agreements, calendars,
//! categories and ticket fields.
//!
//! Changes run one after the other, so what one checks still holds when it commits; and each makes a new revision, so
//! the next evaluation sees it, in every replica.

use std::sync::Arc;

use concierge_proto::error::Reason;
use concierge_proto::{
    CreateRequest, DeleteRequest, Mutation, Record, Redact, UndeleteRequest, UpdateRequest, Violations,
};
use concierge_runtime::{Answer, Error, Resource, Tx};
use futures::future::BoxFuture;
use prost::Message;
use sqlx::Row as _;
use tonic::Request;
use uuid::Uuid;

use crate::TicketRule;
use crate::evaluation::{Configuration, RuleSet};
use crate::facts::references::Known;

/// A record that rule sets hold.
pub(crate) trait Configured: Resource {
    /// The column in which tickets name it, if one does.
    fn in_tickets(_record: &Self::Record) -> Option<&'static str> {
        None
    }

    /// The record in a rule set, live or not.
    fn find<'a>(set: &'a RuleSet, id: &str) -> Option<&'a Self::Record>;

    /// Refuses a record as it was stored, in the set as it was before. `before` is `None` for a new one, and for one that
    /// comes back. Everything that it names must be live where it changed.
    fn admit(change: &Change<'_>, before: Option<&Self::Record>, after: &Self::Record) -> Result<(), Error>;

    /// Refuses to do without a record.
    fn admit_deletion(_set: &RuleSet, _record: &Self::Record) -> Result<(), Error> {
        Ok(())
    }

    /// The live records of a set that name this one, by their type.
    fn users(_set: &RuleSet, _id: &str) -> Vec<(&'static str, i64)> {
        Vec::new()
    }
}

/// What a change is checked against.
pub(crate) struct Change<'a> {
    /// The set before it.
    pub(crate) set: &'a RuleSet,
    /// What directory says of its records that the change names.
    pub(crate) known: &'a Known,
}

/// Everything that names what does not exist, to be told at once.
#[derive(Debug, Default)]
pub(crate) struct Missing(Violations);

impl Missing {
    /// The record must be there and live, if one is named.
    pub(crate) fn unless<R: Record>(&mut self, path: impl Into<String>, id: &str, found: Option<&R>) {
        if !id.is_empty() && found.is_none_or(|record| record.delete_time().is_some()) {
            self.add(path, R::TYPE, id);
        }
    }

    /// The category must be there, live and of that level, if one is named.
    pub(crate) fn unless_category(&mut self, set: &Configuration, path: impl Into<String>, id: &str, level: i32) {
        let found = set.ticket_category(id).filter(|category| category.delete_time.is_none());
        if !id.is_empty() && found.is_none_or(|category| category.level() != level) {
            self.add(path, &format!("category of level {level}"), id);
        }
    }

    /// The record is not there.
    pub(crate) fn add(&mut self, path: impl Into<String>, record_type: &str, id: &str) {
        self.0.add(path, format!("there is no live {} {id}", record_type.replace('_', " ")));
    }

    /// Refuses if anything is missing.
    pub(crate) fn refuse(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::InvalidBecause { reason: Reason::ReferenceNotFound, violations: self.0 })
    }

    /// What is missing, for a failure with another reason.
    pub(crate) fn into_violations(self) -> Violations {
        self.0
    }
}

impl TicketRule {
    /// Serves a request that changes what rule sets hold. `work` gets the set as it is before. Round trips beside those
    /// of every write and of `work`: two.
    pub(crate) async fn configure<Q, A, F>(&self, request: Request<Q>, work: F) -> Answer<A>
    where
        Q: Mutation,
        A: Message + Default + Clone + Redact,
        F: for<'a> FnOnce(&'a mut Tx, Arc<RuleSet>, Q) -> BoxFuture<'a, Result<A, Error>> + Send + 'static,
    {
        let rule_sets = self.rule_sets.clone();
        self.service
            .write(request, |tx, request| {
                Box::pin(async move {
                    let set = rule_sets.exclusive(tx).await?;
                    work(tx, set, request).await
                })
            })
            .await
    }

    /// `Create…`
    pub(crate) async fn configure_create<S, Q>(&self, request: Request<Q>, known: Known) -> Answer<Q::Response>
    where
        S: Configured,
        Q: CreateRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.configure(request, |tx, set, request| {
            Box::pin(async move {
                let after = tx.insert::<S>(request.into_record()).await?;
                S::admit(&Change { set: &set, known: &known }, None, &after)?;
                Ok(after.into())
            })
        })
        .await
    }

    /// `Update…`
    pub(crate) async fn configure_update<S, Q>(&self, request: Request<Q>, known: Known) -> Answer<Q::Response>
    where
        S: Configured,
        Q: UpdateRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.configure(request, |tx, set, request| {
            Box::pin(async move {
                let (record, paths) = request.into_parts();
                let after = tx.update::<S>(&record, &paths).await?;
                S::admit(&Change { set: &set, known: &known }, S::find(&set, after.id()), &after)?;
                Ok(after.into())
            })
        })
        .await
    }

    /// `Delete…`: unless an open ticket, or a live record of the configuration, names it.
    pub(crate) async fn configure_delete<S, Q>(&self, request: Request<Q>) -> Answer<Q::Response>
    where
        S: Configured,
        Q: DeleteRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.configure(request, |tx, set, request| {
            Box::pin(async move {
                let after = tx.delete::<S>(request.id(), request.etag()).await?;
                check_unused::<S>(tx, &set, &after).await?;
                S::admit_deletion(&set, &after)?;
                Ok(after.into())
            })
        })
        .await
    }

    /// `Undelete…`
    pub(crate) async fn configure_undelete<S, Q>(&self, request: Request<Q>, known: Known) -> Answer<Q::Response>
    where
        S: Configured,
        Q: UndeleteRequest<Record = S::Record>,
        Q::Response: Clone + Redact,
    {
        self.configure(request, |tx, set, request| {
            Box::pin(async move {
                let after = tx.undelete::<S>(request.id()).await?;
                S::admit(&Change { set: &set, known: &known }, None, &after)?;
                Ok(after.into())
            })
        })
        .await
    }
}

/// Refuses while something names the record.
async fn check_unused<S: Configured>(tx: &mut Tx, set: &RuleSet, record: &S::Record) -> Result<(), Error> {
    let id = record.id();
    let in_use = |by, count| Error::InUse { record_type: S::Record::TYPE, id: id.to_owned(), by, count };
    if let Some((by, count)) = S::users(set, id).into_iter().find(|(_, count)| *count > 0) {
        return Err(in_use(by, count));
    }
    let Some(column) = S::in_tickets(record) else { return Ok(()) };
    let key: Uuid = id.parse().map_err(Error::internal)?;
    // Categories NEW, OPEN and ON_HOLD. Nobody needs to know of more than a thousand.
    let sql = format!(
        "select count(*) from (
             select 1 from tickets where {column} = $1 and status_category in (1, 2, 3) limit 1000) as open"
    );
    let open: i64 = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(key).fetch_one(tx.conn().await?).await?.try_get(0)?;
    if open > 0 { Err(in_use("ticket", open)) } else { Ok(()) }
}
