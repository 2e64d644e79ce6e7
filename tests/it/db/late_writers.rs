//! Whoever writes to the source while or after it is copied is noticed.

use tests::eventually::eventually;
use tests::fault_proxy::FaultProxy;

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE logs (id bigserial PRIMARY KEY, text text);
    INSERT INTO logs (text) SELECT repeat(md5(n::text), 10) FROM generate_series(1, 100000) AS n;
    CREATE TABLE quiet (id integer PRIMARY KEY); INSERT INTO quiet VALUES (1);";

#[tokio::test]
async fn rows_that_come_after_the_snapshot_are_spoken_of() {
    // GIVEN a run in the middle of a table, and an application that is still connected
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let application = pair.source.connect().await;
    application.batch_execute("SET application_name = 'puma: worker 3'").await.unwrap();
    let proxy = FaultProxy::start(([127, 0, 0, 1], pair.source.engine.port).into()).unwrap();
    let program = pair.program_between(&pair.source.url_through(proxy.port()), &pair.target.url());
    let running = program.env("LOG_FORMAT", "text").spawn().await;
    eventually("the source sends", async || proxy.forwarded_bytes() >= 5_000_000).await;

    // WHEN it writes
    application.batch_execute("INSERT INTO logs (text) VALUES ('late'); DELETE FROM logs WHERE id < 3").await.unwrap();
    drop(application);
    let outcome = running.wait().await;

    // THEN the copy is the snapshot's, and who wrote what is said
    outcome.assert_code(0);
    assert!(outcome.stderr.contains("1 × puma: worker 3 as postgres"), "{outcome}");
    assert!(outcome.stderr.contains("table public.logs was written to on the source after the snapshot"), "{outcome}");
    assert!(outcome.stdout.contains("(1 inserted, 2 deleted)"), "{outcome}");
    assert!(!outcome.stdout.contains("public.quiet"), "{outcome}");

    // AND the repair brings it over
    pair.assert_equal(&pair.program().arg("--repair").run().await);
    pair.assert_equal(&pair.verify().await);
}
