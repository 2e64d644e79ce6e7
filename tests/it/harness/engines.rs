//! The engines in containers: each starts, is what it says, and keeps one test's data apart from another's.

use std::process::Command;

use aws_sdk_s3::primitives::ByteStream;
use tests::engines::{postgres, postgres_client_bin_dir, s3};

#[tokio::test]
async fn both_majors_of_postgresql_answer_as_themselves() {
    for major in [13, 17] {
        let engine = postgres(major).await;
        let database = engine.database().await;
        let version = database.text("SELECT current_setting('server_version_num')::int / 10000").await;
        assert_eq!(version, Some(major.to_string()));
        assert_eq!(database.text("SELECT setting FROM pg_settings WHERE name = 'ssl'").await.as_deref(), Some("on"));
        assert_eq!(database.text("SELECT count(*) FROM pg_stat_user_tables").await.as_deref(), Some("0"));
        database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
        assert_eq!(engine.database().await.text("SELECT to_regclass('t')").await, None);
        let password = database.text("SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'postgres'").await;
        assert_eq!(password.as_deref(), Some("SCRAM-SHA-256"));
    }
}

#[tokio::test]
async fn a_client_of_the_newer_major_dumps_the_older_server_over_proved_tls() {
    let database = postgres(13).await.database().await;
    database.execute("CREATE TABLE dumped (a int)").await;
    let bin = tokio::task::spawn_blocking(|| postgres_client_bin_dir(17)).await.unwrap();
    let dump = |host: &str, authority: std::path::PathBuf| {
        let tls = format!("sslmode=verify-full&sslrootcert={}", authority.display());
        let url = database.engine.url_at(host, &database.name, &tls);
        Command::new(bin.join("pg_dump")).args(["--schema-only", "--dbname", &url]).env_clear().output().unwrap()
    };

    let output = dump("localhost", database.engine.authority());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CREATE TABLE public.dumped"), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Dumped by pg_dump version 17."));
    assert!(!dump("127.0.0.1", database.engine.authority()).status.success());
    assert!(!dump("localhost", database.engine.stranger_authority()).status.success());
}

#[tokio::test]
async fn the_s3_server_keeps_an_object() {
    let engine = s3().await;
    let bucket = engine.bucket().await;
    let client = engine.client();
    client.put_object().bucket(&bucket).key("a//b").body(ByteStream::from_static(b"abc")).send().await.unwrap();
    let got = client.get_object().bucket(&bucket).key("a//b").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), "abc");
    assert_ne!(engine.bucket().await, bucket);
}
