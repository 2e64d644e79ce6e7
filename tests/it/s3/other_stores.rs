//! Stores that we did not write, on the target side: what the strict one holds arrives there and verifies.

use tests::engines::{Moto, s3};
use tests::eventually::eventually;
use tests::s3_server::{Account, Fault, FaultRule, NewObject, client_of};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

/// Migrates a bucket of all kinds of objects to `bucket` at `endpoint`, twice, and verifies it in both ways.
async fn arrives(endpoint: &str, account: &Account, bucket: &str) {
    // GIVEN small, empty, large, tagged and described objects with keys that paths would damage
    let estate = Estate::new().await;
    let keys = ["plain", "with space + plus", "folder/ünïcödé", "100% &=?#", "folder-a", "folder/a"];
    for key in keys {
        let object = NewObject::new(format!("content of {key}")).header("content-type", "text/csv; charset=utf-8");
        let object = object.header("x-amz-meta-owner", "team a").header("cache-control", "no-store");
        estate.server.put(SOURCE, key, object.tag("class", "open = a+b @ c"));
    }
    estate.put("empty", "");
    estate.server.put(
        SOURCE,
        "large",
        NewObject::generated(20 << 20, 1).header("x-amz-meta-kind", "archive").tag("a", "b"),
    );
    let count = keys.len() as u64 + 2;
    let program = estate
        .program()
        .env("NEW_ENDPOINT_URL", endpoint)
        .env("NEW_BUCKET", format!("s3://{bucket}"))
        .env("AWS_ACCESS_KEY_ID", &account.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_access_key);
    // WHEN it is migrated, again, and verified
    assert_totals(&run(&program, 0).await, [count, count, 0, 0]);
    assert_totals(&run(&program, 0).await, [count, 0, count, 0]);
    assert_totals(&run(&program.clone().arg("--verify"), 0).await, [count, 0, count, 0]);
    // THEN its owner reads what the source holds, and a changed byte is named
    let client = client_of(endpoint, account, "eu-west-2");
    for key in estate.server.keys(SOURCE) {
        let got = client.get_object().bucket(bucket).key(&key).send().await.unwrap();
        let stored = estate.server.get(SOURCE, &key).unwrap();
        assert_eq!(got.content_type(), stored.headers.get("content-type").map(String::as_str), "{key}");
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), stored.body, "{key}");
        let tagging = client.get_object_tagging().bucket(bucket).key(&key).send().await.unwrap();
        let tags: Vec<(String, String)> = tagging.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect();
        assert_eq!(tags, stored.tags.into_iter().collect::<Vec<_>>(), "{key}");
    }
    estate.put("empty", "");
    estate.server.put(
        SOURCE,
        "plain",
        NewObject::new("CONTENT of plain").header("content-type", "text/csv; charset=utf-8"),
    );
    run(&program.arg("--verify"), 4).await;
}

#[tokio::test]
async fn into_seaweedfs() {
    let engine = s3().await;
    arrives(&engine.endpoint, &engine.account, &engine.bucket().await).await;
}

#[tokio::test]
async fn into_moto() {
    let moto = Moto::start().await;
    let account = Account::new("AKIAMOTO", "moto-secret", &[]);
    client_of(&moto.endpoint(), &account, "us-east-1").create_bucket().bucket("moto-target").send().await.unwrap();
    arrives(&moto.endpoint(), &account, "moto-target").await;
}

#[tokio::test]
async fn tags_that_only_a_get_tells_of_are_carried_and_compared() {
    // GIVEN stores whose HEAD does not say that an object has tags, as LocalStack's, and tags on a small and a large one
    let estate = Estate::new().await;
    for bucket in [SOURCE, TARGET] {
        estate.server.inject(FaultRule::new(Fault::NoTagging).bucket(bucket).on("HeadObject"));
    }
    estate.server.put(SOURCE, "small", NewObject::new("content").tag("class", "open"));
    estate.server.put(SOURCE, "large", NewObject::generated(40 << 20, 1).tag("class", "closed"));

    // WHEN they are migrated, and again, without a journal
    assert_totals(&run(&estate.program(), 0).await, [2, 2, 0, 0]);
    assert_totals(&run(&estate.program(), 0).await, [2, 0, 2, 0]);

    // THEN the tags are there, and where one is not, it is named
    estate.assert_same();
    estate.server.put(TARGET, "small", NewObject::new("content"));
    let outcome = run(&estate.program(), 4).await;
    assert_eq!(outcome.summary()["findings_count"], 1, "{outcome}");
}

#[tokio::test]
async fn what_a_target_does_not_take_of_one_object_leaves_the_others_guarded() {
    // GIVEN a target that does not take an object for its storage class, as Ceph's gateway says it, and one more object that
    // somebody else writes there while it is being read
    let estate = Estate::new().await;
    estate.put("a", "of another class");
    estate.put("b", "ours");
    estate.server.inject(FaultRule::fail(400, "InvalidArgument").bucket(TARGET).on("PutObject").key("a"));
    let slow = Fault::Delay(std::time::Duration::from_secs(6));
    estate.server.inject(FaultRule::new(slow).bucket(SOURCE).on("GetObject").key("b"));
    // WHEN both are migrated
    let running = estate.program().env("JOBS", "1").spawn().await;
    eventually("the refusal", async || estate.server.count(TARGET, "PutObject") == 2).await;
    estate.server.put(TARGET, "b", NewObject::new("somebody else's"));
    let outcome = running.wait().await;
    // THEN what was not there when it was listed is not replaced
    outcome.assert_code(4);
    assert_eq!(estate.server.get(TARGET, "b").unwrap().body, "somebody else's");
    assert!(outcome.stderr.contains("appeared"), "{outcome}");
}

#[tokio::test]
async fn the_policy_of_the_target_is_read() {
    // GIVEN a bucket of moto's without a policy, and then with one that refuses plain HTTP
    let estate = Estate::new().await;
    let moto = Moto::start().await;
    let account = Account::new("AKIAMOTO", "moto-secret", &[]);
    let client = client_of(&moto.endpoint(), &account, "us-east-1");
    client.create_bucket().bucket("moto-target").send().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = estate
        .program()
        .arg("--dry-run")
        .env("NEW_ENDPOINT_URL", moto.endpoint())
        .env("NEW_BUCKET", "s3://moto-target")
        .env("AWS_ACCESS_KEY_ID", &account.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_access_key)
        .env("REPORT", directory.path().to_str().unwrap());
    let told = async || {
        run(&program, 0).await;
        let report = std::fs::read(directory.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let checks = report["preflight"].as_array().unwrap().clone();
        checks.iter().any(|check| check["name"] == "target's policy" && check["detail"] == "it refuses plain HTTP")
    };
    // WHEN, THEN it is told that it does
    assert!(!told().await);
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::moto-target/*",
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    }] });
    client.put_bucket_policy().bucket("moto-target").policy(policy.to_string()).send().await.unwrap();
    assert!(told().await);
}
