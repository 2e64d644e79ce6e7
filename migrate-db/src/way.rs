//! The way to the source: none where it can be reached, else through the platform, made at the start and removed at the end.
//!
//! Called by `run`, once the lock on the target is held: what an earlier start left on the platform is then nobody's.
//! Called by `outcome` to remove it all, whatever the end was.

use std::time::Duration;

use common::error::{Class, OperatorError as _};
use common::finding::{Finding, FindingKind};
use common::report::Check;
use platform::{Intent, Leftover, Platform, Purpose};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Mode};
use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::journal;
use crate::record::Recorder;
use crate::source::{Origin, PlatformSource};
use crate::state::State;

/// To remove what was made, at the end of a run that was not stopped.
const CLEAN_UP_LIMIT: Duration = Duration::from_mins(3);
/// The same when the orchestrator waits: ECS kills 30 s after it asked to stop.
const CLEAN_UP_LIMIT_STOPPED: Duration = Duration::from_secs(8);
/// How often a run goes on by itself after the way broke.
const RESTARTS_MAX: u32 = 5;

/// What a run has made on the platform, and knows of it.
#[derive(Default)]
pub struct Way {
    /// Where it leads; of a source that needs no way, where that is.
    pub source: Option<Endpoint>,
    /// What a dry run would make, in words.
    pub plan: Vec<String>,
    platform: Option<Platform>,
    checks: Vec<Check>,
    restarts: u32,
}

/// The source's endpoint, reached by whatever it takes. `None` when a dry run would have to make something first.
pub async fn open(
    config: &Config,
    stop: &CancellationToken,
    control: &Session,
    state: &mut State,
) -> Result<Option<Endpoint>> {
    if let Some(source) = &state.way.source {
        state.checks.extend(state.way.checks.iter().cloned());
        return Ok(Some(source.clone()));
    }
    let endpoint = match &config.origin {
        Origin::Endpoint(endpoint) => Some((**endpoint).clone()),
        Origin::Platform(source) => tokio::select! {
            opened = through_platform(config, source, control, state) => opened?,
            () = stop.cancelled() => return Err(Error::Cancelled),
        },
    };
    state.way.source.clone_from(&endpoint);
    Ok(endpoint)
}

async fn through_platform(
    config: &Config,
    source: &PlatformSource,
    control: &Session,
    state: &mut State,
) -> Result<Option<Endpoint>> {
    state.progress.begin_phase("way into the platform", None, None);
    let intent = Intent::Database(&source.way);
    let platform = state.way.platform.insert(Platform::connect(&source.settings, &purpose(config), intent).await?);
    let mut checks = platform.checks(intent).await?;
    state.checks.extend(checks.iter().cloned());
    Platform::refuse_failures(&checks)?;
    let plan = platform.plan(intent).await?;
    if config.mode == Mode::DryRun && !plan.is_empty() {
        state.way.plan = plan;
        return Ok(None);
    }
    // A run that writes holds the lock that says so. One that reads takes another, and leaves things be without it.
    if config.mode.writes() || journal::lock_for_reading(control).await? {
        name(&platform.remove_leftovers().await?, &state.recorder);
    }
    let way = platform.open_way(&source.way).await?;
    let mut endpoint = source.endpoint(&way.credentials)?;
    // A real attempt: what a security group forbids shows in nothing else.
    drop(way.tunnel.connect(&endpoint.host, endpoint.port).await?);
    let reached = format!("{} reaches {}:{}", way.tunnel.app(), endpoint.host, endpoint.port);
    let reached = Check::pass("route inside the platform", reached);
    state.checks.push(reached.clone());
    checks.push(reached);
    state.way.checks = checks;
    endpoint.tunnel = Some(way.tunnel);
    Ok(Some(endpoint))
}

/// Runs that must not be at work together have the same purpose: those that write to one target, and those that read.
fn purpose(config: &Config) -> Purpose {
    let kind = if config.mode.writes() { "to" } else { "beside" };
    Purpose { program: "migrate-db", errand: format!("{kind} {}", config.target.label()) }
}

/// Whether a run that ended so goes on by itself: the way broke, and with it the snapshot, and the journal has the rest.
pub async fn may_go_on(config: &Config, state: &mut State, error: &Error) -> bool {
    let is_worth_it = matches!(config.origin, Origin::Platform(_))
        && state.way.source.is_some()
        && error.class() == Class::Transient
        && state.way.restarts < RESTARTS_MAX;
    if is_worth_it {
        state.way.restarts += 1;
        tracing::warn!(%error, "the way through the platform broke; going on from the journal");
        tokio::time::sleep(Duration::from_secs(1) * state.way.restarts).await;
    }
    is_worth_it
}

/// Removes what was made. What is still there afterwards is named.
pub async fn close(state: &mut State, stopped: bool) {
    let source = state.way.source.as_ref();
    let tunnel = source.and_then(|source| source.tunnel.clone());
    if let Some(tunnel) = tunnel {
        tunnel.close().await;
    }
    let Some(platform) = state.way.platform.take() else { return };
    let limit = if stopped { CLEAN_UP_LIMIT_STOPPED } else { CLEAN_UP_LIMIT };
    name(&platform.clean_up(limit).await, &state.recorder);
}

fn name(leftovers: &[Leftover], recorder: &Recorder) {
    for Leftover { what, command, reason } in leftovers {
        tracing::warn!(next = command, "{what} is still on the platform: {reason}");
        let detail = format!("is still on the platform ({reason}); remove it with: {command}");
        recorder.finding(Finding::new(FindingKind::Note, what, "platform", detail));
    }
}
