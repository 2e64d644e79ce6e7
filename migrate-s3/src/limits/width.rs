//! How many requests a side takes at a time: found out, because nobody knows it beforehand.
//!
//! The width grows by a quarter as long as the throughput grows with it, and is halved when the store asks for patience
//! (503 `SlowDown`, KMS throttling), at most once a second, because one burst of refusals is one message.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Between two looks at the throughput.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Between two halvings.
const HALVING_INTERVAL: Duration = Duration::from_secs(1);

/// Throughput has grown when it is this many times what it was.
const GROWTH: f64 = 1.02;

/// What the best throughput seen is worth at the next look, so that a slow minute is not held against the store for ever.
const MEMORY: f64 = 0.9;

/// See the module.
#[derive(Debug)]
pub struct Width {
    side: &'static str,
    slots: Arc<Semaphore>,
    width_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    width: usize,
    /// Slots to be taken out of circulation as they come back.
    surplus: usize,
    looked_at: Instant,
    halved_at: Option<Instant>,
    requests: u64,
    best_per_second: f64,
}

/// Leave to make one request; giving it back is dropping it.
#[derive(Debug)]
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    width: Arc<Width>,
}

impl Width {
    /// Begins with half of `width_max` and goes no further than that.
    pub fn new(side: &'static str, width_max: usize) -> Self {
        let width = width_max.div_ceil(2);
        let state =
            State { width, surplus: 0, looked_at: Instant::now(), halved_at: None, requests: 0, best_per_second: 0.0 };
        Self { side, slots: Arc::new(Semaphore::new(width)), width_max, state: Mutex::new(state) }
    }

    /// Waits for a slot.
    pub async fn enter(width: &Arc<Self>) -> Slot {
        // The semaphore is never closed, so the only error cannot happen.
        let permit = Arc::clone(&width.slots).acquire_owned().await.ok();
        Slot { permit, width: Arc::clone(width) }
    }

    /// The store asked for patience.
    pub fn throttled(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.halved_at.is_some_and(|at| at.elapsed() < HALVING_INTERVAL) || state.width == 1 {
            return;
        }
        let width = (state.width / 2).max(1);
        state.surplus += state.width - width;
        tracing::info!(side = self.side, from = state.width, to = width, "the store asks for patience");
        (state.width, state.halved_at, state.best_per_second) = (width, Some(Instant::now()), 0.0);
        (state.looked_at, state.requests) = (Instant::now(), 0);
    }

    /// A slot comes back: whether it is to be taken out of circulation.
    fn leave(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests += 1;
        if state.surplus > 0 {
            state.surplus -= 1;
            return true;
        }
        let elapsed = state.looked_at.elapsed();
        if elapsed >= LOOK_INTERVAL {
            let per_second = state.requests as f64 / elapsed.as_secs_f64();
            let grows = per_second > state.best_per_second * GROWTH;
            let step = (state.width / 4).max(1).min(self.width_max - state.width);
            // Slots that nobody wants are no reason to make more.
            if grows && step > 0 && self.slots.available_permits() == 0 {
                state.width += step;
                self.slots.add_permits(step);
                tracing::debug!(side = self.side, width = state.width, "the throughput grows with the width");
            }
            state.best_per_second = per_second.max(state.best_per_second * MEMORY);
            (state.looked_at, state.requests) = (Instant::now(), 0);
        }
        false
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.width.leave()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width_of(width: &Width) -> usize {
        width.state.lock().unwrap().width
    }

    /// So many requests, all at a time as the width allows, each of 100 ms.
    async fn work(width: &Arc<Width>, count: usize) {
        let request = || async {
            let _slot = Width::enter(width).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        futures::future::join_all((0..count).map(|_| request())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_while_the_throughput_grows_and_no_further() {
        let width = Arc::new(Width::new("target", 32));
        assert_eq!(width_of(&width), 16);
        work(&width, 2_000).await;
        assert_eq!(width_of(&width), 32);
        assert_eq!(width.slots.available_permits(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_halved_once_for_a_burst_and_grows_again() {
        let width = Arc::new(Width::new("target", 32));
        work(&width, 2_000).await;
        for _ in 0..20 {
            width.throttled();
        }
        assert_eq!(width_of(&width), 16);
        tokio::time::sleep(HALVING_INTERVAL).await;
        width.throttled();
        assert_eq!(width_of(&width), 8);
        work(&width, 100).await;
        assert!(width.slots.available_permits() >= 8, "what was taken out is {}", width.slots.available_permits());
        work(&width, 2_000).await;
        assert_eq!(width_of(&width), 32);
        for _ in 0..10 {
            tokio::time::sleep(HALVING_INTERVAL).await;
            width.throttled();
        }
        assert_eq!(width_of(&width), 1);
        work(&width, 2).await;
    }
}
