//! What is compared besides the rows: schemas, sequences, what the target computed; and which rows it is that differ.
//!
//! Called by `run` at the end of every mode that compares.

use std::collections::BTreeMap;
use std::time::Instant;

use common::finding::{Finding, FindingKind};

use crate::catalog::{RelationName, ServerVersion};
use crate::config::Config;
use crate::connect::Session;
use crate::context::Context;
use crate::error::Result;
use crate::finish::{self, Position};
use crate::plan::{Plan, TablePlan};
use crate::run::State;
use crate::snapshot::Snapshot;
use crate::{compare, derived, locate, verify};

/// Compares what is not rows, and names the rows that differ.
pub(crate) async fn compare(
    config: &Config,
    context: &Context,
    state: &State,
    plan: &Plan,
    snapshot: &Snapshot,
    control: &Session,
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
    compare_sequences(context, plan, snapshot, control).await?;
    state.progress.begin_phase("compare what the target computed", None, None);
    derived::compare(context, plan).await?;
    for left_out in &plan.left_out {
        context.recorder.finding(Finding::new(
            FindingKind::Note,
            format!("table {}", left_out.name),
            "left behind",
            &left_out.reason,
        ));
    }
    for (label, platform) in plan.planted.labels() {
        let detail = format!("{platform} put it there for itself");
        context.recorder.finding(Finding::new(FindingKind::Note, label, "left behind", detail));
    }
    locate_differences(config, context, plan).await
}

async fn compare_sequences(context: &Context, plan: &Plan, snapshot: &Snapshot, control: &Session) -> Result<()> {
    let (source, target) = positions(plan, snapshot, control).await?;
    for finding in finish::compare_positions(&source, &target) {
        context.recorder.finding(finding);
    }
    Ok(())
}

/// Moves the target's sequences to where the source's stand, as far as they exist there.
pub(crate) async fn set_sequences(plan: &Plan, snapshot: &Snapshot, control: &Session) -> Result<()> {
    let (source, _) = positions(plan, snapshot, control).await?;
    finish::set_positions(control, &source).await
}

/// Where the sequences stand on both sides, of those that both have.
async fn positions(plan: &Plan, snapshot: &Snapshot, control: &Session) -> Result<(Vec<Position>, Vec<Position>)> {
    let source = finish::read_positions(snapshot.session(), &plan.sequences).await?;
    // A sequence that the target lacks was named by the comparison of the schemas already.
    let mut there: Vec<RelationName> = Vec::new();
    for chunk in plan.sequences.chunks(1000) {
        let names: Vec<String> = chunk.iter().map(RelationName::sql).collect();
        let statement = "SELECT to_regclass(name) IS NOT NULL FROM unnest($1::text[]) AS n (name)";
        let rows = control.query("look for the sequences", statement, &[&names]).await?;
        there.extend(chunk.iter().zip(rows).filter(|(_, row)| row.get(0)).map(|(name, _)| name.clone()));
    }
    let target = finish::read_positions(control, &there).await?;
    Ok((source.into_iter().filter(|position| there.contains(&position.name)).collect(), target))
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
