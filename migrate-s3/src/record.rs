//! The books of a run: one record per object, kept as totals, listed items, findings, manifest and journal.
//!
//! The only place where records are counted. Memory is bounded: items and findings beyond what the report lists are
//! counted, the manifest has them all. Called by `run`, read by `outcome`.

use common::error::Class;
use common::finding::{Finding, FindingKind, Verdict};
use common::location::BucketUrl;
use common::report::model::LISTED_MAX;
use common::report::{Item, ItemState, Totals, Writer};
use serde::Serialize;

use crate::config::Config;
use crate::copy::Proved;
use crate::errand::Errand;
use crate::error::Error;
use crate::failed_rows::{self, FailedRows};
use crate::journal;
use crate::listing::Entry;
use crate::state::State;
use crate::timeline::Timeline;

/// So many failures in a row, all for a cause outside the objects, are the cause of the run's end.
const FAILURES_IN_A_ROW_MAX: u32 = 64;

/// Why an object failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error with its causes and the next step.
    pub text: String,
    /// What can be done about it.
    pub class: Class,
    /// Whether it was a matter of rights.
    pub is_denied: bool,
}

/// What became of one object.
#[derive(Debug, Clone)]
pub struct Record {
    /// The object as it was worked on; of those that only the target has, as the target lists it.
    pub entry: Entry,
    /// The target's ETag, where there is one.
    pub target_etag: String,
    /// What became of it.
    pub state: ItemState,
    /// What was proved.
    pub proved: Option<Proved>,
    /// What is worth saying.
    pub findings: Vec<Finding>,
    /// Anything else worth a word.
    pub remark: Option<String>,
    /// Why it failed, when an error was the reason.
    pub failure: Option<Failure>,
    /// Requests that had to be repeated.
    pub retries: u32,
}

/// A record with the time it took and the worker that made it.
#[derive(Debug)]
pub struct Timed {
    /// The record.
    pub record: Record,
    /// The worker's number.
    pub worker: usize,
    /// Milliseconds after the run's start.
    pub start_ms: u64,
    /// Milliseconds after the run's start.
    pub end_ms: u64,
}

/// A line of the manifest. The names are public interface (`runbooks/reference/report.md`).
#[derive(Debug, Serialize)]
struct ManifestLine<'a> {
    bucket: Option<&'a str>,
    key: String,
    version_id: Option<&'a str>,
    is_delete_marker: bool,
    state: ItemState,
    size: u64,
    sha256: Option<String>,
    source_etag: &'a str,
    source_last_modified: Option<jiff::Timestamp>,
    target_etag: &'a str,
    target_version_id: Option<&'a str>,
    target_sha256: Option<String>,
    target_checksum: Option<&'a str>,
    proof: common::finding::ProofLevel,
    attempts: u32,
    error: Option<&'a str>,
    remark: Option<&'a str>,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    /// The balance sheet so far.
    pub totals: Totals,
    /// The worst verdict so far.
    pub verdict: Verdict,
    /// Findings, at most [`LISTED_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub findings_omitted: u64,
    /// What happened when.
    pub timeline: Timeline,
    troubled: Vec<Item>,
    untroubled: Vec<Item>,
    items_count: u64,
    writer: Option<Writer>,
    allow_extra: bool,
    failures_in_a_row: u32,
    /// Whether an object was read in this run: then rights that lack are those of other objects.
    has_read: bool,
    failed_rows: Option<FailedRows>,
}

impl Ledger {
    /// Empty books. `writer` takes the manifest.
    pub fn new(writer: Option<Writer>, failed_rows: Option<FailedRows>, config: &Config) -> Self {
        Self {
            totals: Totals { unit: config.unit().into(), ..Totals::default() },
            verdict: Verdict::Equal,
            findings: Vec::new(),
            findings_omitted: 0,
            timeline: Timeline::default(),
            troubled: Vec::new(),
            untroubled: Vec::new(),
            items_count: 0,
            writer,
            allow_extra: config.allow_extra,
            failures_in_a_row: 0,
            has_read: false,
            failed_rows,
        }
    }

    /// Completes the list of what failed, when the books are closed.
    pub async fn close_failed_rows(&mut self) -> Result<(), Error> {
        match self.failed_rows.take() {
            Some(failed_rows) => {
                let sum = failed_rows.finish().await?;
                if let Some(writer) = &mut self.writer {
                    writer.also_sum(failed_rows::NAME, sum);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The report's writer, when the books are closed.
    pub fn take_writer(&mut self) -> Option<Writer> {
        self.writer.take()
    }

    /// The items to list, those with findings first, and how many there are beyond them.
    pub fn items(&self) -> (Vec<Item>, u64) {
        let listed: Vec<Item> = self.troubled.iter().chain(&self.untroubled).take(LISTED_MAX).cloned().collect();
        let omitted = self.items_count - listed.len() as u64;
        (listed, omitted)
    }

    /// Books `timed`; `bucket` is the leg's name, where there are several. Fails when so much has failed in a row that
    /// going on makes no sense, or when manifest or journal cannot be written.
    pub async fn book(
        &mut self,
        timed: Timed,
        source: &BucketUrl,
        bucket: Option<&str>,
        state: Option<&mut State>,
        errand: &Errand,
    ) -> Result<(), Error> {
        let Timed { mut record, worker, start_ms, end_ms } = timed;
        if self.allow_extra && record.state == ItemState::TargetOnly {
            record.findings.iter_mut().for_each(|finding| finding.kind = FindingKind::Note);
        }
        if let Some(bucket) = bucket {
            record.findings.iter_mut().for_each(|finding| finding.item = format!("{bucket}: {}", finding.item));
        }
        self.count(&record);
        self.timeline.add(worker, &record, start_ms, end_ms);
        if let Some(rows) = self.failed_rows.as_mut().filter(|_| record.state == ItemState::Failed) {
            rows.add(source, &record.entry).await?;
        }
        if let Some(writer) = &mut self.writer {
            writer.manifest_line(&manifest_line(&record, bucket)).await?;
        }
        if let (Some(state), Some(line)) = (state, journal_line(&record)) {
            state.append(&line, errand).await?;
        }
        let item = item(&record, bucket, end_ms - start_ms);
        self.list(item, &record);
        self.watch(&record)
    }

    fn count(&mut self, record: &Record) {
        let totals = &mut self.totals;
        if record.state == ItemState::TargetOnly {
            totals.target_only += 1;
            return;
        }
        totals.listed += 1;
        totals.bytes_listed += record.entry.size;
        match record.state {
            ItemState::Copied => {
                totals.copied += 1;
                totals.bytes_copied += record.entry.size;
            }
            ItemState::Equal => totals.equal += 1,
            ItemState::Skipped => totals.skipped += 1,
            // A pending object is never recorded; were it, the balance would show it.
            ItemState::Failed | ItemState::TargetOnly | ItemState::Pending => totals.failed += 1,
        }
    }

    fn list(&mut self, item: Item, record: &Record) {
        self.items_count += 1;
        let list = if record.findings.is_empty() { &mut self.untroubled } else { &mut self.troubled };
        if list.len() < LISTED_MAX {
            list.push(item);
        }
        for finding in &record.findings {
            self.note(finding.clone());
        }
    }

    /// Adds a finding, of an object or of a whole bucket.
    pub fn note(&mut self, finding: Finding) {
        self.verdict = worst(self.verdict, finding.kind.verdict());
        if self.findings.len() < LISTED_MAX {
            self.findings.push(finding);
        } else {
            self.findings_omitted += 1;
        }
    }

    fn watch(&mut self, record: &Record) -> Result<(), Error> {
        let Some(failure) = &record.failure else {
            self.failures_in_a_row = 0;
            self.has_read |= is_new(record);
            return Ok(());
        };
        let transient = failure.class == Class::Transient;
        // What is denied ends the run where everything is; a folder of another owner is no reason to leave the rest.
        if !transient && (!failure.is_denied || self.has_read) {
            return Ok(());
        }
        self.failures_in_a_row += 1;
        if self.failures_in_a_row < FAILURES_IN_A_ROW_MAX {
            return Ok(());
        }
        let last = failure.text.lines().next().unwrap_or_default().to_owned();
        Err(Error::TooManyFailures { count: self.failures_in_a_row, last, transient })
    }
}

fn worst(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Different, _) | (_, Verdict::Different) => Verdict::Different,
        (Verdict::Unproved, _) | (_, Verdict::Unproved) => Verdict::Unproved,
        _ => Verdict::Equal,
    }
}

fn manifest_line<'a>(record: &'a Record, bucket: Option<&'a str>) -> ManifestLine<'a> {
    let proved = record.proved.as_ref();
    ManifestLine {
        bucket,
        key: record.entry.key.to_string(),
        version_id: record.entry.version_id(),
        is_delete_marker: record.entry.is_marker(),
        state: record.state,
        size: record.entry.size,
        sha256: proved.and_then(|proved| proved.sha256).map(hex::encode),
        source_etag: if record.state == ItemState::TargetOnly { "" } else { &record.entry.etag },
        source_last_modified: record.entry.last_modified.filter(|_| record.state != ItemState::TargetOnly),
        target_etag: if record.state == ItemState::TargetOnly { &record.entry.etag } else { &record.target_etag },
        target_version_id: proved.and_then(|proved| proved.target_version_id.as_deref()),
        target_sha256: proved.and_then(|proved| proved.target_sha256).map(hex::encode),
        target_checksum: proved.and_then(|proved| proved.target_checksum.as_deref()),
        proof: proved.map_or(common::finding::ProofLevel::None, |proved| proved.proof),
        attempts: record.retries + 1,
        error: record.failure.as_ref().map(|failure| failure.text.as_str()),
        remark: record.remark.as_deref(),
    }
}

/// Whether the object was read by this run; what is known of it otherwise comes from the journal.
fn is_new(record: &Record) -> bool {
    let was_read = |proved: &Proved| proved.target_checksum.is_some() || proved.target_sha256.is_some();
    record.proved.as_ref().is_some_and(was_read)
}

/// What is proved to be on the target goes into the journal, unless it came from there.
fn journal_line(record: &Record) -> Option<String> {
    let proved = record.proved.as_ref()?;
    let sha256 = proved.sha256?;
    let is_done = matches!(record.state, ItemState::Copied | ItemState::Equal) && record.findings.is_empty();
    (is_done && is_new(record)).then(|| {
        let checksum = proved.target_checksum.as_deref();
        journal::line(&record.entry, &proved.target_etag, sha256, checksum, proved.proof)
    })
}

fn item(record: &Record, bucket: Option<&str>, milliseconds: u64) -> Item {
    let proved = record.proved.as_ref();
    let name = record.entry.name();
    Item {
        name: bucket.map_or_else(|| name.clone(), |bucket| format!("{bucket}: {name}")),
        state: record.state,
        proof: proved.map_or(common::finding::ProofLevel::None, |proved| proved.proof),
        bytes: record.entry.size,
        rows: None,
        digest_source: proved.and_then(|proved| proved.sha256).map(hex::encode),
        digest_target: proved.and_then(|proved| proved.target_sha256).map(hex::encode),
        seconds: milliseconds as f64 / 1000.0,
        remark: record.remark.clone().or_else(|| record.failure.as_ref().map(|failure| failure.text.clone())),
    }
}
