//! The exit codes of both programs: the part of the result that an orchestrator reads.
//!
//! Called once, at the end of `main`. Knows no engine.

use std::process::{ExitCode, Termination};

use crate::finding::Verdict;

/// How a program ended. The numbers are public interface (`runbooks/reference/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done and proved equal; for a dry run, nothing stands in the way.
    Done,
    /// Failed for a cause that has no code of its own.
    Failed,
    /// The command line, a variable or the configuration file is wrong.
    Usage,
    /// Refused before anything was changed.
    Refused,
    /// Finished, but named items differ or failed.
    Different,
    /// Cut short by a fault that may pass; the same command goes on.
    Transient,
    /// Finished, but the equality of named items could not be proved.
    Unproved,
    /// Stopped by SIGINT; the same command goes on.
    Interrupted,
    /// Stopped by SIGTERM; the same command goes on.
    Terminated,
}

impl ExitStatus {
    /// The number given to the operating system.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Different => 4,
            Self::Transient => 5,
            Self::Unproved => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The verdict that a summary carries beside this status.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Done => Verdict::Equal,
            Self::Different => Verdict::Different,
            Self::Unproved => Verdict::Unproved,
            Self::Interrupted | Self::Terminated => Verdict::Stopped,
            Self::Failed | Self::Usage | Self::Refused | Self::Transient => Verdict::Failed,
        }
    }
}

impl From<Verdict> for ExitStatus {
    /// The status of a run that went to its end with this verdict.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Equal => Self::Done,
            Verdict::Different => Self::Different,
            Verdict::Unproved => Self::Unproved,
            Verdict::Failed => Self::Failed,
            Verdict::Stopped => Self::Terminated,
        }
    }
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
