//! Databases that are not in UTF-8, or in nothing at all.

use super::pair::Pair;

/// Texts with bytes above 127 in columns of all kinds, among them keys, in a table large enough to be cut and for its statistics to be
/// carried; a table that travels as text; a materialised view and a generated column, which both sides compute.
const LATIN: &str = r"
    CREATE TABLE words (word text PRIMARY KEY, padded char(12), tags text[], a int, b int, c int, doubled text GENERATED ALWAYS AS (word || word) STORED);
    INSERT INTO words (word, padded, tags) SELECT CASE n % 2 WHEN 0 THEN n || E'caf\xe9' ELSE n || 'cafe' END, E'\xfcber', ARRAY[E'\xe9', 'plain', NULL]
    FROM generate_series(1, 20000) n;
    ANALYZE words;
    CREATE TABLE numbers (a int, b int, c int, d int, e int, f int, g int, h int, note varchar(20));
    INSERT INTO numbers SELECT n, n, n, n, n, n, n, n, E'\xe9\t\\' FROM generate_series(1, 100) n;
    CREATE MATERIALIZED VIEW firsts AS SELECT word FROM words WHERE word < '2';";

/// `LATIN` in a database without an encoding: the escapes are the bytes themselves.
async fn filled(majors: (u16, u16), encodings: (&str, &str)) -> Pair {
    let pair = Pair::in_encodings(majors, encodings).await;
    pair.source.execute(LATIN).await;
    pair
}

const CONTENT: &str = "SELECT md5(string_agg(md5(convert_to(word || padded || doubled, 'SQL_ASCII')), ',' ORDER BY word COLLATE \"C\")) FROM words";

#[tokio::test]
async fn bytes_of_a_database_without_an_encoding_arrive_as_they_are() {
    for majors in [(13, 18), (15, 17)] {
        // GIVEN a source whose text is in no encoding at all, and a target that takes any
        let pair = filled(majors, ("SQL_ASCII", "SQL_ASCII")).await;
        // WHEN it is migrated, in several segments, THEN every byte is there
        let outcome = pair.program().env("SPLIT_ABOVE", "1").run().await;
        pair.assert_equal(&outcome);
        assert_eq!(pair.target.text(CONTENT).await, pair.source.text(CONTENT).await);
        // AND what differs later is found and mended
        pair.target
            .execute(
                r"UPDATE words SET padded = E'\xfb' WHERE word LIKE '77caf%'; DELETE FROM words WHERE word LIKE '9998caf%'",
            )
            .await;
        let verified = pair.verify().await;
        verified.assert_code(4);
        assert!(verified.stderr.contains("1 row differs"), "{verified}");
        pair.assert_equal(&pair.program().arg("--repair").run().await);
        assert_eq!(pair.target.text(CONTENT).await, pair.source.text(CONTENT).await);
    }
}

#[tokio::test]
async fn a_target_in_utf8_refuses_what_is_none_and_takes_what_is() {
    // GIVEN the same, and a target in UTF-8
    let pair = filled((15, 17), ("SQL_ASCII", "UTF8")).await;
    // WHEN it is migrated, THEN preflight has said so, and the server's words name the bytes
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(4);
    assert!(outcome.stderr.contains("the source does not say what its text is"), "{outcome}");
    assert!(outcome.to_string().contains("invalid byte sequence for encoding"), "{outcome}");
    // AND what is UTF-8 all the same arrives
    let pair = Pair::in_encodings((15, 17), ("SQL_ASCII", "UTF8")).await;
    pair.source
        .execute("CREATE TABLE words (word text PRIMARY KEY); INSERT INTO words VALUES (E'caf\\xc3\\xa9')")
        .await;
    pair.migrate().await;
    assert_eq!(pair.target.text("SELECT word FROM words").await.as_deref(), Some("café"));
}

#[tokio::test]
async fn keys_that_are_no_text_are_shown_as_far_as_they_are() {
    // GIVEN rows of a source without an encoding that violate a foreign key
    let pair = Pair::in_encodings((15, 17), ("SQL_ASCII", "SQL_ASCII")).await;
    let statements = r"CREATE TABLE parents (word text PRIMARY KEY); CREATE TABLE children (word text REFERENCES parents);
        SET session_replication_role = replica; INSERT INTO children VALUES (E'nob\xf6dy')";
    pair.source.execute(statements).await;
    // WHEN it is migrated, THEN they are counted and named
    let outcome = pair.program().arg("--show-keys").env("LOG_FORMAT", "text").run().await;
    outcome.assert_code(4);
    assert!(outcome.stdout.contains("1 row refers to no row of public.parents: word=nob\u{fffd}dy"), "{outcome}");
}

#[tokio::test]
async fn latin1_becomes_utf8() {
    let pair = Pair::in_encodings((13, 18), ("LATIN1", "UTF8")).await;
    pair.source.execute("CREATE TABLE \"wörter\" (wort text PRIMARY KEY); COMMENT ON TABLE \"wörter\" IS 'für'").await;
    pair.source.execute("INSERT INTO \"wörter\" SELECT n || 'ü' FROM generate_series(1, 1000) n").await;
    pair.migrate().await;
    assert_eq!(
        pair.target.text("SELECT count(*)::text || min(wort) FROM \"wörter\" WHERE wort LIKE '%ü'").await.as_deref(),
        Some("10001000ü")
    );
}

#[tokio::test]
async fn keys_of_a_collation_that_knows_no_patterns_are_cut_all_the_same() {
    let statements = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE words (word text COLLATE loose PRIMARY KEY, filler text);
        INSERT INTO words SELECT 'wört ' || n, repeat('x', 200) FROM generate_series(1, 20000) n";
    let pair = Pair::filled(13, 18, statements).await;
    let program = pair.program().env("SPLIT_ABOVE", "1");
    let plan = program.clone().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    let is_cut = |line: &str| line.contains("public.words:") && line.contains(" segments");
    assert!(plan.to_string().lines().any(is_cut), "it is no longer cut: {plan}");
    pair.assert_equal(&program.run().await);
}
