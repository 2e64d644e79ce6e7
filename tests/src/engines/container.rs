//! Images and the life of containers: found or built, started, and removed when the test process ends in any way.
//!
//! A static is never dropped and a test may be killed, so removal is the work of a guard: a shell that reads from a pipe
//! which this process holds open. When the process ends, also by `kill -9`, the pipe ends, and the guard removes every
//! container with this process' label. Whatever a guard could not remove is swept by the next process that starts.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use testcontainers::core::IntoContainerPort as _;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _};

/// Names the process that a container belongs to.
const OWNER_LABEL: &str = "migration-test.owner";

/// How long an engine may take until it says that it is ready. A small machine starts several at once.
const START_MAX: Duration = Duration::from_mins(3);

/// Waits for the end of its input, then removes the containers with the label $1.
const GUARD: &str = r#"
cat > /dev/null
docker ps --all --quiet --filter "label=$1" | xargs --no-run-if-empty docker rm --force --volumes > /dev/null 2>&1
"#;

/// The root of the workspace, where this harness was built.
pub(super) fn workspace() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.parent().unwrap_or(harness).to_owned()
}

/// The name of the engine's image, built where it cannot be had otherwise. Blocks, for minutes when it builds.
///
/// # Panics
///
/// When there is no image; the message is the script's own.
pub(super) fn image(engine: &str) -> String {
    let script = workspace().join("tests/images/build.sh");
    let output = Command::new(&script).arg(engine).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "there is no engine {engine} to test on:\n{messages}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container's image, split into the two halves that testcontainers wants.
pub(super) fn generic_image(image: &str) -> GenericImage {
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    GenericImage::new(name, tag)
}

/// Starts a container and returns the port on 127.0.0.1 behind which `port` is. Removed when this process ends.
///
/// # Panics
///
/// When the container cannot be started or does not become ready.
pub(super) async fn start(engine: &'static str, request: ContainerRequest<GenericImage>, port: u16) -> u16 {
    ensure_guard();
    let request = request.with_label(OWNER_LABEL, owner()).with_startup_timeout(START_MAX);
    // In a thread with a runtime of its own: a test's runtime ends with the test, and the container must not.
    let started = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let container = request.start().await.map_err(io::Error::other)?;
            let host_port = container.get_host_port_ipv4(port.tcp()).await.map_err(io::Error::other)?;
            // The guard removes it, when all tests are done.
            std::mem::forget(container);
            Ok::<_, io::Error>(host_port)
        })
    });
    match started.await {
        Ok(Ok(port)) => port,
        Ok(Err(error)) => panic!("the engine {engine} did not start: {error}"),
        Err(panic) => panic!("the engine {engine} did not start: {panic}"),
    }
}

/// This process, in a form that no later process of the same number shares.
fn owner() -> String {
    let id = std::process::id();
    format!("{id}-{}", start_time(id).unwrap_or_default())
}

/// When a process started, in ticks since boot: field 22 of `/proc/ID/stat`, counted behind the name in brackets.
fn start_time(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Starts the guard, once, after sweeping what processes that are gone have left.
fn ensure_guard() {
    static GUARDS: OnceLock<io::Result<Child>> = OnceLock::new();
    let guard = GUARDS.get_or_init(|| {
        sweep();
        let label = format!("{OWNER_LABEL}={}", owner());
        // A group of its own: Ctrl-C ends the tests, and the guard must outlive them.
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &label]).process_group(0);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    });
    assert!(guard.is_ok(), "the guard that removes containers cannot be started: {guard:?}");
}

fn sweep() {
    let format = format!("{{{{.ID}}}} {{{{.Label \"{OWNER_LABEL}\"}}}}");
    let filter = format!("label={OWNER_LABEL}");
    let listed = Command::new("docker").args(["ps", "--all", "--filter", &filter, "--format", &format]).output();
    let Ok(listed) = listed else { return };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some((container, owner)) = line.split_once(' ') else { continue };
        let Some((id, started)) = owner.split_once('-') else { continue };
        let is_alive = id.parse().ok().and_then(start_time).is_some_and(|time| time == started);
        if !is_alive {
            // What cannot be removed now is tried again by the next process.
            let _ = Command::new("docker").args(["rm", "--force", "--volumes", container]).output();
        }
    }
}
