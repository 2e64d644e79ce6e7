//! A role from which policies hide rows must not copy what it sees and call it all.

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE notes (id integer PRIMARY KEY, owner text);
    INSERT INTO notes SELECT n, 'somebody' FROM generate_series(1, 10) AS n;
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own_notes ON notes USING (owner = CURRENT_USER);";

async fn role(pair: &Pair, options: &str) -> String {
    let name = format!("reader_{}", pair.source.name);
    let create = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'reader-Pa55word' {options}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"
    );
    pair.source.execute(&create).await;
    pair.source.url_as(&name, "reader-Pa55word")
}

#[tokio::test]
async fn a_role_that_does_not_see_all_rows_is_refused() {
    // GIVEN a role that may read the table, and sees none of its rows
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let url = role(&pair, "").await;

    // WHEN it migrates, or compares
    for mode in ["--verbose", "--dry-run", "--verify"] {
        let outcome = pair.program_between(&url, &pair.target.url()).arg(mode).run().await;

        // THEN it is refused, the table is named and so is the way out; the target is untouched
        outcome.assert_code(3).assert_without(&["reader-Pa55word"]);
        assert!(outcome.stderr.contains("public.notes") && outcome.stderr.contains("BYPASSRLS"), "{outcome}");
        assert_eq!(pair.target.text("SELECT to_regclass('notes')").await, None);
    }
}

#[tokio::test]
async fn a_role_above_the_policies_copies_all_rows() {
    // GIVEN a role that is no superuser and not the owner, and that policies do not bind
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let url = role(&pair, "BYPASSRLS").await;

    // WHEN it migrates
    let outcome = pair.program_between(&url, &pair.target.url()).run().await;

    // THEN all rows arrive
    pair.assert_equal(&outcome);
    assert_eq!(pair.target.text("SELECT count(*) FROM notes").await.as_deref(), Some("10"));
}

#[tokio::test]
async fn a_role_that_may_not_read_a_table_is_refused() {
    // GIVEN a role without any right on one table
    let pair = Pair::filled(13, 17, SCHEMA).await;
    let url = role(&pair, "BYPASSRLS").await;
    pair.source.execute("CREATE TABLE private (id integer)").await;

    // WHEN it migrates
    let outcome = pair.program_between(&url, &pair.target.url()).run().await;

    // THEN it is refused, and told what to grant
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("public.private") && outcome.stderr.contains("GRANT SELECT"), "{outcome}");
}
