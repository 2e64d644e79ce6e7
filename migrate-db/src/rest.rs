//! What is compared besides the rows: schemas, sequences, what the target computed; and which rows it is that differ.
//!
//! Called by `run` at the end of every mode that compares.

use std::collections::BTreeMap;
use std::time::Instant;

use common::finding::{Finding, FindingKind};

use crate::catalog::{LeftOut, RelationName, ServerVersion};
use crate::config::Config;
use crate::connect::Session;
use crate::context::Context;
use crate::error::Result;
use crate::finish::{self, Position};
use crate::plan::{Plan, TablePlan};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::{compare, derived, locate, verify};

/// Compares what is not rows, and names the rows that differ.
pub(crate) async fn compare(
    config: &Config,
    context: &Context,
    state: &State,
    plan: &Plan,
    snapshot: &Snapshot,
    control: &Session,
    positions: Option<&[Position]>,
) -> Result<()> {
    state.progress.begin_phase("compare schemas", None, None);
    let started = Instant::now();
    let versions = (state.source_version.unwrap_or(ServerVersion(0)), context.target_version);
    for finding in
        compare::schema(snapshot.session(), control, versions.0, versions.1, &plan.planted, config.rights).await?
    {
        context.recorder.finding(finding);
    }
    context.recorder.span("run", "verify", "compare schemas", started);
    compare_sequences(context, plan, snapshot, control, positions).await?;
    if context.reads_back {
        state.progress.begin_phase("compare what the target computed", None, None);
        derived::compare(context, plan).await?;
    } else {
        context.recorder.finding(verify::not_read_back());
    }
    for left_out in &plan.left_out {
        context.recorder.finding(left_behind(left_out, snapshot.session(), control).await?);
    }
    for (label, platform) in plan.planted.labels() {
        let detail = format!("{platform} put it there for itself");
        context.recorder.finding(Finding::new(FindingKind::Note, label, "left behind", detail));
    }
    context.recorder.forget_consequences();
    locate_differences(config, context, plan).await
}

/// What stays behind, and whether somebody will miss it.
async fn left_behind(left_out: &LeftOut, source: &Session, target: &Session) -> Result<Finding> {
    let LeftOut { name, reason, lost_row_count, is_brought } = left_out;
    let finding = |kind, detail: &str| Finding::new(kind, format!("table {name}"), "left behind", detail);
    if *lost_row_count > 0 {
        return Ok(finding(FindingKind::Unknown, reason));
    }
    if *is_brought {
        let detail = match (count_rows(source, name).await?, count_rows(target, name).await?) {
            (Some(ours), Some(theirs)) if ours <= theirs => return Ok(finding(FindingKind::Note, reason)),
            (Some(ours), Some(theirs)) => {
                format!("{reason}: {theirs} on the target, and the source has {ours}; copy the others by hand")
            }
            _ => format!("{reason}, and may hold others: this role may not read it on both sides"),
        };
        return Ok(finding(FindingKind::Unknown, &detail));
    }
    Ok(finding(FindingKind::Note, reason))
}

/// The rows of a table, none where there is no table; `None` where this role does not see them all.
///
/// Asked before it is read: a statement that fails would end the snapshot's transaction.
async fn count_rows(session: &Session, name: &RelationName) -> Result<Option<i64>> {
    let may_read = "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT c.relrowsecurity
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    let rows = session.query("look for the right to read", may_read, &[&name.schema, &name.name]).await?;
    match rows.first().map(|row| row.get(0)) {
        None => Ok(Some(0)),
        Some(false) => Ok(None),
        Some(true) => {
            let count = format!("SELECT count(*) FROM ONLY {}", name.sql());
            session.value(&format!("count the rows of {name}"), &count, &[]).await.map(Some)
        }
    }
}

/// Sequences are no part of a snapshot: where this run has set them, the target is compared with what it set, for an
/// application that is still at work moves the source's on.
async fn compare_sequences(
    context: &Context,
    plan: &Plan,
    snapshot: &Snapshot,
    control: &Session,
    set: Option<&[Position]>,
) -> Result<()> {
    let there = existing(plan, control).await?;
    let target = finish::read_positions(control, &there).await?;
    let source = match set {
        Some(set) => set.to_vec(),
        None => finish::read_positions(snapshot.session(), &plan.sequences).await?,
    };
    // One that the target lacks was named by the comparison of the schemas already.
    let source: Vec<_> = source.into_iter().filter(|position| there.contains(&position.name)).collect();
    for finding in finish::compare_positions(&source, &target) {
        context.recorder.finding(finding);
    }
    Ok(())
}

/// Moves the target's sequences to where the source's stand, as far as they exist there; returns where that is.
pub(crate) async fn set_sequences(plan: &Plan, snapshot: &Snapshot, control: &Session) -> Result<Vec<Position>> {
    let there = existing(plan, control).await?;
    let mut positions = finish::read_positions(snapshot.session(), &plan.sequences).await?;
    positions.retain(|position| there.contains(&position.name));
    finish::set_positions(control, &positions).await?;
    Ok(positions)
}

/// The plan's sequences that the target has.
async fn existing(plan: &Plan, control: &Session) -> Result<Vec<RelationName>> {
    let mut there: Vec<RelationName> = Vec::new();
    for chunk in plan.sequences.chunks(1000) {
        let names: Vec<String> = chunk.iter().map(RelationName::sql).collect();
        let statement = "SELECT to_regclass(name) IS NOT NULL FROM unnest($1::text[]) AS n (name)";
        let rows = control.query("look for the sequences", statement, &[&names]).await?;
        there.extend(chunk.iter().zip(rows).filter(|(_, row)| row.get(0)).map(|(name, _)| name.clone()));
    }
    Ok(there)
}

/// Says which rows differ, for the tables whose digests do.
async fn locate_differences(config: &Config, context: &Context, plan: &Plan) -> Result<()> {
    let by_item: BTreeMap<String, &TablePlan> = plan.tables.iter().map(|table| (verify::item(table), table)).collect();
    let differing: Vec<Finding> = context
        .recorder
        .findings()
        .into_iter()
        .filter(|finding| finding.kind == FindingKind::Differs && finding.aspect == verify::CONTENT)
        .collect();
    for finding in differing {
        let Some(table) = by_item.get(&finding.item) else { continue };
        context.progress.begin_phase(format!("find the differing rows of {}", table.table.name), None, None);
        let detail = locate::differences(context, &table.table, config.show_keys).await?;
        context.recorder.finding(Finding::new(FindingKind::Differs, finding.item, "rows", detail));
    }
    Ok(())
}
