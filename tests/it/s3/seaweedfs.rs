//! The core of the suite against a real S3 server that we did not write.

use aws_sdk_s3::primitives::ByteStream;
use tests::engines::s3;
use tests::program::Program;

use super::{assert_totals, run};

async fn program(source: &str, target: &str) -> Program {
    let engine = s3().await;
    Program::migrate_s3()
        .env("PAAS_BUCKET", format!("s3://{source}"))
        .env("PAAS_ACCESS_KEY_ID", &engine.account.access_key_id)
        .env("PAAS_SECRET_ACCESS_KEY", &engine.account.secret_access_key)
        .env("PAAS_ENDPOINT_URL", &engine.endpoint)
        .env("NEW_BUCKET", format!("s3://{target}"))
        .env("NEW_ENDPOINT_URL", &engine.endpoint)
        .env("AWS_ACCESS_KEY_ID", &engine.account.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &engine.account.secret_access_key)
        .env("LOG_FORMAT", "json")
}

#[tokio::test]
async fn a_migration_into_a_real_server_is_proved_and_verified() {
    // GIVEN a bucket with small, empty, large and oddly named objects
    let engine = s3().await;
    let (source, target) = (engine.bucket().await, engine.bucket().await);
    let client = engine.client();
    let large: Vec<u8> = (0..20_u32 << 20).map(|index| (index % 251) as u8).collect();
    let deep = format!("{}x", "d/".repeat(400));
    let bodies = [
        ("plain", b"content".to_vec()),
        ("with space + plus", b"content".to_vec()),
        ("folder/ünïcödé", b"content".to_vec()),
        ("folder/empty", Vec::new()),
        // Listed folder by folder, whatever the number of folders.
        (deep.as_str(), b"content".to_vec()),
        ("large", large),
    ];
    let count = bodies.len() as u64;
    for (key, body) in bodies {
        let put = client.put_object().bucket(&source).key(key).body(ByteStream::from(body));
        put.content_type("text/csv").metadata("owner", "team").send().await.unwrap();
    }
    // WHEN it is migrated, migrated again, and verified
    let program = program(&source, &target).await;
    let first = run(&program, 0).await;
    let second = run(&program, 0).await;
    let verified = run(&program.clone().arg("--verify"), 0).await;
    // THEN everything was copied once and is equal
    assert_totals(&first, [count, count, 0, 0]);
    assert_totals(&second, [count, 0, count, 0]);
    assert_totals(&verified, [count, 0, count, 0]);
    let head = client.head_object().bucket(&target).key("plain").send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/csv"));
    assert_eq!(head.metadata().unwrap()["owner"], "team");
    // AND a difference is named
    let other = client.put_object().bucket(&target).key("plain").body(ByteStream::from_static(b"CONTENT"));
    other.content_type("text/csv").metadata("owner", "team").send().await.unwrap();
    let different = run(&program.arg("--verify"), 4).await;
    assert_totals(&different, [count, 0, count - 1, 1]);
}
