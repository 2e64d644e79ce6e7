//! A whole environment from the configuration file: all its buckets, or one.

use tests::s3_server::{Account, Bucket, Config, NewObject, S3Server};

use super::{SOURCE_SECRET, TARGET_SECRET, assert_totals, run};

const BUCKETS: [&str; 4] = ["paas-csv", "paas-export", "core-x-bulk-upload", "core-x-cds-export"];

#[tokio::test]
async fn all_buckets_of_an_environment_or_one_of_them() {
    // GIVEN an environment with two buckets
    let accounts = vec![
        Account::new("AKIASOURCE", SOURCE_SECRET, &BUCKETS[..2]),
        Account::new("AKIATARGET", TARGET_SECRET, &BUCKETS[2..]),
    ];
    let server = S3Server::start(Config { accounts, buckets: BUCKETS.map(Bucket::new).into() }).await.unwrap();
    server.put(BUCKETS[0], "log.csv", NewObject::new("a,b"));
    server.put(BUCKETS[1], "export.zip", NewObject::new("PK"));
    let endpoint = server.endpoint();
    let file = tempfile::NamedTempFile::new().unwrap();
    let bucket = |name: &str, source: &str| {
        format!(
            "[environments.x.buckets.{name}]\nsource = \"s3://{source}\"\nsource_endpoint_url = \"{endpoint}\"\ntarget_endpoint_url = \"{endpoint}\"\n"
        )
    };
    let text = format!(
        "schema_version = 1\nregion = \"eu-west-2\"\n[environments.x]\nprefix = \"core-x\"\n{}{}",
        bucket("bulk-upload", BUCKETS[0]),
        bucket("cds-export", BUCKETS[1])
    );
    std::fs::write(file.path(), text).unwrap();
    let program = super::program(&endpoint, "", "")
        .without_env("PAAS_BUCKET")
        .without_env("NEW_BUCKET")
        .without_env("PAAS_ENDPOINT_URL")
        .without_env("NEW_ENDPOINT_URL")
        .env("AWS_ACCESS_KEY_ID", "AKIATARGET")
        .env("AWS_SECRET_ACCESS_KEY", TARGET_SECRET)
        .env("CONFIG", file.path().to_str().unwrap())
        .env("ENVIRONMENT", "x");
    // WHEN one is migrated, THEN it is the one
    let outcome = run(&program.clone().env("BUCKET", "cds-export"), 0).await;
    assert_totals(&outcome, [1, 1, 0, 0]);
    assert_eq!(server.object_count("core-x-bulk-upload"), 0);
    // WHEN all are migrated, THEN both are there
    let outcome = run(&program, 0).await;
    assert_totals(&outcome, [2, 1, 1, 0]);
    assert_eq!(server.keys("core-x-bulk-upload"), ["log.csv"]);
    // AND a verification names the bucket beside the key
    server.corrupt_byte("core-x-bulk-upload", "log.csv", 1);
    let outcome = run(&program.arg("--verify").env("LOG_FORMAT", "text"), 4).await;
    assert!(outcome.stdout.contains("bulk-upload: log.csv (content)"), "{outcome}");
}
