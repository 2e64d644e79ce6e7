//! Several runs, each with its share, are one migration; their reports add up, or it is said why not.

use std::path::Path;

use tests::program::Program;
use tests::s3_server::{Bucket, NewObject};

use super::{Estate, SOURCE, TARGET, run, total};

async fn estate() -> Estate {
    let estate = Estate::new().await;
    for index in 0..50 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    estate
}

fn merge(directory: &Path) -> Program {
    Program::migrate_s3().args(["merge-reports", directory.to_str().unwrap()])
}

#[tokio::test]
async fn the_shares_are_the_whole() {
    // GIVEN three runs of an array job
    let estate = estate().await;
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let program = estate.program().env("REPORT", place).env("STATE", place).env("AWS_BATCH_JOB_ARRAY_SIZE", "3");
    let mut listed = 0;
    for index in 0..3 {
        let outcome = run(&program.clone().env("AWS_BATCH_JOB_ARRAY_INDEX", index.to_string()), 0).await;
        assert!(total(&outcome, "listed") > 5, "{outcome}");
        listed += total(&outcome, "listed");
        // WHEN one is missing, THEN that is said
        let merged = merge(directory.path()).run().await;
        if index < 2 {
            merged.assert_code(1);
            assert!(merged.stderr.contains("is missing"), "{merged}");
        } else {
            merged.assert_code(0);
            assert!(merged.stdout.contains("50 listed = 50 copied"), "{merged}");
        }
    }
    // THEN together they are everything
    assert_eq!(listed, 50);
    estate.assert_same();
}

#[tokio::test]
async fn reports_in_a_bucket_add_up_too() {
    let estate = Estate::with(Bucket::new(SOURCE), Bucket::new(TARGET)).await;
    for index in 0..50 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    let place = format!("s3://{TARGET}/reports/today");
    let endpoint = estate.server.endpoint();
    let program = estate.program().env("REPORT", &place).env("REPORT_ENDPOINT_URL", &endpoint).arg("--allow-extra");
    let target = format!("s3://{TARGET}/objects");
    let merge = estate.program().args(["merge-reports", &place]).env("REPORT_ENDPOINT_URL", &endpoint);
    run(&program.clone().env("NEW_BUCKET", &target).args(["--shard", "0/2"]), 0).await;
    let merged = run(&merge, 1).await;
    assert!(merged.stderr.contains("1/2 is missing"), "{merged}");
    run(&program.env("NEW_BUCKET", &target).args(["--shard", "1/2"]), 0).await;
    let merged = run(&merge, 0).await;
    assert!(merged.stdout.contains("50 listed = 50 copied"), "{merged}");
}

#[tokio::test]
async fn a_source_that_moved_between_the_shares_is_noticed() {
    let estate = estate().await;
    let directory = tempfile::tempdir().unwrap();
    let program = estate.program().env("REPORT", directory.path().to_str().unwrap());
    run(&program.clone().args(["--shard", "0/2"]), 0).await;
    estate.server.put(SOURCE, "late", NewObject::new("x"));
    run(&program.args(["--shard", "1/2"]), 0).await;
    let merged = merge(directory.path()).run().await;
    merged.assert_code(1);
    assert!(merged.stderr.contains("it has moved"), "{merged}");
    assert!(estate.server.object_count(TARGET) >= 50);
}

#[tokio::test]
async fn a_share_that_is_none_is_a_slip() {
    let estate = estate().await;
    run(&estate.program().args(["--shard", "2/2"]), 2).await;
    run(&estate.program().env("JOB_COMPLETION_INDEX", "1"), 2).await;
}
