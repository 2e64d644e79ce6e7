//! From what happened to what is said: the report, the summary on stdout, the exit status.

use std::collections::BTreeMap;
use std::time::Instant;

use common::error::{OperatorError as _, describe, show};
use common::exit::ExitStatus;
use common::finding::Verdict;
use common::progress::Progress;
use common::progress::display::Display;
use common::report::model::SCHEMA_VERSION;
use common::report::{Report, Side as ReportSide, Writer, Written, summary};
use common::settings::{LogFormat, Mode};
use common::signals::Shutdown;
use common::units;
use jiff::Timestamp;

use crate::config::{Config, Leg, Place};
use crate::error::Error;
use crate::failed_rows::FailedRows;
use crate::record::Ledger;
use crate::run::{Books, run};

/// Runs bucket after bucket, shows progress, writes the report, prints the summary.
pub async fn run_and_report(config: &Config, shutdown: &Shutdown) -> ExitStatus {
    let started_at = Timestamp::now();
    // Opened first: a report that cannot be written must not be found out after hours of copying.
    let (writer, failed_rows) = match open_report(config).await {
        Ok(opened) => opened,
        Err(error) => return crate::fail(&error),
    };
    let mut books = Books {
        checks: config.checks.clone(),
        ledger: Ledger::new(writer, failed_rows, config),
        censuses: Vec::new(),
        settings: BTreeMap::new(),
        progress: Progress::new(if config.versions { "versions" } else { "objects" }),
        started: Instant::now(),
    };
    let display = Display::start(books.progress.clone(), config.log_format, config.progress_interval);
    let mut outcome = Ok(());
    for leg in &config.legs {
        outcome = run(config, leg, &shutdown.token(), &mut books).await;
        if outcome.is_err() || shutdown.signal().is_some() {
            break;
        }
    }
    display.finish().await;
    let outcome = match shutdown.signal() {
        Some(signal) => Err(Error::Stopped(signal)),
        None => outcome,
    };
    conclude(config, books, started_at, outcome).await
}

async fn open_report(config: &Config) -> Result<(Option<Writer>, Option<FailedRows>), Error> {
    match &config.report {
        Some(location) => {
            let writer = Writer::open(location, &config.report_store).await?;
            Ok((Some(writer), Some(FailedRows::open(location, &config.report_store).await?)))
        }
        None => Ok((None, None)),
    }
}

async fn conclude(config: &Config, mut books: Books, started_at: Timestamp, outcome: Result<(), Error>) -> ExitStatus {
    let is_counted = outcome.is_ok() && config.mode != Mode::DryRun;
    let balanced = if is_counted { books.ledger.totals.balance().map_err(Error::from) } else { Ok(()) };
    let outcome = outcome.and(balanced);
    let status = status(config, &books.ledger, &outcome);
    if let Err(error) = &outcome {
        show(error);
    }
    if config.log_format == LogFormat::Text {
        for (name, census) in &books.censuses {
            let name = name.as_ref().map(|name| format!("{name}\n")).unwrap_or_default();
            // A reader that has gone away is no error, and anything else will show at the summary.
            let _ = summary::print(&format!("{name}{}\n", census.describe(config.jobs)));
        }
    }
    let outcome = outcome.and(books.ledger.close_failed_rows().await);
    let status = if outcome.is_err() { self::status(config, &books.ledger, &outcome) } else { status };
    let writer = books.ledger.take_writer();
    let report = report(config, &books, started_at, status, &outcome);
    let (written, status) = match write(writer, &report).await {
        Ok(written) => (written, status),
        Err(error) => {
            show(&error);
            (None, if status == ExitStatus::Done { error.class().exit_status() } else { status })
        }
    };
    let printed = summary::print(&match config.log_format {
        LogFormat::Text => summary::text(&report, written.as_ref()),
        LogFormat::Json => summary::json(&report, written.as_ref()),
    });
    if let Err(error) = printed {
        tracing::error!(%error, "the summary cannot be written");
    }
    status
}

async fn write(writer: Option<Writer>, report: &Report) -> Result<Option<Written>, Error> {
    match writer {
        Some(writer) => Ok(Some(writer.finish(report).await?)),
        None => Ok(None),
    }
}

fn status(config: &Config, ledger: &Ledger, outcome: &Result<(), Error>) -> ExitStatus {
    match outcome {
        Err(error) => error.class().exit_status(),
        Ok(()) if config.mode == Mode::DryRun => ExitStatus::Done,
        Ok(()) => ExitStatus::from(ledger.verdict),
    }
}

fn report(
    config: &Config,
    books: &Books,
    started_at: Timestamp,
    status: ExitStatus,
    outcome: &Result<(), Error>,
) -> Report {
    let ledger = &books.ledger;
    let (items, items_omitted) = ledger.items();
    Report {
        schema_version: SCHEMA_VERSION,
        program: "migrate-s3".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        run_id: uuid::Uuid::now_v7().to_string(),
        mode: config.mode.word().into(),
        environment: config.environment.clone(),
        started_at,
        finished_at: Timestamp::now(),
        source: side(config, |leg| &leg.source),
        target: side(config, |leg| &leg.target),
        verdict: match (outcome, config.mode) {
            (Ok(()), Mode::Migrate | Mode::Verify) => ledger.verdict,
            (Ok(()), Mode::DryRun) => Verdict::Unproved,
            (Err(_), _) => status.verdict(),
        },
        exit_code: status.code(),
        failure: outcome.as_ref().err().map(|error| describe(error)),
        totals: ledger.totals.clone(),
        preflight: books.checks.clone(),
        settings: settings(config, books),
        items,
        items_omitted,
        findings: ledger.findings.clone(),
        findings_omitted: ledger.findings_omitted,
        timeline: ledger.timeline.lanes(),
    }
}

fn side(config: &Config, place: impl Fn(&Leg) -> &Place) -> ReportSide {
    let join = |words: fn(&Place) -> String| {
        let mut words: Vec<String> = config.legs.iter().map(|leg| words(place(leg))).collect();
        words.dedup();
        words.join(", ")
    };
    ReportSide {
        location: join(|place| place.url.to_string()),
        engine: join(|place| {
            let region = &place.options.region;
            match &place.options.endpoint_url {
                Some(url) => format!("S3 at {url}, {region}"),
                None => format!("AWS S3, {region}"),
            }
        }),
    }
}

fn settings(config: &Config, books: &Books) -> BTreeMap<String, String> {
    let yes_or_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let per_second = |limit: Option<u64>, show: fn(u64) -> String| limit.map_or_else(|| "none".into(), show);
    let mut settings = books.settings.clone();
    settings.extend([
        ("bandwidth limit".to_owned(), per_second(config.content_per_second, units::bytes)),
        ("requests per second".to_owned(), per_second(config.requests_per_second, |count| count.to_string())),
        ("jobs".to_owned(), config.jobs.to_string()),
        ("memory limit".to_owned(), units::bytes(config.memory_bytes)),
        ("overwrite".to_owned(), yes_or_no(config.overwrite)),
        ("manifest".to_owned(), config.manifest.as_ref().map_or_else(|| "none".into(), ToString::to_string)),
        ("versions".to_owned(), yes_or_no(config.versions)),
        ("allow extra".to_owned(), yes_or_no(config.allow_extra)),
        ("delete extra".to_owned(), config.delete_max.map_or_else(|| "no".into(), |most| format!("at most {most}"))),
        ("state".to_owned(), config.state.as_ref().map_or_else(|| "none".into(), ToString::to_string)),
    ]);
    for (name, census) in &books.censuses {
        let name = name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        settings.insert(format!("census{name}"), census.describe(config.jobs).trim_end().replace('\n', "; "));
    }
    settings
}
