//! Before anything is made: what may be done, what would be done, and the commands that grant what is missing.

use tests::cloud_foundry::{CloudFoundry, PASSWORD, USER};

use super::{Inside, SCHEMA, SERVICE};

const SMALL: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)";

/// Requests that make or change something.
fn changes(foundation: &CloudFoundry) -> usize {
    ["POST /v3", "PATCH /v3", "DELETE /v3"].iter().map(|what| foundation.request_count(what)).sum()
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_make_and_makes_nothing() {
    // GIVEN a database inside a foundation WHEN its migration is only tried
    let inside = Inside::new(SMALL).await;
    let outcome = inside.program().env("LOG_FORMAT", "text").arg("--dry-run").run().await;

    // THEN what would be made is told, and nothing is
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("an application migrate-db-helper-"), "{outcome}");
    assert!(outcome.stdout.contains(&format!("of {SERVICE} (read-only)")), "{outcome}");
    assert!(outcome.stdout.contains("is SpaceDeveloper in dluhc-core/production"), "{outcome}");
    assert_eq!(changes(&inside.foundation), 0);
    inside.assert_clean(&outcome);
}

#[tokio::test]
async fn through_an_application_that_is_bound_even_a_dry_run_sees_everything() {
    // GIVEN an application that runs and has the database
    let inside = Inside::new(SCHEMA).await;
    inside.foundation.add_app("core", Some(SERVICE));
    let there = inside.foundation.things();

    // WHEN the migration goes through it, first to try
    let program = inside.program().env("CF_VIA_APP", "core");
    let tried = program.clone().env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    let outcome = program.run().await;

    // THEN the plan names the tables, everything arrives, and nothing was made
    tried.assert_code(0);
    assert!(tried.stdout.contains("public.big"), "{tried}");
    inside.pair.assert_equal(&outcome);
    assert_eq!(changes(&inside.foundation), 0);
    assert_eq!(inside.foundation.things(), there);
}

#[tokio::test]
async fn an_application_that_is_not_bound_stays_so() {
    let inside = Inside::new(SMALL).await;
    inside.foundation.add_app("core", None);
    let outcome = inside.program().env("CF_VIA_APP", "core").run().await;
    inside.pair.assert_equal(&outcome);
    assert_eq!(inside.foundation.things(), ["app core"]);
    assert_eq!(inside.foundation.request_count("POST /v3/apps"), 0);
}

#[tokio::test]
async fn each_missing_right_is_named_with_the_command_that_grants_it() {
    let role = Inside::with(SMALL, "postgres", |config, _| config.is_developer = false).await;
    let ssh = Inside::with(SMALL, "postgres", |config, _| config.space_ssh = false).await;
    let group = Inside::with(SMALL, "postgres", |config, _| config.reachable.clear()).await;
    let role_command = format!("cf set-space-role {USER} dluhc-core production SpaceDeveloper");
    for (inside, command, makes) in [
        (&role, role_command.as_str(), false),
        (&ssh, "cf allow-space-ssh production", false),
        (&group, "cf bind-security-group GROUP dluhc-core --space production", true),
    ] {
        let outcome = inside.program().run().await;
        outcome.assert_code(3);
        assert!(outcome.stderr.contains(command), "{command} is not in {outcome}");
        assert_eq!(changes(&inside.foundation) > 0, makes, "{outcome}");
        inside.assert_clean(&outcome);
    }
}

#[tokio::test]
async fn names_that_are_not_there_are_told() {
    let inside = Inside::new(SMALL).await;
    for (variable, value, words) in [
        ("CF_ORG", "nobody", "there is no organisation called `nobody`"),
        ("CF_SPACE", "nowhere", "there is no space called `nowhere`"),
        ("CF_SERVICE", "nothing", "there is no service instance called `nothing`"),
        ("CF_VIA_APP", "none", "there is no application called `none`"),
        ("CF_PASSWORD", "wrong", "cannot log in"),
    ] {
        let outcome = inside.program().env(variable, value).run().await;
        outcome.assert_code(3).assert_without(&[PASSWORD]);
        assert!(outcome.stderr.contains(words), "{words} is not in {outcome}");
    }
    let outcome = inside.program().without_env("CF_CA_CERT").run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("certificate") && outcome.stderr.contains("CF_CA_CERT"), "{outcome}");
    assert_eq!(changes(&inside.foundation), 0);
}
