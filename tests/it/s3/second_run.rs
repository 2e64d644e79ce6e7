//! A run that is repeated copies nothing twice, replaces nothing unasked, and refuses a target that is not its own.

use tests::s3_server::NewObject;

use super::{Estate, SOURCE, TARGET, assert_totals, run};

async fn migrated() -> Estate {
    let estate = Estate::new().await;
    for index in 0..20 {
        estate.put(&format!("key {index:02}"), format!("content {index}"));
    }
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1).header("content-type", "text/csv"));
    estate.migrate(0).await;
    estate.server.reset_counts();
    estate
}

#[tokio::test]
async fn a_second_run_copies_nothing() {
    let estate = migrated().await;
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [21, 0, 21, 0]);
    assert_eq!(estate.server.count(TARGET, "PutObject"), 0);
    assert_eq!(estate.server.count(TARGET, "CompleteMultipartUpload"), 0);
}

#[tokio::test]
async fn what_is_new_is_copied_and_what_differs_is_named() {
    // GIVEN a migrated bucket, of which an object was then replaced on the source by another of the same size, and one added
    let estate = migrated().await;
    estate.put("key 05", "CONTENT 5");
    estate.put("key 99", "new");
    // WHEN it is migrated again
    let outcome = estate.migrate(4).await;
    // THEN the new one is copied, and the other one is named and not replaced
    assert_totals(&outcome, [22, 1, 20, 1]);
    assert_eq!(estate.server.get(TARGET, "key 05").unwrap().body, "content 5");
    // AND --overwrite replaces it
    let outcome = run(&estate.program().arg("--overwrite"), 0).await;
    assert_totals(&outcome, [22, 1, 21, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn an_object_of_another_size_is_refused_before_anything_is_changed() {
    let estate = migrated().await;
    estate.put("key 05", "longer than before");
    estate.put("key 99", "new");
    let outcome = estate.migrate(3).await;
    assert!(outcome.stderr.contains("key 05") && outcome.stderr.contains("--overwrite"), "{outcome}");
    assert_eq!(estate.server.get(TARGET, "key 99"), None);
    run(&estate.program().env("OVERWRITE", "true"), 0).await;
    estate.assert_same();
}

#[tokio::test]
async fn a_target_with_other_objects_is_refused_unless_allowed() {
    // GIVEN a target that holds something else
    let estate = Estate::new().await;
    estate.put("ours", "content");
    estate.server.put(TARGET, "theirs", NewObject::new("precious"));
    // WHEN, THEN it is refused and the flag is named
    let outcome = estate.migrate(3).await;
    assert!(outcome.stderr.contains("theirs") && outcome.stderr.contains("--allow-extra"), "{outcome}");
    assert_eq!(estate.server.keys(TARGET), ["theirs"]);
    // AND with leave it is left alone and noted
    let outcome = run(&estate.program().arg("--allow-extra"), 0).await;
    assert_totals(&outcome, [1, 1, 0, 0]);
    assert_eq!(super::total(&outcome, "target_only"), 1);
    assert_eq!(estate.server.get(TARGET, "theirs").unwrap().body, "precious");
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let estate = Estate::new().await;
    estate.put("a//b", "content");
    estate.put("c", "content");
    let outcome = run(&estate.program().arg("--dry-run").env("LOG_FORMAT", "text"), 0).await;
    assert!(outcome.stdout.contains("2 objects, 14 B"), "{outcome}");
    assert!(outcome.stdout.contains("odd keys           1"), "{outcome}");
    let counts = estate.server.counts(TARGET);
    let is_read = |name: &String| name.starts_with("Get") || name.starts_with("List") || name.starts_with("Head");
    assert!(counts.keys().all(is_read), "{counts:?}");
}
