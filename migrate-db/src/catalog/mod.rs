//! What the source holds, as values: read once, in the run's snapshot, and never guessed.
//!
//! The rest of the program plans on these values; only this folder knows the system catalogs of PostgreSQL.

mod independent;
mod read;
mod through_root;
pub mod types;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::sql;

pub use read::{read, user_schema};
pub use types::{ColumnType, TypeFamily};

/// A server's `server_version_num`, for example 170004.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion(pub i32);

impl ServerVersion {
    /// The major version, for example 17.
    pub const fn major(self) -> i32 {
        self.0 / 10_000
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major(), self.0 % 10_000)
    }
}

/// Everything that a migration needs to know of a database.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Tables with rows of their own: ordinary ones and leaf partitions; and partitioned tables instead of their leaves, where
    /// these may hold other rows on another server.
    pub tables: Vec<Table>,
    /// Relations whose content is not copied, with the reason.
    pub left_out: Vec<LeftOut>,
    /// All sequences that no extension owns.
    pub sequences: Vec<RelationName>,
    /// Materialised views that are populated.
    pub materialized_views: Vec<RelationName>,
    /// Partitioned tables whose rows ought to go through them, and cannot: a leaf is no table of ours.
    pub misplaced: Vec<RelationName>,
    /// Partitioned tables of which as a whole there are statistics.
    pub partitioned: Vec<Partitioned>,
    /// Foreign keys between ordinary tables; those of or to partitioned ones are left to `pg_restore`.
    pub foreign_keys: Vec<ForeignKey>,
    /// The others.
    pub restored_foreign_keys: Vec<ForeignKey>,
    /// Number of large objects.
    pub large_object_count: u64,
    /// Names of the extensions installed.
    pub extensions: Vec<String>,
    /// Object identifiers of tables and sequences that depend on nothing but their schema.
    pub independent: HashSet<u32>,
}

/// A relation's schema and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl RelationName {
    /// As it is written in SQL, always quoted.
    pub fn sql(&self) -> String {
        sql::qualified(&self.schema, &self.name)
    }
}

impl std::fmt::Display for RelationName {
    /// As people write it: `schema.name`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.schema, self.name)
    }
}

/// A table whose rows are copied.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its object identifier on this server.
    pub oid: u32,
    /// Its name.
    pub name: RelationName,
    /// The columns that are copied, in the order of the source; generated ones are not among them.
    pub columns: Vec<Column>,
    /// Generated columns: the target computes them anew, and verification compares them.
    pub generated_columns: Vec<Column>,
    /// Columns of the primary key, in its order; empty where there is none.
    pub key: Vec<String>,
    /// Size on the source's disk with its TOAST table, without indexes, in bytes.
    pub bytes: u64,
    /// Blocks of its main fork.
    pub blocks: u64,
    /// Whether rows can be addressed by ctid ranges: the heap access method.
    pub heap: bool,
    /// Indexes that we build; others (exclusion constraints, indexes of partitioned parents) are left to `pg_restore`.
    pub indexes: Vec<Index>,
    /// Of a partitioned table whose rows go through it: the leaves that hold them. Empty for a table that holds its own.
    pub leaves: Vec<Self>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as far as copying needs to know it.
    pub column_type: ColumnType,
}

/// An index of a table, perhaps behind a primary key or unique constraint.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its object identifier on the source: how the dump's table of contents names it.
    pub oid: u32,
    /// Its name.
    pub name: RelationName,
    /// `CREATE INDEX …`, as the server writes it.
    pub definition: String,
    /// Whether it is a b-tree, which is sorted to be built.
    pub btree: bool,
    /// The constraint that it serves.
    pub constraint: Option<IndexConstraint>,
    /// Statements that complete it: statistics targets, CLUSTER ON, REPLICA IDENTITY.
    pub completions: Vec<String>,
}

/// A primary key or unique constraint.
#[derive(Debug, Clone)]
pub struct IndexConstraint {
    /// Its object identifier on the source.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Primary key, else unique.
    pub primary: bool,
    /// `DEFERRABLE`.
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`.
    pub deferred: bool,
}

/// A partitioned table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioned {
    /// Its name.
    pub name: RelationName,
    /// Whether it is no partition of another.
    pub is_root: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// Its object identifier on the source.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// The table that refers.
    pub table: RelationName,
    /// The table referred to.
    pub referenced: RelationName,
    /// `FOREIGN KEY … REFERENCES …`, without NOT VALID.
    pub definition: String,
    /// Whether the source has checked it.
    pub validated: bool,
    /// Whether the table that refers is partitioned.
    pub partitioned: bool,
}

/// A relation whose content stays behind, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The relation.
    pub name: RelationName,
    /// The reason, as a sentence for the report.
    pub reason: String,
    /// Rows of users that stay behind with it, and that nobody brings; 0 where nothing is lost.
    pub lost_row_count: u64,
    /// Whether an extension brings all of its rows: then there are no more of them than on the target.
    pub is_brought: bool,
}

impl Catalog {
    /// Bytes of all tables on the source's disk.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

impl Table {
    /// What names its rows, and no others, in `FROM`, `TRUNCATE` and `DELETE`.
    pub fn rows_sql(&self) -> String {
        let only = if self.leaves.is_empty() { "ONLY " } else { "" };
        format!("{only}{}", self.name.sql())
    }

    /// The tables that hold its rows, with their indexes: itself, or its leaves.
    pub fn holders(&self) -> &[Self] {
        if self.leaves.is_empty() { std::slice::from_ref(self) } else { &self.leaves }
    }

    /// Itself and its leaves, as SQL names them.
    pub fn names_sql(&self) -> Vec<String> {
        std::iter::once(self).chain(&self.leaves).map(|table| table.name.sql()).collect()
    }
}
