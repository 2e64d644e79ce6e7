//! `publish-images`: the way of the images into the container registries that the migration tasks are started from.
//!
//! [`args`] and [`config`] say what is wanted; [`status`], [`push`], [`pull_check`], [`remove`] and [`mirror`] do it. ECR's
//! control plane is [`common::ecr`]'s, the protocol that images travel by is [`registry`]'s, what an image is [`image`]'s.

pub mod args;
pub mod config;
pub mod destination;
pub mod error;
pub mod image;
pub mod mirror;
pub mod pull_check;
pub mod push;
pub mod registry;
pub mod remove;
pub mod scan;
pub mod status;

use std::time::Duration;

use common::error::{OperatorError, Unstartable, show};
use common::exit::ExitStatus;
use common::report::summary;
use common::signals::{Shutdown, Signal, run_until_stopped};
use common::telemetry;

use tokio_util::sync::CancellationToken;

use crate::args::Command;
use crate::config::{Config, Request};
use crate::error::Error;

/// The program.
pub fn main() -> ExitStatus {
    let config = match Config::of_process() {
        Ok(Request::Run(config)) => config,
        Ok(Request::Show(text)) => return common::settings::show(&text),
        Err(error) => return fail(&error),
    };
    telemetry::init(config.log_format, config.verbose);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&config)),
        Err(error) => fail(&Unstartable(error)),
    }
}

async fn run(config: &Config) -> ExitStatus {
    let shutdown = Shutdown::default();
    let token = shutdown.token();
    // The registry keeps what it was given, so a stop needs no order: what is under way is dropped.
    let work = async {
        tokio::select! {
            outcome = act(config, &token) => outcome,
            () = token.cancelled() => Err(Error::Stopped),
        }
    };
    match run_until_stopped(&shutdown, work).await {
        Some(Ok(text)) => match summary::print(&text) {
            Ok(()) => ExitStatus::Done,
            Err(error) => fail(&Error::Output(error)),
        },
        Some(Err(Error::Stopped)) | None => shutdown.signal().map_or(ExitStatus::Failed, Signal::exit_status),
        // Done what could be done, and something named is not as it should be.
        Some(Err(error @ (Error::Severe { .. } | Error::Different { .. }))) => {
            fail(&error);
            ExitStatus::Different
        }
        Some(Err(error)) => fail(&error),
    }
}

async fn act(config: &Config, stop: &CancellationToken) -> Result<String, Error> {
    match &config.command {
        Command::Status { images } => status::status(config, *images, stop).await,
        Command::Push { image, max_severity, scan_timeout, skip_scan } => {
            let scan_timeout = (!skip_scan).then(|| Duration::from_secs(*scan_timeout));
            let options = push::Options { max_severity: *max_severity, scan_timeout };
            push::push(config, image, options, stop).await
        }
        Command::PullCheck { image } => pull_check::pull_check(config, image, stop).await,
        Command::Remove { repository, confirm } => remove::remove(config, repository, confirm.as_deref(), stop).await,
        Command::Mirror { source, target } => mirror::mirror(config, source, target, stop).await,
    }
}

/// Shows an error on stderr and gives its exit status.
fn fail(error: &dyn OperatorError) -> ExitStatus {
    show(error);
    error.class().exit_status()
}
