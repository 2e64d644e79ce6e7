//! What depends on other things being there first, or on names being found: functions behind checks and indexes, columns
//! that are inherited, extensions that are somebody else's.

use super::pair::Pair;

/// The findings of a run, as `kind item aspect: detail`.
async fn findings(pair: &Pair) -> (i32, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let program = pair.program().env("JOBS", "1").env("REPORT", place.path().display().to_string());
    let outcome = program.run().await;
    let report = std::fs::read_to_string(place.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let line =
        |finding: &serde_json::Value| ["kind", "item", "aspect", "detail"].map(|field| text(&finding[field])).join(" ");
    (outcome.code.unwrap(), report["findings"].as_array().unwrap().iter().map(line).collect())
}

#[tokio::test]
async fn a_check_that_reads_another_table_finds_its_rows() {
    // GIVEN a large table whose check looks into a small one, and one job, so that the large one goes first
    let pair = Pair::filled(
        13,
        17,
        "CREATE TABLE kinds (kind integer PRIMARY KEY); INSERT INTO kinds VALUES (1), (2);
         CREATE FUNCTION is_known(integer) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.kinds WHERE kind = $1)';
         CREATE TABLE things (id integer PRIMARY KEY, kind integer CHECK (is_known(kind)));
         INSERT INTO things SELECT n, 1 + n % 2 FROM generate_series(1, 5000) AS n;",
    )
    .await;

    // WHEN it is migrated
    let outcome = pair.program().env("JOBS", "1").run().await;

    // THEN both tables arrive, and nothing is said of the first attempt
    pair.assert_equal(&outcome);
    assert_eq!(outcome.summary()["findings_count"], 0, "{outcome}");
    assert_eq!(outcome.summary()["totals"]["copied"], 2, "{outcome}");
    assert_eq!(pair.target.text("SELECT count(*) FROM things").await.as_deref(), Some("5000"));
}

#[tokio::test]
async fn an_index_that_cannot_be_built_is_named_with_the_reason() {
    // GIVEN an index over a function that finds its table only by the search_path
    let pair = Pair::filled(
        13,
        17,
        "CREATE TABLE rates (rate integer); INSERT INTO rates VALUES (7);
         CREATE FUNCTION rated(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT max(rate) * $1 FROM rates';
         CREATE TABLE sales (id integer PRIMARY KEY); INSERT INTO sales VALUES (1);
         CREATE INDEX sales_rated ON sales (rated(id));",
    )
    .await;

    // WHEN it is migrated
    let (code, findings) = findings(&pair).await;

    // THEN the index is missing, once, and why
    assert_eq!(code, 4);
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(finding.contains("index public.sales_rated existence is missing on the target; because: "), "{finding}");
    assert!(finding.contains("relation \"rates\" does not exist"), "{finding}");
    assert!(finding.contains("ALTER FUNCTION … SET search_path"), "{finding}");

    // AND once the function says where to look, the same command comes to an equal end
    pair.source.execute("ALTER FUNCTION rated(integer) SET search_path = public").await;
    pair.target.execute("ALTER FUNCTION rated(integer) SET search_path = public").await;
    pair.assert_equal(&pair.program().run().await);
}

#[tokio::test]
async fn columns_that_a_dump_puts_in_another_order_are_noted() {
    // GIVEN a table that got its parent later than its columns
    let pair = Pair::filled(
        17,
        17,
        "CREATE TABLE parent (a integer); CREATE TABLE child (b text, a integer);
         ALTER TABLE child INHERIT parent; INSERT INTO child VALUES ('one', 1);",
    )
    .await;

    // WHEN it is migrated
    let (code, findings) = findings(&pair).await;

    // THEN the rows are proved, and the order that INSERT without names and SELECT * go by is told
    assert_eq!(code, 0, "{findings:#?}");
    let expected = "note table public.child order of columns is `b, a` on the source, `a, b` on the target";
    assert_eq!(findings, [expected]);
}

#[tokio::test]
async fn what_is_said_of_an_extension_of_somebody_else_stays_as_it_is() {
    // GIVEN a target where the extension is the superuser's, and a role that owns only the database
    let pair = Pair::filled(17, 17, "CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'words of our own'").await;
    let name = format!("app_{}", pair.target.name);
    let owner = format!(
        "CREATE EXTENSION citext; CREATE ROLE {name} LOGIN PASSWORD 'app-Pa55word'; ALTER DATABASE {} OWNER TO {name}",
        pair.target.name
    );
    pair.target.execute(&owner).await;

    // WHEN that role migrates
    let url = pair.target.url_as(&name, "app-Pa55word");
    let outcome = pair.program_between(&pair.source.url(), &url).run().await;

    // THEN that it may not speak of the extension does no harm
    pair.assert_equal(&outcome);
}

#[tokio::test]
async fn rows_that_somebody_added_to_a_table_of_an_extension_leave_equality_unproved() {
    // GIVEN a table that belongs to an extension which says nothing of its rows, and so is not dumped, with a row in it
    let pair = Pair::filled(
        17,
        17,
        "CREATE EXTENSION citext;
         CREATE TABLE counties (code text PRIMARY KEY);
         ALTER EXTENSION citext ADD TABLE counties;
         CREATE TABLE kept (id integer PRIMARY KEY); INSERT INTO kept VALUES (1)",
    )
    .await;
    let (code, lines) = findings(&pair).await;
    assert_eq!((code, lines.len()), (0, 1), "nothing is lost with an empty one: {lines:?}");
    pair.source.execute("INSERT INTO counties VALUES ('E10')").await;

    // WHEN the database is compared, THEN the row is not passed over
    let outcome = pair.verify().await;
    outcome.assert_code(6);
    let found = outcome.summary()["findings_count"].as_u64();
    assert_eq!(found, Some(1), "{outcome}");
}
