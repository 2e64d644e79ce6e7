//! Where a run stands: counters that the workers raise, shown by whoever the terminal suits.
//!
//! Workers hold a [`Progress`] (cheap to clone) and never print. The display reads the counters:
//! bars on a terminal, terse lines elsewhere, JSON lines on request ([`display`]). Nothing of the result is
//! computed from these numbers.

pub mod display;
pub(crate) mod screen;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Shared counters of one run.
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    item_unit: &'static str,
    phase: Mutex<Phase>,
    bytes_done: AtomicU64,
    items_done: AtomicU64,
    active: Mutex<VecDeque<String>>,
}

/// A stretch of the run with its own totals, for example `copy` or `verify`.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// The word shown.
    pub name: String,
    /// Bytes that the phase has to move; `None` while unknown (a bucket is still being listed).
    pub bytes_total: Option<u64>,
    /// Items that the phase has to handle; `None` while unknown.
    pub items_total: Option<u64>,
    started: Instant,
}

/// What the display shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The current phase.
    pub phase: Phase,
    /// Bytes moved in this phase.
    pub bytes_done: u64,
    /// Items finished in this phase.
    pub items_done: u64,
    /// Seconds since the phase began.
    pub phase_seconds: f64,
    /// Seconds since the run began.
    pub run_seconds: f64,
    /// What the workers are at, oldest first.
    pub active: Vec<String>,
}

impl Progress {
    /// Counters at zero in a phase called `prepare`. `item_unit` is the plural noun shown: `tables`, `objects`.
    pub fn new(item_unit: &'static str) -> Self {
        let started = Instant::now();
        let phase = Phase { name: "prepare".into(), bytes_total: None, items_total: None, started };
        Self {
            inner: Arc::new(Inner {
                started,
                item_unit,
                phase: Mutex::new(phase),
                bytes_done: AtomicU64::new(0),
                items_done: AtomicU64::new(0),
                active: Mutex::new(VecDeque::new()),
            }),
        }
    }

    /// Begins a phase; the counters start again from zero.
    pub fn begin_phase(&self, name: impl Into<String>, bytes_total: Option<u64>, items_total: Option<u64>) {
        let mut phase = self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = Phase { name: name.into(), bytes_total, items_total, started: Instant::now() };
        self.inner.bytes_done.store(0, Ordering::Relaxed);
        self.inner.items_done.store(0, Ordering::Relaxed);
    }

    /// Corrects the totals of the current phase, for example as a listing goes on.
    pub fn set_totals(&self, bytes_total: Option<u64>, items_total: Option<u64>) {
        let mut phase = self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner);
        phase.bytes_total = bytes_total;
        phase.items_total = items_total;
    }

    /// Corrects the bytes that the current phase has to move.
    pub fn set_bytes_total(&self, bytes_total: u64) {
        self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner).bytes_total = Some(bytes_total);
    }

    /// Bytes have moved.
    pub fn add_bytes(&self, bytes: u64) {
        self.inner.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that had moved have to be moved again.
    pub fn take_back_bytes(&self, bytes: u64) {
        let less = |done: u64| Some(done.saturating_sub(bytes));
        // Always `Ok`: the closure never declines.
        let _ = self.inner.bytes_done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Items are finished.
    pub fn add_items(&self, items: u64) {
        self.inner.items_done.fetch_add(items, Ordering::Relaxed);
    }

    /// Shows `label` among what is being worked on until the guard is dropped.
    #[must_use]
    pub fn working_on(&self, label: impl Into<String>) -> Working {
        let label = label.into();
        self.inner.active.lock().unwrap_or_else(PoisonError::into_inner).push_back(label.clone());
        Working { progress: self.clone(), label }
    }

    /// The plural noun for items.
    pub fn item_unit(&self) -> &'static str {
        self.inner.item_unit
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let phase = self.inner.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Snapshot {
            bytes_done: self.inner.bytes_done.load(Ordering::Relaxed),
            items_done: self.inner.items_done.load(Ordering::Relaxed),
            phase_seconds: phase.started.elapsed().as_secs_f64(),
            run_seconds: self.inner.started.elapsed().as_secs_f64(),
            active: self.inner.active.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
            phase,
        }
    }
}

impl Snapshot {
    /// Bytes per second in this phase so far.
    pub fn bytes_per_second(&self) -> f64 {
        if self.phase_seconds > 0.0 { self.bytes_done as f64 / self.phase_seconds } else { 0.0 }
    }

    /// How far the phase is, as (done, total): in bytes where their total is known, else in items.
    pub fn extent(&self) -> Option<(u64, u64)> {
        match (self.phase.bytes_total, self.phase.items_total) {
            (Some(total), _) if total > 0 => Some((self.bytes_done, total)),
            (_, Some(total)) => Some((self.items_done, total)),
            _ => None,
        }
    }

    /// Seconds to go in this phase at the rate so far; `None` while the total is unknown or nothing has moved.
    pub fn eta_seconds(&self) -> Option<f64> {
        let (done, total) = self.extent()?;
        (done > 0).then(|| self.phase_seconds * (total.saturating_sub(done)) as f64 / done as f64)
    }
}

/// Something being worked on; see [`Progress::working_on`].
#[derive(Debug)]
pub struct Working {
    progress: Progress,
    label: String,
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut active = self.progress.inner.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = active.iter().position(|label| *label == self.label) {
            active.remove(index);
        }
    }
}
