//! Whoever writes to the source while or after it is copied is noticed.

use tests::eventually::eventually;
use tests::fault_proxy::FaultProxy;
use tests::program::Running;

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE logs (id bigserial PRIMARY KEY, text text);
    INSERT INTO logs (text) SELECT repeat(md5(n::text), 10) FROM generate_series(1, 100000) AS n;
    CREATE TABLE quiet (id integer PRIMARY KEY); INSERT INTO quiet VALUES (1);";

/// A run that waits in the middle of the largest table until the proxy forwards again.
async fn in_the_middle(pair: &Pair) -> (FaultProxy, Running) {
    let proxy = FaultProxy::start(([127, 0, 0, 1], pair.source.engine.port).into()).unwrap();
    proxy.stall_after(5_000_000);
    let program = pair.program_between(&pair.source.url_through(proxy.port()), &pair.target.url());
    let running = program.env("LOG_FORMAT", "text").spawn().await;
    eventually("the source sends", async || proxy.forwarded_bytes() >= 5_000_000).await;
    (proxy, running)
}

#[tokio::test]
async fn rows_that_come_after_the_snapshot_are_spoken_of() {
    // GIVEN a run in the middle of a table, and an application that is still connected
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let application = pair.source.connect().await;
    application.batch_execute("SET application_name = 'puma: worker 3'").await.unwrap();
    let (proxy, running) = in_the_middle(&pair).await;

    // WHEN it writes
    application.batch_execute("INSERT INTO logs (text) VALUES ('late'); DELETE FROM logs WHERE id < 3").await.unwrap();
    drop(application);
    proxy.forward();
    let outcome = running.wait().await;

    // THEN the copy is the snapshot's, and who wrote what is said
    outcome.assert_code(0);
    assert!(outcome.stderr.contains("1 × puma: worker 3 as postgres"), "{outcome}");
    let said =
        "table public.logs has changed on the source since the snapshot: it had 100,000 rows, and now has 99,999";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(!outcome.stdout.contains("public.quiet"), "{outcome}");

    // AND the repair brings it over
    pair.assert_equal(&pair.program().arg("--repair").run().await);
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn a_table_whose_content_is_as_copied_is_not_spoken_of() {
    // GIVEN a run in the middle of a table
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let application = pair.source.connect().await;
    let (proxy, running) = in_the_middle(&pair).await;

    // WHEN a row comes and goes again, which the counters tell and the content does not
    application.batch_execute("INSERT INTO quiet VALUES (2); DELETE FROM quiet WHERE id = 2").await.unwrap();
    application.batch_execute("UPDATE quiet SET id = 1").await.unwrap();
    drop(application);
    proxy.forward();
    let outcome = running.wait().await;

    // THEN nothing is said of it
    outcome.assert_code(0);
    assert!(!outcome.stderr.contains("public.quiet"), "{outcome}");
    assert!(!outcome.stderr.contains("since the snapshot"), "{outcome}");
}

#[tokio::test]
async fn a_table_that_could_not_be_copied_is_not_spoken_of_again() {
    // GIVEN a run in the middle of a table, and another table, with a default that the next major no longer has
    let lost =
        "CREATE TABLE lost (id integer, at_work boolean DEFAULT pg_is_in_backup()); INSERT INTO lost VALUES (1);";
    let pair = Pair::filled(13, 15, &(SCHEMA.to_owned() + lost)).await;
    let (proxy, running) = in_the_middle(&pair).await;

    // WHEN somebody writes to it, and the server has counted that
    pair.source.execute("INSERT INTO lost SELECT generate_series(2, 100)").await;
    let counted = "SELECT (pg_stat_get_tuples_inserted('lost'::regclass) >= 100)::text";
    eventually("the server counts", async || pair.source.text(counted).await.as_deref() == Some("true")).await;
    proxy.forward();
    let outcome = running.wait().await;

    // THEN it is missing, and not late as well
    outcome.assert_code(4);
    assert!(outcome.stderr.contains("pg_is_in_backup() does not exist"), "{outcome}");
    assert!(!outcome.stderr.contains("since just before the snapshot"), "{outcome}");
}

#[tokio::test]
async fn a_table_that_is_made_meanwhile_is_spoken_of() {
    // GIVEN a run in the middle of a table
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let (proxy, running) = in_the_middle(&pair).await;

    // WHEN another is made
    pair.source.execute("CREATE TABLE late (id integer)").await;
    proxy.forward();
    let outcome = running.wait().await;

    // THEN it is said, and nothing of the others
    outcome.assert_code(0);
    assert!(outcome.stderr.contains("table public.late was made on the source since the snapshot"), "{outcome}");
    assert!(!outcome.stderr.contains("public.quiet"), "{outcome}");
}

#[tokio::test]
async fn how_far_the_sources_log_went_is_in_the_report() {
    for (source, target) in [(13, 15), (18, 18)] {
        // GIVEN a source to which nobody writes
        let pair = Pair::filled(source, target, "CREATE TABLE quiet (id integer); INSERT INTO quiet VALUES (1)").await;
        let counted = "SELECT (pg_stat_get_tuples_inserted('quiet'::regclass) >= 1)::text";
        eventually("the server counts", async || pair.source.text(counted).await.as_deref() == Some("true")).await;

        // WHEN it is migrated, and looked at again
        pair.migrate().await;
        let place = tempfile::tempdir().unwrap();
        let program = pair.program().arg("--verify").env("REPORT", place.path().display().to_string());
        pair.assert_equal(&program.run().await);

        // THEN the report says how far the log is, whether or not somebody wrote to another database of that server
        let report = std::fs::read_to_string(place.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let checks = report["preflight"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == "the source since the snapshot").expect("the check");
        let detail = check["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("WAL is at ") || detail.contains("WAL of the whole server went from "), "{detail}");
    }
}
