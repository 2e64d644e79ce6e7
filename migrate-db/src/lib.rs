//! `migrate-db`: streams a PostgreSQL database out of a platform-as-a-service into its new home and proves that nothing
//! was lost.
//!
//! The flow, from top to bottom: [`args`] and [`config`] say what is wanted; [`run`] does it: it connects
//! ([`endpoint`], [`tls`], [`connect`], through a platform by a [`way`]), takes a [`snapshot`], reads the [`catalog`], makes a [`plan`], looks
//! before it leaps ([`preflight`]), restores the [`schema`], copies table by table ([`mod@copy`] over [`stream`]),
//! builds what belongs to them ([`index`], [`finish`]), and compares ([`verify`], [`rest`], [`compare`], [`derived`],
//! [`locate`]); [`repair`] copies again what differs.
//! The [`journal`] on the target makes every step safe to repeat; [`record`] and [`outcome`] turn what happened into the
//! report.

pub mod args;
mod bounds;
pub mod builds;
pub mod catalog;
pub mod choices;
pub mod clean;
pub mod client_tools;
pub mod compare;
pub mod config;
pub mod connect;
pub mod context;
pub mod copy;
mod derived;
pub mod endpoint;
pub mod error;
pub mod estimate;
pub mod finish;
pub mod floats;
pub mod forecast;
pub mod index;
pub mod journal;
pub mod large_object;
pub mod late_writers;
pub mod locate;
mod orphans;
pub mod outcome;
pub mod plan;
pub mod preflight;
pub mod preset;
mod quiet;
pub mod record;
mod repair;
mod rest;
pub mod restore;
pub mod rights;
pub mod rows;
pub mod run;
pub mod schema;
mod seal;
pub mod segment;
pub mod snapshot;
pub mod source;
pub mod sql;
pub mod state;
pub mod statistics;
pub mod stream;
pub mod tap;
pub mod tls;
pub mod verify;
pub mod way;
pub mod width;
pub mod wire;

use common::error::{OperatorError, show};
use common::exit::ExitStatus;
use common::signals::{Shutdown, run_until_stopped};
use common::telemetry;

use crate::config::{Config, Request};

/// The program.
pub fn main() -> ExitStatus {
    let config = match Config::of_process() {
        Ok(Request::Run(config)) => config,
        Ok(Request::Show(text)) => return common::settings::show(&text),
        Err(error) => return fail(&error),
    };
    telemetry::init(config.log_format, config.verbose);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_and_report(&config)),
        Err(error) => fail(&common::error::Unstartable(error)),
    }
}

async fn run_and_report(config: &Config) -> ExitStatus {
    let shutdown = Shutdown::default();
    let finished = run_until_stopped(&shutdown, Box::pin(outcome::run_and_report(config, &shutdown))).await;
    finished.unwrap_or_else(|| {
        tracing::error!(
            "an orderly stop took too long; what is committed is committed, the same command goes on from there"
        );
        shutdown.signal().map_or(ExitStatus::Failed, common::signals::Signal::exit_status)
    })
}

/// Shows an error on stderr and gives its exit status.
fn fail(error: &dyn OperatorError) -> ExitStatus {
    show(error);
    error.class().exit_status()
}
