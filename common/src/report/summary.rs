//! The result on stdout: a short table for people, one JSON object for machines.
//!
//! [`text`] and [`json`] are pure; [`print`] is the one function of the workspace that writes to stdout. Called at
//! the end of both programs.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use serde_json::json;

use super::headline::{self, headline, worst_first};
use super::{CheckOutcome, Report, Written};
use crate::units::{bytes, count, counted, duration, one_line, rate};

/// Findings shown at most; the report has more, the manifest has all.
const FINDINGS_SHOWN: usize = 20;

/// The table for people. `written` is where the report was put, if it was.
pub fn text(report: &Report, written: Option<&Written>) -> String {
    let headline = headline(report);
    let totals = &report.totals;
    let mut text = String::new();
    line(&mut text, headline.label, headline.word);
    line(&mut text, "source", &format!("{} ({})", report.source.location, report.source.engine));
    line(&mut text, "target", &format!("{} ({})", report.target.location, report.target.engine));
    let balance = headline::balance(report);
    let terms: Vec<String> = balance.terms.iter().map(|(number, word)| format!("{} {word}", count(*number))).collect();
    let mut equation = format!("{} listed {} {}", count(totals.listed), balance.sign, terms.join(" + "));
    if totals.target_only > 0 {
        let _ = write!(equation, "; {} only on the target", count(totals.target_only));
    }
    line(&mut text, &format!("{}s", totals.unit), &equation);
    if let Some(rows) = totals.rows {
        line(&mut text, "rows", &count(rows));
    }
    line(&mut text, "data", &data(report));
    if let Some(written) = written {
        line(&mut text, "report", &written.html);
    }
    if let Some(failure) = &report.failure {
        // Its causes and the next step are on stderr and in the report.
        line(&mut text, "failure", &one_line(failure.lines().next().unwrap_or_default()));
    }
    checks(&mut text, report);
    findings(&mut text, report);
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "{label:<9} {value}");
}

fn data(report: &Report) -> String {
    let seconds = headline::seconds(report);
    if report.mode == "dry-run" {
        return format!("{} to copy", bytes(report.totals.bytes_listed));
    }
    let mut data = format!("{} in {}", bytes(headline::bytes(report)), duration(seconds));
    if let Some(per_second) = headline::bytes_per_second(report) {
        let _ = write!(data, " ({})", rate(per_second));
    }
    data
}

fn checks(text: &mut String, report: &Report) {
    let mut open: Vec<_> = report.preflight.iter().filter(|check| check.outcome != CheckOutcome::Pass).collect();
    open.sort_by_key(|check| std::cmp::Reverse(check.outcome));
    if !open.is_empty() {
        text.push_str("\nchecks\n");
    }
    for check in open {
        let _ = writeln!(text, "  {:<12} {}: {}", check.outcome.word(), one_line(&check.name), one_line(&check.detail));
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "  {:<12} {}", "next", one_line(fix));
        }
    }
}

fn findings(text: &mut String, report: &Report) {
    let sorted = worst_first(&report.findings);
    if !sorted.is_empty() {
        text.push_str("\nfindings\n");
    }
    for finding in sorted.iter().take(FINDINGS_SHOWN) {
        let (item, aspect) = (one_line(&finding.item), one_line(&finding.aspect));
        let _ = writeln!(text, "  {:<12} {item} ({aspect}): {}", finding.kind.words(), one_line(&finding.detail));
    }
    let more = sorted.len().saturating_sub(FINDINGS_SHOWN) as u64 + report.findings_omitted;
    if more > 0 {
        let _ = writeln!(text, "  and {} more: see the report", counted(more, "finding"));
    }
}

/// The summary line for machines; its fields are documented in `runbooks/reference/report.md`.
pub fn json(report: &Report, written: Option<&Written>) -> String {
    json!({
        "type": "summary",
        "schema_version": report.schema_version,
        "program": report.program,
        "version": report.version,
        "run_id": report.run_id,
        "mode": report.mode,
        "environment": report.environment,
        "source": report.source,
        "target": report.target,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "failure": report.failure,
        "totals": report.totals,
        "findings_count": report.findings.len() as u64 + report.findings_omitted,
        "report": written,
    })
    .to_string()
}

/// Writes `text` to stdout with a newline at its end. A reader that has gone away is no error.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let written = write!(stdout, "{text}{newline}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::finding::{Finding, FindingKind};

    #[test]
    fn equal_in_short() {
        let report = sample::equal(32);
        insta::assert_snapshot!(text(&report, Some(&sample::written())));
    }

    #[test]
    fn the_worst_comes_first_and_the_rest_is_counted() {
        let mut report = sample::different();
        report.findings.extend((0..30).map(|index| {
            Finding::new(FindingKind::Unknown, format!("odd\nkey {index}"), "content", "the target cannot be read")
        }));
        insta::assert_snapshot!(text(&report, None));
    }

    #[test]
    fn a_dry_run_never_says_equal() {
        let report = sample::dry_run();
        insta::assert_snapshot!(text(&report, None));
    }

    #[test]
    fn machines_read_one_line() {
        let line = json(&sample::different(), Some(&sample::written()));
        assert!(!line.contains('\n'));
        insta::assert_snapshot!(line);
    }
}
