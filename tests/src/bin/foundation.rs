//! A Cloud Foundry in front of one PostgreSQL server, for `make bench-db`: says on stdout which variables lead through it,
//! and runs until its input ends.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use tests::cloud_foundry::{CloudFoundry, Config, Instance, ORGANISATION, PASSWORD, SPACE, USER};

/// Serves a foundation whose applications reach one server.
#[derive(Debug, Parser)]
struct Args {
    /// The server, for example `127.0.0.1:5432`
    #[arg(long)]
    server: SocketAddr,

    /// The database
    #[arg(long)]
    database: String,
}

fn main() -> ExitCode {
    let Args { server, database } = Args::parse();
    let credentials = json!({
        "host": "database.internal", "port": 5432, "name": database, "username": "postgres", "password": "none",
        "uri": "postgres://postgres:none@database.internal:5432/database?sslmode=disable",
    });
    let mut config =
        Config { instances: vec![Instance::managed("database", "postgres", &credentials)], ..Config::default() };
    config.reachable.insert("database.internal:5432".into(), server);
    let foundation = CloudFoundry::start(config);
    // It runs already: what is measured is the way and not the staging.
    foundation.add_app("core", Some("database"));
    let said = writeln!(
        std::io::stdout(),
        "CF_API={} CF_CA_CERT={} CF_ORG={ORGANISATION} CF_SPACE={SPACE} CF_SERVICE=database CF_VIA_APP=core CF_USERNAME={USER} CF_PASSWORD={PASSWORD}",
        foundation.api(),
        foundation.ca_cert().display()
    );
    if said.is_err() || std::io::stdout().flush().is_err() {
        return ExitCode::FAILURE;
    }
    // Whatever it is told, it waits for the end.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
