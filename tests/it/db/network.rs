//! Connections that break or hang, on either side: never a silent half, and the same command finishes the job.

use std::net::SocketAddr;
use tests::eventually::eventually;
use tests::fault_proxy::FaultProxy;
use tests::program::Program;

use super::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE big (id bigint PRIMARY KEY, a text, b text);
    INSERT INTO big SELECT n, md5(n::text), repeat(md5((n * 7)::text), 4) FROM generate_series(1, 150000) AS n;
    CREATE INDEX ON big (a);
    CREATE TABLE other (id integer PRIMARY KEY, note text);
    INSERT INTO other SELECT n, 'note ' || n FROM generate_series(1, 50000) AS n;";

/// A pair with a proxy before each side.
struct Path {
    pair: Pair,
    source: FaultProxy,
    target: FaultProxy,
}

impl Path {
    async fn new() -> Self {
        let pair = Pair::filled(17, 17, SCHEMA).await;
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let source = FaultProxy::start(at(pair.source.engine.port)).unwrap();
        let target = FaultProxy::start(at(pair.target.engine.port)).unwrap();
        Self { pair, source, target }
    }

    fn program(&self) -> Program {
        let source = self.pair.source.url_through(self.source.port());
        self.pair.program_between(&source, &self.pair.target.url_through(self.target.port()))
    }

    /// The first run ended with success, or said that it can be run again; the second one succeeds.
    async fn assert_finishes(&self, program: &Program, first: &tests::program::Outcome) {
        assert!(matches!(first.code, Some(0 | 5)), "{first}");
        if first.code == Some(5) {
            assert!(first.stderr.contains("next: run the same command again"), "{first}");
            self.pair.assert_equal(&program.run().await);
        }
        self.pair.assert_no_journal().await;
        self.pair.assert_equal(&self.pair.verify().await);
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_does_not_end_in_half_a_table() {
    // GIVEN a source whose connections break at some byte, early and late
    for bytes in [20_000, 2_000_000, 12_000_000, 25_000_000] {
        let path = Path::new().await;
        path.source.cut_after(bytes);

        // WHEN it is migrated
        let program = path.program();
        let outcome = program.run().await;

        // THEN the run recovers or can be run again, and nothing is missing
        path.assert_finishes(&program, &outcome).await;
    }
}

#[tokio::test]
async fn a_target_that_breaks_off_does_not_end_in_half_a_table() {
    // GIVEN a target whose connections break when the source has sent so much
    for bytes in [1_000_000, 12_000_000] {
        let path = Path::new().await;
        let program = path.program();
        let running = program.spawn().await;
        eventually("the source sends", async || path.source.forwarded_bytes() >= bytes).await;

        // WHEN they do
        path.target.cut();
        let outcome = running.wait().await;

        // THEN the run recovers or can be run again, and nothing is there twice
        path.assert_finishes(&program, &outcome).await;
    }
}

#[tokio::test]
async fn a_server_that_is_gone_for_good_is_named() {
    // GIVEN a source that breaks off and does not come back
    let path = Path::new().await;
    path.source.stall_after(2_000_000);
    let running = path.program().spawn().await;
    eventually("the source has stalled", async || path.source.forwarded_bytes() >= 2_000_000).await;
    path.source.refuse();
    path.source.cut();

    // WHEN the run meets it
    let outcome = running.wait().await;

    // THEN it ends with the code for "run again" and says what is wrong
    outcome.assert_code(5).assert_without(&[path.pair.source.engine.password()]);
    assert!(outcome.stderr.contains("source"), "{outcome}");
    assert!(outcome.stderr.contains("next: "), "{outcome}");
    path.source.forward();
    path.pair.assert_equal(&path.program().run().await);
}

#[tokio::test]
async fn a_row_that_the_server_never_sent_does_not_arrive() {
    // GIVEN a connection that carries one row more than the server has sent
    let pair = Pair::filled(
        15,
        17,
        "CREATE TABLE t (v bytea NOT NULL); INSERT INTO t SELECT decode('4d41524b' || md5(n::text), 'hex') FROM generate_series(1, 3000) AS n",
    )
    .await;
    let proxy = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], pair.source.engine.port))).unwrap();
    // Before a message of two bytes that count the fields and four that are a length.
    proxy.insert_before(b"MARK", 11, b"d\0\0\0\x0b\0\x01\0\0\0\x01X");

    // WHEN it is migrated, THEN it is noticed, and done once more
    let outcome = pair.program_between(&pair.source.url_through(proxy.port()), &pair.target.url()).run().await;
    assert!(proxy.has_inserted(), "{outcome}");
    pair.assert_equal(&outcome);
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn an_end_that_the_server_never_sent_is_no_end() {
    // GIVEN a connection where the rows seem to be over in the middle
    let pair = Pair::filled(
        15,
        17,
        "CREATE TABLE t (v bytea NOT NULL); INSERT INTO t SELECT decode('4d41524b' || md5(n::text), 'hex') FROM generate_series(1, 3000) AS n",
    )
    .await;
    for end in [b"c\0\0\0\x04".as_slice(), b"c\0\0\0\x04C\0\0\0\x0bCOPY 7\0"] {
        let again = pair.with_new_target().await;
        let proxy = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], pair.source.engine.port))).unwrap();
        proxy.insert_before(b"MARK", 11, end);

        // WHEN it is migrated, THEN all rows are there
        let outcome = again.program_between(&pair.source.url_through(proxy.port()), &again.target.url()).run().await;
        assert!(proxy.has_inserted(), "{outcome}");
        again.assert_equal(&outcome);
        again.assert_equal(&again.verify().await);
    }
}
