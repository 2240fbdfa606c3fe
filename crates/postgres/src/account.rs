//! Whom the server runs as, and how it gets at its data.
//!
//! Postgres refuses to run as root, so root hands it to an unprivileged account. Such an account often cannot traverse
//! the folders above the data (`/root` is closed to it). On Linux the data folder is then handed over as an open
//! descriptor, and Postgres is told that its data is at `/proc/self/fd/9`: nothing has to be moved or opened up.

use crate::error::{Doing, Error};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An account without privileges.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

/// The account to run Postgres as: none when we are an ordinary user, who runs it as itself; else the one that owns the
/// data, if there is data, for that may have been made by an ordinary user.
pub(crate) fn for_server(data: &Path) -> Result<Option<Account>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if let Ok(about) = data.metadata()
        && about.uid() != 0
    {
        return Ok(Some(Account { name: format!("number {}", about.uid()), uid: about.uid(), gid: about.gid() }));
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "_postgres", "nobody"]
        .iter()
        .find_map(|name| in_passwd(&accounts, name))
        .map(Some)
        .ok_or(Error::NoAccount)
}

fn in_passwd(accounts: &str, name: &str) -> Option<Account> {
    let fields: Vec<&str> =
        accounts.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<&str>| fields[0] == name)?;
    // macOS writes `nobody` as -2.
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok().map(|id| id as u32);
    let uid = number(2).filter(|uid| *uid != 0)?;
    Some(Account { name: name.to_owned(), uid, gid: number(3)? })
}

/// The user id that the server's files belong to.
pub(crate) fn uid(account: Option<&Account>) -> u32 {
    account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid)
}

/// A command that runs as the account, away from our process group (so that Ctrl-C at a terminal is ours alone to
/// handle) and free of the settings that Postgres takes from the environment.
pub(crate) fn command(account: Option<&Account>, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").current_dir("/").process_group(0).stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Whether the account can enter a folder.
pub(crate) fn reaches(account: Option<&Account>, folder: &Path) -> bool {
    if account.is_none() {
        return true;
    }
    command(account, "/bin/sh")
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Gives a folder and all that is in it to the account.
pub(crate) fn give(account: Option<&Account>, path: &Path) -> Result<(), Error> {
    let Some(account) = account else { return Ok(()) };
    fn walk(path: &Path, account: &Account) -> io::Result<()> {
        lchown(path, Some(account.uid), Some(account.gid))?;
        if path.symlink_metadata()?.is_dir() {
            for entry in path.read_dir()? {
                walk(&entry?.path(), account)?;
            }
        }
        Ok(())
    }
    walk(path, account).doing(|| format!("giving {} to the account `{}`", path.display(), account.name))
}

/// Makes a folder that only the account (and root) may enter.
pub(crate) fn private_folder(account: Option<&Account>, path: &Path) -> Result<(), Error> {
    let doing = || format!("making the folder {}", path.display());
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other.doing(doing)?,
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).doing(doing)?;
    if let Some(account) = account {
        lchown(path, Some(account.uid), Some(account.gid)).doing(doing)?;
    }
    Ok(())
}

/// Copies a folder that its owner alone may enter.
pub(crate) fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in from.read_dir()? {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy_private(&entry, &to)?;
        } else {
            std::fs::copy(&entry, &to)?;
        }
    }
    Ok(())
}

/// A data folder as the server's programs see it.
#[derive(Debug)]
pub(crate) struct Data {
    account: Option<Account>,
    path: PathBuf,
    /// Set when the account cannot walk to the folder.
    handed_over: Option<File>,
}

const HANDED_OVER: &str = "/proc/self/fd/9";

impl Data {
    /// Finds the way to a data folder, which exists and belongs to the account.
    pub(crate) fn new(account: Option<&Account>, path: &Path) -> Result<Self, Error> {
        let mut data = Self { account: account.cloned(), path: path.to_owned(), handed_over: None };
        if let Some(account) = account.filter(|account| !reaches(Some(account), path)) {
            if !cfg!(target_os = "linux") {
                return Err(Error::Unreachable { account: account.name.clone(), folder: path.to_owned() });
            }
            data.handed_over = Some(File::open(path).doing(|| format!("opening {}", path.display()))?);
        }
        Ok(data)
    }

    /// The folder's path, for ourselves.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command on this folder: `program -D folder`, with what has to come before that, if anything. What it says, on
    /// either stream, goes to `output`.
    pub(crate) fn command(&self, program: &Path, first: Option<&str>, output: &File) -> Result<Command, Error> {
        let copy = |file: &File| file.try_clone().doing(|| "copying a file descriptor".to_owned());
        let mut command = match &self.handed_over {
            None => {
                let mut command = command(self.account.as_ref(), program);
                command.stdout(copy(output)?).args(first).arg("-D").arg(&self.path);
                command
            }
            Some(folder) => {
                // The descriptor travels as standard output, the only way to hand one to a child without unsafe code
                // that also leaves standard input free.
                let mut command = command(self.account.as_ref(), "/bin/sh");
                command.stdout(copy(folder)?).args(["-c", "exec 9>&1 1>&2 && exec \"$@\"", "sh"]);
                command.arg(program).args(first).args(["-D", HANDED_OVER]);
                command
            }
        };
        command.stderr(copy(output)?);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_accounts_also_with_negative_ids() {
        let passwd =
            "root:*:0:0:System:/:/bin/sh\nnobody:*:-2:-2:Nobody:/:/bin/false\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        let account = in_passwd(passwd, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        let account = in_passwd(passwd, "nobody").unwrap();
        assert_eq!((account.uid, account.gid), (4_294_967_294, 4_294_967_294));
        assert!(in_passwd(passwd, "root").is_none());
        assert!(in_passwd(passwd, "absent").is_none());
    }
}
