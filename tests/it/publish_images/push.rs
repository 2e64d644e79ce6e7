//! An image on its way into the registry: once, twice, through a registry that goes away, and out again.

use serde_json::Value;
use tests::engines::{Ecr, REGISTRY_PASSWORD, Users};
use tests::eventually::eventually;
use tests::fault_proxy::FaultProxy;
use tests::program::{Outcome, Program};

use super::REGION;

/// A file as `docker save` writes it, with layers of this many random bytes.
pub(crate) fn image_file(name: &str, seed: u64, layers: &[usize]) -> tempfile::NamedTempFile {
    let mut random = fastrand::Rng::with_seed(seed);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut builder = tar::Builder::new(file.reopen().unwrap());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content).unwrap();
    };
    let names: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
    for (path, length) in names.iter().zip(layers) {
        let mut layer = vec![0; *length];
        random.fill(&mut layer);
        add(path, &layer);
    }
    add("config.json", format!(r#"{{"architecture":"amd64","os":"linux","seed":{seed}}}"#).as_bytes());
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [name], "Layers": names }]);
    add("manifest.json", manifest.to_string().as_bytes());
    builder.into_inner().unwrap();
    file
}

/// `publish-images` as someone who may do everything in this ECR.
pub(super) fn program(ecr: &Ecr) -> Program {
    Program::publish_images()
        .env("ECR_ENDPOINT_URL", ecr.moto.endpoint())
        .env("ECR_REGISTRY_URL", ecr.registry.url())
        .env("ECR_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("LOG_FORMAT", "json")
        .env("PROGRESS_INTERVAL", "1")
}

pub(super) fn path(file: &tempfile::NamedTempFile) -> String {
    file.path().display().to_string()
}

#[track_caller]
fn pushed(outcome: &Outcome) -> Value {
    outcome.assert_code(0).assert_without(&["hunter2", REGISTRY_PASSWORD]);
    outcome.summary()
}

#[tokio::test]
async fn an_image_is_pushed_once_and_is_what_a_task_would_pull() {
    // GIVEN an image, and a registry whose scan has nothing to say
    let ecr = Ecr::start(REGION, Users::Token, &["db-migration"]).await;
    let file = image_file("db-migration:0.1.0", 1, &[3_000_000, 20_000]);
    let push = program(&ecr).args(["push", &path(&file), "--max-severity", "critical"]);

    // WHEN it is pushed, and pushed again
    let first = pushed(&push.run().await);
    let second = pushed(&push.run().await);

    // THEN everything was sent once, the digest is the registry's, and the scan was waited for
    let digest = first["digest"].as_str().unwrap();
    assert_eq!((&first["blobs_sent"], &second["blobs_sent"]), (&3.into(), &0.into()), "{first} {second}");
    assert_eq!(ecr.registry.digest("db-migration", "0.1.0").await.as_deref(), Some(digest));
    assert_eq!(first["scan_findings"]["high"], 1);
    assert!(first["image"].as_str().unwrap().ends_with(&format!("/db-migration@{digest}")));

    // AND what a task would pull is what was built, until another image has the tag
    let check = program(&ecr).args(["pull-check", &path(&file)]);
    let checked = pushed(&check.run().await);
    assert_eq!((&checked["equal"], checked["digest"].as_str()), (&true.into(), Some(digest)));
    let other = image_file("db-migration:0.1.0", 2, &[1000]);
    let moved = program(&ecr).args(["push", &path(&other), "--skip-scan"]).run().await;
    assert_eq!(pushed(&moved)["replaced"], digest);
    let outcome = check.run().await;
    outcome.assert_code(4);
    assert!(outcome.stderr.contains("is not what was built"), "{outcome}");

    // AND a person reads which digest to pin
    let said = push.env("LOG_FORMAT", "text").arg("--skip-scan").run().await;
    assert!(said.stdout.contains("Pin this in the task definition") && said.stdout.contains(digest), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_ours_is_the_same_from_its_file_and_from_the_engine() {
    // GIVEN the image that a task would run, in the engine and as a file
    let directory = tokio::task::spawn_blocking(tests::engines::built_images).await.unwrap();
    let ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let file = directory.join("s3-migration.tar").display().to_string();
    let push = |source: &str| program(&ecr).args(["push", source, "--skip-scan"]);
    // WHEN both are pushed
    let first = pushed(&push(&file).run().await);
    let engine = push("docker:s3-migration:under-test").env("PATH", std::env::var("PATH").unwrap());
    let second = pushed(&engine.run().await);
    // THEN it is one image, in the repository of its own name
    assert_eq!((&first["digest"], &second["blobs_sent"]), (&second["digest"], &0.into()));
    assert_eq!((&first["repository"], &first["tag"]), (&"s3-migration".into(), &"under-test".into()));
}

#[tokio::test]
async fn a_registry_that_is_stopped_and_started_gets_the_whole_image() {
    // GIVEN a push of three large layers that is in the middle
    let mut ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let file = image_file("s3-migration:0.1.0", 3, &[24 << 20, 24 << 20, 24 << 20]);
    let running = program(&ecr).args(["push", &path(&file), "--skip-scan"]).spawn().await;
    for stored_mb in [10, 40] {
        eventually("a part of the image", async || ecr.registry.stored_bytes() >= stored_mb << 20).await;
        // WHEN the registry is killed and comes back
        ecr.registry.kill().await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        ecr.registry.start_again().await;
    }
    // THEN the push goes on by itself, and everything is there
    let outcome = running.wait().await;
    pushed(&outcome);
    assert!(outcome.stderr.contains("trying again"), "{outcome}");
    pushed(&program(&ecr).args(["pull-check", &path(&file)]).run().await);
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_is_renewed() {
    // GIVEN a push that is in the middle
    let ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let file = image_file("s3-migration:0.1.0", 6, &[24 << 20, 24 << 20, 24 << 20]);
    let running = program(&ecr).args(["push", &path(&file), "--skip-scan"]).spawn().await;
    eventually("a part of the image", async || ecr.registry.stored_bytes() >= 9 << 20).await;
    assert_eq!(ecr.registry.digest("s3-migration", "0.1.0").await, None, "it is over already");
    // WHEN its token expires
    ecr.expire_tokens();
    // THEN it gets another one and goes on
    let outcome = running.wait().await;
    assert_eq!(pushed(&outcome)["blobs_sent"], 4);
    // whoever has the first token, as these tests themselves, is sent away
    assert_eq!(ecr.registry.digest("s3-migration", "0.1.0").await, None, "the first token is still taken");
    pushed(&program(&ecr).args(["pull-check", &path(&file)]).run().await);
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_given_up_in_time_and_the_same_command_finishes() {
    // GIVEN a push that is in the middle
    let ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let proxy = FaultProxy::start(ecr.registry.url().trim_start_matches("http://").parse().unwrap()).unwrap();
    let file = image_file("s3-migration:0.1.0", 7, &[60 << 20]);
    let through = format!("http://127.0.0.1:{}", proxy.port());
    let push = program(&ecr).env("ECR_REGISTRY_URL", through).args(["push", &path(&file), "--skip-scan"]);
    proxy.stall_after_sending(30 << 20);
    // WHEN no byte moves any more
    let running = push.clone().args(["--patience", "5"]).spawn().await;
    eventually("a part of the image", async || ecr.registry.stored_bytes() >= 9 << 20).await;
    let begun = std::time::Instant::now();
    let outcome = running.wait().await;
    // THEN it ends soon, with the code to repeat, and does not use up its patience for each attempt
    outcome.assert_code(5).assert_without(&["hunter2", REGISTRY_PASSWORD]);
    assert!(outcome.stderr.contains("silent for too long"), "{outcome}");
    assert!(outcome.stderr.contains("run the same command again"), "{outcome}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    proxy.forward();
    pushed(&push.run().await);
}

#[tokio::test]
async fn a_push_that_was_killed_goes_on_where_it_was() {
    // GIVEN a push that was killed when a layer was there
    let ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let file = image_file("s3-migration:0.1.0", 4, &[1 << 20, 60 << 20]);
    let push = program(&ecr).args(["push", &path(&file), "--skip-scan"]);
    let mut running = push.spawn().await;
    eventually("a part of the image", async || ecr.registry.stored_bytes() >= 12 << 20).await;
    running.kill();
    running.wait().await;
    assert_eq!(ecr.registry.digest("s3-migration", "0.1.0").await, None, "the tag comes last");
    // WHEN the same command runs again
    let second = pushed(&push.run().await);
    // THEN what was there is not sent again
    assert!(second["blobs_sent"].as_u64().unwrap() < 3, "{second}");
    pushed(&program(&ecr).args(["pull-check", &path(&file)]).run().await);
}

#[tokio::test]
async fn a_repository_goes_when_it_is_named_twice() {
    let ecr = Ecr::start(REGION, Users::Token, &["db-migration"]).await;
    let file = image_file("db-migration:0.1.0", 5, &[1000]);
    pushed(&program(&ecr).args(["push", &path(&file), "--max-severity", "critical"]).run().await);
    for (arguments, words) in [
        (["remove", "db-migration", "--confirm", "s3-migration"].as_slice(), "not the name of the repository"),
        (&["remove", "db-migration"], "add --confirm db-migration"),
        (&["remove", "core", "--confirm", "core"], "the application's own image"),
    ] {
        let outcome = program(&ecr).args(arguments.iter().copied()).run().await;
        outcome.assert_code(2);
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
    let remove = program(&ecr).args(["remove", "db-migration", "--confirm", "db-migration"]);
    let first = pushed(&remove.run().await);
    assert_eq!((&first["was_present"], &first["images"]), (&true.into(), &1.into()));
    assert_eq!(pushed(&remove.run().await)["was_present"], false);
    let status = pushed(&program(&ecr).arg("status").run().await);
    assert_eq!(status["repositories"][0]["present"], false);
}

#[tokio::test]
async fn a_role_in_the_registries_account_is_assumed() {
    let ecr = Ecr::start(REGION, Users::Token, &["db-migration"]).await;
    let role = "arn:aws:iam::123456789012:role/publisher";
    let status = program(&ecr).args(["status", "--assume-role", role, "--registry-id", tests::engines::ACCOUNT]);
    assert_eq!(pushed(&status.run().await)["repositories"][0]["present"], true);
}
