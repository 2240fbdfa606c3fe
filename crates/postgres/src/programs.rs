//! Finds the server's programs.

use crate::Options;
use crate::account::{self, Account};
use crate::archive::{self, Archive};
use crate::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest major version that the services' SQL is written for.
const OLDEST: u32 = 15;

/// Where fetched programs go when the account that runs them cannot reach the folder asked for.
const SHARED: &str = "/var/cache/concierge/postgres";

/// The programs of one Postgres installation.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) folder: PathBuf,
    /// As the server says it: `postgres (PostgreSQL) 18.4`.
    pub(crate) version: String,
    pub(crate) major: u32,
}

impl Programs {
    pub(crate) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// Finds programs, of the version that the data was made with if there is data; fetches them if that is allowed.
pub(crate) fn find(
    options: &Options,
    account: Option<&Account>,
    data: &Path,
    wanted: Option<u32>,
) -> Result<Programs, Error> {
    // What is fetched has a version of our choosing, which what is installed has not.
    let fetch = options.fetch_into.is_some() && std::env::var_os("CONCIERGE_PG_FETCH").is_some_and(|v| v == "always");
    find_among(installed().filter(|_| !fetch), options, account, data, wanted)
}

fn find_among(
    installed: impl Iterator<Item = PathBuf>,
    options: &Options,
    account: Option<&Account>,
    data: &Path,
    wanted: Option<u32>,
) -> Result<Programs, Error> {
    let other = |found: Vec<u32>, wanted| Error::OtherVersion { folder: data.to_owned(), wanted, found };
    let fits = |programs: &Programs| wanted.is_none_or(|wanted| wanted == programs.major);

    if let Some(folder) = options.programs.clone().or_else(|| set_path("CONCIERGE_PG_BIN")) {
        return match (check(&folder, account), wanted) {
            (Ok(programs), _) if fits(&programs) => Ok(programs),
            (Ok(programs), Some(wanted)) => Err(other(vec![programs.major], wanted)),
            (Ok(programs), None) => Ok(programs),
            (Err(reason), _) => Err(Error::BadPrograms { folder, reason }),
        };
    }

    let mut seen = Vec::new();
    let mut found = Vec::new();
    let mut reason = None;
    let fetched = options.fetch_into.iter().flat_map(|into| [into.clone(), PathBuf::from(SHARED)]);
    for folder in installed.chain(fetched.filter_map(|folder| archive::programs_in(&folder))) {
        if seen.contains(&folder) {
            continue;
        }
        match check(&folder, account) {
            Ok(programs) if fits(&programs) => return Ok(programs),
            Ok(programs) if !found.contains(&programs.major) => found.push(programs.major),
            Ok(_) => {}
            Err(why) => reason = reason.or(Some(format!("{}: {why}", folder.display()))),
        }
        seen.push(folder);
    }

    if let Some(into) = &options.fetch_into {
        match fetch(options, into, account) {
            Ok(programs) if fits(&programs) => return Ok(programs),
            Ok(programs) => found.push(programs.major),
            Err(why) => reason = Some(why),
        }
    }
    match wanted {
        Some(wanted) if !found.is_empty() => Err(other(found, wanted)),
        _ => Err(Error::NoPrograms { reason }),
    }
}

fn fetch(options: &Options, into: &Path, account: Option<&Account>) -> Result<Programs, String> {
    let archive = options.archive.clone().or_else(Archive::from_environment);
    let archive = archive.ok_or("there is no archive to fetch for this kind of machine")?;
    let mut into = into.to_owned();
    std::fs::create_dir_all(&into).map_err(|error| format!("making {}: {error}", into.display()))?;
    if !account::reaches(account, &into) {
        into = SHARED.into();
    }
    let folder =
        archive::fetch(&archive, &into.join(archive.name()), &options.progress).map_err(|error| error.to_string())?;
    check(&folder, account).map_err(|reason| format!("{}: {reason}", folder.display()))
}

/// Whether a folder holds programs that the account can run.
fn check(folder: &Path, account: Option<&Account>) -> Result<Programs, String> {
    // Asked by its real path: Postgres finds its libraries from there.
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    for program in ["postgres", "initdb"] {
        if !folder.join(program).is_file() {
            return Err(format!("there is no `{program}`"));
        }
    }
    let output = account::command(account, folder.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|error| format!("`postgres` cannot be run: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = major(&version).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("`postgres --version` says nothing of use: {}", said.lines().next().unwrap_or("it is silent"))
    })?;
    if major < OLDEST {
        return Err(format!("it is version {major}, and {OLDEST} or later is needed"));
    }
    Ok(Programs { folder, version, major })
}

fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    leading_number(number)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Folders that may hold the programs, likeliest first.
fn installed() -> impl Iterator<Item = PathBuf> {
    std::iter::once_with(pg_config)
        .flatten()
        .chain(std::iter::once_with(on_path).flatten())
        .chain(std::iter::once_with(usual_places).flatten())
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // A client-only installation has `pg_config` too, and says where a server would be.
    (output.status.success() && has_programs(&folder)).then_some(folder)
}

fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter_map(|folder| folder.join("postgres").canonicalize().ok()?.parent().map(Path::to_owned))
        .filter(|folder| has_programs(folder))
        .collect()
}

fn usual_places() -> Vec<PathBuf> {
    [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ]
    .iter()
    .flat_map(|(parent, prefix)| newest_first(Path::new(parent), prefix))
    .filter(|folder| has_programs(folder))
    .collect()
}

/// The `bin` folders below `parent/<prefix…>`, highest version first.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = parent
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.trim_start_matches('@');
            Some((leading_number(version).unwrap_or(0), entry.path().join("bin")))
        })
        .collect();
    folders.sort_by(|a, b| b.cmp(a));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

pub(crate) fn has_programs(folder: &Path) -> bool {
    folder.join("postgres").is_file() && folder.join("initdb").is_file()
}

fn set_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn reads_major_versions() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("mysqld 8"), None);
    }

    #[test]
    fn prefers_newest_installation() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "18", "17"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = newest_first(root.path(), "");
        let names: Vec<_> = found.iter().map(|bin| bin.parent().unwrap().file_name().unwrap()).collect();
        assert_eq!(names, ["18", "17", "9.6"]);
    }

    #[test]
    fn names_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let options = Options::temporary().programs(root.path());
        let error = find(&options, None, root.path(), None).unwrap_err().to_string();
        assert!(error.contains("there is no `postgres`") && error.contains("CONCIERGE_PG_BIN"), "{error}");
    }

    #[test]
    fn says_what_to_install_when_nothing_is_found() {
        let nothing = || std::iter::empty();
        let options = Options::temporary();
        let error = find_among(nothing(), &options, None, Path::new("/data"), None).unwrap_err().to_string();
        for word in ["Debian: apt install", "Fedora: dnf install", "macOS: brew install", "CONCIERGE_PG_BIN"] {
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(error.lines().count(), 1);

        // Fetching is tried first, and what stood in its way is said in the same line.
        let root = tempfile::tempdir().unwrap();
        let options = options.fetch_into(root.path().join("fetched"));
        let options = options.archive(Archive { url: "http://127.0.0.1:1/postgres.tar.gz".to_owned(), sha256: None });
        let error = find_among(nothing(), &options, None, Path::new("/data"), None).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1/") && error.contains("Debian: apt install"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn refuses_data_of_another_version() {
        let error = find(&Options::temporary(), None, Path::new("/data"), Some(9)).unwrap_err();
        let Error::OtherVersion { wanted: 9, found, .. } = error else { panic!("{error}") };
        assert!(!found.is_empty());
    }

    #[test]
    fn fetches_programs_where_none_are_installed_and_starts_them() {
        let root = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let installed = find(&Options::temporary(), None, root.path(), None).unwrap();
        let served = archive::server::start(archive::server::archive_of(&installed.folder, installed.major), None);
        let options = Options::temporary().fetch_into(root.path().join("fetched")).archive(served.archive());
        let account = crate::account::for_server(root.path()).unwrap();
        let nothing = || std::iter::empty();
        let found = find_among(nothing(), &options, account.as_ref(), root.path(), None).unwrap();
        assert!(found.folder.starts_with(root.path().canonicalize().unwrap().join("fetched")), "{found:?}");

        // The second time they are there.
        let asked = served.asked();
        let again = find_among(nothing(), &options, account.as_ref(), root.path(), None).unwrap();
        assert_eq!((again.folder, served.asked()), (found.folder.clone(), asked));

        let server = crate::Server::start(options.programs(&found.folder)).unwrap();
        assert!(server.is_running());
        assert_eq!(server.programs(), found.folder);
        server.stop().unwrap();
    }
}
