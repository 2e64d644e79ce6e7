//! Everything that an operator can get wrong: one clear error that names the thing, the cause and the next step.

use tests::program::{Outcome, Program};
use tests::s3_server::Bucket;

use super::{Estate, SOURCE, TARGET, run};

async fn estate() -> Estate {
    let estate = Estate::new().await;
    estate.put("key", "content");
    estate
}

/// Runs `program`, expects `code`, and that one error names all of `words` and a next step.
async fn refused(program: Program, code: i32, words: &[&str]) -> Outcome {
    let outcome = run(&program, code).await;
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in\n{outcome}");
    }
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
    assert!(outcome.stderr.contains("next: "), "{outcome}");
    outcome
}

#[tokio::test]
async fn variables() {
    let estate = estate().await;
    let program = || estate.program();
    refused(program().env("NEW_BUCKET", ""), 2, &["NEW_BUCKET is set to nothing"]).await;
    refused(program().env("PAAS_SECRET_ACCESS_KEY", ""), 2, &["PAAS_SECRET_ACCESS_KEY is set to nothing"]).await;
    refused(program().without_env("NEW_BUCKET"), 2, &["the target bucket is not given", "NEW_BUCKET"]).await;
    refused(program().without_env("PAAS_BUCKET"), 2, &["the source bucket is not given", "PAAS_BUCKET"]).await;
    let keyless = program().without_env("PAAS_ACCESS_KEY_ID").without_env("PAAS_SECRET_ACCESS_KEY");
    refused(keyless, 2, &["the source's key pair is not given", "PAAS_ACCESS_KEY_ID"]).await;
    refused(program().env("PAAS_ENDPOINT_URL", "127.0.0.1:9000"), 2, &["127.0.0.1:9000"]).await;
}

#[tokio::test]
async fn typos() {
    let estate = estate().await;
    for url in ["s3:/paas-bucket", "paas-bucket", "s3://Paas_Bucket", "https://paas-bucket"] {
        let outcome = run(&estate.program().env("PAAS_BUCKET", url), 2).await;
        assert!(outcome.stderr.contains(url), "{outcome}");
    }
    let outcome = run(&estate.program().arg("--dry-rum"), 2).await;
    assert!(outcome.stderr.contains("--dry-run"), "{outcome}");
}

#[tokio::test]
async fn an_unknown_environment() {
    let estate = estate().await;
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../migration.toml");
    let program = estate.program().without_env("PAAS_BUCKET").without_env("NEW_BUCKET");
    let program = program.env("ENVIRONMENT", "stagng").env("CONFIG", config);
    refused(program.clone(), 2, &["stagng", "staging"]).await;
    refused(program.clone().env("ENVIRONMENT", "staging").env("BUCKET", "bulk"), 2, &["bulk-upload"]).await;
    refused(program.env("CONFIG", "/nowhere.toml"), 2, &["/nowhere.toml"]).await;
}

#[tokio::test]
async fn source_and_target_are_the_same() {
    let estate = estate().await;
    let program = estate.program().env("NEW_BUCKET", format!("s3://{SOURCE}"));
    refused(program, 3, &[SOURCE, "the same place"]).await;
}

#[tokio::test]
async fn wrong_credentials_and_rights() {
    let estate = estate().await;
    let program = || estate.program();
    let wrong = program().env("PAAS_SECRET_ACCESS_KEY", "hunter-wrong");
    refused(wrong, 3, &["source", "SignatureDoesNotMatch"]).await;
    refused(program().env("PAAS_ACCESS_KEY_ID", "AKIANOBODY"), 3, &["source", "InvalidAccessKeyId"]).await;
    refused(program().env("AWS_SECRET_ACCESS_KEY", "hunter-wrong"), 3, &["target", "SignatureDoesNotMatch"]).await;
    // The source's key is never tried on the target, and the other way round.
    let swapped = program().env("PAAS_ACCESS_KEY_ID", "AKIATARGET").env("PAAS_SECRET_ACCESS_KEY", super::TARGET_SECRET);
    refused(swapped, 3, &["source", "AccessDenied"]).await;
    let keyless = program().without_env("AWS_ACCESS_KEY_ID").without_env("AWS_SECRET_ACCESS_KEY");
    refused(keyless, 3, &["target", "credentials"]).await;
}

#[tokio::test]
async fn missing_buckets() {
    let estate = estate().await;
    refused(estate.program().env("PAAS_BUCKET", "s3://no-such-bucket"), 3, &["source s3://no-such-bucket/"]).await;
    refused(estate.program().env("NEW_BUCKET", "s3://no-such-bucket"), 3, &["target s3://no-such-bucket/"]).await;
}

#[tokio::test]
async fn the_wrong_region() {
    let estate = Estate::with(Bucket::new(SOURCE), Bucket::new(TARGET).in_region("eu-west-1")).await;
    estate.put("key", "content");
    refused(estate.program(), 3, &["target", "eu-west-1"]).await;
    run(&estate.program().env("NEW_REGION", "eu-west-1"), 0).await;
}

#[tokio::test]
async fn a_report_that_cannot_be_written() {
    let estate = estate().await;
    refused(estate.program().env("REPORT", "/proc/nowhere"), 3, &["/proc/nowhere"]).await;
    assert!(estate.server.keys(TARGET).is_empty());
}

#[tokio::test]
async fn unreachable_hosts() {
    let estate = estate().await;
    // Nothing listens on the discard port.
    let closed = estate.program().env("NEW_ENDPOINT_URL", "http://127.0.0.1:9");
    refused(closed, 5, &["target", "http://127.0.0.1:9", "refused"]).await;
    let nowhere = estate.program().env("PAAS_ENDPOINT_URL", "http://s3.invalid");
    refused(
        nowhere,
        3,
        &["source", "http://s3.invalid", "failed to lookup address", "check the spelling of the endpoint"],
    )
    .await;
}

#[tokio::test]
async fn a_bucket_of_another_account_is_refused() {
    let estate = Estate::new().await;
    estate.put("a", "x");
    let program = estate.program().env("PAAS_BUCKET_OWNER", "111122223333");
    let outcome = run(&program.clone().env("NEW_BUCKET_OWNER", "999999999999"), 3).await;
    assert!(outcome.stderr.contains("the account 999999999999 owns the bucket"), "{outcome}");
    run(&program.env("NEW_BUCKET_OWNER", "111122223333"), 0).await;
    estate.assert_same();
}
