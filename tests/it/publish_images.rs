//! `publish-images` against ECR as moto acts it out, and a real registry.

mod bad_input;
mod mirror;
pub(crate) mod push;

use serde_json::Value;
use tests::engines::Moto;
use tests::program::Program;

const REGION: &str = "eu-west-2";

/// `publish-images status` as someone who may look.
fn status(moto: &Moto) -> Program {
    Program::publish_images()
        .arg("status")
        .env("ECR_ENDPOINT_URL", moto.endpoint())
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
}

#[tokio::test]
async fn registries_that_are_there_and_one_that_is_not() {
    // GIVEN one of the two repositories, with images on more pages than one would be
    let moto = Moto::start().await;
    moto.create_repository(REGION, "db-migration").await;
    let mut digests = Vec::new();
    for version in 0..12 {
        digests.push(moto.put_image(REGION, "db-migration", &format!("0.{version}.0")).await);
    }

    // WHEN a person asks
    let outcome = status(&moto).run().await;

    // THEN both are spoken of, the absent one with the way to switch it on, and nothing secret is shown
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("db-migration: present, tags can be moved, scanned on push"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("and 2 images older"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("s3-migration: absent"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("set create_s3_migration_infra = true"), "{}", outcome.stdout);
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("hunter2"));

    // AND a machine gets the same, whole
    let outcome = status(&moto).args(["--images", "100", "--log-format", "json"]).run().await;
    let result: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(result["type"], "registries");
    let images = result["repositories"][0]["images"].as_array().unwrap();
    assert_eq!(images.len(), 12);
    assert!(digests.iter().all(|digest| images.iter().any(|image| image["digest"] == digest.as_str())));
    assert_eq!(result["repositories"][1]["present"], false);
}

#[tokio::test]
async fn another_region_is_another_registry() {
    let moto = Moto::start().await;
    moto.create_repository(REGION, "db-migration").await;
    let outcome = status(&moto).args(["--region", "eu-west-1"]).run().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("db-migration: absent"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("check the account and the region"), "{}", outcome.stdout);
}

#[tokio::test]
async fn what_is_wrong_is_named_with_the_next_step() {
    // GIVEN nothing that answers, and a metadata service that is off, as on most machines
    let nowhere = || {
        Program::publish_images()
            .arg("status")
            .env("ECR_ENDPOINT_URL", "http://127.0.0.1:9")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    };
    let known = |program: Program| program.env("AWS_ACCESS_KEY_ID", "AKIATEST").env("AWS_SECRET_ACCESS_KEY", "hunter2");
    let cases = [
        (nowhere(), 3, "there are no credentials in the environment"),
        (known(nowhere()), 5, "Connection refused"),
        (
            known(nowhere()).without_env("ECR_ENDPOINT_URL").env("ECR_REGION", "eu-wst-2"),
            2,
            "check the region `eu-wst-2`",
        ),
        (nowhere().env("ECR_ENDPOINT_URL", "127.0.0.1:9"), 2, "begins with neither https:// nor http://"),
        (nowhere().env("ECR_REGION", ""), 2, "the variable ECR_REGION is set to nothing"),
        (nowhere().args(["--registry-id", "meta"]), 2, "has 12 digits"),
        (nowhere().env("CONFIG", "/nowhere/migration.toml"), 2, "/nowhere/migration.toml"),
    ];
    for (program, code, words) in cases {
        // WHEN the program runs
        let outcome = program.run().await;
        // THEN it says what is wrong and ends with the code that belongs to it
        assert_eq!(outcome.code, Some(code), "{words}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
        assert!(
            outcome.stdout.is_empty() && !outcome.stderr.contains("hunter2") && !outcome.stderr.contains("panicked")
        );
    }
}
