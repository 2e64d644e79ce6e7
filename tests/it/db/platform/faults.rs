//! What goes wrong on a platform: passed over where it passes, told with the next step where it does not.

use std::time::Duration;

use tests::cloud_foundry::Fault;
use tests::eventually::eventually;

use super::{Inside, SCHEMA};

const SMALL: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)";

#[tokio::test]
async fn tokens_that_end_again_and_again_are_renewed() {
    // GIVEN tokens that are good for two seconds, and a staging that takes longer
    let inside = Inside::with(SCHEMA, "postgres", |config, _| {
        config.token_life = Duration::from_secs(2);
        config.staging = Duration::from_secs(3);
    })
    .await;

    // WHEN a database is migrated THEN nobody notices
    inside.assert_equal(&inside.program().run().await);
    assert!(inside.foundation.request_count("POST /oauth/token") > 2);
}

#[tokio::test]
async fn a_token_that_is_refused_before_its_time_is_replaced() {
    // GIVEN a run that waits for its application
    let inside = Inside::with(SMALL, "postgres", |config, _| config.staging = Duration::from_secs(2)).await;
    let running = inside.program().spawn().await;
    eventually("it stages", async || inside.foundation.request_count("GET /v3/builds") > 0).await;

    // WHEN its access token is revoked THEN it takes another
    inside.foundation.expire_tokens(false);
    inside.assert_equal(&running.wait().await);
}

#[tokio::test]
async fn a_code_that_is_used_up_already_is_replaced() {
    let inside = Inside::new(SMALL).await;
    inside.foundation.spoil_codes(1);
    inside.assert_equal(&inside.program().run().await);
}

#[tokio::test]
async fn a_proxy_that_is_restarted_does_not_end_the_run() {
    // GIVEN a run that copies
    let inside = Inside::new(SCHEMA).await;
    inside.foundation.ssh.stall_after(4_000_000);
    let running = inside.program().env("SPLIT_ABOVE", "4").spawn().await;
    eventually("it copies", async || inside.foundation.ssh.forwarded_bytes() >= 4_000_000).await;

    // WHEN the proxy is restarted: every SSH session ends, and with one of them the source's snapshot
    inside.foundation.ssh.cut();
    inside.foundation.ssh.forward();
    let outcome = running.wait().await;

    // THEN the same run opens new ones, goes on from its journal, and finishes
    inside.assert_equal(&outcome);
    assert!(outcome.stderr.contains("going on from the journal"), "{outcome}");
    inside.pair.assert_no_journal().await;
}

#[tokio::test]
async fn a_proxy_that_stays_away_ends_the_run_so_that_it_can_go_on() {
    // GIVEN a run that copies
    let inside = Inside::new(SCHEMA).await;
    inside.foundation.ssh.stall_after(3_000_000);
    let running = inside.program().spawn().await;
    eventually("it copies", async || inside.foundation.ssh.forwarded_bytes() >= 3_000_000).await;

    // WHEN the proxy goes away
    inside.foundation.ssh.refuse();
    inside.foundation.ssh.cut();
    let outcome = running.wait().await;

    // THEN the run ends with the code for "again", leaves nothing, and the next one finishes
    outcome.assert_code(5);
    inside.assert_clean(&outcome);
    inside.foundation.ssh.forward();
    inside.assert_equal(&inside.program().run().await);
}

/// A run that is refused with all of `words`, and leaves nothing.
async fn refused(inside: &Inside, code: i32, words: &[&str]) {
    let outcome = inside.program().run().await;
    outcome.assert_code(code);
    for word in words {
        assert!(outcome.stderr.contains(word), "{word} is not in {outcome}");
    }
    inside.assert_clean(&outcome);
}

#[tokio::test]
async fn what_fails_on_the_platform_is_told_in_its_words() {
    for (fault, words) in [
        (Fault::StagingFails, &["BuildpackCompileFailed", "--via-app"][..]),
        (Fault::InstanceCrashes, &["insufficient resources: memory", "--via-app"]),
        (Fault::LogInRefused, &["Your account has been locked", "CF_USERNAME and CF_PASSWORD"]),
    ] {
        let inside = Inside::new(SMALL).await;
        inside.foundation.begin(fault);
        refused(&inside, 3, words).await;
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_named() {
    let inside = Inside::with(SMALL, "postgres", |config, _| config.memory_quota_mb = 200).await;
    refused(&inside, 3, &["quota_exceeded", "cf space NAME", "--via-app"]).await;
}

#[tokio::test]
async fn a_proxy_with_another_key_is_told_nothing() {
    let inside = Inside::new(SMALL).await;
    inside.foundation.begin(Fault::WrongFingerprint);
    refused(&inside, 3, &["w4Ph9NNQvqHGRGE5c0ePVAHA5w8EgHvqwm1tWWOKNuY", "nothing was sent to it"]).await;
    assert_eq!(inside.foundation.ssh_session_count(), 0);
}

#[tokio::test]
async fn where_keys_are_denied_the_helper_is_bound() {
    let inside = Inside::new(SMALL).await;
    inside.foundation.begin(Fault::KeysDenied);
    let outcome = inside.program().run().await;
    inside.assert_equal(&outcome);
    assert!(outcome.stderr.contains("binding the helper application instead"), "{outcome}");
}

#[tokio::test]
async fn a_platform_that_does_not_answer_can_be_tried_again() {
    let inside = Inside::new(SMALL).await;
    inside.foundation.begin(Fault::ApiUnavailable);
    refused(&inside, 5, &["CF-ServiceUnavailable", "run the same command again"]).await;
}
