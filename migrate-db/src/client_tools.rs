//! Finds pg_dump and pg_restore, and runs them: argument lists without secrets, output through memory, time-limited.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use platform::loopback::Loopback;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::catalog::ServerVersion;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};

/// Where Debian keeps its versions side by side.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";
/// No single run of a tool takes longer than this; schema only, so minutes at most are expected.
const RUN_MAX: Duration = Duration::from_hours(2);

/// pg_dump and pg_restore of one version.
#[derive(Debug, Clone)]
pub struct ClientTools {
    directory: PathBuf,
    /// Their major version.
    pub major: i32,
}

/// What a tool left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it exited with 0.
    pub succeeded: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl ClientTools {
    /// Finds the tools: in `directory` when given, else Debian's versions and the search path. The best is the oldest
    /// major that is not older than either server; at any rate it is not older than the source.
    pub async fn find(directory: Option<&Path>, source: ServerVersion, target: ServerVersion) -> Result<Self> {
        let directories = directory.map_or_else(installed, |directory| vec![directory.to_owned()]);
        let wanted = source.major().max(target.major());
        let mut found: Vec<Self> = Vec::new();
        for directory in &directories {
            // None is better than the same major. What is left on the search path are wrappers, which take their time.
            if found.iter().any(|tools| tools.major == wanted) {
                break;
            }
            if let Some(major) = version_of(directory).await {
                found.push(Self { directory: directory.clone(), major });
            }
        }
        found.sort_by_key(|tools| tools.major);
        let newest = found.last().map(|tools| tools.major);
        let best = found.iter().find(|tools| tools.major >= wanted).or(found.last());
        match best {
            Some(tools) if tools.major >= source.major() => Ok(tools.clone()),
            _ => Err(Error::ClientTools(match newest {
                Some(major) => format!("pg_dump {major} is older than the source, which is PostgreSQL {source}"),
                None => format!("pg_dump and pg_restore were not found in {}", list(&directories)),
            })),
        }
    }

    /// Runs `tool` against `endpoint`. Its environment holds what libpq needs and nothing else.
    pub async fn run(
        &self,
        tool: &'static str,
        arguments: &[String],
        endpoint: &Endpoint,
        stop: &CancellationToken,
    ) -> Result<Outcome> {
        let cannot = |message: String| Error::Tool { tool, action: "start", message, transient: false };
        // There as long as the child is.
        let door = match &endpoint.tunnel {
            Some(tunnel) => Some(Loopback::open(tunnel, &endpoint.host, endpoint.port).await),
            None => None,
        };
        let door = door.transpose().map_err(|error| cannot(error.to_string()))?;
        let mut child = self
            .command(tool, endpoint, door.as_ref())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(error.to_string()))?;
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Defect("a child process has no output".into()));
        };
        let work = async {
            let (mut output, mut messages) = (Vec::new(), Vec::new());
            let (read_output, read_messages, status) =
                tokio::join!(stdout.read_to_end(&mut output), stderr.read_to_end(&mut messages), child.wait());
            read_output.and(read_messages).map_err(|error| cannot(error.to_string()))?;
            let status = status.map_err(|error| cannot(error.to_string()))?;
            let stderr = String::from_utf8_lossy(&messages).into_owned();
            Ok(Outcome { succeeded: status.success(), stdout: output, stderr })
        };
        tokio::select! {
            outcome = work => outcome,
            () = stop.cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep(RUN_MAX) => Err(Error::Stalled { action: format!("run {tool}"), idle: RUN_MAX }),
        }
    }

    /// Behind a door the host keeps its name, which its certificate must have.
    fn command(&self, tool: &str, endpoint: &Endpoint, door: Option<&Loopback>) -> Command {
        let port = door.map_or(endpoint.port, Loopback::port);
        let address = match door {
            Some(_) => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
            None => endpoint.host_address,
        };
        let mut command = Command::new(self.directory.join(tool));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGAPPNAME", "migrate-db")
            .env("PGHOST", &endpoint.host)
            .env("PGPORT", port.to_string())
            .env("PGUSER", &endpoint.user)
            .env("PGDATABASE", &endpoint.database)
            .env("PGSSLMODE", endpoint.tls.mode.word())
            .env("PGCONNECT_TIMEOUT", endpoint.connect_timeout.as_secs().max(2).to_string());
        if let Some(address) = address {
            command.env("PGHOSTADDR", address.to_string());
        }
        if let Some(password) = &endpoint.password {
            command.env("PGPASSWORD", password.expose());
        }
        if let Some(bundle) = endpoint.tls.bundle_for_libpq() {
            command.env("PGSSLROOTCERT", bundle);
        }
        if let Some(options) = &endpoint.options {
            command.env("PGOPTIONS", options);
        }
        command
    }
}

fn installed() -> Vec<PathBuf> {
    let versions =
        std::fs::read_dir(DEBIAN_VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    versions.chain(std::env::split_paths(&search_path)).collect()
}

/// The major version of both tools in `directory`; `None` where one is missing or they differ.
async fn version_of(directory: &Path) -> Option<i32> {
    let mut majors = Vec::new();
    for tool in ["pg_dump", "pg_restore"] {
        let path = directory.join(tool);
        if !path.is_file() {
            return None;
        }
        let output = Command::new(path).arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output().await.ok()?;
        majors.push(parse_major(&String::from_utf8_lossy(&output.stdout))?);
    }
    majors.dedup();
    (majors.len() == 1).then(|| majors[0])
}

/// `pg_dump (PostgreSQL) 17.4 (Debian …)`, `pg_dump (PostgreSQL) 18beta1`: the number after the name.
fn parse_major(version: &str) -> Option<i32> {
    let number = version.split(')').nth(1)?.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn list(directories: &[PathBuf]) -> String {
    directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_major("pg_dump (PostgreSQL) 17.4 (Debian 17.4-1)\n"), Some(17));
        assert_eq!(parse_major("pg_restore (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("nonsense"), None);
    }
}
