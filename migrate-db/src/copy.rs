//! One table from end to end: segments copied, indexes built, content verified, statistics brought.
//!
//! A segment is one transaction on the target: rows and journal line together. Called by `run`.

use std::time::Instant;

use common::digest::RowDigest;
use common::error::OperatorError as _;
use common::finding::{Finding, FindingKind};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::error::SqlState;

use crate::context::{Context, Found};
use crate::error::{Error, Result, Side};
use crate::journal::{self, SegmentLine};
use crate::plan::TablePlan;
use crate::quiet::Quiet;
use crate::record::TableRecord;
use crate::segment::{self, Range};
use crate::snapshot::lost_snapshot;
use crate::stream as rows;
use crate::{index, statistics, verify};

/// Below this size a table is copied without `FREEZE`: emptying it first would cost more than it saves.
const FREEZE_ABOVE_BYTES: u64 = 1 << 20;
/// The aspect of findings about tables that could not be copied.
const COPY: &str = "copy";

/// Brings one table over, from wherever the journal says that it stands.
///
/// A permanent error of this table is recorded and the others go on; errors that stop the run are returned.
pub async fn migrate_table(context: &Context, plan: &TablePlan, lines: &[SegmentLine]) -> Result<TableRecord> {
    let record = attempt(context, plan, lines).await?;
    context.progress.add_items(1);
    Ok(record)
}

/// Copies a table once more from its beginning, after a check refused a row of it: checks may call functions that read other
/// tables, and by now these are there.
pub async fn try_again(context: &Context, plan: &TablePlan, lines: &[SegmentLine]) -> Result<TableRecord> {
    let item = format!("table {}", plan.table.name);
    context.recorder.withdraw(|finding| finding.item == item && finding.aspect == COPY);
    reset(context, plan, "a check may find now what it reads in other tables").await?;
    let unfinished: Vec<SegmentLine> =
        lines.iter().map(|line| SegmentLine { finished: None, ..line.clone() }).collect();
    attempt(context, plan, &unfinished).await
}

async fn attempt(context: &Context, plan: &TablePlan, lines: &[SegmentLine]) -> Result<TableRecord> {
    let started = Instant::now();
    let name = &plan.table.name;
    let mut record = TableRecord {
        name: name.clone(),
        source: None,
        target: None,
        copied_segment_count: 0,
        failure: None,
        refused_by_check: false,
        remark: plan.remark(),
        seconds: 0.0,
    };
    let outcome = bring_over(context, plan, lines, &mut record).await;
    record.seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => Ok(record),
        Err(error @ Error::Statement { .. }) if error.class() == common::error::Class::Permanent => {
            let message = common::error::describe(&error);
            context.recorder.finding(Finding::new(
                FindingKind::Error,
                format!("table {name}"),
                COPY,
                one_line(&message),
            ));
            record.failure = Some(one_line(&message));
            record.refused_by_check = matches!(&error, Error::Statement { side: Side::Target, source, .. }
                if source.code() == Some(&SqlState::CHECK_VIOLATION));
            Ok(record)
        }
        Err(error) => Err(error),
    }
}

fn one_line(message: &str) -> String {
    message.trim_start_matches("error: ").lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

async fn bring_over(
    context: &Context,
    plan: &TablePlan,
    lines: &[SegmentLine],
    record: &mut TableRecord,
) -> Result<()> {
    let mut kept = confirm(context, plan, lines).await?;
    let mut read_back = None;
    if !lines.is_empty() && kept.iter().all(Option::is_some) && context.reads_back {
        let source: RowDigest = kept.iter().flatten().copied().sum();
        let target = verify::digest_target(context, plan).await?;
        if target == source {
            read_back = Some(target);
        } else {
            kept = reset(context, plan, "the target is no longer what was copied").await?;
        }
    }
    let pending: Vec<usize> = (0..lines.len()).filter(|number| kept[*number].is_none()).collect();
    record.copied_segment_count = pending.len();
    let whole = lines.len() == 1;
    // Switching triggers off keeps everybody else off the table.
    let at_once = if context.found == Found::WorkAndTriggers { 1 } else { lines.len().max(1) };
    let copied: Vec<RowDigest> = stream::iter(pending)
        .map(|number| copy_segment(context, plan, number, &lines[number].range, whole))
        .buffer_unordered(at_once)
        .try_collect()
        .await?;
    let source: RowDigest = kept.iter().flatten().copied().chain(copied).sum();
    record.source = Some(source);
    context.settle(plan.table.bytes, source.bytes);
    // Statistics after the indexes, since those over expressions have their own; both while the rows are read back. The
    // constraints come last: adding one waits for whoever reads the table, and that is us.
    let finish = async {
        let built = index::build_all(context, &plan.table).await?;
        statistics::bring(context, &plan.table, source.rows).await?;
        Ok::<_, Error>(built)
    };
    let reading_back = async {
        match read_back {
            None if context.reads_back => verify::digest_target(context, plan).await.map(Some),
            read_back => Ok(read_back),
        }
    };
    let (built, target) = tokio::join!(finish, reading_back);
    let (built, target) = (built?, target?);
    index::complete_all(context, &built).await?;
    record.target = target;
    if let Some(target) = target.filter(|target| *target != source) {
        context.recorder.finding(verify::content_differs(plan, source, target));
    }
    Ok(())
}

/// Looks at the segments that the journal calls finished: they count only if the source still holds what was copied,
/// seen in this run's snapshot. If one of them has changed, the whole table starts again. Gives the digests of what
/// may stay, by segment.
async fn confirm(context: &Context, plan: &TablePlan, lines: &[SegmentLine]) -> Result<Vec<Option<RowDigest>>> {
    let finished: Vec<Option<RowDigest>> = lines.iter().map(|line| line.finished).collect();
    if finished.iter().all(Option::is_none) {
        return Ok(finished);
    }
    let unchanged: Vec<bool> =
        stream::iter(lines.iter().filter_map(|line| line.finished.map(|digest| (&line.range, digest))))
            .map(|(range, digest)| async move {
                let now = verify::digest_source(context, plan, range).await?;
                Ok::<_, Error>(now == digest)
            })
            .buffer_unordered(lines.len())
            .try_collect()
            .await?;
    if unchanged.into_iter().all(|unchanged| unchanged) {
        return Ok(finished);
    }
    reset(context, plan, "the source has changed since this table was copied").await
}

/// Takes back what was copied of a table, so that all of it is copied again.
async fn reset(context: &Context, plan: &TablePlan, why: &str) -> Result<Vec<Option<RowDigest>>> {
    let name = &plan.table.name;
    tracing::info!(table = %name, "{why}: it is copied again");
    context
        .with_session(&context.builders, async |session, _| {
            index::drop_foreign_keys(session, &plan.table).await?;
            session.execute(&format!("begin to empty {name}"), "BEGIN").await?;
            // Triggers may well refuse it.
            let quiet = Quiet::begin(session, &plan.table).await?;
            journal::reset_table(session, &plan.table).await?;
            quiet.end(session).await?;
            session.execute(&format!("commit that {name} is empty"), "COMMIT").await
        })
        .await?;
    Ok(vec![None; plan.ranges.len()])
}

/// Copies one segment, exactly once: when the answer to a commit is lost, the journal tells what became of it.
async fn copy_segment(
    context: &Context,
    plan: &TablePlan,
    number: usize,
    range: &Range,
    whole: bool,
) -> Result<RowDigest> {
    let name = &plan.table.name;
    context
        .with_session(&context.readers, async |reader, attempt| {
            let writer = context.writers.take().await?;
            if attempt > 1
                && let Some(digest) = journal::finished_digest(&writer, name, number).await?
            {
                writer.give_back();
                return Ok(digest);
            }
            let _working = context.progress.working_on(name.to_string());
            let started = Instant::now();
            let freeze = whole && plan.table.leaves.is_empty() && plan.table.bytes >= FREEZE_ABOVE_BYTES;
            let begin = format!("begin a segment of {name}");
            let empty = if freeze { format!("TRUNCATE {}", plan.table.rows_sql()) } else { String::new() };
            let quiet = if context.found == Found::WorkAndTriggers {
                writer.execute(&begin, "BEGIN").await?;
                let quiet = Quiet::begin(&writer, &plan.table).await?;
                writer.execute(&format!("empty {name}"), &empty).await?;
                Some(quiet)
            } else {
                writer.execute(&begin, &format!("BEGIN; {empty}")).await?;
                None
            };
            let from =
                rows::End { session: reader.session(), statement: segment::copy_out(&plan.table, range, plan.format) };
            let to =
                rows::End { session: writer.session(), statement: segment::copy_in(&plan.table, plan.format, freeze) };
            let digest = rows::copy(from, to, plan.format, plan.spelling.clone(), context.surroundings()).await?;
            if let Some(quiet) = &quiet {
                quiet.end(&writer).await?;
            }
            let finish = format!("{}; COMMIT", journal::finish_segment(name, number, digest));
            writer.execute(&format!("commit a segment of {name}"), &finish).await?;
            context.recorder.span(format!("copy {}", writer.number()), "copy", name.to_string(), started);
            writer.give_back();
            Ok(digest)
        })
        .await
        .map_err(lost_snapshot)
}
