//! Partitioned tables whose rows must be given to the root: which leaf is a row's own, only the target can tell.
//!
//! By hash, that depends on more than the value where its operator class is not one of a plain built-in type: the hash of an enum's
//! value is that of its object identifier, which every server gives anew (PostgreSQL, `hashenum`). It depends on the library where a
//! collation is not deterministic, and on the encoding. By range of text, it depends on how the server's libraries sort. `pg_dump`
//! sees to enums in the same way since 16, and to the others when told to (`--load-via-partition-root`).

use std::collections::{HashMap, HashSet};

use super::read::{ColumnsByTable, KEY_COLUMNS};
use super::{Catalog, RelationName, Table, user_schema};
use crate::connect::Session;
use crate::error::Result;

/// Puts such tables into `catalog` instead of their leaves. `columns` has those of all partitioned tables.
pub(super) async fn read(session: &Session, catalog: &mut Catalog, mut columns: ColumnsByTable) -> Result<()> {
    let roots = session.query("look for rows that go through a root", &statement(), &[]).await?;
    if roots.is_empty() {
        return Ok(());
    }
    let mut tables: HashMap<u32, Table> = catalog.tables.drain(..).map(|table| (table.oid, table)).collect();
    let mut taken: HashSet<u32> = HashSet::new();
    for root in &roots {
        let name = RelationName { schema: root.get(1), name: root.get(2) };
        let oids: Vec<u32> = root.get(3);
        if oids.is_empty() || oids.iter().any(|oid| taken.contains(oid)) {
            // Its rows go through the root above it.
            continue;
        }
        if !oids.iter().all(|oid| tables.contains_key(oid)) {
            catalog.misplaced.push(name);
            continue;
        }
        taken.extend(&oids);
        let leaves: Vec<Table> = oids.iter().filter_map(|oid| tables.remove(oid)).collect();
        let oid = root.get(0);
        let (copied, generated) = columns.remove(&oid).unwrap_or_default();
        let table = Table {
            oid,
            name,
            columns: copied,
            generated_columns: generated,
            key: root.get(4),
            bytes: leaves.iter().map(|leaf| leaf.bytes).sum(),
            blocks: leaves.iter().map(|leaf| leaf.blocks).sum(),
            heap: leaves.iter().all(|leaf| leaf.heap),
            indexes: Vec::new(),
            leaves,
        };
        tables.insert(oid, table);
    }
    catalog.tables = tables.into_values().collect();
    catalog.tables.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(())
}

/// Object identifier, name, leaves, and columns of the primary key of each; those with most leaves first, and so every table before
/// its parts.
///
/// The collations 950 and 951 are C and POSIX on every server (`pg_collation.dat`).
fn statement() -> String {
    format!(
        "WITH RECURSIVE root AS (
             SELECT p.partrelid AS oid FROM pg_partitioned_table p
             WHERE p.partstrat = 'h' AND (
                       EXISTS (SELECT FROM pg_opclass o JOIN pg_type t ON t.oid = o.opcintype
                               WHERE o.oid = ANY (p.partclass::oid[])
                                 AND (o.opcnamespace <> 'pg_catalog'::regnamespace OR t.typtype = 'p' OR t.oid = 'oid'::regtype))
                       OR EXISTS (SELECT FROM pg_collation c WHERE c.oid = ANY (p.partcollation::oid[])
                                  AND to_jsonb(c) ->> 'collisdeterministic' = 'false')
                       OR EXISTS (SELECT FROM unnest(p.partcollation::oid[]) AS c (oid) WHERE c.oid <> 0)
                          AND getdatabaseencoding() <> 'UTF8')
                OR p.partstrat = 'r'
                   AND EXISTS (SELECT FROM unnest(p.partcollation::oid[]) AS c (oid) WHERE c.oid NOT IN (0, 950, 951))),
         member AS (
             SELECT oid AS root, oid FROM root
             UNION ALL SELECT m.root, i.inhrelid FROM member m JOIN pg_inherits i ON i.inhparent = m.oid),
         leaves AS (
             SELECT m.root, array_agg(m.oid ORDER BY m.oid) AS oids FROM member m JOIN pg_class c ON c.oid = m.oid
             WHERE c.relkind <> 'p' GROUP BY m.root)
         SELECT c.oid, n.nspname::text, c.relname::text, l.oids,
                coalesce((SELECT {key} FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), '{{}}')
         FROM leaves l JOIN pg_class c ON c.oid = l.root JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {user} ORDER BY cardinality(l.oids) DESC, c.oid",
        key = KEY_COLUMNS,
        user = user_schema(),
    )
}
