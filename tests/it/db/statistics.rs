//! The planner's statistics: there after every migration, and the source's own where they can be carried.

use tests::eventually::eventually;

use super::pair::Pair;

/// Large enough for a sample that is never the same twice. What autovacuum would change meanwhile is switched off.
const SCHEMA: &str = "
    CREATE TABLE fresh (id bigint PRIMARY KEY, text text, tags text[], period int4range, at timestamptz)
        WITH (autovacuum_enabled = off);
    INSERT INTO fresh SELECT n, md5(n::text), ARRAY['t' || n % 50, 'u' || n % 7], int4range(n, n + n % 90), now() + n * interval '1 s'
        FROM generate_series(1, 40000) AS n;
    CREATE TABLE changed (LIKE fresh INCLUDING ALL) WITH (autovacuum_enabled = off);
    CREATE TABLE computed (LIKE fresh INCLUDING ALL) WITH (autovacuum_enabled = off);
    CREATE TABLE never (LIKE fresh INCLUDING ALL) WITH (autovacuum_enabled = off);
    INSERT INTO changed SELECT * FROM fresh;
    INSERT INTO computed SELECT * FROM fresh;
    INSERT INTO never SELECT * FROM fresh;
    CREATE INDEX computed_text ON computed (upper(text));
    CREATE TABLE measured (id bigint, at date) PARTITION BY RANGE (at);
    CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    INSERT INTO measured SELECT n, '2024-01-01'::date + n % 300 FROM generate_series(1, 5000) AS n;
    CREATE MATERIALIZED VIEW counted AS SELECT n % 10 AS digit, count(*) FROM generate_series(1, 5000) AS n GROUP BY 1;";

/// All that is known of a table's columns.
fn known(table: &str) -> String {
    format!(
        "SELECT md5(string_agg(concat_ws('|', attname, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs,
             histogram_bounds::text, correlation, most_common_elems::text, most_common_elem_freqs, elem_count_histogram), ',' ORDER BY attname))
         FROM pg_stats WHERE tablename = '{table}' AND NOT inherited"
    )
}

async fn fill(source: u16, target: u16) -> Pair {
    let pair = Pair::filled(source, target, SCHEMA).await;
    // The counters of changes arrive a moment after the session that made them has gone, and what is analysed before is
    // changed ever after.
    counted(&pair, "changed", 40_000).await;
    counted(&pair, "fresh", 40_000).await;
    pair.source.execute("ANALYZE fresh, changed, computed, measured").await;
    counted(&pair, "changed", 0).await;
    pair.source.execute("UPDATE changed SET id = id + 100000 WHERE id <= 20000").await;
    counted(&pair, "changed", 20_000).await;
    pair
}

async fn counted(pair: &Pair, table: &str, changes: u64) {
    let counted = format!("SELECT pg_stat_get_mod_since_analyze('{table}'::regclass) = {changes}");
    eventually("the source's counters", async || pair.source.text(&counted).await.as_deref() == Some("true")).await;
}

#[tokio::test]
async fn a_target_that_can_take_them_gets_the_sources() {
    let pair = fill(17, 18).await;
    pair.migrate().await;

    // THEN what is fresh on the source is the same on the target
    let (source, target) = (pair.source.text(&known("fresh")).await, pair.target.text(&known("fresh")).await);
    assert!(source.is_some());
    assert_eq!(source, target);
    let ranges = "SELECT md5(concat(range_length_histogram, range_empty_frac, range_bounds_histogram)) FROM pg_stats
                  WHERE tablename = 'fresh' AND attname = 'period'";
    assert_eq!(pair.source.text(ranges).await, pair.target.text(ranges).await);
    let rows = "SELECT reltuples::bigint || ' ' || (relpages > 0) FROM pg_class WHERE relname = 'fresh'";
    assert_eq!(pair.target.text(rows).await.as_deref(), Some("40000 true"));

    // AND all else was looked at anew: what has changed since, what was never looked at, what has more than columns
    for table in ["changed", "never", "computed"] {
        let target = pair.target.text(&known(table)).await;
        assert!(target.is_some(), "{table}");
        assert_ne!(pair.source.text(&known(table)).await, target, "{table}");
    }
    assert_known(&pair).await;
}

#[tokio::test]
async fn an_older_target_takes_its_own() {
    let pair = fill(15, 17).await;
    pair.migrate().await;
    for table in ["fresh", "changed", "never", "computed"] {
        assert!(pair.target.text(&known(table)).await.is_some(), "{table}");
    }
    assert_known(&pair).await;
}

/// What every target has statistics of: expressions, partitioned tables as a whole, materialised views.
async fn assert_known(pair: &Pair) {
    for (table, inherited) in
        [("computed_text", false), ("measured", true), ("measured_2024", false), ("counted", false)]
    {
        let there =
            format!("SELECT count(*) > 0 FROM pg_stats WHERE tablename = '{table}' AND inherited = {inherited}");
        assert_eq!(pair.target.text(&there).await.as_deref(), Some("true"), "{table}");
    }
}
