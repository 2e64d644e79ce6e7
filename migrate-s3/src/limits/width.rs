//! How many requests a side takes at a time: found out, because nobody knows it beforehand.
//!
//! The width grows by a quarter as long as the throughput grows with it; when it does not, a step is tried now and then
//! and taken back if it brought nothing. It is halved when the store asks for patience
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

/// So many looks without a change, and a step is tried.
const LOOKS_BEFORE_TRIAL: u32 = 6;

/// See the module.
#[derive(Debug)]
pub struct Width {
    side: &'static str,
    slots: Arc<Semaphore>,
    slots_max: usize,
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
    /// Looks since the last change.
    looks: u32,
    /// The width before a step that is being tried.
    before_trial: Option<usize>,
}

/// Leave to make one request; giving it back is dropping it.
#[derive(Debug)]
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    width: Arc<Width>,
}

impl Width {
    /// Begins with half of `slots_max` and goes no further than that.
    pub fn new(side: &'static str, slots_max: usize) -> Self {
        let width = slots_max.div_ceil(2);
        let state = State {
            width,
            surplus: 0,
            looked_at: Instant::now(),
            halved_at: None,
            requests: 0,
            best_per_second: 0.0,
            looks: 0,
            before_trial: None,
        };
        Self { side, slots: Arc::new(Semaphore::new(width)), slots_max, state: Mutex::new(state) }
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
        tracing::info!(side = self.side, from = state.width, to = width, "the store asks for patience");
        self.narrow(&mut state, width);
        (state.halved_at, state.best_per_second) = (Some(Instant::now()), 0.0);
        (state.looked_at, state.requests) = (Instant::now(), 0);
    }

    fn narrow(&self, state: &mut State, width: usize) {
        let less = state.width - width;
        state.surplus += less - self.slots.forget_permits(less);
        (state.width, state.looks, state.before_trial) = (width, 0, None);
    }

    fn widen(&self, state: &mut State, step: usize) {
        let kept = step.min(state.surplus);
        state.surplus -= kept;
        self.slots.add_permits(step - kept);
        state.width += step;
        (state.looks, state.before_trial) = (0, None);
    }

    /// What `per_second` requests, when all slots are wanted, say about the width.
    fn judge(&self, state: &mut State, per_second: f64) {
        let step = (state.width / 4).max(1).min(self.slots_max - state.width);
        if per_second > state.best_per_second * GROWTH {
            self.widen(state, step);
        } else if let Some(before) = state.before_trial {
            self.narrow(state, before);
        } else if state.looks >= LOOKS_BEFORE_TRIAL && step > 0 {
            let before = state.width;
            self.widen(state, step);
            state.before_trial = Some(before);
        } else {
            state.looks += 1;
        }
        state.best_per_second = per_second.max(state.best_per_second * MEMORY);
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
            // Slots that nobody wants are no reason to make more, and say nothing about what the store can do.
            if self.slots.available_permits() == 0 {
                self.judge(&mut state, per_second);
            }
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
        assert_eq!(width.slots.available_permits(), 8);
        work(&width, 4_000).await;
        assert!(width_of(&width) >= 24, "{}", width_of(&width));
        for _ in 0..10 {
            tokio::time::sleep(HALVING_INTERVAL).await;
            width.throttled();
        }
        assert_eq!(width_of(&width), 1);
        work(&width, 2).await;
    }
}
