//! What the target computes itself, compared with what the source had: generated columns and materialised views.
//!
//! No such value is copied, so no digest was taken on the way; both sides are read here. Tables without generated columns
//! are not read again. Called at the end of a run.

use common::digest::RowDigest;
use common::error::{Class, OperatorError};
use common::finding::{Finding, FindingKind};

use crate::catalog::{RelationName, Table};
use crate::connect::Pool;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::floats::Spelling;
use crate::plan::Plan;
use crate::segment::Format;
use crate::snapshot::lost_snapshot;
use crate::stream::{self, End};
use crate::{sql, verify};

/// Compares everything derived that `plan` has.
///
/// A generated column that differs is a difference: the function behind it does not do the same on both servers. A
/// materialised view that differs is a note: the source's shows the rows as they were when it was last refreshed, the
/// target's as they are.
pub(crate) async fn compare(context: &Context, plan: &Plan) -> Result<()> {
    for table in plan.tables.iter().filter(|table| !table.table.generated_columns.is_empty()) {
        let differs = |finding: &Finding| finding.item == verify::item(table) && finding.aspect == verify::CONTENT;
        if context.recorder.findings().iter().any(differs) {
            // Rows that are not the same say nothing of functions.
            continue;
        }
        let outcome = digests(context, &statements_for_table(&table.table)).await;
        let names: Vec<&str> = table.table.generated_columns.iter().map(|column| column.name.as_str()).collect();
        let detail = format!(
            "the target computes other values than the source had, in one of {}; compare the functions behind them",
            names.join(", ")
        );
        judge(context, outcome, FindingKind::Differs, verify::item(table), "generated columns", &detail)?;
    }
    for view in &plan.materialized_views {
        let outcome = digests(context, &[format!("COPY (SELECT * FROM {}) TO STDOUT", view.sql())]).await;
        let detail = "filled anew, it is not what the source has: the source's was last refreshed before its tables \
                      changed, or the query's result is not always the same";
        judge(context, outcome, FindingKind::Note, view_item(view), verify::CONTENT, detail)?;
    }
    Ok(())
}

/// All columns, so that a generated value is compared together with the row that it belongs to.
fn statements_for_table(table: &Table) -> Vec<String> {
    let columns = table.columns.iter().chain(&table.generated_columns).map(|column| column.name.as_str());
    let columns = sql::identifiers(columns);
    let read = |holder: &Table| format!("COPY (SELECT {columns} FROM ONLY {}) TO STDOUT", holder.name.sql());
    table.holders().iter().map(read).collect()
}

fn view_item(view: &RelationName) -> String {
    format!("materialised view {view}")
}

async fn digests(context: &Context, statements: &[String]) -> Result<(RowDigest, RowDigest)> {
    let on_source = async { digest(context, &context.readers, statements).await.map_err(lost_snapshot) };
    tokio::try_join!(on_source, digest(context, &context.builders, statements))
}

async fn digest(context: &Context, pool: &Pool, statements: &[String]) -> Result<RowDigest> {
    context
        .with_session(pool, async |session, _| {
            let mut total = RowDigest::EMPTY;
            for statement in statements {
                let from = End { session: session.session(), statement: statement.clone() };
                total += stream::digest(from, Format::Text, Spelling::default(), context.surroundings()).await?;
            }
            Ok(total)
        })
        .await
}

/// What one side cannot show was not compared. Unequal digests are a finding of `kind`.
fn judge(
    context: &Context,
    outcome: Result<(RowDigest, RowDigest)>,
    kind: FindingKind,
    item: String,
    aspect: &str,
    detail: &str,
) -> Result<()> {
    let hint = outcome.as_ref().err().and_then(OperatorError::hint);
    match outcome {
        Ok((on_source, on_target)) if on_source == on_target => {}
        Ok(_) => context.recorder.finding(Finding::new(kind, item, aspect, detail)),
        Err(Error::Statement { side, source, .. }) if source.class() == Class::Permanent => {
            let next = hint.map_or(String::new(), |hint| format!("; next: {hint}"));
            let detail = format!("cannot be read on the {side}, so it was not compared: {source}{next}");
            context.recorder.finding(Finding::new(FindingKind::Unknown, item, aspect, detail));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
