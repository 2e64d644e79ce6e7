//! The run in one word and one sentence, the same in the summary and on the page.
//!
//! Pure text.

use super::{CheckOutcome, Report};
use crate::finding::{Finding, FindingKind, Verdict};
use crate::units::{count, counted};

/// What a tired person reads first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headline {
    /// `verdict` or, for a run that compares nothing, `dry run`.
    pub(super) label: &'static str,
    /// The word.
    pub(super) word: &'static str,
    /// A sign beside the word, so that colour is not needed.
    pub(super) sign: &'static str,
    /// The kind, which decides the colour: `good`, `bad` or `open`.
    pub(super) tone: &'static str,
    /// What the word means in this run.
    pub(super) sentence: String,
}

/// The headline of `report`.
pub(super) fn headline(report: &Report) -> Headline {
    // A dry run has compared nothing, so it must not say "equal".
    if report.mode == "dry-run" && report.verdict == Verdict::Equal {
        return dry_run(report);
    }
    let items = counted(report.totals.listed, &report.totals.unit);
    let (sign, tone, sentence) = match report.verdict {
        Verdict::Equal => ("✓", "good", equal_sentence(report, &items)),
        Verdict::Different => ("≠", "bad", different_sentence(report, &items)),
        Verdict::Unproved => (
            "?",
            "open",
            format!(
                "Nothing was seen to differ in {items}, but not everything could be proved equal. See the findings."
            ),
        ),
        Verdict::Failed => ("✗", "bad", "The run did not get to its end.".into()),
        Verdict::Stopped => {
            ("■", "open", "The run was stopped before its end. The same command goes on from here.".into())
        }
    };
    Headline { label: "verdict", word: report.verdict.word(), sign, tone, sentence }
}

fn dry_run(report: &Report) -> Headline {
    let warnings = report.preflight.iter().filter(|check| check.outcome == CheckOutcome::Warn).count() as u64;
    let warned = match warnings {
        0 => String::new(),
        1 => " One check has a warning.".into(),
        _ => format!(" {} checks have warnings.", count(warnings)),
    };
    let sentence = format!("Nothing stands in the way. Nothing was copied or compared.{warned}");
    Headline { label: "dry run", word: "ready", sign: "→", tone: "good", sentence }
}

fn equal_sentence(report: &Report, items: &str) -> String {
    let totals = &report.totals;
    let skipped = match totals.skipped {
        0 => String::new(),
        _ => format!(" {} left behind on purpose.", counted(totals.skipped, &totals.unit)),
    };
    let verb = if totals.listed - totals.skipped.min(totals.listed) == 1 { "was" } else { "were" };
    let compared = if totals.skipped == 0 {
        items.to_owned()
    } else {
        counted(totals.listed.saturating_sub(totals.skipped), &totals.unit)
    };
    let equal = if verb == "was" { "is equal" } else { "are equal" };
    format!("{compared} {verb} compared and {equal}.{skipped}")
}

fn different_sentence(report: &Report, items: &str) -> String {
    let totals = &report.totals;
    let mut parts = Vec::new();
    if totals.failed > 0 {
        parts.push(format!("{} of {items} failed or differ from the source", count(totals.failed)));
    }
    if totals.target_only > 0 {
        let verb = if totals.target_only == 1 { "is" } else { "are" };
        parts.push(format!("{} {verb} only on the target", count(totals.target_only)));
    }
    if parts.is_empty() {
        // What differs is then not an item itself but something that belongs to one, for example an index.
        parts.push(format!("{items} were compared and something differs"));
    }
    format!("{}. See the findings.", parts.join(", and "))
}

/// The findings, worst first; those of one kind in the order in which they were found.
pub(super) fn worst_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| rank(finding.kind));
    sorted
}

/// How bad a finding is; 0 is the worst. What could not be moved explains what differs and what is missing, and so comes first.
pub(super) const fn rank(kind: FindingKind) -> u8 {
    match kind {
        FindingKind::Error => 0,
        FindingKind::Differs => 1,
        FindingKind::SourceOnly => 2,
        FindingKind::TargetOnly => 3,
        FindingKind::Unknown => 4,
        FindingKind::Note => 5,
    }
}

/// The balance sheet as it is shown: `listed` and what it is made up of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balance {
    /// `=`, or `≠` where a run that went to its end has lost count: a defect that must not hide.
    pub(super) sign: &'static str,
    /// The numbers that add up to what was listed, with their words.
    pub(super) terms: Vec<(u64, &'static str)>,
}

/// The balance sheet of `report`. What a dry run or an unfinished run leaves over is a term of its own.
pub(super) fn balance(report: &Report) -> Balance {
    let totals = &report.totals;
    let mut terms = vec![
        (totals.copied, "copied"),
        (totals.equal, "equal"),
        (totals.skipped, "skipped"),
        (totals.failed, "failed"),
    ];
    let accounted: u64 = terms.iter().map(|(number, _)| number).sum();
    let left = totals.listed.saturating_sub(accounted);
    let unfinished = matches!(report.verdict, Verdict::Failed | Verdict::Stopped);
    if left > 0 && report.mode == "dry-run" {
        terms.insert(0, (left, "to copy"));
    } else if left > 0 && unfinished {
        terms.push((left, "not reached"));
    }
    let sum: u64 = terms.iter().map(|(number, _)| number).sum();
    Balance { sign: if sum == totals.listed { "=" } else { "≠" }, terms }
}

/// Seconds from the run's start to its end.
pub(super) fn seconds(report: &Report) -> f64 {
    report.finished_at.duration_since(report.started_at).as_secs_f64().max(0.0)
}

/// Bytes a second; `None` where nothing may have been read: in a dry run, and in a migration that found all of it done.
pub(super) fn bytes_per_second(report: &Report) -> Option<f64> {
    let (seconds, bytes) = (seconds(report), bytes(report));
    let may_be_idle = report.mode == "dry-run" || (report.mode == "migrate" && report.totals.bytes_copied == 0);
    (!may_be_idle && seconds > 0.0 && bytes > 0).then(|| bytes as f64 / seconds)
}

/// Bytes that the run moved; where it ended and moved none, bytes that it compared.
pub(super) fn bytes(report: &Report) -> u64 {
    let unfinished = matches!(report.verdict, Verdict::Failed | Verdict::Stopped);
    if report.totals.bytes_copied > 0 || unfinished { report.totals.bytes_copied } else { report.totals.bytes_listed }
}
