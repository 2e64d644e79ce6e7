//! Large objects and many objects: memory stays where it is, and nothing goes to disk.

use tests::s3_server::NewObject;

use super::{Estate, SOURCE, TARGET, assert_totals, run};

/// What the process may hold resident, whatever it moves.
const MEMORY_BYTES_MAX: u64 = 150_000_000;

/// What a process may write besides: its output through a pipe is not counted, so almost nothing.
const DISK_BYTES_MAX: u64 = 1_000_000;

#[tokio::test]
async fn an_object_of_three_gigabytes_streams_through() {
    let estate = Estate::new().await;
    let bytes = 3_000_000_000;
    estate.server.put(SOURCE, "large", NewObject::generated(bytes, 3));
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [1, 1, 0, 0]);
    assert_eq!(estate.server.length(TARGET, "large"), Some(bytes));
    outcome.assert_memory_below(MEMORY_BYTES_MAX);
    assert!(outcome.disk_write_bytes < DISK_BYTES_MAX, "{} bytes written", outcome.disk_write_bytes);
    let verified = run(&estate.program().arg("--verify"), 0).await;
    verified.assert_memory_below(MEMORY_BYTES_MAX);
}

#[tokio::test]
async fn multipart_sources_are_proved_by_their_parts() {
    // GIVEN a source object that was itself put in parts, so that its ETag is no MD5 of it
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "first", NewObject::generated(40 << 20, 3));
    estate.migrate(0).await;
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().to_str().unwrap();
    // WHEN it is compared with a full reading
    run(&estate.program().arg("--verify").env("REPORT", report), 0).await;
    // THEN both were read
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["items"][0]["proof"], "reread");
    assert_eq!(report["items"][0]["digest_source"], report["items"][0]["digest_target"]);
}

#[tokio::test]
async fn thousands_of_objects_do_not_add_up_in_memory() {
    let estate = Estate::new().await;
    for index in 0..5_000 {
        estate.put(&format!("{index:05}/{}", "k".repeat(100)), vec![b'x'; 2_000]);
    }
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [5_000, 5_000, 0, 0]);
    outcome.assert_memory_below(MEMORY_BYTES_MAX);
    assert_eq!(estate.server.object_count(TARGET), 5_000);
}
