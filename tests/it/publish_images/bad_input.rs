//! Everything that can be wrong on the way into the registry: one clear error each, and the code that belongs to it.

use serde_json::json;
use tests::engines::{Ecr, Users};
use tests::program::Program;

use super::REGION;
use super::push::{image_file, path, program};

/// Runs it; it must end with `code` and say `words`, and no secret.
async fn refused(program: Program, code: i32, words: &str) {
    let outcome = program.run().await;
    outcome.assert_code(code).assert_without(&["hunter2", tests::engines::REGISTRY_PASSWORD]);
    assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    assert!(outcome.stdout.is_empty() && !outcome.stderr.contains("panicked"), "{outcome}");
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
}

#[tokio::test]
async fn what_is_no_image_or_has_no_place_is_refused_before_anyone_is_asked() {
    let ecr = Ecr::start(REGION, Users::Token, &[]).await;
    let file = image_file("s3-migration:0.1.0", 1, &[1000]);
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "no image").unwrap();
    let push = |source: &str| program(&ecr).args(["push", source]);
    let image = path(&file);
    refused(push("/nowhere.tar"), 2, "cannot read the image /nowhere.tar").await;
    refused(push(&path(&text)), 1, "is no image").await;
    refused(push(&image).arg("--tag=-x"), 2, "--tag `-x` is not usable").await;
    refused(push(&image).args(["--repository", "Not/This"]), 2, "small letters").await;
    // no Docker: neither the program nor an engine
    let without = push("docker:db-migration").env("PATH", "/nowhere");
    refused(without, 3, "cannot take `db-migration:latest` from the Docker engine: docker cannot be run").await;
    let path = std::env::var("PATH").unwrap();
    let nobody = push("docker:db-migration").env("PATH", path).env("DOCKER_HOST", "unix:///nowhere.sock");
    refused(nobody, 3, "start the Docker engine").await;
    // no credentials
    let unknown = push(&image).without_env("AWS_ACCESS_KEY_ID").without_env("AWS_SECRET_ACCESS_KEY");
    refused(unknown.env("AWS_EC2_METADATA_DISABLED", "true"), 3, "no credentials in the environment").await;
    // no registry
    refused(push(&image), 3, "set create_s3_migration_infra = true").await;
    refused(push(&image).args(["--assume-role", "publisher"]), 2, "named by its ARN").await;
}

#[tokio::test]
async fn credentials_that_have_expired_are_named() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // GIVEN AWS as it answers someone whose session is over
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let body =
            r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#;
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 8192];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let ecr = Ecr::start(REGION, Users::Token, &[]).await;
    let file = image_file("s3-migration:0.1.0", 1, &[1000]);
    // WHEN anything is asked, THEN it is refused with the step that helps
    for arguments in [vec!["status".to_owned()], vec!["push".to_owned(), path(&file)]] {
        let program = program(&ecr).args(arguments).env("ECR_ENDPOINT_URL", format!("http://{address}"));
        refused(program, 3, "The security token included in the request is expired").await;
    }
    server.abort();
}

#[tokio::test]
async fn a_token_that_the_registry_does_not_take_is_refused() {
    let ecr = Ecr::start(REGION, Users::OtherToken, &["s3-migration"]).await;
    let file = image_file("s3-migration:0.1.0", 1, &[1000]);
    refused(program(&ecr).args(["push", &path(&file)]), 3, "the token has expired or belongs to another account").await;
}

#[tokio::test]
async fn a_tag_that_cannot_be_moved_is_refused_before_anything_is_sent() {
    // GIVEN a repository with fixed tags, one of which is taken
    let ecr = Ecr::start(REGION, Users::Token, &[]).await;
    ecr.moto.create_fixed_repository(REGION, "s3-migration").await;
    let first = image_file("s3-migration:0.1.0", 1, &[1000]);
    let push = |file| program(&ecr).args(["push", &path(file), "--skip-scan"]);
    push(&first).run().await.assert_code(0);
    // WHEN another image is to have it
    let second = image_file("s3-migration:0.1.0", 2, &[5_000_000]);
    let before = ecr.registry.stored_bytes();
    refused(push(&second), 3, "its tags cannot be moved").await;
    // THEN nothing was sent; the same image, and another tag, are fine
    assert_eq!(ecr.registry.stored_bytes(), before);
    push(&first).run().await.assert_code(0);
    push(&second).args(["--tag", "0.1.1"]).run().await.assert_code(0);
}

#[tokio::test]
async fn a_registry_that_stays_away_ends_the_push_with_a_code_to_repeat() {
    let mut ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    let file = image_file("s3-migration:0.1.0", 1, &[60 << 20]);
    let push = program(&ecr).args(["push", &path(&file), "--skip-scan"]);
    // Long enough for an answer of a registry that is there and whose disk is busy.
    let running = push.clone().args(["--patience", "5"]).spawn().await;
    tests::eventually::eventually("a part", async || ecr.registry.stored_bytes() >= 9 << 20).await;
    ecr.registry.kill().await;
    let outcome = running.wait().await;
    outcome.assert_code(5);
    assert!(outcome.stderr.contains("run the same command again"), "{outcome}");
    ecr.registry.start_again().await;
    push.run().await.assert_code(0);
}

#[tokio::test]
async fn scans_that_find_fail_or_never_end_are_told_apart() {
    let ecr = Ecr::start(REGION, Users::Token, &["s3-migration"]).await;
    // moto's own scan always finds one thing of high severity
    let file = image_file("s3-migration:0.1.0", 1, &[1000]);
    let push = |file: &_, arguments: &[&str]| program(&ecr).args(["push", &path(file)]).args(arguments.iter().copied());
    refused(push(&file, &[]), 4, "found 1 high, and high is not accepted").await;
    for (seed, state, findings, code, words) in [
        (2, "IN_PROGRESS", json!({}), 5, "has not ended after 3 s; it is in progress"),
        (3, "FAILED", json!({}), 1, "the scan of sha256:"),
        (4, "COMPLETE", json!({ "LOW": 3, "CRITICAL": 0 }), 0, ""),
    ] {
        // GIVEN an image whose scan comes to this
        let tag = format!("0.{seed}.0");
        let file = image_file(&format!("s3-migration:{tag}"), seed, &[1000]);
        push(&file, &["--max-severity", "critical"]).run().await.assert_code(0);
        let digest = ecr.registry.digest("s3-migration", &tag).await.unwrap();
        ecr.moto.set_scan(REGION, "s3-migration", &digest, state, &findings).await;
        // WHEN it is pushed, THEN the code says what to do
        let push = push(&file, &["--scan-timeout", "3"]);
        match code {
            0 => {
                push.run().await.assert_code(0);
            }
            code => refused(push, code, words).await,
        }
    }
}
