//! From what happened to what is said: the report, the summary on stdout, the exit status.
//!
//! The report is computed from the records and the findings, never from progress counters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::error::{Class, OperatorError as _, describe, show};
use common::exit::ExitStatus;
use common::finding::{Finding, ProofLevel, Verdict};
use common::progress::display::Display;
use common::report::model::{LISTED_MAX, SCHEMA_VERSION};
use common::report::{Item, ItemState, Report, Side as ReportSide, Totals, Writer, summary};
use common::settings::LogFormat;
use common::signals::Shutdown;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::catalog::{RelationName, ServerVersion};
use crate::config::{Config, Mode};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::journal;
use crate::large_object;
use crate::plan::{Plan, TablePlan};
use crate::record::TableRecord;
use crate::run::run;
use crate::source::Origin;
use crate::state::State;
use crate::verify;
use crate::way;

/// How long a run that was told to stop may take to do so by itself; the report and the summary come after.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// Runs, shows progress, writes the report, prints the summary.
pub async fn run_and_report(config: &Config, shutdown: &Shutdown) -> ExitStatus {
    let started_at = Timestamp::now();
    let mut state = State::default();
    // Opened first: a report that cannot be written must not be found out after hours of copying.
    let writer = match open_report(config).await {
        Ok(writer) => writer,
        Err(error) => return crate::fail(&error),
    };
    let display = Display::start(state.progress.clone(), config.log_format, config.progress_interval);
    let outcome = run_or_give_up(config, shutdown, &mut state).await;
    way::close(&mut state, shutdown.signal().is_some()).await;
    display.finish().await;
    let outcome = match shutdown.signal() {
        Some(signal) => Err(Error::Stopped(signal)),
        None => outcome,
    };
    let report = match assemble(config, &state, started_at, &outcome) {
        Ok(report) => report,
        Err(error) => return crate::fail(&error),
    };
    conclude(config, &state, report, writer, outcome).await
}

/// A statement that waits for a lock does not see that it is to stop; the report must be written all the same.
async fn run_or_give_up(config: &Config, shutdown: &Shutdown, state: &mut State) -> Result<()> {
    let stop = shutdown.token();
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        biased;
        outcome = run_to_its_end(config, &stop, state) => outcome,
        () = given_up => Err(Error::Cancelled),
    }
}

/// A way that broke is no reason to end: the run begins again, and goes on from its journal.
async fn run_to_its_end(config: &Config, stop: &CancellationToken, state: &mut State) -> Result<()> {
    loop {
        match run(config, stop, state).await {
            Err(error) if way::may_go_on(config, state, &error).await => state.begin_again(),
            outcome => return outcome,
        }
    }
}

async fn open_report(config: &Config) -> Result<Option<Writer>> {
    let Some(location) = &config.report else { return Ok(None) };
    Ok(Some(Writer::open(location, &config.report_store).await?))
}

async fn conclude(
    config: &Config,
    state: &State,
    report: Report,
    writer: Option<Writer>,
    outcome: Result<()>,
) -> ExitStatus {
    let mut status = match &outcome {
        Err(error) => {
            show(error);
            if config.clean && matches!(error.class(), Class::Transient | Class::Stopped(_)) {
                tracing::warn!(
                    "leave out --clean to go on from here: with it, the same command drops everything again"
                );
            }
            error.class().exit_status()
        }
        Ok(()) if config.mode == Mode::DryRun => {
            if config.log_format == LogFormat::Text {
                print(&state.describe());
            }
            ExitStatus::Done
        }
        Ok(()) => ExitStatus::from(report.verdict),
    };
    let written = match writer {
        Some(writer) => match write(writer, state, &report).await {
            Ok(written) => Some(written),
            Err(error) => {
                show(&error);
                if status == ExitStatus::Done {
                    status = error.class().exit_status();
                }
                None
            }
        },
        None => None,
    };
    if config.log_format == LogFormat::Json {
        log_findings(&report);
    }
    print(&match config.log_format {
        LogFormat::Text => summary::text(&report, written.as_ref()),
        LogFormat::Json => summary::json(&report, written.as_ref()),
    });
    if let Some(sealer) = &state.sealer
        && let Err(error) = sealer.seal().await
    {
        let schema = journal::SCHEMA;
        tracing::warn!(%error, "the journal is left on the target; remove it with DROP SCHEMA {schema} CASCADE");
    }
    status
}

/// People find the findings in the summary; for machines, each that is not a note is a line of the log.
fn log_findings(report: &Report) {
    for finding in report.findings.iter().filter(|finding| finding.kind.verdict() != Verdict::Equal) {
        tracing::warn!(kind = finding.kind.words(), item = finding.item, aspect = finding.aspect, "{}", finding.detail);
    }
}

/// The result goes to stdout; when that is closed or full, the exit code and the report still say it.
fn print(text: &str) {
    if let Err(error) = summary::print(text) {
        tracing::warn!(%error, "stdout cannot be written");
    }
}

async fn write(mut writer: Writer, state: &State, report: &Report) -> Result<common::report::Written> {
    for record in state.records() {
        let line = serde_json::json!({
            "table": record.name.to_string(),
            "copied_segments": record.copied_segment_count,
            "source": record.source,
            "target": record.target,
            "proof": proof(&record),
            "failure": record.failure,
        });
        writer.manifest_line(&line).await?;
    }
    Ok(writer.finish(report).await?)
}

fn proof(record: &TableRecord) -> ProofLevel {
    match (record.source, record.target) {
        (Some(source), Some(target)) if source == target => ProofLevel::Reread,
        _ => ProofLevel::None,
    }
}

fn assemble(config: &Config, state: &State, started_at: Timestamp, outcome: &Result<()>) -> Result<Report> {
    let findings = state.recorder.findings();
    let verdict = match outcome {
        Ok(()) if config.mode == Mode::DryRun => Verdict::Unproved,
        Ok(()) => Verdict::over(&findings),
        Err(error) => error.class().exit_status().verdict(),
    };
    let exit_code = match outcome {
        Ok(()) if config.mode == Mode::DryRun => ExitStatus::Done.code(),
        Ok(()) => ExitStatus::from(verdict).code(),
        Err(error) => error.class().exit_status().code(),
    };
    let mut items = items(config, state, &findings);
    let totals = totals(&items);
    if outcome.is_ok() && config.mode != Mode::DryRun {
        totals.balance()?;
    }
    items.sort_by_key(|item| (item.proof == ProofLevel::Reread, std::cmp::Reverse(item.bytes)));
    let items_omitted = items.len().saturating_sub(LISTED_MAX) as u64;
    items.truncate(LISTED_MAX);
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        program: "migrate-db".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        run_id: state.run_id.clone(),
        mode: config.mode.word().into(),
        environment: config.environment.clone(),
        started_at,
        finished_at: Timestamp::now(),
        source: source_side(config, state),
        target: side(&config.target, state.target_version),
        verdict,
        exit_code,
        failure: outcome.as_ref().err().map(|error| describe(error)),
        totals,
        preflight: state.checks.clone(),
        settings: settings(config, state),
        items,
        items_omitted,
        findings_omitted: findings.len().saturating_sub(LISTED_MAX) as u64,
        findings: findings.into_iter().take(LISTED_MAX).collect(),
        timeline: state.recorder.timeline(),
    })
}

fn side(endpoint: &Endpoint, version: Option<ServerVersion>) -> ReportSide {
    let engine = version.map_or_else(|| "PostgreSQL, not reached".into(), |version| format!("PostgreSQL {version}"));
    ReportSide { location: endpoint.label(), engine }
}

fn source_side(config: &Config, state: &State) -> ReportSide {
    match (&state.way.source, &config.origin) {
        (Some(endpoint), _) => side(endpoint, state.source_version),
        (None, Origin::Endpoint(endpoint)) => side(endpoint, None),
        (None, Origin::Platform(source)) => {
            ReportSide { location: source.settings.place(), engine: "PostgreSQL, not reached".into() }
        }
    }
}

fn settings(config: &Config, state: &State) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([("TLS to the target".to_owned(), config.target.tls.mode.word().to_owned())]);
    if let Some(source) = &state.way.source {
        settings.insert("TLS to the source".into(), source.tls.mode.word().into());
    }
    if let Some(tunnel) = state.way.source.as_ref().and_then(|source| source.tunnel.as_ref()) {
        settings.insert("way to the source".into(), format!("SSH to the application {}", tunnel.app()));
    }
    if let Some(plan) = &state.plan {
        settings.insert("split above".into(), common::units::bytes(plan.segment_bytes_max));
    }
    if let Some(width) = state.width {
        settings.insert("jobs".into(), width.jobs.to_string());
        settings.insert("index jobs".into(), width.index_jobs.to_string());
    }
    if let Some(platform) = &config.platform {
        settings.insert("platform".into(), platform.clone());
    }
    settings
}

/// One item per table of the plan and per relation left behind.
fn items(config: &Config, state: &State, findings: &[Finding]) -> Vec<Item> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let records: BTreeMap<RelationName, TableRecord> =
        state.records().into_iter().map(|record| (record.name.clone(), record)).collect();
    let troubled: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| finding.kind.verdict() != Verdict::Equal)
        .map(|finding| finding.item.as_str())
        .collect();
    let tables = plan.tables.iter().map(|table| {
        let troubled = troubled.contains(verify::item(table).as_str());
        let record = records.get(&table.table.name);
        let is_compared = match config.mode {
            Mode::Verify => true,
            Mode::Repair => record.is_some_and(|record| record.copied_segment_count == 0),
            Mode::Migrate | Mode::DryRun => state.finished_before.is_some(),
        };
        item(is_compared, table, record, troubled)
    });
    let left_out = plan.left_out.iter().map(|left_out| Item {
        name: left_out.name.to_string(),
        state: ItemState::Skipped,
        proof: ProofLevel::None,
        bytes: 0,
        rows: None,
        digest_source: None,
        digest_target: None,
        seconds: 0.0,
        remark: Some(left_out.reason.clone()),
    });
    tables.chain(large_objects(state, plan)).chain(left_out).collect()
}

/// All large objects are one item.
fn large_objects(state: &State, plan: &Plan) -> Option<Item> {
    let item = |state, record: Option<&large_object::Record>| Item {
        name: large_object::ITEM.into(),
        state,
        proof: match record {
            Some(record) if record.source == record.target => ProofLevel::Reread,
            _ => ProofLevel::None,
        },
        bytes: record.map_or(0, |record| record.source.bytes),
        rows: record.map(|record| record.source.rows),
        digest_source: record.map(|record| record.source.sum_hex()),
        digest_target: record.map(|record| record.target.sum_hex()),
        seconds: record.map_or(0.0, |record| record.seconds),
        remark: None,
    };
    match &state.large_objects {
        Some(record) if record.source.rows + record.target.rows == 0 => None,
        Some(record) if record.source != record.target => Some(item(ItemState::Failed, Some(record))),
        Some(record) if record.copied => Some(item(ItemState::Copied, Some(record))),
        Some(record) => Some(item(ItemState::Equal, Some(record))),
        None if plan.large_object_count == 0 => None,
        None if state.recorder.findings().iter().any(|finding| finding.item == large_object::ITEM) => {
            Some(item(ItemState::Failed, None))
        }
        None => Some(item(ItemState::Pending, None)),
    }
}

fn item(is_compared: bool, table: &TablePlan, record: Option<&TableRecord>, troubled: bool) -> Item {
    let state = match record {
        None => ItemState::Pending,
        Some(record) if record.failure.is_some() || troubled || record.is_unequal() => ItemState::Failed,
        Some(_) if is_compared => ItemState::Equal,
        Some(_) => ItemState::Copied,
    };
    let source = record.and_then(|record| record.source);
    let target = record.and_then(|record| record.target);
    Item {
        name: table.table.name.to_string(),
        state,
        proof: record.map_or(ProofLevel::None, proof),
        bytes: source.map_or(table.table.bytes, |digest| digest.bytes),
        rows: source.map(|digest| digest.rows),
        digest_source: source.map(|digest| digest.sum_hex()),
        digest_target: target.map(|digest| digest.sum_hex()),
        seconds: record.map_or(0.0, |record| record.seconds),
        remark: record
            .and_then(|record| record.failure.clone().or_else(|| record.remark.clone()))
            .or_else(|| table.text_reason.clone()),
    }
}

fn totals(items: &[Item]) -> Totals {
    let count = |state| items.iter().filter(|item| item.state == state).count() as u64;
    let copied = |item: &&Item| item.state == ItemState::Copied;
    Totals {
        unit: "table".into(),
        listed: items.len() as u64,
        copied: count(ItemState::Copied),
        equal: count(ItemState::Equal),
        skipped: count(ItemState::Skipped),
        failed: count(ItemState::Failed),
        target_only: 0,
        bytes_listed: items.iter().map(|item| item.bytes).sum(),
        bytes_copied: items.iter().filter(copied).map(|item| item.bytes).sum(),
        rows: Some(items.iter().filter_map(|item| item.rows).sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_table_unbalances_the_sheet() {
        let item = |state| Item {
            name: "t".into(),
            state,
            proof: ProofLevel::None,
            bytes: 1,
            rows: Some(1),
            digest_source: None,
            digest_target: None,
            seconds: 0.0,
            remark: None,
        };
        assert!(
            totals(&[item(ItemState::Copied), item(ItemState::Skipped), item(ItemState::Failed)]).balance().is_ok()
        );
        assert!(totals(&[item(ItemState::Copied), item(ItemState::Pending)]).balance().is_err());
    }
}
