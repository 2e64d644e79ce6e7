//! `migrate-s3` as its operators run it, against an S3 server that validates what S3 validates and misbehaves on request.

mod arrived;
mod bad_input;
mod environment;
mod extra;
mod faults;
mod fidelity;
mod interrupted;
mod large;
mod manifest;
mod many;
mod other_stores;
mod platform;
mod proof;
mod random;
mod report;
mod seaweedfs;
mod second_run;
mod shards;
mod state;
mod verify;
mod versions;

use std::collections::BTreeSet;

use tests::program::{Outcome, Program};
use tests::s3_server::{Account, Bucket, Config, NewObject, S3Server, StoredObject};

/// The source bucket's name.
const SOURCE: &str = "paas-bucket";

/// The target bucket's name.
const TARGET: &str = "core-test-bulk-upload";

/// The source's secret, which must not be in any output.
const SOURCE_SECRET: &str = "source-secret-hunter2";

/// The target's secret, which must not be in any output.
const TARGET_SECRET: &str = "target-secret-hunter3";

/// One server with a bucket on either side, each used by an account of its own.
struct Estate {
    server: S3Server,
}

impl Estate {
    async fn new() -> Self {
        Self::with(Bucket::new(SOURCE), Bucket::new(TARGET)).await
    }

    async fn with(source: Bucket, target: Bucket) -> Self {
        let accounts = vec![
            Account::new("AKIASOURCE", SOURCE_SECRET, &[SOURCE]),
            Account::new("AKIATARGET", TARGET_SECRET, &[TARGET]),
        ];
        let server = S3Server::start(Config { accounts, buckets: vec![source, target] }).await.unwrap();
        Self { server }
    }

    fn put(&self, key: &str, body: impl Into<bytes::Bytes>) {
        self.server.put(SOURCE, key, NewObject::new(body));
    }

    /// The program with the variables of the ECS task definition and the two endpoints.
    fn program(&self) -> Program {
        program(&self.server.endpoint(), &format!("s3://{SOURCE}"), &format!("s3://{TARGET}"))
            .env("AWS_ACCESS_KEY_ID", "AKIATARGET")
            .env("AWS_SECRET_ACCESS_KEY", TARGET_SECRET)
    }

    /// Migrates and expects `code`; no secret may be in the output.
    async fn migrate(&self, code: i32) -> Outcome {
        run(&self.program(), code).await
    }

    /// Asserts that both buckets hold the same keys with the same bodies, headers and tags.
    fn assert_same(&self) {
        let keys = self.server.keys(SOURCE);
        assert_eq!(self.server.keys(TARGET), keys);
        for key in keys {
            let source = self.server.get(SOURCE, &key).unwrap();
            let target = self.server.get(TARGET, &key).unwrap();
            assert_eq!(source.body, target.body, "body of {key:?}");
            assert_eq!(source.headers, target.headers, "headers of {key:?}");
            let tags = |object: &StoredObject| object.tags.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(tags(&source), tags(&target), "tags of {key:?}");
        }
        assert_eq!(self.server.uploads(TARGET), [], "multipart uploads were left behind");
    }
}

/// The program with the source's own key pair and both endpoints at `endpoint`.
fn program(endpoint: &str, source: &str, target: &str) -> Program {
    Program::migrate_s3()
        .env("PAAS_BUCKET", source)
        .env("PAAS_ACCESS_KEY_ID", "AKIASOURCE")
        .env("PAAS_SECRET_ACCESS_KEY", SOURCE_SECRET)
        .env("PAAS_ENDPOINT_URL", endpoint)
        .env("NEW_BUCKET", target)
        .env("NEW_ENDPOINT_URL", endpoint)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("LOG_FORMAT", "json")
}

async fn run(program: &Program, code: i32) -> Outcome {
    let outcome = program.run().await;
    outcome.assert_code(code).assert_without(&[SOURCE_SECRET, TARGET_SECRET, "hunter"]);
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    outcome
}

/// The summary's totals by name.
fn total(outcome: &Outcome, name: &str) -> u64 {
    outcome.summary()["totals"][name].as_u64().unwrap_or_else(|| panic!("no total {name}: {outcome}"))
}

/// Asserts the balance sheet: listed, copied, equal, failed.
#[track_caller]
fn assert_totals(outcome: &Outcome, [listed, copied, equal, failed]: [u64; 4]) {
    let totals = ["listed", "copied", "equal", "failed"].map(|name| total(outcome, name));
    assert_eq!(totals, [listed, copied, equal, failed], "{outcome}");
}
