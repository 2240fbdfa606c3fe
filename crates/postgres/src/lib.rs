//! A private Postgres server: for tests, and for `concierge up`.
//!
//! Nothing has to be set up. The programs are found on the machine (or fetched), the cluster is made in a folder of its
//! own, the server listens on a unix socket that no other account can reach, and it ends with the process that started
//! it, also when that is killed. As root it runs as an unprivileged account, because Postgres refuses root.
//!
//! ```no_run
//! # fn main() -> Result<(), concierge_postgres::Error> {
//! use concierge_postgres::{Options, Server};
//!
//! let server = Server::start(Options::persistent(".concierge/postgres").setting("max_connections", 200))?;
//! println!("{}", server.url("postgres"));
//! server.stop()?;
//! # Ok(()) }
//! ```

mod account;
mod archive;
mod cluster;
mod error;
mod folder;
mod programs;
mod server;
mod stale;
mod watchdog;

pub use archive::{Archive, fetch};
pub use error::Error;
pub use server::Server;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The role that owns everything.
pub const USER: &str = "concierge";

/// What a crash may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Durable,
    /// Everything, if the machine itself crashes; nothing if only the server does. Several times faster. (Commits are
    /// still written before they are answered, which costs little without `fsync`: fault tests that kill the server
    /// rely on it.)
    Test,
}

/// What a start is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Fetching the server's programs.
    Fetching {
        /// Bytes that have come.
        received: u64,
        /// Bytes in all, if the other side says.
        total: Option<u64>,
    },
    /// Unpacking them.
    Unpacking,
    /// Ending the server of an earlier run that was killed.
    EndingStale,
    /// Making the database cluster.
    Initializing,
    /// Starting the server, and waiting until it accepts connections.
    Starting,
}

impl Progress {
    /// How much has been fetched, from 0 to 100.
    pub fn percent(&self) -> Option<u8> {
        match *self {
            Self::Fetching { received, total: Some(total @ 1..) } => {
                Some((received.min(total) as f64 / total as f64 * 100.0) as u8)
            }
            _ => None,
        }
    }
}

/// Connections over 127.0.0.1, beside the socket.
#[derive(Clone)]
pub(crate) struct Loopback {
    pub(crate) port: u16,
    pub(crate) password: String,
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").field("port", &self.port).finish_non_exhaustive()
    }
}

/// What kind of server.
pub struct Options {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) durability: Durability,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) loopback: Option<Loopback>,
    pub(crate) programs: Option<PathBuf>,
    pub(crate) fetch_into: Option<PathBuf>,
    pub(crate) archive: Option<Archive>,
    pub(crate) seed: Option<PathBuf>,
    pub(crate) patience: Duration,
    pub(crate) progress: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Options {
    /// A server whose data stays in this folder and is found there at the next start. One process at a time owns it.
    pub fn persistent(folder: impl Into<PathBuf>) -> Self {
        Self::new(Some(folder.into()), Durability::Durable)
    }

    /// A server whose data vanishes with it, kept in memory if there is room.
    pub fn temporary() -> Self {
        Self::new(None, Durability::Test)
    }

    fn new(folder: Option<PathBuf>, durability: Durability) -> Self {
        Self {
            folder,
            durability,
            settings: Vec::new(),
            loopback: None,
            programs: None,
            fetch_into: None,
            archive: None,
            seed: None,
            // Recovery after a crash can take its time.
            patience: Duration::from_secs(120),
            progress: Box::new(|_| {}),
        }
    }

    /// What a crash may cost, if it is not what the kind of folder suggests.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets a configuration parameter of the server, such as `max_connections`.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// Also accepts connections on this port of 127.0.0.1, with this password.
    #[must_use]
    pub fn loopback(mut self, port: u16, password: impl Into<String>) -> Self {
        self.loopback = Some(Loopback { port, password: password.into() });
        self
    }

    /// The folder with the server's programs, whatever CONCIERGE_PG_BIN says and the machine has.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// Where to fetch the programs to when the machine has none, or when CONCIERGE_PG_FETCH is `always`. Without this
    /// nothing is fetched.
    #[must_use]
    pub fn fetch_into(mut self, folder: impl Into<PathBuf>) -> Self {
        self.fetch_into = Some(folder.into());
        self
    }

    /// What to fetch, instead of what [`Archive::from_environment`] says.
    #[must_use]
    pub fn archive(mut self, archive: Archive) -> Self {
        self.archive = Some(archive);
        self
    }

    /// A folder to keep a fresh cluster in, which later starts with `Durability::Test` copy instead of making one.
    #[must_use]
    pub fn seed(mut self, folder: impl Into<PathBuf>) -> Self {
        self.seed = Some(folder.into());
        self
    }

    /// How long the server may take until it accepts connections (120 seconds unless set).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Is called with what the start is busy with.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("folder", &self.folder)
            .field("durability", &self.durability)
            .field("settings", &self.settings)
            .field("loopback", &self.loopback)
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}
