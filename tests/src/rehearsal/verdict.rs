//! What the reports say, and the table at the end. Knows the documented fields of `report.json`, nothing of the programs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::program::Program;

/// The fields of `report.json` that a judge needs.
#[derive(Debug, Deserialize)]
struct Report {
    verdict: String,
    totals: Totals,
}

#[derive(Debug, Deserialize)]
struct Totals {
    unit: String,
    listed: u64,
    bytes_listed: u64,
}

/// How one run came out.
pub(super) struct Verdict {
    subject: String,
    exit_code: i32,
    took: Duration,
    report: Result<Report, String>,
    page: PathBuf,
}

impl Verdict {
    pub(super) fn read(program: &Program, exit_code: i32, took: Duration) -> Self {
        let path = program.report.join("report.json");
        let report = std::fs::read(&path)
            .map_err(|error| format!("no report at {}: {error}", path.display()))
            .and_then(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error| format!("{} is no report: {error}", path.display()))
            });
        let page = program.report.join("report.html");
        Self { subject: program.subject.clone(), exit_code, took, report, page }
    }

    /// Whether the exit code and the report both say so.
    pub(super) fn is_equal(&self) -> bool {
        self.exit_code == 0 && self.report.as_ref().is_ok_and(|report| report.verdict == "equal")
    }
}

/// A line per run, then where to read more.
pub(super) fn table(verdicts: &[Verdict]) -> String {
    let mut text = format!("\n{:<22}{:<11}{:<6}{:>16}{:>10}{:>9}", "what", "verdict", "exit", "items", "MB", "seconds");
    let mut push = |line: String| writeln!(text).and_then(|()| text.write_str(&line)).expect("a string takes a line");
    for verdict in verdicts {
        let (subject, exit_code, seconds) = (&verdict.subject, verdict.exit_code, verdict.took.as_secs_f64());
        match &verdict.report {
            Ok(Report { verdict: word, totals }) => {
                let items = format!("{} {}s", totals.listed, totals.unit);
                let megabytes = totals.bytes_listed as f64 / 1e6;
                push(format!("{subject:<22}{word:<11}{exit_code:<6}{items:>16}{megabytes:>10.1}{seconds:>9.1}"));
            }
            Err(reason) => push(format!("{subject:<22}{:<11}{exit_code:<6}{reason}", "unknown")),
        }
    }
    push("\nReports to open in a browser:".to_owned());
    for verdict in verdicts {
        push(format!("  {}", verdict.page.display()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(report: PathBuf) -> Program {
        Program { binary: PathBuf::from("migrate-db"), subject: "database".to_owned(), variables: Vec::new(), report }
    }

    #[test]
    fn equal_needs_the_exit_code_and_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path().to_owned());
        let read = |exit_code| Verdict::read(&program, exit_code, Duration::from_secs(1));
        assert!(!read(0).is_equal(), "no report");

        let report = |word: &str| {
            let totals = r#"{"unit": "table", "listed": 32, "bytes_listed": 1000000}"#;
            let json = format!("{{\"verdict\": \"{word}\", \"totals\": {totals}}}");
            std::fs::write(folder.path().join("report.json"), json).unwrap();
        };
        report("equal");
        assert!(read(0).is_equal());
        assert!(!read(4).is_equal(), "the exit code says otherwise");
        assert!(table(&[read(0)]).contains("equal      0            32 tables       1.0      1.0"));

        report("unproved");
        assert!(!read(0).is_equal(), "the report says otherwise");
    }
}
