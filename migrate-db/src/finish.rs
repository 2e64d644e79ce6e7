//! What follows the tables: sequences to their positions, materialised views filled and analysed.

use std::time::Instant;

use common::error::{Class, OperatorError as _};
use common::finding::{Finding, FindingKind};
use tokio_postgres::error::SqlState;

use crate::catalog::RelationName;
use crate::connect::Session;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::statistics;
use crate::verify::CONTENT;

/// Sequences read by one statement: long enough to be quick, short enough for any server's limits.
const SEQUENCES_PER_STATEMENT: usize = 200;

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The sequence.
    pub name: RelationName,
    /// The value given last, or the one to be given first.
    pub last_value: i64,
    /// Whether `last_value` was given already.
    pub is_called: bool,
}

/// Reads where the sequences stand. A sequence is not part of a snapshot: this is the moment of asking.
pub async fn read_positions(session: &Session, sequences: &[RelationName]) -> Result<Vec<Position>> {
    let mut positions = Vec::with_capacity(sequences.len());
    for chunk in sequences.chunks(SEQUENCES_PER_STATEMENT) {
        let selects: Vec<String> = (0..)
            .zip(chunk)
            .map(|(index, name)| format!("SELECT {index}::bigint, last_value, is_called FROM {}", name.sql()))
            .collect();
        for row in session.query("read the sequences", &selects.join(" UNION ALL "), &[]).await? {
            let index = usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX);
            if let Some(name) = chunk.get(index) {
                positions.push(Position { name: name.clone(), last_value: row.get(1), is_called: row.get(2) });
            }
        }
    }
    positions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(positions)
}

/// Moves the target's sequences to `positions`.
pub async fn set_positions(session: &Session, positions: &[Position]) -> Result<()> {
    let names: Vec<String> = positions.iter().map(|position| position.name.sql()).collect();
    let values: Vec<i64> = positions.iter().map(|position| position.last_value).collect();
    let called: Vec<bool> = positions.iter().map(|position| position.is_called).collect();
    let statement = "SELECT count(setval(p.name::regclass, p.value, p.called))
                     FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS p (name, value, called)";
    session.query("set the sequences", statement, &[&names, &values, &called]).await.map(drop)
}

/// Compares where sequences stand.
pub fn compare_positions(source: &[Position], target: &[Position]) -> Vec<Finding> {
    let differs = |position: &&Position| !target.contains(position);
    let finding = |position: &Position| {
        let other = target.iter().find(|other| other.name == position.name);
        let show = |position: &Position| {
            format!("{}{}", position.last_value, if position.is_called { "" } else { " (not given yet)" })
        };
        let detail = match other {
            Some(other) => format!("stands at {} on the source, at {} on the target", show(position), show(other)),
            None => "is missing on the target".into(),
        };
        Finding::new(FindingKind::Differs, format!("sequence {}", position.name), "position", detail)
    };
    source.iter().filter(differs).map(finding).collect()
}

/// Fills the materialised views, those first that others read from: whatever cannot be filled yet waits for the next
/// round, until a round brings nothing more.
pub async fn refresh_materialized_views(context: &Context, views: &[RelationName]) -> Result<()> {
    let mut waiting: Vec<RelationName> = views.to_vec();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut still_waiting = Vec::new();
        for view in waiting {
            match refresh(context, &view).await {
                Ok(()) => {}
                Err(error) => still_waiting.push((view, error)),
            }
        }
        if still_waiting.len() == before {
            return still_waiting.into_iter().try_for_each(|(view, error)| record_failure(context, &view, error));
        }
        waiting = still_waiting.into_iter().map(|(view, _)| view).collect();
    }
    Ok(())
}

async fn refresh(context: &Context, view: &RelationName) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            let started = Instant::now();
            let statement = format!("REFRESH MATERIALIZED VIEW {}", view.sql());
            session.execute(&format!("fill the materialised view {view}"), &statement).await?;
            context.recorder.span(format!("build {}", session.number()), "index", view.to_string(), started);
            Ok(())
        })
        .await?;
    statistics::analyze(context, view).await
}

fn record_failure(context: &Context, view: &RelationName, error: Error) -> Result<()> {
    let class = error.class();
    match error {
        Error::Statement { source, .. } if class == Class::Permanent => {
            let why = if source.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) {
                "reads from a view that is not filled"
            } else {
                "cannot be filled"
            };
            let detail = format!("{why}: {source}");
            context.recorder.finding(Finding::new(
                FindingKind::Error,
                format!("materialised view {view}"),
                CONTENT,
                detail,
            ));
            Ok(())
        }
        error => Err(error),
    }
}
