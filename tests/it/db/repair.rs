//! `--repair`: only what differs is copied again, whatever hangs on it, and killed at any moment it can be run again.

use tests::program::{Outcome, Program};

use super::pair::Pair;

/// Rows that hang on each other in every way that a careless repair would tear: cascades, triggers that write, rules,
/// unique values that change places, keys of several odd columns, no key at all.
const SCHEMA: &str = r#"
    CREATE TABLE parents (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, touched integer NOT NULL DEFAULT 0);
    CREATE TABLE children (id bigserial PRIMARY KEY, parent_id bigint NOT NULL REFERENCES parents ON DELETE CASCADE, note text);
    CREATE TABLE "Odd keys" ("a b" text, kind varchar(9), amount numeric(9,2), at timestamp, bits bytea, value text,
                             PRIMARY KEY (kind, "a b", amount, at, bits));
    CREATE TABLE keyless (a integer, b text);
    CREATE TABLE untouched (id integer PRIMARY KEY, text text);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1000; RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION touch();
    ALTER TABLE parents ENABLE ALWAYS TRIGGER touch;
    CREATE RULE keep AS ON DELETE TO keyless DO INSTEAD NOTHING;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum(length(note)) AS letters FROM children;
    INSERT INTO parents SELECT n, 'p' || n || '@example.org' FROM generate_series(1, 5000) AS n;
    INSERT INTO children (parent_id, note) SELECT n, 'note ' || n FROM generate_series(1, 5000) AS n;
    INSERT INTO "Odd keys" SELECT E'tab\there\\' || n, 'k', n / 7.0, '2024-01-01'::timestamp + n * interval '1.5 s',
        decode(md5(n::text), 'hex'), 'v' FROM generate_series(1, 3000) AS n;
    INSERT INTO keyless SELECT n % 5, 'same' FROM generate_series(1, 1000) AS n;
    INSERT INTO untouched SELECT n, repeat('x', 500) FROM generate_series(1, 5000) AS n;"#;

/// What happened on the source after the early copy.
const LATER: &str = r#"
    ALTER TABLE parents DISABLE TRIGGER touch;
    UPDATE parents SET email = 'moved@example.org' WHERE id = 1;
    UPDATE parents SET email = 'p1@example.org' WHERE id = 2;
    UPDATE parents SET email = 'p2@example.org' WHERE id = 1;
    DELETE FROM parents WHERE id = 4999;
    INSERT INTO parents VALUES (6000, 'p4999@example.org', 7);
    ALTER TABLE parents ENABLE ALWAYS TRIGGER touch;
    INSERT INTO children (parent_id, note) SELECT 6000, 'late ' || n FROM generate_series(1, 2500) AS n;
    UPDATE "Odd keys" SET value = 'w' WHERE amount < 10;
    DELETE FROM "Odd keys" WHERE amount > 420;
    INSERT INTO keyless VALUES (9, 'new');
    REFRESH MATERIALIZED VIEW totals;"#;

fn repair(program: &Program) -> Program {
    program.clone().arg("--repair")
}

/// What the summary counts of tables: copied again, found equal.
fn counts(outcome: &Outcome) -> [i64; 2] {
    let totals = &outcome.summary()["totals"];
    ["copied", "equal"].map(|name| totals[name].as_i64().unwrap())
}

async fn early_copy(pair: &Pair, program: &Program) {
    pair.assert_equal(&program.run().await);
    pair.source.execute(LATER).await;
    program.clone().arg("--verify").run().await.assert_code(4);
}

async fn assert_repaired(pair: &Pair, program: &Program) {
    let outcome = repair(program).run().await;
    pair.assert_equal(&outcome);
    assert_eq!(counts(&outcome), [4, 1], "{outcome}");
    pair.assert_equal(&program.clone().arg("--verify").run().await);
    // AND nothing that belongs to the tables was left switched off, or not checked
    let off = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'A'";
    assert_eq!(pair.target.text(off).await.as_deref(), Some("0"));
    let unchecked = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated";
    assert_eq!(pair.target.text(unchecked).await.as_deref(), Some("0"));
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(pair.target.text(keys).await.as_deref(), Some("1"));
    // AND a second one finds nothing to do
    let again = repair(program).run().await;
    pair.assert_equal(&again);
    assert_eq!(counts(&again), [0, 5], "{again}");
}

#[tokio::test]
async fn only_what_differs_is_copied_again() {
    // GIVEN a target that was filled before the source changed
    let pair = Pair::filled(13, 17, SCHEMA).await;
    early_copy(&pair, &pair.program()).await;

    // WHEN it is repaired, THEN it is the source's
    assert_repaired(&pair, &pair.program()).await;
}

#[tokio::test]
async fn a_role_that_may_not_leave_keys_unchecked_repairs_too() {
    // GIVEN a target that belongs to an ordinary role
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let role = format!("ordinary_{}", pair.target.name);
    let owner = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; ALTER DATABASE {} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role}",
        pair.target.name
    );
    pair.target.execute(&owner).await;
    let program = pair.program_between(&pair.source.url(), &pair.target.url_as(&role, "hunter2"));
    early_copy(&pair, &program).await;

    // WHEN it is repaired, THEN it is the source's
    assert_repaired(&pair, &program).await;
}

#[tokio::test]
async fn a_repair_that_is_killed_is_run_again() {
    let pair = Pair::filled(17, 17, SCHEMA).await;
    early_copy(&pair, &pair.program()).await;
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    // WHEN repairs are killed at random moments
    for _ in 0..6 {
        let mut running = repair(&pair.program()).spawn().await;
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(20..900))).await;
        running.kill();
        running.wait().await;
    }
    // THEN the last one finishes
    pair.assert_equal(&repair(&pair.program()).run().await);
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn what_a_repair_is_not_for_is_refused() {
    // GIVEN a target that somebody else filled
    let pair = Pair::filled(17, 17, "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    pair.target.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await;
    // WHEN it is to be repaired, THEN that is refused, and its rows are kept
    let outcome = repair(&pair.program()).run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains(&format!("--repair --confirm {}", pair.target.name)), "{outcome}");
    assert_eq!(pair.target.text("SELECT count(*) FROM t").await.as_deref(), Some("2"));
    // WHEN it is named for it, THEN it is the source's
    pair.assert_equal(&repair(&pair.program()).args(["--confirm", &pair.target.name]).run().await);

    // GIVEN one whose run was cut short
    let clean = pair.program().args(["--clean", "--confirm", &pair.target.name, "--keep-journal"]);
    pair.assert_equal(&clean.run().await);
    pair.target.execute("DELETE FROM migrate_db.step WHERE name <> 'pre-data'").await;
    // WHEN it is repaired, THEN that is refused with the way on
    let outcome = repair(&pair.program()).run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("without --repair"), "{outcome}");
    // AND the flag does not go with its opposites
    for other in ["--verify", "--dry-run"] {
        repair(&pair.program()).arg(other).run().await.assert_code(2);
    }
}

#[tokio::test]
async fn a_copy_made_under_a_live_writer_is_repaired_when_the_writer_has_stopped() {
    // GIVEN an application that writes all the time, sequence and all
    let pair = Pair::filled(17, 17, SCHEMA).await;
    let application = pair.source.connect().await;
    let writer = tokio::spawn(async move {
        loop {
            let written = application.batch_execute("INSERT INTO children (parent_id, note) VALUES (1, 'live')").await;
            if written.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    // WHEN an early copy is made meanwhile, THEN it is the snapshot's, and equal to it
    pair.assert_equal(&pair.program().run().await);
    // WHEN the writer has stopped, THEN the repair brings the rest, and the sequence stands where it should
    writer.abort();
    let _ = writer.await;
    pair.assert_equal(&repair(&pair.program()).run().await);
    pair.assert_equal(&pair.verify().await);
    pair.assert_no_journal().await;
}

#[tokio::test]
async fn a_finished_run_with_findings_can_be_repaired_and_run_again() {
    // GIVEN a migration that could not be proved equal for a reason of the source's own
    let pair = Pair::filled(
        17,
        17,
        "CREATE TABLE parent (id integer PRIMARY KEY);
         CREATE TABLE child (id integer PRIMARY KEY, parent_id integer REFERENCES parent, n integer DEFAULT 0);
         CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END';
         CREATE TRIGGER count_up BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION count_up();
         SET session_replication_role = replica; INSERT INTO child VALUES (1, 404, 0);",
    )
    .await;
    pair.program().run().await.assert_code(4);
    for program in [pair.program(), repair(&pair.program())] {
        // WHEN the target is damaged
        pair.target.execute("SET session_replication_role = replica; UPDATE child SET id = 77").await;
        // THEN running it again mends that, and still names what is wrong with the source
        program.run().await.assert_code(4);
        assert_eq!(pair.target.text("SELECT id || ' ' || n FROM child").await.as_deref(), Some("1 0"));
    }
}
