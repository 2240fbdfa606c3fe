//! What may go wrong, each with what to do next.

use std::path::PathBuf;

/// Why there is no Postgres server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server programs on this machine, and none could be fetched.
    #[error(
        "no Postgres server programs found{}: install them (Debian: apt install postgresql; Fedora: dnf install \
         postgresql-server; macOS: brew install postgresql@18) or set CONCIERGE_PG_BIN to the folder that holds \
         `postgres` and `initdb`",
        .reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
    )]
    NoPrograms {
        /// What stood in the way of those that were looked at or fetched.
        reason: Option<String>,
    },
    /// The folder that the caller or CONCIERGE_PG_BIN names does not hold usable programs.
    #[error("{} does not hold a usable Postgres server ({reason}): set CONCIERGE_PG_BIN to a folder that does, or unset it", .folder.display())]
    BadPrograms {
        /// The folder named.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data was made by another major version than any found here.
    #[error(
        "the data in {} was made by Postgres {wanted}, and only {} found here: set CONCIERGE_PG_BIN to the programs of \
         version {wanted}, or dump the data with them and start in an empty folder",
        .folder.display(),
        .found.iter().map(|major| format!("version {major}")).collect::<Vec<_>>().join(", ")
    )]
    OtherVersion {
        /// The data folder.
        folder: PathBuf,
        /// The major version it needs.
        wanted: u32,
        /// The major versions found.
        found: Vec<u32>,
    },
    /// The archive could not be fetched or unpacked.
    #[error(
        "fetching Postgres from {url} failed ({reason}): check the network, or set CONCIERGE_PG_ARCHIVE_URL to a mirror"
    )]
    Fetch {
        /// Where from.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The archive is not the one its checksum speaks of.
    #[error(
        "the archive at {url} has SHA-256 {found}, expected {expected}: nothing was unpacked; try again or use another mirror"
    )]
    Checksum {
        /// Where from.
        url: String,
        /// What the checksum file, or the caller, says.
        expected: String,
        /// What was received.
        found: String,
    },
    /// Another living process owns this folder.
    #[error("{} belongs to another running process{}: stop that one first, or use another folder", .folder.display(),
        .owner.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Owned {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it, as far as known.
        owner: Option<String>,
    },
    /// A server that an earlier run left behind would not end.
    #[error("the Postgres server of an earlier run still uses {} (process {pid}) and does not end: kill that process and try again", .folder.display())]
    Stale {
        /// The data folder.
        folder: PathBuf,
        /// The process that stays.
        pid: u32,
    },
    /// We are root, Postgres refuses root, and there is no other account.
    #[error(
        "Postgres does not run as root and there is no account to run it as: create one (`useradd --system postgres`), or run as another user"
    )]
    NoAccount,
    /// The account that runs the server cannot get at the folder.
    #[error("the account `{account}`, which runs Postgres because root may not, cannot reach {}: use a folder it can reach, or run as another user than root", .folder.display())]
    Unreachable {
        /// The account.
        account: String,
        /// The folder.
        folder: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb could not make a database cluster in {}: {reason}", .folder.display())]
    InitDb {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The server ended before it was ready.
    #[error("the Postgres server did not start: {reason} (all it said is in {})", .log.display())]
    Start {
        /// The line of its log that says why.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// The loopback port is in use.
    #[error("port {port} on 127.0.0.1 is taken: choose another, or stop what listens there")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The server was not ready in time.
    #[error("the Postgres server was not ready after {seconds} s: see {}", .log.display())]
    Slow {
        /// How long it was given.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A loopback password that cannot be set.
    #[error("a loopback password must not be empty and must not hold control characters: choose another")]
    Password,
    /// A file or a process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, and to what.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// Says what was being done when an I/O error came.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: what(), source })
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|errno| Error::Io { doing: what(), source: errno.into() })
    }
}
