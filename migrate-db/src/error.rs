//! Every way in which a migration of a database can fail, its class and the next step.
//!
//! What the server says is shown only as far as it cannot hold a row's value ([`ServerError`]).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use common::error::{Class, OperatorError};
use common::infrastructure::InfrastructureError;
use common::report::{Check, CheckOutcome, ReportError, Unbalanced};
use common::settings::SettingError;
use common::signals::Signal;
use common::tasks::TaskFailure;
use tokio_postgres::error::SqlState;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The two ends of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the data is read.
    Source,
    /// Where it goes.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// A failed migration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The configuration file is missing or wrong, or lacks what was named.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
    /// The platform that the source is in refused or failed.
    #[error(transparent)]
    Platform(#[from] platform::Error),
    /// No session with a server could be opened.
    #[error("cannot connect to the {side} database at {endpoint}")]
    Connect {
        /// Which end.
        side: Side,
        /// Where it was looked for, without the password.
        endpoint: String,
        /// The cause.
        source: ServerError,
    },
    /// The certificates for TLS cannot be used.
    #[error("cannot use the certificates in {} for the {side}", path.display())]
    Certificates {
        /// Which end.
        side: Side,
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A statement failed.
    #[error("cannot {action} on the {side}")]
    Statement {
        /// Which end.
        side: Side,
        /// What was being done, as `verb object`.
        action: String,
        /// The cause.
        source: ServerError,
    },
    /// Preflight found conditions that must be mended first.
    #[error("preflight refuses to start: {}", failed_checks(.0))]
    Refused(Vec<Check>),
    /// pg_dump or pg_restore is missing or too old.
    #[error("{0}")]
    ClientTools(String),
    /// pg_dump or pg_restore failed.
    #[error("{tool} failed while it was to {action}: {message}")]
    Tool {
        /// The program.
        tool: &'static str,
        /// What it was to do.
        action: &'static str,
        /// What it said.
        message: String,
        /// Whether its connection broke.
        transient: bool,
    },
    /// The session that holds the snapshot is gone.
    #[error("the session that holds the source's snapshot was lost")]
    SnapshotLost(#[source] ServerError),
    /// Nothing moved for too long.
    #[error("no data moved for {} s while it was to {action}", idle.as_secs())]
    Stalled {
        /// What was being done.
        action: String,
        /// The limit that was exceeded.
        idle: Duration,
    },
    /// The journal on the target belongs to another migration.
    #[error("the target holds the journal of another migration: {0}")]
    ForeignJournal(String),
    /// A table's foreign keys are in the way of its repair, and this role cannot leave them aside.
    #[error(
        "the role may not set session_replication_role, and {table} has foreign keys from or to partitioned tables"
    )]
    CannotRepair {
        /// The table.
        table: String,
    },
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The balance sheet does not add up.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// A defect of the program.
    #[error(transparent)]
    Task(#[from] TaskFailure),
    /// A defect of the program, found by one of its own checks.
    #[error("{0}; this is a defect of the program")]
    Defect(String),
    /// Work was given up because the run is ending, for a reason that another error tells.
    #[error("given up because the run is ending")]
    Cancelled,
    /// Someone asked us to stop.
    #[error("stopped by {}", .0.name())]
    Stopped(Signal),
}

impl OperatorError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::Infrastructure(error) => error.class(),
            Self::Platform(error) => error.class(),
            Self::Connect { source, .. } => match source.class() {
                Class::Permanent => Class::Refused,
                class => class,
            },
            Self::Certificates { .. } => Class::Usage,
            Self::Statement { source, .. } => source.class(),
            Self::Refused(_) | Self::ClientTools(_) | Self::ForeignJournal(_) => Class::Refused,
            Self::Tool { transient: true, .. } | Self::SnapshotLost(_) | Self::Stalled { .. } => Class::Transient,
            // Never tried again: whoever cancelled has the reason.
            Self::Cancelled => Class::Permanent,
            Self::Tool { .. } | Self::CannotRepair { .. } | Self::Unbalanced(_) | Self::Task(_) | Self::Defect(_) => {
                Class::Permanent
            }
            Self::Report(error) => error.class(),
            Self::Stopped(signal) => Class::Stopped(*signal),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::Infrastructure(error) => error.hint(),
            Self::Platform(error) => error.hint(),
            Self::Connect { side, endpoint, source } => Some(connect_hint(*side, endpoint, source)),
            Self::Certificates { .. } => Some("give the path of a PEM file in sslrootcert".into()),
            Self::Statement { source, .. } => statement_hint(source),
            Self::Refused(checks) => {
                let fixes: Vec<&str> = checks.iter().filter_map(|check| check.fix.as_deref()).collect();
                Some(fixes.join("; "))
            }
            Self::ClientTools(_) => Some(
                "install the PostgreSQL client of a major version that is not older than the source's, or name its folder in PG_BIN_DIR".into(),
            ),
            Self::SnapshotLost(_) | Self::Stalled { .. } | Self::Tool { transient: true, .. } => {
                Some("run the same command again: it goes on from the journal".into())
            }
            Self::Tool { .. } => Some("mend the cause on the target, then run the same command again".into()),
            Self::ForeignJournal(_) => Some(
                "finish that migration with its own command, or give --clean --confirm DATABASE to start from nothing".into(),
            ),
            Self::CannotRepair { .. } => Some(
                "repair as a role that may set it (the main user of RDS may), or give --clean --confirm DATABASE to start from nothing".into(),
            ),
            Self::Report(error) => error.hint(),
            Self::Stopped(_) => Some("run the same command again: it goes on from the journal".into()),
            Self::Cancelled | Self::Unbalanced(_) | Self::Task(_) | Self::Defect(_) => None,
        }
    }
}

fn failed_checks(checks: &[Check]) -> String {
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.outcome == CheckOutcome::Fail).map(|check| check.detail.as_str()).collect();
    failed.join("; ")
}

fn connect_hint(side: Side, endpoint: &str, error: &ServerError) -> String {
    let url = match side {
        Side::Source => "SOURCE_DATABASE_URL (or where the source's credentials come from)",
        Side::Target => "DATABASE_URL",
    };
    match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!("check the user and the password in {url}")
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!("check the database's name in {url}, or create it")
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "end other sessions there, or give smaller --jobs and --index-jobs".into()
        }
        _ if error.message.contains("UnknownIssuer") && endpoint.contains(".rds.amazonaws.com") => format!(
            "trust the authority of that RDS server: build the image with RDS_CA_BUNDLE=FILE, or mount the file and name it as sslrootcert in {url}; \
             Amazon's are in https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
        ),
        _ if error.message.contains("certificate") || error.message.contains("TLS") => {
            format!("check sslmode and sslrootcert in {url}")
        }
        _ => format!("check the host and the port in {url}, the server, and the route to it"),
    }
}

fn statement_hint(error: &ServerError) -> Option<String> {
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => {
            Some("make room on that server, then run the same command again".into())
        }
        Some(code) if *code == SqlState::OUT_OF_MEMORY => {
            Some("raise max_locks_per_transaction on that server, then run the same command again".into())
        }
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
            Some("find who holds the lock (pg_blocking_pids, pg_stat_activity), end that session, then run the same command again".into())
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            Some("grant the role what the message names, then run the same command again".into())
        }
        // Sessions go without a search_path, as those of pg_restore and, since 17, of any maintenance do.
        Some(code) if [SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE].contains(code) => Some(
            "if a function behind a check, an index or a generated column looks for it, say where, on both sides: \
             ALTER FUNCTION … SET search_path = …; then run the same command again"
                .into(),
        ),
        _ if error.class() == Class::Transient => {
            Some("run the same command again: it goes on from the journal".into())
        }
        _ => None,
    }
}

/// What a server or the way to it said, fit to be shown: never a row's value.
#[derive(Debug)]
pub struct ServerError {
    message: String,
    code: Option<SqlState>,
    transient: bool,
}

impl ServerError {
    /// The SQLSTATE, where a server answered.
    pub fn code(&self) -> Option<&SqlState> {
        self.code.as_ref()
    }

    /// Transient or permanent.
    pub fn class(&self) -> Class {
        if self.transient { Class::Transient } else { Class::Permanent }
    }

    /// The host's name cannot be in a certificate.
    pub fn unusable_name(reason: &str) -> Self {
        Self { message: format!("no certificate can name the host: {reason}"), code: None, transient: false }
    }

    /// There is nobody to talk to. A name that cannot be one is the only cause that does not pass.
    pub fn unreachable(error: &std::io::Error) -> Self {
        let transient = error.kind() != std::io::ErrorKind::InvalidInput;
        Self { message: format!("error connecting to server: {error}"), code: None, transient }
    }

    /// A COPY that looked as if it had come to its end, and had not.
    pub fn cut_short(taken: u64, sent: u64) -> Self {
        let message =
            format!("{taken} rows came of {sent} that the server says it has sent: the connection is garbled");
        Self { message, code: None, transient: true }
    }

    /// A time limit of ours was exceeded.
    pub fn timeout(what: &str, limit: Duration) -> Self {
        Self { message: format!("{what} took longer than {} s", limit.as_secs()), code: None, transient: true }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ServerError {}

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            let code = server.code().clone();
            return Self {
                message: format!("{} (SQLSTATE {})", without_values(server.message(), &code), code.code()),
                transient: is_transient(&code),
                code: Some(code),
            };
        }
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        // Anything that broke the conversation is worth another try; anything we cannot make sense of is not.
        let is_garbled = message.starts_with("error parsing response") || message.starts_with("unexpected message");
        let mut transient = error.is_closed() || is_garbled;
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                transient |= !io.to_string().contains("certificate") && io.kind() != std::io::ErrorKind::InvalidInput;
            }
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        Self { message, code: None, transient }
    }
}

/// Data exceptions (class 22) and raised exceptions (class P0) quote values after a colon or within quotes; the rest of
/// the classes name objects only, and put values into DETAIL and CONTEXT, which are never shown.
fn without_values(message: &str, code: &SqlState) -> String {
    if code.code().starts_with("22") || code.code().starts_with("P0") {
        let end = message.find([':', '"', '\'']).unwrap_or(message.len());
        return message[..end].trim_end().to_owned();
    }
    message.to_owned()
}

/// Conditions that pass: connections, shutdowns, resources, conflicts (PostgreSQL documentation, appendix A).
fn is_transient(code: &SqlState) -> bool {
    let code = code.code();
    // Locks for more objects than the server has room for do not come with time.
    if code == "53200" {
        return false;
    }
    ["08", "40", "53"].iter().any(|class| code.starts_with(class))
        || ["57014", "57P01", "57P02", "57P03", "57P05", "58030", "25P03", "25P04"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_show() {
        let code = SqlState::INVALID_TEXT_REPRESENTATION;
        assert_eq!(
            without_values("invalid input syntax for type integer: \"Jane Doe\"", &code),
            "invalid input syntax for type integer"
        );
        let code = SqlState::UNIQUE_VIOLATION;
        let message = "duplicate key value violates unique constraint \"users_pkey\"";
        assert_eq!(without_values(message, &code), message);
    }

    #[test]
    fn resources_and_conflicts_pass_and_permissions_do_not() {
        assert!(is_transient(&SqlState::DISK_FULL));
        assert!(is_transient(&SqlState::ADMIN_SHUTDOWN));
        assert!(is_transient(&SqlState::T_R_SERIALIZATION_FAILURE));
        assert!(!is_transient(&SqlState::INSUFFICIENT_PRIVILEGE));
        assert!(!is_transient(&SqlState::INVALID_PASSWORD));
    }
}
