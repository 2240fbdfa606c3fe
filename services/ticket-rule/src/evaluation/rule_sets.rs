//! Where rule sets come from: versions of their records in the database, kept ready to run in memory.
//!
//! A change of the configuration writes the new version of the record and a new revision in its own transaction, so
//! every replica uses it at once: who evaluates rules reads the revision first and, if it is another one than that in
//! memory, what changed since. Past revisions can be read for ever.
//!
//! Two advisory locks order things. A change takes the exclusive one, so configuration changes run one after the other,
//! and what a check has found still holds at the commit. Who writes a ticket takes the shared one by reading the revision
//! with `configuration_revision()`: a status cannot be deleted between its use and the commit.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use concierge_proto::Record;
use concierge_runtime::{Error, Service, Tx};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::rule_set::{RuleSet, Version};

/// How many past revisions are kept ready, at least and at most.
const PAST: std::ops::RangeInclusive<usize> = 4..=64;
/// More than the least are kept as long as they have not more rules than this together.
const PAST_RULES: usize = 20_000;
/// With more changes than this since the index of rules was made, it is made anew, beside what runs meanwhile.
const MOST_UNMERGED: usize = 64;

/// The rule sets of one replica.
#[derive(Clone, Debug)]
pub struct RuleSets {
    pool: PgPool,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// Held while a set is made that is newer than all before.
    making: tokio::sync::Mutex<()>,
    /// Held while a past set is made.
    remembering: tokio::sync::Mutex<()>,
    /// Held while the index of the newest set is made anew.
    merging: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    newest: Arc<RuleSet>,
    /// The one used last at the end.
    past: Vec<Arc<RuleSet>>,
}

impl RuleSets {
    /// The rule sets of a service, the same for all parts of its process; nothing is read yet.
    pub fn new(service: &Service) -> Self {
        Self { pool: service.pool().clone(), shared: service.shared() }
    }

    /// The set that this transaction shall use. Nothing in it changes before the transaction ends.
    ///
    /// One round trip; two after a change of the configuration.
    pub async fn current(&self, tx: &mut Tx) -> Result<Arc<RuleSet>, Error> {
        let revision = sqlx::query_scalar("select configuration_revision()").fetch_one(tx.conn().await?).await?;
        self.at(tx.conn().await?, revision).await
    }

    /// The set that a change of the configuration starts from; keeps other changes, and tickets, waiting until the end of
    /// the transaction. Two round trips.
    pub(crate) async fn exclusive(&self, tx: &mut Tx) -> Result<Arc<RuleSet>, Error> {
        sqlx::query("select pg_advisory_xact_lock(configuration_lock())").execute(tx.conn().await?).await?;
        // A statement of its own: it sees what the holder before committed.
        let revision = sqlx::query_scalar("select revision from rule_set_revision").fetch_one(tx.conn().await?).await?;
        self.at(tx.conn().await?, revision).await
    }

    /// The newest set, for what writes nothing. One round trip; two after a change.
    pub async fn newest(&self) -> Result<Arc<RuleSet>, Error> {
        let revision = sqlx::query_scalar("select revision from rule_set_revision").fetch_one(&self.pool).await?;
        let mut connection = self.pool.acquire().await?;
        self.at(&mut connection, revision).await
    }

    /// The set as it was at a revision. No round trip if it is known, one otherwise.
    pub async fn at(&self, connection: &mut PgConnection, revision: i64) -> Result<Arc<RuleSet>, Error> {
        if let Some(found) = self.shared.find(revision) {
            return Ok(found);
        }
        loop {
            // After a change everybody wants the same: one makes it, the others wait. Who explains the past waits for
            // others who do, and keeps no writer of tickets waiting.
            let is_past = revision < self.shared.known().newest.revision();
            let _alone = if is_past { self.shared.remembering.lock().await } else { self.shared.making.lock().await };
            if let Some(found) = self.shared.find(revision) {
                return Ok(found);
            }
            let newest = Arc::clone(&self.shared.known().newest);
            if is_past != (revision < newest.revision()) {
                // A newer one was made while we waited.
                continue;
            }
            let base = if is_past { Arc::default() } else { newest };
            let versions = since(connection, base.revision(), revision).await?;
            // Compiling thousands of rules takes a while, in which this thread has other calls to serve.
            let made = tokio::task::spawn_blocking(move || base.with(revision, versions)).await;
            let made = Arc::new(made.map_err(Error::internal)??);
            self.shared.keep(&made);
            if !is_past && made.index().unmerged() > MOST_UNMERGED {
                Shared::merge(&self.shared);
            }
            return Ok(made);
        }
    }
}

impl Shared {
    /// Makes the index of the newest set anew, in the background: nobody waits for it, and who runs rules meanwhile
    /// goes on with what there is. What changes until it is ready is put on top.
    fn merge(shared: &Arc<Self>) {
        let Ok(alone) = Arc::clone(&shared.merging).try_lock_owned() else { return };
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let from = Arc::clone(&shared.known().newest);
            let merged = from.index().merged();
            loop {
                let newest = Arc::clone(&shared.known().newest);
                let next = Arc::new(newest.with_merged(&from, &merged));
                let mut known = shared.known();
                if Arc::ptr_eq(&known.newest, &newest) {
                    known.newest = next;
                    return;
                }
            }
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, revision: i64) -> Option<Arc<RuleSet>> {
        let mut known = self.known();
        if known.newest.revision() == revision {
            return Some(Arc::clone(&known.newest));
        }
        let place = known.past.iter().position(|set| set.revision() == revision)?;
        let found = known.past.remove(place);
        known.past.push(Arc::clone(&found));
        Some(found)
    }

    fn keep(&self, made: &Arc<RuleSet>) {
        let mut known = self.known();
        let past = if made.revision() > known.newest.revision() {
            std::mem::replace(&mut known.newest, Arc::clone(made))
        } else {
            Arc::clone(made)
        };
        // It shares most of its rules with the newest.
        known.past.push(past);
        let mut rules: usize = known.past.iter().map(|set| set.size()).sum();
        while known.past.len() > *PAST.end() || known.past.len() > *PAST.start() && rules > PAST_RULES {
            rules -= known.past.remove(0).size();
        }
    }
}

/// What changed after one revision, as it is at another. Versions are only ever added, and ended by a later one, so the
/// answer is the same whenever it is asked for.
async fn since(connection: &mut PgConnection, after: i64, revision: i64) -> Result<Vec<Version>, Error> {
    let rows: Vec<(String, Uuid, bool, Vec<u8>)> = sqlx::query_as(
        "select record_type, record_id, until is null or until > $2 as holds, record from configuration_versions
         where since <= $2 and (since > $1 or until > $1) and ($1 > 0 or until is null or until > $2)",
    )
    .bind(after)
    .bind(revision)
    .fetch_all(connection)
    .await?;
    let holding: HashSet<Uuid> = rows.iter().filter(|(_, _, holds, _)| *holds).map(|(_, id, _, _)| *id).collect();
    let mut versions = HashMap::with_capacity(rows.len());
    for (record_type, id, holds, record) in rows {
        if holds || !holding.contains(&id) {
            versions.insert(id, Version { record_type, id, record: holds.then_some(record) });
        }
    }
    Ok(versions.into_values().collect())
}

/// Makes a record, new or changed, part of the next revision; `holds` is false for one that rule sets shall not have any
/// more. One round trip, in the transaction of the change.
pub(crate) async fn revise<R: Record>(tx: &mut Tx, record: &R, holds: bool) -> Result<(), Error> {
    revise_all(tx, std::slice::from_ref(record), holds).await
}

/// As [`revise`], with several records in one revision.
pub(crate) async fn revise_all<R: Record>(tx: &mut Tx, records: &[R], holds: bool) -> Result<(), Error> {
    let mut ids: Vec<Uuid> = Vec::with_capacity(records.len());
    for record in records {
        ids.push(record.id().parse().map_err(Error::internal)?);
    }
    let bytes: Vec<Vec<u8>> = records.iter().map(R::encode_to_vec).collect();
    sqlx::query(
        "with changed as (select * from unnest($2::uuid[], $3::bytea[]) as changed (id, record)),
              next as (update rule_set_revision set revision = revision + 1 returning revision),
              ended as (update configuration_versions set until = next.revision from next, changed
                        where record_type = $1 and record_id = changed.id and until is null)
         insert into configuration_versions (record_type, record_id, since, record)
         select $1, changed.id, next.revision, changed.record from next, changed where $4",
    )
    .bind(R::TYPE)
    .bind(ids)
    .bind(bytes)
    .bind(holds)
    .execute(tx.conn().await?)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use concierge_proto::Record as _;
    use concierge_proto::ticket_rule::Rule;
    use prost::Message as _;

    use super::*;

    /// A set with so many rules.
    fn set(revision: i64, rules: usize) -> Arc<RuleSet> {
        let version = |number: usize| {
            let id = Uuid::from_u128(u128::try_from(number).unwrap() + 1);
            let rule = Rule { id: id.to_string(), ..Rule::default() };
            Version { record_type: Rule::TYPE.to_owned(), id, record: Some(rule.encode_to_vec()) }
        };
        Arc::new(RuleSet::default().with(revision, (0..rules).map(version).collect()).unwrap())
    }

    #[tokio::test]
    async fn an_index_is_merged_while_rules_go_on_changing() {
        let shared = Arc::new(Shared::default());
        shared.keep(&set(1, 1_000));
        let version = |number: u128, record: Option<Rule>| {
            let id = Uuid::from_u128(number);
            let record = record.map(|rule| Rule { id: id.to_string(), ..rule }.encode_to_vec());
            Version { record_type: Rule::TYPE.to_owned(), id, record }
        };
        let named = |name: &str| Some(Rule { name: name.to_owned(), ..Rule::default() });
        let change = |revision: i64, versions: Vec<Version>| {
            let newest = Arc::clone(&shared.known().newest);
            shared.keep(&Arc::new(newest.with(revision, versions).unwrap()));
        };
        for number in 0..100_u128 {
            change(2 + i64::try_from(number).unwrap(), vec![version(1 + number, named("again"))]);
        }
        assert_eq!(shared.known().newest.index().unmerged(), 100);

        Shared::merge(&shared);
        change(200, vec![version(500, named("meanwhile")), version(7, None)]);
        let _merged = shared.merging.lock().await;
        let newest = Arc::clone(&shared.known().newest);
        assert_eq!(newest.revision(), 200);
        assert!(newest.index().unmerged() <= 2, "{}", newest.index().unmerged());
        assert_eq!(newest.index().len(), 999);
        assert_eq!(newest.index().rules().filter(|rule| &**rule.name() == "again").count(), 99);
        assert!(newest.index().get(Uuid::from_u128(7)).is_none());
        assert_eq!(&**newest.index().get(Uuid::from_u128(500)).unwrap().name(), "meanwhile");
    }

    #[test]
    fn many_small_past_sets_are_kept_and_few_large_ones_and_those_used_last() {
        let shared = Shared::default();
        for revision in 1..=200 {
            shared.keep(&set(revision, 1));
            // Somebody explains what the first did, again and again.
            shared.find(1);
        }
        assert_eq!(shared.known().past.len(), 64);
        assert!(shared.find(1).is_some() && shared.find(150).is_some() && shared.find(100).is_none());
        let large = set(300, PAST_RULES / 4);
        for revision in 300..320 {
            shared.keep(&Arc::new(large.with(revision, Vec::new()).unwrap()));
        }
        assert_eq!(shared.known().past.len(), 4);
    }
}
