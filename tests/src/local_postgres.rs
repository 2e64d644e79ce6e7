//! PostgreSQL servers from the binaries that Debian's package installs, for the demo and the fast tests.
//!
//! Each server lives in a temporary directory of its own and ends with the process that started it, however that process
//! ends: a small shell holds the reading end of a pipe, and when the other end goes away, also by `kill -9`, it stops the
//! server and removes the directory. Nothing of an installed cluster is read or touched.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Where Debian's packages put each major version.
const DEBIAN_DIRECTORY: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root; this is the user that Debian's package makes for it.
const SYSTEM_USER: &str = "postgres";
/// The role that `initdb` makes, named as on RDS, where nobody but the platform has it.
const SUPERUSER: &str = "rdsadmin";
/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Starts "$@", stops it at once when standard input ends, as nobody needs its data any more, and then removes the
/// directory $0. A server that fails leaves the directory, and its log in it, to the owner.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
"$@" & server=$!
( cat <&3 >/dev/null; while kill -QUIT "$server" 2>/dev/null; do sleep 0.1; done ) & watcher=$!
exec 3<&-
wait "$server" || exit
kill "$watcher" 2>/dev/null
rm -rf -- "$0"
"#;

/// Settings for speed: the data need not outlive the process, and a small machine runs two servers.
const SETTINGS: &str = "\
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = '2GB'
shared_buffers = '128MB'
maintenance_work_mem = '128MB'
max_connections = 100
autovacuum = off
log_min_messages = warning
timezone = 'UTC'
";

/// A server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalPostgresError {
    /// The binaries are not there.
    #[error("no PostgreSQL server is installed in {DEBIAN_DIRECTORY}: run `apt-get install postgresql` as root")]
    NotInstalled,
    /// Something of the system failed.
    #[error("a local PostgreSQL server cannot be {action}: {cause}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What went wrong.
        cause: String,
    },
    /// The server is there and says no.
    #[error("the local PostgreSQL server refused: {0}")]
    Refused(String),
}

impl From<tokio_postgres::Error> for LocalPostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string))
    }
}

/// A running server on 127.0.0.1. Dropping it stops it and removes its directory.
#[derive(Debug)]
pub struct LocalPostgres {
    port: u16,
    password: String,
    directory: TempDir,
    bin: PathBuf,
    keeper: Child,
}

impl LocalPostgres {
    /// Starts a server of the newest installed version with one superuser. It answers when this returns.
    pub async fn start() -> Result<Self, LocalPostgresError> {
        let bin = newest_bin_directory().ok_or(LocalPostgresError::NotInstalled)?;
        let directory = private_directory()?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        initialise(&bin, directory.path(), &password)?;
        let port = free_port()?;
        let keeper = launch(&bin, directory.path(), port)?;
        let mut server = Self { port, password, directory, bin, keeper };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The directory of `pg_dump`, `pg_restore` and `psql` of the server's version.
    pub fn bin_directory(&self) -> &Path {
        &self.bin
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of every role of this server.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A connection URL for a role and a database of this server.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// A connection URL of the superuser.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, database)
    }

    /// Makes an empty database that belongs to `owner`, an ordinary role that is made when it is not there, and returns the
    /// owner's URL. As on managed platforms, the owner is no superuser.
    pub async fn create_database(&self, name: &str, owner: &str) -> Result<String, LocalPostgresError> {
        let client = self.connect(&self.superuser_url("postgres")).await?;
        if client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&owner]).await?.is_none() {
            client.batch_execute(&format!("CREATE ROLE \"{owner}\" LOGIN PASSWORD '{}'", self.password)).await?;
        }
        client.batch_execute(&format!("CREATE DATABASE \"{name}\" OWNER \"{owner}\"")).await?;
        Ok(self.url(owner, name))
    }

    /// Connects without TLS. The connection ends when the client is dropped.
    pub async fn connect(&self, url: &str) -> Result<Client, LocalPostgresError> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        // Its errors also reach the client's next call.
        tokio::spawn(async move { connection.await.ok() });
        Ok(client)
    }

    /// Bytes on disk of the database that `client` is connected to.
    pub async fn size(&self, client: &Client) -> Result<u64, LocalPostgresError> {
        let row = client.query_one("SELECT pg_database_size(current_database())", &[]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
    }

    async fn wait_until_ready(&mut self) -> Result<(), LocalPostgresError> {
        let started = Instant::now();
        loop {
            let Err(last) = self.connect(&self.superuser_url("postgres")).await else { return Ok(()) };
            let ended = self.keeper.try_wait().ok().flatten().is_some();
            if ended || started.elapsed() > START_LIMIT {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                let cause = format!("{last}; the end of its log: {}", log.lines().last().unwrap_or("(empty)"));
                return Err(LocalPostgresError::System { action: "started", cause });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let asked = Instant::now();
        while matches!(self.keeper.try_wait(), Ok(None)) && asked.elapsed() < STOP_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `/usr/lib/postgresql/N/bin` of the highest N that holds a server. Wrappers elsewhere in the path are passed by: they
/// choose versions by rules of their own.
fn newest_bin_directory() -> Option<PathBuf> {
    let majors = fs::read_dir(DEBIAN_DIRECTORY).ok()?.flatten();
    let bins = majors.filter_map(|entry| {
        let major: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        bin.join("postgres").exists().then_some((major, bin))
    });
    bins.max().map(|(_, bin)| bin)
}

fn system(action: &'static str) -> impl Fn(std::io::Error) -> LocalPostgresError {
    move |error| LocalPostgresError::System { action, cause: error.to_string() }
}

/// A temporary directory that the server's user can work in.
fn private_directory() -> Result<TempDir, LocalPostgresError> {
    let failed = system("given a directory");
    let directory = tempfile::Builder::new().prefix("local-postgres-").tempdir().map_err(&failed)?;
    if let Some((user, group)) = system_user()? {
        chown(directory.path(), Some(user), Some(group)).map_err(&failed)?;
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).map_err(&failed)?;
    Ok(directory)
}

/// The ids to run the server under; `None` when we are an ordinary user and it runs as ourselves.
fn system_user() -> Result<Option<(u32, u32)>, LocalPostgresError> {
    let id = |arguments: &[&str]| -> Result<u32, LocalPostgresError> {
        let output = Command::new("id").args(arguments).output().map_err(system("given a user"))?;
        let cause = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let number = String::from_utf8_lossy(&output.stdout).trim().parse();
        number.map_err(|_| LocalPostgresError::System { action: "given a user", cause: cause() })
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((id(&["-u", SYSTEM_USER])?, id(&["-g", SYSTEM_USER])?)))
}

/// `program` as the server's user, with a clean environment: no `PG*` variable of ours reaches the server.
fn as_server_user(program: &Path) -> Result<Vec<String>, LocalPostgresError> {
    let mut words = Vec::new();
    if let Some((user, group)) = system_user()? {
        words.extend(["setpriv".to_owned(), format!("--reuid={user}"), format!("--regid={group}")]);
        words.extend(["--clear-groups".to_owned(), "--".to_owned()]);
    }
    words.push(program.display().to_string());
    Ok(words)
}

fn initialise(bin: &Path, directory: &Path, password: &str) -> Result<(), LocalPostgresError> {
    let failed = system("initialised");
    let password_file = directory.join("password");
    fs::write(&password_file, password).map_err(&failed)?;
    fs::set_permissions(&password_file, Permissions::from_mode(0o600)).map_err(&failed)?;
    if let Some((user, group)) = system_user()? {
        chown(&password_file, Some(user), Some(group)).map_err(&failed)?;
    }
    let words = as_server_user(&bin.join("initdb"))?;
    let output: Output = Command::new(&words[0])
        .args(&words[1..])
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username", SUPERUSER])
        .arg(format!("--pwfile={}", password_file.display()))
        .arg(format!("--pgdata={}", directory.join("data").display()))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(directory)
        .output()
        .map_err(&failed)?;
    if !output.status.success() {
        let cause = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LocalPostgresError::System { action: "initialised", cause });
    }
    fs::remove_file(&password_file).map_err(&failed)?;
    let configuration = directory.join("data/postgresql.auto.conf");
    let settings = format!("{SETTINGS}unix_socket_directories = '{}'\n", directory.display());
    fs::write(configuration, settings).map_err(&failed)
}

fn free_port() -> Result<u16, LocalPostgresError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(system("given a port"))?;
    Ok(listener.local_addr().map_err(system("given a port"))?.port())
}

fn launch(bin: &Path, directory: &Path, port: u16) -> Result<Child, LocalPostgresError> {
    let failed = system("started");
    let log = fs::File::create(directory.join("log")).map_err(&failed)?;
    Command::new("/bin/sh")
        .args(["-c", KEEPER])
        .arg(directory)
        .args(as_server_user(&bin.join("postgres"))?)
        .args(["-D", &directory.join("data").display().to_string(), "-h", "127.0.0.1", "-p", &port.to_string()])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().map_err(&failed)?)
        .stderr(log)
        // Ctrl-C goes to the terminal's whole group; the server must outlive the programs that still use it.
        .process_group(0)
        .spawn()
        .map_err(&failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_answers_and_leaves_nothing_behind() {
        // GIVEN a running server
        let server = LocalPostgres::start().await.unwrap();
        let url = server.create_database("some", "owner").await.unwrap();
        let directory = server.directory.path().to_owned();
        let client = server.connect(&url).await.unwrap();
        let row =
            client.query_one("SELECT current_user::text, usesuper FROM pg_user WHERE usename = current_user", &[]);
        let row = row.await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("owner", false));
        drop(client);

        // WHEN it is dropped
        let port = server.port();
        drop(server);

        // THEN nobody listens and nothing is left
        assert!(!directory.exists());
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }

    #[tokio::test]
    async fn a_server_ends_when_its_owner_is_killed() {
        // GIVEN a running server, WHEN the pipe to its keeper closes without a drop, as it does after `kill -9`
        let mut server = LocalPostgres::start().await.unwrap();
        drop(server.keeper.stdin.take());

        // THEN the keeper stops it and removes the directory
        let status = server.keeper.wait().unwrap();
        assert!(status.success());
        assert!(!server.directory.path().exists());
    }
}
