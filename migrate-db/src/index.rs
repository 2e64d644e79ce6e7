//! Indexes and the constraints behind them, foreign keys: what is made once the rows are there.
//!
//! Everything here may be run twice: what exists already is left alone.

use std::time::Instant;

use common::error::{Class, OperatorError as _};
use common::finding::{Finding, FindingKind};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::error::SqlState;

use crate::catalog::{ForeignKey, Index, RelationName, Table};
use crate::connect::Session;
use crate::context::{Context, Found};
use crate::error::{Error, Result};
use crate::record::BUILD;
use crate::{orphans, sql};

/// The first major whose builds have helpers: parallel workers, two unless the server says otherwise.
const HELPERS_SINCE: i32 = 11;
/// The first major where a foreign key of a partitioned table can be `NOT VALID`.
const UNCHECKED_PARTITIONED_SINCE: i32 = 18;
/// No build of a smaller table has any (`min_parallel_table_scan_size`).
const HELPED_ABOVE_BYTES: u64 = 8 << 20;

/// Statements that make a session ready to build, one of `index_jobs`: all builders together may sort in half as much memory
/// as the server's shared buffers, where its own setting is not more. On Amazon RDS that is an eighth of the machine.
pub fn prepare_builder(index_jobs: usize) -> String {
    format!(
        "SELECT set_config('maintenance_work_mem', greatest(
                    pg_size_bytes(current_setting('maintenance_work_mem')),
                    least(1 << 30, pg_size_bytes(current_setting('shared_buffers')) / (2 * {index_jobs})))
                / 1024 || 'kB', false)"
    )
}

/// Builds all indexes of a table at once (within the pool's width). Returns those that are there.
///
/// An index that cannot be built is a finding; the others are built all the same.
pub async fn build_all<'a>(context: &Context, table: &'a Table) -> Result<Vec<&'a Index>> {
    let helpers = helpers(context, table);
    let built: Vec<Option<&Index>> = stream::iter(&table.indexes)
        .map(|index| async move {
            match build(context, index, helpers).await {
                Ok(()) => Ok(Some(index)),
                Err(error) => record_failure(context, format!("index {}", index.name), BUILD, error).map(|()| None),
            }
        })
        .buffered(table.indexes.len().max(1))
        .try_collect()
        .await?;
    Ok(built.into_iter().flatten().collect())
}

/// The statement that gives the builds of a table helpers or takes them away.
fn helpers(context: &Context, table: &Table) -> &'static str {
    if context.target_version.major() < HELPERS_SINCE || table.bytes < HELPED_ABOVE_BYTES {
        return "";
    }
    let at_once = table.indexes.len() + usize::from(context.reads_back);
    let to_read_back = if context.reads_back { table.bytes } else { 0 };
    let elsewhere = context.bytes_left().saturating_sub(to_read_back);
    if is_crowded(at_once, context.builders.width(), elsewhere, table.bytes) {
        "SET max_parallel_maintenance_workers = 0; "
    } else {
        "SET max_parallel_maintenance_workers TO DEFAULT; "
    }
}

/// Whether the target is busy without helpers: with what is done `at_once` to a table of `bytes` on a server that carries `width`,
/// or with `elsewhere`, bytes of other tables still to be copied or read back.
///
/// Helpers shorten a build that others wait for, and take a quarter more of the processors in all (measured: six indexes over
/// 860 MB, 4.3 s instead of 3.4 s). There, the indexes took a fifth of what copying and reading back took.
fn is_crowded(at_once: usize, width: usize, elsewhere: u64, bytes: u64) -> bool {
    at_once + 1 >= width || elsewhere >= bytes / 2
}

/// Makes the constraints that `indexes` serve, and whatever else belongs to these. Waits for everybody who reads the table.
pub async fn complete_all(context: &Context, table: &Table, indexes: &[&Index]) -> Result<()> {
    for index in indexes {
        if let Err(error) = complete(context, table, index).await {
            record_failure(context, format!("index {}", index.name), "constraint", error)?;
        }
    }
    Ok(())
}

/// A permanent error of one object becomes a finding; anything else goes on up.
pub(crate) fn record_failure(context: &Context, item: String, aspect: &str, error: Error) -> Result<()> {
    match error {
        Error::Statement { ref source, .. } if error.class() == Class::Permanent => {
            let next = error.hint().map_or(String::new(), |hint| format!("; next: {hint}"));
            context.recorder.finding(Finding::new(FindingKind::Error, item, aspect, format!("{source}{next}")));
            Ok(())
        }
        error => Err(error),
    }
}

async fn build(context: &Context, index: &Index, helpers: &str) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            let started = Instant::now();
            let action = format!("build the index {}", index.name);
            match session.execute(&action, &format!("{helpers}{}", index.definition)).await {
                // CREATE INDEX is atomic: one that exists under this name is whole.
                Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::DUPLICATE_TABLE) => Ok(()),
                Ok(()) => {
                    context.recorder.span(
                        format!("build {}", session.number()),
                        "index",
                        index.name.to_string(),
                        started,
                    );
                    Ok(())
                }
                failed => failed,
            }
        })
        .await
}

async fn complete(context: &Context, table: &Table, index: &Index) -> Result<()> {
    context
        .with_session(&context.builders, async |session, attempt| {
            if let Some(constraint) = &index.constraint
                && !constraint_exists(context, attempt, session, &table.name, &constraint.name).await?
            {
                let kind = if constraint.primary { "PRIMARY KEY" } else { "UNIQUE" };
                let deferrable = match (constraint.deferrable, constraint.deferred) {
                    (true, true) => " DEFERRABLE INITIALLY DEFERRED",
                    (true, false) => " DEFERRABLE",
                    _ => "",
                };
                let statement = format!(
                    "ALTER TABLE ONLY {} ADD CONSTRAINT {} {kind} USING INDEX {}{deferrable}",
                    table.name.sql(),
                    sql::identifier(&constraint.name),
                    sql::identifier(&index.name.name),
                );
                session
                    .execute(&format!("add the constraint {} to {}", constraint.name, table.name), &statement)
                    .await?;
            }
            if index.completions.is_empty() {
                return Ok(());
            }
            session.execute(&format!("complete the index {}", index.name), &index.completions.join("; ")).await
        })
        .await
}

/// Whether a constraint is there already: not at the first attempt of a run that began on an empty target.
async fn constraint_exists(
    context: &Context,
    attempt: u32,
    session: &Session,
    table: &RelationName,
    name: &str,
) -> Result<bool> {
    if context.found == Found::Nothing && attempt == 1 {
        return Ok(false);
    }
    let statement = "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2)";
    session.value("look for a constraint", statement, &[&table.sql(), &name]).await
}

/// Adds the foreign keys, unchecked and therefore fast, then checks them all at once. A violated one stays `NOT VALID`,
/// and a finding says so.
pub async fn foreign_keys(context: &Context, keys: &[ForeignKey]) -> Result<()> {
    // One after the other: adding takes strong locks on both tables, and keys of the same tables would wait in circles.
    let mut unchecked = Vec::new();
    for key in keys {
        match add_foreign_key(context, key).await {
            Ok(()) => unchecked.push(key),
            Err(error) => {
                record_failure(context, format!("foreign key {} of {}", key.name, key.table), "constraint", error)?;
            }
        }
    }
    stream::iter(unchecked.into_iter().filter(|key| key.validated))
        .map(|key| async move {
            match validate(context, key).await {
                Ok(()) => Ok(()),
                Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
                    let rows = context
                        .with_session(&context.builders, async |session, _| {
                            orphans::describe(session, session, key, context.show_keys).await
                        })
                        .await?;
                    record_violation(context, key, &rows, "so it was left NOT VALID");
                    Ok(())
                }
                Err(error) => {
                    record_failure(context, format!("foreign key {} of {}", key.name, key.table), "constraint", error)
                }
            }
        })
        .buffer_unordered(keys.len().max(1))
        .try_collect()
        .await
}

fn record_violation(context: &Context, key: &ForeignKey, rows: &str, outcome: &str) {
    let item = format!("foreign key {} of {}", key.name, key.table);
    let detail = format!("{rows}; the source's own rows violate it, {outcome}");
    context.recorder.finding(Finding::new(FindingKind::Error, item, "constraint", detail));
}

/// Says which rows violate those `keys` that `pg_restore` was to make, and makes these `NOT VALID` where the target can have them
/// so. Which ones it could not make now it has said (`violated`); those that an earlier start has left `NOT VALID` are checked.
pub async fn restored_foreign_keys(
    context: &Context,
    keys: &[ForeignKey],
    violated: &[&ForeignKey],
    source: &Session,
) -> Result<()> {
    for key in keys.iter().filter(|key| key.validated) {
        let is_violated = violated.iter().any(|one| one.oid == key.oid);
        let can_be_unchecked = !key.partitioned || context.target_version.major() >= UNCHECKED_PARTITIONED_SINCE;
        if !is_violated && (!is_unchecked(context, key).await? || !fails_check(context, key).await?) {
            continue;
        }
        if is_violated
            && can_be_unchecked
            && let Err(error) = add_foreign_key(context, key).await
        {
            record_failure(context, format!("foreign key {} of {}", key.name, key.table), "constraint", error)?;
            continue;
        }
        let rows = context
            .with_session(&context.builders, async |session, _| {
                orphans::describe(session, source, key, context.show_keys).await
            })
            .await?;
        let outcome = if can_be_unchecked {
            "so it was left NOT VALID"
        } else {
            "so it is missing: before PostgreSQL 18 no foreign key of a partitioned table can be NOT VALID"
        };
        record_violation(context, key, &rows, outcome);
    }
    Ok(())
}

/// Checks a key that is there. Whatever else than rows that violate it stands in the way is a finding.
async fn fails_check(context: &Context, key: &ForeignKey) -> Result<bool> {
    match validate(context, key).await {
        Ok(()) => Ok(false),
        Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Ok(true),
        Err(error) => {
            record_failure(context, format!("foreign key {} of {}", key.name, key.table), "constraint", error)?;
            Ok(false)
        }
    }
}

/// Whether the target has the key, but has not checked it.
async fn is_unchecked(context: &Context, key: &ForeignKey) -> Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_constraint
                                    WHERE conrelid = to_regclass($1) AND conname = $2 AND NOT convalidated)";
    context
        .with_session(&context.builders, async |session, _| {
            session.value("look for a foreign key", statement, &[&key.table.sql(), &key.name]).await
        })
        .await
}

async fn add_foreign_key(context: &Context, key: &ForeignKey) -> Result<()> {
    context
        .with_session(&context.builders, async |session, attempt| {
            if constraint_exists(context, attempt, session, &key.table, &key.name).await? {
                return Ok(());
            }
            let only = if key.partitioned { "" } else { "ONLY " };
            let statement = format!(
                "ALTER TABLE {only}{} ADD CONSTRAINT {} {} NOT VALID",
                key.table.sql(),
                sql::identifier(&key.name),
                key.definition
            );
            session.execute(&format!("add the foreign key {} to {}", key.name, key.table), &statement).await
        })
        .await
}

async fn validate(context: &Context, key: &ForeignKey) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            let started = Instant::now();
            let statement =
                format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", key.table.sql(), sql::identifier(&key.name));
            session.execute(&format!("check the foreign key {} of {}", key.name, key.table), &statement).await?;
            let label = format!("{} of {}", key.name, key.table);
            context.recorder.span(format!("build {}", session.number()), "constraint", label, started);
            Ok(())
        })
        .await
}

/// Removes the foreign keys that refer to a table and its own, so that rows can come and go in any order. They are added
/// again at the end.
///
/// One that refers to a partitioned table refers to each partition through a copy, which goes with the original only.
pub async fn drop_foreign_keys(session: &Session, table: &RelationName) -> Result<()> {
    let statement =
        "WITH RECURSIVE key AS (
             SELECT oid, conrelid, conname, conparentid FROM pg_constraint WHERE contype = 'f' AND to_regclass($1) IN (confrelid, conrelid)
             UNION
             SELECT p.oid, p.conrelid, p.conname, p.conparentid FROM pg_constraint p JOIN key ON p.oid = key.conparentid)
         SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
         FROM key WHERE conparentid = 0";
    let rows = session.query(&format!("list the foreign keys around {table}"), statement, &[&table.sql()]).await?;
    for row in rows {
        session.execute(&format!("remove a foreign key around {table}"), row.get(0)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_crowded;

    #[test]
    fn helpers_come_when_others_would_wait_for_the_build() {
        assert!(!is_crowded(2, 4, 0, 500), "the last table");
        assert!(!is_crowded(2, 4, 200, 500), "one that dwarfs the rest");
        assert!(is_crowded(2, 4, 300, 500), "others keep the processors busy");
        assert!(is_crowded(3, 4, 0, 500), "its own indexes do");
        assert!(!is_crowded(3, 8, 0, 500), "on a larger machine they do not");
    }
}
