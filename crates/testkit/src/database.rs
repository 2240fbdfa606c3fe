//! A private Postgres for the tests of one process, and a database of its own for each test.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

use concierge_postgres::{Options, Server};
use concierge_runtime::db;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Mutex;

static SERVER: OnceLock<Server> = OnceLock::new();
/// The template of each service: made once a process, copied for each test.
static TEMPLATES: OnceLock<Mutex<HashMap<&'static str, String>>> = OnceLock::new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The server of this process, started at first use and stopped when the process ends, however it ends.
pub fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let mut options = Options::temporary().setting("max_connections", 400);
        if let Some(kept) = kept() {
            options = options.seed(kept.join("seed")).fetch_into(kept.join("programs"));
        }
        Server::start(options).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A folder in the build's, which `cargo clean` removes: for what is made once and used by every test process.
fn kept() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let build = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(build.join("tmp/concierge-postgres"))
}

/// A database with a service's schema, for one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connections to it.
    pub pool: PgPool,
    /// Where it is.
    pub url: String,
    /// Dropped with the last of those that share it.
    _owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    name: String,
}

impl TestDatabase {
    /// A fresh database of that service.
    pub async fn new(service: &'static str, migrations: &Migrator) -> Self {
        let server = tokio::task::spawn_blocking(server).await.expect("a private Postgres server");
        let template = template(server, service, migrations).await;
        let name = format!("{template}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        // File by file is three times as fast as through the log, as nothing is synced and all is in memory.
        execute(server, &format!("create database {name} template {template} strategy file_copy")).await;
        let url = server.url(&name);
        Self { pool: pool(&url), url, _owner: Arc::new(Owner { name }) }
    }

    /// The same database with a pool of its own, as another process would have it.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { pool: pool(&self.url), url: self.url.clone(), _owner: Arc::clone(&self._owner) }
    }
}

impl TestDatabase {
    /// The few connections that a service keeps for its own short statements.
    pub(crate) fn background(&self) -> PgPool {
        pool_of(&self.url, db::BACKGROUND)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // By a thread of its own: the test's runtime is about to go away, and hundreds of databases fill the memory.
        static DROPPER: OnceLock<Sender<String>> = OnceLock::new();
        let dropper = DROPPER.get_or_init(|| {
            let (sender, names) = channel::<String>();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                for name in names {
                    runtime.block_on(async {
                        if let Ok(mut connection) = PgConnection::connect(&server().url("postgres")).await {
                            let drop = format!("drop database if exists {name} with (force)");
                            let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await;
                            let _ = connection.close().await;
                        }
                    });
                }
            });
            sender
        });
        let _ = dropper.send(self.name.clone());
    }
}

fn pool(url: &str) -> PgPool {
    pool_of(url, 8)
}

fn pool_of(url: &str, size: u32) -> PgPool {
    db::pool(&url.to_owned().into(), size, std::time::Duration::from_secs(30), "test").expect("a URL of our own making")
}

async fn template(server: &Server, service: &'static str, migrations: &Migrator) -> String {
    let mut templates = TEMPLATES.get_or_init(Mutex::default).lock().await;
    if let Some(name) = templates.get(service) {
        return name.clone();
    }
    let name = service.replace('-', "_");
    execute(server, &format!("create database {name}")).await;
    let pool = pool(&server.url(&name));
    db::migrate(&pool, service, migrations).await.expect("migrations");
    pool.close().await;
    templates.insert(service, name.clone());
    name
}

async fn execute(server: &Server, sql: &str) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("a statement of our own");
    let _ = connection.close().await;
}
