//! Values that are too long for a block: compressed the quick way, unless somebody has chosen another.

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE documents (id integer PRIMARY KEY, body text);
    INSERT INTO documents SELECT n, repeat(md5(n::text), 400) FROM generate_series(1, 100) AS n;
    CREATE MATERIALIZED VIEW copies AS SELECT * FROM documents;";

async fn methods(pair: &Pair, table: &str) -> Option<String> {
    let statement = format!("SELECT string_agg(DISTINCT pg_column_compression(body), ',') FROM {table}");
    pair.target.text(&statement).await
}

#[tokio::test]
async fn they_are_compressed_with_lz4_where_nobody_has_chosen() {
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let plan = pair.program().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    assert!(plan.stdout.contains("long values: compressed with LZ4"), "{plan}");
    pair.migrate().await;
    for table in ["documents", "copies"] {
        assert_eq!(methods(&pair, table).await.as_deref(), Some("lz4"), "{table}");
    }
    // AND so are those that come with a repair
    pair.source.execute("UPDATE documents SET body = repeat('changed ', 4000) WHERE id < 10").await;
    pair.assert_equal(&pair.program().arg("--repair").run().await);
    assert_eq!(methods(&pair, "documents").await.as_deref(), Some("lz4"));
}

#[tokio::test]
async fn what_a_column_or_a_database_has_chosen_stays() {
    // GIVEN a column with a method of its own
    let pair = Pair::filled(15, 17, SCHEMA).await;
    pair.source.execute("ALTER TABLE documents ALTER body SET COMPRESSION pglz").await;
    pair.migrate().await;
    assert_eq!(methods(&pair, "documents").await.as_deref(), Some("pglz"));

    // GIVEN a target whose database has one
    let pair = pair.with_new_target().await;
    pair.source.execute("ALTER TABLE documents ALTER body SET COMPRESSION default").await;
    let name = pair.target.text("SELECT format('%I', current_database())").await.unwrap();
    pair.target.execute(&format!("ALTER DATABASE {name} SET default_toast_compression = pglz")).await;
    let outcome = pair.migrate().await;
    assert_eq!(methods(&pair, "documents").await.as_deref(), Some("pglz"), "{outcome}");
}

#[tokio::test]
async fn a_target_that_knows_no_choice_is_left_alone() {
    let pair = Pair::filled(13, 13, SCHEMA).await;
    pair.migrate().await;
}
