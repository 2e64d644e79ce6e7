//! Segments: how a table is cut so that several workers can copy it, and how a segment is named in SQL.
//!
//! Pure: no I/O. The law (tested): the ranges of a table cover every block, or every key, once.

use serde::{Deserialize, Serialize};

use crate::catalog::{RelationName, ServerVersion, Table};
use crate::sql;

/// From this major on a condition on ctid is a range scan; before, each segment would read the whole table.
pub const CTID_RANGES_SINCE: i32 = 14;
/// More segments than this per table bring nothing but bookkeeping.
const SEGMENTS_MAX: u64 = 4096;

/// Below so many bytes no table is cut unless it was asked for: a connection that breaks costs a few seconds' work.
pub const BYTES_MAX_LEAST: u64 = 256_000_000;
/// Above so many every table is cut: half a minute's work on a slow line.
const BYTES_MAX_MOST: u64 = 1_000_000_000;

/// How large a table may be that is not cut, in a database of `bytes` that `jobs` copy: twice a job's share.
///
/// A whole table is copied with `FREEZE`, after which nobody who reads it (an index build, we, the first queries) has to
/// write to it. Copying is about half of the work on a table, and the other half is done by others: up to two shares, one job
/// is not what the end waits for.
pub fn bytes_max(bytes: u64, jobs: usize) -> u64 {
    (2 * bytes / jobs.max(1) as u64).clamp(BYTES_MAX_LEAST, BYTES_MAX_MOST)
}

/// A slice of a table's rows on the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Some rows of a leaf, of a table whose rows are given to its root.
    Leaf {
        /// The leaf, on the source.
        leaf: RelationName,
        /// Which of its rows.
        range: Box<Self>,
    },
    /// Rows whose primary key lies from one bound up to, not including, another; without a bound, from the first key or
    /// to the last. Only ever compared by the server that the bounds were read on, so collations do not matter.
    Keys {
        /// The key's columns, in its order.
        columns: Vec<KeyColumn>,
        /// The first key, a text for each column.
        from: Option<Vec<String>>,
        /// The first key that no longer belongs to the slice.
        to: Option<Vec<String>>,
    },
}

/// A column of a primary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL has it.
    pub type_name: String,
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

/// Cuts `table`, or each of its leaves, into ranges of about `segment_bytes_max`, when it is larger and the server can scan ranges.
pub fn cut(table: &Table, version: ServerVersion, segment_bytes_max: u64) -> Vec<Range> {
    of_holders(table, |holder| cut_one(holder, version, segment_bytes_max))
}

/// The ranges that `cut` gives for each of those who hold the rows of `table`.
pub fn of_holders(table: &Table, cut: impl Fn(&Table) -> Vec<Range>) -> Vec<Range> {
    if table.leaves.is_empty() {
        return cut(table);
    }
    let of_leaf = |leaf: &Table, range| Range::Leaf { leaf: leaf.name.clone(), range: Box::new(range) };
    table.leaves.iter().flat_map(|leaf| cut(leaf).into_iter().map(move |range| of_leaf(leaf, range))).collect()
}

/// All rows of a table, of each of those who hold them by itself: a root is read with the leaves that it has by now, which need not be those
/// that a snapshot sees.
pub fn whole(table: &Table) -> Vec<Range> {
    of_holders(table, |_| vec![Range::Whole])
}

/// What [`cut`] gives for rows that one table holds, or that are read of a root as if it did.
pub fn cut_one(table: &Table, version: ServerVersion, segment_bytes_max: u64) -> Vec<Range> {
    if version.major() < CTID_RANGES_SINCE || !table.heap {
        return vec![Range::Whole];
    }
    cut_blocks(table.blocks, count(table, segment_bytes_max))
}

/// How many ranges of about `segment_bytes_max` a table has.
pub fn count(table: &Table, segment_bytes_max: u64) -> u64 {
    table.bytes.div_ceil(segment_bytes_max.max(1)).clamp(1, SEGMENTS_MAX)
}

/// Cuts a table at `bounds`, which are ascending and different from each other.
pub fn cut_keys(columns: &[KeyColumn], bounds: &[Vec<String>]) -> Vec<Range> {
    if bounds.is_empty() {
        return vec![Range::Whole];
    }
    let from = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let to = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    from.zip(to).map(|(from, to)| Range::Keys { columns: columns.to_vec(), from, to }).collect()
}

/// The condition that a row's key is on one side of a bound.
fn beside(columns: &[KeyColumn], comparison: &str, bound: &[String]) -> String {
    let names = sql::identifiers(columns.iter().map(|column| column.name.as_str()));
    let typed = columns.iter().zip(bound);
    let values: Vec<String> =
        typed.map(|(column, value)| format!("{}::{}", sql::literal(value), column.type_name)).collect();
    format!("({names}) {comparison} ({})", values.join(", "))
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

/// The statement that reads `range` of a table.
pub fn copy_out(table: &Table, range: &Range, format: Format) -> String {
    let (columns, rows, format) = (column_list(table), table.rows_sql(), format.word());
    match range {
        Range::Whole if !table.leaves.is_empty() => {
            format!("COPY (SELECT {columns} FROM {rows}) TO STDOUT (FORMAT {format})")
        }
        range => copy_some(&table.name.sql(), &rows, &columns, range, format),
    }
}

/// Reads `range` of the table `name`; `rows` is how a query names its rows.
fn copy_some(name: &str, rows: &str, columns: &str, range: &Range, format: &str) -> String {
    match range {
        Range::Whole if columns.is_empty() => format!("COPY {name} TO STDOUT (FORMAT {format})"),
        Range::Whole => format!("COPY {name} ({columns}) TO STDOUT (FORMAT {format})"),
        Range::Blocks { from_block, to_block } => {
            let end = to_block.map(|block| format!(" AND ctid < '({block},0)'::tid")).unwrap_or_default();
            format!(
                "COPY (SELECT {columns} FROM {rows} WHERE ctid >= '({from_block},0)'::tid{end}) TO STDOUT (FORMAT {format})"
            )
        }
        Range::Keys { columns: key, from, to } => {
            let from = from.iter().map(|bound| beside(key, ">=", bound));
            let conditions: Vec<String> = from.chain(to.iter().map(|bound| beside(key, "<", bound))).collect();
            format!(
                "COPY (SELECT {columns} FROM {rows} WHERE {}) TO STDOUT (FORMAT {format})",
                conditions.join(" AND ")
            )
        }
        Range::Leaf { leaf, range } => copy_some(&leaf.sql(), &format!("ONLY {}", leaf.sql()), columns, range, format),
    }
}

/// The statement that writes rows into a table; `freeze` where the same transaction emptied it.
pub fn copy_in(table: &Table, format: Format, freeze: bool) -> String {
    let freeze = if freeze { ", FREEZE" } else { "" };
    let columns = column_list(table);
    let columns = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    format!("COPY {}{columns} FROM STDIN (FORMAT {}{freeze})", table.name.sql(), format.word())
}

/// The columns of a table as COPY wants them.
pub fn column_list(table: &Table) -> String {
    sql::identifiers(table.columns.iter().map(|column| column.name.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::types::Floats;
    use crate::catalog::{Column, ColumnType};

    proptest! {
        #[test]
        fn ranges_cover_every_block_once(blocks in 0u64..10_000_000, count in 0u64..10_000, block in any::<prop::sample::Index>()) {
            let ranges = cut_blocks(blocks, count);
            let block = u64::try_from(block.index(usize::try_from(blocks + 100).unwrap())).unwrap();
            let holders = ranges.iter().filter(|range| match range {
                Range::Whole => true,
                Range::Blocks { from_block, to_block } => *from_block <= block && to_block.is_none_or(|end| block < end),
                Range::Keys { .. } | Range::Leaf { .. } => false,
            });
            prop_assert_eq!(holders.count(), 1);
            prop_assert!(ranges.len() as u64 <= SEGMENTS_MAX);
        }
    }

    proptest! {
        #[test]
        fn ranges_cover_every_key_once(bounds in proptest::collection::btree_set("[a-c]{0,3}", 0..8), key in "[a-c]{0,3}") {
            let columns = [KeyColumn { name: "k".into(), type_name: "text".into() }];
            let bounds: Vec<Vec<String>> = bounds.into_iter().map(|bound| vec![bound]).collect();
            let key = vec![key];
            let holders = cut_keys(&columns, &bounds).into_iter().filter(|range| match range {
                Range::Whole => true,
                Range::Keys { from, to, .. } => {
                    from.as_ref().is_none_or(|from| *from <= key) && to.as_ref().is_none_or(|to| key < *to)
                }
                Range::Blocks { .. } | Range::Leaf { .. } => false,
            });
            prop_assert_eq!(holders.count(), 1);
        }
    }

    fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).into(),
            column_type: ColumnType { name: "text".into(), text_reason: None, floats: Floats::None, text_cost: 0 },
        };
        Table {
            name: RelationName { schema: "public".into(), name: "t".into() },
            columns: columns.iter().map(column).collect(),
            heap: true,
            ..Table::default()
        }
    }

    #[test]
    fn rows_that_go_through_a_root_are_read_of_all_leaves() {
        let root = Table { leaves: vec![table(&["a"])], ..table(&["a"]) };
        assert_eq!(
            copy_out(&root, &Range::Whole, Format::Binary),
            "COPY (SELECT \"a\" FROM \"public\".\"t\") TO STDOUT (FORMAT binary)"
        );
        let range = Range::Blocks { from_block: 7, to_block: None };
        assert_eq!(
            copy_out(&root, &range, Format::Binary),
            "COPY (SELECT \"a\" FROM \"public\".\"t\" WHERE ctid >= '(7,0)'::tid) TO STDOUT (FORMAT binary)"
        );
    }

    #[test]
    fn each_leaf_is_cut_and_read_by_its_own_name() {
        let leaf = |name: &str, blocks| Table {
            name: RelationName { schema: "public".into(), name: name.into() },
            bytes: blocks * 8192,
            blocks,
            ..table(&["a"])
        };
        let root = Table { leaves: vec![leaf("t_0", 4), leaf("t_1", 1)], ..table(&["a"]) };
        let read = |range: &Range| copy_out(&root, range, Format::Text);
        let statements: Vec<String> = cut(&root, ServerVersion(170_000), 16384).iter().map(read).collect();
        insta::assert_snapshot!(statements.join("\n"));
    }

    #[test]
    fn statements_name_the_keys() {
        let column = |name: &str, type_name: &str| KeyColumn { name: name.into(), type_name: type_name.into() };
        let columns = vec![column("a", "uuid"), column("b", "text")];
        let range = Range::Keys { columns, from: Some(vec!["x".into(), "it's".into()]), to: None };
        assert_eq!(
            copy_out(&table(&["a"]), &range, Format::Binary),
            "COPY (SELECT \"a\" FROM ONLY \"public\".\"t\" WHERE (\"a\", \"b\") >= ('x'::uuid, 'it''s'::text)) TO STDOUT (FORMAT binary)"
        );
    }

    #[test]
    fn statements_name_the_range() {
        let range = Range::Blocks { from_block: 7, to_block: Some(9) };
        assert_eq!(
            copy_out(&table(&["a"]), &range, Format::Binary),
            "COPY (SELECT \"a\" FROM ONLY \"public\".\"t\" WHERE ctid >= '(7,0)'::tid AND ctid < '(9,0)'::tid) TO STDOUT (FORMAT binary)"
        );
        assert_eq!(copy_out(&table(&[]), &Range::Whole, Format::Text), "COPY \"public\".\"t\" TO STDOUT (FORMAT text)");
        assert_eq!(
            copy_in(&table(&["a"]), Format::Binary, true),
            "COPY \"public\".\"t\" (\"a\") FROM STDIN (FORMAT binary, FREEZE)"
        );
    }
}
