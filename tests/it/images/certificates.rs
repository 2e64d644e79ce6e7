//! The authorities that db-migration trusts for RDS: which they are, where they come from, and that they are enough.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use sha2::Digest as _;
use tests::engines::{Database, PrivateNetwork, RDS_NAME, Task, built_images, images_script, postgres};

/// Where the image has them: `migrate_db::tls::RDS_BUNDLE`.
const BUNDLE: &str = "/etc/ssl/certs/rds-global-bundle.pem";

/// A build of db-migration that was given a bundle.
const TAG: &str = "with-a-bundle";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// SHA-256 of each certificate of a PEM file, as `openssl x509 -fingerprint -sha256` writes it, without the colons.
fn fingerprints(pem: &str) -> BTreeSet<String> {
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1).map(|rest| rest.split("-----END").next().unwrap());
    let fingerprint = |block: &str| {
        let block: String = block.split_whitespace().collect();
        hex::encode_upper(sha2::Sha256::digest(base64::prelude::BASE64_STANDARD.decode(block).unwrap()))
    };
    blocks.map(fingerprint).collect()
}

fn kept() -> BTreeSet<String> {
    fingerprints(&fs::read_to_string(root().join("images/db-migration/certificates/rds-eu-west-2.pem")).unwrap())
}

#[test]
fn the_kept_authorities_are_those_that_the_decision_names() {
    let decision = root().join("runbooks/decisions/0033-the-estates-authorities-are-kept.md");
    let decision = fs::read_to_string(decision).unwrap();
    let named: BTreeSet<_> =
        decision.split('`').skip(1).step_by(2).filter(|code| code.len() == 64).map(str::to_owned).collect();
    assert_eq!((kept().len(), kept()), (3, named));
}

#[test]
fn the_image_holds_amazons_authorities() {
    built_images();
    let script = format!(
        "id=$(docker create db-migration:under-test) && docker cp $id:{BUNDLE} - | tar -xO; docker rm $id >/dev/null"
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let held = fingerprints(&String::from_utf8(output.stdout).unwrap());
    assert!(held.is_superset(&kept()), "{held:?}");
    // Amazon Root CA 1, which signs for RDS Proxy; its fingerprint is on https://www.amazontrust.com/repository/.
    assert!(held.contains("8ECDE6884F3D87B1125BA31AC3FCB13D7016DE7F57CC904FE1CB97C6AE98196E"), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_rds_is_proved_without_mounting_anything() {
    // GIVEN a server with a name as RDS has them, signed by an authority that is no public one
    let network = PrivateNetwork::new();
    let (source, target) = tokio::join!(postgres(13), postgres(17));
    let (source, target) = tokio::join!(source.database(), target.database());
    source.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    network.admit(source.engine.port, "old");
    network.admit(target.engine.port, RDS_NAME);
    let url = |host: &str, database: &Database| {
        format!("postgresql://postgres:{}@{host}:5432/{}", database.engine.password(), database.name)
    };
    let task = Task::db_migration()
        .env("SOURCE_DATABASE_URL", url("old", &source))
        .env("DATABASE_URL", url(RDS_NAME, &target))
        .env("LOG_FORMAT", "json");

    // WHEN the image does not know that authority
    let refused = task.run(&network).await;
    // THEN it writes nothing, and says what to do
    assert_eq!(refused.code, 3, "{refused:#?}");
    for words in ["UnknownIssuer", "RDS_CA_BUNDLE", "https://truststore.pki.rds.amazonaws.com/"] {
        assert!(refused.stderr.contains(words), "{words}: {refused:#?}");
    }

    // WHEN it was built with that authority
    let directory = tempfile::tempdir().unwrap();
    let mut script = images_script(TAG, directory.path());
    let built = script.arg("db-migration").env("RDS_CA_BUNDLE", target.engine.authority()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let moved = task.tag(TAG).run(&network).await;
    Command::new("docker").args(["rmi", "--force", &format!("db-migration:{TAG}")]).output().unwrap();
    // THEN verify-full, which is the default for RDS, holds for the program and for pg_restore
    moved.assert_verdict(0, "equal");
    assert!(!moved.stderr.contains("the target's identity is unproved"), "{moved:#?}");
}

#[test]
fn what_is_no_bundle_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n").unwrap();
    let broken = directory.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nMC4=\n-----END CERTIFICATE-----\n").unwrap();
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (path, words) in [
        (Path::new("/nowhere.pem"), "cannot be read: No such file or directory"),
        (&empty, "holds no certificate"),
        (&key, "holds a private key"),
        (&broken, "cannot be understood"),
    ] {
        // WHEN an image is to be built with it
        let mut script = images_script("never", directory.path());
        let output = script.arg("db-migration").env("RDS_CA_BUNDLE", path).output().unwrap();
        // THEN the file and the reason are named, and no image is made
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.contains(path.to_str().unwrap()), "{words}: {said}");
        assert!(!said.contains("building db-migration"), "{said}");
    }
}
