//! A bucket of Cloud Foundry's: a service key for the run, usable from outside, deleted after it.

use serde_json::json;
use tests::cloud_foundry::{CloudFoundry, Config, Fault, Instance, ORGANISATION, PASSWORD, SPACE, USER};
use tests::eventually::eventually;
use tests::program::Program;
use tests::s3_server::{Fault as StoreFault, FaultRule};

use super::{Estate, SOURCE, SOURCE_SECRET, assert_totals, run};

const SERVICE: &str = "dluhc-core-production-csv-bucket";

fn foundation() -> CloudFoundry {
    let credentials = json!({
        "bucket_name": SOURCE, "aws_access_key_id": "AKIASOURCE", "aws_secret_access_key": SOURCE_SECRET,
        "aws_region": "eu-west-2", "deploy_env": "",
    });
    let instances = vec![Instance::managed(SERVICE, "aws-s3-bucket", &credentials)];
    CloudFoundry::start(Config { instances, ..Config::default() })
}

fn program(estate: &Estate, foundation: &CloudFoundry) -> Program {
    estate
        .program()
        .without_env("PAAS_BUCKET")
        .without_env("PAAS_ACCESS_KEY_ID")
        .without_env("PAAS_SECRET_ACCESS_KEY")
        .env("CF_API", foundation.api())
        .env("CF_ORG", ORGANISATION)
        .env("CF_SPACE", SPACE)
        .env("CF_SERVICE", SERVICE)
        .env("CF_USERNAME", USER)
        .env("CF_PASSWORD", PASSWORD)
        .env("CF_CA_CERT", foundation.ca_cert().display().to_string())
}

#[tokio::test]
async fn a_bucket_service_is_migrated_with_a_key_of_its_own() {
    // GIVEN a bucket service in a foundation
    let estate = Estate::new().await;
    (0..20).for_each(|number| estate.put(&format!("file-{number}"), format!("content {number}")));
    let foundation = foundation();

    // WHEN it is migrated with CF_* and no key pair
    let outcome = run(&program(&estate, &foundation), 0).await;

    // THEN all of it arrives; the key was for outside and for reading, and is gone
    assert_totals(&outcome, [20, 20, 0, 0]);
    estate.assert_same();
    outcome.assert_without(&[PASSWORD]);
    assert_eq!(foundation.asked_parameters(), [json!({ "allow_external_access": true, "permissions": "read-only" })]);
    assert_eq!(foundation.things(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_makes_no_key() {
    let (estate, foundation) = (Estate::new().await, foundation());
    let outcome = run(&program(&estate, &foundation).env("LOG_FORMAT", "text").arg("--dry-run"), 0).await;
    assert!(outcome.stdout.contains("a service key migrate-s3-key-"), "{outcome}");
    assert_eq!(foundation.request_count("POST /v3"), 0);
}

#[tokio::test]
async fn a_key_that_was_left_is_removed_by_the_next_run_and_one_that_stays_is_named() {
    // GIVEN a run that was killed when it had its key, before a source that does not let it end
    let (estate, foundation) = (Estate::new().await, foundation());
    estate.put("file", "content");
    estate.server.inject(FaultRule::new(StoreFault::Hang).bucket(SOURCE));
    let mut running = program(&estate, &foundation).spawn().await;
    eventually("a key", async || !foundation.things().is_empty()).await;
    running.kill();
    running.wait().await;
    estate.server.clear_faults();
    assert!(foundation.things()[0].starts_with("key migrate-s3-key-"), "{:?}", foundation.things());

    // WHEN the same command runs on a platform that deletes no keys THEN both are named
    foundation.begin(Fault::KeyDeletionRefused);
    let outcome = run(&program(&estate, &foundation), 0).await;
    let command = format!("cf delete-service-key -f {SERVICE} migrate-s3-key-");
    assert_eq!(outcome.stderr.matches(&command).count(), 2, "{outcome}");

    // AND the next run removes them
    foundation.end(Fault::KeyDeletionRefused);
    run(&program(&estate, &foundation), 0).await;
    assert_eq!(foundation.things(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_is_denied_is_told() {
    let (estate, foundation) = (Estate::new().await, foundation());
    foundation.begin(Fault::KeysDenied);
    let outcome = run(&program(&estate, &foundation), 3).await;
    assert!(outcome.stderr.contains("does not support creation of keys"), "{outcome}");
}
