//! `--manifest`: what a list names is migrated, whatever its order; what it says wrongly is not believed.

use std::io::Write as _;
use std::path::Path;

use md5::{Digest as _, Md5};
use serde_json::json;
use tests::s3_server::NewObject;

use super::{Estate, SOURCE, TARGET, assert_totals, run, total};

async fn estate() -> Estate {
    let estate = Estate::new().await;
    for index in 0..30 {
        estate.put(&format!("folder/key +{index:02}"), format!("content {index}"));
    }
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    estate
}

fn encoded(key: &str) -> String {
    key.replace(' ', "+").replace("++", "+%2B")
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// An inventory as it lies in a directory: `manifest.json` and two files, in no order.
fn inventory(estate: &Estate, directory: &Path, keys: &[String]) {
    let line = |key: &String| {
        let object = estate.server.get(SOURCE, key);
        let (size, etag) = object.map_or((1, "gone".into()), |object| (object.body.len(), object.etag));
        format!("\"{SOURCE}\",\"{}\",\"{size}\",\"2026-11-21T04:00:00.000Z\",\"{etag}\"\n", encoded(key))
    };
    let mut files = Vec::new();
    for (number, part) in keys.chunks(keys.len().div_ceil(2)).enumerate() {
        let text: String = part.iter().rev().map(line).collect();
        let packed = gzipped(&text);
        let md5 = hex::encode(Md5::digest(&packed));
        std::fs::write(directory.join(format!("{number}.csv.gz")), &packed).unwrap();
        files.push(
            json!({ "key": format!("inventory/data/{number}.csv.gz"), "size": packed.len(), "MD5checksum": md5 }),
        );
    }
    let manifest = json!({
        "sourceBucket": SOURCE, "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30", "fileFormat": "CSV",
        "creationTimestamp": "1763697600000", "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag", "files": files,
    });
    std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
}

#[tokio::test]
async fn an_inventory_is_migrated_counted_and_verified() {
    // GIVEN an inventory that knows an object that is gone and does not know one that is new
    let estate = estate().await;
    let directory = tempfile::tempdir().unwrap();
    let mut keys = estate.server.keys(SOURCE);
    keys.push("gone".into());
    inventory(&estate, directory.path(), &keys);
    estate.put("new", "x");
    let place = directory.path().join("manifest.json");
    let program = estate.program().args(["--manifest", place.to_str().unwrap()]);
    // WHEN what it lists is counted, migrated, migrated again and verified
    let counted = run(&program.clone().arg("--dry-run"), 0).await;
    assert_eq!(total(&counted, "listed"), 32);
    let listed = estate.server.count(SOURCE, "ListObjectsV2");
    let report = directory.path().join("report");
    let first = run(&program.clone().env("REPORT", report.to_str().unwrap()), 0).await;
    // THEN it is there; the one that is gone is named; nothing else was copied, and the source's bucket was not listed
    assert_totals(&first, [32, 31, 0, 0]);
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(report.join("report.json")).unwrap()).unwrap();
    let gone = told["items"].as_array().unwrap().iter().find(|item| item["name"] == "gone").unwrap();
    assert_eq!((&gone["state"], &gone["remark"]), (&json!("skipped"), &json!("the source no longer has it")));
    // AND that the list is of last year was said beforehand
    let checks = told["preflight"].as_array().unwrap();
    let age = checks.iter().find(|check| check["name"] == "manifest").unwrap();
    assert!(age["outcome"] == "warn" && age["detail"].as_str().unwrap().contains("2025-11-21T04:00:00Z"), "{age}");
    assert_eq!(estate.server.get(TARGET, "new"), None);
    assert!(estate.server.count(SOURCE, "ListObjectsV2") - listed <= 2, "but for preflight's look");
    estate.server.remove(SOURCE, "new");
    estate.assert_same();
    inventory(&estate, directory.path(), &estate.server.keys(SOURCE));
    assert_totals(&run(&program, 0).await, [31, 0, 31, 0]);
    assert_totals(&run(&program.arg("--verify"), 0).await, [31, 0, 31, 0]);
}

#[tokio::test]
async fn an_inventory_in_another_form_is_refused_before_anything_is_changed() {
    let estate = estate().await;
    let directory = tempfile::tempdir().unwrap();
    inventory(&estate, directory.path(), &estate.server.keys(SOURCE));
    let place = directory.path().join("manifest.json");
    let manifest = std::fs::read_to_string(&place).unwrap();
    std::fs::write(&place, manifest.replace("\"CSV\"", "\"Parquet\"")).unwrap();
    for (place, word) in [(place.to_str().unwrap(), "Parquet"), ("/data/3f2a.orc", "ORC")] {
        for mode in [None, Some("--dry-run")] {
            let outcome = run(&estate.program().args(["--manifest", place]).args(mode), 3).await;
            assert!(outcome.stderr.contains(&format!("{word}, and only CSV is understood")), "{outcome}");
            assert!(outcome.stderr.contains("whose output format is CSV"), "{outcome}");
        }
    }
    assert!(estate.server.keys(TARGET).is_empty());
}

#[tokio::test]
async fn what_failed_is_the_next_runs_manifest() {
    // GIVEN a run of which an object failed, its report in a bucket
    let estate = estate().await;
    let fault = tests::s3_server::FaultRule::fail(403, "InvalidObjectState").bucket(SOURCE).on("GetObject");
    estate.server.inject(fault.key("folder/key +07"));
    let program = estate.program().arg("--allow-extra").env("NEW_BUCKET", format!("s3://{TARGET}/objects"));
    let report = program.clone().env("REPORT", format!("s3://{TARGET}/report"));
    let report = report.env("REPORT_ENDPOINT_URL", estate.server.endpoint());
    assert_totals(&run(&report, 4).await, [31, 30, 0, 1]);
    // WHEN its list of what failed is the manifest of the next one
    estate.server.clear_faults();
    let list = format!("s3://{TARGET}/report/failed.csv");
    let outcome = run(&program.args(["--manifest", &list]), 0).await;
    // THEN that object alone is copied
    assert_totals(&outcome, [1, 1, 0, 0]);
    assert_eq!(estate.server.get(TARGET, "objects/folder/key +07").unwrap().body, "content 7");
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_not_believed() {
    let estate = estate().await;
    let directory = tempfile::tempdir().unwrap();
    let keys = estate.server.keys(SOURCE);
    let place = directory.path().join("manifest.json");
    let program = estate.program().args(["--manifest", place.to_str().unwrap()]);
    // GIVEN files that are torn, changed or of another bucket; WHEN, THEN that is said
    inventory(&estate, directory.path(), &keys);
    let file = directory.path().join("1.csv.gz");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let torn = run(&program, 1).await;
    assert!(torn.stderr.contains("gzip") || torn.stderr.contains("MD5"), "{torn}");
    std::fs::write(&file, gzipped(&format!("\"{SOURCE}\",\"large\",\"1\",\"\",\"x\"\n"))).unwrap();
    assert!(run(&program, 1).await.stderr.contains("MD5"));
    let list = directory.path().join("list.csv");
    std::fs::write(&list, format!("{SOURCE},large\nanother-bucket,large\n")).unwrap();
    let other = run(&estate.program().args(["--manifest", list.to_str().unwrap()]), 1).await;
    assert!(other.stderr.contains("line 2 holds an object of the bucket another-bucket"), "{other}");
    // AND what a list of names says is there is looked up
    std::fs::write(&list, format!("{SOURCE},large\n{SOURCE},never+there\n")).unwrap();
    let outcome = run(&estate.program().args(["--manifest", list.to_str().unwrap()]), 0).await;
    assert_eq!((total(&outcome, "listed"), total(&outcome, "skipped"), total(&outcome, "failed")), (2, 1, 0));
}
