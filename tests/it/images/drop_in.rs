//! Each image does its job with variables and nothing else, ends in time when it is stopped, and the next start finishes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::engines::{Database, PrivateNetwork, S3Engine, Task, built_images, postgres, s3};
use tests::estate::{Bucket, Estate};
use tests::eventually::eventually;

/// ECS waits this long between SIGTERM and SIGKILL.
const STOP_MAX: Duration = Duration::from_secs(30);

/// What an image may take beside its base: the program and, for db-migration, PostgreSQL's client.
const S3_IMAGE_BYTES_MAX: u64 = 60_000_000;

/// Two databases in a private network, and the task that moves one into the other.
async fn databases(network: &PrivateNetwork) -> (Database, Database, Task) {
    let (source, target) = tokio::join!(postgres(13), postgres(17));
    let (source, target) = tokio::join!(source.database(), target.database());
    network.admit(source.engine.port, "old");
    network.admit(target.engine.port, "new");
    let url = |host: &str, database: &Database| {
        format!("postgresql://postgres:{}@{host}:5432/{}", database.engine.password(), database.name)
    };
    let task = Task::db_migration()
        .env("SOURCE_DATABASE_URL", url("old", &source))
        .env("DATABASE_URL", url("new", &target))
        .env("LOG_FORMAT", "json");
    (source, target, task)
}

/// Two buckets in a private network, and the task that copies one into the other.
async fn buckets(network: &PrivateNetwork) -> (&'static S3Engine, String, String, Task) {
    let engine = s3().await;
    let (source, target) = (engine.bucket().await, engine.bucket().await);
    network.admit(engine.endpoint.rsplit(':').next().unwrap().parse().unwrap(), "s3");
    let (key, secret) = (&engine.account.access_key_id, &engine.account.secret_access_key);
    let task = Task::s3_migration()
        .env("PAAS_BUCKET", format!("s3://{source}"))
        .env("PAAS_ACCESS_KEY_ID", key)
        .env("PAAS_SECRET_ACCESS_KEY", secret)
        .env("PAAS_ENDPOINT_URL", "http://s3:8333")
        .env("NEW_BUCKET", format!("s3://{target}"))
        .env("NEW_ENDPOINT_URL", "http://s3:8333")
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("LOG_FORMAT", "json");
    (engine, source, target, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn db_migration_moves_a_database_and_its_overrides_are_flags() {
    // GIVEN the estate's database on one server and nothing on another
    let network = PrivateNetwork::new();
    let (source, _, task) = databases(&network).await;
    Estate::new(11, 20).create_database(&source.connect().await).await.unwrap();
    // WHEN the image is started: to look, to copy, to compare
    let looked = task.clone().arg("--dry-run").run(&network).await;
    let moved = task.run(&network).await;
    let compared = task.clone().arg("--verify").run(&network).await;
    // THEN it looks, copies, and proves
    assert_eq!(looked.code, 0, "{looked:#?}");
    moved.assert_verdict(0, "equal");
    compared.assert_verdict(0, "equal");
    assert!(!format!("{}{}", moved.stdout, moved.stderr).contains(source.engine.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn db_migration_is_stopped_in_time_and_the_next_start_finishes() {
    // GIVEN a copy that is in the middle
    let network = PrivateNetwork::new();
    let (source, target, task) = databases(&network).await;
    source
        .execute(
            "CREATE TABLE big (id bigint PRIMARY KEY, a text, b text);
             INSERT INTO big SELECT n, md5(n::text), repeat(md5((n * 7)::text), 8) FROM generate_series(1, 400000) AS n",
        )
        .await;
    let task = task.env("SPLIT_ABOVE", "4").cpus(0.2);
    let running = task.start(&network);
    let client = target.connect().await;
    let finished = "SELECT count(*) > 0 FROM migrate_db.finished";
    eventually("a finished segment", async || {
        client.query_one(finished, &[]).await.is_ok_and(|row| row.get::<_, bool>(0))
    })
    .await;
    // WHEN it is stopped
    let stopped = running.stop().await;
    // THEN it ends in time and the next start finishes the job
    stopped.assert_verdict(143, "stopped");
    assert!(stopped.stopping.unwrap() < STOP_MAX, "{stopped:#?}");
    task.cpus(1.0).run(&network).await.assert_verdict(0, "equal");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_migration_copies_a_bucket_and_its_overrides_are_flags() {
    // GIVEN the estate's bulk upload bucket
    let network = PrivateNetwork::new();
    let (engine, source, _, task) = buckets(&network).await;
    Estate::new(11, 20).fill_bucket(&engine.client(), Bucket::BulkUpload, &source).await.unwrap();
    // WHEN the image is started: to look, to copy, to compare
    let looked = task.clone().arg("--dry-run").run(&network).await;
    let moved = task.run(&network).await;
    let compared = task.clone().arg("--verify").run(&network).await;
    // THEN it looks, copies, and proves
    assert_eq!(looked.code, 0, "{looked:#?}");
    moved.assert_verdict(0, "equal");
    compared.assert_verdict(0, "equal");
    assert!(!format!("{}{}", moved.stdout, moved.stderr).contains(&engine.account.secret_access_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_migration_is_stopped_in_time_and_the_next_start_finishes() {
    // GIVEN a copy that is in the middle
    let network = PrivateNetwork::new();
    let (engine, source, target, task) = buckets(&network).await;
    Estate::new(11, 60).fill_bucket(&engine.client(), Bucket::BulkUpload, &source).await.unwrap();
    let task = task.env("JOBS", "2");
    let running = task.clone().cpus(0.1).start(&network);
    let client = engine.client();
    eventually("a copied object", async || {
        let listed = client.list_objects_v2().bucket(&target).send().await;
        listed.is_ok_and(|listed| listed.key_count().unwrap_or_default() > 0)
    })
    .await;
    // WHEN it is stopped
    let stopped = running.stop().await;
    // THEN it ends in time and the next start finishes the job
    stopped.assert_verdict(143, "stopped");
    assert!(stopped.stopping.unwrap() < STOP_MAX, "{stopped:#?}");
    task.run(&network).await.assert_verdict(0, "equal");
}

fn inspect(name: &str, format: &str) -> String {
    let image = format!("{name}:under-test");
    let output = Command::new("docker").args(["image", "inspect", "--format", format, &image]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The names in an image's file system.
fn names(name: &str) -> String {
    let script =
        format!("id=$(docker create {name}:under-test) && docker export $id | tar -t; docker rm $id >/dev/null");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_images_are_small_labelled_ordinary_and_without_a_shell() {
    let directory = built_images();
    for (name, program) in [("db-migration", "migrate-db"), ("s3-migration", "migrate-s3")] {
        assert_eq!(inspect(name, "{{.Config.User}}"), "65532:65532");
        assert_eq!(inspect(name, "{{json .Config.Entrypoint}}"), format!("[\"/usr/bin/{program}\"]"));
        for label in ["title", "source", "revision", "version", "created", "licenses"] {
            let format = format!("{{{{index .Config.Labels \"org.opencontainers.image.{label}\"}}}}");
            assert!(!inspect(name, &format).is_empty(), "{name} has no label {label}");
        }
        let names = names(name);
        let has = |path: &str| names.lines().any(|line| line == path);
        assert!(has("etc/ssl/certs/ca-certificates.crt") && has("var/lib/dpkg/status"), "{names}");
        for shell in ["sh", "bash", "dash", "busybox", "apt-get", "dpkg"] {
            assert!(!has(&format!("usr/bin/{shell}")), "{name} has {shell}");
        }
        assert_bill_of_materials(&directory.join(format!("{name}.cdx.json")), program);
    }
    assert!(names("db-migration").contains("/bin/pg_dump"), "no pg_dump");
    // The program under test is the development build, several times the size of what is released.
    let base = inspect("s3-migration", "{{.Size}}").parse::<u64>().unwrap();
    assert!(base < S3_IMAGE_BYTES_MAX, "{base} bytes");
}

fn assert_bill_of_materials(path: &Path, program: &str) {
    let bill: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let components = bill["components"].as_array().unwrap();
    let names: Vec<_> = components.iter().map(|component| component["purl"].as_str().unwrap()).collect();
    for wanted in [format!("pkg:cargo/{program}@"), "pkg:cargo/rustls@".into(), "pkg:deb/debian/libc6@".into()] {
        assert!(names.iter().any(|name| name.starts_with(&wanted)), "{wanted} is not in {}", path.display());
    }
    assert!(!names.iter().any(|name| name.contains("/proptest@")), "crates of tests are not in the program");
}
