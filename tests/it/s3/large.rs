//! Large objects and many objects: memory stays where it is, and nothing goes to disk.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tests::s3_server::{Account, Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, SOURCE_SECRET, TARGET, assert_totals, run};

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

/// Puts an object into the source in parts of these lengths.
async fn put_in_parts(estate: &Estate, key: &str, lengths: &[usize]) {
    let client = estate.server.client(&Account::new("AKIASOURCE", SOURCE_SECRET, &[SOURCE]));
    let begun = client.create_multipart_upload().bucket(SOURCE).key(key).send().await.unwrap();
    let id = begun.upload_id.unwrap();
    let mut whole = CompletedMultipartUpload::builder();
    for (number, length) in (1..).zip(lengths) {
        let body = ByteStream::from(vec![u8::try_from(number).unwrap(); *length]);
        let part = client.upload_part().bucket(SOURCE).key(key).upload_id(&id).part_number(number).body(body);
        let part = part.send().await.unwrap();
        whole = whole.parts(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let complete = client.complete_multipart_upload().bucket(SOURCE).key(key).upload_id(id);
    complete.multipart_upload(whole.build()).send().await.unwrap();
}

#[tokio::test]
async fn parts_of_several_lengths_are_no_damage() {
    // GIVEN objects without checksums, of parts that differ in length: what the first tells of the others is wrong, although
    // their number would fit; and two of even parts, which show that ETags are made of MD5s
    let estate = Estate::new().await;
    estate.server.inject(FaultRule::new(Fault::IgnoreChecksums).bucket(SOURCE));
    let m = 1 << 20;
    put_in_parts(&estate, "0 even", &[5 * m, 5 * m, 5 * m]).await;
    put_in_parts(&estate, "1 even", &[5 * m, 5 * m, 3]).await;
    put_in_parts(&estate, "2 uneven", &[5 * m, 5 * m + 1, 3]).await;
    put_in_parts(&estate, "3 uneven and large", &[5 * m + 1, 7 * m + 3, 5 * m, 12_345]).await;
    estate.server.reset_counts();
    // WHEN they are migrated, migrated again and verified, THEN nothing is doubted, and nothing is read twice
    let program = estate.program().env("JOBS", "1");
    assert_totals(&run(&program, 0).await, [4, 4, 0, 0]);
    // One byte in preflight, three small objects, three parts.
    assert_eq!(estate.server.count(SOURCE, "GetObject"), 7);
    assert_totals(&run(&program, 0).await, [4, 0, 4, 0]);
    assert_totals(&run(&program.clone().arg("--verify"), 0).await, [4, 0, 4, 0]);
    estate.assert_same();
    // AND damage that repeats itself is found as before
    estate.server.clear_faults();
    estate.server.inject(FaultRule::new(Fault::FlipBit(77)).bucket(SOURCE).on("GetObject").key("1 even"));
    estate.server.remove(TARGET, "0 even");
    estate.server.remove(TARGET, "1 even");
    let outcome = run(&program, 4).await;
    assert_totals(&outcome, [4, 1, 2, 1]);
    assert!(outcome.stderr.contains("damaged"), "{outcome}");
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
