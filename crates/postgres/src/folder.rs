//! The folder of a server, and who owns it.
//!
//! ```text
//! owner.lock      held by the owner for as long as it lives; holds its process id
//! watchdog.lock   held by the watchdog, which may outlive the owner by a moment
//! server.log      what the server says
//! data/           the database cluster
//! run/            the unix socket, unless the path is too long for one
//! ```

use crate::account::{self, Account};
use crate::error::{Doing, Error};
use crate::stale;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A socket's path is at most this long (108 bytes on Linux, 104 on macOS, with the final zero).
const LONGEST_SOCKET: usize = 103;

/// Room that a temporary server wants before it lives in memory.
const ROOM: u64 = 1 << 30;

const TEMPORARY: &str = "concierge-pg-";
const SOCKET: &str = "concierge-pg-socket-";

/// How long the watchdog of an earlier owner may take to end its server.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(40);

/// A folder that is ours alone.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    pub(crate) temporary: bool,
    /// Held, not read.
    _owner: File,
    /// Handed to the watchdog.
    pub(crate) watchdog: File,
}

impl Folder {
    /// Takes possession of a folder that stays.
    pub(crate) fn persistent(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path).doing(|| format!("making the folder {}", path.display()))?;
        let path = path.canonicalize().doing(|| format!("finding {}", path.display()))?;
        let owner = open_lock(&path.join("owner.lock"))?;
        // A process just forked holds our files until it becomes another program: a moment's patience.
        if !try_lock(&owner, Duration::from_millis(500)) {
            let owner = std::fs::read_to_string(path.join("owner.lock")).ok();
            let owner = owner.map(|pid| pid.trim().to_owned()).filter(|pid| !pid.is_empty());
            return Err(Error::Owned { folder: path, owner });
        }
        Self::owned(path, owner, false)
    }

    /// Makes a folder that goes with its owner, in memory if there is room.
    pub(crate) fn temporary() -> Result<Self, Error> {
        let in_memory = Path::new("/dev/shm");
        let free = rustix::fs::statvfs(in_memory).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let places = [in_memory.to_owned(), std::env::temp_dir()];
        for place in &places[usize::from(free < ROOM)..] {
            sweep(place);
            match make_unique(place, TEMPORARY, 0o755) {
                Ok(path) => {
                    let owner = open_lock(&path.join("owner.lock"))?;
                    try_lock(&owner, Duration::from_millis(500));
                    return Self::owned(path, owner, true);
                }
                Err(error) if place == &places[1] => {
                    return Err(error).doing(|| format!("making a folder in {}", place.display()));
                }
                Err(_) => {}
            }
        }
        unreachable!("the last place returns")
    }

    fn owned(path: PathBuf, mut owner: File, temporary: bool) -> Result<Self, Error> {
        owner
            .set_len(0)
            .and_then(|()| writeln!(owner, "{}", std::process::id()))
            .doing(|| format!("writing {}/owner.lock", path.display()))?;
        let watchdog = open_lock(&path.join("watchdog.lock"))?;
        // The watchdog of an owner that was killed is still at it.
        if !try_lock(&watchdog, WATCHDOG_PATIENCE) {
            let pid = stale::on(&path.join("data")).first().copied().unwrap_or_default();
            return Err(Error::Stale { folder: path, pid });
        }
        Ok(Self { path, temporary, _owner: owner, watchdog })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Makes the folder for the socket: in ours, if the path is short enough and the account can walk there.
    pub(crate) fn socket(&self, account: Option<&Account>) -> Result<PathBuf, Error> {
        let run = self.path.join("run");
        // What a killed server left there would count as a living one, if its number is some process's by now.
        let _ = std::fs::remove_dir_all(&run);
        if is_short(&run) {
            account::private_folder(account, &run)?;
            if account::reaches(account, &run) {
                return Ok(run);
            }
        }
        let mut last = None;
        for place in [std::env::temp_dir(), PathBuf::from("/tmp")] {
            let example = place.join(SOCKET).join("0123456789-012345");
            if !is_short(&example) || !account::reaches(account, &place) {
                continue;
            }
            match make_unique(&place, SOCKET, 0o700) {
                Ok(path) => {
                    account::private_folder(account, &path)?;
                    return Ok(path);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no folder with a path short enough")))
            .doing(|| "making a folder for the socket".to_owned())
    }
}

fn is_short(socket_folder: &Path) -> bool {
    socket_folder.join(".s.PGSQL.5432").as_os_str().len() <= LONGEST_SOCKET
}

/// Whether a socket's folder was made outside the server's own, and so has to be removed by itself.
pub(crate) fn is_lone_socket(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SOCKET))
}

fn open_lock(path: &Path) -> Result<File, Error> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .doing(|| format!("opening {}", path.display()))
}

fn try_lock(file: &File, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return true,
            // A file system without locks: nothing can be known, nothing is refused.
            Err(TryLockError::Error(_)) => return true,
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return false,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn make_unique(place: &Path, prefix: &str, mode: u32) -> io::Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(mode);
    let pid = std::process::id();
    let mut number = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_micros();
    loop {
        let path = place.join(format!("{prefix}{pid}-{number}"));
        match builder.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.wrapping_add(1),
            Err(error) => return Err(error),
            Ok(()) => {
                // Whatever the umask: the account has to walk through, and `data` and `run` are closed themselves.
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
                return Ok(path);
            }
        }
    }
}

/// Removes temporary folders that nobody owns any more: of runs whose watchdog was killed with them.
fn sweep(place: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for entry in place.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY)
            && !is_lone_socket(&path)
            && entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == us);
        if !ours {
            continue;
        }
        let lock = |name: &str| File::options().read(true).write(true).open(path.join(name)).ok();
        // Without a lock file it is being made this very moment, or being removed.
        let (Some(owner), Some(watchdog)) = (lock("owner.lock"), lock("watchdog.lock")) else { continue };
        if owner.try_lock().is_ok() && watchdog.try_lock().is_ok() {
            let data = path.join("data");
            if stale::end(&data, false).is_ok() {
                let _ = std::fs::remove_dir_all(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_second_owner() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::persistent(root.path()).unwrap();
        let Err(Error::Owned { owner, .. }) = Folder::persistent(root.path()) else { panic!("a second owner") };
        assert_eq!(owner, Some(std::process::id().to_string()));
        drop(first);
        Folder::persistent(root.path()).unwrap();
    }

    #[test]
    fn puts_socket_where_its_path_is_short() {
        let root = tempfile::tempdir().unwrap();
        let short = Folder::persistent(&root.path().join("short")).unwrap();
        assert!(short.socket(None).unwrap().starts_with(short.path()));
        let long = Folder::persistent(&root.path().join("long".repeat(30))).unwrap();
        let socket = long.socket(None).unwrap();
        assert!(is_lone_socket(&socket));
        std::fs::remove_dir(socket).unwrap();
    }
}
