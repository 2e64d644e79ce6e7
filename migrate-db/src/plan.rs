//! The plan: what will be copied, how, and in which order. A value: printable, countable, testable without a server.

use std::collections::HashSet;
use std::fmt::Write as _;

use common::units;
use sha2::{Digest as _, Sha256};

use crate::catalog::types::Floats;
use crate::catalog::{Catalog, ForeignKey, LeftOut, Partitioned, RelationName, ServerVersion, Table};
use crate::floats::Spelling;
use crate::preset::Planted;
use crate::segment::{self, Format, Range};

/// The plan of a whole migration.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tables, those that take longest first.
    pub tables: Vec<TablePlan>,
    /// Tables larger than this many bytes are cut.
    pub segment_bytes_max: u64,
    /// What stays behind, with reasons.
    pub left_out: Vec<LeftOut>,
    /// Sequences whose position is carried over.
    pub sequences: Vec<RelationName>,
    /// Materialised views that are filled anew.
    pub materialized_views: Vec<RelationName>,
    /// Partitioned tables whose statistics as a whole are taken.
    pub partitioned: Vec<Partitioned>,
    /// Foreign keys, checked last.
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys that `pg_restore` makes: those of or to partitioned tables, and those over time.
    pub restored_foreign_keys: Vec<ForeignKey>,
    /// Number of large objects.
    pub large_object_count: u64,
    /// The platform's own, left behind.
    pub planted: Planted,
    /// Object identifiers of tables and sequences that can be made in any order.
    pub independent: HashSet<u32>,
}

/// The plan for one table.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The table on the source.
    pub table: Table,
    /// How its rows travel.
    pub format: Format,
    /// Why they travel as text, where they do.
    pub text_reason: Option<String>,
    /// Floats that both servers print with other digits.
    pub spelling: Spelling,
    /// The slices it is copied in, at least one.
    pub ranges: Vec<Range>,
}

/// Makes the plan for everything in `catalog` that is not `planted`.
///
/// `segment_bytes_max` is what was asked for; `jobs` are the tables that are copied at the same time.
pub fn make(
    catalog: Catalog,
    planted: Planted,
    version: ServerVersion,
    segment_bytes_max: Option<u64>,
    jobs: usize,
) -> Plan {
    let catalog = without(catalog, &planted);
    let segment_bytes_max = segment_bytes_max.unwrap_or_else(|| segment::bytes_max(catalog.bytes(), jobs));
    let mut tables: Vec<TablePlan> =
        catalog.tables.into_iter().map(|table| plan_table(table, version, segment_bytes_max)).collect();
    tables.sort_by_cached_key(|plan| (std::cmp::Reverse(effort(&plan.table)), plan.table.name.clone()));
    Plan {
        tables,
        segment_bytes_max,
        left_out: catalog.left_out,
        sequences: catalog.sequences,
        materialized_views: catalog.materialized_views,
        partitioned: catalog.partitioned,
        foreign_keys: catalog.foreign_keys,
        restored_foreign_keys: catalog.restored_foreign_keys,
        large_object_count: catalog.large_object_count,
        planted,
        independent: catalog.independent,
    }
}

/// How long a table keeps everybody busy, for the order only: its bytes, and more for many columns, each of which is read,
/// written and analysed by itself.
fn effort(table: &Table) -> u64 {
    const COLUMNS_THAT_DOUBLE_IT: u64 = 100;
    table.bytes + table.bytes / COLUMNS_THAT_DOUBLE_IT * table.columns.len() as u64
}

/// What is left of a catalog without the platform's schemas.
fn without(mut catalog: Catalog, planted: &Planted) -> Catalog {
    let stays = |name: &RelationName| !planted.has_schema(&name.schema);
    catalog.tables.retain(|table| stays(&table.name));
    catalog.misplaced.retain(stays);
    catalog.left_out.retain(|left_out| stays(&left_out.name));
    catalog.sequences.retain(stays);
    catalog.materialized_views.retain(stays);
    catalog.partitioned.retain(|table| stays(&table.name));
    catalog.foreign_keys.retain(|key| stays(&key.table));
    catalog.restored_foreign_keys.retain(|key| stays(&key.table));
    catalog
}

fn plan_table(table: Table, version: ServerVersion, segment_bytes_max: u64) -> TablePlan {
    let text_reason = text_reason(&table);
    let format = if text_reason.is_some() { Format::Text } else { Format::Binary };
    TablePlan {
        spelling: Spelling::of(&table, format, version),
        format,
        text_reason,
        ranges: segment::cut(&table, version, segment_bytes_max),
        table,
    }
}

/// Why the rows of a table travel as text; `None` where they do not.
///
/// Looks at the types only: where a start is followed by another, both must come to the same, whatever the table has become.
fn text_reason(table: &Table) -> Option<String> {
    /// Nanoseconds a row below which it is not worth a word in the plan.
    const WORTH_IT: i32 = 200;
    let types = || table.columns.iter().map(|column| &column.column_type);
    let unsafe_column = table.columns.iter().find_map(|column| {
        column.column_type.text_reason.as_ref().map(|reason| format!("column {}: {reason}", column.name))
    });
    let cost: i32 = types().map(|column_type| column_type.text_cost).sum();
    // Floats would have to be spelled alike first when they come from an old server.
    let is_cheaper = cost <= -WORTH_IT && types().all(|column_type| column_type.floats == Floats::None);
    unsafe_column.or_else(|| is_cheaper.then(|| "mostly small numbers, which are shorter as text".to_owned()))
}

impl Plan {
    /// Bytes of all tables on the source's disk.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|plan| plan.table.bytes).sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.tables.iter().map(|plan| plan.ranges.len()).sum()
    }

    /// Number of indexes that we build.
    pub fn index_count(&self) -> usize {
        self.tables.iter().flat_map(|plan| plan.table.holders()).map(|table| table.indexes.len()).sum()
    }

    /// A digest of what is copied and in which form: tables, columns and their types. Two runs with different values
    /// must not share a journal. How tables are cut is not part of it, since tables grow.
    pub fn fingerprint(&self) -> String {
        let mut lines: Vec<String> = self.tables.iter().map(TablePlan::fingerprint_line).collect();
        lines.sort();
        hex::encode(Sha256::digest(lines.join("\n")))
    }

    /// The plan for a person: what a dry run prints.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{} tables, {} on the source's disk, in {} segments; {} indexes, {} foreign keys, {} sequences, {} materialised views\n",
            units::count(self.tables.len() as u64),
            units::bytes(self.bytes()),
            units::count(self.segment_count() as u64),
            units::count(self.index_count() as u64),
            units::count(self.foreign_keys.len() as u64),
            units::count(self.sequences.len() as u64),
            units::count(self.materialized_views.len() as u64),
        );
        for plan in &self.tables {
            let segments = match plan.ranges.len() {
                1 => String::new(),
                count => format!(", {count} segments"),
            };
            let reason = plan.text_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let remark = plan.remark().map(|remark| format!(", {remark}")).unwrap_or_default();
            let _ = writeln!(
                text,
                "  copy {}: {}, {}{segments}{reason}{remark}",
                plan.table.name,
                units::bytes(plan.table.bytes),
                plan.format.word(),
            );
        }
        if self.large_object_count > 0 {
            let _ = writeln!(text, "  copy {}", units::counted(self.large_object_count, "large object"));
        }
        for left_out in &self.left_out {
            let _ = writeln!(text, "  leave {}: {}", left_out.name, left_out.reason);
        }
        for (label, platform) in self.planted.labels() {
            let _ = writeln!(text, "  leave {label}: {platform} put it there for itself");
        }
        text
    }
}

impl TablePlan {
    /// What the report says of the table beside its figures.
    pub fn remark(&self) -> Option<String> {
        let leaves = self.table.leaves.len() as u64;
        (leaves > 0).then(|| format!("through the root, with {}", units::counted(leaves, "partition")))
    }

    fn fingerprint_line(&self) -> String {
        let columns: Vec<String> =
            self.table.columns.iter().map(|column| format!("{:?} {}", column.name, column.column_type.name)).collect();
        let names = self.table.names_sql().join(" ");
        format!("{names} {} {}", self.format.word(), columns.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, ColumnType};

    pub(crate) fn table(name: &str, bytes: u64, text_reason: Option<&str>) -> Table {
        let column_type = ColumnType {
            name: "integer".into(),
            text_reason: text_reason.map(Into::into),
            floats: Floats::None,
            text_cost: -25,
        };
        Table {
            name: RelationName { schema: "public".into(), name: name.into() },
            columns: vec![Column { name: "id".into(), column_type }],
            key: vec!["id".into()],
            bytes,
            blocks: bytes / 8192,
            heap: true,
            ..Table::default()
        }
    }

    fn plan(version: i32) -> Plan {
        let tables = vec![
            table("small", 8192, None),
            table("odd", 16384, Some("type citext is odd")),
            table("big", 10 << 20, None),
        ];
        make(Catalog { tables, ..Catalog::default() }, Planted::default(), ServerVersion(version), Some(4 << 20), 4)
    }

    #[test]
    fn the_biggest_table_comes_first_in_segments() {
        let plan = plan(170_004);
        insta::assert_snapshot!(plan.describe(), @r"
        3 tables, 10.5 MB on the source's disk, in 5 segments; 0 indexes, 0 foreign keys, 0 sequences, 0 materialised views
          copy public.big: 10.5 MB, binary, 3 segments
          copy public.odd: 16.4 kB, text (column id: type citext is odd)
          copy public.small: 8.2 kB, binary
        ");
    }

    #[test]
    fn rows_of_small_numbers_travel_as_text_whatever_their_size() {
        let wide = |floats, columns, bytes| {
            let mut table = table("wide", bytes, None);
            table.columns[0].column_type.floats = floats;
            table.columns = vec![table.columns[0].clone(); columns];
            text_reason(&table).is_some()
        };
        assert!(wide(Floats::None, 8, 8192));
        assert!(wide(Floats::None, 8, 8 << 30));
        assert!(!wide(Floats::None, 7, 8 << 30));
        assert!(!wide(Floats::Double, 8, 8192));
    }

    #[test]
    fn an_old_server_gets_whole_tables() {
        assert_eq!(plan(130_011).segment_count(), 3);
    }

    #[test]
    fn the_fingerprint_tells_columns_but_not_sizes() {
        let grown = make(
            Catalog { tables: vec![table("a", 1 << 30, None)], ..Catalog::default() },
            Planted::default(),
            ServerVersion(170_000),
            Some(1 << 20),
            4,
        );
        let small = make(
            Catalog { tables: vec![table("a", 8192, None)], ..Catalog::default() },
            Planted::default(),
            ServerVersion(170_000),
            Some(1 << 20),
            4,
        );
        let text = make(
            Catalog { tables: vec![table("a", 8192, Some("x"))], ..Catalog::default() },
            Planted::default(),
            ServerVersion(170_000),
            Some(1 << 20),
            4,
        );
        assert_eq!(grown.fingerprint(), small.fingerprint());
        assert_ne!(text.fingerprint(), small.fingerprint());
    }
}
