//! A target that is not empty is left alone, and emptied only by name.

use tests::eventually::eventually;

use super::pair::Pair;

const SOURCE: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1), (2)";
const TARGET: &str = "CREATE SCHEMA old; CREATE TABLE old.precious (id integer); INSERT INTO old.precious VALUES (7);
                      CREATE TYPE leftover AS ENUM ('x')";

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused_and_kept() {
    // GIVEN a target with something in it
    let pair = Pair::filled(13, 17, SOURCE).await;
    pair.target.execute(TARGET).await;

    // WHEN a migration, or its dry run, is started
    for mode in ["--verbose", "--dry-run"] {
        let outcome = pair.program().arg(mode).run().await;

        // THEN it is refused, what is in the way is named, and so is the flag
        outcome.assert_code(3);
        assert!(outcome.stderr.contains("old.precious"), "{outcome}");
        assert!(outcome.stderr.contains(&format!("--clean --confirm {}", pair.target.name)), "{outcome}");
    }
    assert_eq!(pair.target.text("SELECT id FROM old.precious").await.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_target_is_emptied_only_when_its_name_is_repeated() {
    // GIVEN a target with something in it
    let pair = Pair::filled(13, 17, SOURCE).await;
    pair.target.execute(TARGET).await;

    // WHEN it is to be emptied without its name, or under another
    let nameless = pair.program().arg("--clean").run().await;
    let misnamed = pair.program().args(["--clean", "--confirm", "production"]).run().await;

    // THEN that is refused and it is kept
    nameless.assert_code(2);
    misnamed.assert_code(2);
    assert!(misnamed.stderr.contains(&format!("--confirm {}", pair.target.name)), "{misnamed}");
    assert_eq!(pair.target.text("SELECT id FROM old.precious").await.as_deref(), Some("7"));

    // WHEN its name is repeated
    let named = pair.program().args(["--clean", "--confirm", &pair.target.name]).run().await;

    // THEN it holds the source and nothing else
    pair.assert_equal(&named);
    assert_eq!(pair.target.text("SELECT to_regnamespace('old')").await, None);
    assert_eq!(pair.target.text("SELECT count(*) FROM t").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn what_is_left_of_another_migration_when_a_target_was_emptied_by_hand_is_in_nobodys_way() {
    // GIVEN a finished migration, of which the comment on the database is left
    let pair = Pair::filled(13, 17, SOURCE).await;
    pair.migrate().await;
    pair.target.execute("DROP TABLE t").await;

    // WHEN another database is migrated into it, THEN it arrives
    let other = pair.source.engine.database().await;
    other.execute("CREATE TABLE other (id integer); INSERT INTO other VALUES (3)").await;
    let outcome = pair.program_between(&other.url(), &pair.target.url()).run().await;
    pair.assert_equal(&outcome);
    assert_eq!(pair.target.text("SELECT id FROM other").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn the_work_of_a_finished_run_is_not_overwritten() {
    // GIVEN a finished migration
    let pair = Pair::filled(13, 17, SOURCE).await;
    pair.migrate().await;

    // WHEN the same command is run again
    let outcome = pair.program().run().await;

    // THEN what is there is compared, and nothing is copied
    pair.assert_equal(&outcome);
    assert_eq!(outcome.summary()["totals"]["copied"], 0);
    assert_eq!(outcome.summary()["totals"]["equal"], 1);

    // WHEN the target is in use by then
    pair.target.execute("INSERT INTO t VALUES (3)").await;
    let outcome = pair.program().run().await;

    // THEN the difference is named and kept
    outcome.assert_code(4);
    assert_eq!(pair.target.text("SELECT count(*) FROM t").await.as_deref(), Some("3"));

    // WHEN somebody has said something else of the database
    pair.target.execute(&format!("COMMENT ON DATABASE {} IS 'ours'", pair.target.name)).await;
    let outcome = pair.program().run().await;

    // THEN nothing tells whose work it holds, and it is refused
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("public.t") && outcome.stderr.contains("--verify"), "{outcome}");
}

#[tokio::test]
async fn a_comment_of_somebody_else_is_kept() {
    let pair = Pair::filled(13, 17, SOURCE).await;
    pair.target.execute(&format!("COMMENT ON DATABASE {} IS 'ours'", pair.target.name)).await;
    pair.migrate().await;
    let comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    assert_eq!(pair.target.text(comment).await.as_deref(), Some("ours"));
    pair.assert_no_journal().await;
}

#[tokio::test]
async fn another_migrations_journal_is_not_taken_for_ones_own() {
    // GIVEN a target with the journal of a migration from somewhere else
    let other = Pair::filled(13, 17, SOURCE).await;
    other.pair_kept_journal().await;
    let pair = Pair { source: Pair::filled(13, 17, SOURCE).await.source, ..other };

    // WHEN this one is started
    let outcome = pair.program().run().await;

    // THEN it is refused
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("journal of another migration"), "{outcome}");
}

#[tokio::test]
async fn more_tables_than_a_transaction_can_lock_are_dropped() {
    // GIVEN a target with thousands of tables, each with an index
    let pair = Pair::filled(17, 17, SOURCE).await;
    let make = "DO $$ BEGIN FOR n IN 1..2000 LOOP
                    EXECUTE format('CREATE TABLE t%s (id integer PRIMARY KEY, a text)', n);
                    IF n % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$";
    pair.target.execute(make).await;
    // WHEN, THEN
    pair.assert_equal(&pair.program().args(["--clean", "--confirm", &pair.target.name]).run().await);
}

#[tokio::test]
async fn a_stop_while_a_lock_is_waited_for_leaves_a_report() {
    // GIVEN a target table that somebody reads in an open transaction
    let pair = Pair::filled(17, 17, SOURCE).await;
    pair.target.execute("CREATE TABLE held (id integer)").await;
    let holder = pair.target.connect().await;
    holder.batch_execute("BEGIN; SELECT * FROM held").await.unwrap();
    let running = pair.program().args(["--clean", "--confirm", &pair.target.name]).spawn().await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("a lock that is waited for", async || pair.target.text(waits).await.as_deref() == Some("1")).await;
    // WHEN the run that waits for it is told to stop
    let told = std::time::Instant::now();
    running.terminate();
    let outcome = running.wait().await;
    // THEN it does, and says so to the end
    outcome.assert_code(143);
    assert_eq!(outcome.summary()["verdict"], "stopped");
    assert!(outcome.stderr.contains("leave out --clean"), "{outcome}");
    assert!(told.elapsed() < std::time::Duration::from_secs(25), "{:?}", told.elapsed());
}

impl Pair {
    async fn pair_kept_journal(&self) {
        let outcome = self.program().arg("--keep-journal").run().await;
        self.assert_equal(&outcome);
        assert!(self.target.text("SELECT to_regnamespace('migrate_db')").await.is_some());
    }
}

#[tokio::test]
async fn an_emptied_target_has_the_schema_public_of_a_new_one() {
    for major in [13, 17] {
        // GIVEN a target with something in it
        let pair = Pair::filled(13, major, SOURCE).await;
        pair.target.execute(TARGET).await;
        let public = "SELECT concat_ws(', ', r.rolname, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(nspacl) AS a),
                             obj_description(n.oid))
                      FROM pg_namespace n JOIN pg_roles r ON r.oid = nspowner WHERE nspname = 'public'";
        let before = pair.target.text(public).await;

        // WHEN it is emptied by name
        let outcome = pair.program().args(["--clean", "--confirm", &pair.target.name]).run().await;

        // THEN who owns the schema, who may do what in it, and what is said of it, is what a new database has
        pair.assert_equal(&outcome);
        assert_eq!(pair.target.text(public).await, before, "PostgreSQL {major}");
    }
}
