//! A run whose source is a bucket of the platform's: a service key is made for it, and deleted after it.
//!
//! Called by `main` instead of the run itself, which it frames.

use std::time::Duration;

use common::exit::ExitStatus;
use common::report::Check;
use common::settings::{LogFormat, Mode};
use common::signals::Shutdown;
use platform::{Intent, KeyWish, Leftover, Platform};

use crate::config::{Config, Wanted};
use crate::error::Error;
use crate::origin::Keys;
use crate::outcome;
use crate::store::{Side, Store};

/// To delete what was made, at the end of a run that was not stopped.
const CLEAN_UP_LIMIT: Duration = Duration::from_mins(3);
/// The same when the orchestrator waits.
const CLEAN_UP_LIMIT_STOPPED: Duration = Duration::from_secs(8);
/// A new key of AWS' is not known everywhere at once.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

/// The program, for a run that needs keys.
pub fn main(wanted: &Wanted) -> ExitStatus {
    let common = &wanted.args.common;
    let work = async {
        let shutdown = Shutdown::default();
        crate::or_give_up(&shutdown, Box::pin(run(wanted, &shutdown))).await
    };
    crate::start(common.log_format, common.verbose, work)
}

async fn run(wanted: &Wanted, shutdown: &Shutdown) -> ExitStatus {
    let mut platforms = Vec::new();
    let stop = shutdown.token();
    let opened = tokio::select! {
        opened = open(wanted, &mut platforms) => opened,
        () = stop.cancelled() => Err(shutdown.signal().map_or(Error::GivenUp, Error::Stopped)),
    };
    let status = match opened {
        Ok(config) => Box::pin(outcome::run_and_report(&config, shutdown)).await,
        Err(error) => crate::fail(&error),
    };
    for platform in platforms {
        let limit = if stop.is_cancelled() { CLEAN_UP_LIMIT_STOPPED } else { CLEAN_UP_LIMIT };
        name(&platform.clean_up(limit).await);
    }
    status
}

/// Makes the keys. What is in `platforms` afterwards must be cleaned up, whatever the end was.
async fn open(wanted: &Wanted, platforms: &mut Vec<Platform>) -> Result<Config, Error> {
    let (mut keys, mut checks, mut plan) = (Keys::new(), Vec::new(), Vec::new());
    for need in &wanted.needs {
        if keys.contains_key(&need.settings.service) {
            continue;
        }
        platforms.push(Platform::connect(&need.settings, &need.purpose, Intent::Bucket).await?);
        let Some(platform) = platforms.last() else { continue };
        let found = platform.checks(Intent::Bucket).await?;
        Platform::refuse_failures(&found)?;
        checks.extend(found);
        plan.extend(platform.plan(Intent::Bucket).await?);
        if wanted.args.common.mode() == Mode::DryRun && !plan.is_empty() {
            continue;
        }
        name(&platform.remove_leftovers().await?);
        let key = platform.key(KeyWish::Bucket).await?;
        checks.push(Check::pass("credentials", format!("from {}", key.origin)));
        keys.insert(need.settings.service.clone(), key);
    }
    if wanted.args.common.mode() == Mode::DryRun && !plan.is_empty() {
        return describe(wanted, checks, plan);
    }
    let config = wanted.complete(&keys, checks)?;
    for leg in &config.legs {
        settle(&Store::new(Side::Source, leg.source.url.clone(), leg.source.options.clone()).await?).await;
    }
    Ok(config)
}

/// What a dry run can say without a key.
fn describe(wanted: &Wanted, mut checks: Vec<Check>, plan: Vec<String>) -> Result<Config, Error> {
    for thing in plan {
        if wanted.args.common.log_format == LogFormat::Text {
            // A reader that has gone away is no error, and anything else will show at the summary.
            let _ = common::report::summary::print(&format!(
                "To read the source it would make on the platform, and delete at the end: {thing}\n"
            ));
        }
        checks.push(Check::pass("would be made on the platform", thing));
    }
    wanted.without_buckets(checks)
}

/// Waits until the store knows the key. What it says otherwise is preflight's to tell.
async fn settle(store: &Store) {
    let unknown = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"];
    let deadline = tokio::time::Instant::now() + SETTLE_LIMIT;
    while tokio::time::Instant::now() < deadline {
        let request = store.client().list_objects_v2().bucket(store.bucket()).prefix(store.prefix()).max_keys(1);
        match store.call_once("ListObjectsV2", None, request.send()).await {
            Err(Error::Request { failure, .. })
                if failure.code.as_deref().is_some_and(|code| unknown.contains(&code)) =>
            {
                tracing::debug!(code = failure.code, "the store does not know the new key yet");
            }
            _ => return,
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

fn name(leftovers: &[Leftover]) {
    for Leftover { what, command, reason } in leftovers {
        tracing::warn!(next = command, "{what} is still on the platform: {reason}");
    }
}
