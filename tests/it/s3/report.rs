//! What a run leaves behind: a report that adds up, a manifest with every object, a summary for people and machines.

use std::process::Command;

use sha2::Digest as _;
use tests::s3_server::{Fault, FaultRule};

use super::{Estate, SOURCE, TARGET, run};

#[tokio::test]
async fn the_report_is_whole() {
    // GIVEN a migration in which one object fails
    let estate = Estate::new().await;
    for index in 0..5 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.server.inject(FaultRule::fail(403, "AccessDenied").bucket(SOURCE).on("GetObject").key("key 3"));
    estate.server.inject(FaultRule::new(Fault::Delay(std::time::Duration::from_millis(5))).bucket(TARGET));
    let directory = tempfile::tempdir().unwrap();
    // WHEN it runs with a report
    let outcome = run(&estate.program().env("REPORT", directory.path().to_str().unwrap()), 4).await;
    // THEN the report says what happened
    let file = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&file("report.json")).unwrap();
    assert_eq!(report["verdict"], "different");
    assert_eq!(report["exit_code"], 4);
    assert_eq!(report["totals"], outcome.summary()["totals"]);
    assert_eq!(report["items"][0]["name"], "key 3", "what failed is listed first");
    assert!(report["preflight"].as_array().unwrap().len() >= 6, "{}", report["preflight"]);
    assert!(!report["timeline"].as_array().unwrap().is_empty());
    // AND the manifest has a line for each object, with a digest that anyone can check
    let manifest = zstd::decode_all(&file("manifest.jsonl.zst")[..]).unwrap();
    let lines: Vec<serde_json::Value> = manifest
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    let line = lines.iter().find(|line| line["key"] == "key 1").unwrap();
    assert_eq!(line["proof"], "linked");
    let sha256 = sha2::Sha256::digest("content 1");
    assert_eq!(line["sha256"], hex::encode(sha256));
    let sums =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(directory.path()).status();
    assert!(sums.unwrap().success());
    // AND the list of what failed is among what the sums are of
    let sums = String::from_utf8(file("SHA256SUMS")).unwrap();
    let of_failed = format!("{}  failed.csv", hex::encode(sha2::Sha256::digest(file("failed.csv"))));
    assert!(sums.lines().any(|line| line == of_failed), "{sums}");
}

#[tokio::test]
async fn people_get_a_table_and_no_secret() {
    let estate = Estate::new().await;
    estate.put("key", "content");
    let outcome = run(&estate.program().env("LOG_FORMAT", "text"), 0).await;
    assert!(outcome.stdout.contains("1 listed = 1 copied + 0 equal + 0 skipped + 0 failed"), "{outcome}");
    let loud = run(&estate.program().env("LOG_FORMAT", "text").args(["-v", "-v"]), 0).await;
    loud.assert_without(&["AKIASOURCE:", "Signature="]);
}

#[tokio::test]
async fn the_manifest_feeds_sha256sum_and_failures_are_a_manifest() {
    // GIVEN a report of a migration in which one object failed
    let estate = Estate::new().await;
    for key in ["a b.csv", "folder/ünï.csv", "fails, alas"] {
        estate.put(key, format!("content of {key}"));
    }
    estate.server.inject(FaultRule::fail(403, "AccessDenied").bucket(SOURCE).on("GetObject").key("fails, alas"));
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    run(&estate.program().env("REPORT", report.to_str().unwrap()), 4).await;
    // THEN what failed is a manifest of S3 Batch Operations
    let failed = std::fs::read_to_string(report.join("failed.csv")).unwrap();
    assert_eq!(failed, format!("{SOURCE},fails%2C%20alas\n"));
    // AND the command of the documentation checks the target's objects, fetched by any other tool
    for key in estate.server.keys(TARGET) {
        let path = directory.path().join(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, estate.server.get(TARGET, &key).unwrap().body).unwrap();
    }
    let manifest = zstd::decode_all(&std::fs::read(report.join("manifest.jsonl.zst")).unwrap()[..]).unwrap();
    let lines = manifest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    let sums: Vec<String> = lines
        .filter(|line| line["sha256"].is_string())
        .map(|line| format!("{}  {}\n", line["sha256"].as_str().unwrap(), line["key"].as_str().unwrap()))
        .collect();
    assert_eq!(sums.len(), 2);
    std::fs::write(directory.path().join("sums"), sums.concat()).unwrap();
    let check = Command::new("sha256sum").args(["--check", "--quiet", "sums"]).current_dir(directory.path()).status();
    assert!(check.unwrap().success());
}
