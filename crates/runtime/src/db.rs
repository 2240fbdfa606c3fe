//! The service's database: its pool, its migrations.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, SqlSafeStr as _, Transaction};

use crate::error::Error;

static OWN: Migrator = sqlx::migrate!("./migrations");

/// How many connections a service has for its own short statements: numbering, leases, revocations, readiness. However
/// many requests wait for the others, these go on. One of them hears other replicas' hints.
pub const BACKGROUND: u32 = 3;

/// When the database of this process last answered.
static ANSWERED: Mutex<Option<Instant>> = Mutex::new(None);
/// A database that answered so long ago is there; shorter than the wait for a connection.
const FRESH: Duration = Duration::from_secs(3);

/// Notes that the database answered. The service's own work does, several times a second.
pub(crate) fn note_answer() {
    *ANSWERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// True when the database answered a moment ago: who gets no connection then waits behind others.
pub(crate) fn is_answering() -> bool {
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < FRESH)
}

/// The migrations of a service: those that every service has, and its own.
pub fn migrations(service: &Migrator) -> Migrator {
    Migrator::with_migrations(OWN.iter().chain(service.iter()).cloned().collect())
}

/// Opens the pool. Connects lazily: a service starts without its database and is ready once it answers.
///
/// `statement_timeout` bounds single statements outside transactions; a transaction sets what its caller has left.
pub fn pool(url: &SecretString, size: u32, statement_timeout: Duration, name: &str) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let options = options
        .application_name(name)
        .statement_cache_capacity(500)
        .options([("statement_timeout", statement_timeout.as_millis().to_string())]);
    Ok(PgPoolOptions::new()
        .max_connections(size)
        .min_connections(size.min(2))
        .acquire_timeout(Duration::from_secs(5))
        // A broken connection is found by the statement that fails on it; a round trip before each is too dear.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(Duration::from_secs(1800))
        .connect_lazy_with(options))
}

/// Opens a transaction with these statements, which must hold nothing that a caller gave. One round trip.
///
/// Once sent they are waited for, also when nobody waits for this any more: the driver gives the connection back with
/// whatever a dropped `BEGIN` began (sqlx 0.9), and the next to use it would be in a transaction that is not its own.
pub(crate) async fn begin(pool: &PgPool, statements: String) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let connection = pool.acquire().await?;
    let statements = sqlx::AssertSqlSafe(statements).into_sql_str();
    Finished(Some(Box::pin(Transaction::begin(connection, Some(statements))))).await
}

/// Work that goes on by itself when it is dropped in the middle; what comes of it is dropped then.
struct Finished<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Future for Finished<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Nobody asks again after the answer.
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let answer = std::task::ready!(work.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// Why a schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Somebody mixed up the URLs.
    #[error("this is the database of {owner}: give {service} one of its own")]
    OtherService {
        /// The service that was to be migrated.
        service: String,
        /// The service that has the database.
        owner: String,
    },
    /// The database refused, or does not answer.
    #[error(transparent)]
    Failed(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for MigrationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings the schema of a service's database up to date. Safe to run while other replicas serve, and by several at once.
pub async fn migrate(pool: &PgPool, name: &str, service: &Migrator) -> Result<(), MigrationError> {
    let is_named: bool = sqlx::query_scalar(
        "select exists (select from information_schema.columns
                        where table_schema = current_schema() and table_name = 'feed' and column_name = 'service')",
    )
    .fetch_one(pool)
    .await?;
    if is_named {
        let owner: String = sqlx::query_scalar("select service from feed").fetch_one(pool).await?;
        if !owner.is_empty() && owner != name {
            return Err(MigrationError::OtherService { service: name.to_owned(), owner });
        }
    }
    let mut migrator = migrations(service);
    // A newer binary may have migrated further: an older one keeps working beside it.
    migrator.set_ignore_missing(true);
    migrator.run(pool).await?;
    sqlx::query("update feed set service = $1 where service = ''").bind(name).execute(pool).await?;
    Ok(())
}

/// Whether the database is this service's, and has all that these migrations make. One round trip.
pub(crate) async fn is_ready(pool: &PgPool, name: &str, service: &Migrator) -> Result<bool, sqlx::Error> {
    let newest = migrations(service).iter().map(|migration| migration.version).max().unwrap_or_default();
    sqlx::query_scalar(
        "select service in ($1, '') and exists (select from _sqlx_migrations where version >= $2 and success) from feed",
    )
    .bind(name)
    .bind(newest)
    .fetch_one(pool)
    .await
}

/// When it was last said that the database cannot be used.
static COMPLAINED: Mutex<Option<Instant>> = Mutex::new(None);

/// There is no connection to the database.
#[derive(Debug, thiserror::Error)]
#[error("no connection to the database at {server}: {cause}")]
pub(crate) struct Unreachable {
    /// Host, or folder of a socket, and port.
    server: String,
    cause: String,
}

/// Makes a connection beside the pool, which keeps to itself why it cannot make one.
pub(crate) async fn reach(pool: &PgPool) -> Result<(), Unreachable> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let options = pool.connect_options();
    let cause = match tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(sqlx::Error::Database(refused))) => refused.message().to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |s| s.display().to_string());
    Err(Unreachable { server: format!("{host}:{}", options.get_port()), cause })
}

/// Tells operators why the database cannot be used, every few seconds at most: callers are told only that.
pub(crate) fn complain(error: &dyn std::error::Error) {
    const PAUSE: Duration = Duration::from_secs(10);
    let mut at = COMPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
    if at.is_none_or(|at| at.elapsed() > PAUSE) {
        *at = Some(Instant::now());
        tracing::warn!(cause = %error, "the database cannot be used; if its schema is missing or old, run `migrate`");
    }
}

/// Maps a broken constraint to what it means, leaving every other error as it is.
pub fn constraint(error: Error, meaning: impl FnOnce(&str) -> Option<Error>) -> Error {
    match error {
        Error::Constraint { name } => meaning(&name).unwrap_or(Error::Constraint { name }),
        other => other,
    }
}
