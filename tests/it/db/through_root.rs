//! Partitions by hash of what every server identifies anew: their rows arrive in whichever leaf is theirs on the target.

use super::pair::Pair;

/// Partitioned by hash of an enum, of an array of it, of an expression with it, of text whose collation is not deterministic, and of
/// what is a number to servers and a name to people; and, for comparison, of a number. One tree has such a part only.
const SCHEMA: &str = "
    CREATE TYPE colour AS ENUM ('red', 'orange', 'yellow', 'green', 'blue', 'violet');
    CREATE TABLE inks (id bigint, colour colour, note text, doubled bigint GENERATED ALWAYS AS (id * 2) STORED, touched integer DEFAULT 0,
                       PRIMARY KEY (colour, id)) PARTITION BY HASH (colour);
    CREATE TABLE inks_0 (touched integer DEFAULT 0, gone text, note text, colour colour NOT NULL, id bigint NOT NULL,
                         doubled bigint GENERATED ALWAYS AS (id * 2) STORED);
    ALTER TABLE inks_0 DROP COLUMN gone;
    ALTER TABLE inks ATTACH PARTITION inks_0 FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE inks_1 PARTITION OF inks FOR VALUES WITH (MODULUS 3, REMAINDER 1);
    CREATE TABLE inks_2 PARTITION OF inks FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    CREATE INDEX inks_note ON inks (note);
    CREATE INDEX only_here ON inks_1 (id);
    INSERT INTO inks (id, colour, note) SELECT n, (enum_range(NULL::colour))[1 + n % 6], repeat('x', 300) || n
        FROM generate_series(1, 24000) AS n;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1000; RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON inks FOR EACH ROW EXECUTE FUNCTION touch();
    ALTER TABLE inks ENABLE ALWAYS TRIGGER touch;
    CREATE TABLE yearly (at date, colours colour[]) PARTITION BY RANGE (at);
    CREATE TABLE y2024 PARTITION OF yearly FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (colours);
    CREATE TABLE y2024_0 PARTITION OF y2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE y2024_1 PARTITION OF y2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE y2025 PARTITION OF yearly FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO yearly SELECT '2024-06-01'::date + n, ARRAY[(enum_range(NULL::colour))[1 + n % 6], (enum_range(NULL::colour))[1 + n % 5]]
        FROM generate_series(1, 400) AS n;
    CREATE TABLE mixed (colour colour, id integer) PARTITION BY HASH (coalesce(colour, 'red'));
    CREATE TABLE mixed_0 PARTITION OF mixed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO mixed SELECT (enum_range(NULL::colour))[n % 7], n FROM generate_series(1, 100) AS n;
    CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE words (word text COLLATE loose) PARTITION BY HASH (word);
    CREATE TABLE words_0 PARTITION OF words FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE words_1 PARTITION OF words FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO words SELECT 'Word' || n FROM generate_series(1, 100) AS n;
    CREATE TABLE kinds (kind regclass, at date) PARTITION BY HASH (kind);
    CREATE TABLE kinds_0 PARTITION OF kinds FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE kinds_1 PARTITION OF kinds FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO kinds SELECT (ARRAY['inks', 'inks_0', 'inks_1', 'inks_2', 'yearly', 'mixed', 'words']::regclass[])[n], '2024-01-01'
        FROM generate_series(1, 7) AS n;
    CREATE TABLE numbers (n integer) PARTITION BY HASH (n);
    CREATE TABLE numbers_0 PARTITION OF numbers FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    INSERT INTO numbers SELECT generate_series(1, 100);
    ANALYZE;";

/// What queries find that look into one leaf only.
const FOUND: &str = "
    SELECT string_agg(format('%s %s %s %s', c, (SELECT count(*) FROM inks WHERE colour = c),
                             (SELECT count(*) FROM yearly WHERE at < '2025-01-01' AND colours = ARRAY[c, 'red']::colour[]),
                             (SELECT count(*) FROM mixed WHERE coalesce(colour, 'red') = c)), ', ' ORDER BY c)
           || (SELECT count(*) FROM words WHERE word = 'wORD7') || (SELECT count(*) FROM kinds WHERE kind = 'inks_2'::regclass)
    FROM unnest(enum_range(NULL::colour)) AS c";

async fn assert_found_alike(pair: &Pair) {
    assert_eq!(pair.target.text(FOUND).await, pair.source.text(FOUND).await);
}

#[tokio::test]
async fn rows_arrive_in_the_leaf_that_is_theirs_on_the_target() {
    for (source, target) in [(13, 18), (17, 18)] {
        // GIVEN such partitions, of some 9 MB
        let pair = Pair::scripted(source, target, SCHEMA).await;

        // WHEN they are planned and migrated in segments of a megabyte
        let program = pair.program().env("SPLIT_ABOVE", "1");
        let plan = program.clone().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
        pair.assert_equal(&program.run().await);

        // THEN what must goes through the root, in segments, and only that
        plan.assert_code(0);
        let line =
            |table: &str| plan.stdout.lines().find(|line| line.contains(&format!("copy public.{table}"))).unwrap();
        assert!(line("inks:").contains("through the root, with 3 partitions"), "{plan}");
        assert!(line("inks:").contains(" segments"), "{plan}");
        for table in ["y2024:", "mixed:", "words:", "kinds:"] {
            assert!(line(table).contains("through the root"), "{plan}");
        }
        for table in ["y2025:", "numbers_0:"] {
            assert!(!line(table).contains("through the root"), "{plan}");
        }
        // AND whoever looks for a row looks where it is
        assert_found_alike(&pair).await;
        // AND a second look agrees, and sees a row that was lost
        pair.assert_equal(&pair.verify().await);
        pair.target.execute("DELETE FROM inks WHERE id = 77").await;
        let outcome = pair.program().env("SHOW_KEYS", "yes").arg("--verify").run().await;
        outcome.assert_code(4);
        assert!(outcome.to_string().contains("id=77"), "{outcome}");
    }
}

#[tokio::test]
async fn what_differs_of_them_is_repaired_through_the_root() {
    // GIVEN an early copy, and a source that went on; triggers that write, one of them off for one leaf
    let pair = Pair::scripted(15, 17, SCHEMA).await;
    pair.source.execute("ALTER TABLE ONLY inks_2 DISABLE TRIGGER touch").await;
    pair.migrate().await;
    pair.source
        .execute(
            "ALTER TABLE inks DISABLE TRIGGER touch;
             UPDATE inks SET note = 'changed' WHERE id % 1000 = 0;
             UPDATE inks SET colour = 'red' WHERE id = 5;
             DELETE FROM inks WHERE id BETWEEN 100 AND 103;
             ALTER TABLE inks ENABLE ALWAYS TRIGGER touch;
             ALTER TABLE ONLY inks_2 DISABLE TRIGGER touch;
             INSERT INTO mixed VALUES ('blue', 1000)",
        )
        .await;

    // WHEN it is repaired
    let outcome = pair.program().arg("--repair").run().await;

    // THEN only those two were touched, one of them by its keys, and triggers are as they were
    pair.assert_equal(&outcome);
    assert_eq!(outcome.summary()["totals"]["copied"], 2, "{outcome}");
    let said = outcome.to_string();
    assert!(said.contains("25 rows copied again (24 changed, 1 new), 5 removed"), "{outcome}");
    assert_found_alike(&pair).await;
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn killed_at_any_moment_none_of_them_is_lost_or_there_twice() {
    let pair = Pair::scripted(17, 18, SCHEMA).await;
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    let program = pair.program().env("SPLIT_ABOVE", "1");
    for _ in 0..5 {
        let mut running = program.spawn().await;
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(300..2000))).await;
        running.kill();
        running.wait().await;
    }
    pair.assert_equal(&program.run().await);
    assert_found_alike(&pair).await;
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn ranges_of_text_are_those_of_the_target_where_it_sorts_otherwise() {
    // GIVEN a source that sorts by bytes, with rows between a capital and a small letter, and a target that sorts as people do
    let pair = Pair::new(15, 17).await;
    let (source, target) =
        (pair.source.engine.database_in("UTF8").await, pair.target.engine.database_sorted_by("en-US").await);
    source
        .execute(
            "CREATE TABLE names (name text) PARTITION BY RANGE (name);
             CREATE TABLE names_low PARTITION OF names FOR VALUES FROM (MINVALUE) TO ('a');
             CREATE TABLE names_high PARTITION OF names FOR VALUES FROM ('a') TO (MAXVALUE);
             INSERT INTO names VALUES ('Zoe'), ('Adam'), ('eve'), ('1');",
        )
        .await;

    // WHEN it is migrated, THEN each is where the target looks for it
    let outcome = pair.program_between(&source.url(), &target.url()).run().await;
    pair.assert_equal(&outcome);
    for (table, names) in [("names_low", "1"), ("names_high", "Adam,Zoe,eve")] {
        let statement = format!("SELECT string_agg(name, ',' ORDER BY name COLLATE \"C\") FROM {table}");
        assert_eq!(target.text(&statement).await.as_deref(), Some(names), "{outcome}");
    }
}
