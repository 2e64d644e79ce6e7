//! Databases whose objects only look different, and differences that are easy to overlook.

use tests::engines::postgres;

use super::pair::{Pair, client};

/// Lists of conditions within lists: what `BETWEEN`, comparisons of rows and `IN` over columns are made of.
const CONDITIONS: &str = "a BETWEEN 1 AND 2 AND b > 0 AND (a, b) <> (3, 4) OR a NOT BETWEEN 5 AND 6 OR a IN (b, 7)";

#[tokio::test]
async fn lists_of_conditions_that_a_restored_server_prints_otherwise_are_no_difference() {
    for (source, target) in [(13, 17), (18, 18)] {
        // GIVEN conditions that begin with a list of conditions, wherever there can be some
        let statements = format!(
            "CREATE TABLE t (a integer, b integer, g boolean GENERATED ALWAYS AS ({CONDITIONS}) STORED,
                             CONSTRAINT range CHECK (a BETWEEN 1 AND 2 AND b BETWEEN 3 AND 4 AND a <> b));
             CREATE INDEX part ON t (a) WHERE {CONDITIONS};
             CREATE VIEW v AS SELECT a FROM t WHERE {CONDITIONS};
             CREATE POLICY p ON t USING ({CONDITIONS});
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.a BETWEEN 1 AND 2 AND NEW.b > 0) EXECUTE FUNCTION f();
             CREATE DOMAIN d AS integer CHECK (VALUE BETWEEN 1 AND 10 AND VALUE <> 5)"
        );
        let pair = Pair::filled(source, target, &statements).await;

        // WHEN they are migrated, THEN all is equal
        pair.migrate().await;

        // AND one that really is another is named
        pair.target
            .execute("ALTER TABLE t DROP CONSTRAINT range, ADD CONSTRAINT range CHECK (a BETWEEN 1 AND 2 AND b BETWEEN 3 AND 5 AND a <> b)")
            .await;
        let outcome = pair.verify().await;
        outcome.assert_code(4);
    }
}

#[tokio::test]
async fn servers_that_sort_names_otherwise_are_compared_all_the_same() {
    // GIVEN a source that sorts texts as people do, with publications of tables and schemas
    let (source, target) = tokio::join!(postgres(15), postgres(18));
    let source = source.database_sorted_by("en-GB").await;
    let pair = Pair { source, target: target.database().await, client: client(18).await };
    pair.source
        .execute(
            "CREATE TABLE t1 (id integer); CREATE TABLE t_a (id integer); CREATE SCHEMA s1; CREATE SCHEMA s_a;
             CREATE PUBLICATION tables FOR TABLE t1, t_a; CREATE PUBLICATION schemas FOR TABLES IN SCHEMA s1, s_a",
        )
        .await;

    // WHEN it is migrated to one that sorts by bytes, THEN all is equal
    pair.migrate().await;

    // GIVEN names in an encoding whose bytes are in another order than the letters
    let pair = Pair::in_encodings((15, 18), ("KOI8R", "UTF8")).await;
    pair.source
        .execute("CREATE TABLE \"ю\" (id integer); CREATE TABLE \"а\" (id integer); CREATE TABLE \"ц\" (\"ю\" integer, \"а\" integer)")
        .await;

    // WHEN they are migrated, THEN all is equal
    pair.migrate().await;
}

/// A change on the target, and the item and aspect of a finding that names it.
const DAMAGES: [[&str; 3]; 7] = [
    ["ALTER TABLE p2 DISABLE TRIGGER tr", "trigger public.p.tr", "enabled on partitions"],
    ["ALTER SEQUENCE s SET UNLOGGED", "sequence public.s", "persistence"],
    [
        "ALTER PUBLICATION generated SET (publish_generated_columns = none)",
        "publication generated",
        "generated columns",
    ],
    ["ALTER TYPE span_many RENAME TO spans", "type public.span", "multirange"],
    ["ALTER TABLE named ALTER CONSTRAINT also_there NO INHERIT", "NOT NULL constraint public.named.b", "definition"],
    ["ALTER TABLE named VALIDATE CONSTRAINT later", "NOT NULL constraint public.named.c", "validated"],
    ["ALTER TABLE r1 DISABLE TRIGGER ALL", "constraint public.r.of_p", "state of its triggers"],
];

#[tokio::test]
async fn what_is_easy_to_overlook_is_compared() {
    // GIVEN objects with names, states and options that few people look at
    let pair = Pair::filled(
        18,
        18,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
         CREATE TABLE p2 PARTITION OF p1 DEFAULT;
         CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION f();
         CREATE TABLE r (id integer CONSTRAINT of_p REFERENCES p) PARTITION BY RANGE (id);
         CREATE TABLE r1 PARTITION OF r DEFAULT;
         CREATE SEQUENCE s;
         CREATE TABLE g (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) STORED);
         CREATE PUBLICATION generated FOR TABLE g WITH (publish_generated_columns = stored);
         CREATE TYPE span AS RANGE (subtype = numeric, multirange_type_name = span_many);
         CREATE TABLE named (a integer CONSTRAINT there NOT NULL, b integer CONSTRAINT also_there NOT NULL, c integer);
         ALTER TABLE named ADD CONSTRAINT later NOT NULL c NOT VALID;
         CREATE TABLE heirs () INHERITS (named);
         CREATE DOMAIN wanted AS integer CONSTRAINT given NOT NULL",
    )
    .await;
    pair.migrate().await;
    for [change, item, aspect] in DAMAGES {
        // WHEN one more of them is changed on the target
        pair.target.execute(change).await;

        // THEN it is named
        let report = tempfile::tempdir().unwrap();
        let outcome = pair.program().arg("--verify").env("REPORT", report.path().display().to_string()).run().await;
        outcome.assert_code(4);
        let text = std::fs::read_to_string(report.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let is_named = findings.iter().any(|finding| finding["item"] == item && finding["aspect"] == aspect);
        assert!(is_named, "{change}: {findings:#?}");
    }
}

#[tokio::test]
async fn names_that_come_from_one_of_several_parents_are_noted() {
    // GIVEN a column that is NOT NULL by two parents, under the name of the second, since that had it first
    let pair = Pair::filled(
        18,
        18,
        "CREATE TABLE m1 (v integer); CREATE TABLE m2 (v integer CONSTRAINT of_m2 NOT NULL);
         CREATE TABLE child () INHERITS (m1, m2); ALTER TABLE m1 ADD CONSTRAINT of_m1 NOT NULL v",
    )
    .await;

    // WHEN it is migrated, which gives it the name of the first, THEN that is said, and all is equal
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(0);
    let note = "NOT NULL constraint public.child.v (name): is `of_m2` on the source, `of_m1` on the target";
    assert!(outcome.stdout.contains(note), "{outcome}");
}

#[tokio::test]
async fn children_that_did_without_a_parents_not_null_have_it_since_18() {
    // GIVEN a child whose column may be empty where its parent's may not, which servers before 18 allow
    let pair = Pair::filled(
        15,
        18,
        "CREATE TABLE p (id integer NOT NULL, other integer NOT NULL); CREATE TABLE c () INHERITS (p);
         ALTER TABLE c ALTER id DROP NOT NULL; INSERT INTO c VALUES (1, 2)",
    )
    .await;

    // WHEN it is migrated, THEN that is said, and all is equal
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(0);
    assert!(
        outcome.stdout.contains("column public.c.id (not null): is `false` on the source, `inherited` on the target"),
        "{outcome}"
    );

    // AND a column that somebody has made so is another matter
    let free = Pair::filled(15, 18, "CREATE TABLE t (a integer)").await;
    free.migrate().await;
    free.target.execute("ALTER TABLE t ALTER a SET NOT NULL").await;
    free.verify().await.assert_code(4);
}

#[tokio::test]
async fn keys_that_the_source_has_switched_off_are_on_again_which_is_noted() {
    // GIVEN a source that has switched off a foreign key, which no dump says
    let pair = Pair::filled(
        15,
        17,
        "CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c (p_id integer CONSTRAINT of_p REFERENCES p);
         ALTER TABLE c DISABLE TRIGGER ALL",
    )
    .await;

    // WHEN it is migrated, THEN all is equal, and that it is on again is said
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("constraint public.c.of_p (state of its triggers)"), "{outcome}");
}

#[tokio::test]
async fn rows_that_violate_keys_of_and_to_partitioned_tables_are_counted() {
    for (target, words) in [(17, "so it is missing"), (18, "so it was left NOT VALID")] {
        // GIVEN rows that violate keys of a partitioned table and to one, since no trigger saw them come
        let pair = Pair::filled(
            15,
            target,
            "CREATE TABLE parted (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE plain (id integer PRIMARY KEY);
             CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
             CREATE TABLE from_plain (p_id integer CONSTRAINT to_parted REFERENCES parted);
             CREATE TABLE from_parted (p_id integer CONSTRAINT to_plain REFERENCES plain) PARTITION BY RANGE (p_id);
             CREATE TABLE from_parted_1 PARTITION OF from_parted DEFAULT;
             INSERT INTO parted VALUES (1); INSERT INTO plain VALUES (1); SET session_replication_role = replica;
             INSERT INTO from_plain VALUES (1), (404), (405); INSERT INTO from_parted VALUES (1), (7), (NULL)",
        )
        .await;

        // WHEN they are migrated, and the same command is run once more
        for _ in 0..2 {
            let outcome = pair.program().arg("--show-keys").env("LOG_FORMAT", "text").run().await;

            // THEN each key is named once, with the number of rows and their keys
            outcome.assert_code(4);
            let to_parted = "foreign key to_parted of public.from_plain (constraint): 2 rows refer to no row of public.parted: \
                             p_id=404, p_id=405; the source's own rows violate it, so it was left NOT VALID";
            let to_plain = "foreign key to_plain of public.from_parted (constraint): 1 row refers to no row of public.plain: p_id=7; \
                            the source's own rows violate it, ";
            assert!(outcome.stdout.contains(to_parted), "{outcome}");
            assert!(outcome.stdout.contains(&format!("{to_plain}{words}")), "{outcome}");
            assert!(!outcome.stdout.contains("(restore)"), "{outcome}");
        }
    }
}

#[tokio::test]
async fn violated_keys_are_counted_as_the_server_compares() {
    // GIVEN keys that only an extension can compare, keys that differ in case only, and tables that inherit
    let pair = Pair::filled(
        15,
        17,
        "CREATE EXTENSION ltree; CREATE EXTENSION citext;
         CREATE TABLE paths (path ltree PRIMARY KEY); CREATE TABLE of_paths (path ltree REFERENCES paths);
         CREATE TABLE words (word citext PRIMARY KEY); CREATE TABLE of_words (word citext REFERENCES words);
         CREATE TABLE olds (id integer PRIMARY KEY); CREATE TABLE heirs () INHERITS (olds);
         CREATE TABLE of_olds (id integer REFERENCES olds); CREATE TABLE heirs_of () INHERITS (of_olds);
         INSERT INTO words VALUES ('abc'); INSERT INTO of_words VALUES ('ABC');
         SET session_replication_role = replica;
         INSERT INTO of_paths VALUES ('a.b'); INSERT INTO of_words VALUES ('xyz');
         INSERT INTO heirs VALUES (7); INSERT INTO of_olds VALUES (7); INSERT INTO heirs_of VALUES (8)",
    )
    .await;

    // WHEN they are migrated
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;

    // THEN just those rows are counted that the server takes for violations
    outcome.assert_code(4);
    for table in ["paths", "words", "olds"] {
        assert!(outcome.stdout.contains(&format!("1 row refers to no row of public.{table};")), "{table}: {outcome}");
    }
}
