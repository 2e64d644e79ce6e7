//! Carrying out one step of the plan and turning its end, good or bad, into a record.
//!
//! An error about one object ends in its record; an error about a whole side is returned and ends the run.
//! Called by the workers of `run`.

use std::sync::Arc;

use common::error::{Class, OperatorError as _, describe, sentence};
use common::finding::{Finding, FindingKind, Verdict};
use common::report::ItemState;
use common::units;

use crate::compare::{Depth, compare};
use crate::copy::{Proved, Route, copy};
use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::listing::Entry;
use crate::manifest;
use crate::plan::Step;
use crate::record::{Failure, Record};
use crate::store::Store;
use crate::versions;

/// What came of a step.
struct Outcome {
    state: ItemState,
    /// The source's object as it was worked on, when it changed after it was listed.
    source: Option<Entry>,
    proved: Option<Proved>,
    findings: Vec<Finding>,
    remark: Option<String>,
    failure: Option<Failure>,
}

impl Outcome {
    fn of_state(state: ItemState) -> Self {
        Self { state, source: None, proved: None, findings: Vec::new(), remark: None, failure: None }
    }

    /// An object that is on the target now, or was compared: its findings decide.
    fn of_proved(state: ItemState, mut proved: Proved) -> Self {
        let findings = std::mem::take(&mut proved.findings);
        let is_different = Verdict::over(&findings) == Verdict::Different;
        // What was copied is copied, even when something that belongs to it could not be carried.
        let state = if is_different && state == ItemState::Equal { ItemState::Failed } else { state };
        Self { findings, proved: Some(proved), ..Self::of_state(state) }
    }
}

/// Carries out `step`.
pub async fn perform(route: &Arc<Route>, step: Step, errand: &Arc<Errand>) -> Result<Record, Error> {
    let entry = step.entry().clone();
    let target_etag = match &step {
        Step::Compare { target, .. } | Step::Verify { target, .. } | Step::Known { target, .. } => target.etag.clone(),
        _ => String::new(),
    };
    let outcome = match attempt(route, step, errand).await {
        Err(error) if error.is_of_side() => return Err(error),
        Err(Error::Changed { .. }) if errand.may_be_gone() && is_gone(route, &entry, errand).await => {
            Outcome { remark: Some(manifest::GONE.into()), ..Outcome::of_state(ItemState::Skipped) }
        }
        Err(error) => failed(&entry, &error, errand.is_looked_into()),
        Ok(outcome) => outcome,
    };
    Ok(record(entry, target_etag, outcome, errand))
}

/// Whether the source no longer has the object.
async fn is_gone(route: &Route, entry: &Entry, errand: &Errand) -> bool {
    let head = head::sure(&route.source, &entry.key, entry.version_id(), errand).await;
    head.is_err_and(|error| error.is_not_found())
}

/// The record of an object that could not even be looked up.
pub fn failure(entry: Entry, error: &Error, errand: &Errand) -> Record {
    let outcome = failed(&entry, error, false);
    record(entry, String::new(), outcome, errand)
}

fn record(entry: Entry, target_etag: String, outcome: Outcome, errand: &Errand) -> Record {
    Record {
        entry: outcome.source.unwrap_or(entry),
        target_etag: outcome.proved.as_ref().map_or(target_etag, |proved| proved.target_etag.clone()),
        state: outcome.state,
        proved: outcome.proved,
        findings: outcome.findings,
        remark: outcome.remark,
        failure: outcome.failure,
        retries: errand.retries(),
    }
}

async fn attempt(route: &Arc<Route>, step: Step, errand: &Arc<Errand>) -> Result<Outcome, Error> {
    match step {
        Step::Copy { source, may_replace } => copied(route, source, may_replace, errand).await,
        Step::Compare { source, target, may_replace } => compared(route, source, target, may_replace, errand).await,
        Step::Verify { source, target } if source.size != target.size => Ok(size_differs(&source, &target)),
        Step::Verify { source, target } => verified(route, source, target, errand).await,
        Step::Known { target, known, .. } => {
            let proved = Proved {
                sha256: Some(known.sha256),
                target_sha256: None,
                target_version_id: target.version_id().map(ToOwned::to_owned),
                target_etag: target.etag,
                target_checksum: None,
                proof: known.proof,
                findings: Vec::new(),
            };
            let remark = Some("unchanged on both sides since an earlier run proved it".into());
            Ok(Outcome { remark, ..Outcome::of_proved(ItemState::Equal, proved) })
        }
        Step::Differs { source, target } => Ok(size_differs(&source, &target)),
        Step::Missing { source } => {
            let finding = Finding::new(FindingKind::SourceOnly, source.name(), "object", "the target lacks it");
            Ok(Outcome { findings: vec![finding], ..Outcome::of_state(ItemState::Failed) })
        }
        Step::Extra { target } => {
            let finding = Finding::new(FindingKind::TargetOnly, target.name(), "object", "the source lacks it");
            Ok(Outcome { findings: vec![finding], ..Outcome::of_state(ItemState::TargetOnly) })
        }
        Step::Mark { source } => {
            let proved = Proved::of_marker(versions::mark(route, &source, errand).await?);
            Ok(Outcome::of_proved(ItemState::Copied, proved))
        }
        Step::Marked { target, .. } => {
            let proved = Proved::of_marker(target.version_id().map(ToOwned::to_owned));
            Ok(Outcome::of_proved(ItemState::Equal, proved))
        }
        Step::Left { why, .. } => Ok(Outcome { remark: Some(why.into()), ..Outcome::of_state(ItemState::Skipped) }),
        Step::Unaligned { source, why } => {
            let finding = Finding::new(FindingKind::Error, source.name(), "version", why);
            let remark = Some(why.to_owned());
            Ok(Outcome { findings: vec![finding], remark, ..Outcome::of_state(ItemState::Failed) })
        }
    }
}

/// Copies; where the source's object has changed since it was listed, once more as it is now.
async fn copied(route: &Arc<Route>, source: Entry, may_replace: bool, errand: &Arc<Errand>) -> Result<Outcome, Error> {
    match copy(route, &source, may_replace, errand).await {
        Err(Error::Changed { place, what, .. }) if place == route.source.place() => {
            tracing::info!(key = %source.key, what, "changed since it was listed; copying it as it is now");
            let now = listed_now(&route.source, &source, errand).await?;
            let proved = copy(route, &now, may_replace, errand).await?;
            let remark = Some("changed on the source during the run; copied as it was then".into());
            Ok(Outcome { source: Some(now), remark, ..Outcome::of_proved(ItemState::Copied, proved) })
        }
        outcome => Ok(Outcome::of_proved(ItemState::Copied, outcome?)),
    }
}

/// Compares, and copies what differs where that is allowed; where the source's object has changed since it was listed, once
/// more as it is now.
async fn compared(
    route: &Arc<Route>,
    listed: Entry,
    target: Entry,
    may_replace: bool,
    errand: &Arc<Errand>,
) -> Result<Outcome, Error> {
    let (source, compared) = match compare(route, &listed, &target, Depth::Stored, errand).await {
        Err(Error::Changed { place, what, .. }) if place == route.source.place() => {
            tracing::info!(key = %listed.key, what, "changed since it was listed; comparing it as it is now");
            let now = listed_now(&route.source, &listed, errand).await?;
            if now.size != target.size && !may_replace {
                return Ok(Outcome { source: Some(now.clone()), ..size_differs(&now, &target) });
            }
            if now.size != target.size {
                return copied(route, now, true, errand).await;
            }
            let compared = compare(route, &now, &target, Depth::Stored, errand).await;
            (now, compared)
        }
        compared => (listed, compared),
    };
    let proved = compared?;
    if may_replace && Verdict::over(&proved.findings) == Verdict::Different {
        return copied(route, source, true, errand).await;
    }
    Ok(Outcome { source: Some(source), ..Outcome::of_proved(ItemState::Equal, proved) })
}

/// Compares in the depth that was asked for; what has changed since it was listed, once more as it is now. Swift lists some
/// objects with another ETag than they have.
async fn verified(route: &Route, source: Entry, target: Entry, errand: &Errand) -> Result<Outcome, Error> {
    let (what, place) = match compare(route, &source, &target, route.depth, errand).await {
        Err(Error::Changed { what, place, .. }) => (what, place),
        compared => return Ok(Outcome::of_proved(ItemState::Equal, compared?)),
    };
    tracing::info!(key = %source.key, place, what, "changed since it was listed; comparing it as it is now");
    let source = listed_now(&route.source, &source, errand).await?;
    let target = listed_now(&route.target, &target, errand).await?;
    if source.size != target.size {
        return Ok(Outcome { source: Some(source.clone()), ..size_differs(&source, &target) });
    }
    let proved = compare(route, &source, &target, route.depth, errand).await?;
    Ok(Outcome { source: Some(source), ..Outcome::of_proved(ItemState::Equal, proved) })
}

/// What a listing of `store` would say of `source` now; a version stays the same or goes.
async fn listed_now(store: &Store, source: &Entry, errand: &Errand) -> Result<Entry, Error> {
    let key = &source.key;
    let changed = |what: &str| Error::Changed { place: store.place(), key: key.clone(), what: what.into() };
    let head = head::sure(store, key, source.version_id(), errand).await;
    let head = head.map_err(|error| if error.is_not_found() { changed("it was deleted") } else { error })?;
    Ok(Entry {
        key: key.clone(),
        size: head.size,
        etag: head.etag,
        last_modified: head.last_modified,
        storage_class: None,
        version: source.version.clone(),
    })
}

fn size_differs(source: &Entry, target: &Entry) -> Outcome {
    let detail = format!("source {}, target {}", size_in_words(source.size), size_in_words(target.size));
    let finding = Finding::new(FindingKind::Differs, source.name(), "size", detail);
    Outcome { findings: vec![finding], ..Outcome::of_state(ItemState::Failed) }
}

fn size_in_words(size: u64) -> String {
    format!("{} bytes", units::count(size))
}

fn failed(entry: &Entry, error: &Error, is_looked_into: bool) -> Outcome {
    let text = describe(error);
    let detail = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
    if is_looked_into && (error.class() == Class::Transient || entry.is_marker()) {
        tracing::info!(key = %entry.name(), error = %sentence(error), "looking whether it was written");
    } else {
        tracing::warn!(key = %entry.name(), error = %sentence(error), "an object failed");
    }
    // One line, as all findings are.
    let next = error.hint().map(|hint| format!("; next: {hint}")).unwrap_or_default();
    let finding = Finding::new(FindingKind::Error, entry.name(), "object", format!("{}{next}", sentence(error)));
    let failure = Failure { text: detail, class: error.class(), is_denied: error.is_denied() };
    Outcome { findings: vec![finding], failure: Some(failure), ..Outcome::of_state(ItemState::Failed) }
}
