//! Makes the database cluster and says who may connect.

use crate::account::{self, Account, Data};
use crate::error::{Doing, Error};
use crate::programs::Programs;
use crate::{Loopback, Options, Progress, USER};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The major version that existing data was made with; none if there is no data.
pub(crate) fn version(data: &Path) -> Result<Option<u32>, Error> {
    if !data.try_exists().doing(|| format!("finding {}", data.display()))? {
        return Ok(None);
    }
    let path = data.join("PG_VERSION");
    let doing = || format!("reading {}, which says what Postgres made the data", path.display());
    let text = std::fs::read_to_string(&path).doing(doing)?;
    text.trim().parse().map(Some).map_err(std::io::Error::other).doing(doing)
}

/// Makes the cluster at `data`, which is complete or does not exist.
pub(crate) fn make(
    options: &Options,
    account: Option<&Account>,
    programs: &Programs,
    data: &Path,
    synced: bool,
) -> Result<(), Error> {
    let made = beside(data, "made");
    let parent = data.parent().unwrap_or(Path::new("/"));
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        // Of a run that was killed while it made one.
        if entry.file_name().to_string_lossy().starts_with(&*made.file_name().unwrap_or_default().to_string_lossy()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let made = beside(data, &format!("made-{}", std::process::id()));
    match options.seed.as_ref().filter(|_| !synced) {
        Some(seeds) if copy_seed(options, account, programs, seeds, &made).is_ok() => {}
        _ => {
            let _ = std::fs::remove_dir_all(&made);
            (options.progress)(Progress::Initializing);
            initdb(account, programs, &made, synced)?;
        }
    }
    std::fs::rename(&made, data).doing(|| format!("moving the new cluster to {}", data.display()))
}

fn initdb(account: Option<&Account>, programs: &Programs, folder: &Path, synced: bool) -> Result<(), Error> {
    account::private_folder(account, folder)?;
    let data = Data::new(account, folder)?;
    let mut reason = String::new();
    for locale in locales(programs.major) {
        let mut output = scratch()?;
        let mut command = data.command(&programs.initdb(), None, &output)?;
        command.args(["--encoding=UTF8", "--auth=trust", "--no-instructions", "--username", USER]).args(*locale);
        if !synced {
            // Small log segments: a cluster to throw away is written, copied and removed as fast as it is small.
            command.args(["--no-sync", "--wal-segsize=1"]);
        }
        if run(command, &format!("running {}", programs.initdb().display()))? {
            return Ok(());
        }
        reason = complaint(&mut output);
    }
    Err(Error::InitDb { folder: folder.to_owned(), reason })
}

/// Text sorts by code point, the same on every machine, while upper and lower case know all of Unicode: built in from
/// version 17 on, before that from the system, if it has such a locale. (ICU would sort by language instead; it is
/// there for any column that asks for it.)
fn locales(major: u32) -> &'static [&'static [&'static str]] {
    const SYSTEM: &[&str] = &["--locale=C.UTF-8"];
    const PLAIN: &[&str] = &["--locale=C"];
    const BUILT_IN: &[&str] = &["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    if major >= 17 { &[BUILT_IN, SYSTEM, PLAIN] } else { &[SYSTEM, PLAIN] }
}

/// Copies a cluster that was made once for all: that takes a twentieth of what `initdb` takes.
fn copy_seed(
    options: &Options,
    account: Option<&Account>,
    programs: &Programs,
    seeds: &Path,
    made: &Path,
) -> Result<(), Error> {
    let (folder, version_text, uid) = (programs.folder.display(), &programs.version, account::uid(account));
    let about = format!("{folder}\n{version_text}\n{uid}\n{:?}", locales(programs.major));
    let name: String = Sha256::digest(about).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let seed = seeds.join(format!("cluster-{name}"));
    if !seed.exists() {
        let doing = || format!("making a seed cluster in {}", seeds.display());
        std::fs::create_dir_all(seeds).doing(doing)?;
        let lock = File::create(beside(&seed, "lock")).doing(doing)?;
        lock.lock().doing(doing)?;
        if !seed.exists() {
            (options.progress)(Progress::Initializing);
            let fresh = beside(&seed, "fresh");
            let _ = std::fs::remove_dir_all(&fresh);
            initdb(account, programs, &fresh, false)?;
            std::fs::rename(&fresh, &seed).doing(doing)?;
        }
    }
    account::copy_private(&seed, made).doing(|| format!("copying {}", seed.display()))?;
    account::give(account, made)
}

/// Writes who may connect: over the socket, whose folder is closed to everyone else, without a password; over
/// loopback, if that was asked for, with one.
pub(crate) fn write_access(options: &Options, account: Option<&Account>, data: &Path) -> Result<(), Error> {
    let mut text = "# Written at every start.\nlocal all all trust\n".to_owned();
    if options.loopback.is_some() {
        text.push_str("host all all 127.0.0.1/32 scram-sha-256\n");
    }
    let path = data.join("pg_hba.conf");
    std::fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
    account::give(account, &path)
}

/// Sets the password for connections over loopback, with a server for a single user and without a socket.
pub(crate) fn set_password(programs: &Programs, data: &Data, loopback: &Loopback) -> Result<(), Error> {
    let password = &loopback.password;
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err(Error::Password);
    }
    let mut input = scratch()?;
    let sql = format!("ALTER ROLE {USER} PASSWORD '{}';\n", password.replace('\'', "''"));
    let doing = || "handing over the password".to_owned();
    input.write_all(sql.as_bytes()).and_then(|()| input.rewind()).doing(doing)?;
    let mut output = scratch()?;
    let mut command = data.command(&programs.postgres(), Some("--single"), &output)?;
    command.args(["-c", "password_encryption=scram-sha-256", "-c", "log_statement=none", "postgres"]);
    command.stdin(Stdio::from(input));
    let done = run(command, "setting the password")?;
    let mut said = String::new();
    let _ = output.rewind().and_then(|()| output.read_to_string(&mut said));
    if !done || said.contains("ERROR:") || said.contains("FATAL:") {
        let reason = format!("setting the password failed: {}", complaint(&mut output));
        return Err(Error::InitDb { folder: data.path().to_owned(), reason });
    }
    Ok(())
}

fn run(mut command: Command, what: &str) -> Result<bool, Error> {
    Ok(command.status().doing(|| what.to_owned())?.success())
}

/// A file without a name, for what a program says or reads.
fn scratch() -> Result<File, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("concierge-pg-scratch-{}-{number}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                let _ = std::fs::remove_file(&path);
                return made.doing(|| format!("making {}", path.display()));
            }
        }
    }
}

/// The line that says what is wrong, of all that a program said.
pub(crate) fn complaint(output: &mut (impl Read + Seek)) -> String {
    let mut said = Vec::new();
    let _ = output.rewind().and_then(|()| output.read_to_end(&mut said));
    reason_in(&String::from_utf8_lossy(&said))
}

pub(crate) fn reason_in(said: &str) -> String {
    let grave = ["FATAL:", "PANIC:", "error:", "ERROR:"];
    let line = said
        .lines()
        .find(|line| grave.iter().any(|word| line.contains(word)))
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("it said nothing");
    let from = grave.iter().filter_map(|word| line.find(word).map(|at| at + word.len())).min().unwrap_or(0);
    line[from..].trim().to_owned()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_reason_in_log() {
        let log = "2026-01-01 UTC [7] LOG:  starting\n2026-01-01 UTC [7] FATAL:  lock file exists\nHINT: x\n";
        assert_eq!(reason_in(log), "lock file exists");
        assert_eq!(reason_in("initdb: error: invalid locale name \"x\"\n"), "invalid locale name \"x\"");
        assert_eq!(reason_in("killed\n\n"), "killed");
        assert_eq!(reason_in(""), "it said nothing");
    }
}
