//! Starts and stops the server.

use crate::account::{self, Account, Data};
use crate::error::{Doing, Error};
use crate::folder::{Folder, is_lone_socket};
use crate::programs::{self, Programs};
use crate::watchdog::Watchdog;
use crate::{Durability, Options, Progress, USER, cluster, stale};
use rustix::process::Signal;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The port is a part of the socket's name and nothing more.
const PORT: u16 = 5432;

/// A log that grew larger than this is put aside at the next start.
const LARGEST_LOG: u64 = 8 << 20;

/// A running server that is ours alone. It ends, and a temporary one vanishes, when this is dropped or this process
/// dies, however it dies.
///
/// All functions block; in async code call them through `spawn_blocking`.
#[derive(Debug)]
pub struct Server {
    options: Options,
    programs: Programs,
    data: Data,
    child: Mutex<Option<Child>>,
    home: Home,
}

/// Where a server lives, and who watches over it.
#[derive(Debug)]
struct Home {
    watchdog: Option<Watchdog>,
    socket: PathBuf,
    folder: Folder,
}

impl Home {
    /// Removes what should not stay, once the server has ended.
    fn clear(&mut self) -> Result<(), Error> {
        let Some(watchdog) = self.watchdog.take() else { return Ok(()) };
        if self.folder.temporary {
            let path = self.folder.path();
            std::fs::remove_dir_all(path).doing(|| format!("removing {}", path.display()))?;
        }
        if is_lone_socket(&self.socket) {
            let _ = std::fs::remove_dir_all(&self.socket);
        }
        watchdog.dismiss();
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

impl Server {
    /// Starts a server: finds its programs, makes the cluster if there is none, ends a server that an earlier run left
    /// behind, and returns when connections are accepted.
    pub fn start(options: Options) -> Result<Self, Error> {
        let folder = match &options.folder {
            Some(path) => Folder::persistent(path)?,
            None => Folder::temporary()?,
        };
        let data = folder.data();
        if !folder.temporary {
            if !stale::on(&data).is_empty() {
                (options.progress)(Progress::EndingStale);
            }
            stale::end(&data, true)?;
        }
        let account = account::for_server(&data)?;
        let socket = folder.socket(account.as_ref())?;
        let watchdog = Watchdog::start(&folder, &socket)?;
        // From here on dropping it tidies up.
        let home = Home { folder, socket, watchdog: Some(watchdog) };
        let (programs, data) = prepare(&options, account.as_ref(), &data)?;
        let server = Self { options, programs, data, child: Mutex::new(None), home };
        if let Some(loopback) = &server.options.loopback {
            cluster::set_password(&server.programs, &server.data, loopback)?;
        }
        server.launch()?;
        Ok(server)
    }

    fn launch(&self) -> Result<(), Error> {
        (self.options.progress)(Progress::Starting);
        let (mut log, from) = self.open_log()?;
        let mut command = self.data.command(&self.programs.postgres(), None, &log)?;
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let doing = || format!("starting {}", self.programs.postgres().display());
        let mut child = command.spawn().doing(doing)?;
        let until = Instant::now() + self.options.patience;
        loop {
            let ready = stale::pid_file(self.data.path()).is_some_and(|file| file.pid == child.id() && file.ready);
            if ready {
                *self.child() = Some(child);
                return Ok(());
            }
            if child.try_wait().doing(doing)?.is_some() {
                return Err(self.explain(&mut log, from));
            }
            if Instant::now() > until {
                stale::send(child.id(), Signal::QUIT);
                if !wait(&mut child, Duration::from_secs(6)) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
                return Err(Error::Slow { seconds: self.options.patience.as_secs(), log: self.home.folder.log() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn open_log(&self) -> Result<(File, u64), Error> {
        let path = self.home.folder.log();
        let doing = || format!("opening {}", path.display());
        if path.metadata().is_ok_and(|about| about.len() > LARGEST_LOG) {
            std::fs::rename(&path, path.with_extension("log.1")).doing(doing)?;
        }
        let log = File::options().create(true).append(true).read(true).mode(0o600).open(&path).doing(doing)?;
        let from = log.metadata().doing(doing)?.len();
        Ok((log, from))
    }

    fn explain(&self, log: &mut File, from: u64) -> Error {
        let mut said = Vec::new();
        let _ = log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        match &self.options.loopback {
            Some(loopback) if said.contains("could not bind") && said.contains("in use") => {
                Error::PortTaken { port: loopback.port }
            }
            _ => Error::Start { reason: cluster::reason_in(&said), log: self.home.folder.log() },
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let socket = self.home.socket.to_string_lossy().replace('"', "\"\"");
        let port = self.options.loopback.as_ref().map_or(PORT, |loopback| loopback.port);
        let listen = if self.options.loopback.is_some() { "127.0.0.1" } else { "" };
        let ours = [
            ("unix_socket_directories", format!("\"{socket}\"")),
            ("unix_socket_permissions", "0700".to_owned()),
            ("listen_addresses", listen.to_owned()),
            ("port", port.to_string()),
            ("logging_collector", "off".to_owned()),
            ("log_destination", "stderr".to_owned()),
        ];
        let profile: &[(&str, &str)] = match self.options.durability {
            Durability::Durable => &[("timezone", "UTC"), ("log_timezone", "UTC")],
            Durability::Test => &[
                ("timezone", "UTC"),
                ("log_timezone", "UTC"),
                ("fsync", "off"),
                ("full_page_writes", "off"),
                ("wal_level", "minimal"),
                ("max_wal_senders", "0"),
                ("max_wal_size", "1GB"),
                ("checkpoint_timeout", "30min"),
                // In the data folder, so that nothing stays in /dev/shm when the server is killed.
                ("dynamic_shared_memory_type", "mmap"),
                ("log_checkpoints", "off"),
            ],
        };
        // The last one of a name counts, and none may undo what keeps the server private.
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: Vec<_> = profile.iter().map(owned).collect();
        settings.extend(self.options.settings.iter().cloned());
        settings.extend(ours.map(|(name, value)| (name.to_owned(), value)));
        settings
    }

    /// Where a client finds a database: over the unix socket, as the owner of everything, without a password.
    pub fn url(&self, database: &str) -> String {
        let (database, socket) = (encode(database), encode(&self.home.socket.to_string_lossy()));
        let port = self.options.loopback.as_ref().map_or(PORT, |loopback| loopback.port);
        format!("postgres:///{database}?host={socket}&port={port}&user={USER}")
    }

    /// Where a client finds a database over loopback, with the password, if that was asked for.
    pub fn loopback_url(&self, database: &str) -> Option<String> {
        let loopback = self.options.loopback.as_ref()?;
        let (database, password) = (encode(database), encode(&loopback.password));
        Some(format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", loopback.port))
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        self.home.folder.path()
    }

    /// The folder of the unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.home.socket
    }

    /// The file that the server logs to.
    pub fn log(&self) -> PathBuf {
        self.home.folder.log()
    }

    /// The folder with the server's programs.
    pub fn programs(&self) -> &Path {
        &self.programs.folder
    }

    /// What the server says it is: `postgres (PostgreSQL) 18.4`.
    pub fn version(&self) -> &str {
        &self.programs.version
    }

    /// The process id of the server, if it was started and not stopped.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Whether the server runs; false once it ended by itself too.
    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Stops the server as a crash would: no checkpoint, connections cut, recovery at the next start. For fault tests.
    pub fn kill(&self) -> Result<(), Error> {
        self.end(Signal::QUIT, Duration::from_secs(6))
    }

    /// Stops the server if it runs, and starts it again on the same data and at the same address.
    pub fn restart(&self) -> Result<(), Error> {
        self.end(Signal::INT, Duration::from_secs(60))?;
        self.launch()
    }

    /// Stops the server, and removes what is temporary.
    pub fn stop(mut self) -> Result<(), Error> {
        self.finish()
    }

    /// Ends the server; or, if it has crashed, what that left running.
    fn end(&self, signal: Signal, patience: Duration) -> Result<(), Error> {
        let Some(mut child) = self.child().take() else { return Ok(()) };
        if matches!(child.try_wait(), Ok(None)) {
            stale::send(child.id(), signal);
            if wait(&mut child, patience) {
                return Ok(());
            }
            stale::send(child.id(), Signal::QUIT);
            if !wait(&mut child, Duration::from_secs(6)) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        stale::end(self.data.path(), false)
    }

    fn finish(&mut self) -> Result<(), Error> {
        let (signal, patience) = if self.home.folder.temporary {
            (Signal::QUIT, Duration::from_secs(6))
        } else {
            (Signal::INT, Duration::from_secs(60))
        };
        // If this fails the watchdog is not sent away but left to try itself.
        self.end(signal, patience).inspect_err(|_| self.home.watchdog = None)?;
        self.home.clear()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(options: &Options, account: Option<&Account>, data: &Path) -> Result<(Programs, Data), Error> {
    let version = cluster::version(data)?;
    let programs = programs::find(options, account, data, version)?;
    if version.is_none() {
        cluster::make(options, account, &programs, data, options.durability == Durability::Durable)?;
    }
    cluster::write_access(options, account, data)?;
    Ok((programs, Data::new(account, data)?))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Waits for a process to end; false if it does not in time.
fn wait(child: &mut Child, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// Percent-encodes a part of a URL.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
