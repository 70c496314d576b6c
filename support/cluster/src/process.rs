//! Child processes that end with this one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::Error;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A child process and its log. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Runs a command made by [`command`], with its output at the end of `log`.
    pub(crate) fn spawn(name: &'static str, mut command: Command, log: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io("open", &log))?;
        let output = file.try_clone().map_err(Error::io("open", &log))?;
        command.stdin(Stdio::null()).stdout(output).stderr(file);
        let child = spawn_from_lasting_thread(command).map_err(|source| {
            if cfg!(target_os = "linux") && source.kind() == io::ErrorKind::NotFound {
                Error::SetprivMissing
            } else {
                Error::Io { action: format!("start {name}"), source }
            }
        })?;
        Ok(Self { name, child, log })
    }

    /// Waits for the end of the process.
    //
    // Polled: tokio's own children belong to one runtime, and each `#[tokio::test]` has its own.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// An error if the process has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => {
                Err(Error::Exited { server: self.name, status, tail: tail(&self.log), log: self.log.clone() })
            }
        }
    }

    /// Asks the process to end, and kills it if it has not after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if kill_process(self.pid(), Signal::TERM).is_ok() {
            while Instant::now() < deadline && matches!(self.exit_status(), Ok(None)) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        // What is left is killed by the drop.
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(|source| Error::Io { action: format!("wait for {}", self.name), source })
    }

    /// Names this child only as long as it has not been waited for.
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The group, because `go build` has children of its own.
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// A command that the kernel kills when this process ends, whatever ends it.
///
/// It leads a process group of its own, so that Ctrl-C in a terminal reaches this process only.
pub(crate) fn command(program: &Path) -> Command {
    let mut command =
        if cfg!(target_os = "linux") { bound_to_parent(program, std::process::id()) } else { Command::new(program) };
    command.process_group(0);
    command
}

fn bound_to_parent(program: &Path, parent: u32) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "sh", "-c"])
        // The kernel says nothing about a parent that was gone before setpriv asked it to.
        .arg(r#"[ "$PPID" = "$0" ] && exec "$@""#)
        .arg(parent.to_string())
        .arg(program);
    command
}

/// Spawns from a thread that lasts as long as the process does, because the kernel sends the signal
/// that [`command`] asks for when the *thread* that spawned the child ends.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();

    let gone = || io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        // If the thread cannot be made, the channel is closed and each request fails.
        let _ = thread::Builder::new().name("local-cluster-spawner".into()).spawn(move || {
            for (mut command, reply) in requests {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    const BYTES: u64 = 16 * 1024;
    const LINES: usize = 20;

    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    match read() {
        Ok(end) => {
            let end = String::from_utf8_lossy(&end);
            let lines: Vec<&str> = end.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(could not be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &Path) -> Process {
        let mut command = command(Path::new("sh"));
        command.args(["-c", script]);
        Process::spawn("sh", command, dir.join("sh.log")).unwrap()
    }

    #[tokio::test]
    async fn the_output_goes_to_the_log_and_into_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sh("echo out; echo err >&2; exit 3", dir.path());
        assert_eq!(process.wait().await.unwrap().code(), Some(3));
        let message = process.check().unwrap_err().to_string();
        assert!(message.starts_with("sh ended (exit status: 3)"), "{message}");
        assert!(message.ends_with("out\nerr"), "{message}");
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_to_end_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let process = sh("trap '' TERM; echo ready; while :; do sleep 1; done", dir.path());
        while tail(&process.log) != "ready" {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let pid = process.pid();
        process.stop(Duration::from_millis(100)).await;
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_runs_if_the_parent_is_gone_already() {
        let mut other_parent = bound_to_parent(Path::new("echo"), std::process::id() + 1);
        let output = other_parent.arg("ran").output().unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let mut process = thread::spawn(move || sh("echo $$; exec sleep 1000", &path)).join().unwrap();
        // Its first output comes after the thread has ended, and the signal would have come before.
        let deadline = Instant::now() + Duration::from_secs(30);
        while tail(&process.log).is_empty() && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
        process.check().unwrap();
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let lines: Vec<String> = (1..=5000).map(|n| format!("line {n}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log), lines[4980..].join("\n"));
    }
}
