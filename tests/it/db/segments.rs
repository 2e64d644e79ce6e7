//! Tables cut by keys, which is how those of servers before PostgreSQL 14 are cut: each row once, whatever the key.

use super::pair::Pair;

/// Keys of all kinds, distributed unevenly, beside a table that cannot be cut.
const SCHEMA: &str = r#"
    CREATE TABLE bigints (id bigint PRIMARY KEY, text text);
    INSERT INTO bigints SELECT n::bigint * n * n - 1000000, repeat('x', 300) FROM generate_series(1, 20000) AS n;
    CREATE TABLE uuids (id uuid PRIMARY KEY, text text);
    INSERT INTO uuids SELECT md5(n::text)::uuid, repeat('x', 300) FROM generate_series(1, 20000) AS n;
    CREATE TABLE texts (id text PRIMARY KEY, text text);
    INSERT INTO texts SELECT chr(33 + n % 90) || ' it''s \' || n, repeat('x', 300) FROM generate_series(1, 20000) AS n;
    CREATE TABLE composite (at timestamp, "Part" varchar(9), amount numeric(9, 2), text text, PRIMARY KEY ("Part", at, amount));
    INSERT INTO composite SELECT '2024-01-01'::timestamp + (n / 7) * interval '1 s', 'p' || n % 3, n % 7, repeat('x', 300)
        FROM generate_series(1, 20000) AS n;
    CREATE TABLE carrying (id bigint, note text, text text, PRIMARY KEY (id) INCLUDE (note));
    INSERT INTO carrying SELECT n, CASE WHEN n % 2 = 0 THEN 'n' END, repeat('x', 300) FROM generate_series(1, 20000) AS n;
    CREATE TYPE hue AS ENUM ('red', 'blue');
    CREATE DOMAIN tint AS hue;
    CREATE TABLE tinted (tint tint, id integer, text text, PRIMARY KEY (tint, id));
    INSERT INTO tinted SELECT (enum_range(NULL::hue))[1 + n % 2], n, repeat('x', 300) FROM generate_series(1, 20000) AS n;
    CREATE TABLE keyless AS SELECT n, repeat('x', 300) AS text FROM generate_series(1, 20000) AS n;"#;

#[tokio::test]
async fn keys_of_every_kind_cut_a_table() {
    // GIVEN a source before 14 with tables of some 7 MB
    let pair = Pair::filled(13, 17, SCHEMA).await;

    // WHEN it is planned and migrated in segments of a megabyte
    let program = pair.program().env("SPLIT_ABOVE", "1").env("LOG_FORMAT", "text");
    let plan = program.clone().arg("--dry-run").run().await;
    let outcome = program.run().await;

    // THEN those with a key are cut, and every row is there once
    plan.assert_code(0);
    for table in ["bigints", "uuids", "texts", "composite", "carrying"] {
        let line = plan.stdout.lines().find(|line| line.contains(&format!("copy public.{table}:"))).unwrap();
        assert!(line.ends_with(" segments"), "{line}");
    }
    outcome.assert_code(0);
    pair.assert_equal(&pair.verify().await);

    // AND a row that differs is found and replaced, also where no condition could name it
    pair.source
        .execute("UPDATE tinted SET text = 'y' WHERE id = 7; UPDATE carrying SET note = NULL WHERE id = 8")
        .await;
    pair.verify().await.assert_code(4);
    pair.assert_equal(&pair.program().arg("--repair").run().await);
}

#[tokio::test]
async fn killed_between_two_segments_the_same_cuts_are_used_again() {
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    let program = pair.program().env("SPLIT_ABOVE", "1");
    for _ in 0..4 {
        let mut running = program.spawn().await;
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(300..2000))).await;
        running.kill();
        running.wait().await;
    }
    pair.assert_equal(&program.run().await);
    pair.assert_equal(&pair.verify().await);
}
