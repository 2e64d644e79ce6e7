//! Content read back and compared: both sides as the same stream of bytes, digested by us.

use std::time::Instant;

use common::digest::RowDigest;
use common::finding::{Finding, FindingKind};
use common::units;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::catalog::Table;
use crate::connect::Pool;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::plan::TablePlan;
use crate::record::TableRecord;
use crate::segment::{self, Range};
use crate::snapshot::lost_snapshot;
use crate::stream as rows;

/// The digest of a slice of a table on the source, in the run's snapshot.
pub async fn digest_source(context: &Context, plan: &TablePlan, range: &Range) -> Result<RowDigest> {
    digest_range(context, &context.readers, "read", plan, range).await.map_err(lost_snapshot)
}

/// The digest of a whole table on the target, read in as many ranges as it is large.
pub async fn digest_target(context: &Context, plan: &TablePlan) -> Result<RowDigest> {
    // Only how many read it depends on the measure: a small table need not be asked for its size again.
    let ranges = if plan.table.bytes < context.segment_bytes_max / 2 {
        vec![Range::Whole]
    } else {
        let table = measure_target(context, &plan.table).await?;
        segment::cut_one(&table, context.target_version, context.segment_bytes_max)
    };
    let width = ranges.len();
    stream::iter(&ranges)
        .map(|range| digest_range(context, &context.builders, "build", plan, range))
        .buffer_unordered(width)
        .try_fold(RowDigest::EMPTY, async |mut total, digest| {
            total += digest;
            Ok(total)
        })
        .await
}

/// The table with its size on the target, which is cut by its own blocks.
async fn measure_target(context: &Context, table: &Table) -> Result<Table> {
    let (bytes, blocks): (i64, i64) = context
        .with_session(&context.builders, async |session, _| {
            let statement = "SELECT sum(pg_table_size(to_regclass(name)))::bigint,
                                    max(pg_relation_size(to_regclass(name))) / current_setting('block_size')::bigint
                             FROM unnest($1::text[]) AS name";
            let names: Vec<String> = table.holders().iter().map(|holder| holder.name.sql()).collect();
            let rows = session.query("measure a table", statement, &[&names]).await?;
            Ok((rows[0].get::<_, Option<i64>>(0).unwrap_or(0), rows[0].get::<_, Option<i64>>(1).unwrap_or(0)))
        })
        .await?;
    Ok(Table { bytes: bytes.unsigned_abs(), blocks: blocks.unsigned_abs(), indexes: Vec::new(), ..table.clone() })
}

async fn digest_range(
    context: &Context,
    pool: &Pool,
    lane: &str,
    plan: &TablePlan,
    range: &Range,
) -> Result<RowDigest> {
    let name = &plan.table.name;
    context
        .with_session(pool, async |session, _| {
            let _working = context.progress.working_on(format!("{name} (verify)"));
            let started = Instant::now();
            let statement = segment::copy_out(&plan.table, range, plan.format);
            let from = rows::End { session: session.session(), statement };
            let digest = rows::digest(from, plan.format, plan.spelling.clone(), context.surroundings()).await?;
            context.recorder.span(format!("{lane} {}", session.number()), "verify", name.to_string(), started);
            Ok(digest)
        })
        .await
}

/// Compares one table in full, reading both sides. What cannot be read is a finding.
pub async fn compare_table(context: &Context, plan: &TablePlan) -> Result<TableRecord> {
    let started = Instant::now();
    let (source, target) = tokio::join!(digest_whole_source(context, plan), digest_target(context, plan));
    let mut record = TableRecord {
        name: plan.table.name.clone(),
        source: None,
        target: None,
        copied_segment_count: 0,
        failure: None,
        refused_by_check: false,
        remark: plan.remark(),
        seconds: started.elapsed().as_secs_f64(),
    };
    record.source = readable(context, plan, source, &mut record.failure)?;
    record.target = readable(context, plan, target, &mut record.failure)?;
    if let Some(digest) = record.source.or(record.target) {
        context.settle(plan.table.bytes, digest.bytes);
    }
    if let (Some(source), Some(target)) = (record.source, record.target)
        && source != target
    {
        context.recorder.finding(content_differs(plan, source, target));
    }
    context.progress.add_items(1);
    Ok(record)
}

/// The digest of a whole table on the source, in the run's snapshot.
pub async fn digest_whole_source(context: &Context, plan: &TablePlan) -> Result<RowDigest> {
    stream::iter(&plan.ranges)
        .map(|range| digest_source(context, plan, range))
        .buffer_unordered(plan.ranges.len())
        .try_fold(RowDigest::EMPTY, async |mut total, digest| {
            total += digest;
            Ok(total)
        })
        .await
}

/// A table that one side cannot show (it is missing there, or lacks a column) is a finding, not the end of the run.
fn readable(
    context: &Context,
    plan: &TablePlan,
    digest: Result<RowDigest>,
    failure: &mut Option<String>,
) -> Result<Option<RowDigest>> {
    match digest {
        Ok(digest) => Ok(Some(digest)),
        Err(Error::Statement { side, source, .. }) if source.class() == common::error::Class::Permanent => {
            let detail = format!("cannot be read on the {side}: {source}");
            *failure = Some(detail.clone());
            context.recorder.finding(Finding::new(FindingKind::Error, item(plan), "content", detail));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How a table is called in findings.
pub fn item(plan: &TablePlan) -> String {
    format!("table {}", plan.table.name)
}

/// The finding that both sides of a table are not the same.
pub fn content_differs(plan: &TablePlan, source: RowDigest, target: RowDigest) -> Finding {
    let detail = if source.rows == target.rows {
        format!("{} rows on both sides, but their content differs", units::count(source.rows))
    } else {
        format!("{} rows on the source, {} on the target", units::count(source.rows), units::count(target.rows))
    };
    Finding::new(FindingKind::Differs, item(plan), CONTENT, detail)
}

/// The finding that rows were copied and nothing more.
pub fn not_read_back() -> Finding {
    let detail =
        "the rows were not read back, as --copy-only asks: --repair compares them, or the same command without it";
    Finding::new(FindingKind::Unknown, "all tables", CONTENT, detail)
}

/// The aspect of findings about rows.
pub const CONTENT: &str = "content";
