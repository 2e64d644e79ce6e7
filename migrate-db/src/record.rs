//! What happened, as the workers saw it: the raw material of the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use common::digest::RowDigest;
use common::finding::{Finding, FindingKind};
use common::report::{Lane, Span};

use crate::catalog::RelationName;

/// More spans than this are thinned out: the shortest say least in a picture.
const SPANS_MAX: usize = 3_000;
/// The aspect of findings about indexes that could not be built.
pub const BUILD: &str = "build";

/// The record of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRecord {
    /// The table.
    pub name: RelationName,
    /// The source's digest.
    pub source: Option<RowDigest>,
    /// The target's digest.
    pub target: Option<RowDigest>,
    /// Segments copied by this start of the run; the others were there.
    pub copied_segment_count: usize,
    /// Why it could not be copied or compared.
    pub failure: Option<String>,
    /// It could not be copied because a check of the target's refused a row: the check may read tables that come later.
    pub refused_by_check: bool,
    /// What else is to be said of it.
    pub remark: Option<String>,
    /// Seconds from its first segment to its verification.
    pub seconds: f64,
}

impl TableRecord {
    /// Whether the target was read and is not what the source is.
    pub fn is_unequal(&self) -> bool {
        self.target.is_some() && self.source != self.target
    }
}

/// Collects findings and times from all workers.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    findings: Mutex<Vec<Finding>>,
    spans: Mutex<Vec<(String, Span)>>,
}

impl Default for Recorder {
    fn default() -> Self {
        let inner = Inner { started: Instant::now(), findings: Mutex::default(), spans: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }
}

impl Recorder {
    /// Forgets what follows from an item's absence on the target: that it is missing says it all. Why it could not be made
    /// is kept with it.
    pub fn forget_consequences(&self) {
        let mut findings = self.inner.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let is_absence = |finding: &Finding| finding.kind == FindingKind::SourceOnly;
        let absent: BTreeSet<String> =
            findings.iter().filter(|finding| is_absence(finding)).map(|finding| finding.item.clone()).collect();
        let is_cause = |finding: &Finding| finding.kind == FindingKind::Error && finding.aspect == BUILD;
        let causes: BTreeMap<String, String> = findings
            .iter()
            .filter(|finding| is_cause(finding))
            .map(|finding| (finding.item.clone(), finding.detail.clone()))
            .collect();
        findings.retain(|finding| is_absence(finding) || !absent.contains(&finding.item));
        for finding in findings.iter_mut().filter(|finding| is_absence(finding)) {
            if let Some(cause) = causes.get(&finding.item) {
                finding.detail = format!("{}; because: {cause}", finding.detail);
            }
        }
    }

    /// Something to report.
    pub fn finding(&self, finding: Finding) {
        self.inner.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// Takes findings back that no longer hold.
    pub fn withdraw(&self, is_withdrawn: impl Fn(&Finding) -> bool) {
        let mut findings = self.inner.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.retain(|finding| !is_withdrawn(finding));
    }

    /// All findings so far, in a stable order.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.inner.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What could not be moved explains what is missing.
        let is_consequence = |finding: &Finding| finding.kind != FindingKind::Error;
        findings.sort_by(|a, b| {
            (is_consequence(a), a.kind, &a.item, &a.aspect).cmp(&(is_consequence(b), b.kind, &b.item, &b.aspect))
        });
        findings
    }

    /// Something took from `start` until now on `lane`.
    pub fn span(&self, lane: impl Into<String>, kind: &str, label: impl Into<String>, start: Instant) {
        let millis = |instant: Instant| {
            u64::try_from(instant.duration_since(self.inner.started).as_millis()).unwrap_or(u64::MAX)
        };
        let span =
            Span { label: label.into(), kind: kind.into(), start_ms: millis(start), end_ms: millis(Instant::now()) };
        let mut spans = self.inner.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push((lane.into(), span));
        if spans.len() > 2 * SPANS_MAX {
            spans.sort_by_key(|(_, span)| std::cmp::Reverse(span.end_ms - span.start_ms));
            spans.truncate(SPANS_MAX);
        }
    }

    /// The timeline: lanes by name, spans by start.
    pub fn timeline(&self) -> Vec<Lane> {
        let mut lanes: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for (lane, span) in self.inner.spans.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            lanes.entry(lane.clone()).or_default().push(span.clone());
        }
        let lane = |(name, mut spans): (String, Vec<Span>)| {
            spans.sort_by_key(|span| (span.start_ms, span.end_ms));
            Lane { name, spans }
        };
        lanes.into_iter().map(lane).collect()
    }
}
