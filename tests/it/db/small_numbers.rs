//! Tables that are mostly small numbers travel as text to save time; whatever else is in them arrives all the same.

use super::pair::Pair;

/// Texts that look like COPY's own signs, between numbers; rows of each.
const SIGNS: &str = r"
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE sign AS ENUM ('\N', '\.', E'a\tb', E'a\nb', '', 'ünï', '\\');
    CREATE TABLE signs (id positive PRIMARY KEY, a int, b int, c bigint, d smallint, e boolean, f numeric, g bpchar(5), h sign,
                        i sign, j int, k int, l int, m int, n varchar, o text);
    INSERT INTO signs SELECT id, NULLIF(id % 5, 0), -id, id * 1000003::bigint, id % 32000, id % 3 = 0,
        CASE id % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN id / 3.0 ELSE 1.500 END, CASE id % 2 WHEN 0 THEN '' ELSE '\N ' END,
        (enum_range(NULL::sign))[1 + id % 7], NULLIF('\N', (enum_range(NULL::sign))[1 + id % 6]::text)::sign, 1, 2, 3, 4,
        (ARRAY['\N', '\.', '', '\', '\\N', E'\t', E'\n', E'\r\n', E'\\\n', E'\\.\n', E'\x01\x7f', 'NULL', E'\b\f\v'])[1 + id % 13],
        (ARRAY['\.', NULL, '\N', E'x\\', '\x41', '\101', E'\n\\.\n', 'ünï', '𝕏'])[1 + id % 9]
    FROM generate_series(1, 20000) id;";

#[tokio::test]
async fn signs_of_copy_among_small_numbers_arrive_are_compared_and_mended() {
    // GIVEN a migrated table that travels as text
    let pair = Pair::filled(15, 18, SIGNS).await;
    let plan = pair.program().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    assert!(plan.stdout.contains("text (mostly small numbers"), "it no longer travels as text: {plan}");
    pair.migrate().await;
    let content = "SELECT md5(string_agg(signs::text, ',' ORDER BY id)) FROM signs";
    let before = pair.source.text(content).await;
    assert_eq!(pair.target.text(content).await, before);

    // WHEN a text becomes one that is written almost the same, and a row is lost
    pair.target.execute(r"UPDATE signs SET o = NULL WHERE id = 2; DELETE FROM signs WHERE id = 19999").await;

    // THEN both are found
    let outcome = pair.verify().await;
    outcome.assert_code(4);
    assert!(outcome.stderr.contains("1 row differs (column o), 1 row only on the source"), "{outcome}");

    // AND mended
    pair.assert_equal(&pair.program().arg("--repair").run().await);
    assert_eq!(pair.target.text(content).await, before);
}

#[tokio::test]
async fn bytes_that_are_no_text_arrive_from_an_old_server() {
    // GIVEN bytes above 127 among small numbers, which PostgreSQL 13 writes as they are and no encoding has
    let pair = Pair::filled(
        13,
        18,
        r#"CREATE TABLE marks (a int, b int, c int, d int, e int, f int, g int, h int, i int, mark "char", marks "char"[]);
           INSERT INTO marks SELECT n, n, n, n, n, n, n, n, n, (n - 128)::"char", ARRAY[(127 - n)::"char"]
           FROM generate_series(0, 255) n"#,
    )
    .await;

    // WHEN they are migrated
    pair.migrate().await;

    // THEN they are the same bytes
    let bytes = "SELECT string_agg(concat_ws(' ', a, mark::int, marks[1]::int), ',' ORDER BY a) FROM marks";
    assert_eq!(pair.target.text(bytes).await, pair.source.text(bytes).await);
}
