//! A process that ends the server when its owner dies, however it dies.
//!
//! Its standard input is a pipe whose other end the owner holds. The owner's death closes the pipe, also by `kill -9`.

use crate::error::{Doing, Error};
use crate::folder::{Folder, is_lone_socket};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `$1` data folder, `$2` signal that ends the server, `$3` folder to remove, or nothing, `$4` socket's folder to
/// remove, or nothing.
///
/// A line on standard input says that the owner has ended the server itself. The server's number is read only when the
/// owner is gone, because a restart changes it; and it is used only if a Postgres process has it. The owner may have
/// died between starting the server and the server's writing its number, hence the wait for the file.
const SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
read -r _ && exit 0

is_server() {
    case $1 in ''|*[!0-9]*) return 1 ;; esac
    if [ -r "/proc/$1/comm" ]; then read -r name 2>/dev/null <"/proc/$1/comm"
    else name=$(ps -o comm= -p "$1" 2>/dev/null)
    fi
    case $name in *postgres*|*postmaster*) return 0 ;; esac
    return 1
}
gone() { [ ! -e "$data/postmaster.pid" ] || ! kill -0 "$pid" 2>/dev/null; }
wait_gone() {
    n=$1
    while [ "$n" -gt 0 ]; do
        gone && return 0
        n=$((n - 1)); sleep 0.05
    done
    return 1
}

data=$1 pid= n=40
while [ "$n" -gt 0 ] && [ -d "$data" ]; do
    if [ -r "$data/postmaster.pid" ] && read -r pid 2>/dev/null <"$data/postmaster.pid"; then break; fi
    n=$((n - 1)); sleep 0.05
done
if is_server "$pid"; then
    kill "-$2" "$pid"
    wait_gone 400 || { kill -QUIT "$pid"; wait_gone 120; } || kill -KILL "$pid"
fi
if [ -n "$4" ]; then rm -rf -- "$4"; fi
if [ -n "$3" ]; then
    rm -rf -- "$3" || { sleep 1; rm -rf -- "$3"; }
fi
"#;

/// The watchdog, and the end of the pipe that keeps it quiet.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
}

impl Watchdog {
    /// Starts watching. Done before the server is started, so that no moment is unwatched.
    pub(crate) fn start(folder: &Folder, socket: &Path) -> Result<Self, Error> {
        let lock = folder.watchdog.try_clone().doing(|| "copying a file descriptor".to_owned())?;
        let nothing = OsStr::new("");
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "concierge-postgres-watchdog"])
            .arg(folder.data())
            .arg(if folder.temporary { "QUIT" } else { "INT" })
            .arg(if folder.temporary { folder.path().as_os_str() } else { nothing })
            .arg(if is_lone_socket(socket) { socket.as_os_str() } else { nothing })
            .current_dir("/")
            // Ctrl-C goes to the process group of the owner, and must not end what tidies up after it.
            .process_group(0)
            .stdin(Stdio::piped())
            // Says nothing; this keeps the lock for as long as it lives.
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "starting the watchdog (/bin/sh)".to_owned())?;
        Ok(Self { child })
    }

    /// Sends it away: the server has ended.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}
