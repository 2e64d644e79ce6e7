//! The report as a value: `report.json` is this, serialised.
//!
//! Pure data: no I/O. Field names are public interface; a change that removes or redefines one raises
//! [`SCHEMA_VERSION`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::finding::{Finding, ProofLevel, Verdict};

/// Version of the schema of `report.json` and of the summary line.
pub const SCHEMA_VERSION: u32 = 1;

/// Items and findings beyond this number are counted, not listed: a bucket may hold millions. The manifest has all.
pub const LISTED_MAX: usize = 2_000;

/// One run, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `migrate-db` or `migrate-s3`.
    pub program: String,
    /// The program's version.
    pub version: String,
    /// Identifies the run; the same when a later start goes on with it.
    pub run_id: String,
    /// `migrate`, `dry-run`, `verify` or `repair`.
    pub mode: String,
    /// The environment's name, where one was given.
    pub environment: Option<String>,
    /// When this start of the run began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Where the data comes from.
    pub source: Side,
    /// Where it goes.
    pub target: Side,
    /// The word.
    pub verdict: Verdict,
    /// The process' exit code.
    pub exit_code: u8,
    /// Why the run did not get to its end, as shown to the operator.
    pub failure: Option<String>,
    /// The balance sheet.
    pub totals: Totals,
    /// What preflight looked at.
    pub preflight: Vec<Check>,
    /// The settings that mattered; never a secret.
    pub settings: BTreeMap<String, String>,
    /// Item by item, at most [`LISTED_MAX`]; those with findings first.
    pub items: Vec<Item>,
    /// Items that exist beyond those listed.
    pub items_omitted: u64,
    /// What verification and the run had to say, at most [`LISTED_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub findings_omitted: u64,
    /// When what happened.
    pub timeline: Vec<Lane>,
}

/// One end of the migration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// Where it is, without credentials: `postgresql://host:5432/database` or `s3://bucket/prefix`.
    pub location: String,
    /// What answers there, for example `PostgreSQL 17.4` or `S3 at https://…, eu-west-2`.
    pub engine: String,
}

/// The balance sheet. [`Totals::balance`] holds whenever a run went to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// What is counted: `table` or `object`.
    pub unit: String,
    /// Items that the source listed.
    pub listed: u64,
    /// Copied by this run (also by an earlier start of it).
    pub copied: u64,
    /// Found equal and left alone; in `--verify`, compared and equal.
    pub equal: u64,
    /// Left behind on purpose; each has its reason.
    pub skipped: u64,
    /// Could not be copied, or differ.
    pub failed: u64,
    /// Only on the target.
    pub target_only: u64,
    /// Bytes of content of all items listed.
    pub bytes_listed: u64,
    /// Bytes of content copied by this start of the run.
    pub bytes_copied: u64,
    /// Rows copied; absent for objects.
    pub rows: Option<u64>,
}

/// The balance sheet does not add up: a defect of the program, never hidden.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the totals do not balance: {listed} {unit}s listed, but {accounted} accounted for; this is a defect of the program"
)]
pub struct Unbalanced {
    unit: String,
    listed: u64,
    accounted: u64,
}

impl Totals {
    /// Checks `listed = copied + equal + skipped + failed`.
    pub fn balance(&self) -> Result<(), Unbalanced> {
        let accounted = self.copied + self.equal + self.skipped + self.failed;
        if accounted == self.listed {
            return Ok(());
        }
        Err(Unbalanced { unit: self.unit.clone(), listed: self.listed, accounted })
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Moved by this run.
    Copied,
    /// Already there and equal.
    Equal,
    /// Left behind on purpose.
    Skipped,
    /// Not moved, or differs.
    Failed,
    /// Only on the target.
    TargetOnly,
    /// Planned, and not reached before the end of this start of the run.
    Pending,
}

impl ItemState {
    /// The words as they stand in tables.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Equal => "equal",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::TargetOnly => "target only",
            Self::Pending => "pending",
        }
    }
}

/// One table or object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// The table's qualified name or the object's key (bytes that are not UTF-8 or not printable, percent-encoded).
    pub name: String,
    /// What became of it.
    pub state: ItemState,
    /// How strongly its equality is proved.
    pub proof: ProofLevel,
    /// Bytes of content; of a table, as copied.
    pub bytes: u64,
    /// Rows; absent for objects.
    pub rows: Option<u64>,
    /// The source's digest: 128-bit sum (table) or SHA-256 (object), hexadecimal.
    pub digest_source: Option<String>,
    /// The target's digest, where the target was read.
    pub digest_target: Option<String>,
    /// Seconds spent on it, all workers together.
    pub seconds: f64,
    /// The reason of a skip, the error of a failure, or anything else worth a word.
    pub remark: Option<String>,
}

/// One look that preflight took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, for example `target is empty`.
    pub name: String,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What was seen.
    pub detail: String,
    /// The exact next step, when it did not pass.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// As it should be.
    Pass,
    /// Goes on, but a person should know.
    Warn,
    /// Nothing is changed until this is mended.
    Fail,
}

impl CheckOutcome {
    /// The word as it stands in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warning",
            Self::Fail => "fail",
        }
    }
}

impl Check {
    /// A check that passed.
    pub fn pass(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: CheckOutcome::Pass, detail: detail.into(), fix: None }
    }

    /// A check that a person should know about.
    pub fn warn(name: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: CheckOutcome::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// A check that stops the run before anything is changed.
    pub fn fail(name: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: CheckOutcome::Fail, detail: detail.into(), fix: Some(fix.into()) }
    }
}

/// One row of the timeline picture: a worker or a phase.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lane {
    /// The row's label.
    pub name: String,
    /// What happened in it, in order of start, without overlap.
    pub spans: Vec<Span>,
}

/// Something that took time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Span {
    /// What it was, for example a table's name.
    pub label: String,
    /// Its kind decides its colour: `schema`, `copy`, `index`, `constraint`, `verify`, `analyze`, `list`, `wait`.
    pub kind: String,
    /// Milliseconds after `started_at` when it began.
    pub start_ms: u64,
    /// Milliseconds after `started_at` when it ended.
    pub end_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_item_is_noticed() {
        let mut totals =
            Totals { unit: "table".into(), listed: 4, copied: 1, equal: 1, skipped: 1, failed: 1, ..Totals::default() };
        assert_eq!(totals.balance(), Ok(()));
        totals.failed = 0;
        let error = totals.balance().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the totals do not balance: 4 tables listed, but 3 accounted for; this is a defect of the program"
        );
    }
}
