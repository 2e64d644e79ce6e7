//! A source and a target for one test, and what is asked of them again and again.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tests::engines::{Database, postgres, postgres_client_bin_dir};
use tests::program::{Outcome, Program};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Databases on servers of the given majors, both empty.
pub(super) struct Pair {
    pub(super) source: Database,
    pub(super) target: Database,
    pub(super) client: PathBuf,
}

impl Pair {
    pub(super) async fn new(source_major: u16, target_major: u16) -> Self {
        let (source, target) = tokio::join!(postgres(source_major), postgres(target_major));
        let (source, target) = tokio::join!(source.database(), target.database());
        Self { source, target, client: client(source_major.max(target_major)).await }
    }

    /// A pair whose source is filled.
    pub(super) async fn filled(source_major: u16, target_major: u16, statements: &str) -> Self {
        let pair = Self::new(source_major, target_major).await;
        pair.source.execute(statements).await;
        pair
    }

    /// Databases of other encodings than UTF-8.
    pub(super) async fn in_encodings(majors: (u16, u16), encodings: (&str, &str)) -> Self {
        let (source, target) = tokio::join!(postgres(majors.0), postgres(majors.1));
        let (source, target) = tokio::join!(source.database_in(encodings.0), target.database_in(encodings.1));
        Self { source, target, client: client(majors.0.max(majors.1)).await }
    }

    /// A pair whose source is filled by a script, each statement of which is a transaction of its own.
    pub(super) async fn scripted(source_major: u16, target_major: u16, script: &str) -> Self {
        let pair = Self::new(source_major, target_major).await;
        let mut psql = Command::new(pair.client.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", "--dbname", &pair.source.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = psql.stdin.take().unwrap();
        input.write_all(script.as_bytes()).await.unwrap();
        drop(input);
        assert!(psql.wait().await.unwrap().success(), "the script failed; psql said why");
        pair
    }

    /// Another empty target of the same server.
    pub(super) async fn with_new_target(&self) -> Self {
        let target = self.target.engine.database().await;
        Self { source: self.source.clone(), target, client: self.client.clone() }
    }

    /// The program, configured for this pair.
    pub(super) fn program(&self) -> Program {
        self.program_between(&self.source.url(), &self.target.url())
    }

    /// The program with other connection strings.
    pub(super) fn program_between(&self, source: &str, target: &str) -> Program {
        Program::migrate_db()
            .env("SOURCE_DATABASE_URL", source)
            .env("DATABASE_URL", target)
            .env("PG_BIN_DIR", self.client.display().to_string())
            .env("LOG_FORMAT", "json")
            .env("PROGRESS_INTERVAL", "1")
    }

    /// Runs the migration, which must succeed.
    pub(super) async fn migrate(&self) -> Outcome {
        let outcome = self.program().run().await;
        self.assert_equal(&outcome);
        outcome
    }

    /// Compares; the outcome is the caller's to judge.
    pub(super) async fn verify(&self) -> Outcome {
        self.program().arg("--verify").run().await
    }

    /// The run ended with proof, and said no secret.
    #[track_caller]
    pub(super) fn assert_equal(&self, outcome: &Outcome) {
        outcome.assert_code(0).assert_without(&[self.source.engine.password()]);
        assert_eq!(outcome.summary()["verdict"], "equal", "{outcome}");
    }

    /// No journal is left on the target.
    pub(super) async fn assert_no_journal(&self) {
        let found = self.target.text("SELECT to_regnamespace('migrate_db')").await;
        assert_eq!(found, None, "the journal is still there");
    }
}

/// Programs of a client, taken out of its image in a thread where that may block.
pub(super) async fn client(major: u16) -> PathBuf {
    tokio::task::spawn_blocking(move || postgres_client_bin_dir(major)).await.unwrap()
}

/// `pg_dump` of everything in a database, as the client of `client` writes it.
pub(super) async fn dump(database: &Database, client: &Path) -> String {
    let output = Command::new(client.join("pg_dump"))
        .args(["--no-owner", "--no-acl", "--exclude-schema=migrate_db", "--dbname", &database.url()])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
