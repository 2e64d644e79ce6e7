//! What a reader of other applications' databases found: prints that any restore changes, names that no dump carries, and what should
//! be said before.

use super::pair::Pair;

/// Queries whose columns are called after a literal's type once they were restored, a filter of a publication, names that `LIKE` copies.
const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('a', 'b');
    CREATE TABLE t (id integer PRIMARY KEY, ts timestamptz, v varchar(20), n numeric, m mood, b integer NOT NULL DEFAULT 1);
    CREATE TABLE a (LIKE t INCLUDING ALL);
    CREATE TABLE t2 (id integer PRIMARY KEY);
    CREATE VIEW a1 AS SELECT * FROM (SELECT id, ts FROM t UNION ALL SELECT id, NULL FROM t2) q;
    CREATE VIEW a2 AS WITH q AS (SELECT id, v FROM t UNION ALL SELECT id, 'none' FROM t2) SELECT * FROM q;
    CREATE VIEW a3 AS WITH q AS (SELECT id, n FROM t UNION ALL SELECT id, -1.5 FROM t2) SELECT * FROM q;
    CREATE MATERIALIZED VIEW a5 AS WITH q AS (SELECT id, m FROM t UNION ALL SELECT id, 'b' FROM t2) SELECT * FROM q;
    CREATE POLICY p ON t USING (EXISTS (SELECT 5000000000 FROM t2));
    CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO t (id, ts) SELECT id, NULL FROM t2; END;
    CREATE PUBLICATION pub FOR TABLE t WHERE (id BETWEEN 1 AND 2 AND b > 0);
    INSERT INTO t VALUES (1, now(), 'x', 2, 'b');";

#[tokio::test]
async fn what_any_restore_prints_otherwise_is_no_difference() {
    for majors in [(18, 18), (17, 18)] {
        let pair = Pair::filled(majors.0, majors.1, SCHEMA).await;
        pair.migrate().await;
        pair.assert_equal(&pair.verify().await);
        // AND what really is another is one still
        pair.target.execute("ALTER POLICY p ON t USING (EXISTS (SELECT 5000000001 FROM t2))").await;
        let outcome = pair.verify().await;
        assert!([Some(4), Some(6)].contains(&outcome.code), "{outcome}");
    }
}

#[tokio::test]
async fn a_row_that_differs_says_nothing_of_functions() {
    // GIVEN a table with a generated column, migrated, of which another column has changed on the target
    let schema = "CREATE TABLE t (id integer PRIMARY KEY, v text, g integer GENERATED ALWAYS AS (id + 1) STORED);
                  INSERT INTO t SELECT n, 'x' FROM generate_series(1, 10) AS n";
    let pair = Pair::filled(17, 18, schema).await;
    pair.migrate().await;
    pair.target.execute("UPDATE t SET v = 'y' WHERE id = 3").await;

    // WHEN it is compared, THEN the row is named, and no function is
    let outcome = pair.program().env("LOG_FORMAT", "text").arg("--verify").run().await;
    outcome.assert_code(4);
    assert!(outcome.stdout.contains("1 row differs (column v)"), "{outcome}");
    assert!(!outcome.stdout.contains("generated columns"), "{outcome}");
}

#[tokio::test]
async fn what_an_operator_should_look_at_is_said_before() {
    // GIVEN a source whose policy is for a role that the target lacks
    let pair = Pair::new(15, 17).await;
    let role = format!("{}_anon", pair.source.name);
    let policy =
        format!("CREATE ROLE {role}; CREATE TABLE t (id integer); CREATE POLICY p ON t TO {role} USING (id > 0)");
    pair.source.execute(&policy).await;

    // WHEN it is looked at, THEN the role is named with what makes it, after which all arrives
    let outcome = pair.program().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    assert!(outcome.stdout.contains(&format!("CREATE ROLE \"{role}\"")), "{outcome}");
    pair.target.execute(&format!("CREATE ROLE {role}")).await;
    pair.migrate().await;

    // AND a source with nothing in it may be the wrong one
    let empty = Pair::new(15, 17).await;
    let outcome = empty.program().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    assert!(outcome.stdout.contains("the source has no table whose rows could be copied"), "{outcome}");
}

#[tokio::test]
async fn a_body_that_somebody_changed_is_told_from_one_that_another_major_prints_otherwise() {
    // GIVEN functions and procedures whose bodies the server has parsed
    let schema = "CREATE TABLE users (id integer PRIMARY KEY, name text); CREATE SCHEMA \"Odd one\";
         CREATE FUNCTION names(integer) RETURNS SETOF text LANGUAGE sql STABLE
             BEGIN ATOMIC SELECT u.name FROM users u WHERE u.id > $1 AND EXISTS (SELECT 1 FROM users); END;
         CREATE FUNCTION \"Odd one\".\"a b(\"(a integer, b integer DEFAULT 2) RETURNS bigint LANGUAGE sql
             RETURN (SELECT count(*) FROM users WHERE users.id BETWEEN a AND b);
         CREATE PROCEDURE add(id integer) LANGUAGE sql
             BEGIN ATOMIC INSERT INTO users SELECT add.id, u.name FROM users u WHERE u.id = 1; DELETE FROM users WHERE users.id = 0; END";
    for (source, target) in [(15, 17), (15, 18), (17, 18)] {
        let pair = Pair::filled(source, target, schema).await;

        // WHEN they are migrated, THEN nothing is left uncompared
        let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
        outcome.assert_code(0);
        assert!(!outcome.stdout.contains("query text"), "{outcome}");

        // WHEN one is another on the target, THEN it is named
        for (change, item) in [
            (
                "FUNCTION names(integer) RETURNS SETOF text LANGUAGE sql STABLE
                 BEGIN ATOMIC SELECT u.name FROM users u WHERE u.id >= $1 AND EXISTS (SELECT 1 FROM users); END",
                "function public.names(integer)",
            ),
            (
                "FUNCTION \"Odd one\".\"a b(\"(a integer, b integer DEFAULT 2) RETURNS bigint LANGUAGE sql
                 RETURN (SELECT count(*) FROM users WHERE users.id BETWEEN b AND a)",
                "function Odd one.a b((a integer, b integer)",
            ),
            (
                "PROCEDURE add(id integer) LANGUAGE sql
                 BEGIN ATOMIC INSERT INTO users SELECT add.id, u.name FROM users u WHERE u.id = 2; DELETE FROM users WHERE users.id = 0; END",
                "procedure public.add(id integer)",
            ),
        ] {
            pair.target.execute(&format!("CREATE OR REPLACE {change}")).await;
            let outcome = pair.program().env("LOG_FORMAT", "text").arg("--verify").run().await;
            outcome.assert_code(4);
            let said = format!("{item} (parsed body): is another query on the target than on the source");
            assert!(outcome.stdout.contains(&said), "{outcome}");
        }
        let left = "SELECT count(*) FROM pg_proc WHERE proname IN ('names', 'a b(', 'add')";
        assert_eq!(pair.target.text(left).await.as_deref(), Some("3"));
    }
}

#[tokio::test]
async fn a_view_that_somebody_changed_is_told_from_one_that_another_major_prints_otherwise() {
    // GIVEN views whose texts no two majors print alike
    let schema = "CREATE TABLE users (id integer PRIMARY KEY, name varchar(9), spent money); CREATE SCHEMA api;
         CREATE VIEW api.todos AS SELECT id, name FROM users WHERE id < 100 AND name IN ('a', 'b');
         CREATE VIEW named (a, b) AS SELECT u.id, count(*) FROM users u WHERE EXISTS (SELECT 1 FROM users) GROUP BY u.id;
         CREATE MATERIALIZED VIEW rich AS SELECT id FROM users WHERE spent > 100::money;
         CREATE VIEW over AS SELECT t.*, 'x' AS x FROM api.todos t; ALTER VIEW over RENAME COLUMN name TO called;
         CREATE TABLE api.\"of a team\" (id integer, team integer);
         CREATE POLICY of_team ON api.\"of a team\" USING (team IN (SELECT t.id FROM api.todos t WHERE t.id > \"of a team\".id))
             WITH CHECK (EXISTS (SELECT 1 FROM users WHERE users.id = \"of a team\".id));
         CREATE RULE late AS ON UPDATE TO api.\"of a team\" WHERE new.id > 9 DO ALSO
             INSERT INTO users (id) SELECT u.id + 1000 FROM users u WHERE u.id = old.id AND EXISTS (SELECT 1 FROM users);
         CREATE RULE gone AS ON DELETE TO over DO INSTEAD DELETE FROM users WHERE id = old.id";
    for (source, target) in [(13, 17), (15, 18), (17, 17)] {
        let pair = Pair::filled(source, target, schema).await;

        // WHEN they are migrated, THEN nothing is left uncompared
        let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
        outcome.assert_code(0);
        assert!(!outcome.stdout.contains("query text"), "{outcome}");

        // WHEN one is another on the target, THEN it is named
        for (change, said) in [
            (
                "CREATE OR REPLACE VIEW named (a, b) AS SELECT u.id, count(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM users) GROUP BY u.id",
                "view public.named (definition): is another query on the target than on the source",
            ),
            (
                "DROP MATERIALIZED VIEW rich; CREATE MATERIALIZED VIEW rich AS SELECT id FROM users WHERE spent > 101::money",
                "materialised view public.rich (definition): is another query on the target than on the source",
            ),
            (
                "ALTER POLICY of_team ON api.\"of a team\" WITH CHECK (EXISTS (SELECT 1 FROM users WHERE users.id > \"of a team\".id))",
                "policy api.of a team.of_team (with check): is `(EXISTS ( SELECT 1",
            ),
            (
                "CREATE OR REPLACE RULE gone AS ON DELETE TO over DO INSTEAD DELETE FROM users WHERE id = old.id + 1",
                "rule public.over.gone (definition): is another query on the target than on the source",
            ),
        ] {
            pair.target.execute(change).await;
            let outcome = pair.program().env("LOG_FORMAT", "text").arg("--verify").run().await;
            outcome.assert_code(4);
            assert!(outcome.stdout.contains(said), "{outcome}");
        }
        // AND looking has left nothing
        let left = "SELECT count(*) FROM pg_class WHERE relname IN ('migrate_db_view', 'of a team')";
        assert_eq!(pair.target.text(left).await.as_deref(), Some("1"));
    }
}
