//! The main job, whole, on one machine: a PaaS-like estate is filled, moved by the two programs, and judged.
//!
//! Behind `make demo`. It knows the programs only from outside: their variables, exit codes and reports. Everything that
//! it starts ends with it, and only the reports stay.

mod cutover;
mod paas;
mod program;
mod target;
mod verdict;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use crate::estate::{Bucket, Estate, LoadError, UploadError};
use crate::local_postgres::LocalPostgresError;

pub use cutover::cutover;
use paas::Paas;
use program::{Program, Signals};
use target::Target;
use verdict::Verdict;

/// The region of everything, as in the real estate.
const REGION: &str = "eu-west-2";

/// What to rehearse.
#[derive(Debug, Clone)]
pub struct Options {
    /// Megabytes of the source database on disk, about; the buckets get half as much.
    pub scale_mb: u64,
    /// The generator's seed.
    pub seed: u64,
    /// Where the reports go; each run's report has a folder of its own in it, and an earlier one is replaced.
    pub reports: PathBuf,
    /// Where `migrate-db` and `migrate-s3` are.
    pub programs: PathBuf,
}

/// Why a rehearsal did not get to its verdict.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// No database server.
    #[error(transparent)]
    Postgres(#[from] LocalPostgresError),
    /// The source database could not be filled.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The source buckets could not be filled.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// Something of the system failed.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// A database did not answer.
    #[error("a database of the rehearsal does not answer")]
    Database(#[from] tokio_postgres::Error),
    /// A signal came: its number.
    #[error("stopped by signal {0}; everything that was started is being stopped, and nothing is left but reports")]
    Stopped(i32),
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> RehearsalError {
    let what = what.into();
    move |cause| RehearsalError::System { what, cause }
}

/// Rehearses, and says whether every program ended with 0 and every report says `equal`.
///
/// On SIGINT and SIGTERM the program that is running is asked to end, and everything else is stopped.
pub async fn run(options: &Options) -> Result<bool, RehearsalError> {
    let started = Instant::now();
    let mut signals = Signals::listen().map_err(system("signals cannot be listened to"))?;
    // Declared before the work, dropped after it: the servers outlive the programs that use them.
    let (paas, target) = tokio::select! {
        sides = prepare(options) => sides?,
        number = signals.next() => return Err(RehearsalError::Stopped(number)),
    };
    let mut verdicts = Vec::new();
    for program in programs(options, &paas, &target) {
        say(&format!("\nRunning {program}."));
        std::fs::remove_dir_all(&program.report).or_else(absent).map_err(system("an old report cannot be removed"))?;
        let began = Instant::now();
        let exit_code = program.run(&mut signals).await?;
        verdicts.push(Verdict::read(&program, exit_code, began.elapsed()));
    }
    say(&verdict::table(&verdicts));
    let equal = verdicts.iter().all(Verdict::is_equal);
    let word = if equal { "Everything arrived, and is proved equal" } else { "NOT everything is proved equal" };
    say(&format!("{word}; {:.0} seconds in all.", started.elapsed().as_secs_f64()));
    Ok(equal)
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

async fn prepare(options: &Options) -> Result<(Paas, Target), RehearsalError> {
    say("Starting two PostgreSQL servers and two S3 servers: one of each for the platform that is left, one for AWS.");
    let (paas, target) = tokio::try_join!(Paas::start(), Target::start())?;
    let Options { scale_mb, seed, .. } = *options;
    say(&format!("Filling the source with a generated estate of about {scale_mb} MB (SCALE={scale_mb} SEED={seed})."));
    let estate = Estate::new(seed, scale_mb);
    let filled = paas.fill(&estate).await?;
    say(&format!(
        "The source has {} tables with {} rows in {} MB, and {} objects with {} MB in two buckets.",
        estate.tables().len(),
        filled.rows,
        filled.database_bytes / 1_000_000,
        filled.objects,
        filled.object_bytes / 1_000_000,
    ));
    Ok((paas, target))
}

/// The three runs, in the order of the runbook: the database, then each bucket.
fn programs(options: &Options, paas: &Paas, target: &Target) -> Vec<Program> {
    let bucket = |name: &str, bucket: Bucket| Program {
        binary: options.programs.join("migrate-s3"),
        subject: format!("bucket {name}"),
        variables: [paas.bucket_variables(bucket), target.bucket_variables(bucket)].concat(),
        report: options.reports.join(name),
    };
    vec![
        Program {
            binary: options.programs.join("migrate-db"),
            subject: "database".to_owned(),
            variables: [paas.database_variables(), target.database_variables()].concat(),
            report: options.reports.join("database"),
        },
        bucket("bulk-upload", Bucket::BulkUpload),
        bucket("cds-export", Bucket::CdsExport),
    ]
}

/// One line to standard output, at once: the programs write to the same terminal.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`make demo | head`) is no reason to leave servers running.
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}
