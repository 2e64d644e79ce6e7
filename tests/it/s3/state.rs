//! `--state`: a second pass reads only what changed, and may replace what this migration wrote.

use std::time::Duration;

use tests::s3_server::{Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

async fn second_pass(state: &str) {
    // GIVEN a migration with a journal
    let estate = Estate::new().await;
    for index in 0..20 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    let program = estate.program().env("STATE", state).arg("--allow-extra");
    run(&program, 0).await;
    estate.server.reset_counts();
    // WHEN nothing has changed
    let outcome = run(&program, 0).await;
    // THEN nothing is read but by preflight
    assert_totals(&outcome, [21, 0, 21, 0]);
    assert_eq!(estate.server.count(SOURCE, "GetObject"), 1);
    assert_eq!(estate.server.count(TARGET, "HeadObject"), 0);
    // AND what the source changed is replaced without asking, for it was ours
    estate.put("key 07", "another length");
    estate.put("key 08", "CONTENT 8");
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [21, 2, 19, 0]);
    assert_eq!(estate.server.get(TARGET, "key 07").unwrap().body, "another length");
    assert_eq!(estate.server.get(TARGET, "key 08").unwrap().body, "CONTENT 8");
    // BUT not when somebody else has replaced it meanwhile
    estate.put("key 09", "CONTENT 9");
    estate.server.put(TARGET, "key 09", NewObject::new("someone's"));
    let outcome = run(&program, 4).await;
    assert_totals(&outcome, [21, 0, 20, 1]);
    assert_eq!(estate.server.get(TARGET, "key 09").unwrap().body, "someone's");
}

#[tokio::test]
async fn in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    second_pass(directory.path().join("made/when needed").to_str().unwrap()).await;
}

#[tokio::test]
async fn under_a_prefix_of_the_target() {
    // Beside the objects, where it is the only thing that the source lacks.
    second_pass(&format!("s3://{TARGET}/.migration")).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_kept_stops_the_run_before_it_begins() {
    let estate = Estate::new().await;
    estate.put("a", "x");
    let outcome = run(&estate.program().env("STATE", "/proc/nowhere"), 3).await;
    assert!(outcome.stderr.contains("the journal at /proc/nowhere"), "{outcome}");
    assert!(estate.server.keys(TARGET).is_empty());
}

/// A second run on the state of one that is at work is refused; after a kill the same command goes on.
async fn one_run_at_a_time(state: &str) {
    // GIVEN a run that is at work
    let estate = Estate::new().await;
    for index in 0..40 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    let delay = Fault::Delay(Duration::from_secs(2));
    estate.server.inject(FaultRule::new(delay).bucket(SOURCE).on("GetObject").skip(1));
    let program = estate.program().env("STATE", state).env("JOBS", "2").arg("--allow-extra");
    let mut running = program.clone().env("PROGRESS_INTERVAL", "1").spawn().await;
    running.wait_for_stderr("\"copy\"").await;
    // WHEN, THEN a second one is refused, and the first one is none the worse
    let refused = run(&program, 3).await;
    assert!(refused.stderr.contains("another run is at work"), "{refused}");
    running.kill();
    running.wait().await;
    estate.server.clear_faults();
    run(&program, 0).await;
    assert_eq!(estate.server.get(TARGET, "key 39").unwrap().body, "content 39");
    // AND a run that has ended leaves no lock
    let outcome = run(&program, 0).await;
    assert!(!outcome.stderr.contains("is locked"), "{outcome}");
}

#[tokio::test]
async fn a_second_run_on_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    one_run_at_a_time(directory.path().to_str().unwrap()).await;
}

#[tokio::test]
async fn a_second_run_on_a_prefix_is_refused() {
    one_run_at_a_time(&format!("s3://{TARGET}/.migration")).await;
}

#[tokio::test]
async fn a_store_without_conditions_is_found_out_and_nobody_is_refused() {
    let estate = Estate::new().await;
    estate.put("a", "x");
    estate.server.inject(FaultRule::new(Fault::IgnoreConditions).bucket(TARGET));
    let program = estate.program().env("STATE", format!("s3://{TARGET}/.migration")).arg("--allow-extra");
    for _ in 0..2 {
        let outcome = run(&program, 0).await;
        assert!(outcome.stderr.contains("does not keep conditions"), "{outcome}");
    }
}

#[tokio::test]
async fn a_run_whose_lock_was_taken_over_ends_and_leaves_the_lock_alone() {
    // GIVEN a run that stands still for so long that another one takes it for dead, and goes on in its place
    let estate = Estate::new().await;
    for index in 0..120 {
        estate.put(&format!("key {index:03}"), format!("content {index}"));
    }
    let slow = FaultRule::new(Fault::Delay(Duration::from_millis(1_500)));
    estate.server.inject(slow.bucket(SOURCE).on("GetObject").skip(1));
    let program =
        estate.program().env("STATE", format!("s3://{TARGET}/.migration")).env("JOBS", "2").arg("--allow-extra");
    let mut first = program.clone().env("PROGRESS_INTERVAL", "1").spawn().await;
    first.wait_for_stderr("\"copy\"").await;
    first.stand_still();
    let mut second = program.clone().env("PROGRESS_INTERVAL", "1").spawn().await;
    second.wait_for_stderr("\"copy\"").await;
    // WHEN the first one goes on
    first.go_on();
    // THEN it ends and says why, and a third one is still refused because of the second
    let outcome = first.wait().await;
    outcome.assert_code(1);
    assert!(outcome.stderr.contains("another run took it over"), "{outcome}");
    assert!(run(&program, 3).await.stderr.contains("another run is at work"));
    estate.server.clear_faults();
    second.wait().await.assert_code(0);
    assert_eq!(estate.server.get(TARGET, "key 119").unwrap().body, "content 119");
}
