//! The server of a measurement as a process of its own, pinned to one core.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The core of servers, and that of the client and the database.
pub const SERVER_CORE: &str = "0";
/// See [`SERVER_CORE`].
pub const CLIENT_CORE: &str = "1";

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Starts this program again as a server of that kind.
    pub fn start(kind: &str, url: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .arg(program)
            .args(["--serve", kind, url])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run taskset, of util-linux")?;
        let mut address = String::new();
        let out = child.stdout.take().context("a pipe")?;
        BufReader::new(out).read_line(&mut address)?;
        let address = address.trim().to_owned();
        if address.is_empty() {
            bail!("the server {kind} did not start");
        }
        Ok(Self { child, address })
    }

    /// The CPU time it has used, of user and system, as Linux counts it.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after = stat.rsplit_once(')').context("a stat line")?.1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second; two are before the name's end.
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pins a process to the core of clients and databases, its threads and children to come included.
pub fn pin_to_client_core(pid: u32) -> anyhow::Result<()> {
    let done = Command::new("taskset")
        .args(["-a", "-c", "-p", CLIENT_CORE, &pid.to_string()])
        .stdout(Stdio::null())
        .status()
        .context("cannot run taskset, of util-linux")?;
    if !done.success() {
        bail!("taskset cannot pin process {pid}");
    }
    Ok(())
}
