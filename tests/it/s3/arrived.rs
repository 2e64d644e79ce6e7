//! Stores that agree to what they are sent and keep less of it, or show it otherwise.

use tests::s3_server::{Bucket, Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

#[tokio::test]
async fn what_a_target_agrees_to_and_does_not_keep_is_named() {
    // GIVEN a target that forgets tags and redirects and renames metadata, as Ceph's gateway and SeaweedFS do, and objects with
    // much and with nothing to lose
    let estate = Estate::new().await;
    estate.server.inject(FaultRule::new(Fault::KeepLess).bucket(TARGET).on("PutObject"));
    estate.server.inject(FaultRule::new(Fault::KeepLess).bucket(TARGET).on("CreateMultipartUpload"));
    let rich = |object: NewObject| {
        let object = object.header("x-amz-meta-with_underscore", "1").header("x-amz-meta-owner", "team");
        object.header("x-amz-website-redirect-location", "/elsewhere").tag("class", "open")
    };
    estate.server.put(SOURCE, "rich", rich(NewObject::new("content")));
    estate.server.put(SOURCE, "rich and large", rich(NewObject::generated(20 << 20, 1)));
    estate.server.put(SOURCE, "plain", NewObject::new("content").header("content-type", "text/csv"));
    estate.server.put(SOURCE, "described", NewObject::new("content").header("x-amz-meta-owner", "team"));
    let state = tempfile::tempdir().unwrap();
    let program = estate.program().env("STATE", state.path().to_str().unwrap());
    // WHEN they are migrated, and again, and verified
    let first = run(&program, 4).await;
    // THEN all that lacks is named each time, and what has nothing to lose is not asked for
    assert_totals(&first, [4, 4, 0, 0]);
    assert_eq!(first.summary()["findings_count"], 6, "{first}");
    assert_eq!(estate.server.count(TARGET, "HeadObject"), 3, "{first}");
    let second = run(&program, 4).await;
    assert_totals(&second, [4, 0, 2, 2]);
    assert_eq!(second.summary()["findings_count"], 6, "{second}");
    let verified = run(&program.clone().arg("--verify").env("LOG_FORMAT", "text"), 4).await;
    for word in ["only the target has `with-underscore`", "website-redirect-location", "the target lacks `class`"] {
        assert!(verified.stdout.contains(word), "{word}: {verified}");
    }
}

#[tokio::test]
async fn of_objects_that_are_alike_the_first_ones_are_looked_at() {
    // GIVEN many objects with metadata of the same kind, and one with a name that the target changes
    let estate = Estate::new().await;
    for index in 0..50 {
        let object =
            NewObject::new("content").header("x-amz-meta-mtime", &format!("17953240{index:02}.5")).tag("n", "1");
        estate.server.put(SOURCE, &format!("alike {index:02}"), object);
    }
    estate.server.put(SOURCE, "other", NewObject::new("content").header("x-amz-meta-with_underscore", "1"));
    estate.server.inject(FaultRule::new(Fault::KeepLess).bucket(TARGET).on("PutObject").key("other"));
    // WHEN they are migrated one after the other, THEN two of them are looked at, and what lacks is named
    let outcome = run(&estate.program().env("JOBS", "1").env("LOG_FORMAT", "text"), 4).await;
    assert_eq!(estate.server.count(TARGET, "HeadObject"), 2, "{outcome}");
    assert!(outcome.stdout.contains("only the target has `with-underscore`"), "{outcome}");
}

#[tokio::test]
async fn a_target_that_keeps_keys_as_paths_is_found_out() {
    // GIVEN a target that puts `a//b` where `a/b` is, as SeaweedFS does
    let estate = Estate::new().await;
    estate.server.inject(FaultRule::new(Fault::KeysArePaths).bucket(TARGET).on("PutObject"));
    for key in ["a/b", "a//c", "/lead", "trail/"] {
        estate.put(key, format!("content of {key}"));
    }
    // WHEN it is migrated, THEN every object that is somewhere else is named
    let outcome = run(&estate.program().env("LOG_FORMAT", "text"), 4).await;
    for key in ["a//c", "/lead", "trail/"] {
        assert!(outcome.stdout.contains(&format!("{key} (key): the target took it")), "{key}: {outcome}");
    }
    assert!(!outcome.stdout.contains("a/b (key)"), "{outcome}");
}

#[tokio::test]
async fn etags_that_a_listing_alone_has_are_no_difference() {
    // GIVEN stores that list other ETags than their objects have, as Swift does for copies of large objects
    let estate = Estate::new().await;
    for bucket in [SOURCE, TARGET] {
        estate.server.inject(FaultRule::new(Fault::OtherListedEtags).bucket(bucket).on("ListObjectsV2"));
    }
    estate.put("small", "content");
    estate.server.put(SOURCE, "large", NewObject::generated(20 << 20, 1));
    // WHEN, THEN it is migrated, again, and verified in both ways
    assert_totals(&run(&estate.program(), 0).await, [2, 2, 0, 0]);
    assert_totals(&run(&estate.program(), 0).await, [2, 0, 2, 0]);
    assert_totals(&run(&estate.program().arg("--verify"), 0).await, [2, 0, 2, 0]);
    estate.server.put(TARGET, "small", NewObject::new("CONTENT"));
    assert_totals(&run(&estate.program().arg("--verify"), 4).await, [2, 0, 1, 1]);
}

#[tokio::test]
async fn a_key_of_white_space_holds_up_nothing_but_itself() {
    // GIVEN a bucket whose first key is a space, which the SDK takes for none
    let estate = Estate::new().await;
    estate.put(" ", "content");
    estate.put("other", "content");
    // WHEN, THEN the dry run tells, and the other one is copied
    let counted = run(&estate.program().arg("--dry-run").env("LOG_FORMAT", "text"), 0).await;
    assert!(counted.stdout.contains("1 keys, not UTF-8 or nothing but white space"), "{counted}");
    let outcome = run(&estate.program().env("LOG_FORMAT", "text"), 4).await;
    assert!(outcome.stdout.contains("2 listed = 1 copied + 0 equal + 0 skipped + 1 failed"), "{outcome}");
    assert!(outcome.stdout.contains("is nothing but white space and cannot be asked for; next: give"), "{outcome}");
}

#[tokio::test]
async fn a_mark_of_deletion_that_is_not_told_of_is_looked_for() {
    // GIVEN a target that leaves a second mark of deletion without saying so, as Swift does
    let estate = Estate::with(Bucket::new(SOURCE).with_versioning(), Bucket::new(TARGET).with_versioning()).await;
    estate.put("key", "content");
    estate.server.remove(SOURCE, "key");
    estate.server.remove(SOURCE, "key");
    estate.put("key", "again");
    estate.server.inject(FaultRule::new(Fault::UntoldMark).bucket(TARGET).on("DeleteObject").skip(1));
    // WHEN, THEN the whole history arrives, with nothing twice
    assert_totals(&run(&estate.program().arg("--versions"), 0).await, [4, 4, 0, 0]);
    assert_eq!(estate.server.versions(TARGET, "key").len(), 4);
}
