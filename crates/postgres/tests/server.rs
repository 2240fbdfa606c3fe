//! The server's life: starts, restarts, ends, and what is left after a kill.

#![allow(clippy::unwrap_used, missing_docs)]

use concierge_postgres::{Durability, Error, Options, Progress, Server};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sqlx::{Connection, PgConnection};
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A folder that other accounts may enter, as a project's folder usually is.
fn open_folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// Copies of one cluster save most of the time.
fn seed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("concierge-postgres")
}

fn temporary() -> Options {
    Options::temporary().seed(seed())
}

fn persistent(folder: &Path) -> Options {
    Options::persistent(folder).durability(Durability::Test).seed(seed())
}

fn ask(url: &str, sql: &str) -> Result<String, sqlx::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_optional(&mut connection).await?;
        Ok(answer.unwrap_or_default())
    })
}

fn tell(server: &Server, sql: &str) {
    ask(&server.url("postgres"), sql).unwrap();
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "not so after 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process lives. A zombie does not: whoever should reap it may be slow.
fn lives(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

#[test]
fn starts_answers_and_vanishes() {
    let server = Server::start(temporary()).unwrap();
    let folder = server.folder().to_owned();
    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'").unwrap(), "hello");
    assert!(server.is_running());
    let pid = server.pid().unwrap();
    server.stop().unwrap();
    assert!(!lives(pid));
    assert!(!folder.exists());
}

#[test]
fn vanishes_when_dropped() {
    let server = Server::start(temporary()).unwrap();
    let (folder, pid) = (server.folder().to_owned(), server.pid().unwrap());
    drop(server);
    assert!(!lives(pid));
    assert!(!folder.exists());
}

#[test]
fn finds_its_data_again() {
    let root = open_folder();
    let folder = root.path().join("made/here");
    let server = Server::start(Options::persistent(&folder)).unwrap();
    tell(&server, "CREATE TABLE note AS SELECT 'still there' AS text");
    server.stop().unwrap();
    let server = Server::start(Options::persistent(&folder)).unwrap();
    assert_eq!(ask(&server.url("postgres"), "SELECT text FROM note").unwrap(), "still there");
    assert_eq!(ask(&server.url("postgres"), "SHOW fsync").unwrap(), "on");
}

#[test]
fn sorts_by_code_point_and_knows_letters() {
    let server = Server::start(temporary()).unwrap();
    let url = server.url("postgres");
    assert_eq!(
        ask(&url, "SELECT string_agg(t, '' ORDER BY t) FROM unnest(ARRAY['é', 'b', 'B', 'a']) t").unwrap(),
        "Babé"
    );
    assert_eq!(ask(&url, "SELECT upper('é') || lower('ÅÑ')").unwrap(), "Éåñ");
    assert_eq!(ask(&url, "SHOW server_encoding").unwrap(), "UTF8");
    assert_eq!(ask(&url, "SHOW timezone").unwrap(), "UTC");
}

#[test]
fn takes_settings() {
    let server = Server::start(temporary().setting("max_connections", 33).setting("fsync", "on")).unwrap();
    let url = server.url("postgres");
    assert_eq!(ask(&url, "SHOW max_connections").unwrap(), "33");
    assert_eq!(ask(&url, "SHOW fsync").unwrap(), "on");
    assert_eq!(ask(&url, "SHOW listen_addresses").unwrap(), "");
}

#[test]
fn says_what_is_wrong_when_it_cannot_start() {
    let error = Server::start(temporary().setting("shared_buffers", "many")).unwrap_err();
    let Error::Start { reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("shared_buffers"), "{reason}");
}

#[test]
fn tells_progress() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let copy = told.clone();
    let server = Server::start(Options::temporary().progress(move |step| copy.lock().unwrap().push(step))).unwrap();
    drop(server);
    assert_eq!(*told.lock().unwrap(), [Progress::Initializing, Progress::Starting]);
}

#[test]
fn copies_seed_instead_of_making_cluster_again() {
    let root = open_folder();
    let told = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let copy = told.clone();
        let options = Options::temporary().seed(root.path()).progress(move |step| copy.lock().unwrap().push(step));
        let server = Server::start(options).unwrap();
        assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'").unwrap(), "hello");
    }
    assert_eq!(*told.lock().unwrap(), [Progress::Initializing, Progress::Starting, Progress::Starting]);
}

#[test]
fn refuses_second_owner() {
    let root = open_folder();
    let server = Server::start(persistent(root.path())).unwrap();
    let error = Server::start(persistent(root.path())).unwrap_err();
    let Error::Owned { owner: Some(owner), .. } = &error else { panic!("{error}") };
    assert_eq!(*owner, std::process::id().to_string());
    assert!(server.is_running());
}

#[test]
fn recovers_from_kill_and_restart() {
    let server = Server::start(temporary()).unwrap();
    let url = server.url("postgres");
    tell(&server, "CREATE TABLE note AS SELECT 'committed' AS text");
    server.kill().unwrap();
    assert!(!server.is_running());
    assert!(ask(&url, "SELECT 1").is_err());
    server.restart().unwrap();
    assert_eq!(ask(&url, "SELECT text FROM note").unwrap(), "committed");

    // The postmaster is killed and leaves a busy backend.
    let busy = std::thread::spawn({
        let url = url.clone();
        move || ask(&url, "SELECT pg_sleep(60)::text")
    });
    eventually("a backend is busy", || {
        ask(&url, "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'").unwrap() != "0"
    });
    kill_process(pid(server.pid().unwrap()), Signal::KILL).unwrap();
    eventually("the server is down", || !server.is_running());
    server.restart().unwrap();
    assert_eq!(ask(&url, "SELECT text FROM note").unwrap(), "committed");
    busy.join().unwrap().unwrap_err();
}

#[test]
fn lives_at_the_end_of_a_long_path() {
    let root = open_folder();
    let folder = root.path().join("long".repeat(30)).join("and 'quoted\", with a comma");
    let server = Server::start(persistent(&folder)).unwrap();
    let socket = server.socket_folder().to_owned();
    assert!(!socket.starts_with(&folder));
    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'").unwrap(), "hello");
    server.stop().unwrap();
    assert!(!socket.exists());
}

#[test]
fn lives_in_a_folder_with_odd_characters() {
    let root = open_folder();
    let server = Server::start(persistent(&root.path().join("a \"b\", c'd%2F&e"))).unwrap();
    assert!(server.socket_folder().starts_with(server.folder()));
    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'").unwrap(), "hello");
}

#[test]
fn lives_below_a_folder_closed_to_its_account() {
    let root = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
    let folder = root.path().join("inside");
    let server = Server::start(persistent(&folder).loopback(free_port(), "secret")).unwrap();
    tell(&server, "CREATE TABLE note AS SELECT 'reached' AS text");
    server.kill().unwrap();
    server.restart().unwrap();
    server.stop().unwrap();
    let server = Server::start(persistent(&folder)).unwrap();
    assert_eq!(ask(&server.url("postgres"), "SELECT text FROM note").unwrap(), "reached");
}

#[cfg(target_os = "linux")]
#[test]
fn runs_without_privileges() {
    let server = Server::start(temporary()).unwrap();
    let about = Path::new("/proc").join(server.pid().unwrap().to_string()).metadata().unwrap();
    assert_ne!(about.uid(), 0);
    let socket = server.socket_folder().metadata().unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (about.uid(), 0o700));
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn asks_for_password_over_loopback() {
    let root = open_folder();
    let password = "p'w \\ % é @";
    let server = Server::start(persistent(root.path()).loopback(free_port(), password)).unwrap();
    let url = server.loopback_url("postgres").unwrap();
    assert_eq!(ask(&url, "SELECT 'hello'").unwrap(), "hello");
    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'").unwrap(), "hello");
    let wrong = url.replace("p%27w", "wrong");
    assert!(ask(&wrong, "SELECT 'hello'").unwrap_err().to_string().contains("password"));

    // Another password at the next start; and none means no port.
    server.stop().unwrap();
    let server = Server::start(persistent(root.path()).loopback(free_port(), "other")).unwrap();
    assert_eq!(ask(&server.loopback_url("postgres").unwrap(), "SELECT 'hello'").unwrap(), "hello");
    server.stop().unwrap();
    assert_eq!(Server::start(persistent(root.path())).unwrap().loopback_url("postgres"), None);
}

#[test]
fn names_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Server::start(temporary().loopback(port, "secret")).unwrap_err();
    assert!(matches!(error, Error::PortTaken { port: named } if named == port), "{error}");
}

#[test]
fn refuses_empty_password() {
    let error = Server::start(temporary().loopback(free_port(), "")).unwrap_err();
    assert!(matches!(error, Error::Password), "{error}");
}

/// A process that owns a server, to be killed.
struct Owner {
    process: Child,
    server: u32,
    folder: PathBuf,
}

impl Owner {
    /// Runs `owns_a_server_when_asked` below in a process of its own.
    fn start(folder: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owns_a_server_when_asked", "--nocapture"])
            .env("CONCIERGE_TEST_OWNED_FOLDER", folder)
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.find_map(|line| line.split_once("ready ").map(|(_, ready)| ready.to_owned())).unwrap();
        let (server, folder) = ready.split_once(' ').unwrap();
        Self { process, server: server.parse().unwrap(), folder: folder.into() }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Kills the owner and what would tidy up after it, as when a container is killed.
    fn kill_with_watchdog(&mut self) {
        let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=", "-o", "command="]).output().unwrap();
        let processes = String::from_utf8_lossy(&output.stdout).into_owned();
        let data = format!("{}/data", self.folder.display());
        // The script itself has many lines; its arguments are on the last one.
        let watchdog = processes
            .split("\n")
            .scan(0, |pid, line| {
                let first = line.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
                *pid = first.unwrap_or(*pid);
                Some((*pid, line))
            })
            .find(|(_, line)| line.contains("concierge-postgres-watchdog") && line.contains(&data))
            .unwrap()
            .0;
        kill_process(pid(watchdog), Signal::KILL).unwrap();
        self.kill();
        assert!(lives(self.server), "only the server is left");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test by itself: what the owner above runs.
#[test]
fn owns_a_server_when_asked() {
    let Ok(folder) = std::env::var("CONCIERGE_TEST_OWNED_FOLDER") else { return };
    let options = if folder.is_empty() { temporary() } else { persistent(Path::new(&folder)) };
    let server = Server::start(options).unwrap();
    tell(&server, "CREATE TABLE IF NOT EXISTS note AS SELECT 'still there' AS text");
    println!("\nready {} {}", server.pid().unwrap(), server.folder().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_owner_leaves_no_server_and_no_folder() {
    let mut owner = Owner::start("");
    assert!(lives(owner.server) && owner.folder.exists());
    owner.kill();
    eventually("the server is gone", || !lives(owner.server));
    eventually("the folder is gone", || !owner.folder.exists());
}

#[test]
fn interrupt_at_the_terminal_leaves_nothing() {
    let mut owner = Owner::start("");
    kill_process_group(pid(owner.process.id()), Signal::INT).unwrap();
    owner.process.wait().unwrap();
    eventually("the server is gone", || !lives(owner.server));
    eventually("the folder is gone", || !owner.folder.exists());
}

#[test]
fn killed_owner_of_data_leaves_no_server_and_all_data() {
    let root = open_folder();
    let mut owner = Owner::start(root.path().to_str().unwrap());
    let error = Server::start(persistent(root.path())).unwrap_err();
    assert!(
        matches!(&error, Error::Owned { owner: Some(pid), .. } if *pid == owner.process.id().to_string()),
        "{error}"
    );
    owner.kill();
    // Started at once, while the watchdog is still at it.
    let server = Server::start(persistent(root.path())).unwrap();
    assert!(!lives(owner.server));
    assert_eq!(ask(&server.url("postgres"), "SELECT text FROM note").unwrap(), "still there");
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.is_running(), "the old watchdog leaves the new server alone");
    server.stop().unwrap();

    let mut owner = Owner::start(root.path().to_str().unwrap());
    owner.kill();
    eventually("the server is gone", || !lives(owner.server));
}

#[test]
fn stale_server_is_ended_and_its_data_found() {
    let root = open_folder();
    let mut owner = Owner::start(root.path().to_str().unwrap());
    owner.kill_with_watchdog();
    let told = Arc::new(Mutex::new(Vec::new()));
    let copy = told.clone();
    let server = Server::start(persistent(root.path()).progress(move |step| copy.lock().unwrap().push(step))).unwrap();
    assert!(!lives(owner.server));
    assert_eq!(*told.lock().unwrap(), [Progress::EndingStale, Progress::Starting]);
    assert_eq!(ask(&server.url("postgres"), "SELECT text FROM note").unwrap(), "still there");
}

#[test]
fn stale_temporary_server_is_swept_by_the_next() {
    let mut owner = Owner::start("");
    owner.kill_with_watchdog();
    drop(Server::start(temporary()).unwrap());
    assert!(!lives(owner.server) && !owner.folder.exists());
}

#[test]
fn number_of_another_process_in_pid_file_does_not_matter() {
    let root = open_folder();
    let server = Server::start(persistent(root.path())).unwrap();
    let (pid_file, data) = (server.folder().join("data/postmaster.pid"), server.folder().join("data"));
    let text = std::fs::read_to_string(&pid_file).unwrap();
    server.stop().unwrap();
    // As after a machine was reset and something else got the number: here, this test itself.
    let text = text.replacen(text.lines().next().unwrap(), &std::process::id().to_string(), 1);
    std::fs::write(&pid_file, text).unwrap();
    let owner = data.metadata().unwrap();
    std::os::unix::fs::chown(&pid_file, Some(owner.uid()), Some(owner.gid())).unwrap();
    let server = Server::start(persistent(root.path())).unwrap();
    assert!(server.is_running());
}
