//! The rehearsal behind `make demo`: reads its arguments and hands on the result. The work is in `tests::rehearsal`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tests::rehearsal::{Options, RehearsalError, run};

/// Moves a generated estate from a platform-like to an AWS-like set of local servers, and judges the result.
#[derive(Debug, Parser)]
struct Args {
    /// Megabytes of the source database on disk, about; the buckets get half as much
    #[arg(long, env = "SCALE", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    scale: u64,

    /// Seed of the generated estate: the same seed and scale give the same rows and objects
    #[arg(long, env = "SEED", default_value_t = 2023)]
    seed: u64,

    /// Folder of the reports
    #[arg(long, default_value = "target/demo")]
    reports: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { scale, seed, reports } = Args::parse();
    let fail = |message: &str| writeln!(std::io::stderr(), "rehearsal: {message}").ok();
    let programs = match std::env::current_exe() {
        Ok(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
        Err(error) => {
            fail(&format!("the folder of the programs cannot be found: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match run(&Options { scale_mb: scale, seed, reports, programs }).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            fail(&error.to_string());
            match error {
                RehearsalError::Stopped(number) => ExitCode::from(u8::try_from(128 + number).unwrap_or(1)),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
