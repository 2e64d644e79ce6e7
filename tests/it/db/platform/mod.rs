//! A source inside Cloud Foundry: `migrate-db` with the variables of the shell image and no URL.

mod cleanup;
mod faults;
mod kinds;
mod rekey;
mod rights;
mod straight;

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::cloud_foundry::{CloudFoundry, Config, Instance, ORGANISATION, PASSWORD, SPACE, USER};
use tests::engines::RDS_NAME as DATABASE_HOST;
use tests::program::{Outcome, Program};

use super::pair::Pair;

/// The service instance.
const SERVICE: &str = "dluhc-core-production-postgres";

/// Some 15 MB, and enough kinds of objects for pg_dump to have work.
const SCHEMA: &str = "
    CREATE TABLE big (id bigint PRIMARY KEY, a text, b text);
    INSERT INTO big SELECT n, md5(n::text), repeat(md5((n * 7)::text), 4) FROM generate_series(1, 60000) AS n;
    CREATE INDEX ON big (a);
    CREATE TABLE small (id serial PRIMARY KEY, big_id bigint NOT NULL REFERENCES big, note text);
    INSERT INTO small (big_id, note) SELECT n, 'note ' || n FROM generate_series(1, 5000) AS n;
    CREATE VIEW counted AS SELECT count(*) AS n FROM small;";

/// A database that only applications of a foundation can reach, and an empty target.
struct Inside {
    pair: Pair,
    foundation: CloudFoundry,
}

impl Inside {
    async fn new(schema: &str) -> Self {
        Self::with(schema, "postgres", |_, _| {}).await
    }

    /// The same; `change` is given the configuration of the foundation and the credentials of the database.
    async fn with(schema: &str, offering: &'static str, change: impl FnOnce(&mut Config, &Value)) -> Self {
        let pair = Pair::filled(17, 17, schema).await;
        let credentials = credentials(&pair);
        let mut config =
            Config { instances: vec![Instance::managed(SERVICE, offering, &credentials)], ..Config::default() };
        let database = SocketAddr::from(([127, 0, 0, 1], pair.source.engine.port));
        config.reachable.insert(format!("{DATABASE_HOST}:5432"), database);
        change(&mut config, &credentials);
        Self { pair, foundation: CloudFoundry::start(config) }
    }

    /// The program with the variables of the shell image, and what a test's foundation needs besides: its address and its
    /// authority, and the authority of the database.
    fn program(&self) -> Program {
        self.program_of_nobody().env("CF_USERNAME", USER).env("CF_PASSWORD", PASSWORD)
    }

    /// The same without a log-in.
    fn program_of_nobody(&self) -> Program {
        Program::migrate_db()
            .env("CF_API", self.foundation.api())
            .env("CF_ORG", ORGANISATION)
            .env("CF_SPACE", SPACE)
            .env("CF_SERVICE", SERVICE)
            .env("CF_CA_CERT", self.foundation.ca_cert().display().to_string())
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.pair.source.engine.authority().display().to_string())
            .env("DATABASE_URL", self.pair.target.url())
            .env("PG_BIN_DIR", self.pair.client.display().to_string())
            .env("LOG_FORMAT", "json")
            .env("PROGRESS_INTERVAL", "1")
    }

    /// The run proved everything equal, told no secret, and left nothing.
    #[track_caller]
    fn assert_equal(&self, outcome: &Outcome) {
        self.pair.assert_equal(outcome);
        self.assert_clean(outcome);
    }

    /// Nothing is left on the platform, and no secret was told.
    #[track_caller]
    fn assert_clean(&self, outcome: &Outcome) {
        outcome.assert_without(&[PASSWORD, self.pair.source.engine.password()]);
        assert_eq!(self.foundation.things(), Vec::<String>::new(), "{outcome}");
    }
}

/// As GOV.UK's broker gives them.
fn credentials(pair: &Pair) -> Value {
    let (name, password) = (&pair.source.name, pair.source.engine.password());
    json!({
        "host": DATABASE_HOST, "port": 5432, "name": name, "username": "postgres", "password": password,
        "uri": format!("postgres://postgres:{password}@{DATABASE_HOST}:5432/{name}"),
        "jdbcuri": format!("jdbc:postgresql://{DATABASE_HOST}:5432/{name}?user=postgres&password={password}"),
    })
}
