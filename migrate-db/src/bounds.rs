//! Where to cut a table whose server cannot scan ranges of blocks (before PostgreSQL 14): at keys, read from a sample.
//!
//! Every type and any number of columns will do, since the server orders the sample by the same comparison by which it
//! later selects the rows. Called by `run` when a plan is made.

use std::collections::HashMap;

use crate::catalog::{ServerVersion, Table};
use crate::connect::Session;
use crate::error::Result;
use crate::plan::Plan;
use crate::segment::{self, CTID_RANGES_SINCE, KeyColumn, Range};
use crate::sql;

/// Blocks read for each segment: even segments at little cost (some 1.6 MB for ten of them).
const BLOCKS_PER_SEGMENT: u64 = 20;

/// Cuts the tables of `plan` that are larger than its segments may be and have a primary key.
pub(crate) async fn cut_by_keys(session: &Session, version: ServerVersion, plan: &mut Plan) -> Result<()> {
    if version.major() >= CTID_RANGES_SINCE {
        return Ok(());
    }
    for table in &mut plan.tables {
        let mut cuts = HashMap::new();
        for holder in table.table.holders() {
            let count = segment::count(holder, plan.segment_bytes_max);
            let Some(columns) = key_columns(holder) else { continue };
            if count > 1 {
                let bounds = sample(session, holder, &columns, count).await?;
                cuts.insert(&holder.name, segment::cut_keys(&columns, &bounds));
            }
        }
        if !cuts.is_empty() {
            let cut = |holder: &Table| cuts.get(&holder.name).cloned().unwrap_or_else(|| vec![Range::Whole]);
            table.ranges = segment::of_holders(&table.table, cut);
        }
    }
    Ok(())
}

/// The primary key's columns; `None` without a key or where rows do not lie in blocks.
fn key_columns(table: &Table) -> Option<Vec<KeyColumn>> {
    let column = |name: &String| {
        let column = table.columns.iter().find(|column| column.name == *name)?;
        Some(KeyColumn { name: name.clone(), type_name: column.column_type.name.clone() })
    };
    let columns: Vec<KeyColumn> = table.key.iter().map(column).collect::<Option<_>>()?;
    (table.heap && !columns.is_empty()).then_some(columns)
}

/// At most `count - 1` keys that part the table in about equal ranges. Few rows in the sample make fewer of them.
async fn sample(session: &Session, table: &Table, columns: &[KeyColumn], count: u64) -> Result<Vec<Vec<String>>> {
    let names = sql::identifiers(columns.iter().map(|column| column.name.as_str()));
    let texts: Vec<String> = columns.iter().map(|column| format!("{}::text", sql::identifier(&column.name))).collect();
    // Where text is in no encoding, only such keys can be written down in a statement as are plain ASCII.
    let plain: Vec<String> = texts.iter().map(|text| format!("{text} COLLATE \"C\" ~ '^[\\x01-\\x7f]*$'")).collect();
    let wanted = count * BLOCKS_PER_SEGMENT * 100;
    let percent = wanted.div_ceil(table.blocks.max(1)).clamp(1, 100);
    let statement = format!(
        "SELECT ARRAY[{}] FROM (
             SELECT {names}, row_number() OVER (ORDER BY {names}) AS place, count(*) OVER () AS rows
             FROM ONLY {} TABLESAMPLE SYSTEM ({percent})) AS sample
         WHERE place % greatest(rows / {count}, 1) = 0 AND place < rows
           AND (current_setting('server_encoding') <> 'SQL_ASCII' OR ({})) ORDER BY place LIMIT {}",
        texts.join(", "),
        table.name.sql(),
        plain.join(" AND "),
        count - 1,
    );
    let rows = session.query(&format!("sample the keys of {}", table.name), &statement, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
