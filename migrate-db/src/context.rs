//! What every worker of a run shares: the pools, the recorder, the counters, the wish to stop.

use std::sync::{Arc, Mutex, PoisonError};

use common::progress::Progress;
use common::retry::{RetryPolicy, retry};
use tokio_util::sync::CancellationToken;

use crate::catalog::ServerVersion;
use crate::connect::{Lease, Pool};
use crate::error::Result;
use crate::forecast::Forecast;
use crate::record::Recorder;
use crate::rights::Rights;
use crate::statistics::Carrier;
use crate::stream::Surroundings;

/// What a start of a run found on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing of this run.
    Nothing,
    /// Work of an earlier start, or of somebody else.
    Work,
    /// Work of an earlier start, and the tables have their triggers and rules already.
    WorkAndTriggers,
}

/// Shared by all workers of one run; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Sessions with the source that see the run's snapshot; one per copying worker.
    pub readers: Pool,
    /// Sessions with the target that write rows; one per copying worker.
    pub writers: Pool,
    /// Sessions with the target that build indexes, check and verify.
    pub builders: Pool,
    /// The target's version.
    pub target_version: ServerVersion,
    /// Tables larger than this are read back in ranges.
    pub segment_bytes_max: u64,
    /// What there was on the target when this start of the run began.
    pub found: Found,
    /// Whether what was written is read back.
    pub reads_back: bool,
    /// The source's statistics, where they can be carried over.
    pub statistics: Option<Carrier>,
    /// Whether keys of rows may be shown.
    pub show_keys: bool,
    /// Which rights travel.
    pub rights: Rights,
    /// What happened.
    pub recorder: Recorder,
    /// Where it stands.
    pub progress: Progress,
    /// How much there is to move.
    pub forecast: Arc<Mutex<Forecast>>,
    /// Cancelled when the run is to end early.
    pub stop: CancellationToken,
}

impl Context {
    /// What surrounds a stream.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings { progress: self.progress.clone(), stop: self.stop.clone() }
    }

    /// A table that takes `on_disk` bytes on the source's disk was read in full, as `as_rows` bytes: the display's total
    /// follows.
    pub fn settle(&self, on_disk: u64, as_rows: u64) {
        let mut forecast = self.forecast.lock().unwrap_or_else(PoisonError::into_inner);
        forecast.settle(on_disk, as_rows);
        self.progress.set_bytes_total(self.passes() * forecast.bytes());
    }

    /// Bytes that are still to be copied or read back, as far as one can tell.
    pub fn bytes_left(&self) -> u64 {
        self.progress.snapshot().extent().map_or(0, |(done, total)| total.saturating_sub(done))
    }

    /// How often each byte passes: when it is copied, and when it is read back.
    pub fn passes(&self) -> u64 {
        if self.reads_back { 2 } else { 1 }
    }

    /// Runs `work` on a session of `pool`; a broken session is replaced and the work tried again. `work` must be safe to
    /// run twice, and is told the number of the attempt.
    pub async fn with_session<T>(&self, pool: &Pool, work: impl AsyncFn(&Lease, u32) -> Result<T>) -> Result<T> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |attempt| {
            let lease = pool.take().await?;
            let value = work(&lease, attempt).await?;
            lease.give_back();
            Ok(value)
        });
        attempted.await.outcome
    }
}
