//! Killed and stopped runs: the same command finishes the job, and nothing is left behind.

use std::time::{Duration, Instant};

use tests::eventually::eventually;
use tests::s3_server::{Fault, FaultRule, NewObject};

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
    estate
}

/// Waits until the target has begun to receive a large object.
async fn until_uploading(estate: &Estate) {
    let is_uploading = || estate.server.uploads(TARGET).iter().any(|upload| !upload.parts.is_empty());
    eventually("an upload with a part", async || is_uploading()).await;
}

#[tokio::test]
async fn after_a_kill_the_same_command_finishes_the_job() {
    // GIVEN a run that is killed while large objects are on their way
    let estate = slow_estate().await;
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().env("JOBS", "4").env("STATE", state.path().to_str().unwrap());
    for _ in 0..3 {
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
async fn a_stop_is_orderly_and_quick() {
    let estate = slow_estate().await;
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
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
