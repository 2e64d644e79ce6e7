//! A database with one of everything arrives whole, judged by an arbiter that is not ours: `pg_dump` of both sides.

use super::pair::{Pair, dump};

/// See the file.
pub(super) const RICH: &str = include_str!("rich.sql");
/// What only PostgreSQL 18 knows.
const RICH_18: &str = include_str!("rich-18.sql");
/// What applications elsewhere have.
const ELSEWHERE: &str = include_str!("elsewhere.sql");

#[tokio::test]
async fn a_rich_database_arrives_on_a_newer_server() {
    arrives(13, 17, &[RICH]).await;
}

#[tokio::test]
async fn a_rich_database_arrives_on_an_equal_new_server() {
    arrives(17, 17, &[RICH]).await;
}

#[tokio::test]
async fn a_rich_database_arrives_on_an_equal_old_server() {
    arrives(13, 13, &[RICH]).await;
}

#[tokio::test]
async fn a_rich_database_arrives_on_the_newest_server() {
    arrives(15, 18, &[RICH]).await;
}

#[tokio::test]
async fn what_only_the_newest_server_knows_arrives_there() {
    arrives(18, 18, &[RICH, RICH_18]).await;
}

#[tokio::test]
async fn what_applications_elsewhere_have_arrives() {
    arrives(15, 18, &[ELSEWHERE]).await;
}

#[tokio::test]
async fn what_the_target_refuses_is_named_and_the_rest_arrives() {
    // GIVEN a source with what later majors no longer know (a postfix operator), or call otherwise (a procedure, a
    // transform), with an operator that is not made yet, and with a comment that a subscription left behind
    let pair = Pair::scripted(
        13,
        17,
        "CREATE TABLE kept (id integer PRIMARY KEY, name text); INSERT INTO kept VALUES (1, 'one');
         CREATE FUNCTION half(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 / 2';
         CREATE OPERATOR #%# (LEFTARG = bigint, FUNCTION = half);
         CREATE FUNCTION same(boolean, boolean) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = $2';
         CREATE OPERATOR === (LEFTARG = boolean, RIGHTARG = boolean, FUNCTION = same, NEGATOR = !==);
         CREATE PROCEDURE note(a integer, INOUT b text) LANGUAGE sql AS 'SELECT $2';
         CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
         COMMENT ON TRANSFORM FOR integer LANGUAGE sql IS 'for whom';
         CREATE SUBSCRIPTION feed CONNECTION '' PUBLICATION p WITH (connect = false);
         COMMENT ON SUBSCRIPTION feed IS 'still there';",
    )
    .await;

    // WHEN it is migrated
    let place = tempfile::tempdir().unwrap();
    let outcome = pair.program().env("REPORT", place.path().display().to_string()).run().await;

    // THEN the run ends with differences, names the operator, and nothing else
    outcome.assert_code(4);
    let report = std::fs::read_to_string(place.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let named: Vec<&str> = findings.iter().map(|finding| finding["item"].as_str().unwrap()).collect();
    assert_eq!(named, ["OPERATOR public.#%#", "operator public.#%#(bigint,NONE)"], "{outcome}");
    assert!(outcome.stderr.contains("feed"), "the subscription that stays behind is not named: {outcome}");

    // AND the rows are there
    assert_eq!(pair.target.text("SELECT name FROM kept").await.as_deref(), Some("one"));

    // AND the same command, once the cause is mended, comes to an equal end
    pair.source.execute("DROP OPERATOR #%# (bigint, NONE)").await;
    pair.assert_equal(&pair.program().run().await);
}

async fn arrives(source_major: u16, target_major: u16, scripts: &[&str]) {
    // GIVEN a source with one of everything
    let pair = Pair::scripted(source_major, target_major, &scripts.concat()).await;

    // WHEN it is migrated
    let outcome = pair.migrate().await;

    // THEN every table was read back, nothing is left of the journal, and the dumps of both sides agree
    let totals = &outcome.summary()["totals"];
    assert_eq!(totals["listed"], totals["copied"], "{outcome}");
    pair.assert_no_journal().await;
    let (source, target) = tokio::join!(dump(&pair.source, &pair.client), dump(&pair.target, &pair.client));
    let alike = source_major == target_major;
    assert_same(&normalised(&source, alike), &normalised(&target, alike));

    // AND a comparison of its own finds nothing
    pair.assert_equal(&pair.verify().await);
}

#[track_caller]
fn assert_same(source: &[String], target: &[String]) {
    for (number, (left, right)) in source.iter().zip(target).enumerate() {
        assert_eq!(left, right, "after {:#?}", &source[number.saturating_sub(5)..number]);
    }
    assert_eq!(source.len(), target.len());
}

/// The lines that matter, rows of a table in a stable order. Servers of different majors print queries with and without
/// qualified columns: there the qualifiers are taken off.
fn normalised(dump: &str, alike: bool) -> Vec<String> {
    const QUERIES: [&str; 5] =
        ["CREATE VIEW ", "CREATE OR REPLACE VIEW ", "CREATE MATERIALIZED VIEW ", "CREATE RULE ", "CREATE POLICY "];
    let mut lines: Vec<String> = Vec::new();
    let mut rows: Option<Vec<&str>> = None;
    let mut in_query = false;
    for line in dump.lines() {
        if let Some(mut found) = rows.take() {
            if line == "\\." {
                found.sort_unstable();
                lines.extend(found.into_iter().map(str::to_owned));
            } else {
                found.push(line);
                rows = Some(found);
            }
            continue;
        }
        let session = ["--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"];
        // Multiranges came with 14: a newer server names the one that it made for a range.
        let is_newer = line.trim_start().starts_with("multirange_type_name");
        if line.is_empty() || is_newer || session.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        in_query |= QUERIES.iter().any(|start| line.starts_with(start));
        lines.push(if in_query && !alike { without_qualifiers(line) } else { line.to_owned() });
        in_query &= !line.ends_with(';');
        rows = (line.starts_with("COPY ") && line.ends_with("FROM stdin;")).then(Vec::new);
    }
    lines
}

fn without_qualifiers(line: &str) -> String {
    let mut parts: Vec<&str> = line.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let name = |character: char| character.is_alphanumeric() || character == '_';
    parts.iter().map(|part| part.trim_end_matches(name)).chain([last]).collect()
}
