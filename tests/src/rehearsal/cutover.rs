//! The day of the cutover, whole, on one machine: the steps of runbooks 03 and 04 in their order, with the images, while the
//! source is being written to until the freeze. Behind `make rehearse`.
//!
//! Prints the timeline: how long each step took, and how long the service was down.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::program::Signals;
use super::{Options, Paas, RehearsalError, Target, prepare, say, system};
use crate::estate::Bucket;

/// One write to the source every so often, until the freeze.
const WRITE_INTERVAL: Duration = Duration::from_millis(20);

/// Every so many writes one is an uploaded file.
const WRITES_PER_OBJECT: u64 = 10;

/// How long a task may take to stop, as ECS has it.
const STOP_SECONDS: &str = "30";

/// One start of an image.
struct Step {
    /// The step of the runbook.
    name: &'static str,
    image: &'static str,
    flags: Vec<&'static str>,
    variables: Vec<(&'static str, String)>,
    /// Whether the service is down meanwhile.
    down: bool,
}

/// What became of a step.
struct Done {
    name: &'static str,
    down: bool,
    began: Duration,
    took: Duration,
    code: i32,
    verdict: String,
}

/// Rehearses the cutover, and says whether every step ended as the runbook expects.
pub async fn cutover(options: &Options, tag: &str) -> Result<bool, RehearsalError> {
    let mut signals = Signals::listen().map_err(system("signals cannot be listened to"))?;
    let (paas, target) = tokio::select! {
        sides = prepare(options) => sides?,
        number = signals.next() => return Err(RehearsalError::Stopped(number)),
    };
    require_image(tag).await?;
    let started = Instant::now();
    let frozen = CancellationToken::new();
    let writer = write_until(&paas, frozen.clone()).await?;
    say("The source is being written to.");
    let mut done = run_together(dry_runs(&paas, &target), tag, started, &mut signals).await?;
    done.extend(run_together(early_copies(&paas, &target), tag, started, &mut signals).await?);
    let freeze = started.elapsed();
    frozen.cancel();
    let written =
        writer.await.map_err(|error| system("the source cannot be written to")(std::io::Error::other(error)))?;
    paas.freeze().await?;
    say(&format!(
        "\nFreeze: the service is down. {} rows and {} objects were written meanwhile.",
        written.rows, written.objects
    ));
    done.extend(run_together(second_passes(&paas, &target), tag, started, &mut signals).await?);
    done.extend(run_together(verifications(&paas, &target), tag, started, &mut signals).await?);
    let switched = started.elapsed();
    let (at_source, at_target) = (paas.session_count().await?, target.session_count().await?);
    say(&timeline(&done, freeze, switched));
    say(&format!("Of the rows written during the copy the source has {at_source}, the target {at_target}."));
    // Dry runs leave none, and a later report of the same task takes the place of an earlier one.
    let reports = target.report_count();
    say(&format!("The database and the two buckets left {reports} reports in the report bucket."));
    let fine =
        done.iter().all(Done::is_as_expected) && at_source == at_target && at_source >= written.rows && reports >= 3;
    say(if fine { "The cutover would have succeeded: switch." } else { "NO-GO: not every step ended as it should." });
    Ok(fine)
}

/// What the writer wrote.
#[derive(Debug, Default)]
struct Written {
    rows: u64,
    objects: u64,
}

async fn write_until(paas: &Paas, frozen: CancellationToken) -> Result<JoinHandle<Written>, RehearsalError> {
    let client = paas.connect().await?;
    let put = paas.uploads();
    Ok(tokio::spawn(async move {
        let mut written = Written::default();
        while !frozen.is_cancelled() {
            let statement =
                "INSERT INTO sessions (session_id, data, created_at, updated_at) VALUES ($1, '{}', now(), now())";
            let id = uuid::Uuid::new_v4().to_string();
            // A write that fails is not counted, and the numbers at the end are then those that were.
            written.rows += client.execute(statement, &[&id]).await.unwrap_or(0);
            if written.rows.is_multiple_of(WRITES_PER_OBJECT) {
                put(&id);
                written.objects += 1;
            }
            tokio::time::sleep(WRITE_INTERVAL).await;
        }
        written
    }))
}

fn dry_runs(paas: &Paas, target: &Target) -> Vec<Step> {
    vec![
        database("03.2 database: dry run", paas, target, vec!["--dry-run"], false),
        bucket("04.2 bulk-upload: dry run", paas, target, Bucket::BulkUpload, vec!["--dry-run"], false),
        bucket("04.2 cds-export: dry run", paas, target, Bucket::CdsExport, vec!["--dry-run"], false),
    ]
}

fn early_copies(paas: &Paas, target: &Target) -> Vec<Step> {
    vec![
        database("03.3 database: early copy", paas, target, vec![], false),
        bucket("04.3 bulk-upload: early copy", paas, target, Bucket::BulkUpload, vec![], false),
        bucket("04.3 cds-export: early copy", paas, target, Bucket::CdsExport, vec![], false),
    ]
}

fn second_passes(paas: &Paas, target: &Target) -> Vec<Step> {
    vec![
        database("03.5 database: repair pass", paas, target, vec!["--repair"], true),
        bucket("04.5 bulk-upload: second pass", paas, target, Bucket::BulkUpload, vec![], true),
        bucket("04.5 cds-export: second pass", paas, target, Bucket::CdsExport, vec![], true),
    ]
}

fn verifications(paas: &Paas, target: &Target) -> Vec<Step> {
    vec![
        database("03.6 database: verify", paas, target, vec!["--verify"], true),
        bucket("04.6 bulk-upload: verify", paas, target, Bucket::BulkUpload, vec!["--verify"], true),
        bucket("04.6 cds-export: verify", paas, target, Bucket::CdsExport, vec!["--verify"], true),
    ]
}

fn database(name: &'static str, paas: &Paas, target: &Target, flags: Vec<&'static str>, down: bool) -> Step {
    let variables = [paas.database_variables(), target.database_variables(), target.database_report()].concat();
    Step { name, image: "db-migration", flags, variables, down }
}

fn bucket(
    name: &'static str,
    paas: &Paas,
    target: &Target,
    which: Bucket,
    flags: Vec<&'static str>,
    down: bool,
) -> Step {
    let variables =
        [paas.bucket_variables(which), target.bucket_variables(which), target.bucket_report(which)].concat();
    Step { name, image: "s3-migration", flags, variables, down }
}

/// `docker run`, as a task definition would: nothing to write to, no capabilities. The host's network, because the
/// servers of the rehearsal listen on loopback only.
fn docker_run(image: &str, name: &str) -> Command {
    let (memory, cpus) = if image.starts_with("db-migration") { ("1g", "1") } else { ("512m", "0.5") };
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--name", name, "--network", "host", "--read-only", "--ipc", "none"]);
    command.args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", memory, "--cpus", cpus]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

fn container_name() -> String {
    format!("migration-rehearsal-{}", uuid::Uuid::new_v4().simple())
}

/// That the image of this tag is there and starts.
async fn require_image(tag: &str) -> Result<(), RehearsalError> {
    let image = format!("db-migration:{tag}");
    let output = docker_run(&image, &container_name()).args([&image, "--help"]).output().await;
    if output.map_err(system("docker cannot be run"))?.status.success() {
        return Ok(());
    }
    let cause = std::io::Error::other("it does not start; run `make images` and look above");
    Err(system(format!("the image {image}"))(cause))
}

/// Runs steps at the same time, as the runbooks have it for the database and the buckets; a signal to us stops them all.
async fn run_together(
    steps: Vec<Step>,
    tag: &str,
    started: Instant,
    signals: &mut Signals,
) -> Result<Vec<Done>, RehearsalError> {
    let containers: Vec<_> = steps.iter().map(|_| container_name()).collect();
    let running = steps.iter().zip(&containers).map(|(step, container)| step.run(tag, started, container));
    tokio::select! {
        done = try_join_all(running) => done,
        number = signals.next() => {
            let stop = |name: &String| Command::new("docker").args(["stop", "--time", STOP_SECONDS, name.as_str()]).output();
            // What cannot be stopped has ended.
            let _ = join_all(containers.iter().map(stop)).await;
            Err(RehearsalError::Stopped(number))
        }
    }
}

impl Done {
    /// A copy from a source that is written to may end with 4: sequences are no part of a snapshot. In the window only 0 will do.
    fn is_as_expected(&self) -> bool {
        self.code == 0 || (!self.down && self.code == 4)
    }
}

impl Step {
    async fn run(&self, tag: &str, started: Instant, container: &str) -> Result<Done, RehearsalError> {
        let image = format!("{}:{tag}", self.image);
        say(&format!("{}: {image} {}", self.name, self.flags.join(" ")));
        let mut command = docker_run(&image, container);
        for (name, value) in &self.variables {
            // The value travels in docker's own environment: it is in no list of processes.
            command.args(["--env", name]).env(name, value);
        }
        // Ctrl-C reaches us alone, and is passed on as a stop.
        command.args(["--env", "LOG_FORMAT=json", &image]).args(&self.flags).stderr(Stdio::null()).process_group(0);
        let began = started.elapsed();
        let output = command.output().await.map_err(system("docker cannot be run"))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let summary = serde_json::from_str::<serde_json::Value>(stdout.lines().last().unwrap_or_default());
        let verdict = summary.ok().and_then(|summary| summary["verdict"].as_str().map(str::to_owned));
        let done = Done {
            name: self.name,
            down: self.down,
            began,
            took: started.elapsed().saturating_sub(began),
            code: output.status.code().unwrap_or(-1),
            verdict: verdict.unwrap_or_else(|| "no verdict".into()),
        };
        say(&format!("  {}: exit {}, {}, {:.1} s", done.name, done.code, done.verdict, done.took.as_secs_f64()));
        Ok(done)
    }
}

/// A line per step; the service is down between freeze and switch.
fn timeline(done: &[Done], freeze: Duration, switched: Duration) -> String {
    let mut text = format!("\n{:>8}  {:<32}{:>9}  {:<6}{}\n", "at", "step", "seconds", "exit", "verdict");
    let mut line = |at: Duration, name: &str, took: Option<Duration>, code: &str, verdict: &str| {
        let took = took.map_or_else(String::new, |took| format!("{:.1}", took.as_secs_f64()));
        writeln!(text, "{:>7.1}s  {name:<32}{took:>9}  {code:<6}{verdict}", at.as_secs_f64())
            .expect("a string takes a line");
    };
    for step in done.iter().filter(|step| !step.down) {
        line(step.began, step.name, Some(step.took), &step.code.to_string(), &step.verdict);
    }
    line(freeze, "03.4 freeze: the service is down", None, "", "");
    for step in done.iter().filter(|step| step.down) {
        line(step.began, step.name, Some(step.took), &step.code.to_string(), &step.verdict);
    }
    line(switched, "03.7 switch: the service is up", None, "", "");
    let down = switched.saturating_sub(freeze).as_secs_f64();
    write!(text, "\nThe service was down for {down:.1} s.").expect("a string takes a line");
    text
}
