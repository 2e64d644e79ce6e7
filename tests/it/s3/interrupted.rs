//! Killed and stopped runs: the same command finishes the job, and nothing is left behind.

use std::time::{Duration, Instant};

use tests::eventually::eventually;
use tests::s3_server::{Bucket, Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, run};

async fn slow_estate() -> Estate {
    let estate = Estate::new().await;
    for index in 0..60 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    for index in 0..2 {
        estate.server.put(SOURCE, &format!("large {index}"), NewObject::generated(40 << 20, index));
    }
    estate.server.inject(FaultRule::new(Fault::Delay(Duration::from_millis(200))).bucket(TARGET).on("PutObject"));
    estate.server.inject(FaultRule::new(Fault::Delay(Duration::from_millis(700))).bucket(TARGET).on("UploadPart"));
    // So that no object is whole before a slow machine looks.
    estate.server.inject(FaultRule::fail(503, "SlowDown").bucket(TARGET).on("CompleteMultipartUpload"));
    estate
}

/// Waits until a run that was begun after the counts were reset is in the middle of a large object.
async fn until_uploading(estate: &Estate) {
    // Preflight sends three parts of its own. A run that goes on with an upload may have nothing left to do but to complete it.
    let count = || estate.server.count(TARGET, "UploadPart") + estate.server.count(TARGET, "CompleteMultipartUpload");
    eventually("parts of a large object", async || count() > 3).await;
}

#[tokio::test]
async fn after_a_kill_the_same_command_finishes_the_job() {
    // GIVEN a run that is killed while large objects are on their way
    let estate = slow_estate().await;
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().env("JOBS", "4").env("STATE", state.path().to_str().unwrap());
    for _ in 0..3 {
        estate.server.reset_counts();
        let mut running = program.spawn().await;
        until_uploading(&estate).await;
        running.kill();
        running.wait().await;
        assert!(!estate.server.uploads(TARGET).is_empty(), "killed in the middle");
    }
    // WHEN the same command runs again
    estate.server.clear_faults();
    run(&program, 0).await;
    // THEN everything is there, and no multipart upload is left behind
    estate.assert_same();
}

#[tokio::test]
async fn parts_that_the_target_has_are_not_sent_again() {
    // GIVEN a run that was killed in the middle of an object of ten parts, its journal in a directory or a bucket
    for state in ["directory", "s3"] {
        let estate = Estate::with(Bucket::new(SOURCE), Bucket::new(TARGET)).await;
        estate.server.put(SOURCE, "large", NewObject::generated(80 << 20, 7).header("x-amz-meta-owner", "team"));
        let delay = Fault::Delay(Duration::from_millis(400));
        estate.server.inject(FaultRule::new(delay).bucket(TARGET).on("UploadPart"));
        let directory = tempfile::tempdir().unwrap();
        let place = if state == "s3" { format!("s3://{TARGET}/state") } else { directory.path().display().to_string() };
        let program = estate.program().env("STATE", place).arg("--allow-extra");
        let mut running = program.spawn().await;
        let part_count = || estate.server.uploads(TARGET).iter().map(|upload| upload.parts.len()).max().unwrap_or(0);
        eventually("four parts", async || part_count() >= 4).await;
        running.kill();
        running.wait().await;
        let kept = part_count() as u64;
        estate.server.clear_faults();
        estate.server.reset_counts();
        // WHEN the same command runs again
        run(&program, 0).await;
        // THEN only what was missing is sent; preflight sends three parts of its own, two of them wrong
        assert!(
            estate.server.count(TARGET, "UploadPart") <= 10 - kept + 3,
            "{state}: {:?}",
            estate.server.counts(TARGET)
        );
        assert_eq!(estate.server.count(TARGET, "CreateMultipartUpload"), 1, "preflight's");
        assert_eq!(estate.server.get(SOURCE, "large").unwrap().body, estate.server.get(TARGET, "large").unwrap().body);
        assert_eq!(estate.server.get(TARGET, "large").unwrap().headers["x-amz-meta-owner"], "team");
        assert_eq!(estate.server.uploads(TARGET), []);
    }
}

#[tokio::test]
async fn an_upload_of_another_generation_is_not_gone_on_with() {
    // GIVEN a killed run, after which the source's object was replaced by one of the same size, its middle the same
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "large", NewObject::generated(80 << 20, 7));
    estate.server.inject(FaultRule::new(Fault::Delay(Duration::from_millis(400))).bucket(TARGET).on("UploadPart"));
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().env("STATE", state.path().to_str().unwrap());
    let mut running = program.spawn().await;
    eventually("four parts", async || estate.server.uploads(TARGET).iter().any(|upload| upload.parts.len() >= 4)).await;
    running.kill();
    running.wait().await;
    estate.server.clear_faults();
    let mut body = estate.server.get(SOURCE, "large").unwrap().body.to_vec();
    body[3] ^= 1;
    estate.server.put(SOURCE, "large", NewObject::new(body).header("x-amz-meta-owner", "another"));
    // WHEN, THEN the old upload is aborted and everything sent
    estate.server.reset_counts();
    run(&program, 0).await;
    assert_eq!(estate.server.count(TARGET, "UploadPart"), 10 + 3, "three are preflight's");
    estate.assert_same();
}

#[tokio::test]
async fn a_stop_is_orderly_and_quick() {
    let estate = slow_estate().await;
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        estate.server.reset_counts();
        let running = estate.program().env("JOBS", "4").spawn().await;
        until_uploading(&estate).await;
        let asked = Instant::now();
        if signal == "TERM" {
            running.terminate();
        } else {
            running.interrupt();
        }
        let outcome = running.wait().await;
        outcome.assert_code(code);
        assert!(asked.elapsed() < Duration::from_secs(15), "{outcome}");
        assert_eq!(outcome.summary()["verdict"], "stopped", "{outcome}");
        assert_eq!(estate.server.uploads(TARGET), [], "what was on its way is aborted");
    }
    estate.server.clear_faults();
    estate.migrate(0).await;
    estate.assert_same();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_server_that_hangs() {
    let estate = Estate::new().await;
    estate.put("a", "x");
    estate.put("b", "y");
    estate.server.inject(FaultRule::new(Fault::StallBody(0)).bucket(SOURCE).on("GetObject").key("b"));
    let mut running = estate.program().env("PROGRESS_INTERVAL", "1").spawn().await;
    running.wait_for_stderr("\"copy\"").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    running.terminate();
    running.wait().await.assert_code(143);
    assert!(asked.elapsed() < Duration::from_secs(25));
}
