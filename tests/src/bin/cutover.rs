//! The rehearsal of the cutover behind `make rehearse`: reads its arguments and hands on the result. The work is in
//! `tests::rehearsal`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tests::rehearsal::{Options, RehearsalError, cutover};

/// Runs the runbooks of the database and the buckets with the images, on a local estate that is written to until the freeze.
#[derive(Debug, Parser)]
struct Args {
    /// Megabytes of the source database on disk, about; the buckets get half as much
    #[arg(long, env = "SCALE", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    scale: u64,

    /// Seed of the generated estate: the same seed and scale give the same rows and objects
    #[arg(long, env = "SEED", default_value_t = 2023)]
    seed: u64,

    /// Tag of the images
    #[arg(long, default_value = "latest")]
    tag: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { scale, seed, tag } = Args::parse();
    let options = Options { scale_mb: scale, seed, reports: PathBuf::new(), programs: PathBuf::new() };
    match cutover(&options, &tag).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody may be reading; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "rehearsal: {error}");
            match error {
                RehearsalError::Stopped(number) => ExitCode::from(u8::try_from(128 + number).unwrap_or(1)),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
