//! Segments: how a table is cut so that several workers can copy it, and how a segment is named in SQL.
//!
//! Pure: no I/O. The law (tested): the ranges of a table cover every block once.

use serde::{Deserialize, Serialize};

use crate::catalog::{RelationName, ServerVersion, Table};
use crate::sql;

/// From this major on a condition on ctid is a range scan; before, each segment would read the whole table.
pub const CTID_RANGES_SINCE: i32 = 14;
/// More segments than this per table bring nothing but bookkeeping.
const SEGMENTS_MAX: u64 = 4096;

/// A slice of a table's rows on the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// All rows.
    Whole,
    /// Rows in blocks from `from_block` up to, not including, `to_block`; without an end, to the end of the table.
    Blocks {
        /// First block.
        from_block: u64,
        /// First block that no longer belongs to the slice.
        to_block: Option<u64>,
    },
}

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// COPY's binary form: nothing is parsed on either side.
    Binary,
    /// COPY's text form.
    Text,
}

impl Format {
    /// The option in SQL and the word in the plan.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Text => "text",
        }
    }
}

/// Cuts `table` into ranges of about `segment_bytes_max`, when it is larger and the server can scan ranges.
pub fn cut(table: &Table, version: ServerVersion, segment_bytes_max: u64) -> Vec<Range> {
    if version.major() < CTID_RANGES_SINCE || !table.heap {
        return vec![Range::Whole];
    }
    cut_blocks(table.blocks, table.bytes.div_ceil(segment_bytes_max.max(1)))
}

/// Cuts `blocks` into at most `count` ranges of equal width. The last has no end: rows may sit in blocks that were
/// added after the table was measured.
fn cut_blocks(blocks: u64, count: u64) -> Vec<Range> {
    let count = count.clamp(1, SEGMENTS_MAX).min(blocks.max(1));
    if count == 1 {
        return vec![Range::Whole];
    }
    let edge = |index: u64| blocks * index / count;
    (0..count)
        .map(|index| Range::Blocks { from_block: edge(index), to_block: (index + 1 < count).then(|| edge(index + 1)) })
        .collect()
}

/// The statement that reads `range` of the columns (quoted, with commas) of a table.
pub fn copy_out(table: &RelationName, columns: &str, range: Range, format: Format) -> String {
    let format = format.word();
    let name = table.sql();
    match range {
        Range::Whole if columns.is_empty() => format!("COPY {name} TO STDOUT (FORMAT {format})"),
        Range::Whole => format!("COPY {name} ({columns}) TO STDOUT (FORMAT {format})"),
        Range::Blocks { from_block, to_block } => {
            let end = to_block.map(|block| format!(" AND ctid < '({block},0)'::tid")).unwrap_or_default();
            format!(
                "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from_block},0)'::tid{end}) TO STDOUT (FORMAT {format})"
            )
        }
    }
}

/// The statement that writes rows of the columns into a table; `freeze` where the same transaction emptied it.
pub fn copy_in(table: &RelationName, columns: &str, format: Format, freeze: bool) -> String {
    let freeze = if freeze { ", FREEZE" } else { "" };
    let columns = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    format!("COPY {}{columns} FROM STDIN (FORMAT {}{freeze})", table.sql(), format.word())
}

/// The columns of a table as COPY wants them.
pub fn column_list(table: &Table) -> String {
    sql::identifiers(table.columns.iter().map(|column| column.name.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_cover_every_block_once(blocks in 0u64..10_000_000, count in 0u64..10_000, block in any::<prop::sample::Index>()) {
            let ranges = cut_blocks(blocks, count);
            let block = u64::try_from(block.index(usize::try_from(blocks + 100).unwrap())).unwrap();
            let holders = ranges.iter().filter(|range| match range {
                Range::Whole => true,
                Range::Blocks { from_block, to_block } => *from_block <= block && to_block.is_none_or(|end| block < end),
            });
            prop_assert_eq!(holders.count(), 1);
            prop_assert!(ranges.len() as u64 <= SEGMENTS_MAX);
        }
    }

    #[test]
    fn statements_name_the_range() {
        let name = RelationName { schema: "public".into(), name: "t".into() };
        let range = Range::Blocks { from_block: 7, to_block: Some(9) };
        assert_eq!(
            copy_out(&name, "\"a\"", range, Format::Binary),
            "COPY (SELECT \"a\" FROM ONLY \"public\".\"t\" WHERE ctid >= '(7,0)'::tid AND ctid < '(9,0)'::tid) TO STDOUT (FORMAT binary)"
        );
        assert_eq!(copy_out(&name, "", Range::Whole, Format::Text), "COPY \"public\".\"t\" TO STDOUT (FORMAT text)");
        assert_eq!(
            copy_in(&name, "\"a\"", Format::Binary, true),
            "COPY \"public\".\"t\" (\"a\") FROM STDIN (FORMAT binary, FREEZE)"
        );
    }
}
