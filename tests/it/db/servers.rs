//! Servers that crash, run full, lose sessions or cut statements short while a run is under way: it recovers, or says that
//! it can be run again, and then the same command finishes.

use std::time::Duration;

use tests::engines::{Database, PostgresEngine, SMALL_DISK_BYTES};
use tests::eventually::eventually;
use tests::program::{Outcome, Program};

use super::pair::{Pair, client};

/// Three tables of some 25 MB, with an index each: long enough to be caught in the middle.
const SCHEMA: &str = "
    CREATE TABLE one (id bigint PRIMARY KEY, a text, b text);
    INSERT INTO one SELECT n, md5(n::text), repeat(md5((n * 7)::text), 4) FROM generate_series(1, 100000) AS n;
    CREATE TABLE two AS SELECT * FROM one;
    CREATE INDEX ON two (a);
    CREATE TABLE three AS SELECT * FROM one;
    CREATE INDEX ON three (b);";

/// A pair on servers that only this test uses.
async fn pair_alone() -> Pair {
    let (source, target) = tokio::join!(PostgresEngine::alone(15), PostgresEngine::alone(17));
    let pair = Pair { source: source.database().await, target: target.database().await, client: client(17).await };
    pair.source.execute(SCHEMA).await;
    pair
}

/// Segments small enough, and readers few enough, that a run is caught between and in the middle of them.
fn program(pair: &Pair) -> Program {
    pair.program().env("SPLIT_ABOVE", "4").env("JOBS", "2")
}

/// Waits until the journal on the target has so many finished segments.
async fn finished_segments(target: &Database, enough: i64) {
    let client = target.connect().await;
    eventually("finished segments", async || {
        let counted = client.query_one("SELECT count(*) FROM migrate_db.finished", &[]).await;
        counted.is_ok_and(|row| row.get::<_, i64>(0) >= enough)
    })
    .await;
}

/// The first run succeeded, or said that it can be run again; then the second one succeeds.
async fn assert_finishes(pair: &Pair, program: &Program, first: &Outcome) {
    assert!(matches!(first.code, Some(0 | 5)), "{first}");
    if first.code == Some(5) {
        assert!(first.stderr.contains("run the same command again"), "{first}");
        pair.assert_equal(&program.run().await);
    }
    pair.assert_no_journal().await;
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn a_server_that_crashes_loses_nothing_that_is_called_proved() {
    // GIVEN servers that nobody else uses
    let first = pair_alone().await;
    for (crashing, segments) in [("target", 2), ("target", 9), ("source", 3)] {
        let pair = first.with_new_target().await;
        let program = program(&pair);
        let running = program.spawn().await;
        finished_segments(&pair.target, segments).await;

        // WHEN one of them crashes in the middle
        let engine = if crashing == "target" { &pair.target.engine } else { &pair.source.engine };
        engine.crash().await;
        let outcome = running.wait().await;

        // THEN the same command finishes
        assert_finishes(&pair, &program, &outcome).await;
    }
}

#[tokio::test]
async fn a_full_disk_on_the_target_is_named_and_with_room_made_the_same_command_finishes() {
    // GIVEN a target whose disk has no room for all of it
    let pair = pair_alone().await;
    let target = pair.target.engine.database_on_small_disk().await;
    let pair = Pair { target, ..pair };
    let filler = format!("COPY (SELECT 1) TO PROGRAM 'head -c {} /dev/zero > /small/filler'", SMALL_DISK_BYTES / 2);
    let clear = "COPY (SELECT 1) TO PROGRAM 'rm /small/filler'";
    pair.source.execute("DROP TABLE three").await;
    let server = Database { name: "postgres".into(), ..pair.target.clone() };
    server.execute(&filler).await;

    // WHEN it is migrated
    let program = program(&pair);
    let outcome = program.run().await;

    // THEN the run says what is wrong and what to do
    outcome.assert_code(5);
    assert!(outcome.stderr.contains("make room on that server"), "{outcome}");

    // AND with room made, the same command finishes
    server.execute(clear).await;
    pair.assert_equal(&program.run().await);
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn statements_that_somebody_cancels_are_tried_again() {
    // GIVEN servers whose roles and databases cut statements short, and somebody who cancels what takes long
    let pair = pair_alone().await;
    for database in [&pair.source, &pair.target] {
        let limits = format!(
            "ALTER ROLE postgres SET statement_timeout = '50ms'; ALTER ROLE postgres SET lock_timeout = '10ms';
             ALTER DATABASE {0} SET idle_in_transaction_session_timeout = '50ms'",
            database.name
        );
        database.execute(&limits).await;
    }
    let program = program(&pair);
    let running = program.spawn().await;
    finished_segments(&pair.target, 2).await;

    // WHEN the run's statements are cancelled on both sides
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                  WHERE application_name = 'migrate-db' AND state = 'active'";
    for database in [&pair.source, &pair.target] {
        database.execute(cancel).await;
    }
    let outcome = running.wait().await;

    // THEN the run recovers or can be run again
    assert_finishes(&pair, &program, &outcome).await;
}

#[tokio::test]
async fn the_session_with_the_snapshot_may_be_lost() {
    // GIVEN a run in the middle
    let pair = pair_alone().await;
    let program = program(&pair);
    let running = program.spawn().await;
    finished_segments(&pair.target, 3).await;

    // WHEN the source ends all sessions that only hold the snapshot open, and then all of the run's
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'migrate-db'";
    pair.source.execute(&format!("{end} AND state = 'idle in transaction'")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    pair.source.execute(end).await;
    let outcome = running.wait().await;

    // THEN the run ends well or can be run again, and never copies from two moments of the source
    assert_finishes(&pair, &program, &outcome).await;
}
