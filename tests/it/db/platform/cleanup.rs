//! Nothing stays on the platform: not after an error, a signal, a kill, a lost token; and what must stay is named.

use std::time::{Duration, Instant};

use tests::cloud_foundry::Fault;
use tests::eventually::eventually;

use super::{Inside, SCHEMA};

const SMALL: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)";

/// Everything that was made for a run, by the beginning of its name.
fn made(things: &[String]) -> Vec<&str> {
    things.iter().map(|thing| thing.rsplitn(3, '-').nth(2).unwrap_or(thing)).collect()
}

#[tokio::test]
async fn killed_in_the_middle_the_same_command_finishes_and_leaves_nothing() {
    for while_copying in [false, true] {
        // GIVEN a run that is staging its helper application, or copying through it
        let inside = Inside::new(SCHEMA).await;
        inside.foundation.ssh.stall_after(3_000_000);
        let mut running = inside.program().spawn().await;
        eventually("it is at work", async || {
            if while_copying {
                inside.foundation.ssh.forwarded_bytes() >= 3_000_000
            } else {
                inside.foundation.request_count("POST /v3/builds") > 0
            }
        })
        .await;

        // WHEN it is killed
        running.kill();
        running.wait().await;
        inside.foundation.ssh.stall_after(u64::MAX);
        inside.foundation.ssh.forward();
        let left = inside.foundation.things();
        assert_eq!(made(&left)[0], "app migrate-db-helper", "{left:?}");

        // THEN the same command removes what it left, finishes, and leaves nothing of its own
        let outcome = inside.program().run().await;
        inside.assert_equal(&outcome);
        assert!(outcome.stderr.contains("removing what an earlier run left"), "{outcome}");
        inside.pair.assert_no_journal().await;
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_cleans_up_in_time() {
    // GIVEN a run whose way has just stalled
    let inside = Inside::new(SCHEMA).await;
    inside.foundation.ssh.stall_after(3_000_000);
    let running = inside.program().spawn().await;
    eventually("it copies", async || inside.foundation.ssh.forwarded_bytes() >= 3_000_000).await;

    // WHEN the orchestrator stops it
    let told = Instant::now();
    running.terminate();
    let outcome = running.wait().await;

    // THEN it is gone within the orchestrator's patience, and so is what it made; the next run goes on
    outcome.assert_code(143);
    assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
    inside.assert_clean(&outcome);
    inside.foundation.ssh.forward();
    inside.assert_equal(&inside.program().run().await);
}

#[tokio::test]
async fn a_run_that_is_stopped_while_its_application_is_staged_leaves_nothing() {
    // GIVEN a staging that does not end
    let inside = Inside::with(SMALL, "postgres", |config, _| config.staging = Duration::from_hours(1)).await;
    let running = inside.program().spawn().await;
    eventually("it stages", async || inside.foundation.request_count("GET /v3/builds") > 0).await;

    // WHEN the run is stopped
    let told = Instant::now();
    running.interrupt();
    let outcome = running.wait().await;

    // THEN it stops at once, and application and key are gone
    outcome.assert_code(130);
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    inside.assert_clean(&outcome);
}

#[tokio::test]
async fn a_lost_token_does_not_keep_a_run_from_cleaning_up() {
    // GIVEN a run that copies
    let inside = Inside::new(SCHEMA).await;
    inside.foundation.ssh.stall_after(3_000_000);
    let running = inside.program().spawn().await;
    eventually("it copies", async || inside.foundation.ssh.forwarded_bytes() >= 3_000_000).await;

    // WHEN all its tokens are lost
    inside.foundation.expire_tokens(true);
    inside.foundation.ssh.forward();

    // THEN it logs in again, and leaves nothing
    inside.assert_equal(&running.wait().await);
}

#[tokio::test]
async fn what_cannot_be_removed_is_named_with_its_command() {
    // GIVEN a run that logged in with a code that is good once, and copies
    let inside = Inside::new(SCHEMA).await;
    let program = inside.program_of_nobody().env("CF_PASSCODE", inside.foundation.passcode());
    inside.foundation.ssh.stall_after(3_000_000);
    let running = program.spawn().await;
    eventually("it copies", async || inside.foundation.ssh.forwarded_bytes() >= 3_000_000).await;

    // WHEN all its tokens are lost
    inside.foundation.expire_tokens(true);
    inside.foundation.ssh.forward();
    let outcome = running.wait().await;

    // THEN everything arrives, and what it could not remove is named with the commands that remove it
    inside.pair.assert_equal(&outcome);
    let left = inside.foundation.things();
    assert_eq!(made(&left), ["app migrate-db-helper", "key migrate-db-key"]);
    let name = |thing: &str| thing.split_once(' ').unwrap().1.to_owned();
    assert!(outcome.stderr.contains(&format!("cf delete -f {}", name(&left[0]))), "{outcome}");
    let command = format!("cf delete-service-key -f {} {}", super::SERVICE, name(&left[1]));
    assert!(outcome.stderr.contains(&command), "{outcome}");
}

#[tokio::test]
async fn a_deletion_that_is_refused_is_named_and_made_up_for_by_the_next_run() {
    // GIVEN a platform that deletes neither applications nor keys
    let inside = Inside::new(SMALL).await;
    inside.foundation.begin(Fault::AppDeletionFails);
    inside.foundation.begin(Fault::KeyDeletionRefused);

    // WHEN a database is migrated
    let outcome = inside.program().run().await;

    // THEN the verdict is about the database, and what is left is named
    inside.pair.assert_equal(&outcome);
    assert_eq!(made(&inside.foundation.things()), ["app migrate-db-helper", "key migrate-db-key"]);
    assert!(outcome.stderr.contains("cf delete -f migrate-db-helper-"), "{outcome}");
    assert!(outcome.stderr.contains("cf delete-service-key -f "), "{outcome}");
    assert!(outcome.stderr.contains("the role still owns objects"), "{outcome}");

    // AND once the platform does, the next run removes it
    inside.foundation.end(Fault::AppDeletionFails);
    inside.foundation.end(Fault::KeyDeletionRefused);
    inside.assert_equal(&inside.program().run().await);
}

#[tokio::test]
async fn what_another_migration_made_is_let_be() {
    // GIVEN the helper of a migration to another target, which may be at work
    let inside = Inside::new(SMALL).await;
    inside.foundation.add_app("migrate-db-helper-0123abcd-4567cdef", None);

    // WHEN ours runs
    let outcome = inside.program().run().await;

    // THEN it is still there, and was spoken of
    inside.pair.assert_equal(&outcome);
    assert_eq!(inside.foundation.things(), ["app migrate-db-helper-0123abcd-4567cdef"]);
    assert!(outcome.stderr.contains("migrate-db-helper-0123abcd-4567cdef"), "{outcome}");
}
