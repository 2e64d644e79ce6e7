//! `publish-images`: what is in the container registries that the migration tasks are started from.
//!
//! [`args`] and [`config`] say what is wanted, [`status`] asks and shows. The registries themselves are
//! [`common::ecr`]'s.

pub mod args;
pub mod config;
pub mod error;
pub mod status;

use common::error::{OperatorError, Unstartable, show};
use common::exit::ExitStatus;
use common::report::summary;
use common::signals::{Shutdown, Signal, run_until_stopped};
use common::telemetry;

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
    // Nothing is written, so a stop needs no order: what is under way is dropped.
    let work = async {
        tokio::select! {
            outcome = status::status(config, &token) => outcome,
            () = token.cancelled() => Err(Error::Stopped),
        }
    };
    match run_until_stopped(&shutdown, work).await {
        Some(Ok(text)) => match summary::print(&text) {
            Ok(()) => ExitStatus::Done,
            Err(error) => fail(&Error::Output(error)),
        },
        Some(Err(Error::Stopped)) | None => shutdown.signal().map_or(ExitStatus::Failed, Signal::exit_status),
        Some(Err(error)) => fail(&error),
    }
}

/// Shows an error on stderr and gives its exit status.
fn fail(error: &dyn OperatorError) -> ExitStatus {
    show(error);
    error.class().exit_status()
}
