//! Faults of the network and of the stores: retried where that helps, named where it does not, never believed.

use tests::eventually::eventually;
use tests::s3_server::{Fault, FaultRule, NewObject};

use super::{Estate, SOURCE, TARGET, assert_totals, run};

const LARGE_BYTES: u64 = 40 << 20;

/// Migrates ten small objects and a large one through `rules` and expects all of it to arrive.
async fn survives(rules: impl IntoIterator<Item = FaultRule>) -> Estate {
    let estate = Estate::new().await;
    for index in 0..10 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.server.put(SOURCE, "large", NewObject::generated(LARGE_BYTES, 1));
    rules.into_iter().for_each(|rule| estate.server.inject(rule));
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [11, 11, 0, 0]);
    estate.server.clear_faults();
    estate.assert_same();
    estate
}

#[tokio::test]
async fn failing_listings_and_completions_are_repeated() {
    let fail = |bucket, operation| FaultRule::fail(500, "InternalError").bucket(bucket).on(operation).times(2);
    survives([
        fail(SOURCE, "ListObjectsV2"),
        fail(TARGET, "ListObjectsV2"),
        fail(TARGET, "CreateMultipartUpload"),
        fail(TARGET, "CompleteMultipartUpload"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_break_off_go_on_where_they_broke() {
    survives([
        FaultRule::new(Fault::CutBody(1_000_000)).bucket(SOURCE).on("GetObject").key("large").skip(1).times(3),
        FaultRule::new(Fault::CutBody(3)).bucket(SOURCE).on("GetObject").key("key 3").times(2),
        FaultRule::new(Fault::DropConnection).bucket(TARGET).on("UploadPart").times(2),
        FaultRule::new(Fault::DropConnection).bucket(SOURCE).on("GetObject").key("key 4").times(2),
    ])
    .await;
}

#[tokio::test]
async fn a_flipped_bit_on_the_way_is_caught_by_the_sources_etag() {
    survives([
        FaultRule::new(Fault::FlipBit(4)).bucket(SOURCE).on("GetObject").key("key 3").times(1),
        FaultRule::new(Fault::FlipBit(0)).bucket(SOURCE).on("GetObject").key("key 7").times(2),
    ])
    .await;
}

#[tokio::test]
async fn answers_that_are_lost_do_not_lose_or_double_anything() {
    survives([
        FaultRule::new(Fault::LoseAnswer).bucket(TARGET).on("PutObject").times(3),
        FaultRule::new(Fault::LoseAnswer).bucket(TARGET).on("CompleteMultipartUpload").times(1),
    ])
    .await;
}

#[tokio::test]
async fn a_completion_that_says_200_and_means_an_error_is_repeated() {
    let rule = FaultRule::new(Fault::ErrorWithStatus200("InternalError".into()));
    survives([rule.bucket(TARGET).on("CompleteMultipartUpload").times(2)]).await;
}

#[tokio::test]
async fn answers_that_say_200_and_mean_an_error_are_repeated_wherever_they_come() {
    let rule = |code: &str| FaultRule::new(Fault::ErrorWithStatus200(code.into()));
    survives([
        rule("SlowDown").bucket(SOURCE).on("ListObjectsV2").times(2),
        rule("InternalError").bucket(TARGET).on("ListObjectsV2").times(2),
        rule("InternalError").bucket(SOURCE).on("GetObject").key("key 2").times(3),
        rule("InternalError").bucket(SOURCE).on("HeadObject").key("large").times(2),
        rule("InternalError").bucket(SOURCE).on("GetObject").key("large").skip(1).times(3),
        rule("InternalError").bucket(TARGET).on("PutObject").key("key 3").times(3),
        rule("InternalError").bucket(TARGET).on("CreateMultipartUpload").times(2),
        rule("InternalError").bucket(TARGET).on("UploadPart").skip(3).times(3),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_that_stays_an_error_is_told_as_what_it_says() {
    let estate = Estate::new().await;
    estate.put("key", "content");
    let rule = FaultRule::new(Fault::ErrorWithStatus200("InternalError".into()));
    estate.server.inject(rule.bucket(TARGET).on("PutObject").key("key"));
    let outcome = estate.migrate(4).await;
    assert_totals(&outcome, [1, 0, 0, 1]);
    assert!(outcome.stderr.contains("InternalError: A scripted fault"), "{outcome}");
    assert!(!outcome.stderr.contains("changed since it was listed"), "the source did not move: {outcome}");
    estate.server.clear_faults();
    estate.server.inject(FaultRule::new(Fault::ErrorWithStatus200("InternalError".into())).on("ListObjectsV2"));
    let outcome = estate.migrate(5).await;
    assert!(outcome.stderr.contains("InternalError: A scripted fault"), "{outcome}");
}

#[tokio::test]
async fn a_store_that_echoes_checksums_is_not_believed() {
    // GIVEN a target that returns and keeps what checksum it is sent, whatever the bytes are
    let estate = survives([FaultRule::new(Fault::EchoChecksums).bucket(TARGET)]).await;
    // THEN every object was read back, but for the large one, whose checksum the store computed without being told
    assert_eq!(estate.server.count(TARGET, "GetObject"), 10);
    // AND an object that was changed there is not taken for equal by what the store says
    estate.server.inject(FaultRule::new(Fault::EchoChecksums).bucket(TARGET));
    estate.server.corrupt_byte(TARGET, "key 4", 2);
    assert_totals(&estate.migrate(4).await, [11, 0, 10, 1]);
}

#[tokio::test]
async fn a_completed_object_whose_etag_turns_out_another_one_is_read_back_as_it_is() {
    // As `rclone serve s3` does it: no checksums, and an ETag in the answer to the completion that nobody sees again.
    let rule = FaultRule::new(Fault::OtherEtag).bucket(TARGET).on("CompleteMultipartUpload");
    let estate = survives([rule, FaultRule::new(Fault::IgnoreChecksums).bucket(TARGET)]).await;
    assert_totals(&estate.migrate(0).await, [11, 0, 11, 0]);
}

#[tokio::test]
async fn many_objects_that_cannot_be_read_do_not_end_the_run() {
    // GIVEN more archived objects than a run has patience for failures, before and between the others
    let estate = Estate::new().await;
    for index in 0..100 {
        estate.server.put(
            SOURCE,
            &format!("a-{index:03}"),
            NewObject::new("x").header("x-amz-storage-class", "GLACIER"),
        );
        estate.put(&format!("b-{index:03}"), "x");
    }
    // WHEN it runs
    let outcome = estate.migrate(4).await;
    // THEN the others are there, and the archived ones are named
    assert_totals(&outcome, [200, 100, 0, 100]);
    assert_eq!(outcome.stderr.matches("InvalidObjectState").count(), 100, "{outcome}");
    // AND likewise when rights are missing for a whole folder
    let denied = FaultRule::fail(403, "AccessDenied").bucket(SOURCE).on("GetObject").skip(20).times(80);
    let estate = Estate::new().await;
    estate.server.inject(denied);
    for index in 0..200 {
        estate.put(&format!("{index:03}"), "x");
    }
    assert_totals(&run(&estate.program().env("JOBS", "1"), 4).await, [200, 120, 0, 80]);
    // BUT where everything is denied, that is said soon
    let estate = Estate::new().await;
    estate.server.inject(FaultRule::fail(403, "AccessDenied").bucket(SOURCE).on("GetObject").skip(1));
    for index in 0..500 {
        estate.put(&format!("{index:03}"), "x");
    }
    let outcome = estate.migrate(1).await;
    assert!(outcome.stderr.contains("in a row failed"), "{outcome}");
    assert!(estate.server.count(SOURCE, "GetObject") < 200);
}

#[tokio::test]
async fn what_changes_while_it_is_compared_is_compared_as_it_is_now() {
    // GIVEN objects that are there already, two of which are overwritten between the listing and the reading
    let estate = Estate::new().await;
    for key in ["first", "moves", "moves longer"] {
        estate.put(key, "as it was listed");
    }
    estate.migrate(0).await;
    let delay = Fault::Delay(std::time::Duration::from_secs(3));
    estate.server.inject(FaultRule::new(delay).bucket(SOURCE).on("GetObject").skip(1).times(1));
    estate.server.reset_counts();
    let running = estate.program().env("OVERWRITE", "true").env("JOBS", "1").spawn().await;
    eventually("the first one is read", async || estate.server.count(SOURCE, "GetObject") >= 2).await;
    estate.put("moves", "As it was Listed");
    estate.put("moves longer", "as it is now, longer");
    // WHEN, THEN both arrive as they are
    let outcome = running.wait().await;
    outcome.assert_code(0);
    assert_totals(&outcome, [3, 2, 1, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn wrong_ranges_are_not_believed() {
    let rule = FaultRule::new(Fault::ContentRange("bytes 0-8388607/12345678".into()));
    survives([rule.bucket(SOURCE).on("GetObject").key("large").skip(1).times(2)]).await;
}

#[tokio::test]
async fn a_listing_that_repeats_a_page_is_asked_again() {
    let estate = Estate::new().await;
    for index in 0..2_500 {
        estate.put(&format!("key {index:04}"), "x");
    }
    // Preflight lists one page, and once for the encoding.
    estate.server.inject(FaultRule::new(Fault::RepeatPage).bucket(SOURCE).on("ListObjectsV2").skip(3).times(1));
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [2_500, 2_500, 0, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn a_store_without_checksums_is_read_back() {
    let estate = survives([FaultRule::new(Fault::IgnoreChecksums).bucket(TARGET)]).await;
    assert_eq!(estate.server.count(TARGET, "GetObject"), 11, "every object is read back");
}

#[tokio::test]
async fn a_store_without_tags_is_no_obstacle() {
    survives([FaultRule::new(Fault::NoTagging).bucket(SOURCE), FaultRule::new(Fault::NoTagging).bucket(TARGET)]).await;
}

#[tokio::test]
async fn one_object_that_cannot_be_read_is_named_and_the_rest_goes_on() {
    let estate = Estate::new().await;
    for index in 0..10 {
        estate.put(&format!("key {index}"), format!("content {index}"));
    }
    estate.server.inject(FaultRule::fail(403, "InvalidObjectState").bucket(SOURCE).on("GetObject").key("key 5"));
    let outcome = estate.migrate(4).await;
    assert_totals(&outcome, [10, 9, 0, 1]);
    assert!(outcome.stderr.contains("key 5"), "{outcome}");
    estate.server.clear_faults();
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [10, 1, 9, 0]);
}

#[tokio::test]
async fn an_object_overwritten_during_the_run_is_copied_as_it_is_now() {
    // GIVEN an object that is overwritten while the first one is being read
    let estate = Estate::new().await;
    estate.put("first", "x");
    estate.put("moves", "as it was listed");
    let delay = Fault::Delay(std::time::Duration::from_secs(3));
    estate.server.inject(FaultRule::new(delay).bucket(SOURCE).on("GetObject").skip(1).times(2));
    let running = estate.program().env("JOBS", "1").spawn().await;
    eventually("the first one is read", async || estate.server.count(SOURCE, "GetObject") >= 2).await;
    estate.put("moves", "as it is now, longer");
    // WHEN, THEN it arrives whole, as it is now
    running.wait().await.assert_code(0);
    assert_eq!(estate.server.get(TARGET, "moves").unwrap().body, "as it is now, longer");
}

#[tokio::test]
async fn a_source_that_goes_away_cuts_the_run_short() {
    let estate = Estate::new().await;
    for index in 0..200 {
        estate.put(&format!("key {index:03}"), "x");
    }
    estate.server.inject(FaultRule::fail(503, "SlowDown").bucket(SOURCE).on("GetObject").skip(20));
    let outcome = estate.migrate(5).await;
    assert!(outcome.stderr.contains("in a row failed"), "{outcome}");
    estate.server.clear_faults();
    estate.migrate(0).await;
    estate.assert_same();
}

#[tokio::test]
async fn a_store_that_lists_in_another_order_is_refused() {
    let estate = Estate::new().await;
    for index in 0..20 {
        estate.put(&format!("key {index:04}"), "x");
    }
    estate.server.inject(FaultRule::new(Fault::ReversePage).bucket(SOURCE).on("ListObjectsV2"));
    let outcome = run(&estate.program(), 3).await;
    assert!(outcome.stderr.contains("not in byte order"), "{outcome}");
}

#[tokio::test]
async fn bursts_of_slow_down_are_waited_out() {
    let slow = |bucket, operation| FaultRule::fail(503, "SlowDown").bucket(bucket).on(operation).times(6);
    survives([slow(SOURCE, "GetObject"), slow(TARGET, "PutObject"), slow(TARGET, "UploadPart")]).await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_large_object_is_read_again() {
    // GIVEN a bit that flips in one range of a large object whose checksum the source keeps
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "large", NewObject::generated(LARGE_BYTES, 1));
    // The first GET is preflight's.
    estate.server.inject(FaultRule::new(Fault::FlipBit(77)).bucket(SOURCE).on("GetObject").skip(2).times(1));
    // WHEN it is migrated
    let outcome = estate.migrate(0).await;
    // THEN what arrives is what the source has
    assert_totals(&outcome, [1, 1, 0, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn a_large_object_that_cannot_be_read_well_is_never_stored() {
    // GIVEN a bit that flips whenever a range of a large object is read
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "large", NewObject::generated(LARGE_BYTES, 1));
    estate.server.inject(FaultRule::new(Fault::FlipBit(77)).bucket(SOURCE).on("GetObject"));
    // WHEN, THEN it is named, and nothing is to be seen on the target
    let outcome = estate.migrate(4).await;
    assert_totals(&outcome, [1, 0, 0, 1]);
    assert!(outcome.stderr.contains("large"), "{outcome}");
    assert!(estate.server.keys(TARGET).is_empty());
    assert_eq!(estate.server.uploads(TARGET), []);
    // AND the same command brings it over when it can be
    estate.server.clear_faults();
    assert_totals(&estate.migrate(0).await, [1, 1, 0, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn a_listing_that_does_not_say_where_it_goes_on_loses_nothing() {
    let estate = Estate::new().await;
    for index in 0..2_500 {
        estate.put(&format!("key {index:04}"), "x");
    }
    estate.server.inject(FaultRule::new(Fault::NoToken).bucket(SOURCE).on("ListObjectsV2").skip(2));
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [2_500, 2_500, 0, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn a_limit_on_requests_is_kept() {
    let estate = Estate::new().await;
    for index in 0..60 {
        estate.put(&format!("key {index}"), "x");
    }
    let outcome = run(&estate.program().args(["--requests-per-second", "20", "--bandwidth-limit", "1"]), 0).await;
    assert!(outcome.elapsed.as_secs_f64() > 2.5, "sixty requests to each side took {:?}", outcome.elapsed);
    estate.assert_same();
}

#[tokio::test]
async fn stores_that_know_the_first_version_of_listings_only_are_listed() {
    let estate = Estate::new().await;
    for index in 0..2_500 {
        estate.put(&format!("key {index:04}"), "x");
    }
    estate.server.inject(FaultRule::fail(501, "NotImplemented").on("ListObjectsV2"));
    let outcome = estate.migrate(0).await;
    assert_totals(&outcome, [2_500, 2_500, 0, 0]);
    estate.assert_same();
    assert_totals(&estate.migrate(0).await, [2_500, 0, 2_500, 0]);
}

#[tokio::test]
async fn a_listing_that_goes_back_once_and_a_body_that_stalls_are_asked_for_again() {
    survives([
        FaultRule::new(Fault::ReversePage).bucket(SOURCE).on("ListObjectsV2").skip(2).times(1),
        FaultRule::new(Fault::ReversePage).bucket(TARGET).on("ListObjectsV2").skip(2).times(1),
        FaultRule::new(Fault::StallBody(4)).bucket(SOURCE).on("GetObject").key("key 5").times(1),
        FaultRule::new(Fault::Hang).bucket(TARGET).on("PutObject").key("key 6").times(1),
    ])
    .await;
}

#[tokio::test]
async fn damage_that_repeats_itself_is_not_taken_for_another_kind_of_etag() {
    // GIVEN a store that knows its objects by their MD5 alone, and a bit of one that flips in the same way each time
    let estate = Estate::new().await;
    for index in 0..5 {
        estate.server.put(SOURCE, &format!("key {index}"), NewObject::new(vec![index; 40_000]).without_checksum());
    }
    estate.server.inject(FaultRule::new(Fault::FlipBit(77)).bucket(SOURCE).on("GetObject").key("key 0"));
    // WHEN it is migrated with one worker, so that the damaged object is the first
    let outcome = estate.program().env("JOBS", "1").run().await;
    // THEN it is named, and is not on the target
    outcome.assert_code(4);
    assert_totals(&outcome, [5, 4, 0, 1]);
    assert!(outcome.stderr.contains("key 0"), "{outcome}");
    assert_eq!(estate.server.keys(TARGET).len(), 4);
    // AND the same command brings it over when it can be read
    estate.server.clear_faults();
    assert_totals(&estate.migrate(0).await, [5, 1, 4, 0]);
    estate.assert_same();
}

#[tokio::test]
async fn where_nothing_tells_what_the_etag_means_equality_is_not_claimed() {
    // GIVEN the same damage to the only object there is
    let estate = Estate::new().await;
    estate.server.put(SOURCE, "alone", NewObject::new(vec![1; 40_000]).without_checksum());
    estate.server.inject(FaultRule::new(Fault::FlipBit(77)).bucket(SOURCE).on("GetObject").key("alone"));
    // WHEN, THEN the run ends without a proof, and says why
    let outcome = estate.program().env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(6);
    assert!(outcome.stdout.contains("ETag"), "{outcome}");
}
