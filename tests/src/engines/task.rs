//! Our images, started as ECS starts them from their task definitions: variables and nothing else.
//!
//! The images are built once for each test process, from the programs under test: those in `TEST_IMAGES_PROGRAMS`, else in
//! `TEST_PROGRAM_DIR`, else beside the running test. So `make test` need not build the release profile for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::PrivateNetwork;
use super::container::workspace;
use super::network::docker;
use crate::program::target_directory;

/// The tag of the images under test.
const TAG: &str = "under-test";

/// A task that runs longer than this in a test has hung.
const RUN_MAX: Duration = Duration::from_mins(8);

/// A task: an image, its limits and its variables.
#[derive(Debug, Clone)]
pub struct Task {
    image: &'static str,
    tag: &'static str,
    memory_mb: u32,
    cpus: f32,
    variables: Vec<(String, String)>,
    command: Vec<String>,
}

/// What a task left behind.
#[derive(Debug)]
pub struct TaskEnd {
    /// The exit code.
    pub code: i64,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long stopping took, when it was stopped.
    pub stopping: Option<Duration>,
}

/// A task that runs; it goes when this is dropped.
#[derive(Debug)]
pub struct RunningTask {
    id: String,
}

impl Task {
    /// `db-migration` with 1 GB of memory and a processor.
    pub fn db_migration() -> Self {
        Self::new("db-migration", 1024, 1.0)
    }

    /// `s3-migration` with 512 MB of memory and half a processor.
    pub fn s3_migration() -> Self {
        Self::new("s3-migration", 512, 0.5)
    }

    fn new(image: &'static str, memory_mb: u32, cpus: f32) -> Self {
        Self { image, tag: TAG, memory_mb, cpus, variables: Vec::new(), command: Vec::new() }
    }

    /// The same with another build of the image.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a command override.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.push(argument.to_owned());
        self
    }

    /// The same with less of a processor.
    #[must_use]
    pub fn cpus(mut self, cpus: f32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Starts it: an ordinary user, a root file system that cannot be written, nothing else to write to, no capabilities.
    ///
    /// # Panics
    ///
    /// When docker does not.
    pub fn start(&self, network: &PrivateNetwork) -> RunningTask {
        built_images();
        let (memory, cpus) = (format!("{}m", self.memory_mb), self.cpus.to_string());
        let mut command = Command::new("docker");
        command.args(["run", "--detach", "--network", network.name(), "--read-only", "--ipc", "none"]);
        command.args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", &memory]);
        command.args(["--memory-swap", &memory, "--cpus", &cpus, "--label", "migration-test.task"]);
        for (name, value) in &self.variables {
            // The value travels in the environment of docker itself: nobody sees it in a list of processes.
            command.args(["--env", name]).env(name, value);
        }
        command.arg(format!("{}:{}", self.image, self.tag)).args(&self.command);
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run docker: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} cannot be started: {complaint}", self.image);
        RunningTask { id: String::from_utf8_lossy(&output.stdout).trim().to_owned() }
    }

    /// Runs it to its end.
    pub async fn run(&self, network: &PrivateNetwork) -> TaskEnd {
        self.start(network).wait().await
    }
}

impl RunningTask {
    /// `docker stop`, as ECS stops a task: SIGTERM, and 30 seconds.
    pub async fn stop(self) -> TaskEnd {
        let begun = Instant::now();
        let id = self.id.clone();
        let stopped = tokio::task::spawn_blocking(move || docker(&["stop", "--time", "30", &id])).await;
        stopped.unwrap_or_else(|panic| panic!("the task cannot be stopped: {panic}"));
        let stopping = Some(begun.elapsed());
        TaskEnd { stopping, ..self.wait().await }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it hangs.
    pub async fn wait(self) -> TaskEnd {
        let mut waiting = tokio::process::Command::new("docker");
        waiting.args(["wait", &self.id]).kill_on_drop(true);
        let ended = tokio::time::timeout(RUN_MAX, waiting.output()).await;
        let logs = Command::new("docker").args(["logs", &self.id]).output();
        let logs = logs.unwrap_or_else(|error| panic!("cannot run docker: {error}"));
        let (stdout, stderr) = (String::from_utf8_lossy(&logs.stdout), String::from_utf8_lossy(&logs.stderr));
        let Ok(Ok(ended)) = ended else { panic!("the task hangs; it said:\n{stdout}\n{stderr}") };
        let code = String::from_utf8_lossy(&ended.stdout).trim().parse();
        let code = code.unwrap_or_else(|error| panic!("docker gave no exit code: {error}"));
        TaskEnd { code, stdout: stdout.into_owned(), stderr: stderr.into_owned(), stopping: None }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.id]).output();
    }
}

impl TaskEnd {
    /// The last line of stdout as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn summary(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("the last line is no summary: {error}\n{self:?}"))
    }

    /// Asserts exit code and verdict.
    ///
    /// # Panics
    ///
    /// When they are others.
    #[track_caller]
    pub fn assert_verdict(&self, code: i64, verdict: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.summary()["verdict"], verdict, "{self:#?}");
    }
}

/// Builds both images, once for this process; the directory with their files (`NAME.tar`, `NAME.cdx.json`).
///
/// # Panics
///
/// When they cannot be built; the message is the script's own.
pub fn built_images() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let directory = target_directory().join("test-tools/images");
        let output = images_script(TAG, &directory).output();
        let output = output.unwrap_or_else(|error| panic!("cannot build the images: {error}"));
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the images cannot be built:\n{messages}");
        directory
    };
    BUILT.get_or_init(build).clone()
}

/// `make images` with the programs under test: into images tagged `tag`, and files in `directory`.
pub fn images_script(tag: &str, directory: &Path) -> Command {
    let programs = std::env::var_os("TEST_IMAGES_PROGRAMS").or_else(|| std::env::var_os("TEST_PROGRAM_DIR"));
    let programs = programs.map_or_else(|| target_directory().join("debug"), PathBuf::from);
    let mut command = Command::new(workspace().join("images/scripts/build.sh"));
    command.env("IMAGES_PROGRAMS", programs).env("IMAGES_TAG", tag).env("IMAGES_DIRECTORY", directory);
    command.stdin(Stdio::null());
    command
}
