//! SIGINT and SIGTERM as a cancellation that remembers its cause.
//!
//! The first signal asks for an orderly stop: claims end, attempts in flight finish or are rolled back, the
//! journal is flushed. The programs bound that by [`STOP_TIMEOUT`].

use std::sync::OnceLock;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::ExitStatus;

/// How long an orderly stop may take. ECS kills a task 30 s after SIGTERM by default; this leaves room for the report.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The signals that stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, for example Ctrl-C.
    Interrupt,
    /// SIGTERM, for example `docker stop` or ECS stopping a task.
    Terminate,
}

impl Signal {
    /// The conventional exit status, 128 + the signal's number.
    pub const fn exit_status(self) -> ExitStatus {
        match self {
            Self::Interrupt => ExitStatus::Interrupted,
            Self::Terminate => ExitStatus::Terminated,
        }
    }

    /// The name people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// A process-wide wish to stop.
#[derive(Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    signal: OnceLock<Signal>,
}

impl Shutdown {
    /// A token that is cancelled at the first signal.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The signal that asked for the stop, if one did.
    pub fn signal(&self) -> Option<Signal> {
        self.signal.get().copied()
    }

    /// Asks for a stop as if `signal` had arrived.
    pub fn request(&self, signal: Signal) {
        let _ = self.signal.set(signal);
        self.token.cancel();
    }

    /// Waits for signals, for ever; run it beside the work and drop it when the work is done.
    ///
    /// Fails only when the process cannot install handlers.
    pub async fn listen(&self) -> std::io::Error {
        let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            };
            if !self.token.is_cancelled() {
                tracing::warn!(signal = signal.name(), "stopping; the same command will go on from here");
            }
            self.request(signal);
        }
    }
}

/// Runs `work` while listening for signals. `None` when an orderly stop took longer than [`STOP_TIMEOUT`].
pub async fn run_until_stopped<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    let token = shutdown.token();
    let overdue = async {
        token.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        outcome = work => Some(outcome),
        () = overdue => None,
        error = shutdown.listen() => {
            tracing::error!(%error, "cannot listen for signals");
            None
        }
    }
}
