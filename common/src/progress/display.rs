//! Shows the counters of a run: bars on a terminal, a terse line at intervals elsewhere, JSON lines on request.
//!
//! One task reads [`Progress`] and writes to stderr; it never touches the work, and nothing waits for it.
//! Started by each program's `run` once the arguments are known, ended before the summary is printed.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Progress, Snapshot, screen};
use crate::settings::LogFormat;
use crate::tasks::Background;
use crate::{telemetry, units};

/// How often bars are redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(125);

/// How long [`Display::finish`] waits for the last line: a stderr that takes nothing must not hold up the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Names of work in progress shown below the bar; further ones are counted.
const ACTIVE_SHOWN: usize = 6;

/// A running display. Dropping it stops it without a last line.
#[derive(Debug)]
pub struct Display {
    task: Option<Background>,
    finished: CancellationToken,
}

impl Display {
    /// Begins to show `progress`: bars where stderr is a terminal and the format is text, otherwise one line each
    /// `interval`.
    pub fn start(progress: Progress, format: LogFormat, interval: Duration) -> Self {
        let finished = CancellationToken::new();
        let token = finished.clone();
        let task = if format == LogFormat::Text && screen::is_terminal() {
            Background::spawn(draw_bars(progress, token))
        } else {
            Background::spawn(write_lines(progress, format, interval, token))
        };
        Self { task: Some(task), finished }
    }

    /// Writes the last line and stops.
    pub async fn finish(mut self) {
        self.finished.cancel();
        if let Some(task) = self.task.take() {
            // When time is up the task is aborted; there is nothing left to do for it.
            let _ = tokio::time::timeout(FINISH_TIMEOUT, task.finished()).await;
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        screen::clear();
    }
}

async fn write_lines(progress: Progress, format: LogFormat, interval: Duration, finished: CancellationToken) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = finished.cancelled() => true,
        };
        write_line(&progress, format, last);
        if last {
            return;
        }
    }
}

fn write_line(progress: &Progress, format: LogFormat, last: bool) {
    let snapshot = progress.snapshot();
    match format {
        LogFormat::Json => screen::line(&json_line(&snapshot, progress.item_unit(), last)),
        LogFormat::Text => {
            screen::line(&format!("{} {}", telemetry::time_of_day(), text_line(&snapshot, progress.item_unit(), last)));
        }
    }
}

async fn draw_bars(progress: Progress, finished: CancellationToken) {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let overall = bars.add(ProgressBar::new(0).with_style(style("{wide_msg}\n{bar:40.cyan/dim} {percent:>3} %")));
    let active = bars.add(ProgressBar::new(0).with_style(style("{wide_msg}")));
    screen::show(&bars);
    let mut ticks = tokio::time::interval(REDRAW_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let snapshot = progress.snapshot();
        let (done, total) = snapshot.extent().unwrap_or((0, 0));
        overall.set_length(total);
        overall.set_position(done.min(total));
        overall.set_message(text_line(&snapshot, progress.item_unit(), false));
        active.set_message(active_line(&snapshot));
        tokio::select! {
            _ = ticks.tick() => {}
            () = finished.cancelled() => break,
        }
    }
    screen::clear();
    write_line(&progress, LogFormat::Text, true);
}

fn style(template: &str) -> ProgressStyle {
    // The templates are the constants above; a wrong one would show up as a plain bar, not as a failure.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

/// `copy 412.0 MB of 1.2 GB, 14 of 32 tables, 88.1 MB/s, 9 s to go`.
fn text_line(snapshot: &Snapshot, item_unit: &str, last: bool) -> String {
    let mut parts = Vec::with_capacity(4);
    match snapshot.phase.bytes_total {
        Some(total) if total > 0 => {
            parts.push(format!("{} of {}", units::bytes(snapshot.bytes_done), units::bytes(total)));
        }
        _ if snapshot.bytes_done > 0 => parts.push(units::bytes(snapshot.bytes_done)),
        _ => {}
    }
    match snapshot.phase.items_total {
        Some(total) => {
            parts.push(format!("{} of {} {item_unit}", units::count(snapshot.items_done), units::count(total)));
        }
        None if snapshot.items_done > 0 => parts.push(format!("{} {item_unit}", units::count(snapshot.items_done))),
        None => {}
    }
    if snapshot.bytes_done > 0 {
        parts.push(units::rate(snapshot.bytes_per_second()));
    }
    if last {
        parts.push(format!("ended after {}", units::duration(snapshot.run_seconds)));
    } else if let Some(seconds) = snapshot.eta_seconds() {
        parts.push(format!("{} to go", units::estimate(seconds)));
    }
    format!("{} {}", snapshot.phase.name, parts.join(", ")).trim_end().to_owned()
}

/// What the workers are at, oldest first.
fn active_line(snapshot: &Snapshot) -> String {
    let mut names: Vec<String> = snapshot.active.iter().take(ACTIVE_SHOWN).map(|name| units::one_line(name)).collect();
    if snapshot.active.len() > ACTIVE_SHOWN {
        names.push(format!("and {} more", snapshot.active.len() - ACTIVE_SHOWN));
    }
    names.join(", ")
}

fn json_line(snapshot: &Snapshot, item_unit: &str, last: bool) -> String {
    json!({
        "type": "progress",
        "timestamp": telemetry::timestamp(),
        "phase": snapshot.phase.name,
        "bytes_done": snapshot.bytes_done,
        "bytes_total": snapshot.phase.bytes_total,
        "items_done": snapshot.items_done,
        "items_total": snapshot.phase.items_total,
        "item_unit": item_unit,
        "bytes_per_second": snapshot.bytes_per_second().round(),
        "eta_seconds": if last { None } else { snapshot.eta_seconds().map(f64::ceil) },
        "run_seconds": (snapshot.run_seconds * 10.0).round() / 10.0,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::progress::Phase;

    fn snapshot(bytes: (u64, Option<u64>), items: (u64, Option<u64>)) -> Snapshot {
        Snapshot {
            phase: Phase { name: "copy".into(), bytes_total: bytes.1, items_total: items.1, started: Instant::now() },
            bytes_done: bytes.0,
            items_done: items.0,
            phase_seconds: 5.0,
            run_seconds: 6.25,
            active: Vec::new(),
        }
    }

    #[test]
    fn the_line_says_what_is_known() {
        let cases = [
            (snapshot((0, None), (0, None)), "copy"),
            (snapshot((0, Some(0)), (0, Some(0))), "copy 0 of 0 tables"),
            (snapshot((0, None), (1200, None)), "copy 1,200 tables"),
            (
                snapshot((412_000_000, Some(1_200_000_000)), (14, Some(32))),
                "copy 412.0 MB of 1.2 GB, 14 of 32 tables, 82.4 MB/s, 10 s to go",
            ),
            (snapshot((412_000_000, None), (14, None)), "copy 412.0 MB, 14 tables, 82.4 MB/s"),
        ];
        for (snapshot, text) in cases {
            assert_eq!(text_line(&snapshot, "tables", false), text);
        }
    }

    #[test]
    fn the_last_line_has_the_time() {
        let text = text_line(&snapshot((1000, Some(1000)), (2, Some(2))), "tables", true);
        assert_eq!(text, "copy 1.0 kB of 1.0 kB, 2 of 2 tables, 200 B/s, ended after 6.2 s");
    }

    #[test]
    fn json_has_the_numbers() {
        let line = json_line(&snapshot((500, Some(1000)), (1, None)), "objects", false);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["type"], "progress");
        assert_eq!((&value["bytes_total"], &value["items_total"]), (&json!(1000), &json!(null)));
        assert_eq!(value["eta_seconds"], json!(5.0));
    }

    #[test]
    fn many_workers_fit_one_line() {
        let mut snapshot = snapshot((0, None), (0, None));
        snapshot.active = (0..9).map(|index| format!("t{index}\n")).collect();
        assert_eq!(active_line(&snapshot), "t0\\n, t1\\n, t2\\n, t3\\n, t4\\n, t5\\n, and 3 more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_display_ends_when_told() {
        let display = Display::start(Progress::new("tables"), LogFormat::Json, Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(25)).await;
        display.finish().await;
    }
}
