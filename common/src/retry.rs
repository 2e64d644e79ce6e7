//! One retry loop for the whole house: it wraps one attempt at one layer.
//!
//! Waits grow exponentially with full jitter (a uniform wait between zero and the bound), as in the AWS
//! Architecture Blog's "Exponential Backoff And Jitter". An error is tried again only when its class is
//! `Transient`; a stop request ends the waiting at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Class, OperatorError};

/// How often and how patiently an attempt is repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 1.
    pub attempts_max: u32,
    /// Bound of the first wait; doubles with each attempt.
    pub delay_initial: Duration,
    /// No wait is longer than this.
    pub delay_max: Duration,
}

impl RetryPolicy {
    /// For requests within a run: eight attempts over about eleven seconds, twice that at most. A store that slows its
    /// callers down does so for seconds.
    pub const REQUEST: Self =
        Self { attempts_max: 8, delay_initial: Duration::from_millis(200), delay_max: Duration::from_secs(10) };

    /// The wait before attempt `attempt + 1`, where `attempt` counts from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        let bound = self.delay_initial.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.delay_max);
        bound.mul_f64(fastrand::f64())
    }
}

/// The outcome of [`retry`] with the number of attempts that it took, for the record.
#[derive(Debug)]
pub struct Attempted<T> {
    /// What the last attempt gave.
    pub outcome: T,
    /// Attempts made, at least 1.
    pub attempts: u32,
}

/// Repeats `attempt` (which is told its number, from 1) while it fails with a transient error.
///
/// Returns the last outcome when it succeeds, fails for good, the attempts are used up or `stop` is cancelled.
pub async fn retry<T, E: OperatorError>(
    policy: RetryPolicy,
    stop: &CancellationToken,
    mut attempt: impl AsyncFnMut(u32) -> Result<T, E>,
) -> Attempted<Result<T, E>> {
    let mut attempts = 1;
    loop {
        let outcome = attempt(attempts).await;
        match &outcome {
            Err(error)
                if error.class() == Class::Transient && attempts < policy.attempts_max && !stop.is_cancelled() =>
            {
                let delay = policy.delay(attempts);
                tracing::debug!(%error, attempts, delay_ms = delay.as_millis(), "trying again");
                tokio::select! {
                    () = tokio::time::sleep(delay) => attempts += 1,
                    () = stop.cancelled() => return Attempted { outcome, attempts },
                }
            }
            _ => return Attempted { outcome, attempts },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error, PartialEq)]
    #[error("attempt failed")]
    struct Failure(Class);

    impl OperatorError for Failure {
        fn class(&self) -> Class {
            self.0
        }

        fn hint(&self) -> Option<String> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_error_is_tried_until_it_passes() {
        let attempted = retry(RetryPolicy::REQUEST, &CancellationToken::new(), async |attempt| {
            if attempt < 3 { Err(Failure(Class::Transient)) } else { Ok(attempt) }
        })
        .await;
        assert_eq!((attempted.outcome, attempted.attempts), (Ok(3), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_and_permanence_bound_the_loop() {
        let stop = CancellationToken::new();
        for (class, expected) in [(Class::Transient, RetryPolicy::REQUEST.attempts_max), (Class::Permanent, 1)] {
            let attempted = retry(RetryPolicy::REQUEST, &stop, async |_| Err::<(), _>(Failure(class))).await;
            assert_eq!(attempted.attempts, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_request_ends_the_waiting() {
        let stop = CancellationToken::new();
        stop.cancel();
        let attempted = retry(RetryPolicy::REQUEST, &stop, async |_| Err::<(), _>(Failure(Class::Transient))).await;
        assert_eq!(attempted.attempts, 1);
    }
}
