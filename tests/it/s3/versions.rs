//! `--versions`: every version and every mark of deletion, in order, or it is said why not.

use tests::engines::{Moto, s3};
use tests::s3_server::{Account, Bucket, Fault, FaultRule, NewObject, StoredVersion};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

/// Two buckets that keep versions; the source with histories of all kinds: 12 objects and 3 marks of deletion of 5 keys.
async fn estate() -> Estate {
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET).with_versioning()).await;
    for number in 0..4 {
        let body = NewObject::new(format!("content {number}")).header("x-amz-meta-number", &number.to_string());
        estate.server.put(SOURCE, "a//b", body.tag("number", &number.to_string()));
    }
    for word in ["one", "two", "one"] {
        estate.put("deleted in between", word);
        estate.server.remove(SOURCE, "deleted in between");
    }
    estate.put("the same twice", "same");
    estate.put("the same twice", "same");
    estate.put("large", "small at first");
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    estate.put("z", "content");
    estate
}

const COUNT: u64 = 15;

fn without_ids(versions: Vec<StoredVersion>) -> Vec<StoredVersion> {
    versions.into_iter().map(|version| StoredVersion { id: String::new(), ..version }).collect()
}

fn assert_same_histories(estate: &Estate) {
    let server = &estate.server;
    assert_eq!(server.versioned_keys(SOURCE), server.versioned_keys(TARGET));
    for key in server.versioned_keys(SOURCE) {
        let (source, target) = (server.versions(SOURCE, &key), server.versions(TARGET, &key));
        assert!(without_ids(source) == without_ids(target), "the versions of {key:?} are others");
    }
    estate.assert_same();
}

#[tokio::test]
async fn every_version_arrives_in_its_order() {
    // GIVEN keys with many versions, deleted ones among them
    let estate = estate().await;
    let report = tempfile::tempdir().unwrap();
    let program = estate.program().arg("--versions");
    // WHEN they are counted, migrated, migrated again and verified
    let counted = run(&program.clone().arg("--dry-run").env("LOG_FORMAT", "text"), 0).await;
    let first = run(&program.clone().env("REPORT", report.path().to_str().unwrap()), 0).await;
    assert_same_histories(&estate);
    let second = run(&program, 0).await;
    let verified = run(&program.clone().arg("--verify"), 0).await;
    // THEN all of them are there, once, and are named in order
    assert!(counted.stdout.contains("12 versions and 3 marks of deletion, of 5 keys"), "{counted}");
    assert_totals(&first, [COUNT, COUNT, 0, 0]);
    assert_totals(&second, [COUNT, 0, COUNT, 0]);
    assert_totals(&verified, [COUNT, 0, COUNT, 0]);
    assert_same_histories(&estate);
    let manifest = zstd::decode_all(&std::fs::read(report.path().join("manifest.jsonl.zst")).unwrap()[..]).unwrap();
    let lines: Vec<serde_json::Value> =
        manifest.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for key in estate.server.versioned_keys(SOURCE) {
        let of_key: Vec<_> = lines.iter().filter(|line| line["key"] == key.as_str()).collect();
        let listed = |bucket, field: &str| {
            let stored: Vec<_> = estate.server.versions(bucket, &key).into_iter().map(|version| version.id).collect();
            let told: Vec<_> = of_key.iter().map(|line| line[field].as_str().unwrap_or_default().to_owned()).collect();
            assert_eq!(stored, told, "{field} of {key:?}");
        };
        listed(SOURCE, "version_id");
        listed(TARGET, "target_version_id");
        let markers = of_key.iter().filter(|line| line["is_delete_marker"] == true).count();
        assert_eq!(markers, if key == "deleted in between" { 3 } else { 0 });
    }
}

#[tokio::test]
async fn what_came_to_be_since_is_written_after_the_rest() {
    // GIVEN a migrated bucket whose source has moved on
    let estate = estate().await;
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().arg("--versions").env("STATE", state.path().to_str().unwrap());
    run(&program, 0).await;
    estate.put("a//b", "content 4");
    estate.server.remove(SOURCE, "z");
    estate.put("new", "x");
    estate.server.reset_counts();
    // WHEN it is migrated again
    let outcome = run(&program, 0).await;
    // THEN just what is new was read and written
    assert_totals(&outcome, [COUNT + 3, 3, COUNT, 0]);
    assert_same_histories(&estate);
    assert_eq!(estate.server.count(TARGET, "PutObject"), 2);
    assert_eq!(estate.server.count(TARGET, "DeleteObject"), 1);
    // One of the three is preflight's.
    assert_eq!(estate.server.count(SOURCE, "GetObject"), 3);
}

#[tokio::test]
async fn a_version_is_never_written_twice_although_answers_are_lost() {
    let estate = estate().await;
    let rule = |fault: Fault, operation| FaultRule::new(fault).bucket(TARGET).on(operation);
    estate.server.inject(rule(Fault::LoseAnswer, "PutObject").skip(1).times(3));
    estate.server.inject(rule(Fault::LoseAnswer, "DeleteObject").times(2));
    estate.server.inject(rule(Fault::LoseAnswer, "CompleteMultipartUpload").times(1));
    estate.server.inject(rule(Fault::DropConnection, "PutObject").skip(2).times(2));
    estate.server.inject(FaultRule::fail(503, "SlowDown").bucket(TARGET).on("PutObject").skip(2).times(2));
    estate.server.inject(rule(Fault::RepeatPage, "ListObjectVersions").skip(1).times(1));
    let outcome = run(&estate.program().args(["--versions", "--jobs", "2"]), 0).await;
    assert_totals(&outcome, [COUNT, COUNT, 0, 0]);
    estate.server.clear_faults();
    assert_same_histories(&estate);
}

#[tokio::test]
async fn a_version_that_cannot_be_read_holds_up_those_after_it() {
    // GIVEN a key whose second version is archived
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET).with_versioning()).await;
    estate.put("key", "one");
    estate.server.put(SOURCE, "key", NewObject::new("two").header("x-amz-storage-class", "GLACIER"));
    estate.put("key", "three");
    estate.put("other", "x");
    // WHEN, THEN the first one is there, and both others are named
    let outcome = run(&estate.program().arg("--versions"), 4).await;
    assert_totals(&outcome, [4, 2, 0, 2]);
    assert!(outcome.stderr.contains("archived") || outcome.stderr.contains("InvalidObjectState"), "{outcome}");
    assert_eq!(estate.server.versions(TARGET, "key").len(), 1);
}

#[tokio::test]
async fn a_marker_that_is_not_encoded_passes_over_nothing() {
    // GIVEN stores that encode the keys of a page and not where the next one begins, as Ceph's gateway (16) and Swift do, and
    // pages that end with keys that would be others once decoded
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET).with_versioning()).await;
    for bucket in [SOURCE, TARGET] {
        estate.server.inject(FaultRule::new(Fault::PlainMarker).bucket(bucket).on("ListObjectVersions"));
    }
    let page = |first: &str, last: &'static str| {
        let first = first.to_owned();
        (1..1000).map(move |number| format!("{first}{number:04}")).chain([last.to_owned()])
    };
    let keys: Vec<String> = page("a", "b%7Eb").chain(page("b%7Ec", "c+c")).chain(page("c+d", "d%e")).collect();
    for key in &keys {
        estate.put(key, "x");
    }
    // WHEN they are migrated and verified, THEN nothing was passed over and nothing came twice
    let count = keys.len() as u64;
    let program = estate.program().arg("--versions");
    assert_totals(&run(&program, 0).await, [count, count, 0, 0]);
    assert_totals(&run(&program.arg("--verify"), 0).await, [count, 0, count, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn a_target_without_versions_or_with_others_is_refused() {
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET)).await;
    estate.put("key", "one");
    let outcome = run(&estate.program().arg("--versions"), 3).await;
    assert!(outcome.stderr.contains("put-bucket-versioning"), "{outcome}");
    run(&estate.program().args(["--versions", "--delete-extra"]), 2).await;
}

#[tokio::test]
async fn the_order_is_not_broken_to_fill_a_gap() {
    // GIVEN a target that lacks a version in the middle, and one that has a newer one of its own
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET).with_versioning()).await;
    for word in ["1", "22", "333"] {
        estate.put("gap", word);
    }
    estate.server.put(TARGET, "gap", NewObject::new("1"));
    estate.server.put(TARGET, "gap", NewObject::new("333"));
    estate.put("own", "1");
    estate.put("own", "22");
    estate.server.put(TARGET, "own", NewObject::new("1"));
    estate.server.put(TARGET, "own", NewObject::new("theirs"));
    // WHEN, THEN nothing is written, and both are named
    let outcome = run(&estate.program().arg("--versions"), 4).await;
    assert_totals(&outcome, [5, 0, 3, 2]);
    assert_eq!(estate.server.count(TARGET, "PutObject"), 0);
    let verified = run(&estate.program().args(["--versions", "--verify"]), 4).await;
    assert_totals(&verified, [5, 0, 3, 2]);
}

#[tokio::test]
async fn kills_at_any_moment_write_no_version_twice() {
    let estate = estate().await;
    let seed = std::env::var("TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("versions: TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let delay = |milliseconds| Fault::Delay(std::time::Duration::from_millis(milliseconds));
    estate.server.inject(FaultRule::new(delay(80)).bucket(TARGET).on("PutObject"));
    estate.server.inject(FaultRule::new(delay(200)).bucket(TARGET).on("UploadPart"));
    let program = estate.program().args(["--versions", "--jobs", "3"]);
    for _ in 0..6 {
        let mut running = program.spawn().await;
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(..900))).await;
        running.kill();
        running.wait().await;
    }
    estate.server.clear_faults();
    run(&program, 0).await;
    assert_same_histories(&estate);
}

/// Fills `source` and migrates it to `target` on a store that we did not write.
async fn on_a_real_store(endpoint: &str, account: &Account, names: [&str; 2]) {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    // GIVEN two buckets with versioning, and histories in one of them
    let client = tests::s3_server::client_of(endpoint, account, "eu-west-2");
    for name in names {
        let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        client.put_bucket_versioning().bucket(name).versioning_configuration(on).send().await.unwrap();
    }
    let put = async |key: &str, body: &'static str| {
        client
            .put_object()
            .bucket(names[0])
            .key(key)
            .body(aws_sdk_s3::primitives::ByteStream::from_static(body.as_bytes()))
            .send()
            .await
            .unwrap();
        // Some stores keep times in whole seconds and list the two kinds one after the other.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    };
    put("folder/a", "1").await;
    put("folder-b", "x").await;
    put("folder/a", "22").await;
    client.delete_object().bucket(names[0]).key("folder/a").send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    put("folder/a", "333").await;
    put("with space + plus", "x").await;
    // WHEN they are migrated, migrated again and verified
    let program = super::program(endpoint, &format!("s3://{}", names[0]), &format!("s3://{}", names[1]))
        .env("PAAS_ACCESS_KEY_ID", &account.access_key_id)
        .env("PAAS_SECRET_ACCESS_KEY", &account.secret_access_key)
        .env("AWS_ACCESS_KEY_ID", &account.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_access_key)
        .arg("--versions");
    // THEN all of it is there, in order
    assert_totals(&run(&program, 0).await, [6, 6, 0, 0]);
    assert_totals(&run(&program, 0).await, [6, 0, 6, 0]);
    assert_totals(&run(&program.arg("--verify"), 0).await, [6, 0, 6, 0]);
    let listed = client.list_object_versions().bucket(names[1]).prefix("folder/a").send().await.unwrap();
    let sizes: Vec<_> = listed.versions().iter().map(|version| version.size().unwrap_or(0)).collect();
    assert_eq!((sizes, listed.delete_markers().len()), (vec![3, 2, 1], 1));
}

#[tokio::test]
async fn on_seaweedfs() {
    let engine = s3().await;
    let (source, target) = (engine.bucket().await, engine.bucket().await);
    on_a_real_store(&engine.endpoint, &engine.account, [&source, &target]).await;
}

#[tokio::test]
async fn on_moto() {
    let moto = Moto::start().await;
    let account = Account::new("AKIAMOTO", "moto-secret", &[]);
    let client = tests::s3_server::client_of(&moto.endpoint(), &account, "us-east-1");
    for name in ["moto-source", "moto-target"] {
        client.create_bucket().bucket(name).send().await.unwrap();
    }
    on_a_real_store(&moto.endpoint(), &account, ["moto-source", "moto-target"]).await;
}
