//! One piece of work on its way: the token that stops it and the retries that it took.
//!
//! Made for each object by `run`, for listings and for probes; passed down to every request.

use std::sync::atomic::{AtomicU32, Ordering};

use common::error::{Class, OperatorError};
use common::retry::RetryPolicy;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// See the module.
#[derive(Debug)]
pub struct Errand {
    /// Cancelled when the work is to end early.
    pub stop: CancellationToken,
    retries: AtomicU32,
    /// Whether an object must not be written twice although nobody would see the difference but the one who counts versions.
    writes_once: bool,
    /// Whether the object comes from a list that is older than the run.
    of_list: bool,
    /// Takes lines for the journal, where there is one.
    pub journal: Option<mpsc::Sender<String>>,
}

impl Errand {
    /// A piece of work that ends early when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, retries: AtomicU32::new(0), writes_once: false, of_list: false, journal: None }
    }

    /// The same with lines for the journal going to `journal`.
    #[must_use]
    pub fn noting(self, journal: Option<mpsc::Sender<String>>) -> Self {
        Self { journal, ..self }
    }

    /// The same where a write whose answer was lost must not be repeated unseen, because it would leave two versions.
    #[must_use]
    pub fn writing_once(self) -> Self {
        Self { writes_once: true, ..self }
    }

    /// The same for an object that an older list names: that it is gone by now is no failure.
    #[must_use]
    pub fn of_list(self) -> Self {
        Self { of_list: true, ..self }
    }

    /// Whether the object may have gone away without anything being wrong.
    pub fn may_be_gone(&self) -> bool {
        self.of_list
    }

    /// Whether a failure that may pass is looked into by whoever made this errand.
    pub fn is_looked_into(&self) -> bool {
        self.writes_once
    }

    /// Whether `error` leaves it open if the write happened, and it must not happen twice.
    pub fn must_look_first(&self, operation: &str, error: &Error) -> bool {
        self.writes_once && matches!(operation, "PutObject" | "DeleteObject") && !error.is_without_effect()
    }

    /// Retries so far, of all requests together.
    pub fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Whether to try again after `error`, which the attempt numbered `attempts` (from 1) ended with. Waits before it
    /// says yes, counts the retry and raises the number.
    ///
    /// The loop is the caller's own, written out, because a future that goes to another thread cannot lend itself to
    /// [`common::retry::retry`]'s asynchronous closures yet (rust-lang/rust 100013); policy and classes are the same.
    pub async fn again(&self, attempts: &mut u32, error: &impl OperatorError) -> bool {
        let policy = RetryPolicy::REQUEST;
        if error.class() != Class::Transient || *attempts >= policy.attempts_max || self.stop.is_cancelled() {
            return false;
        }
        let delay = policy.delay(*attempts);
        tracing::debug!(%error, attempts, delay_ms = delay.as_millis(), "trying again");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => return false,
        }
        *attempts += 1;
        self.retries.fetch_add(1, Ordering::Relaxed);
        true
    }
}
