//! Names the rows that differ, once the digests of a table do.
//!
//! Both sides are read twice, as text, in the order in which they come: nothing is sorted, any table can be read, and the
//! memory in use does not depend on its size. What to look for is decided in [`narrow`]; here is the reading and the
//! wording. Called at the end of a run, for the tables that need it.

mod narrow;

use std::sync::Arc;

use common::units;

pub(crate) use self::narrow::Apart;
use self::narrow::{Difference, Held, Keep, Key, Scope, Sketch};
use crate::catalog::{Column, Table};
use crate::connect::Pool;
use crate::context::Context;
use crate::error::Result;
use crate::rows::{text_fields, unescape};
use crate::segment::{self, Format};
use crate::stream::{self, End};

/// Rows kept per side; more are counted as "at least".
const ROWS_HELD_MAX: u64 = 10_000;
/// Memory for these rows per side, which is what bounds tables with hundreds of columns.
const HELD_BYTES_MAX: u64 = 16 << 20;
/// Memory of a row besides 8 bytes per column: its key's hash and text, and the table that holds it.
const ROW_BYTES: u64 = 256;
/// Keys kept per side for a repair: some 20 MB. More than these differing rows are not picked out one by one.
const KEYS_HELD_MAX: u64 = 100_000;
/// Keys shown in one sentence.
const KEYS_SHOWN_MAX: usize = 20;

/// Says in a sentence which rows of `table` differ, for example `2 rows differ (columns status, updated_at), 1 row only
/// on the source`. Keys of rows are in it only with `show_keys`, and then no other value.
///
/// A column that prints as the same text in two different values is not seen. Floats of sources before PostgreSQL 12
/// print otherwise than those of newer ones, and are counted as differing.
pub(crate) async fn differences(context: &Context, table: &Table, show_keys: bool) -> Result<String> {
    let key = key_of(table);
    let (on_source, on_target) = tokio::try_join!(
        sketch(context, &context.readers, table, &key),
        sketch(context, &context.builders, table, &key),
    )?;
    let row_bytes = ROW_BYTES + 8 * table.columns.len() as u64;
    let scope = Arc::new(Scope::new(&on_source, &on_target, ROWS_HELD_MAX.min(HELD_BYTES_MAX / row_bytes)));
    if scope.is_empty() {
        return Ok(
            "no row differs in its text form on a second look: the target was written to while it was read, or the \
                   difference is in what the text does not show"
                .into(),
        );
    }
    let keep = if show_keys { Keep::FieldsAndKey } else { Keep::Fields };
    let (on_source, on_target) = tokio::try_join!(
        hold(context, &context.readers, table, &key, &scope, keep),
        hold(context, &context.builders, table, &key, &scope, keep),
    )?;
    Ok(sentence(table, &key, &Difference::between(&on_source, &on_target), scope.complete))
}

/// A row that only one side has, or both with other values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowApart {
    /// Which side has it.
    pub(crate) apart: Apart,
    /// Its key as text, one value for each of [`key_columns`]; a key is never NULL.
    pub(crate) key: Vec<String>,
}

/// The columns of the primary key in the order in which [`rows_apart`] gives their values: that of the table.
pub(crate) fn key_columns(table: &Table) -> Vec<&Column> {
    key_of(table).positions().iter().map(|position| &table.columns[*position]).collect()
}

/// The rows of `table` that the sides do not share; `None` where they have to be taken as a whole: the table has no
/// primary key, too much differs to be kept in memory, or the difference is not in what the text shows.
pub(crate) async fn rows_apart(context: &Context, table: &Table) -> Result<Option<Vec<RowApart>>> {
    let key = key_of(table);
    if !key.exists() {
        return Ok(None);
    }
    let (on_source, on_target) = tokio::try_join!(
        sketch(context, &context.readers, table, &key),
        sketch(context, &context.builders, table, &key),
    )?;
    let scope = Arc::new(Scope::new(&on_source, &on_target, KEYS_HELD_MAX));
    if scope.is_empty() || !scope.complete {
        return Ok(None);
    }
    let (on_source, on_target) = tokio::try_join!(
        hold(context, &context.readers, table, &key, &scope, Keep::Key),
        hold(context, &context.builders, table, &key, &scope, Keep::Key),
    )?;
    let keys = Difference::between(&on_source, &on_target).keys.into_iter();
    let rows: Option<Vec<RowApart>> = keys
        .map(|(apart, text)| {
            let key: Option<Vec<String>> = text_fields(&text).map(unescape).collect();
            key.map(|key| RowApart { apart, key })
        })
        .collect();
    Ok(rows.filter(|rows| !rows.is_empty()))
}

/// The primary key, where all its columns are among those that are read.
fn key_of(table: &Table) -> Key {
    let position = |name: &String| table.columns.iter().position(|column| column.name == *name);
    Key::new(table.key.iter().map(position).collect::<Option<Vec<_>>>().unwrap_or_default())
}

async fn sketch(context: &Context, pool: &Pool, table: &Table, key: &Key) -> Result<Sketch> {
    let begin = || Sketch::new(key.clone());
    read(context, pool, table, begin, narrow::Sketch::add).await
}

async fn hold(
    context: &Context,
    pool: &Pool,
    table: &Table,
    key: &Key,
    scope: &Arc<Scope>,
    keep: Keep,
) -> Result<Held> {
    let begin = || (Held::new(key.clone(), keep), Arc::clone(scope));
    let (held, _) = read(context, pool, table, begin, |(held, scope), row| held.add(scope, row)).await?;
    Ok(held)
}

/// Reads all rows into what `begin` makes; begins anew when the connection breaks.
async fn read<T: Send + 'static>(
    context: &Context,
    pool: &Pool,
    table: &Table,
    begin: impl Fn() -> T,
    take: impl Fn(&mut T, &[u8]) + Copy + Send + Sync + 'static,
) -> Result<T> {
    let ranges = segment::whole(table);
    context
        .with_session(pool, async |session, _| {
            let mut taken = begin();
            for range in &ranges {
                let from = End { session: session.session(), statement: segment::copy_out(table, range, Format::Text) };
                taken = stream::collect(from, Format::Text, context.surroundings(), taken, take).await?;
            }
            Ok(taken)
        })
        .await
}

fn sentence(table: &Table, key: &Key, difference: &Difference, complete: bool) -> String {
    let rows = |count: u64| units::counted(count, "row");
    let mut parts = Vec::new();
    if difference.differing > 0 {
        let names: Vec<&str> = difference.fields.iter().map(|field| table.columns[*field].name.as_str()).collect();
        let noun = if names.len() == 1 { "column" } else { "columns" };
        let verb = if difference.differing == 1 { "differs" } else { "differ" };
        parts.push(format!("{} {verb} ({noun} {})", rows(difference.differing), names.join(", ")));
    }
    if difference.source_only > 0 {
        parts.push(format!("{} only on the source", rows(difference.source_only)));
    }
    if difference.target_only > 0 {
        parts.push(format!("{} only on the target", rows(difference.target_only)));
    }
    if parts.is_empty() {
        parts.push("1 row differs or is missing".into());
    }
    let bound = if complete { "" } else { "at least " };
    let unnamed =
        if key.exists() { "" } else { "; the table has no primary key, so rows are told apart by all they hold" };
    format!("{bound}{}{unnamed}{}", parts.join(", "), keys(table, key, difference))
}

fn keys(table: &Table, key: &Key, difference: &Difference) -> String {
    if difference.keys.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = key.positions().iter().map(|position| table.columns[*position].name.as_str()).collect();
    let show = |(apart, text): &(Apart, Vec<u8>)| {
        let text = String::from_utf8_lossy(text).into_owned();
        let fields: Vec<String> = names
            .iter()
            .zip(text.split('\t'))
            .map(|(name, value)| format!("{name}={}", units::one_line(value)))
            .collect();
        let side = match apart {
            Apart::Differs => "",
            Apart::SourceOnly => " (only on the source)",
            Apart::TargetOnly => " (only on the target)",
        };
        format!("{}{side}", fields.join(" "))
    };
    let shown: Vec<String> = difference.keys.iter().take(KEYS_SHOWN_MAX).map(show).collect();
    let more = if difference.keys.len() > KEYS_SHOWN_MAX { ", …" } else { "" };
    format!("; keys: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::types::Floats;
    use crate::catalog::{ColumnType, RelationName};

    fn table(key: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).into(),
            column_type: ColumnType { name: "text".into(), text_reason: None, floats: Floats::None, text_cost: 0 },
        };
        Table {
            name: RelationName { schema: "public".into(), name: "users".into() },
            columns: ["id", "status", "updated_at"].iter().map(column).collect(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            ..Table::default()
        }
    }

    #[test]
    fn the_sentence_counts_rows_and_names_columns() {
        let table = table(&["id"]);
        let difference = Difference {
            differing: 2,
            fields: [1, 2].into(),
            source_only: 1,
            target_only: 3,
            keys: [(Apart::Differs, b"42".to_vec()), (Apart::TargetOnly, b"7".to_vec())].into(),
        };
        assert_eq!(
            sentence(&table, &key_of(&table), &difference, true),
            "2 rows differ (columns status, updated_at), 1 row only on the source, 3 rows only on the target; \
             keys: id=42, id=7 (only on the target)"
        );
    }

    #[test]
    fn the_sentence_says_what_it_does_not_know() {
        let table = table(&[]);
        let difference = Difference { source_only: 1, ..Difference::default() };
        assert_eq!(
            sentence(&table, &key_of(&table), &difference, false),
            "at least 1 row only on the source; the table has no primary key, so rows are told apart by all they hold"
        );
    }

    #[test]
    fn a_key_of_which_a_column_is_not_read_is_none() {
        assert!(key_of(&table(&["id", "status"])).exists());
        assert!(!key_of(&table(&["id", "computed"])).exists());
    }
}
