//! The timeline as a picture: one row per lane, one box per span, drawn as inline SVG.
//!
//! A box has its name, kind and times as its tooltip. Boxes narrower than a stroke are drawn a stroke wide: what
//! took no time still happened.

use std::fmt::Write as _;

use super::escape::Escaped;
use crate::report::{Report, Span};
use crate::units;

/// Kinds with a colour of their own, in the order of the legend, and what they are called there.
const KINDS: [(&str, &str); 8] = [
    ("list", "listing"),
    ("schema", "schema"),
    ("copy", "copy"),
    ("index", "index"),
    ("constraint", "constraint"),
    ("analyze", "analyze"),
    ("verify", "verify"),
    ("wait", "waiting"),
];

const WIDTH: f64 = 1100.0;
const LABEL_WIDTH: f64 = 120.0;
const ROW_HEIGHT: f64 = 26.0;
const BOX_HEIGHT: f64 = 18.0;
const AXIS_HEIGHT: f64 = 24.0;
const BOX_WIDTH_MIN: f64 = 1.0;
/// Room for the last label of the axis.
const RIGHT_MARGIN: f64 = 40.0;
/// Letters of a lane's name that fit beside its row.
const LABEL_LETTERS: usize = 18;

pub(super) fn section(page: &mut String, report: &Report) {
    let end_ms = report.timeline.iter().flat_map(|lane| &lane.spans).map(|span| span.end_ms).max().unwrap_or(0);
    if end_ms == 0 {
        return;
    }
    let height = AXIS_HEIGHT + ROW_HEIGHT * report.timeline.len() as f64;
    let _ = writeln!(
        page,
        "<h2>Timeline</h2>\n<div class=\"wrap\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"What ran when, over {}\">",
        units::duration(end_ms as f64 / 1000.0),
    );
    let x = |ms: u64| LABEL_WIDTH + (WIDTH - LABEL_WIDTH - RIGHT_MARGIN) * ms as f64 / end_ms as f64;
    for (index, lane) in report.timeline.iter().enumerate() {
        let top = AXIS_HEIGHT + ROW_HEIGHT * index as f64;
        let _ = writeln!(
            page,
            "<rect class=\"row\" x=\"{LABEL_WIDTH}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{BOX_HEIGHT}\"/>\
             <text x=\"0\" y=\"{:.0}\">{}</text>",
            top + 4.0,
            WIDTH - LABEL_WIDTH - RIGHT_MARGIN,
            top + 17.0,
            Escaped(&shortened(&lane.name)),
        );
    }
    axis(page, end_ms, height, x);
    for (index, lane) in report.timeline.iter().enumerate() {
        let top = AXIS_HEIGHT + ROW_HEIGHT * index as f64 + 4.0;
        for span in &lane.spans {
            span_box(page, span, top, x);
        }
    }
    page.push_str("</svg></div>\n");
    legend(page, report);
}

fn axis(page: &mut String, end_ms: u64, height: f64, x: impl Fn(u64) -> f64) {
    let step = tick_ms(end_ms);
    for tick in (0..=end_ms).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let at = x(tick);
        let _ = writeln!(
            page,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"18\" y2=\"{height:.0}\"/>\
             <text x=\"{at:.1}\" y=\"12\" text-anchor=\"middle\">{}</text>",
            tick_label(tick, step),
        );
    }
}

/// The distance of two ticks: the smallest round one that leaves at most ten.
fn tick_ms(end_ms: u64) -> u64 {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const STEPS: [u64; 20] = [
        1,
        10,
        50,
        100,
        200,
        500,
        SECOND,
        2 * SECOND,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        6 * HOUR,
        24 * HOUR,
    ];
    STEPS.into_iter().find(|step| end_ms / step <= 10).unwrap_or_else(|| (end_ms / 10).max(1))
}

fn tick_label(ms: u64, step: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    match step {
        ..100 => format!("{ms} ms"),
        100..1000 => format!("{:.1} s", ms as f64 / 1000.0),
        1000..60_000 if ms < 60_000 => format!("{seconds} s"),
        1000..60_000 => format!("{minutes}:{seconds:02}"),
        60_000..3_600_000 if hours == 0 => format!("{minutes} min"),
        _ => format!("{hours}:{minutes:02} h"),
    }
}

fn span_box(page: &mut String, span: &Span, top: f64, x: impl Fn(u64) -> f64) {
    let left = x(span.start_ms);
    let width = (x(span.end_ms.max(span.start_ms)) - left).max(BOX_WIDTH_MIN);
    let kind = KINDS.iter().find(|(kind, _)| *kind == span.kind);
    let _ = writeln!(
        page,
        "<rect class=\"k-{}\" x=\"{left:.1}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT}\" rx=\"1\">\
         <title>{}: {}, {} after {}</title></rect>",
        kind.map_or("other", |(kind, _)| kind),
        Escaped(&span.kind),
        Escaped(&span.label),
        units::duration(span.end_ms.saturating_sub(span.start_ms) as f64 / 1000.0),
        units::duration(span.start_ms as f64 / 1000.0),
    );
}

fn legend(page: &mut String, report: &Report) {
    let used = |kind: &str| report.timeline.iter().flat_map(|lane| &lane.spans).any(|span| span.kind == kind);
    page.push_str("<ul class=\"legend\">");
    for (kind, words) in KINDS.into_iter().filter(|(kind, _)| used(kind)) {
        let _ = write!(page, "<li><i class=\"k-{kind}\"></i>{words}</li>");
    }
    let known = |span: &Span| KINDS.iter().any(|(kind, _)| *kind == span.kind);
    if report.timeline.iter().flat_map(|lane| &lane.spans).any(|span| !known(span)) {
        page.push_str("<li><i class=\"k-other\"></i>other</li>");
    }
    page.push_str("</ul>\n");
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LABEL_LETTERS {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LABEL_LETTERS - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (end_ms, step, label) in [
            (1, 1, "1 ms"),
            (900, 100, "0.9 s"),
            (14_100, 2000, "14 s"),
            (125_000, 30_000, "2:00"),
            (7_500_000, 1_800_000, "2:00 h"),
            (400_000_000_000, 40_000_000_000, "111111:06 h"),
        ] {
            assert_eq!(tick_ms(end_ms), step, "{end_ms}");
            assert_eq!(tick_label(end_ms / step * step, step), label);
        }
    }
}
