//! So many of something in a second, shared by all workers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What was not used may be made up for within this time.
const BURST: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct Pace {
    per_second: Option<f64>,
    /// When what was given out so far will have been due.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// `per_second` of them; `None` for no limit.
    pub fn new(per_second: Option<u64>) -> Self {
        Self { per_second: per_second.map(|count| count as f64), due: Mutex::default() }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(None)
    }

    /// Waits until `count` more are due.
    pub async fn take(&self, count: u64) {
        let Some(per_second) = self.per_second else { return };
        let due = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = Instant::now().checked_sub(BURST);
            let begin = due.max(earliest).unwrap_or_else(Instant::now);
            *due = Some(begin + Duration::from_secs_f64(count as f64 / per_second));
            begin
        };
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_holds_over_time() {
        let (pace, begun) = (Pace::new(Some(50)), Instant::now());
        for _ in 0..500 {
            pace.take(1).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        assert!((9.7..10.1).contains(&seconds), "{seconds}");
        Pace::unlimited().take(u64::MAX).await;
    }
}
