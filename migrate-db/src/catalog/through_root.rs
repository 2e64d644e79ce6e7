//! Partitioned tables whose rows must be given to the root: where its server would keep each, only the target can tell.
//!
//! By hash is the only such way: the hash of an enum's value is that of its object identifier, which every server gives anew
//! (PostgreSQL, `hashenum`), and that of a text whose collation is not deterministic depends on the collation's version.
//! `pg_dump` sees to enums in the same way (`--load-via-partition-root`, forced since 16).

use std::collections::HashMap;

use super::read::ColumnsByTable;
use super::{Catalog, RelationName, Table, user_schema};
use crate::connect::Session;
use crate::error::Result;

/// Puts such tables into `catalog` instead of their leaves. `columns` has those of all partitioned tables.
///
/// One with a leaf that is no table here (a foreign table, say) is left as it is: what its leaves refuse will be told.
pub(super) async fn read(session: &Session, catalog: &mut Catalog, mut columns: ColumnsByTable) -> Result<()> {
    let roots = session.query("look for rows that go through a root", &statement(), &[]).await?;
    if roots.is_empty() {
        return Ok(());
    }
    let mut tables: HashMap<u32, Table> = catalog.tables.drain(..).map(|table| (table.oid, table)).collect();
    for root in &roots {
        let oids: Vec<u32> = root.get(3);
        if oids.is_empty() || !oids.iter().all(|oid| tables.contains_key(oid)) {
            continue;
        }
        let leaves: Vec<Table> = oids.iter().filter_map(|oid| tables.remove(oid)).collect();
        let oid = root.get(0);
        let (copied, generated) = columns.remove(&oid).unwrap_or_default();
        let table = Table {
            oid,
            name: RelationName { schema: root.get(1), name: root.get(2) },
            columns: copied,
            generated_columns: generated,
            key: root.get(4),
            bytes: leaves.iter().map(|leaf| leaf.bytes).sum(),
            // A range of blocks is read of every leaf.
            blocks: leaves.iter().map(|leaf| leaf.blocks).max().unwrap_or(0),
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

/// The topmost tables of this kind: object identifier, name, leaves, columns of the primary key.
///
/// Expressions in a partition key say nothing of their types: there, any such column of the table will do.
fn statement() -> String {
    format!(
        "WITH RECURSIVE bound AS (
             SELECT oid FROM pg_type WHERE typtype = 'e'
             UNION
             SELECT t.oid FROM bound b, LATERAL (
                 SELECT oid FROM pg_type WHERE typbasetype = b.oid OR typelem = b.oid
                 UNION ALL SELECT rngtypid FROM pg_range WHERE rngsubtype = b.oid
                 UNION ALL SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid FROM pg_range r WHERE rngsubtype = b.oid
                 UNION ALL SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                           WHERE a.atttypid = b.oid AND NOT a.attisdropped AND c.reltype <> 0) AS t),
         hashed AS (
             SELECT p.partrelid AS oid FROM pg_partitioned_table p WHERE p.partstrat = 'h' AND (
                 EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum > 0
                           AND (a.attnum = ANY (p.partattrs::smallint[]) OR p.partexprs IS NOT NULL)
                           AND a.atttypid IN (SELECT oid FROM bound))
                 OR EXISTS (SELECT FROM pg_collation c WHERE c.oid = ANY (p.partcollation::oid[])
                              AND to_jsonb(c) ->> 'collisdeterministic' = 'false'))),
         member AS (
             SELECT oid AS root, oid FROM hashed
             UNION ALL SELECT m.root, i.inhrelid FROM member m JOIN pg_inherits i ON i.inhparent = m.oid)
         SELECT r.oid, n.nspname::text, r.relname::text,
                ARRAY(SELECT m.oid FROM member m JOIN pg_class c ON c.oid = m.oid
                      WHERE m.root = r.oid AND c.relkind <> 'p' ORDER BY m.oid),
                ARRAY(SELECT a.attname::text FROM pg_index i
                      CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
                      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                      WHERE i.indrelid = r.oid AND i.indisprimary AND k.position <= i.indnatts ORDER BY k.position)
         FROM hashed h JOIN pg_class r ON r.oid = h.oid JOIN pg_namespace n ON n.oid = r.relnamespace
         WHERE {} AND NOT EXISTS (SELECT FROM member m WHERE m.oid = h.oid AND m.root <> h.oid)",
        user_schema()
    )
}
