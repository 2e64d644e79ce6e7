//! PostgreSQL servers: one container for each major version, one database for each test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use testcontainers::core::{IntoContainerPort as _, Mount, WaitFor};
use testcontainers::{CopyTargetOptions, ImageExt as _};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

use super::container::{generic_image, image, start};
use super::tls::Certificates;
use crate::eventually::eventually;

const START_SCRIPT: &str = include_str!("start-postgres.sh");

/// Recognisable, so that a test can look for it in whatever a program wrote.
const PASSWORD: &str = "engine-Pa55word";

/// Room for [`PostgresEngine::database_on_small_disk`].
pub const SMALL_DISK_BYTES: i64 = 64 << 20;

/// A server in a container.
#[derive(Debug)]
pub struct PostgresEngine {
    /// Its major version.
    pub major: u16,
    /// The image that it runs.
    pub image: String,
    /// The port on 127.0.0.1 and `localhost`. TLS is on offer; the certificate is for `localhost` only.
    pub port: u16,
    database_count: AtomicU32,
}

/// The server of that major version, started by the first call in this process.
///
/// # Panics
///
/// When there is no such engine, with a sentence that says what to do.
pub async fn postgres(major: u16) -> Arc<PostgresEngine> {
    type Engine = Arc<OnceCell<Arc<PostgresEngine>>>;
    static ENGINES: Mutex<BTreeMap<u16, Engine>> = Mutex::new(BTreeMap::new());
    let engine = Arc::clone(ENGINES.lock().unwrap_or_else(PoisonError::into_inner).entry(major).or_default());
    Arc::clone(engine.get_or_init(|| PostgresEngine::start(major)).await)
}

impl PostgresEngine {
    /// A server of that major version for the caller alone, who may bring it down.
    ///
    /// # Panics
    ///
    /// As [`postgres`].
    pub async fn alone(major: u16) -> Arc<Self> {
        Self::start(major).await
    }

    async fn start(major: u16) -> Arc<Self> {
        let image = tokio::task::spawn_blocking(move || image(&format!("postgres-{major}"))).await;
        let image = image.unwrap_or_else(|panic| panic!("PostgreSQL {major} cannot be had: {panic}"));
        let certificates = Certificates::get();
        let file = |path: &str, mode| CopyTargetOptions::new(path).with_mode(mode);
        let request = generic_image(&image)
            .with_entrypoint("/bin/sh")
            .with_exposed_port(5432.tcp())
            .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
            .with_cmd(["/harness/start.sh"])
            .with_env_var("PASSWORD", PASSWORD)
            .with_copy_to(file("/harness/start.sh", 0o755), START_SCRIPT.as_bytes().to_vec())
            .with_copy_to(file("/harness/server.crt", 0o644), certificates.server.clone().into_bytes())
            .with_copy_to(file("/harness/server.key", 0o600), certificates.server_key.clone().into_bytes())
            .with_mount(Mount::tmpfs_mount("/small").with_size(&SMALL_DISK_BYTES.to_string()))
            .with_shm_size(256 << 20);
        let port = start("PostgreSQL", request, 5432).await;
        let engine = Self { major, image, port, database_count: AtomicU32::new(0) };
        engine.announce().await;
        Arc::new(engine)
    }

    /// Says once, in the tests' output, what they run on.
    async fn announce(&self) {
        let client = connect(&self.url("postgres", "")).await;
        let version = client.query_one("SELECT version()", &[]).await.map(|row| row.get::<_, String>(0));
        let version = version.unwrap_or_else(|error| panic!("PostgreSQL {} does not answer: {error}", self.major));
        super::s3::announce(&format!("{version}, image {}", self.image));
    }

    /// A new, empty database.
    ///
    /// # Panics
    ///
    /// When the server does not make one.
    pub async fn database(self: &Arc<Self>) -> Database {
        self.made_database("").await
    }

    /// A new, empty database of another encoding than UTF-8, sorted by bytes.
    ///
    /// # Panics
    ///
    /// When the server does not make one.
    pub async fn database_in(self: &Arc<Self>, encoding: &str) -> Database {
        self.made_database(&format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")).await
    }

    /// A new, empty database that sorts texts as a language does, by ICU. PostgreSQL 15 and newer.
    ///
    /// # Panics
    ///
    /// When the server does not make one.
    pub async fn database_sorted_by(self: &Arc<Self>, locale: &str) -> Database {
        self.made_database(&format!("LOCALE_PROVIDER icu ICU_LOCALE '{locale}' TEMPLATE template0")).await
    }

    /// A new, empty database on a disk of its own, of [`SMALL_DISK_BYTES`]. One at a time for each server.
    ///
    /// # Panics
    ///
    /// When the server does not make one.
    pub async fn database_on_small_disk(self: &Arc<Self>) -> Database {
        let client = connect(&self.url("postgres", "")).await;
        let made = client.batch_execute("CREATE TABLESPACE small_disk LOCATION '/small'").await;
        made.unwrap_or_else(|error| panic!("cannot use the small disk: {}", described(&error)));
        self.made_database("TABLESPACE small_disk").await
    }

    async fn made_database(self: &Arc<Self>, options: &str) -> Database {
        let number = self.database_count.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let client = connect(&self.url("postgres", "")).await;
        let made = client.batch_execute(&format!("CREATE DATABASE {name} {options}")).await;
        made.unwrap_or_else(|error| panic!("cannot make the database {name}: {error}"));
        Database { engine: Arc::clone(self), name }
    }

    /// Lets the server crash: one of its processes dies, whereupon it ends all sessions, forgets its shared memory, and
    /// recovers from what it had written. Returns once it answers again.
    ///
    /// # Panics
    ///
    /// When the server cannot be told, or does not come back.
    pub async fn crash(&self) {
        let client = connect(&self.url("postgres", "")).await;
        // The statement's own process is the one that dies.
        let died = client.batch_execute("COPY (SELECT pg_backend_pid()) TO PROGRAM 'xargs kill -9'").await;
        assert!(died.is_err(), "the server did not crash");
        let url = self.url("postgres", "");
        eventually("the server answers again", async || tokio_postgres::connect(&url, NoTls).await.is_ok()).await;
    }

    /// The superuser's URL of a database at `127.0.0.1`; `parameters` go behind the question mark.
    pub fn url(&self, database: &str, parameters: &str) -> String {
        self.url_at("127.0.0.1", database, parameters)
    }

    /// The same at another name of this host: `localhost` is the one in the certificate.
    pub fn url_at(&self, host: &str, database: &str, parameters: &str) -> String {
        let question = if parameters.is_empty() { "" } else { "?" };
        format!("postgresql://postgres:{PASSWORD}@{host}:{}/{database}{question}{parameters}", self.port)
    }

    /// The password in the URLs.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// File with the authority that signed the server's certificate, for `sslrootcert`.
    pub fn authority(&self) -> PathBuf {
        Certificates::get().authority()
    }

    /// File with an authority that did not sign it.
    pub fn stranger_authority(&self) -> PathBuf {
        Certificates::get().stranger()
    }
}

/// A database of one test. It stays until the container is removed.
#[derive(Debug, Clone)]
pub struct Database {
    /// The server it is on.
    pub engine: Arc<PostgresEngine>,
    /// Its name.
    pub name: String,
}

impl Database {
    /// The superuser's URL at 127.0.0.1.
    pub fn url(&self) -> String {
        self.engine.url(&self.name, "")
    }

    /// The URL of another role with its password.
    pub fn url_as(&self, role: &str, password: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{}", self.engine.port, self.name)
    }

    /// The superuser's URL through another port of 127.0.0.1, for example a fault proxy's.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/{}", self.name)
    }

    /// A connection of the superuser.
    pub async fn connect(&self) -> Client {
        connect(&self.url()).await
    }

    /// Runs statements.
    ///
    /// # Panics
    ///
    /// When one of them fails.
    pub async fn execute(&self, statements: &str) {
        let result = self.connect().await.batch_execute(statements).await;
        result.unwrap_or_else(|error| panic!("{}: {}", self.name, described(&error)));
    }

    /// The first column of the first row of a query, as text; `None` is NULL.
    ///
    /// # Panics
    ///
    /// When the query fails or finds nothing.
    pub async fn text(&self, query: &str) -> Option<String> {
        let wrapped = format!("SELECT (q.v)::text FROM ({query}) q(v) LIMIT 1");
        let row = self.connect().await.query_one(&wrapped, &[]).await;
        row.unwrap_or_else(|error| panic!("{}: {}", self.name, described(&error))).get(0)
    }
}

/// A connection whose driver runs until the client is dropped, without the limits that a test gives the role.
async fn connect(url: &str) -> Client {
    let mut config: Config = url.parse().unwrap_or_else(|error| panic!("{error}"));
    config.options("-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0");
    let connected = config.connect(NoTls).await;
    let (client, connection) = connected.unwrap_or_else(|error| panic!("cannot connect: {}", described(&error)));
    // The client reports whatever ends the connection.
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn described(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
