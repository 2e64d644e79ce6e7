//! TLS by libpq's words: who proves what to whom, and what is refused.

use std::net::{Ipv4Addr, UdpSocket};

use tests::program::Outcome;

use super::pair::Pair;

/// The server's certificate names `localhost` only.
async fn migrate(host: &str, parameters: &str, authority: Option<&std::path::Path>) -> Outcome {
    let pair = Pair::filled(13, 17, "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let root = authority.map(|path| format!("&sslrootcert={}", path.display())).unwrap_or_default();
    let parameters = format!("{parameters}{root}");
    let source = pair.source.engine.url_at(host, &pair.source.name, &parameters);
    let target = pair.target.engine.url_at(host, &pair.target.name, &parameters);
    let outcome = pair.program_between(&source, &target).run().await;
    outcome.assert_without(&[pair.source.engine.password()]);
    outcome
}

async fn authorities() -> (std::path::PathBuf, std::path::PathBuf) {
    let engine = tests::engines::postgres(17).await;
    (engine.authority(), engine.stranger_authority())
}

#[tokio::test]
async fn the_right_authority_and_name_pass() {
    let (authority, _) = authorities().await;
    migrate("localhost", "sslmode=verify-full", Some(&authority)).await.assert_code(0);
}

#[tokio::test]
async fn another_authority_is_refused() {
    let (_, stranger) = authorities().await;
    for mode in ["verify-full", "verify-ca"] {
        let outcome = migrate("localhost", &format!("sslmode={mode}"), Some(&stranger)).await;
        outcome.assert_code(3);
        assert!(outcome.stderr.contains("certificate") && outcome.stderr.contains("sslrootcert"), "{outcome}");
    }
}

#[tokio::test]
async fn another_name_is_refused_by_verify_full_only() {
    let (authority, _) = authorities().await;
    let refused = migrate("127.0.0.1", "sslmode=verify-full", Some(&authority)).await;
    refused.assert_code(3);
    assert!(refused.stderr.contains("127.0.0.1") && refused.stderr.contains("certificate"), "{refused}");
    migrate("127.0.0.1", "sslmode=verify-ca", Some(&authority)).await.assert_code(0);
}

#[tokio::test]
async fn a_missing_authority_file_is_named() {
    let outcome = migrate("localhost", "sslmode=verify-full&sslrootcert=/no/such/file.pem", None).await;
    outcome.assert_code(2);
    assert!(outcome.stderr.contains("/no/such/file.pem"), "{outcome}");
}

#[tokio::test]
async fn without_a_word_elsewhere_is_encrypted_and_says_that_nothing_is_proved() {
    // GIVEN this machine's own address, which is not loopback (a datagram socket that sends nothing tells it)
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).unwrap();
    let host = socket.local_addr().unwrap().ip().to_string();

    // WHEN nothing is said about TLS
    let outcome = migrate(&host, "", None).await;

    // THEN it is used, and its limits are told
    outcome.assert_code(0);
    assert!(
        outcome.stderr.contains("identity is unproved") && outcome.stderr.contains("sslmode=verify-full"),
        "{outcome}"
    );
}
