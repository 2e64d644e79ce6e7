//! One run of one of the programs, as a process with nothing but the task definition's variables, on our terminal.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

use super::{RehearsalError, system};

/// The programs promise to end within 30 seconds of a signal.
const STOP_LIMIT: Duration = Duration::from_secs(35);

/// The signals that end a rehearsal.
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The number of the next signal. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// What to run.
pub(super) struct Program {
    pub(super) binary: PathBuf,
    pub(super) subject: String,
    /// Names and values, as in the task definition; secrets are among them, so they are never printed.
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) report: PathBuf,
}

/// The command and the names of its variables, without their values.
impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.binary.file_name().unwrap_or_default().to_string_lossy();
        write!(formatter, "{name} for the {}, as its task definition does, with\n ", self.subject)?;
        for (index, (variable, _)) in self.variables.iter().enumerate() {
            write!(formatter, "{} {variable}", if index == 0 { "" } else { "," })?;
        }
        write!(formatter, ", REPORT")
    }
}

impl Program {
    /// Runs it to its end; its exit code, by a shell's rule 128 + N when signal N killed it. A signal to us is passed on,
    /// waited for, and returned as [`RehearsalError::Stopped`].
    pub(super) async fn run(&self, signals: &mut Signals) -> Result<i32, RehearsalError> {
        let mut child = Command::new(&self.binary)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(std::env::var_os("TERM").map(|term| ("TERM", term)))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("REPORT", &self.report)
            // Ctrl-C reaches us alone, and is passed on once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(system(format!("{} cannot be started", self.binary.display())))?;
        let failed = |cause| system(format!("{} cannot be waited for", self.binary.display()))(cause);
        tokio::select! {
            status = child.wait() => Ok(exit_code(status.map_err(failed)?)),
            number = signals.next() => {
                stop(&mut child, number).await;
                Err(RehearsalError::Stopped(number))
            }
        }
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Passes the signal on and waits; a program that does not keep its promise is killed when `child` is dropped.
async fn stop(child: &mut Child, number: i32) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(number)) {
        kill_process(pid, signal).ok();
    }
    tokio::time::timeout(STOP_LIMIT, child.wait()).await.ok();
}
