//! How errors are classed and shown. Each crate has its own `Error`; all of them answer these questions.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

use crate::exit::ExitStatus;
use crate::signals::Signal;

/// What can be done about an error. Decides retries and the exit code; an unknown cause is `Permanent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The command, a variable or the file is wrong: exit 2.
    Usage,
    /// A condition for starting does not hold, nothing was changed: exit 3.
    Refused,
    /// May pass when tried again: exit 5 once the retries are used up.
    Transient,
    /// Trying again will not help: exit 1.
    Permanent,
    /// Someone asked us to stop: exit 130 or 143.
    Stopped(Signal),
}

impl Class {
    /// The exit status of a program that ends with an error of this class.
    pub const fn exit_status(self) -> ExitStatus {
        match self {
            Self::Usage => ExitStatus::Usage,
            Self::Refused => ExitStatus::Refused,
            Self::Transient => ExitStatus::Transient,
            Self::Permanent => ExitStatus::Failed,
            Self::Stopped(signal) => signal.exit_status(),
        }
    }
}

/// An error that an operator meets: it knows its class and the next step.
pub trait OperatorError: Error {
    /// What can be done about it.
    fn class(&self) -> Class;

    /// The operator's next step, as an imperative sentence; `None` when the message says it all.
    fn hint(&self) -> Option<String>;
}

/// The machine refuses what every program needs: threads, timers, a network.
#[derive(Debug, thiserror::Error)]
#[error("the program cannot start")]
pub struct Unstartable(#[source] pub std::io::Error);

impl OperatorError for Unstartable {
    fn class(&self) -> Class {
        Class::Permanent
    }

    fn hint(&self) -> Option<String> {
        Some("check the limits on threads and open files of this machine or task".into())
    }
}

/// Shows an error on stderr, where it stands above the summary.
pub fn show(error: &dyn OperatorError) {
    // Nobody may be reading; the exit code still says it.
    let _ = writeln!(std::io::stderr().lock(), "{}", describe(error));
}

/// The message and its causes in one line, for a log or a table; without the next step.
pub fn sentence(error: &dyn OperatorError) -> String {
    let text = describe(error);
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n  next: ").next().unwrap_or_default();
    text.replace("\n  because: ", ", because: ").replace('\n', " ")
}

/// The text that a person sees: the message, its causes one per line, the next step last.
///
/// A cause whose text the message already contains is not repeated.
pub fn describe(error: &dyn OperatorError) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            let _ = write!(text, "\n  because: {line}");
        }
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "\n  next: {hint}");
    }
    text
}
