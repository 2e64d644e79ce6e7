//! `--verify` sees every kind of difference, names it, and writes nothing; so does a dry run.

use super::pair::{Pair, dump};

const SCHEMA: &str = "
    CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, status integer DEFAULT 0,
                        shout text GENERATED ALWAYS AS (upper(name)) STORED);
    INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 5000) AS n;
    CREATE INDEX users_by_name ON users (name);
    ALTER TABLE users ADD CONSTRAINT not_negative CHECK (status >= 0);
    CREATE TABLE pairs (a integer, b text, note text, PRIMARY KEY (b, a));
    INSERT INTO pairs SELECT n % 10, 'b' || n / 10, 'note' FROM generate_series(1, 100) AS n;
    CREATE TABLE log (line text);
    INSERT INTO log SELECT 'line ' || n % 7 FROM generate_series(1, 100) AS n;
    CREATE SEQUENCE tickets START 5;
    CREATE FUNCTION answer() RETURNS integer LANGUAGE sql AS 'SELECT 42';
    CREATE VIEW names AS SELECT name FROM users;
    CREATE TYPE colour AS ENUM ('red', 'green');
    COMMENT ON TABLE users IS 'people';";

/// A change on the target, how it is taken back, and the item, aspect and words of the finding that names it.
struct Damage(&'static str, &'static str, &'static str, &'static str, &'static str);

const DAMAGES: [Damage; 18] = [
    Damage(
        "UPDATE users SET name = 'User 77' WHERE id = 77",
        "UPDATE users SET name = 'user 77' WHERE id = 77",
        "table public.users",
        "rows",
        "1 row differs (column name); keys: id=77",
    ),
    Damage(
        "UPDATE pairs SET note = NULL WHERE a = 3 AND b = 'b2'",
        "UPDATE pairs SET note = 'note' WHERE a = 3 AND b = 'b2'",
        "table public.pairs",
        "rows",
        "1 row differs (column note); keys: a=3 b=b2",
    ),
    Damage(
        "INSERT INTO users (id, name) VALUES (9999, 'late')",
        "DELETE FROM users WHERE id = 9999",
        "table public.users",
        "rows",
        "1 row only on the target; keys: id=9999 (only on the target)",
    ),
    Damage(
        "DELETE FROM users WHERE id IN (1, 2)",
        "INSERT INTO users VALUES (1, 'user 1'), (2, 'user 2')",
        "table public.users",
        "rows",
        "2 rows only on the source; keys: id=1 (only on the source), id=2 (only on the source)",
    ),
    Damage(
        "INSERT INTO log VALUES ('line 3')",
        "DELETE FROM log WHERE ctid = (SELECT ctid FROM log WHERE line = 'line 3' LIMIT 1)",
        "table public.log",
        "rows",
        "1 row only on the target; the table has no primary key",
    ),
    Damage(
        "DROP INDEX users_by_name",
        "CREATE INDEX users_by_name ON users (name)",
        "index public.users_by_name",
        "existence",
        "missing on the target",
    ),
    Damage(
        "CREATE INDEX extra ON users (status)",
        "DROP INDEX extra",
        "index public.extra",
        "existence",
        "exists on the target only",
    ),
    Damage(
        "ALTER TABLE users DROP CONSTRAINT not_negative",
        "ALTER TABLE users ADD CONSTRAINT not_negative CHECK (status >= 0)",
        "constraint public.users.not_negative",
        "existence",
        "missing on the target",
    ),
    Damage(
        "ALTER TABLE users ALTER status SET DEFAULT 1",
        "ALTER TABLE users ALTER status SET DEFAULT 0",
        "column public.users.status",
        "default",
        "is `0` on the source, `1` on the target",
    ),
    Damage(
        "ALTER TABLE users ALTER status SET NOT NULL",
        "ALTER TABLE users ALTER status DROP NOT NULL",
        "column public.users.status",
        "not null",
        "is `false` on the source, `true` on the target",
    ),
    Damage(
        "SELECT nextval('tickets')",
        "SELECT setval('tickets', 5, false)",
        "sequence public.tickets",
        "position",
        "stands at 5 (not given yet) on the source, at 5 on the target",
    ),
    Damage(
        "CREATE OR REPLACE FUNCTION answer() RETURNS integer LANGUAGE sql AS 'SELECT 41'",
        "CREATE OR REPLACE FUNCTION answer() RETURNS integer LANGUAGE sql AS 'SELECT 42'",
        "function public.answer()",
        "body",
        "not the same",
    ),
    Damage(
        "ALTER TABLE log ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE log DISABLE ROW LEVEL SECURITY",
        "table public.log",
        "row security",
        "is `false` on the source, `true` on the target",
    ),
    Damage(
        "CREATE OR REPLACE VIEW names AS SELECT name FROM users WHERE id > 1",
        "CREATE OR REPLACE VIEW names AS SELECT name FROM users",
        "view public.names",
        "definition",
        "on the source",
    ),
    Damage(
        "ALTER TYPE colour RENAME VALUE 'red' TO 'rot'",
        "ALTER TYPE colour RENAME VALUE 'rot' TO 'red'",
        "type public.colour",
        "labels",
        "is `'red', 'green'` on the source",
    ),
    Damage(
        "COMMENT ON TABLE users IS NULL",
        "COMMENT ON TABLE users IS 'people'",
        "comment on table public.users",
        "existence",
        "missing on the target",
    ),
    Damage(
        "ALTER TABLE users DROP shout; ALTER TABLE users ADD shout text GENERATED ALWAYS AS (lower(name)) STORED",
        "ALTER TABLE users DROP shout; ALTER TABLE users ADD shout text GENERATED ALWAYS AS (upper(name)) STORED",
        "table public.users",
        "generated columns",
        "one of shout",
    ),
    Damage("DROP TABLE pairs", "SELECT 1", "table public.pairs", "existence", "missing on the target"),
];

#[tokio::test]
async fn every_difference_is_named_and_nothing_else() {
    // GIVEN a migrated database
    let pair = Pair::filled(17, 17, SCHEMA).await;
    pair.migrate().await;
    let report = tempfile::tempdir().unwrap();
    for (number, Damage(change, undo, item, aspect, words)) in DAMAGES.into_iter().enumerate() {
        // WHEN one thing is changed on the target, and both are compared
        pair.target.execute(change).await;
        let place = report.path().join(number.to_string());
        let program = pair.program().args(["--verify", "--show-keys"]).env("REPORT", place.display().to_string());
        let outcome = program.run().await;
        pair.target.execute(undo).await;

        // THEN the exit code says so and the report names it
        outcome.assert_code(4);
        assert_eq!(outcome.summary()["verdict"], "different", "{change}");
        let text = std::fs::read_to_string(place.join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let named = findings.iter().find(|finding| finding["item"] == item && finding["aspect"] == aspect);
        let named = named.unwrap_or_else(|| panic!("{change}: no {aspect} of {item} in {findings:#?}"));
        assert!(named["detail"].as_str().unwrap().contains(words), "{change}: {named}");
        let other =
            |finding: &&serde_json::Value| finding["item"] != item && finding["item"] != "column public.users.shout";
        let others: Vec<_> = findings.iter().filter(other).collect();
        assert!(others.is_empty(), "{change}: {others:#?}");
        // AND what is missing is said to be so once
        let about = findings.iter().filter(|finding| finding["item"] == item).count();
        assert!(aspect != "existence" || about == 1, "{change}: {findings:#?}");
    }
}

#[tokio::test]
async fn keys_are_shown_only_on_request_and_values_never() {
    // GIVEN a target with one cell changed
    let pair = Pair::filled(13, 17, SCHEMA).await;
    pair.migrate().await;
    pair.target.execute("UPDATE users SET name = 'Jane Doe' WHERE id = 4321").await;

    // WHEN both are compared without --show-keys, and with it
    let silent = pair.verify().await;
    let speaking = pair.program().args(["--verify", "--show-keys"]).env("LOG_FORMAT", "text").run().await;

    // THEN the table is named in both, the key in one, the value in none
    silent.assert_code(4).assert_without(&["4321", "Jane Doe", "user 4321"]);
    speaking.assert_code(4).assert_without(&["Jane Doe", "user 4321"]);
    assert!(speaking.stdout.contains("public.users") && speaking.stdout.contains("id=4321"), "{speaking}");
}

#[tokio::test]
async fn a_dry_run_and_a_comparison_write_nothing() {
    // GIVEN a target
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let before = dump(&pair.target, &pair.client).await;

    // WHEN a dry run looks at it, and a comparison does when it takes no write any more
    let dry = pair.program().arg("--dry-run").env("LOG_FORMAT", "text").run().await;
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", pair.target.name);
    pair.target.execute(&read_only).await;
    let verify = pair.verify().await;

    // THEN both do their work, the plan is printed, everything is missing, and the target is as it was
    dry.assert_code(0);
    assert!(dry.stdout.contains("copy public.users"), "{dry}");
    verify.assert_code(4);
    let settle = |dump: &str| dump.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n");
    assert_eq!(settle(&before), settle(&dump(&pair.target, &pair.client).await));
    pair.assert_no_journal().await;
}

#[tokio::test]
async fn rows_that_violate_a_key_of_the_source_are_reported() {
    // GIVEN a source whose foreign key was never true, since its trigger was off when the row came in
    let pair = Pair::filled(
        17,
        17,
        "CREATE TABLE parent (id integer PRIMARY KEY);
         CREATE TABLE child (id integer PRIMARY KEY, parent_id integer REFERENCES parent);
         SET session_replication_role = replica; INSERT INTO child VALUES (1, 404), (2, NULL), (3, 405);",
    )
    .await;

    // WHEN it is migrated
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;

    // THEN all rows are there, and the key is there, unchecked, and named
    outcome.assert_code(4);
    assert!(outcome.stdout.contains("child_parent_id_fkey"), "{outcome}");
    assert!(outcome.stdout.contains("2 rows refer to no row of public.parent;"), "{outcome}");
    assert_eq!(pair.target.text("SELECT count(*) FROM child").await.as_deref(), Some("3"));
    let validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'child_parent_id_fkey'";
    assert_eq!(pair.target.text(validated).await.as_deref(), Some("false"));

    // WHEN keys may be shown, THEN they are named too
    let outcome = pair.program().arg("--show-keys").env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(4);
    assert!(outcome.stdout.contains("public.parent: parent_id=404, parent_id=405;"), "{outcome}");
}

#[tokio::test]
async fn what_the_target_says_in_other_words_is_no_difference() {
    // GIVEN a source with lists of texts, which a server prints in other words once it has read its own print
    let list = "s IN ('a', 'it''s, b]')";
    let pair = Pair::filled(
        18,
        18,
        &format!(
            "CREATE TABLE t (id integer PRIMARY KEY, s varchar(10) CONSTRAINT listed CHECK ({list}), i integer,
                             g boolean GENERATED ALWAYS AS ({list}) STORED, EXCLUDE USING btree (i WITH =) WHERE ({list}));
             CREATE INDEX by_id ON t (id) WHERE {list};
             CREATE INDEX by_list ON t (({list}));
             CREATE STATISTICS st ON ({list}), id FROM t;
             CREATE VIEW v AS SELECT * FROM t WHERE {list};
             CREATE POLICY p ON t USING ({list}) WITH CHECK ({list});
             CREATE RULE r AS ON UPDATE TO t WHERE new.{list} DO ALSO NOTHING;
             CREATE DOMAIN d AS varchar CHECK (VALUE IN ('a', 'b'));
             CREATE FUNCTION f(s varchar, b boolean DEFAULT 'a'::varchar IN ('a', 'b')) RETURNS boolean LANGUAGE sql
                 BEGIN ATOMIC SELECT {list}; END;
             CREATE TABLE parted (s varchar) PARTITION BY LIST (({list}));
             INSERT INTO t (id, s) VALUES (1, 'a')"
        ),
    )
    .await;

    // WHEN it is migrated, THEN all is equal
    pair.migrate().await;

    // AND a list that really is another one is named
    pair.target.execute("ALTER TABLE t DROP CONSTRAINT listed, ADD CONSTRAINT listed CHECK (s IN ('a', 'b'))").await;
    let outcome = pair.verify().await;
    outcome.assert_code(4);
    assert_eq!(outcome.summary()["findings_count"], 1, "{outcome}");
}

#[tokio::test]
async fn a_publication_of_other_rows_or_columns_is_named() {
    // GIVEN publications of some rows and some columns, migrated
    let pair = Pair::filled(
        15,
        18,
        "CREATE TABLE t (gone integer, id integer PRIMARY KEY, a integer); ALTER TABLE t DROP gone;
         CREATE PUBLICATION rows FOR TABLE t WHERE (id > 5);
         CREATE PUBLICATION columns FOR TABLE t (a, id)",
    )
    .await;
    pair.migrate().await;

    // WHEN they publish others on the target
    pair.target.execute("ALTER PUBLICATION rows SET TABLE t; ALTER PUBLICATION columns SET TABLE t (id)").await;

    // THEN both are named
    let outcome = pair.program().env("LOG_FORMAT", "text").arg("--verify").run().await;
    outcome.assert_code(4);
    assert!(
        ["rows", "columns"].iter().all(|name| outcome.stdout.contains(&format!("publication {name}"))),
        "{outcome}"
    );
}

#[tokio::test]
async fn partitions_that_get_their_parents_identity_from_a_newer_server_are_no_difference() {
    // GIVEN a partitioned table that numbers its rows, where partitions do not do so by themselves yet
    let pair = Pair::filled(
        15,
        17,
        "CREATE TABLE events (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (1000) PARTITION BY RANGE (id);
         CREATE TABLE events_1_1 PARTITION OF events_1 FOR VALUES FROM (1) TO (1000);
         INSERT INTO events SELECT FROM generate_series(1, 500)",
    )
    .await;

    // WHEN it is migrated, THEN all is equal
    pair.migrate().await;

    // AND a parent that no longer numbers its rows is named
    pair.target.execute("ALTER TABLE events ALTER id DROP IDENTITY").await;
    pair.verify().await.assert_code(4);
}
