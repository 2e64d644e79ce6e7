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

#[tokio::test]
async fn an_owner_bound_by_policies_never_takes_none_for_all() {
    // GIVEN a partition whose policies bind its owner too, on the source and, after a migration by a superuser, on the target
    let pair = Pair::new(13, 17).await;
    let name = format!("owner_{}", pair.source.name);
    for database in [&pair.source, &pair.target] {
        let create = format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'owner-Pa55word'; ALTER DATABASE {} OWNER TO {name}; GRANT CREATE ON SCHEMA public TO {name}",
            database.name
        );
        database.execute(&create).await;
    }
    let forced = "SET ROLE {name}; CREATE TABLE notes (id integer) PARTITION BY RANGE (id);
                  CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (100);
                  INSERT INTO notes SELECT generate_series(1, 10);
                  ALTER TABLE notes_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;";
    pair.source.execute(&forced.replace("{name}", &name)).await;
    let (source, target) = (pair.source.url_as(&name, "owner-Pa55word"), pair.target.url_as(&name, "owner-Pa55word"));

    // WHEN the owner reads the source, in any mode
    for mode in ["--verbose", "--dry-run", "--verify", "--copy-only", "--repair"] {
        let outcome = pair.program_between(&source, &target).arg(mode).run().await;

        // THEN that is refused, with what helps an owner
        outcome.assert_code(3).assert_without(&["owner-Pa55word"]);
        assert!(
            outcome.stderr.contains("public.notes_1") && outcome.stderr.contains("NO FORCE ROW LEVEL SECURITY"),
            "{outcome}"
        );
    }

    // WHEN a superuser reads the source, and the owner writes the target
    pair.assert_equal(&pair.program_between(&pair.source.url(), &target).run().await);
    assert_eq!(pair.target.text("SELECT count(*) FROM notes").await.as_deref(), Some("10"));

    // THEN the owner, from whom the rows are hidden by then, neither finds them equal nor replaces them
    for mode in ["--verify", "--repair"] {
        let outcome = pair.program_between(&pair.source.url(), &target).arg(mode).run().await;
        outcome.assert_code(4);
        assert!(
            outcome.stderr.contains("public.notes_1") && outcome.stderr.contains("row-level security"),
            "{outcome}"
        );
    }
    assert_eq!(pair.target.text("SELECT count(*) FROM notes").await.as_deref(), Some("10"));
}
