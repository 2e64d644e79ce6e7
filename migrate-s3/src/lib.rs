//! `migrate-s3`: copies buckets out of a platform-as-a-service into their new homes and proves every byte.
//!
//! The flow, from top to bottom: [`args`] and [`config`] say what is wanted; [`outcome`] runs bucket after bucket and
//! makes the report; [`run`] merges ([`mod@merge`]) two sorted listings ([`listing`]), plans a step for each pair
//! ([`plan`]) and lets workers carry it out ([`work`]): copy ([`mod@copy`], [`single`], [`multipart`]) or compare
//! ([`mod@compare`]). [`mod@preflight`] looks before the leap, the [`journal`] spares a later run the reading, the
//! [`record`]s become the report. All requests go through a [`store`]; keys are bytes ([`key`]).

pub mod ahead;
pub mod args;
pub mod arrived;
pub mod census;
pub mod compare;
pub mod config;
pub mod copy;
pub mod dialect;
pub mod digest;
pub mod errand;
pub mod error;
pub mod etags;
pub mod extra;
pub mod failed_rows;
pub mod head;
pub mod journal;
pub mod key;
pub mod keys;
pub mod lenient;
pub mod limits;
pub mod listing;
pub mod manifest;
pub mod merge;
pub mod merge_reports;
pub mod metadata;
pub mod multipart;
pub mod origin;
pub mod outcome;
pub mod plan;
pub mod planner;
pub mod preflight;
pub mod read;
pub mod record;
pub mod reread;
pub mod run;
pub mod sequence;
pub mod shard;
pub mod single;
pub mod state;
pub mod store;
mod sweep;
pub mod timeline;
pub mod upload;
pub mod vcap;
pub mod versions;
pub mod walk;
pub mod work;
pub mod worker;

use common::error::{OperatorError, show};
use common::exit::ExitStatus;
use common::settings::LogFormat;
use common::signals::{Shutdown, run_until_stopped};
use common::telemetry;

use crate::config::{Config, Request};

/// The program.
pub fn main() -> ExitStatus {
    let config = match Config::of_process() {
        Ok(Request::Run(config)) => config,
        Ok(Request::Ask(wanted)) => return keys::main(&wanted),
        Ok(Request::MergeReports(args)) => return on_runtime(merge_reports::run(&args)),
        Ok(Request::Show(text)) => return common::settings::show(&text),
        Err(error) => return fail(&error),
    };
    start(config.log_format, config.verbose, run_and_report(&config))
}

/// Sets up what a run needs, and runs `work`.
fn start(log_format: LogFormat, verbose: u8, work: impl Future<Output = ExitStatus>) -> ExitStatus {
    telemetry::init(log_format, verbose);
    on_runtime(work)
}

fn on_runtime(work: impl Future<Output = ExitStatus>) -> ExitStatus {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(&common::error::Unstartable(error)),
    }
}

async fn run_and_report(config: &Config) -> ExitStatus {
    let shutdown = Shutdown::default();
    or_give_up(&shutdown, Box::pin(outcome::run_and_report(config, &shutdown))).await
}

async fn or_give_up(shutdown: &Shutdown, work: impl Future<Output = ExitStatus>) -> ExitStatus {
    run_until_stopped(shutdown, work).await.unwrap_or_else(|| {
        tracing::error!("an orderly stop took too long; what is copied is copied, the same command goes on from there");
        shutdown.signal().map_or(ExitStatus::Failed, common::signals::Signal::exit_status)
    })
}

/// Shows an error on stderr and gives its exit status.
fn fail(error: &dyn OperatorError) -> ExitStatus {
    show(error);
    error.class().exit_status()
}
