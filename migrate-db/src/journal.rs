//! The journal: what is finished, kept in the target and committed together with the data it speaks of.
//!
//! A segment's line is inserted in the transaction that copies the segment: both are there or neither is, and a second
//! line for the same segment is an error. So every row arrives exactly once, whatever is killed when.
//!
//! Three tables in a schema of their own ([`SCHEMA`], described in `runbooks/reference/journal.md`), dropped when the
//! run was proved equal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::digest::RowDigest;
use tokio_postgres::error::SqlState;

use crate::catalog::{RelationName, Table};
use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::segment::Range;
use crate::sql;

/// The schema on the target that holds the journal.
pub const SCHEMA: &str = "migrate_db";
/// The layout of the tables; a journal of another layout is refused.
const LAYOUT: i32 = 1;
/// Names the advisory lock: "migrate-db" has no number, so any constant does.
const LOCK: i64 = 0x6d69_6772_6174_6564;
/// The same for runs that only read.
const LOCK_FOR_READING: i64 = LOCK + 1;
/// How long a lock that is held is waited for, and how often it is asked for meanwhile.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(12);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A stage of the run that is done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The schema without indexes and constraints exists.
    PreData,
    /// The large objects are there.
    LargeObjects,
    /// Triggers, policies and the like exist.
    PostData,
    /// Source and target were proved equal.
    Verified,
}

impl Step {
    const fn word(self) -> &'static str {
        match self {
            Self::PreData => "pre-data",
            Self::LargeObjects => "large-objects",
            Self::PostData => "post-data",
            Self::Verified => "verified",
        }
    }
}

/// The journal as it was when the run started.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The run's identifier.
    pub run_id: String,
    /// Which source it belongs to.
    pub source: String,
    /// [`Plan::fingerprint`] of the run.
    pub fingerprint: String,
    /// Stages that are done.
    pub steps: BTreeSet<String>,
    /// The segments of each table, by number.
    pub tables: BTreeMap<RelationName, Vec<SegmentLine>>,
}

/// What the journal knows of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLine {
    /// The slice of the source's table.
    pub range: Range,
    /// The source's digest when it was copied; `None` while it is not.
    pub finished: Option<RowDigest>,
}

/// Takes the lock that keeps a second run away. It is held as long as `session` lives.
///
/// Waits up to [`LOCK_WAIT_MAX`]: a run that was just killed may still hold it until its server notices.
pub async fn lock(session: &Session) -> Result<bool> {
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        let statement = "SELECT pg_try_advisory_lock($1)";
        if session.value("take the lock against a second run", statement, &[&LOCK]).await? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOCK_RETRY_INTERVAL).await;
    }
}

/// Takes the lock of runs that only read, if nobody has it. It tells who may remove what such a run left elsewhere.
pub async fn lock_for_reading(session: &Session) -> Result<bool> {
    let statement = "SELECT pg_try_advisory_lock($1)";
    session.value("take the lock of runs that read", statement, &[&LOCK_FOR_READING]).await
}

/// Ends what a killed start of this run left at work on the target: a server notices only when it next talks to its
/// client, and `pg_restore` outlives us. To be called by the holder of the lock, before it opens further sessions.
pub async fn end_leftovers(session: &Session) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(30);
    let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
                       AND application_name = current_setting('application_name')";
    let deadline = Instant::now() + LIMIT;
    while session.value::<i64>("end sessions of a killed run", statement, &[]).await? > 0 {
        if Instant::now() > deadline {
            return Err(Error::Stalled { action: "end the sessions of a killed run".into(), idle: LIMIT });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Names the source so that a later start of the run can tell whether it is the same: by its cluster where the server
/// says so, since addresses change (a tunnel has a new port each time).
pub async fn identity(session: &Session, source: &Endpoint) -> Result<String> {
    let allowed: bool = session
        .value("look at the source's rights", "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')", &[])
        .await?;
    if !allowed {
        return Ok(format!("{}:{}/{}", source.host, source.port, source.database));
    }
    let statement = "SELECT system_identifier::text || '/' || current_database() FROM pg_control_system()";
    session.value("read the source's identity", statement, &[]).await
}

/// Whether the target has a journal.
pub async fn exists(session: &Session) -> Result<bool> {
    let statement = "SELECT to_regclass($1) IS NOT NULL";
    session.value("look for a journal", statement, &[&format!("{SCHEMA}.run")]).await
}

/// Reads the journal; `None` where the target has none.
pub async fn load(session: &Session) -> Result<Option<Journal>> {
    if !exists(session).await? {
        return Ok(None);
    }
    let runs = session
        .query("read the journal", &format!("SELECT layout, run_id, source, fingerprint FROM {SCHEMA}.run"), &[])
        .await?;
    let Some(run) = runs.first() else { return Ok(None) };
    if run.get::<_, i32>(0) != LAYOUT {
        return Err(Error::ForeignJournal("it was written by another version of this program".into()));
    }
    let steps = session.query("read the journal", &format!("SELECT name FROM {SCHEMA}.step"), &[]).await?;
    Ok(Some(Journal {
        run_id: run.get(1),
        source: run.get(2),
        fingerprint: run.get(3),
        steps: steps.iter().map(|row| row.get(0)).collect(),
        tables: load_segments(session).await?,
    }))
}

async fn load_segments(session: &Session) -> Result<BTreeMap<RelationName, Vec<SegmentLine>>> {
    let statement = format!(
        "SELECT schema_name, table_name, s.range, f.rows, f.bytes, f.sum
         FROM {SCHEMA}.segment s LEFT JOIN {SCHEMA}.finished f USING (schema_name, table_name, number)
         ORDER BY schema_name, table_name, number"
    );
    let mut tables: BTreeMap<RelationName, Vec<SegmentLine>> = BTreeMap::new();
    for row in session.query("read the journal", &statement, &[]).await? {
        let damaged = |_| Error::Defect("the journal holds a line that cannot be read".into());
        let range = serde_json::from_str(row.get::<_, &str>(2)).map_err(damaged)?;
        let finished = match row.get::<_, Option<String>>(5) {
            Some(sum) => Some(RowDigest {
                rows: u64::try_from(row.get::<_, i64>(3)).unwrap_or(0),
                bytes: u64::try_from(row.get::<_, i64>(4)).unwrap_or(0),
                sum: u128::from_str_radix(&sum, 16)
                    .map_err(|_| Error::Defect("the journal holds a digest that cannot be read".into()))?,
            }),
            None => None,
        };
        let name = RelationName { schema: row.get(0), name: row.get(1) };
        tables.entry(name).or_default().push(SegmentLine { range, finished });
    }
    Ok(tables)
}

/// Begins a journal: creates its tables and writes down the plan, all or nothing.
pub async fn begin(session: &Session, run_id: &str, source: &str, plan: &Plan) -> Result<()> {
    let create = format!(
        "BEGIN;
         CREATE SCHEMA {SCHEMA};
         CREATE TABLE {SCHEMA}.run (layout integer NOT NULL, run_id text NOT NULL, source text NOT NULL,
             fingerprint text NOT NULL, started_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE {SCHEMA}.step (name text PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE {SCHEMA}.segment (schema_name text, table_name text, number integer, range text NOT NULL,
             PRIMARY KEY (schema_name, table_name, number));
         CREATE TABLE {SCHEMA}.finished (schema_name text, table_name text, number integer, rows bigint NOT NULL,
             bytes bigint NOT NULL, sum text NOT NULL, done_at timestamptz NOT NULL DEFAULT now(),
             PRIMARY KEY (schema_name, table_name, number));"
    );
    session.execute("create the journal", &create).await?;
    session
        .query(
            "begin the journal",
            &format!("INSERT INTO {SCHEMA}.run (layout, run_id, source, fingerprint) VALUES ($1, $2, $3, $4)"),
            &[&LAYOUT, &run_id, &source, &plan.fingerprint()],
        )
        .await?;
    let (mut schemas, mut tables, mut numbers, mut ranges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for table in &plan.tables {
        for (number, range) in (0_i32..).zip(&table.ranges) {
            schemas.push(table.table.name.schema.clone());
            tables.push(table.table.name.name.clone());
            numbers.push(number);
            ranges.push(serde_json::to_string(range).map_err(|error| Error::Defect(error.to_string()))?);
        }
    }
    session
        .query(
            "write the plan into the journal",
            &format!(
                "INSERT INTO {SCHEMA}.segment (schema_name, table_name, number, range)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[])"
            ),
            &[&schemas, &tables, &numbers, &ranges],
        )
        .await?;
    session.execute("commit the journal", "COMMIT").await
}

/// The statement that marks a segment finished, for the transaction that copied it.
pub fn finish_segment(table: &RelationName, number: usize, digest: RowDigest) -> String {
    format!(
        "INSERT INTO {SCHEMA}.finished (schema_name, table_name, number, rows, bytes, sum) VALUES ({}, {}, {number}, {}, {}, '{}')",
        sql::literal(&table.schema),
        sql::literal(&table.name),
        digest.rows,
        digest.bytes,
        digest.sum_hex(),
    )
}

/// What the journal says of a segment now: asked when the answer to a commit was lost.
pub async fn finished_digest(session: &Session, table: &RelationName, number: usize) -> Result<Option<RowDigest>> {
    let tables = load_segments(session).await?;
    Ok(tables.get(table).and_then(|lines| lines.get(number)).and_then(|line| line.finished))
}

/// Takes back what was copied of a table, rows and journal lines together, because the source has changed since. To be called within a
/// transaction.
pub async fn reset_table(session: &Session, table: &Table) -> Result<()> {
    let statements = format!(
        "TRUNCATE {}; DELETE FROM {SCHEMA}.finished WHERE schema_name = {} AND table_name = {}",
        table.rows_sql(),
        sql::literal(&table.name.schema),
        sql::literal(&table.name.name)
    );
    session.execute(&format!("empty {}, whose source has changed", table.name), &statements).await
}

/// Marks a stage done. The commit waits for the disk, and with it for everything that was committed before.
pub async fn finish_step(session: &Session, step: Step) -> Result<()> {
    let statements = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; INSERT INTO {SCHEMA}.step (name) VALUES ('{}') ON CONFLICT DO NOTHING; COMMIT",
        step.word()
    );
    session.execute("write a stage into the journal", &statements).await
}

/// Waits until the disk has everything that was committed on the target so far: for work that has no journal.
pub async fn flush(session: &Session) -> Result<()> {
    // Only a transaction with a number of its own has a commit to wait for.
    let statements = "BEGIN; SET LOCAL synchronous_commit = on; SELECT txid_current(); COMMIT";
    session.execute("wait for the target's disk", statements).await
}

/// Removes the journal.
pub async fn remove(session: &Session) -> Result<()> {
    match session.execute("remove the journal", &format!("DROP SCHEMA {SCHEMA} CASCADE")).await {
        Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::INVALID_SCHEMA_NAME) => Ok(()),
        outcome => outcome,
    }
}

impl Journal {
    /// Whether all that `plan` wants was done, whatever the comparison at the end said.
    pub fn is_complete(&self, plan: &Plan) -> bool {
        let is_finished = |table: &crate::plan::TablePlan| {
            let lines = self.tables.get(&table.table.name);
            lines.is_some_and(|lines| lines.iter().all(|line| line.finished.is_some()))
        };
        self.is_done(Step::PostData) && plan.tables.iter().all(is_finished)
    }

    /// Whether a stage is done.
    pub fn is_done(&self, step: Step) -> bool {
        self.steps.contains(step.word())
    }
}
