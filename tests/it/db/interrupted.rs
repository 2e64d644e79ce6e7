//! Killed or stopped at any moment, the same command finishes the job: nothing twice, nothing missing, nothing left.

use std::time::{Duration, Instant};

use tests::eventually::eventually;
use tests::fault_proxy::FaultProxy;

use super::many::plain;
use super::pair::Pair;
use super::rich::RICH;

/// How often a run is killed at random; each time the next one goes on. `TEST_KILL_ROUNDS` asks for more.
const ROUNDS: usize = 6;
/// An orderly stop may take this long (the contract says 30 s, within which ECS does not yet kill).
const STOP_MAX: Duration = Duration::from_secs(30);

/// Tables of different sizes with indexes and keys between them: some 60 MB.
const SCHEMA: &str = "
    CREATE TABLE big (id bigint PRIMARY KEY, a text, b text);
    INSERT INTO big SELECT n, md5(n::text), repeat(md5((n * 7)::text), 4) FROM generate_series(1, 200000) AS n;
    CREATE INDEX ON big (a);
    CREATE INDEX ON big (b);
    CREATE TABLE middle (id integer PRIMARY KEY, big_id bigint NOT NULL REFERENCES big, note text UNIQUE);
    INSERT INTO middle SELECT n, n, 'note ' || n FROM generate_series(1, 50000) AS n;
    CREATE TABLE without_key AS SELECT n % 10 AS a, 'same' AS b FROM generate_series(1, 50000) AS n;
    CREATE TABLE small (id serial PRIMARY KEY, middle_id integer REFERENCES middle);
    INSERT INTO small (middle_id) SELECT n FROM generate_series(1, 100) AS n;
    CREATE MATERIALIZED VIEW counted AS SELECT a, count(*) AS n FROM without_key GROUP BY a;
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER nothing BEFORE INSERT ON small FOR EACH ROW EXECUTE FUNCTION nothing();";

#[tokio::test]
async fn killed_at_random_moments_the_same_command_finishes() {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    // GIVEN a database, how long its migration takes, and segments small enough to be caught between two
    let first = Pair::filled(17, 17, SCHEMA).await;
    let started = Instant::now();
    first.migrate().await;
    let whole = started.elapsed();
    let rounds = std::env::var("TEST_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for _ in 0..rounds {
        let pair = first.with_new_target().await;
        let program = pair.program().env("SPLIT_ABOVE", "4");
        // WHEN it is killed, twice, at any moment; it may come to its end before
        let mut ended = None;
        for _ in 0..2 {
            let mut running = program.spawn().await;
            tokio::time::sleep(whole.mul_f64(random.f64())).await;
            running.kill();
            ended = Some(running.wait().await).filter(|outcome| outcome.code == Some(0));
            if ended.is_some() {
                break;
            }
        }
        let outcome = match ended {
            Some(outcome) => outcome,
            None => program.run().await,
        };

        // THEN the same command brings it to its end and nothing tells of what happened
        pair.assert_equal(&outcome);
        pair.assert_no_journal().await;
        pair.assert_equal(&pair.verify().await);
    }
}

#[tokio::test]
async fn killed_while_the_schema_is_restored_the_same_command_finishes() {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    // GIVEN a database with one of everything, so that most of a run is the restoring of its schema, and one of many tables, which
    // several sessions make at the same time
    let rich = Pair::scripted(13, 17, RICH).await;
    let many = Pair::filled(15, 18, &plain(400)).await;
    for (first, rounds) in [(rich, ROUNDS), (many, ROUNDS / 2)] {
        let statement = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        let relations_max = first.source.connect().await.query_one(statement, &[]).await.unwrap().get::<_, i64>(0);
        for _ in 0..rounds {
            // WHEN a run is killed as soon as the target has some number of relations
            let pair = first.with_new_target().await;
            let mut running = pair.program().spawn().await;
            let enough = random.i64(1..=relations_max);
            let client = pair.target.connect().await;
            let relation_count = async || client.query_one(statement, &[]).await.unwrap().get::<_, i64>(0);
            eventually(&format!("{enough} relations"), async || relation_count().await >= enough).await;
            running.kill();
            running.wait().await;

            // THEN the same command finishes, even while the killed one's pg_restore is still at work
            pair.assert_equal(&pair.program().run().await);
            pair.assert_no_journal().await;
        }
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_ends_in_time_and_goes_on_later() {
    for interrupt in [false, true] {
        // GIVEN a run that is in the middle of a table, since its source says no more
        let pair = Pair::filled(17, 17, SCHEMA).await;
        let proxy = FaultProxy::start(([127, 0, 0, 1], pair.source.engine.port).into()).unwrap();
        let program = pair.program_between(&pair.source.url_through(proxy.port()), &pair.target.url());
        proxy.stall_after(10_000_000);
        let running = program.spawn().await;
        eventually("the source has stalled", async || proxy.forwarded_bytes() >= 10_000_000).await;

        // WHEN it is told to stop
        let told = Instant::now();
        if interrupt {
            running.interrupt();
        } else {
            running.terminate();
        }
        let outcome = running.wait().await;

        // THEN it ends in time, says that it can go on, and does
        outcome.assert_code(if interrupt { 130 } else { 143 });
        assert!(told.elapsed() < STOP_MAX, "{:?}", told.elapsed());
        assert_eq!(outcome.summary()["verdict"], "stopped");
        assert!(outcome.stderr.contains("run the same command again"), "{outcome}");
        proxy.forward();
        let resumed = program.run().await;
        pair.assert_equal(&resumed);
        assert_eq!(resumed.summary()["run_id"], outcome.summary()["run_id"]);
    }
}

#[tokio::test]
async fn what_changed_on_the_source_meanwhile_is_copied_again() {
    // GIVEN a run that was killed once its big table was finished
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let proxy = FaultProxy::start(([127, 0, 0, 1], pair.source.engine.port).into()).unwrap();
    let program = pair.program_between(&pair.source.url_through(proxy.port()), &pair.target.url()).env("JOBS", "1");
    let mut running = program.spawn().await;
    eventually("a finished table", async || has_finished(&pair, "big").await).await;
    running.kill();
    running.wait().await;

    // WHEN that table changes on the source, and the same command is run again
    pair.source.execute("UPDATE big SET a = 'changed' WHERE id = 5; DELETE FROM small WHERE id = 100").await;
    let outcome = program.run().await;

    // THEN the change arrives
    pair.assert_equal(&outcome);
    assert_eq!(pair.target.text("SELECT a FROM big WHERE id = 5").await.as_deref(), Some("changed"));
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn what_is_copied_again_fires_no_trigger_of_its_own() {
    // GIVEN a finished run that left its journal, and a table that does not let itself be emptied
    let pair = Pair::filled(
        17,
        17,
        "CREATE TABLE ledger (id integer PRIMARY KEY, note text);
         INSERT INTO ledger SELECT n, repeat('x', 500) FROM generate_series(1, 5000) AS n;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;
         CREATE TRIGGER refuse BEFORE TRUNCATE ON ledger EXECUTE FUNCTION refuse();
         CREATE TRIGGER refuse_rows BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION refuse();
         ALTER TABLE ledger ENABLE ALWAYS TRIGGER refuse;",
    )
    .await;
    let program = pair.program().arg("--keep-journal");
    pair.assert_equal(&program.run().await);

    // WHEN the source has changed and the same command is run again
    pair.source.execute("UPDATE ledger SET note = 'changed' WHERE id = 5").await;
    let outcome = program.run().await;

    // THEN the change arrives, and the triggers are as they were
    pair.assert_equal(&outcome);
    assert_eq!(pair.target.text("SELECT note FROM ledger WHERE id = 5").await.as_deref(), Some("changed"));
    let states = "SELECT string_agg(tgenabled::text, '' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(pair.target.text(states).await.as_deref(), Some("AO"));
}

async fn has_finished(pair: &Pair, table: &str) -> bool {
    let client = pair.target.connect().await;
    let statement = "SELECT count(*) > 0 FROM migrate_db.finished WHERE table_name = $1";
    client.query_one(statement, &[&table]).await.is_ok_and(|row| row.get(0))
}
