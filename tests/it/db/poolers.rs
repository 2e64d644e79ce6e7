//! Poolers between the program and a server: one that shares connections between transactions is refused.

use std::net::{Ipv4Addr, SocketAddr};

use tests::engines::{Database, PgBouncer};
use tests::fault_proxy::FaultProxy;

use super::pair::Pair;

const SCHEMA: &str = "CREATE TABLE kept (id integer PRIMARY KEY); INSERT INTO kept VALUES (1)";

#[tokio::test]
async fn a_pooler_that_shares_its_connections_is_refused_on_either_side() {
    let pair = Pair::filled(15, 17, SCHEMA).await;
    for (side, database) in [("source", &pair.source), ("target", &pair.target)] {
        // GIVEN a pooler by the transaction before one side
        let pooler = PgBouncer::start(database, "transaction").await;
        let (source, target) = match side {
            "source" => (pooler.url(database), pair.target.url()),
            _ => (pair.source.url(), pooler.url(database)),
        };

        // WHEN a migration is to go through it
        let outcome = pair.program_between(&source, &target).run().await;

        // THEN it is refused before anything is changed, with the way out
        outcome.assert_code(3);
        assert!(outcome.stderr.contains("is a pooler that shares its connections"), "{outcome}");
        assert!(outcome.stderr.contains("name the server itself"), "{outcome}");
        pair.assert_no_journal().await;
    }
}

#[tokio::test]
async fn a_load_balancer_is_refused_whichever_connections_it_gives_to_the_other_server() {
    // GIVEN a database of the same name on two servers, and a load balancer that gives one of them every third connection
    let pair = Pair::filled(15, 17, SCHEMA).await;
    let name = format!("{}_balanced", pair.source.name);
    for database in [&pair.source, &pair.target] {
        database.execute(&format!("CREATE DATABASE {name}")).await;
    }
    let (usual, other) = (address(&pair.source), address(&pair.target));
    let balancer = FaultProxy::start_balancing(vec![usual, usual, other]).unwrap();
    let through_it = pair.source.url_through(balancer.port()).replace(&pair.source.name, &name);

    // WHEN a migration is to read through it
    let outcome = pair.program_between(&through_it, &pair.target.url()).run().await;

    // THEN it is refused before anything is changed, with the way out
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("reach two different servers"), "{outcome}");
    assert!(outcome.stderr.contains("name one server"), "{outcome}");
    pair.assert_no_journal().await;
}

fn address(database: &Database) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, database.engine.port).into()
}

#[tokio::test]
async fn a_pooler_that_gives_each_session_its_own_connection_is_no_obstacle() {
    // GIVEN poolers by the session before both sides
    let pair = Pair::filled(15, 17, SCHEMA).await;
    let source = PgBouncer::start(&pair.source, "session").await;
    let target = PgBouncer::start(&pair.target, "session").await;

    // WHEN a migration goes through them
    let program = pair.program_between(&source.url(&pair.source), &target.url(&pair.target));

    // THEN it succeeds
    pair.assert_equal(&program.run().await);
}
