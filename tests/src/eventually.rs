//! Waiting for something that another process brings about, with a limit.

use std::time::{Duration, Instant};

/// Nothing that a test waits for takes longer on a machine with two loaded cores.
const WAIT_MAX: Duration = Duration::from_mins(4);

/// Asks `is_so` every five milliseconds until it says yes.
///
/// # Panics
///
/// When four minutes pass without a yes; the message names `what`.
#[track_caller]
pub fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    wait(format!("{what} (waited for at {})", std::panic::Location::caller()), is_so)
}

async fn wait(what: String, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let answer = tokio::time::timeout_at(deadline.into(), is_so()).await;
        match answer {
            Ok(true) => return,
            Ok(false) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => panic!("within {WAIT_MAX:?} it did not come to this: {what}"),
        }
    }
}
