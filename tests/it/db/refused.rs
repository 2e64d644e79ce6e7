//! Bad input: one clear error that names the thing, the cause and the next step; the right exit code; no secret.

use tests::program::{Outcome, Program};

use super::pair::{Pair, client};

const SECRET: &str = "hunter2-s3cret";

/// What every such error has in common.
#[track_caller]
fn assert_clear(outcome: &Outcome, code: i32, words: &[&str]) {
    outcome.assert_code(code).assert_without(&[SECRET, "engine-Pa55word"]);
    let said = &outcome.stderr;
    assert_eq!(said.matches("error: ").count(), 1, "one error is to be said:\n{outcome}");
    assert!(!said.contains("panicked"), "{outcome}");
    for word in words.iter().chain(&["next: "]) {
        assert!(said.contains(word), "{word:?} is not said:\n{outcome}");
    }
}

async fn pair() -> Pair {
    Pair::filled(13, 17, "CREATE TABLE t (id integer PRIMARY KEY)").await
}

#[tokio::test]
async fn servers_that_cannot_be_reached_are_named() {
    let pair = pair().await;
    let nobody = format!("postgresql://someone:{SECRET}@127.0.0.1:1/data");
    let outcome = pair.program_between(&pair.source.url(), &nobody).run().await;
    assert_clear(&outcome, 5, &["target", "127.0.0.1:1", "DATABASE_URL", "refused"]);
    let outcome = pair.program_between(&nobody, &pair.target.url()).run().await;
    assert_clear(&outcome, 5, &["source", "127.0.0.1:1", "SOURCE_DATABASE_URL", "refused"]);
    let nowhere = format!("postgresql://someone:{SECRET}@no-such-host.invalid/data");
    let outcome = pair.program_between(&nowhere, &pair.target.url()).run().await;
    assert_clear(&outcome, 5, &["source", "no-such-host.invalid", "check the host"]);
}

#[tokio::test]
async fn credentials_that_do_not_fit_are_refused() {
    let pair = pair().await;
    let wrong = pair.target.url_as("postgres", SECRET);
    let outcome = pair.program_between(&pair.source.url(), &wrong).run().await;
    assert_clear(&outcome, 3, &["target", "password authentication failed", "DATABASE_URL"]);
    let absent = pair.source.engine.url("no_such_database", "");
    let outcome = pair.program_between(&absent, &pair.target.url()).run().await;
    assert_clear(&outcome, 3, &["source", "no_such_database", "SOURCE_DATABASE_URL"]);
    let stranger = pair.source.url_as("no_such_role", SECRET);
    let outcome = pair.program_between(&stranger, &pair.target.url()).run().await;
    assert_clear(&outcome, 3, &["source", "no_such_role"]);
}

#[tokio::test]
async fn connection_strings_with_typos_are_refused() {
    let source = format!("postgresql://someone:{SECRET}@127.0.0.1:1/data");
    let typos = [
        ("postgrsql://u:hunter2-s3cret@h/d", "does not begin with"),
        ("postgresql://u:hunter2-s3cret@h/d?sslmod=require", "sslmod"),
        ("postgresql://u:hunter2-s3cret@h/d?sslmode=verify", "verify"),
        ("postgresql://u:hunter2-s3cret@h:54x2/d", "port"),
        ("postgresql://u:hunter2-s3cret@h", "names no database"),
        ("hunter2-s3cret", "neither a URL"),
    ];
    for (typo, words) in typos {
        let outcome = Program::migrate_db().env("SOURCE_DATABASE_URL", &source).env("DATABASE_URL", typo).run().await;
        assert_clear(&outcome, 2, &["DATABASE_URL", words]);
    }
}

#[tokio::test]
async fn settings_that_are_missing_or_empty_are_named() {
    let url = format!("postgresql://someone:{SECRET}@127.0.0.1:1/data");
    let outcome = Program::migrate_db().env("SOURCE_DATABASE_URL", &url).run().await;
    assert_clear(&outcome, 2, &["target database", "DATABASE_URL"]);
    let outcome = Program::migrate_db().env("SOURCE_DATABASE_URL", &url).env("DATABASE_URL", "").run().await;
    assert_clear(&outcome, 2, &["DATABASE_URL", "set to nothing"]);
    let outcome = Program::migrate_db().env("DATABASE_URL", &url).run().await;
    assert_clear(&outcome, 2, &["source database", "SOURCE_DATABASE_URL"]);
    let both = Program::migrate_db().env("DATABASE_URL", &url).env("SOURCE_DATABASE_URL", &url);
    let outcome = both.clone().env("JOBS", "").run().await;
    assert_clear(&outcome, 2, &["JOBS", "set to nothing"]);
    let service = Program::migrate_db().env("DATABASE_URL", &url).env("CF_SERVICE", "core-postgres");
    let outcome = service.env("VCAP_SERVICES", r#"{"postgres": []}"#).run().await;
    assert_clear(&outcome, 2, &["core-postgres", "VCAP_SERVICES"]);
}

#[tokio::test]
async fn a_password_on_the_command_line_is_refused() {
    let url = format!("postgresql://someone:{SECRET}@127.0.0.1:1/data");
    let outcome = Program::migrate_db().args(["--target", &url]).env("SOURCE_DATABASE_URL", &url).run().await;
    assert_clear(&outcome, 2, &["--target", "password", "DATABASE_URL"]);
}

#[tokio::test]
async fn an_unknown_environment_is_named_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("migration.toml");
    std::fs::write(&file, "schema_version = 1\n[environments.staging]\nprefix = \"core-staging\"\n").unwrap();
    let url = format!("postgresql://someone:{SECRET}@127.0.0.1:1/data");
    let program = Program::migrate_db().env("SOURCE_DATABASE_URL", &url).env("DATABASE_URL", &url);
    let program = program.args(["--environment", "stagin"]).env("CONFIG", file.display().to_string());
    assert_clear(&program.run().await, 2, &["stagin", "staging"]);
}

#[tokio::test]
async fn a_database_is_not_migrated_onto_itself() {
    let pair = pair().await;
    let same = pair.program_between(&pair.source.url(), &pair.source.url()).run().await;
    assert_clear(&same, 2, &["same database", &pair.source.name]);
    // Under another name of the host only the server can tell.
    let alias = pair.source.engine.url_at("localhost", &pair.source.name, "sslmode=disable");
    for mode in ["--verbose", "--dry-run", "--verify"] {
        let outcome = pair.program_between(&pair.source.url(), &alias).arg(mode).run().await;
        assert_clear(&outcome, 3, &["same database"]);
    }
    assert_eq!(pair.source.text("SELECT to_regnamespace('migrate_db')").await, None);
}

#[tokio::test]
async fn client_tools_that_are_too_old_are_refused() {
    // GIVEN a source that is newer than pg_dump
    let pair = Pair::filled(17, 17, "CREATE TABLE t (id integer)").await;
    let old = client(13).await;

    // WHEN it is migrated
    let outcome = pair.program().env("PG_BIN_DIR", old.display().to_string()).run().await;

    // THEN that is said before anything is changed
    assert_clear(&outcome, 3, &["pg_dump 13 is older than the source", "PG_BIN_DIR"]);
    pair.assert_no_journal().await;

    // WHEN there are none
    let outcome = pair.program().env("PG_BIN_DIR", "/no/such/folder").run().await;
    assert_clear(&outcome, 3, &["/no/such/folder", "PG_BIN_DIR"]);
}

#[tokio::test]
async fn a_second_run_beside_the_first_is_refused() {
    // GIVEN someone who holds the lock of a run
    let pair = pair().await;
    let holder = pair.target.connect().await;
    holder.batch_execute("SELECT pg_advisory_lock(x'6d69677261746564'::bit(64)::bigint)").await.unwrap();

    // WHEN a run is started
    let outcome = pair.program().run().await;

    // THEN it is refused
    assert_clear(&outcome, 3, &["another run is at work"]);
}

#[tokio::test]
async fn a_role_that_may_not_write_is_refused_before_any_change() {
    let pair = pair().await;
    let name = format!("reader_of_{}", pair.target.name);
    pair.target.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")).await;
    let outcome = pair.program_between(&pair.source.url(), &pair.target.url_as(&name, SECRET)).run().await;
    assert_clear(&outcome, 3, &["may not create schemas", "GRANT CREATE ON DATABASE", &name]);
}

#[tokio::test]
async fn a_password_that_is_not_encoded_is_not_shown() {
    let urls = [
        "postgres://u:abc?hunter2@127.0.0.1/d",
        "postgres://u:abc?hun=hunter2@127.0.0.1/d",
        "postgres://u:p@ss/hunter2@127.0.0.1/d",
        "postgres://u%3Ahunter2@127.0.0.1/d",
        "host=127.0.0.1 user=u password=my hunter2 dbname=d",
    ];
    let pair = pair().await;
    for url in urls {
        let outcome = pair.program_between(url, &pair.target.url()).run().await;
        outcome.assert_code(2).assert_without(&["hunter2"]);
        assert!(outcome.stderr.contains("SOURCE_DATABASE_URL"), "{outcome}");
    }
}

#[tokio::test]
async fn a_target_that_takes_no_writes_is_refused() {
    let pair = pair().await;
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", pair.target.name);
    pair.target.execute(&read_only).await;
    for mode in ["--dry-run", "--verbose"] {
        assert_clear(&pair.program().arg(mode).run().await, 3, &["the target is read-only"]);
    }
}

#[tokio::test]
async fn a_role_that_may_not_write_into_public_is_refused() {
    let pair = pair().await;
    let name = format!("creator_{}", pair.target.name);
    let create = format!(
        "CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON DATABASE {} TO {name}",
        pair.target.name
    );
    pair.target.execute(&create).await;
    let outcome = pair.program_between(&pair.source.url(), &pair.target.url_as(&name, SECRET)).run().await;
    assert_clear(&outcome, 3, &["GRANT CREATE ON SCHEMA public", &name]);
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_found_out_first() {
    let pair = pair().await;
    let outcome = pair.program().env("REPORT", "/proc/nowhere").run().await;
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains("/proc/nowhere"), "{outcome}");
    assert_eq!(pair.target.text("SELECT to_regnamespace('migrate_db')").await, None);
}
