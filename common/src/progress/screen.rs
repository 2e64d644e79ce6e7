//! The one door to stderr: log lines and progress lines go through it, so that none of them tears a bar.
//!
//! Knows nothing of what the lines say. Called by the display and by the telemetry.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;

/// The bars that are on the screen now, if any.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Whether stderr is a terminal that a person looks at.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours may be used on stderr: on a terminal, unless `NO_COLOR` (no-color.org) or `TERM=dumb` say no.
pub(crate) fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_terminal() && !refused && !dumb
}

/// Writes one line to stderr, above the bars where there are some. A stderr that is gone is no reason to fail.
pub(crate) fn line(text: &str) {
    let write = || {
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        // One write, so that lines of several threads do not mix.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    };
    match &*BARS.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Puts `bars` on the screen; lines go above them from now on.
pub(super) fn show(bars: &MultiProgress) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
}

/// Takes the bars off the screen.
pub(super) fn clear() {
    if let Some(bars) = BARS.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = bars.clear();
    }
}
