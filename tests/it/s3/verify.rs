//! `--verify` reads both sides in full, names what differs, and writes nothing.

use tests::s3_server::{Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

fn verify(estate: &Estate) -> tests::program::Program {
    estate.program().arg("--verify")
}

async fn migrated() -> Estate {
    let estate = Estate::new().await;
    estate.put("one", "content one");
    estate.put("two", "content two");
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    estate.migrate(0).await;
    estate.server.reset_counts();
    estate
}

/// The findings of the run's report, as `item aspect kind`.
async fn findings(estate: &Estate, code: i32) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let program = verify(estate).env("REPORT", directory.path().to_str().unwrap());
    run(&program, code).await;
    let report = std::fs::read(directory.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let word = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| ["item", "aspect", "kind"].map(|name| word(finding, name)).join(" ")).collect()
}

#[tokio::test]
async fn equal_buckets_are_equal_and_nothing_is_written() {
    let estate = migrated().await;
    let outcome = run(&verify(&estate), 0).await;
    assert_totals(&outcome, [3, 0, 3, 0]);
    assert_eq!(outcome.summary()["verdict"], "equal");
    for bucket in [SOURCE, TARGET] {
        let counts = estate.server.counts(bucket);
        let is_read = |name: &String| name.starts_with("Get") || name.starts_with("List") || name.starts_with("Head");
        assert!(counts.keys().all(is_read), "{counts:?}");
    }
}

#[tokio::test]
async fn one_flipped_bit_is_named() {
    // GIVEN a target whose disk has decayed: no size, ETag or stored checksum tells
    let estate = migrated().await;
    estate.server.corrupt_byte(TARGET, "large", 13 << 20);
    // WHEN, THEN
    assert_eq!(findings(&estate, 4).await, ["large content differs"]);
}

#[tokio::test]
async fn every_aspect_that_differs_is_named() {
    let estate = migrated().await;
    estate.server.put(TARGET, "one", NewObject::new("content one").header("content-type", "text/csv"));
    let two = NewObject::new("content two").tag("a", "b").header("x-amz-meta-x", "y");
    estate.server.put(TARGET, "two", two.header("x-amz-storage-class", "STANDARD_IA"));
    let found = findings(&estate, 4).await;
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        ["one content-type differs", "two storage class differs", "two tags differs", "two user metadata differs"]
    );
}

#[tokio::test]
async fn what_only_one_side_has_is_named() {
    let estate = migrated().await;
    estate.server.remove(TARGET, "one");
    estate.server.put(TARGET, "three", NewObject::new("content three"));
    estate.server.put(TARGET, "two", NewObject::new("shorter"));
    let mut found = findings(&estate, 4).await;
    found.sort();
    assert_eq!(found, ["one object source_only", "three object target_only", "two size differs"]);
}

#[tokio::test]
async fn tags_that_cannot_be_read_leave_equality_unproved() {
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "one", NewObject::new("content").tag("a", "b"));
    estate.migrate(0).await;
    estate.server.inject(FaultRule::fail(403, "AccessDenied").bucket(SOURCE).on("GetObjectTagging"));
    let outcome = run(&verify(&estate), 6).await;
    assert_eq!(outcome.summary()["verdict"], "unproved");
    estate.server.clear_faults();
    estate.server.inject(FaultRule::new(Fault::CutBody(3)).bucket(TARGET).on("GetObject").times(2));
    run(&verify(&estate), 0).await;
}

#[tokio::test]
async fn stored_checksums_are_compared_without_reading() {
    // GIVEN a migrated bucket: small objects with equal ETags, and a large one with a checksum on both sides
    let estate = migrated().await;
    // WHEN what the stores keep is compared
    let stored = estate.program().arg("--verify=stored");
    let outcome = run(&stored, 0).await;
    // THEN all is equal, and no content was read but preflight's byte
    assert_totals(&outcome, [3, 0, 3, 0]);
    assert_eq!((estate.server.count(SOURCE, "GetObject"), estate.server.count(TARGET, "GetObject")), (1, 0));
    // AND what differs is named, and what cannot be told is not called equal
    estate.server.put(TARGET, "one", NewObject::new("CONTENT ONE"));
    run(&stored, 4).await;
    estate.put("one", "CONTENT ONE");
    estate.server.put(SOURCE, "two", NewObject::new("CONTENT TWO").without_checksum());
    let outcome = run(&estate.program().env("VERIFY", "stored"), 6).await;
    assert_eq!(outcome.summary()["verdict"], "unproved", "{outcome}");
}
