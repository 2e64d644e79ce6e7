//! The straight path: nothing goes wrong.

use super::{Inside, SCHEMA, SERVICE};

#[tokio::test]
async fn the_variables_of_the_shell_image_migrate_a_database_that_only_applications_reach() {
    // GIVEN a database inside a foundation
    let inside = Inside::new(SCHEMA).await;

    // WHEN it is migrated with CF_* and no URL
    let outcome = inside.program().run().await;

    // THEN everything arrives and is proved, and nothing is left on the platform
    inside.assert_equal(&outcome);
    assert_eq!(inside.pair.target.text("SELECT n FROM counted").await.as_deref(), Some("5000"));

    // AND a helper application and a service key were there for it, the key a read-only one; the connections had several
    // SSH sessions
    assert_eq!(inside.foundation.request_count("POST /v3/apps"), 2, "made and started");
    assert_eq!(inside.foundation.asked_parameters(), [serde_json::json!({ "read_only": true })]);
    assert!(inside.foundation.ssh_session_count() > 1, "{}", inside.foundation.ssh_session_count());
    assert!(outcome.stderr.contains(&format!("service {SERVICE}")) || outcome.stdout.contains("equal"), "{outcome}");
    inside.pair.assert_no_journal().await;
}

#[tokio::test]
async fn tls_proves_the_databases_own_name() {
    // GIVEN an authority that did not sign the database's certificate
    let inside = Inside::new("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let stranger = inside.pair.source.engine.stranger_authority();

    // WHEN the source is reached through the platform
    let program = inside.program().env("PGSSLROOTCERT", stranger.display().to_string());
    let outcome = program.run().await;

    // THEN it is refused, and what was made for it is gone
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("certificate"), "{outcome}");
    inside.assert_clean(&outcome);
}

#[tokio::test]
async fn a_second_run_and_a_comparison_go_the_same_way() {
    // GIVEN a migration that is finished
    let inside = Inside::new(SCHEMA).await;
    inside.assert_equal(&inside.program().run().await);

    // WHEN it is run again, and compared
    let again = inside.program().run().await;
    let compared = inside.program().arg("--verify").run().await;

    // THEN both say equal and leave nothing
    inside.assert_equal(&again);
    inside.assert_equal(&compared);
}
