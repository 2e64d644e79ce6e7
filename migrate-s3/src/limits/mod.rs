//! How hard a side is worked: how many requests at a time, how many in a second, how many bytes.
//!
//! The width is found out, the paces are given. Knows nothing of what the requests are. Called by `store`, `read`.

mod pace;
mod width;

use std::sync::Arc;

pub use pace::Pace;
pub use width::{Slot, Width};

/// The limits of one side. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Limits {
    width: Arc<Width>,
    requests: Arc<Pace>,
    content: Arc<Pace>,
}

impl Limits {
    /// At most `width_max` requests at a time and `requests` in a second; `content` is usually shared by both sides.
    pub fn new(side: &'static str, width_max: usize, requests: Pace, content: Arc<Pace>) -> Self {
        Self { width: Arc::new(Width::new(side, width_max)), requests: Arc::new(requests), content }
    }

    /// No limits worth the name, for the few requests about state.
    pub fn none() -> Self {
        Self::new("state", 64, Pace::unlimited(), Arc::new(Pace::unlimited()))
    }

    /// Waits until a request may be made; it is being made for as long as the slot is held.
    pub async fn begin(&self) -> Slot {
        let slot = Width::enter(&self.width).await;
        self.requests.take(1).await;
        slot
    }

    /// Waits until so many bytes of content may have come.
    pub async fn content(&self, bytes: u64) {
        self.content.take(bytes).await;
    }

    /// The store asked for patience.
    pub fn throttled(&self) {
        self.width.throttled();
    }
}
