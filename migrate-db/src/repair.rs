//! `--repair`: into a target that a finished run filled earlier, copies again what differs now, and only that.
//!
//! Both sides are compared as for `--verify`. Of a table that differs, the rows that are not shared are found by their
//! primary keys, removed on the target and copied again, in one transaction per table: killed at any moment, the same
//! command finishes. A table without a key, or with too many such rows, is replaced as a whole. Then it is compared
//! once more. This is what makes an early copy worth while: after the writers have stopped, only their last rows move.
//! Called by `run`.

mod statements;

use std::time::Instant;

use common::error::{Class, OperatorError as _, sentence};
use common::finding::{Finding, FindingKind};
use common::units;

use crate::connect::Session;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::locate::{self, Apart, RowApart};
use crate::plan::TablePlan;
use crate::quiet::Quiet;
use crate::record::TableRecord;
use crate::segment;
use crate::stream::{self, End};
use crate::{index, statistics, verify};

/// Keys in one statement: few round trips, and an index scan for every planner.
const KEYS_PER_STATEMENT: usize = 1000;

/// What is done to a table that differs.
enum Cure {
    /// These rows are replaced.
    Rows(Vec<RowApart>),
    /// All of it is.
    Whole,
}

/// Repairs one table that is known to differ and compares it again. An error of this table alone is recorded.
pub(crate) async fn repair_table(context: &Context, control: &Session, plan: &TablePlan) -> Result<TableRecord> {
    let started = Instant::now();
    let name = &plan.table.name;
    context.recorder.withdraw(|finding| finding.item == verify::item(plan) && finding.aspect == verify::CONTENT);
    let remark = match replace(context, control, plan).await {
        Ok(remark) => remark,
        Err(error @ (Error::Statement { .. } | Error::CannotRepair { .. })) if error.class() == Class::Permanent => {
            let detail = format!("could not be repaired: {}", sentence(&error));
            context.recorder.finding(Finding::new(FindingKind::Error, verify::item(plan), "repair", detail));
            return verify::compare_table(context, plan).await;
        }
        Err(error) => return Err(error),
    };
    tracing::info!(table = %name, "{remark}");
    context.recorder.span("run", "copy", format!("repair {name}"), started);
    statistics::analyze(context, name).await?;
    let mut record = verify::compare_table(context, plan).await?;
    record.copied_segment_count = 1;
    record.remark = Some(remark);
    Ok(record)
}

/// Makes the target's rows the source's. Returns what was done, in words.
async fn replace(context: &Context, control: &Session, plan: &TablePlan) -> Result<String> {
    let name = &plan.table.name;
    context.progress.begin_phase(format!("repair {name}"), None, None);
    let cure = locate::rows_apart(context, &plan.table).await?.map_or(Cure::Whole, Cure::Rows);
    let is_unchecked = may_leave_unchecked(control).await?;
    if !is_unchecked {
        refuse_partitioned_keys(control, plan).await?;
        index::drop_foreign_keys(control, &plan.table).await?;
    }
    context
        .with_session(&context.readers, async |reader, _| {
            let writer = context.writers.take().await?;
            let begin = if is_unchecked { "BEGIN; SET LOCAL session_replication_role = replica" } else { "BEGIN" };
            writer.execute(&format!("begin the repair of {name}"), begin).await?;
            let quiet = Quiet::begin(&writer, &plan.table).await?;
            let remark = match &cure {
                Cure::Rows(rows) => replace_rows(context, reader.session(), writer.session(), plan, rows).await?,
                Cure::Whole => replace_all(context, reader.session(), writer.session(), plan).await?,
            };
            quiet.end(&writer).await?;
            writer.execute(&format!("commit the repair of {name}"), "COMMIT").await?;
            writer.give_back();
            Ok(remark)
        })
        .await
}

type Shared = std::sync::Arc<Session>;

async fn replace_rows(
    context: &Context,
    reader: Shared,
    writer: Shared,
    plan: &TablePlan,
    rows: &[RowApart],
) -> Result<String> {
    let key = locate::key_columns(&plan.table);
    // All that goes goes first: a value that must be unique may have moved from one row to another.
    for some in rows.chunks(KEYS_PER_STATEMENT) {
        let keys: Vec<&[String]> = some.iter().map(|row| row.key.as_slice()).collect();
        let statement = statements::delete(&plan.table, &key, &keys);
        writer.execute(&format!("remove rows of {} that differ", plan.table.name), &statement).await?;
    }
    let wanted: Vec<&[String]> =
        rows.iter().filter(|row| row.apart != Apart::TargetOnly).map(|row| row.key.as_slice()).collect();
    let mut copied = 0;
    for some in wanted.chunks(KEYS_PER_STATEMENT) {
        for holder in plan.table.holders() {
            let statement = statements::copy_out(&plan.table, &holder.name, &key, some, plan.format);
            copied += copy(context, &reader, &writer, plan, statement).await?;
        }
    }
    let count = |apart| rows.iter().filter(|row| row.apart == apart).count() as u64;
    Ok(format!(
        "repaired: {} copied again ({} changed, {} new), {} removed",
        units::counted(copied, "row"),
        units::count(count(Apart::Differs)),
        units::count(count(Apart::SourceOnly)),
        units::count(count(Apart::TargetOnly)),
    ))
}

async fn replace_all(context: &Context, reader: Shared, writer: Shared, plan: &TablePlan) -> Result<String> {
    let name = &plan.table.name;
    writer.execute(&format!("empty {name}"), &format!("DELETE FROM {}", plan.table.rows_sql())).await?;
    let mut copied = 0;
    for range in segment::whole(&plan.table) {
        copied += copy(context, &reader, &writer, plan, segment::copy_out(&plan.table, &range, plan.format)).await?;
    }
    Ok(format!("repaired: replaced as a whole, {}", units::counted(copied, "row")))
}

/// Copies what a statement reads on the source; gives how many rows that were.
async fn copy(context: &Context, reader: &Shared, writer: &Shared, plan: &TablePlan, statement: String) -> Result<u64> {
    let from = End { session: Shared::clone(reader), statement };
    let to = End { session: Shared::clone(writer), statement: segment::copy_in(&plan.table, plan.format, false) };
    Ok(stream::copy(from, to, plan.format, plan.spelling.clone(), context.surroundings()).await?.rows)
}

/// Whether this role may write without foreign keys being checked and acted upon, as the main user of RDS may. Where it
/// may not, the keys around a table are removed for the repair and added again at the end.
async fn may_leave_unchecked(control: &Session) -> Result<bool> {
    let action = "ask for leave to write unchecked";
    match control.execute(action, "SET session_replication_role = replica").await {
        Ok(()) => control.execute(action, "RESET session_replication_role").await.map(|()| true),
        Err(Error::Statement { source, .. }) if source.class() == Class::Permanent => Ok(false),
        Err(error) => Err(error),
    }
}

/// Foreign keys of or to partitioned tables are made by `pg_restore`; once removed nobody would make them again.
async fn refuse_partitioned_keys(control: &Session, plan: &TablePlan) -> Result<()> {
    let statement =
        "WITH RECURSIVE around AS (SELECT to_regclass(name)::oid AS relation FROM unnest($1::text[]) AS name),
                     key AS (
                         SELECT oid, conname, conrelid, confrelid, conparentid FROM pg_constraint
                         WHERE contype = 'f'
                           AND (conrelid IN (SELECT relation FROM around) OR confrelid IN (SELECT relation FROM around))
                         UNION
                         SELECT p.oid, p.conname, p.conrelid, p.confrelid, p.conparentid
                         FROM pg_constraint p JOIN key ON p.oid = key.conparentid)
                     SELECT EXISTS (SELECT FROM key JOIN pg_class c ON c.oid IN (key.conrelid, key.confrelid)
                                    WHERE c.relkind = 'p')";
    let names = plan.table.names_sql();
    if control.value("look for foreign keys of partitioned tables", statement, &[&names]).await? {
        return Err(Error::CannotRepair { table: plan.table.name.to_string() });
    }
    Ok(())
}
