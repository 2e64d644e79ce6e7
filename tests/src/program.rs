//! Running the programs as their operators do: as processes, configured by variables alone.
//!
//! A program is built once for each test process, with the profile and target directory of the running test, so that a test
//! never sees an old build; `make test` builds all of them just before and names their directory in `TEST_PROGRAM_DIR`. A
//! program gets no variable that the test did not give it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;

/// A program that runs longer than this in a test has hung; it is killed.
const RUN_MAX: Duration = Duration::from_mins(10);

/// What a program has said is read within this time of its end.
const READER_MAX: Duration = Duration::from_secs(10);

/// How often the memory of a running program is looked at. The kernel keeps the peak; only its last moment can be missed.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// A program to run, with its arguments and variables.
#[derive(Debug, Clone)]
pub struct Program {
    package: &'static str,
    name: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
    /// Peak resident memory, bytes.
    pub peak_memory_bytes: u64,
    /// Bytes that it caused to be written to disk, as the kernel counts them.
    pub disk_write_bytes: u64,
    /// From start to end.
    pub elapsed: Duration,
}

impl Program {
    /// `migrate-db` without arguments or variables.
    pub fn migrate_db() -> Self {
        Self::of("migrate-db", "migrate-db")
    }

    /// `migrate-s3` without arguments or variables.
    pub fn migrate_s3() -> Self {
        Self::of("migrate-s3", "migrate-s3")
    }

    /// `publish-images` without arguments or variables.
    pub fn publish_images() -> Self {
        Self::of("images", "publish-images")
    }

    fn of(package: &'static str, name: &'static str) -> Self {
        Self { package, name, arguments: Vec::new(), variables: Vec::new() }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same with more arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with a variable; an earlier value of it is replaced.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
        self
    }

    /// The same without a variable.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be built or started, or hangs.
    pub async fn run(&self) -> Outcome {
        self.spawn().await.wait().await
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it cannot be built or started.
    pub async fn spawn(&self) -> Running {
        let path = built(self.package).await.join(self.name);
        let mut command = Command::new(&path);
        command.args(&self.arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", path.display()));
        let id = child.id().unwrap_or_else(|| panic!("{} ended before it began", self.name));
        let (stdout_sender, stdout) = watch::channel(Vec::new());
        let (stderr_sender, stderr) = watch::channel(Vec::new());
        let readers = [
            tokio::spawn(collect(child.stdout.take(), stdout_sender)),
            tokio::spawn(collect(child.stderr.take(), stderr_sender)),
        ];
        // The first look is taken before anything else runs, so that short programs are looked at too.
        let first = Usage::of(id).unwrap_or_default();
        let usage = tokio::spawn(watch_usage(id, first));
        Running { name: self.name, child, id, started, stdout, stderr, readers, usage }
    }
}

impl Outcome {
    /// The last line of stdout as JSON: the summary that `--log-format json` promises.
    ///
    /// # Panics
    ///
    /// When it is not JSON, with everything that the program said.
    pub fn summary(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("the last line is no summary: {error}\n{self}"))
    }

    /// Asserts the exit code, and shows everything that the program said when it is another.
    ///
    /// # Panics
    ///
    /// When the code is another.
    #[track_caller]
    pub fn assert_code(&self, expected: i32) -> &Self {
        assert_eq!(self.code, Some(expected), "another exit code than expected:\n{self}");
        self
    }

    /// Asserts that the process was never larger than this; a process that was not measured is a failure. One that ends in
    /// its first milliseconds may end before a busy machine looks at it: this is for programs that have work to do.
    ///
    /// # Panics
    ///
    /// When it was.
    #[track_caller]
    pub fn assert_memory_below(&self, bytes_max: u64) -> &Self {
        let peak = self.peak_memory_bytes;
        assert!(peak > 0, "its memory was not measured:\n{self}");
        assert!(peak < bytes_max, "{peak} bytes resident, of {bytes_max} allowed:\n{self}");
        self
    }

    /// Asserts that none of the secrets is in anything that the program said.
    ///
    /// # Panics
    ///
    /// When one is.
    #[track_caller]
    pub fn assert_without(&self, secrets: &[&str]) -> &Self {
        for secret in secrets {
            let is_said = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!is_said, "a secret of {} characters is in the output:\n{self}", secret.len());
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, elapsed, .. } = self;
        write!(formatter, "exit code {code:?} after {elapsed:.1?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
    id: u32,
    started: Instant,
    stdout: watch::Receiver<Vec<u8>>,
    stderr: watch::Receiver<Vec<u8>>,
    readers: [JoinHandle<()>; 2],
    usage: JoinHandle<Usage>,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits until stderr contains `text`.
    ///
    /// # Panics
    ///
    /// When the program ends, or ten minutes pass, without it.
    pub async fn wait_for_stderr(&mut self, text: &str) {
        let contains = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains(text);
        let found = tokio::time::timeout(RUN_MAX, self.stderr.wait_for(contains)).await;
        let is_found = found.is_ok_and(|found| found.is_ok());
        assert!(is_found, "{} never said {text:?}; it said:\n{}", self.name, self.stderr_so_far());
    }

    /// Everything on stderr so far.
    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.borrow()).into_owned()
    }

    /// `kill -9`. Call [`Self::wait`] next.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is what the caller will see.
        let _ = self.child.start_kill();
    }

    /// SIGTERM, as an orchestrator stops a task.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// SIGINT, as Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Stands still until [`Self::go_on`], as on a machine that is suspended.
    pub fn stand_still(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Ends [`Self::stand_still`].
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.id).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            // It may have ended by itself, which is what the caller will see.
            let _ = rustix::process::kill_process(id, signal);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end within ten minutes.
    pub async fn wait(mut self) -> Outcome {
        let Ok(status) = tokio::time::timeout(RUN_MAX, self.child.wait()).await else {
            panic!("{} hangs; it said:\n{}", self.name, self.stderr_so_far());
        };
        let status = status.unwrap_or_else(|error| panic!("cannot wait for {}: {error}", self.name));
        let elapsed = self.started.elapsed();
        for reader in self.readers {
            // A reader that panicked has said so itself; what it read is there. One that goes on reads from a grandchild
            // that outlives a killed program, and is not waited for.
            let _ = tokio::time::timeout(READER_MAX, reader).await;
        }
        let usage = self.usage.await.unwrap_or_default();
        let text = |bytes: &watch::Receiver<Vec<u8>>| String::from_utf8_lossy(&bytes.borrow()).into_owned();
        Outcome {
            code: ExitStatus::code(&status),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            peak_memory_bytes: usage.peak_memory_bytes,
            disk_write_bytes: usage.disk_write_bytes,
            elapsed,
        }
    }
}

async fn collect(stream: Option<impl AsyncRead + Unpin>, sender: watch::Sender<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        sender.send_modify(|all| all.extend_from_slice(&chunk[..count]));
    }
}

#[derive(Debug, Default)]
struct Usage {
    peak_memory_bytes: u64,
    disk_write_bytes: u64,
}

impl Usage {
    /// What the kernel says of the process; nothing once it has ended, even when it is not yet waited for.
    fn of(id: u32) -> Option<Self> {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
            text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            peak_memory_bytes: field("status", "VmHWM:")? * 1024,
            disk_write_bytes: field("io", "write_bytes:").unwrap_or_default(),
        })
    }
}

/// Samples the process until it is gone.
async fn watch_usage(id: u32, mut usage: Usage) -> Usage {
    while let Some(now) = Usage::of(id) {
        usage.peak_memory_bytes = usage.peak_memory_bytes.max(now.peak_memory_bytes);
        usage.disk_write_bytes = usage.disk_write_bytes.max(now.disk_write_bytes);
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
    usage
}

/// The directory of the package's program, built by the first call in this process.
async fn built(package: &'static str) -> PathBuf {
    type Build = Arc<OnceCell<PathBuf>>;
    static BUILDS: Mutex<BTreeMap<&str, Build>> = Mutex::new(BTreeMap::new());
    let build_once = Arc::clone(BUILDS.lock().unwrap_or_else(PoisonError::into_inner).entry(package).or_default());
    build_once.get_or_init(|| build(package)).await.clone()
}

async fn build(package: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("TEST_PROGRAM_DIR") {
        return directory.into();
    }
    let (target, profile) = place().unwrap_or_else(|error| panic!("cannot tell the target directory: {error}"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bins", "--package", package]);
    // Cargo names the folder of the profile `dev` `debug`.
    command.args(["--profile", if profile == "debug" { "dev" } else { &profile }]).arg("--target-dir").arg(&target);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().await.unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
    assert!(output.status.success(), "{package} does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    target.join(profile)
}

/// The target directory of the running test.
pub(crate) fn target_directory() -> PathBuf {
    place().map_or_else(|error| panic!("cannot tell the target directory: {error}"), |(target, _)| target)
}

/// The target directory and the profile's folder, from where this test lies: `TARGET/PROFILE/deps/it-HASH`.
fn place() -> io::Result<(PathBuf, String)> {
    let executable = std::env::current_exe()?;
    let mut folders = executable.ancestors().skip(1);
    let nearest = folders.next().ok_or_else(|| io::Error::other("the test has no folder"))?;
    let profile = if nearest.ends_with("deps") { folders.next() } else { Some(nearest) };
    let profile = profile.ok_or_else(|| io::Error::other("the test has no profile"))?;
    match (profile.parent(), profile.file_name().and_then(|name| name.to_str())) {
        (Some(target), Some(name)) => Ok((target.to_owned(), name.to_owned())),
        _ => Err(io::Error::other(format!("{} is in no target directory", executable.display()))),
    }
}
