//! Finds and ends the server that a killed run left behind.

use crate::error::{Doing, Error};
use crate::folder;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The processes of a server on this data folder, the postmaster (if it still lives) first.
pub(crate) fn on(data: &Path) -> Vec<u32> {
    let Ok(data) = data.canonicalize() else { return Vec::new() };
    let postmaster = pid_file(&data).map(|file| file.pid);
    let mut found = processes(&data, postmaster);
    found.sort_by_key(|pid| Some(*pid) != postmaster);
    found
}

/// Every server process works in its data folder, so that is how it is known, whatever `postmaster.pid` says: its
/// number may be another process's by now.
#[cfg(target_os = "linux")]
fn processes(data: &Path, _postmaster: Option<u32>) -> Vec<u32> {
    Path::new("/proc")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let works_here = || std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data);
            (name.trim_end() == "postgres" && works_here()).then_some(pid)
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn processes(data: &Path, postmaster: Option<u32>) -> Vec<u32> {
    let is_it = |pid: &u32| {
        std::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().is_ok_and(|output| {
            let command = String::from_utf8_lossy(&output.stdout);
            command.contains("postgres") && command.contains(&*data.to_string_lossy())
        })
    };
    postmaster.filter(is_it).into_iter().collect()
}

/// Ends what [`on`] finds: in order if `politely`, else at once. Then removes what it left behind.
pub(crate) fn end(data: &Path, politely: bool) -> Result<(), Error> {
    let socket = pid_file(data).and_then(|file| file.socket);
    let steps = [
        (Signal::INT, if politely { Duration::from_secs(20) } else { Duration::ZERO }),
        (Signal::QUIT, Duration::from_secs(6)),
        (Signal::KILL, Duration::from_secs(6)),
    ];
    'ended: {
        for (signal, patience) in steps {
            let Some(first) = on(data).first().copied() else { break 'ended };
            if patience.is_zero() {
                continue;
            }
            // To the postmaster, which tells the others; orphans end by themselves, or at the last step.
            let told = if signal == Signal::KILL { on(data) } else { vec![first] };
            told.into_iter().for_each(|pid| send(pid, signal));
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if on(data).is_empty() {
                    break 'ended;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if let Some(pid) = on(data).first() {
            return Err(Error::Stale { folder: data.to_owned(), pid: *pid });
        }
    }
    if let Some(socket) = socket.filter(|socket| folder::is_lone_socket(socket)) {
        let _ = std::fs::remove_dir_all(socket);
    }
    // Its number may belong to any process by now, and Postgres would take that one for a living server. Elsewhere
    // than on Linux orphans of a killed postmaster cannot be seen, and the file is what keeps a second server out.
    let file = data.join("postmaster.pid");
    if cfg!(target_os = "linux") && file.exists() {
        std::fs::remove_file(&file).doing(|| format!("removing {}", file.display()))?;
    }
    Ok(())
}

/// Sends a signal to a process, which may be gone.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) ready: bool,
}

pub(crate) fn pid_file(data: &Path) -> Option<PidFile> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    Some(PidFile {
        // A single-user server writes its number negated.
        pid: lines.first()?.trim().trim_start_matches('-').parse().ok()?,
        socket: lines.get(4).map(|line| line.trim()).filter(|line| !line.is_empty()).map(PathBuf::from),
        ready: lines.get(7).is_some_and(|line| line.trim() == "ready"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pid_file() {
        let root = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(root.path().join("postmaster.pid"), text).unwrap();
        assert_eq!(pid_file(root.path()), None);
        write("10568\n/data\n1795374763\n5432\n/run/x\n\n     1016         4\nready   \n");
        let file = pid_file(root.path()).unwrap();
        assert_eq!(file, PidFile { pid: 10568, socket: Some("/run/x".into()), ready: true });
        write("-77\n/data\n");
        assert_eq!(pid_file(root.path()).unwrap(), PidFile { pid: 77, socket: None, ready: false });
        write("");
        assert_eq!(pid_file(root.path()), None);
    }

    #[test]
    fn leaves_other_process_with_same_number_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(on(root.path()), Vec::<u32>::new());
        end(root.path(), true).unwrap();
    }
}
