//! The bound on memory: bytes in flight are permits, and a permit travels with its bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One unit of the budget: 4 KiB, so that a budget of terabytes still fits the semaphore.
const UNIT_BYTES: u64 = 4096;

/// A number of bytes that may be held at the same time, shared by all workers.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Leave to hold bytes; giving it back is dropping it.
#[derive(Debug)]
pub struct BytePermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// A budget of `bytes_max`, at least one unit of 4 KiB.
    pub fn new(bytes_max: u64) -> Self {
        let units_max = u32::try_from((bytes_max / UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// Waits until `bytes` may be held. A request beyond the whole budget waits for all of it: it runs alone
    /// rather than never.
    pub async fn take(&self, bytes: u64) -> BytePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max);
        // The semaphore is never closed, so the only error cannot happen.
        BytePermit { _permit: Arc::clone(&self.units).acquire_many_owned(units).await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_wait_for_bytes() {
        let budget = ByteBudget::new(64 * 1024);
        let first = budget.take(60_000).await;
        assert!(budget.take(10_000).now_or_never().is_none());
        drop(first);
        assert!(budget.take(10_000).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_giant_runs_alone() {
        let budget = ByteBudget::new(64 * 1024);
        let giant = budget.take(u64::MAX).await;
        assert!(budget.take(1).now_or_never().is_none());
        drop(giant);
        assert!(budget.take(1).now_or_never().is_some());
    }
}
