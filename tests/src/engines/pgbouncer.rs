//! `PgBouncer` in front of a test server, as a process: what stands between an application and its database on many platforms.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::port::free_port;
use super::postgres::Database;
use crate::eventually::eventually;

/// Where Debian's package puts it; a user's search path need not hold it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// It refuses to run as root.
const SYSTEM_USER: &str = "nobody";

/// A running pooler. Dropping it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Child,
    _directory: TempDir,
}

impl PgBouncer {
    /// Starts one before the server of `database`, in a `mode` of `PgBouncer`'s: `session` or `transaction`.
    ///
    /// # Panics
    ///
    /// When it is not installed, or does not start.
    pub async fn start(database: &Database, mode: &str) -> Self {
        assert!(Path::new(PROGRAM).exists(), "PgBouncer is missing: apt-get install pgbouncer");
        let directory = TempDir::new().unwrap_or_else(|error| panic!("no directory for PgBouncer: {error}"));
        let port = free_port();
        let file = directory.path().join("pgbouncer.ini");
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 40\nignore_startup_parameters = extra_float_digits,options\n",
            database.engine.port,
            database.engine.password()
        );
        let written = std::fs::File::create(&file).and_then(|mut file| file.write_all(config.as_bytes()));
        written.unwrap_or_else(|error| panic!("PgBouncer's configuration cannot be written: {error}"));
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(PROGRAM);
        if rustix::process::geteuid().is_root() {
            command.args(["--user", SYSTEM_USER]);
        }
        command.arg("--quiet").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("PgBouncer does not start: {error}"));
        let pooler = Self { port, process, _directory: directory };
        let url = pooler.url(database);
        eventually("PgBouncer answers", async || tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok())
            .await;
        pooler
    }

    /// The superuser's URL of `database` through the pooler.
    pub fn url(&self, database: &Database) -> String {
        database.url_through(self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
