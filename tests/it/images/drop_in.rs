//! Each image does its job with variables and nothing else, ends in time when it is stopped, and the next start finishes.

use std::time::Duration;

use tests::engines::{Database, PrivateNetwork, S3Engine, Task, postgres, s3};
use tests::estate::{Bucket, Estate};
use tests::eventually::eventually;

/// ECS waits this long between SIGTERM and SIGKILL.
const STOP_MAX: Duration = Duration::from_secs(30);

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
