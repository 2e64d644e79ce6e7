//! `--delete-extra`: deletes what the source no longer has, and nothing else.

use tests::program::Program;
use tests::s3_server::{Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run, total};

/// A migrated bucket, of which the source then lost two objects.
async fn shrunken() -> Estate {
    let estate = Estate::new().await;
    for index in 0..10 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.migrate(0).await;
    for key in ["key 3", "key 7"] {
        estate.server.remove(SOURCE, key);
    }
    estate
}

fn program(estate: &Estate) -> Program {
    estate.program().arg("--delete-extra")
}

#[tokio::test]
async fn what_the_source_no_longer_has_goes_and_is_listed() {
    let estate = shrunken().await;
    let directory = tempfile::tempdir().unwrap();
    let program = program(&estate).args(["--confirm", TARGET]).env("REPORT", directory.path().to_str().unwrap());
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [8, 0, 8, 0]);
    assert_eq!(total(&outcome, "target_only"), 2);
    estate.assert_same();
    let report = std::fs::read_to_string(directory.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let deleted = report["findings"].as_array().unwrap().iter().filter(|finding| finding["aspect"] == "deleted");
    assert_eq!(deleted.map(|finding| finding["item"].as_str().unwrap()).collect::<Vec<_>>(), ["key 3", "key 7"]);
}

#[tokio::test]
async fn beyond_the_cap_nothing_goes() {
    let estate = shrunken().await;
    let outcome = run(&program(&estate).env("DELETE_MAX", "1"), 4).await;
    assert!(outcome.stderr.contains("--delete-max"), "{outcome}");
    assert_eq!(estate.server.object_count(TARGET), 10);
}

#[tokio::test]
async fn another_bucket_than_the_confirmed_one_is_not_touched() {
    let estate = shrunken().await;
    run(&program(&estate).args(["--confirm", "another-bucket"]), 2).await;
    assert_eq!(estate.server.object_count(TARGET), 10);
}

#[tokio::test]
async fn nothing_goes_after_a_failure() {
    let estate = shrunken().await;
    estate.put("new", "content");
    estate.server.inject(FaultRule::fail(403, "InvalidObjectState").bucket(SOURCE).on("GetObject").key("new"));
    run(&program(&estate), 4).await;
    assert_eq!(estate.server.object_count(TARGET), 10);
}

#[tokio::test]
async fn nothing_goes_where_something_arrived_otherwise_than_it_was_sent() {
    // GIVEN a target that forgets tags
    let estate = shrunken().await;
    estate.server.put(SOURCE, "new", NewObject::new("content").tag("class", "open"));
    estate.server.inject(FaultRule::new(Fault::KeepLess).bucket(TARGET).on("PutObject"));
    // WHEN an object arrives without its tags, THEN nothing is deleted in that run
    let outcome = run(&program(&estate), 4).await;
    assert_totals(&outcome, [9, 1, 8, 0]);
    assert_eq!(estate.server.object_count(TARGET), 11);
}

#[tokio::test]
async fn a_listing_that_leaves_something_out_deletes_nothing() {
    // GIVEN a source of two pages, of which one object is missing from the listing only
    let estate = Estate::new().await;
    for index in 0..5 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.migrate(0).await;
    estate.server.inject(FaultRule::new(Fault::LeaveOut("key 2".into())).bucket(SOURCE).on("ListObjectsV2"));
    // WHEN what only the target has is to go, THEN it is looked for and stays
    let outcome = run(&program(&estate), 4).await;
    assert!(outcome.stdout.contains("different"), "{outcome}");
    assert_eq!(estate.server.object_count(TARGET), 5);
}

#[tokio::test]
async fn the_journal_in_the_target_stays() {
    let estate = shrunken().await;
    let program = program(&estate).env("STATE", format!("s3://{TARGET}/.migration")).env("ALLOW_EXTRA", "yes");
    run(&program, 0).await;
    assert_eq!(estate.server.keys(TARGET).len(), 9, "eight objects and a segment of the journal");
    run(&program, 0).await;
    assert_eq!(estate.server.keys(TARGET).len(), 9);
    estate.server.put(TARGET, "other", NewObject::new("x"));
    run(&program, 0).await;
    assert_eq!(estate.server.keys(TARGET).len(), 9);
}
