//! A `concierge up` in a home of its own, and how to look at it from outside.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use concierge_journeys::ports;
use concierge_proto::directory::customer_service_client::CustomerServiceClient;
use concierge_proto::directory::{CreateCustomerRequest, Customer, GetCustomerRequest, Site};
use concierge_testkit::request_id;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

/// The program that is also `concierge`.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_concierge-journeys");

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How far the ports of one `up` reach: gRPC, a gap, metrics.
const PORTS: u16 = 13;

/// A home and three ports, whoever runs on them.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// One that other accounts may enter, as a project's folder usually is: the one that runs Postgres finds what is
    /// fetched in it.
    pub(crate) fn open() -> Self {
        Self::at(tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        Self { folder, port: ports::free(PORTS) }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    /// `concierge up` on this home, not started yet.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.homeless();
        command.arg("--home").arg(self.root());
        command
    }

    /// `concierge up` on these ports, which is still to be told where its home is.
    pub(crate) fn homeless(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["up", "--port", &self.port.to_string()]);
        // As a shell starts it, so that Ctrl-C can go to the group.
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Starts `up` and returns at once.
    pub(crate) fn start(&self) -> Up {
        self.run(self.command())
    }

    pub(crate) fn run(&self, mut command: Command) -> Up {
        let output = self.folder.path().join("output");
        let file = File::create(&output).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Up { child: command.spawn().unwrap(), output, port: self.port, token: self.path("admin.token") }
    }

    /// Starts `up` and waits until it says that it is up.
    pub(crate) async fn up(&self) -> Up {
        let mut up = self.start();
        up.ready().await;
        up
    }

    /// The number of the Postgres server.
    pub(crate) fn postgres(&self) -> u32 {
        let file = std::fs::read_to_string(self.path("postgres/data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// Whether anybody listens on any of the ports.
    pub(crate) fn anybody_listens(&self) -> bool {
        (self.port..self.port + PORTS).any(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }
}

/// A running `concierge up`.
pub(crate) struct Up {
    child: Child,
    output: PathBuf,
    port: u16,
    token: PathBuf,
}

impl Up {
    pub(crate) async fn ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !self.said().contains("Concierge is up.") {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "up ended with {ended:?}:\n{}", self.said());
            assert!(Instant::now() < until, "not up in time:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All it has said so far, on either stream.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The numbers of its services, by name.
    pub(crate) fn services(&self) -> Vec<(String, u32)> {
        let services = processes().into_iter().filter(|p| p.parent == self.pid()).filter_map(|p| {
            let (_, name) = p.command.split_once(" serve ")?;
            Some((name.to_owned(), p.pid))
        });
        services.collect()
    }

    /// The number of one service, of that name.
    pub(crate) fn service(&self, name: &str) -> Option<u32> {
        self.services().into_iter().find(|(known, _)| known == name).map(|(_, pid)| pid)
    }

    /// Everything that lives below it: services, Postgres, Postgres' watchdog.
    pub(crate) fn family(&self) -> Vec<u32> {
        let all = processes();
        let mut family = vec![self.pid()];
        // Parents have been added before their children are looked for.
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
            next += 1;
        }
        family.split_off(1)
    }

    /// Ctrl-C at a terminal goes to the whole group.
    pub(crate) fn interrupt(&self) {
        kill_process_group(number(self.pid()), Signal::INT).unwrap();
    }

    pub(crate) fn terminate(&self) {
        kill(self.pid(), Signal::TERM);
    }

    /// What it started itself.
    pub(crate) fn children(&self) -> Vec<u32> {
        processes().into_iter().filter(|p| p.parent == self.pid()).map(|p| p.pid).collect()
    }

    /// Kills it and these, stopped first: none may see another's end.
    pub(crate) fn kill_with(self, others: &[u32]) {
        kill(self.pid(), Signal::STOP);
        for signal in [Signal::STOP, Signal::KILL] {
            others.iter().for_each(|pid| kill(*pid, signal));
        }
        self.kill();
    }

    /// As `kill -9` does, and nothing is waited for but its own end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The administrator's token.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(&self.token).unwrap()
    }

    /// Creates a customer; tries again while what was killed comes back.
    pub(crate) async fn create(&self, name: &str) -> String {
        let request = CreateCustomerRequest {
            customer: Some(Customer { name: name.to_owned(), ..Default::default() }),
            main_site: Some(Site { name: "Main".to_owned(), ..Default::default() }),
            request_id: request_id(),
            ..Default::default()
        };
        let create = |mut client: Client, request| async move { client.create_customer(request).await };
        self.patiently(request, create).await.customer.unwrap().id
    }

    /// Reads the customer's name; tries again while what was killed comes back.
    pub(crate) async fn read(&self, id: &str) -> String {
        let request = GetCustomerRequest { id: id.to_owned() };
        let read = |mut client: Client, request| async move { client.get_customer(request).await };
        self.patiently(request, read).await.customer.unwrap().name
    }

    async fn patiently<M: Clone, A, F>(&self, message: M, call: impl Fn(Client, Request<M>) -> F) -> A
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let until = Instant::now() + PATIENCE;
        loop {
            let address = format!("http://127.0.0.1:{}", self.port);
            let client = CustomerServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy());
            let mut request = Request::new(message.clone());
            request.set_timeout(Duration::from_secs(5));
            let bearer = format!("Bearer {}", self.token().trim());
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
            match call(client, request).await {
                Ok(answer) => return answer.into_inner(),
                Err(status) => {
                    let comes_back = matches!(
                        status.code(),
                        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown
                    );
                    assert!(comes_back, "{status:?}");
                    assert!(Instant::now() < until, "it does not come back: {status:?}\n{}", self.said());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

type Client = CustomerServiceClient<tonic::transport::Channel>;

impl Drop for Up {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Of a test that failed: in order first, so that Postgres does not write to a folder that is being removed.
        kill(self.pid(), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(20);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the system says of one process.
struct Process {
    pid: u32,
    parent: u32,
    command: String,
}

/// All processes that live.
fn processes() -> Vec<Process> {
    let all = Path::new("/proc").read_dir().unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter_map(process).collect()
}

fn process(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // After the name, which may hold anything: the state, the parent.
    let mut words = stat[stat.rfind(')')? + 1..].split_whitespace();
    // A zombie does not live: whoever should reap it may be slow.
    let lives = !matches!(words.next()?, "Z" | "X");
    let parent = words.next()?.parse().ok()?;
    let command = String::from_utf8_lossy(&std::fs::read(folder.join("cmdline")).ok()?).replace('\0', " ");
    lives.then(|| Process { pid, parent, command: command.trim().to_owned() })
}

/// Whether a process lives.
pub(crate) fn lives(pid: u32) -> bool {
    process(pid).is_some()
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

/// Sends a signal to a process, which may be gone.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(number(pid), signal);
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What an address of 127.0.0.1 answers to a simple request over HTTP.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The access rights of a file.
pub(crate) fn mode(file: &Path) -> u32 {
    file.metadata().unwrap().permissions().mode() & 0o777
}
