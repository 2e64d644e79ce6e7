//! What is looked at before anything is changed. Each check says what was seen and, when it did not pass, the exact fix.
//!
//! Only reads. Called by `run` for every mode; the checks of the target's emptiness matter to a migration only.

mod census;
mod left;
mod route;
mod source;
mod target;

use std::fmt::Write as _;

use common::report::{Check, CheckOutcome};

use crate::catalog::{Catalog, ServerVersion};
use crate::choices;
use crate::client_tools::ClientTools;
use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Side};
use crate::journal::Journal;
use crate::plan::Plan;
use crate::preset::Planted;
use crate::seal::Seal;
use crate::tls::SslMode;

/// The oldest major that is read.
const OLDEST_MAJOR: i32 = 10;

/// One end, as preflight sees it.
pub struct Party<'a> {
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// An open session.
    pub session: &'a Session,
    /// Its version.
    pub version: ServerVersion,
}

/// Whether the target may be written to, and what is known of it.
pub struct TargetState<'a> {
    /// The journal found there.
    pub journal: Option<&'a Journal>,
    /// The seal of this migration, finished earlier.
    pub seal: Option<&'a Seal>,
    /// What `--confirm` must repeat.
    pub confirmation: &'a str,
    /// `--clean` was given.
    pub clean: bool,
}

/// The version of the server behind `session`.
pub async fn server_version(session: &Session) -> Result<ServerVersion> {
    let statement = "SELECT current_setting('server_version_num')::integer";
    Ok(ServerVersion(session.value("read the server's version", statement, &[]).await?))
}

/// Looks whether the way to one end leads to one server. First of all, and the end of the run where it does not: what any
/// other question is answered behind a pooler means nothing.
pub async fn way(endpoint: &Endpoint, side: Side) -> Result<Check> {
    let check = route::leads_to_one_server(endpoint, side).await?;
    refuse_failures(std::slice::from_ref(&check))?;
    Ok(check)
}

pub use census::locks as room_for_locks;
pub use source::sort_alike;

/// The checks for a person: what a dry run prints. One line each, and the fix below where there is one.
pub fn describe(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let _ = writeln!(text, "{:<5} {}: {}", check.outcome.word(), check.name, check.detail);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "      next: {fix}");
        }
    }
    text
}

/// Looks at both ends for reading them: what every mode needs.
pub async fn for_reading(source: &Party<'_>, target: &Party<'_>, catalog: &Catalog) -> Result<Vec<Check>> {
    let mut checks = vec![versions(source.version, target.version)];
    checks.extend([tls("source", source.endpoint), tls("target", target.endpoint)].into_iter().flatten());
    checks.push(not_the_same_database(source, target).await?);
    checks.push(source::readable(source.session, catalog).await?);
    checks.push(source::row_security(source.session).await?);
    checks.push(source::encoding(source.session, target.session).await?);
    checks.push(source::collation(source.session, target.session).await?);
    checks.push(source::database_settings(source.session, &target.endpoint.database).await?);
    checks.push(source::large_objects(source.session, catalog).await?);
    checks.push(census::size(source.session, catalog).await?);
    checks.push(census::transactions(source.session).await?);
    checks.push(census::age(source.session).await?);
    checks.push(census::health(source.session).await?);
    checks.extend(left::own_schema(source.session).await?);
    Ok(checks)
}

/// Looks at what a migration needs besides.
pub async fn for_writing(
    source: &Party<'_>,
    target: &Party<'_>,
    catalog: &Catalog,
    tools: &ClientTools,
    state: &TargetState<'_>,
) -> Result<Vec<Check>> {
    let mut checks = vec![Check::pass("client tools", format!("pg_dump and pg_restore {}", tools.major))];
    checks.push(source::invalid_indexes(source.session).await?);
    checks.push(source::subscriptions(source.session).await?);
    checks.extend(left::comment(source.session, &target.endpoint.database).await?);
    checks.extend(left::tablespaces(source.session).await?);
    checks.extend(left::misplaced(catalog));
    checks.push(target::empty(target.session, &target.endpoint.database, state).await?);
    checks.push(target::may_create(target.session).await?);
    checks.push(target::extensions(target.session, catalog).await?);
    checks.extend(target::extensions_of_superusers(target.session, catalog).await?);
    checks.extend(choices::check(target.session).await?);
    Ok(checks)
}

/// What the platform put there for itself does not stand in the way; it is left behind.
pub fn planted(planted: &Planted) -> Check {
    if planted.is_empty() {
        return Check::pass("the platform's own objects", "none that are known");
    }
    let labels: Vec<String> = planted.labels().into_iter().map(|(label, _)| label).collect();
    Check::pass("the platform's own objects", format!("left behind: {}", labels.join(", ")))
}

/// A repair is for what this migration left: sealed, or with all of its journal's work done. Rows of anybody else are
/// replaced only when the target was named for it.
pub fn repairable(plan: &Plan, source_identity: &str, state: &TargetState<'_>, confirmed: bool) -> Check {
    const NAME: &str = "target may be repaired";
    match (state.journal, state.seal) {
        (Some(journal), _) if journal.source == source_identity && !journal.is_complete(plan) => Check::fail(
            NAME,
            format!("the target holds the work of run {}, which is not finished", journal.run_id),
            "finish it first: the same command without --repair",
        ),
        (Some(journal), _) if journal.source == source_identity => {
            Check::pass(NAME, format!("run {} filled it from this source", journal.run_id))
        }
        (_, Some(seal)) if seal.source == source_identity => {
            Check::pass(NAME, format!("run {} filled it from this source", seal.run_id))
        }
        _ if confirmed => Check::warn(
            NAME,
            "nothing shows that it was filled from this source; --confirm names it all the same",
            "nothing to do if the two databases are the right ones",
        ),
        _ => Check::fail(
            NAME,
            "nothing shows that the target was filled from this source: rows that the source lacks would be removed from it",
            format!("compare with --verify; to repair it all the same, give --repair --confirm {}", state.confirmation),
        ),
    }
}

/// Ends the run when a check failed.
pub fn refuse_failures(checks: &[Check]) -> Result<()> {
    let failed: Vec<Check> = checks.iter().filter(|check| check.outcome == CheckOutcome::Fail).cloned().collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Refused(failed)) }
}

fn versions(source: ServerVersion, target: ServerVersion) -> Check {
    let seen = format!("source PostgreSQL {source}, target PostgreSQL {target}");
    if source.major() < OLDEST_MAJOR {
        return Check::fail(
            "versions",
            format!("the source is PostgreSQL {source}, older than {OLDEST_MAJOR}"),
            "upgrade the source to a supported major first",
        );
    }
    if source.major() > target.major() {
        let fix = "choose a target of the same or a newer major; what the older one lacks will fail to restore";
        return Check::warn("versions", format!("{seen}: the target is older than the source"), fix);
    }
    Check::pass("versions", seen)
}

fn tls(side: &str, endpoint: &Endpoint) -> Option<Check> {
    let name = format!("TLS to the {side}");
    let mode = endpoint.tls.mode;
    if endpoint.tls.unproved {
        let detail = format!("encrypted, but the {side}'s identity is unproved: no sslmode was given");
        return Some(Check::warn(
            name,
            detail,
            "add sslmode=verify-full and sslrootcert=FILE to the connection string",
        ));
    }
    (mode != SslMode::Disable).then(|| Check::pass(name, format!("sslmode {}", mode.word())))
}

/// Source and target must not be one database, whatever names they go by: a lock taken in one must not show in the other.
async fn not_the_same_database(source: &Party<'_>, target: &Party<'_>) -> Result<Check> {
    let marker = i64::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[1; 8]));
    let mark = "SELECT pg_advisory_lock($1)";
    target.session.query("mark the target", mark, &[&marker]).await?;
    let seen: bool = source
        .session
        .value(
            "look for the target's mark",
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
             WHERE l.locktype = 'advisory' AND d.datname = current_database()
               AND (l.classid::bigint << 32) | l.objid::bigint = $1)",
            &[&marker],
        )
        .await?;
    target.session.query("unmark the target", "SELECT pg_advisory_unlock($1)", &[&marker]).await?;
    if seen {
        return Ok(Check::fail(
            "two databases",
            format!("source and target are the same database, {}", target.endpoint.label()),
            "correct DATABASE_URL or the source: they must name different databases",
        ));
    }
    Ok(Check::pass("two databases", "source and target are different databases"))
}

/// At most five names, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

async fn names(session: &Session, action: &str, statement: &str) -> Result<Vec<String>> {
    Ok(session.query(action, statement, &[]).await?.iter().map(|row| row.get(0)).collect())
}
