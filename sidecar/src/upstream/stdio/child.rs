//! The process itself: what it is given, and how it is ended.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{self, ChildStderr, ChildStdin, ChildStdout};

use crate::config::StdioUpstream;

/// A running child, in a process group of its own. Dropped, it is killed.
pub(super) struct Child {
    process: process::Child,
    /// The child and whatever it started; a launcher such as `npx` is not the server itself.
    group: Option<Pid>,
}

/// The child's standard streams, as the gate holds them.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Child {
    pub(super) fn start(command: &StdioUpstream) -> io::Result<(Self, Pipes)> {
        let mut process = process::Command::new(&command.program);
        process
            .args(&command.arguments)
            // The gate's own settings and secrets are not the child's.
            .env_clear()
            .envs(INHERITED.iter().filter_map(|&name| Some((name, std::env::var_os(name)?))))
            .envs(&command.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Also: an interrupt from the terminal is the gate's to act on.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &command.folder {
            process.current_dir(folder);
        }
        let mut process = process.spawn()?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let child = Self { process, group };
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                Ok((child, Pipes { stdin, stdout, stderr }))
            }
            _ => Err(io::Error::other("its standard streams are not connected")),
        }
    }

    pub(super) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Waits for a child whose input has been closed; one that stays is told, then killed.
    pub(super) async fn end(mut self) {
        if tokio::time::timeout(GRACE, self.process.wait()).await.is_err() {
            self.signal(Signal::TERM);
            // Killed on drop if this passes, too.
            drop(tokio::time::timeout(GRACE, self.process.wait()).await);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, "the upstream's process cannot be signalled");
        }
    }
}

impl Drop for Child {
    /// Also when the child itself has gone: what it started ends with it.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// What of the gate's environment a program needs to be found and to run.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// Servers that end when their input does take milliseconds; those that write a file, a little more.
const GRACE: Duration = Duration::from_secs(2);
