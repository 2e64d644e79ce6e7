//! Everything arrives as it was: keys, bytes, headers, metadata, tags, storage class.

use tests::s3_server::{Bucket, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

/// Keys that tools which map keys to paths lose or damage.
fn odd_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a",
        "a/b",
        "a//b",
        "/leading",
        "//",
        "trailing/",
        ".",
        "..",
        "./x",
        "../x",
        "x/./y",
        "x/../y",
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "100%",
        "tab\there",
        "line\nfeed",
        "bell\u{7}",
        "quote\"",
        "'",
        "back\\slash",
        "q?a=b&c",
        "#",
        "ünïcödé",
        "日本語",
        "😀",
        "\u{202e}right",
        "~-_.!*'()",
        "=",
        ":",
        "@",
        "zero/",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("é".repeat(512));
    keys
}

#[tokio::test]
async fn odd_keys_arrive_and_verify() {
    // GIVEN a bucket whose keys are as odd as S3 allows
    let estate = Estate::new().await;
    let keys = odd_keys();
    for key in &keys {
        estate.put(key, format!("content of {key}"));
    }
    // WHEN it is migrated
    let outcome = estate.migrate(0).await;
    // THEN every key has arrived as it was, and a verification finds both sides equal
    let count = keys.len() as u64;
    assert_totals(&outcome, [count, count, 0, 0]);
    estate.assert_same();
    let verified = run(&estate.program().env("VERIFY", "true"), 0).await;
    assert_totals(&verified, [count, 0, count, 0]);
}

#[tokio::test]
async fn a_small_object_costs_one_get_and_one_put() {
    let estate = Estate::new().await;
    for index in 0..50 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.migrate(0).await;
    // Preflight reads one object's first byte.
    assert_eq!(estate.server.count(SOURCE, "GetObject"), 51);
    assert_eq!(estate.server.count(SOURCE, "HeadObject"), 0);
    assert_eq!(estate.server.count(TARGET, "PutObject"), 50);
    assert_eq!(estate.server.count(TARGET, "GetObject") + estate.server.count(TARGET, "HeadObject"), 0);
}

#[tokio::test]
async fn a_target_that_encrypts_with_kms_is_proved_without_its_etags() {
    // GIVEN a target whose ETags are opaque
    let estate = Estate::with(Bucket::new(SOURCE), Bucket::new(TARGET).with_kms()).await;
    estate.put("small", "content");
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    // WHEN, THEN
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [2, 2, 0, 0]);
    assert_eq!(estate.server.count(TARGET, "GetObject"), 0, "nothing had to be read back");
    let verified = run(&estate.program().env("VERIFY", "1"), 0).await;
    assert_totals(&verified, [2, 0, 2, 0]);
}

#[tokio::test]
async fn a_source_that_encrypts_with_kms_is_read_like_any_other() {
    let estate = Estate::with(Bucket::new(SOURCE).with_kms(), Bucket::new(TARGET)).await;
    estate.put("with", "content");
    estate.server.put(SOURCE, "without", NewObject::new("content").without_checksum());
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [2, 2, 0, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn prefixes_are_exchanged() {
    // GIVEN a source below a prefix, beside objects that are not meant
    let estate = Estate::new().await;
    for key in ["old/a", "old/b/c", "old", "older/d"] {
        estate.put(key, key.to_owned());
    }
    // WHEN the prefix is migrated to another one
    let program = estate.program().env("PAAS_BUCKET", format!("s3://{SOURCE}/old"));
    let program = program.env("NEW_BUCKET", format!("s3://{TARGET}/new/home/"));
    run(&program, 0).await;
    // THEN just that is there
    assert_eq!(estate.server.keys(TARGET), ["new/home/a", "new/home/b/c"]);
}

#[tokio::test]
async fn an_empty_bucket_is_migrated_too() {
    let estate = Estate::new().await;
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [0, 0, 0, 0]);
}

#[tokio::test]
async fn everything_that_belongs_to_an_object_arrives() {
    // GIVEN objects with all headers that travel, odd user metadata and tags; small, empty and large
    let estate = Estate::new().await;
    let belongings = |object: NewObject| {
        object
            .header("content-type", "text/csv; charset=utf-8")
            .header("cache-control", "no-store, max-age=0")
            .header("content-disposition", "attachment; filename=\"logs 2023.csv\"")
            .header("content-encoding", "gzip")
            .header("content-language", "en-GB")
            .header("expires", "Wed, 21 Oct 2037 07:28:00 GMT")
            .header("x-amz-meta-owner", "team = a, b & c")
            .header("x-amz-meta-empty", "")
            .header("x-amz-storage-class", "STANDARD_IA")
            .header("x-amz-website-redirect-location", "/elsewhere")
            .tag("owner", "data & insight")
            .tag("cost centre", "a+b=c/d")
    };
    for (key, bytes) in [("small", 1_000), ("empty", 0), ("large", 20 << 20)] {
        estate.server.put(SOURCE, key, belongings(NewObject::generated(bytes, 1)));
    }
    // WHEN they are migrated
    let outcome = estate.migrate(0).await;
    // THEN all of it is there, and tags were asked for only where there are some
    assert_totals(&outcome, [3, 3, 0, 0]);
    estate.assert_same();
    assert!(estate.server.get(TARGET, "large").unwrap().parts.len() > 1, "in parts");
    // One of them is preflight's.
    assert_eq!(estate.server.count(SOURCE, "GetObjectTagging"), 4);
}
