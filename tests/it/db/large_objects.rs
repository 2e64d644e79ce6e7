//! Large objects: content, numbers and comments arrive, in pieces, however the run is treated.

use super::pair::Pair;

/// Small ones, an empty one, one of exactly one piece, one of many pieces, one with a hole; with comments.
const SCHEMA: &str = "
    CREATE TABLE documents (id integer PRIMARY KEY, content oid);
    INSERT INTO documents SELECT n, lo_from_bytea(0, decode(md5(n::text), 'hex')) FROM generate_series(1, 1500) AS n;
    INSERT INTO documents VALUES (2001, lo_from_bytea(0, ''));
    INSERT INTO documents VALUES (2002, lo_from_bytea(0, convert_to(repeat('x', 262144), 'UTF8')));
    INSERT INTO documents VALUES (2003, lo_from_bytea(123456, convert_to(repeat('0123456789', 300000), 'UTF8')));
    SELECT lo_put(lo_from_bytea(654321, 'begin'), 5000000, 'end');
    COMMENT ON LARGE OBJECT 123456 IS 'it''s a large one';";

/// Number and content of all of them in one value.
const CONTENT: &str =
    "SELECT md5(string_agg(oid || ' ' || md5(lo_get(oid)), ',' ORDER BY oid)) FROM pg_largeobject_metadata";
const COUNT: &str = "SELECT count(*) FROM pg_largeobject_metadata";

async fn assert_same(pair: &Pair) {
    assert_eq!(pair.target.text(COUNT).await, pair.source.text(COUNT).await);
    assert_eq!(pair.target.text(CONTENT).await, pair.source.text(CONTENT).await);
    let comment = "SELECT obj_description(123456, 'pg_largeobject')";
    assert_eq!(pair.target.text(comment).await, pair.source.text(comment).await);
}

#[tokio::test]
async fn they_arrive_under_their_numbers_and_differences_are_named() {
    // GIVEN a source with large objects of all sizes
    let pair = Pair::filled(13, 17, SCHEMA).await;

    // WHEN it is migrated
    let outcome = pair.migrate().await;

    // THEN they are all there, and one more item in the balance
    assert_same(&pair).await;
    assert_eq!(outcome.summary()["totals"]["copied"], 2);

    // WHEN one byte of one differs
    pair.target.execute("SELECT lo_put(123456, 2999999, 'X')").await;
    let outcome = pair.verify().await;

    // THEN it is not equal, and the repair makes it so
    outcome.assert_code(4);
    pair.source.execute("SELECT lo_unlink(654321); COMMENT ON LARGE OBJECT 123456 IS 'another'").await;
    pair.assert_equal(&pair.program().arg("--repair").run().await);
    assert_same(&pair).await;
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn killed_at_random_moments_none_is_lost_or_there_twice() {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}; TEST_SEED={seed} repeats the moments");
    let mut random = fastrand::Rng::with_seed(seed);
    let pair = Pair::filled(17, 17, SCHEMA).await;
    for _ in 0..6 {
        let mut running = pair.program().spawn().await;
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(100..1500))).await;
        running.kill();
        running.wait().await;
    }
    pair.assert_equal(&pair.program().run().await);
    assert_same(&pair).await;
    pair.assert_no_journal().await;
}

#[tokio::test]
async fn a_role_that_may_not_read_them_is_refused() {
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let role = format!("reader_{}", pair.source.name);
    let create =
        format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}");
    pair.source.execute(&create).await;
    let outcome = pair.program_between(&pair.source.url_as(&role, "hunter2"), &pair.target.url()).run().await;
    outcome.assert_code(3).assert_without(&["hunter2"]);
    assert!(
        outcome.stderr.contains("large object") && outcome.stderr.contains("GRANT SELECT ON LARGE OBJECT"),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_target_that_has_some_is_not_empty() {
    let pair = Pair::filled(17, 17, "CREATE TABLE t (id integer)").await;
    pair.target.execute("SELECT lo_from_bytea(77, 'x')").await;
    let outcome = pair.program().run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("large object 77"), "{outcome}");
    let clean = pair.program().args(["--clean", "--confirm", &pair.target.name]);
    pair.assert_equal(&clean.run().await);
    assert_eq!(pair.target.text(COUNT).await.as_deref(), Some("0"));
}
