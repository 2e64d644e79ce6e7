//! The planner's statistics, so that the first query after the cutover is planned as the last one before it was: the
//! source's own where the target can take them (PostgreSQL 18) and that is quicker, else taken anew.
//!
//! Called by `copy` once a table's indexes are there, by `repair`, and by `run` for what holds no rows of its own.

use std::time::Instant;

use common::error::{Class, OperatorError as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::catalog::{Partitioned, RelationName, ServerVersion, Table};
use crate::connect::Pool;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{index, preflight};

/// The first major with functions that set statistics (release notes of PostgreSQL 18, `pg_restore_attribute_stats`).
const SETTABLE_SINCE: i32 = 18;
/// The first major whose `pg_stats` shows what is known of ranges (release notes of PostgreSQL 17).
const RANGES_SHOWN_SINCE: i32 = 17;
/// The first major with `ANALYZE ONLY` (release notes of PostgreSQL 18).
const ALONE_SINCE: i32 = 18;
/// ANALYZE looks at so many rows: 300 for each step of the default statistics target (documentation of ANALYZE, "Notes").
const SAMPLE_ROWS: u64 = 30_000;
/// Below so many values in its sample ANALYZE is done in less than 0.1 s (0.5 µs a value), as soon as anything else is.
const CARRIED_ABOVE_VALUES: u64 = 100_000;

/// The statistics of a table's columns on the source: one JSON object each, under the names of `pg_stats`.
///
/// There is no row unless they are complete and as fresh as autovacuum keeps them (50 rows and a tenth may have changed), the
/// table is still about as large as it was then, and nothing has statistics that cannot be set: expressions of indexes,
/// and extended statistics.
fn read_statement(version: ServerVersion) -> String {
    let of_ranges = if version.major() < RANGES_SHOWN_SINCE {
        ""
    } else {
        ", 'range_length_histogram', s.range_length_histogram::text, 'range_empty_frac', s.range_empty_frac,
           'range_bounds_histogram', s.range_bounds_histogram::text"
    };
    format!(
        "
    SELECT (SELECT json_agg(json_build_object(
                'attname', s.attname, 'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct,
                'most_common_vals', s.most_common_vals::text, 'most_common_freqs', s.most_common_freqs,
                'histogram_bounds', s.histogram_bounds::text, 'correlation', s.correlation,
                'most_common_elems', s.most_common_elems::text, 'most_common_elem_freqs', s.most_common_elem_freqs,
                'elem_count_histogram', s.elem_count_histogram{of_ranges}))::text
            FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass($1)
      AND pg_stat_get_mod_since_analyze(c.oid) <= 50 + c.reltuples / 10
      AND coalesce(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL
      AND abs(c.reltuples - $2::double precision) <= 50 + $2 / 10
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
      AND NOT EXISTS (SELECT FROM pg_statistic_ext e WHERE e.stxrelid = c.oid)
      AND NOT EXISTS (SELECT FROM pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                        AND NOT EXISTS (SELECT FROM pg_stats s
                                        WHERE s.schemaname = n.nspname AND s.tablename = c.relname
                                          AND s.attname = a.attname AND NOT s.inherited))"
    )
}

/// Sets them, and the table's size: true if all were taken.
const SET: &str = "
    SELECT pg_restore_relation_stats('schemaname', n.nspname::text, 'relname', c.relname::text, 'reltuples', $2::double precision::real,
               'relpages', (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::integer)
       AND (SELECT bool_and(pg_restore_attribute_stats(
                'version', $3::integer, 'schemaname', n.nspname::text, 'relname', c.relname::text, 'attname', s.attname,
                'inherited', false, 'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct,
                'most_common_vals', s.most_common_vals, 'most_common_freqs', s.most_common_freqs,
                'histogram_bounds', s.histogram_bounds, 'correlation', s.correlation,
                'most_common_elems', s.most_common_elems, 'most_common_elem_freqs', s.most_common_elem_freqs,
                'elem_count_histogram', s.elem_count_histogram, 'range_length_histogram', s.range_length_histogram,
                'range_empty_frac', s.range_empty_frac, 'range_bounds_histogram', s.range_bounds_histogram))
            FROM json_to_recordset($4::text::json) AS s (
                attname text, null_frac real, avg_width integer, n_distinct real, most_common_vals text,
                most_common_freqs real[], histogram_bounds text, correlation real, most_common_elems text,
                most_common_elem_freqs real[], elem_count_histogram real[], range_length_histogram text,
                range_empty_frac real, range_bounds_histogram text))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

/// Statistics of the source that the target can take.
#[derive(Clone)]
pub struct Carrier {
    /// A session with the source of its own: one that sees the snapshot would be lost with the first statement that fails.
    source: Pool,
    source_version: ServerVersion,
}

impl Carrier {
    /// Nothing where the target cannot take statistics, or sorts text in another order than the source, so that histograms
    /// would mean nothing.
    pub async fn between(source: &preflight::Party<'_>, target: &preflight::Party<'_>) -> Result<Option<Self>> {
        if target.version.major() < SETTABLE_SINCE || !preflight::sort_alike(source.session, target.session).await? {
            return Ok(None);
        }
        let pool = Pool::new(source.endpoint, source.session.side(), 1, String::new());
        Ok(Some(Self { source: pool, source_version: source.version }))
    }
}

/// Sees to it that `table`, which has `rows` rows, has statistics on the target.
pub async fn bring(context: &Context, table: &Table, rows: u64) -> Result<()> {
    let sampled = rows.min(SAMPLE_ROWS) * table.columns.len() as u64;
    if let Some(carrier) = &context.statistics
        && table.leaves.is_empty()
        && sampled >= CARRIED_ABOVE_VALUES
    {
        match carry(context, carrier, &table.name, rows).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error @ Error::Statement { .. }) if error.class() == Class::Permanent => {
                tracing::debug!(table = %table.name, %error, "statistics are taken anew");
            }
            Err(error) => return Err(error),
        }
    }
    analyze(context, &table.name).await
}

/// Whether the source had statistics to be carried, and the target took them.
async fn carry(context: &Context, carrier: &Carrier, table: &RelationName, rows: u64) -> Result<bool> {
    let started = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "the planner's own estimate is no more exact")]
    let rows = rows as f64;
    let statement = read_statement(carrier.source_version);
    let read = context
        .with_session(&carrier.source, async |session, _| {
            session.query(&format!("read the statistics of {table}"), &statement, &[&table.sql(), &rows]).await
        })
        .await?;
    // Of a database without an encoding they may be no text.
    let columns = read.first().and_then(|row| row.try_get::<_, Option<String>>(0).ok().flatten());
    let Some(columns) = columns else { return Ok(false) };
    let version = carrier.source_version.0;
    context
        .with_session(&context.builders, async |session, _| {
            let action = format!("set the statistics of {table}");
            let set = session.query(&action, SET, &[&table.sql(), &rows, &version, &columns]).await?;
            context.recorder.span(format!("build {}", session.number()), "analyze", table.to_string(), started);
            Ok(set.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)))
        })
        .await
}

/// Takes the statistics of partitioned tables as a whole, which autovacuum never does: of those that have them on the source.
/// A target that cannot look at a partitioned table alone looks at its partitions again.
pub async fn of_partitioned(context: &Context, tables: &[Partitioned]) -> Result<()> {
    let is_alone = context.target_version.major() >= ALONE_SINCE;
    stream::iter(tables.iter().filter(|table| is_alone || table.is_root))
        .map(|Partitioned { name, .. }| async move {
            let statement = format!("ANALYZE {}{}", if is_alone { "ONLY " } else { "" }, name.sql());
            let analyzed = run(context, name, &statement).await;
            analyzed.or_else(|error| index::record_failure(context, format!("table {name}"), "statistics", error))
        })
        .buffer_unordered(tables.len().max(1))
        .try_collect()
        .await
}

/// Takes statistics anew.
pub async fn analyze(context: &Context, table: &RelationName) -> Result<()> {
    run(context, table, &format!("ANALYZE {}", table.sql())).await
}

async fn run(context: &Context, table: &RelationName, statement: &str) -> Result<()> {
    context
        .with_session(&context.builders, async |session, _| {
            let started = Instant::now();
            session.execute(&format!("analyze {table}"), statement).await?;
            context.recorder.span(format!("build {}", session.number()), "analyze", table.to_string(), started);
            Ok(())
        })
        .await
}
