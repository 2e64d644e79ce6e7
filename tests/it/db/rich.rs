//! A database with one of everything arrives whole, judged by an arbiter that is not ours: `pg_dump` of both sides.

use super::pair::{Pair, dump};

/// See the file.
pub(super) const RICH: &str = include_str!("rich.sql");

#[tokio::test]
async fn a_rich_database_arrives_on_a_newer_server() {
    arrives(13, 17).await;
}

#[tokio::test]
async fn a_rich_database_arrives_on_an_equal_new_server() {
    arrives(17, 17).await;
}

#[tokio::test]
async fn a_rich_database_arrives_on_an_equal_old_server() {
    arrives(13, 13).await;
}

async fn arrives(source_major: u16, target_major: u16) {
    // GIVEN a source with one of everything
    let pair = Pair::scripted(source_major, target_major, RICH).await;

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
    const QUERIES: [&str; 4] = ["CREATE VIEW ", "CREATE MATERIALIZED VIEW ", "CREATE RULE ", "CREATE POLICY "];
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
