//! What a run may use does not depend on what it moves: memory has a bound, and no row touches a local disk. What a target allows is kept to.

use super::pair::Pair;

/// The bound that the project promises for tables and rows of any size.
const MEMORY_MAX: u64 = 100_000_000;
/// A process writes no data to disk. What the kernel counts otherwise are pages of files that it touched.
const DISK_WRITES_MAX: u64 = 1_000_000;

#[tokio::test]
async fn a_table_of_300_mb_passes_through_a_small_process() {
    // GIVEN a table of 300 MB in rows of a kilobyte, and some with giant rows, which travel in binary form and as text
    let pair = Pair::filled(
        17,
        17,
        "CREATE TABLE big AS SELECT n AS id, repeat(md5(n::text), 31) AS text FROM generate_series(1, 290000) AS n;
         ALTER TABLE big ADD PRIMARY KEY (id);
         CREATE TABLE giants (id integer PRIMARY KEY, text text);
         INSERT INTO giants SELECT n, repeat(md5(n::text), 4500000) FROM generate_series(1, 2) AS n;
         CREATE TYPE mood AS ENUM ('calm');
         CREATE TABLE giants_as_text (text text, moods mood[], id integer);
         INSERT INTO giants_as_text VALUES (repeat(E'\\\\\t', 60000000), '{calm}', 7), ('small', NULL, 8);",
    )
    .await;
    let size = pair.source.text("SELECT pg_table_size('big')").await.unwrap().parse::<u64>().unwrap();
    assert!(size > 300_000_000, "{size}");

    // WHEN it is migrated, and compared
    let outcomes = [pair.migrate().await, pair.verify().await];

    // THEN the process stayed small and wrote nothing
    for outcome in outcomes {
        pair.assert_equal(&outcome);
        println!("{} bytes of memory, {} bytes to disk", outcome.peak_memory_bytes, outcome.disk_write_bytes);
        outcome.assert_memory_below(MEMORY_MAX);
        assert!(outcome.disk_write_bytes < DISK_WRITES_MAX, "{} bytes", outcome.disk_write_bytes);
    }

    // WHEN one cell of it differs
    pair.target.execute("UPDATE big SET text = 'x' WHERE id = 250000").await;
    let outcome = pair.program().args(["--verify", "--show-keys"]).env("LOG_FORMAT", "text").run().await;

    // THEN finding it takes no more
    outcome.assert_code(4);
    assert!(outcome.stdout.contains("1 row differs (column text); keys: id=250000"), "{outcome}");
    outcome.assert_memory_below(MEMORY_MAX);
}

#[tokio::test]
async fn an_index_that_may_not_be_sorted_on_disk_is_sorted_in_memory() {
    // GIVEN an index that is larger than what is sorted at once, and a target that leaves little room for temporary files
    let pair = Pair::filled(
        15,
        17,
        "CREATE TABLE t AS SELECT md5(n::text) AS a FROM generate_series(1, 250000) AS n; CREATE INDEX t_a ON t (a)",
    )
    .await;
    let name = pair.target.text("SELECT format('%I', current_database())").await.unwrap();
    pair.target.execute(&format!("ALTER DATABASE {name} SET temp_file_limit = '2MB'")).await;

    // WHEN it is migrated, THEN the index is there
    pair.migrate().await;
}
