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

mod resources;

pub use resources::prepare_builder;

/// The first major where a foreign key of a partitioned table can be `NOT VALID`.
const UNCHECKED_PARTITIONED_SINCE: i32 = 18;
/// Foreign keys are added so many at a time: each holds its tables' locks until the last is there, and a server has room for
/// some thousand.
const KEYS_AT_ONCE: usize = 64;

/// Builds all indexes of a table at once (within the pool's width). Returns those that are there, each with the table that holds
/// its rows.
///
/// An index that cannot be built is a finding; the others are built all the same.
pub async fn build_all<'a>(context: &Context, table: &'a Table) -> Result<Vec<(&'a Table, &'a Index)>> {
    let of_holder = |holder: &'a Table| holder.indexes.iter().map(move |index| (holder, index));
    let indexes: Vec<(&Table, &Index)> = table.holders().iter().flat_map(of_holder).collect();
    let at_once = indexes.len().max(1);
    let built: Vec<Option<(&Table, &Index)>> = stream::iter(indexes)
        .map(|(holder, index)| async move {
            match build(context, at_once, holder, index).await {
                Ok(()) => Ok(Some((holder, index))),
                Err(error) => record_failure(context, format!("index {}", index.name), BUILD, error).map(|()| None),
            }
        })
        .buffered(at_once)
        .try_collect()
        .await?;
    Ok(built.into_iter().flatten().collect())
}

/// Makes the constraints that `indexes` serve, and whatever else belongs to these. Waits for everybody who reads their tables.
pub async fn complete_all(context: &Context, indexes: &[(&Table, &Index)]) -> Result<()> {
    for (table, index) in indexes {
        if let Err(error) = complete(context, table, index).await {
            record_failure(context, format!("index {}", index.name), "constraint", error)?;
        }
    }
    Ok(())
}

/// A permanent error of one object becomes a finding; anything else goes on up.
pub(crate) fn record_failure(context: &Context, item: String, aspect: &str, error: Error) -> Result<()> {
    let hint = error.hint();
    record(context, item, aspect, error, hint)
}

fn record(context: &Context, item: String, aspect: &str, error: Error, hint: Option<String>) -> Result<()> {
    match error {
        Error::Statement { ref source, .. } if error.class() == Class::Permanent => {
            let next = hint.map_or(String::new(), |hint| format!("; next: {hint}"));
            context.recorder.finding(Finding::new(FindingKind::Error, item, aspect, format!("{source}{next}")));
            Ok(())
        }
        error => Err(error),
    }
}

/// Builds one of `at_once` indexes.
async fn build(context: &Context, at_once: usize, table: &Table, index: &Index) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            let started = Instant::now();
            let action = format!("build the index {}", index.name);
            let claim = resources::claim(context, at_once, table, index);
            let mut built = session.execute(&action, &format!("{claim}{}", index.definition)).await;
            // The server's temp_file_limit: with all the memory that there is it may do without files.
            if let Err(Error::Statement { source, .. }) = &built
                && source.code() == Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED)
            {
                let claim = resources::claim_memory_only(context);
                built = session.execute(&action, &format!("{claim}{}", index.definition)).await;
            }
            match built {
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
            // At the first attempt of a run that began on an empty target it cannot be there.
            let may_exist = context.found != Found::Nothing || attempt > 1;
            if let Some(constraint) = &index.constraint
                && !(may_exist && constraint_exists(session, &table.name, &constraint.name).await?)
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

/// Whether a constraint is there already.
async fn constraint_exists(session: &Session, table: &RelationName, name: &str) -> Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2)";
    session.value("look for a constraint", statement, &[&table.sql(), &name]).await
}

/// Adds the foreign keys, unchecked and therefore fast, then checks them all at once. A violated one stays `NOT VALID`,
/// and a finding says so.
pub async fn foreign_keys(context: &Context, keys: &[ForeignKey]) -> Result<()> {
    let unchecked = add_foreign_keys(context, keys).await?;
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

/// Adds foreign keys, unchecked, and gives those that are there now; one that cannot be is a finding.
///
/// Many with one message, since each takes no time of its own, and one message after the other: adding takes strong locks on
/// both tables, and keys of the same tables would wait in circles.
async fn add_foreign_keys<'a>(context: &Context, keys: &'a [ForeignKey]) -> Result<Vec<&'a ForeignKey>> {
    let mut added = Vec::new();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        if context.found == Found::Nothing && add_at_once(context, keys).await? {
            added.extend(keys);
            continue;
        }
        for key in keys {
            match add_foreign_key(context, key).await {
                Ok(()) => added.push(key),
                Err(error) => record_missing(context, key, error)?,
            }
        }
    }
    Ok(added)
}

/// A key that cannot be there: the reason is kept with what the comparison of the schemas says of it.
fn record_missing(context: &Context, key: &ForeignKey, error: Error) -> Result<()> {
    // The hint for a table that is missing is about functions, of which none is called here.
    let is_of_table =
        matches!(&error, Error::Statement { source, .. } if source.code() == Some(&SqlState::UNDEFINED_TABLE));
    let hint = error.hint().filter(|_| !is_of_table);
    record(context, format!("constraint {}.{}", key.table, key.name), BUILD, error, hint)
}

/// Adds all of them or none: false where one cannot be added, or where an answer was lost.
async fn add_at_once(context: &Context, keys: &[ForeignKey]) -> Result<bool> {
    let statements: Vec<String> = keys.iter().map(addition).collect();
    context
        .with_session(&context.builders, async |session, attempt| {
            if attempt > 1 {
                return Ok(false);
            }
            match session.execute("add foreign keys", &statements.join("; ")).await {
                Ok(()) => Ok(true),
                Err(error @ Error::Statement { .. }) if error.class() == Class::Permanent => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
}

async fn add_foreign_key(context: &Context, key: &ForeignKey) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            if constraint_exists(session, &key.table, &key.name).await? {
                return Ok(());
            }
            match session.execute(&format!("add the foreign key {} to {}", key.name, key.table), &addition(key)).await {
                // A session that broke was still at it when it was looked for.
                Err(Error::Statement { source, .. }) if source.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(()),
                outcome => outcome,
            }
        })
        .await
}

fn addition(key: &ForeignKey) -> String {
    let only = if key.partitioned { "" } else { "ONLY " };
    let (table, name) = (key.table.sql(), sql::identifier(&key.name));
    format!("ALTER TABLE {only}{table} ADD CONSTRAINT {name} {} NOT VALID", key.definition)
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
pub async fn drop_foreign_keys(session: &Session, table: &Table) -> Result<()> {
    let statement =
        "WITH RECURSIVE around AS (SELECT to_regclass(name)::oid AS relation FROM unnest($1::text[]) AS name),
         key AS (
             SELECT oid, conrelid, conname, conparentid FROM pg_constraint JOIN around ON relation IN (confrelid, conrelid)
             WHERE contype = 'f'
             UNION
             SELECT p.oid, p.conrelid, p.conname, p.conparentid FROM pg_constraint p JOIN key ON p.oid = key.conparentid)
         SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
         FROM key WHERE conparentid = 0";
    let names = table.names_sql();
    let rows = session.query(&format!("list the foreign keys around {}", table.name), statement, &[&names]).await?;
    for row in rows {
        session.execute(&format!("remove a foreign key around {}", table.name), row.get(0)).await?;
    }
    Ok(())
}
