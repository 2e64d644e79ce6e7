//! Reads the system catalogs of PostgreSQL 10 and newer into a [`Catalog`].

use std::collections::HashMap;

use super::types::{TypeEntry, TypeTable};
use super::{
    Catalog, Column, ForeignKey, Index, IndexConstraint, LeftOut, Partitioned, RelationName, ServerVersion, Table,
    TypeFamily, independent, through_root,
};
use crate::connect::Session;
use crate::error::Result;
use crate::{journal, sql};

/// By object identifier: the columns that are copied, and the generated ones.
pub(super) type ColumnsByTable = HashMap<u32, (Vec<Column>, Vec<Column>)>;

/// The names of the columns by which the index `i` tells rows apart, without those that it only carries (since 11). None where no
/// condition could name a row: the comparisons of enums do not take domains over them.
pub(super) const KEY_COLUMNS: &str = "CASE WHEN EXISTS (
        SELECT FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid JOIN pg_type b ON b.oid = d.typbasetype
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND b.typtype = 'e')
    THEN '{}'::text[] ELSE ARRAY(
        SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, position)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.position <= coalesce((to_jsonb(i) ->> 'indnkeyatts')::integer, i.indnatts) ORDER BY k.position) END";

/// Reads everything within the transaction that `session` is in.
pub async fn read(session: &Session, version: ServerVersion) -> Result<Catalog> {
    let mut catalog = relations(session).await?;
    count_rows_in_extensions(session, &mut catalog).await?;
    let mut columns = columns(session, version).await?;
    let mut indexes = indexes(session).await?;
    for table in &mut catalog.tables {
        (table.columns, table.generated_columns) = columns.remove(&table.oid).unwrap_or_default();
        if let Some(found) = indexes.remove(&table.oid) {
            table.key = found.key;
            table.indexes = found.indexes;
        }
    }
    through_root::read(session, &mut catalog, columns).await?;
    catalog.partitioned = partitioned(session).await?;
    (catalog.foreign_keys, catalog.restored_foreign_keys) = foreign_keys(session, version).await?;
    let count: i64 = session.value("count large objects", "SELECT count(*) FROM pg_largeobject_metadata", &[]).await?;
    catalog.large_object_count = count.unsigned_abs();
    let extensions = session.query("list extensions", "SELECT extname::text FROM pg_extension ORDER BY 1", &[]).await?;
    catalog.extensions = extensions.iter().map(|row| row.get(0)).collect();
    catalog.independent = independent::read(session).await?;
    Ok(catalog)
}

/// The condition that a schema `n` is the user's: neither the system's nor our journal.
pub fn user_schema() -> String {
    format!("n.nspname NOT IN ('information_schema', {}) AND n.nspname !~ '^pg_'", sql::literal(journal::SCHEMA))
}

async fn relations(session: &Session) -> Result<Catalog> {
    let statement = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
                coalesce(pg_table_size(c.oid), 0),
                coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint,
                coalesce(a.amname, 'heap') = 'heap', c.relispopulated,
                e.extname::text, coalesce(c.oid = ANY (e.extconfig), false)
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_am a ON a.oid = c.relam
         LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
              AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
         LEFT JOIN pg_extension e ON e.oid = d.refobjid
         WHERE c.relkind IN ('r', 'f', 'm', 'S') AND c.relpersistence <> 't' AND {}
         ORDER BY n.nspname, c.relname",
        user_schema()
    );
    let mut catalog = Catalog::default();
    for row in session.query("list the relations", &statement, &[]).await? {
        let name = RelationName { schema: row.get(1), name: row.get(2) };
        let extension: Option<String> = row.get(8);
        let configuration: bool = row.get(9);
        match (row.get::<_, String>(3).as_str(), extension) {
            ("r", Some(extension)) if configuration => catalog.left_out.push(LeftOut {
                name,
                reason: format!("belongs to the extension {extension}, which brings its rows; none was added by hand"),
                lost_row_count: 0,
                is_brought: false,
            }),
            ("r", Some(extension)) => {
                catalog.left_out.push(LeftOut {
                    name,
                    reason: format!("belongs to the extension {extension}, which brings its rows"),
                    lost_row_count: 0,
                    is_brought: true,
                });
            }
            ("r", None) => catalog.tables.push(Table {
                oid: row.get(0),
                name,
                columns: Vec::new(),
                generated_columns: Vec::new(),
                key: Vec::new(),
                bytes: u64::try_from(row.get::<_, i64>(4)).unwrap_or(0),
                blocks: u64::try_from(row.get::<_, i64>(5)).unwrap_or(0),
                heap: row.get(6),
                indexes: Vec::new(),
                leaves: Vec::new(),
            }),
            ("f", None) => {
                let reason = "is a foreign table: its rows live elsewhere".into();
                catalog.left_out.push(LeftOut { name, reason, lost_row_count: 0, is_brought: false });
            }
            ("m", None) if row.get(7) => catalog.materialized_views.push(name),
            ("S", None) => catalog.sequences.push(name),
            _ => {}
        }
    }
    Ok(catalog)
}

/// Counts the rows that users added to the tables of extensions: those that the extension's own condition for dumps gives.
async fn count_rows_in_extensions(session: &Session, catalog: &mut Catalog) -> Result<()> {
    let statement = "SELECT n.nspname::text, c.relname::text, u.condition
                     FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS u (relation, condition)
                     JOIN pg_class c ON c.oid = u.relation JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relkind = 'r'";
    for row in session.query("list the tables of extensions", statement, &[]).await? {
        let (name, condition) = (RelationName { schema: row.get(0), name: row.get(1) }, row.get::<_, &str>(2));
        let Some(left_out) = catalog.left_out.iter_mut().find(|left_out| left_out.name == name) else { continue };
        let count = format!("SELECT count(*) FROM ONLY {} {condition}", name.sql());
        let rows: i64 = session.value(&format!("count the rows of {name}"), &count, &[]).await?;
        if rows > 0 {
            left_out.lost_row_count = rows.unsigned_abs();
            let are = if rows == 1 { "row in it is" } else { "rows in it are" };
            left_out.reason = format!("belongs to an extension, and {rows} {are} the user's: copy them by hand");
        }
    }
    Ok(())
}

/// Autovacuum takes no statistics of a partitioned table as a whole: where there are some, somebody wanted them.
async fn partitioned(session: &Session) -> Result<Vec<Partitioned>> {
    let statement = format!(
        "SELECT n.nspname::text, c.relname::text, NOT c.relispartition
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'p' AND {}
           AND EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited)
         ORDER BY 1, 2",
        user_schema()
    );
    let rows = session.query("list the partitioned tables", &statement, &[]).await?;
    let partitioned = |row: &tokio_postgres::Row| Partitioned {
        name: RelationName { schema: row.get(0), name: row.get(1) },
        is_root: row.get(2),
    };
    Ok(rows.iter().map(partitioned).collect())
}

/// The columns of each table and partitioned table: those that are copied, and generated ones.
async fn columns(session: &Session, version: ServerVersion) -> Result<ColumnsByTable> {
    let types = types(session).await?;
    let generated = if version.major() >= 12 { "a.attgenerated <> ''" } else { "false" };
    let statement = format!(
        "SELECT a.attrelid, a.attname::text, a.atttypid, format_type(a.atttypid, a.atttypmod), {generated}
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {}
         ORDER BY a.attrelid, a.attnum",
        user_schema()
    );
    let mut columns = ColumnsByTable::new();
    for row in session.query("list the columns", &statement, &[]).await? {
        let column_type = types.column_type(row.get(2), row.get(3));
        let (copied, generated) = columns.entry(row.get(0)).or_default();
        let list = if row.get(4) { generated } else { copied };
        list.push(Column { name: row.get(1), column_type });
    }
    Ok(columns)
}

async fn types(session: &Session) -> Result<TypeTable> {
    let statement = "SELECT t.oid, t.typnamespace = 'pg_catalog'::regnamespace, t.typname::text, t.typtype::text,
                            t.typbasetype, t.typelem, t.typcategory = 'A' AND t.typelem <> 0
                     FROM pg_type t WHERE t.typtype <> 'c'";
    let rows = session.query("list the types", statement, &[]).await?;
    let entry = |row: &tokio_postgres::Row| {
        let family = match (row.get::<_, String>(3).as_str(), row.get(6)) {
            (_, true) => TypeFamily::Array(row.get(5)),
            ("d", _) => TypeFamily::Domain(row.get(4)),
            ("e", _) => TypeFamily::Enum,
            ("r" | "m", _) => TypeFamily::Range,
            ("b", _) => TypeFamily::Base,
            _ => TypeFamily::Other,
        };
        (row.get(0), TypeEntry { built_in: row.get(1), name: row.get(2), family })
    };
    Ok(TypeTable(rows.iter().map(entry).collect()))
}

#[derive(Default)]
struct TableIndexes {
    key: Vec<String>,
    indexes: Vec<Index>,
}

/// Indexes by table, as `pg_dump` would dump them. Those behind exclusion constraints and other constraints that no
/// ready-made index can serve are not ours.
async fn indexes(session: &Session) -> Result<HashMap<u32, TableIndexes>> {
    let statement = format!(
        "SELECT i.indrelid, i.indexrelid, n.nspname::text, ic.relname::text, pg_get_indexdef(i.indexrelid),
                con.oid, con.conname::text, con.contype::text, con.condeferrable, con.condeferred,
                i.indisclustered, i.indisreplident, tc.relname::text, am.amname = 'btree',
                CASE WHEN i.indisprimary THEN {KEY_COLUMNS} ELSE '{{}}' END,
                ARRAY(SELECT format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget) FROM pg_attribute a
                      WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0)
                || ARRAY(SELECT format('DEPENDS ON EXTENSION %I', e.extname)
                         FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                         WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.deptype = 'x')
         FROM pg_index i
         JOIN pg_class ic ON ic.oid = i.indexrelid
         JOIN pg_am am ON am.oid = ic.relam
         JOIN pg_class tc ON tc.oid = i.indrelid
         JOIN pg_namespace n ON n.oid = tc.relnamespace
         LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
         WHERE tc.relkind = 'r' AND tc.relpersistence <> 't' AND i.indisvalid AND i.indisready AND {}
         ORDER BY i.indrelid, i.indisprimary DESC, i.indisunique DESC, ic.relname",
        user_schema()
    );
    let mut tables: HashMap<u32, TableIndexes> = HashMap::new();
    for row in session.query("list the indexes", &statement, &[]).await? {
        let entry = tables.entry(row.get(0)).or_default();
        let key: Vec<String> = row.get(14);
        if !key.is_empty() {
            entry.key = key;
        }
        let kind: Option<String> = row.get(7);
        let btree: bool = row.get(13);
        // USING INDEX takes b-trees only; an exclusion constraint makes its own index.
        if kind.is_some() && !(btree && kind.as_deref() != Some("x")) {
            continue;
        }
        let name = RelationName { schema: row.get(2), name: row.get(3) };
        let table = RelationName { schema: row.get(2), name: row.get(12) };
        let changes: Vec<String> = row.get(15);
        let mut completions: Vec<String> =
            changes.iter().map(|change| format!("ALTER INDEX {} {change}", name.sql())).collect();
        if row.get(10) {
            completions.push(format!("ALTER TABLE {} CLUSTER ON {}", table.sql(), sql::identifier(&name.name)));
        }
        if row.get(11) {
            completions.push(format!(
                "ALTER TABLE ONLY {} REPLICA IDENTITY USING INDEX {}",
                table.sql(),
                sql::identifier(&name.name)
            ));
        }
        let constraint = kind.map(|kind| IndexConstraint {
            oid: row.get(5),
            name: row.get(6),
            primary: kind == "p",
            deferrable: row.get(8),
            deferred: row.get(9),
        });
        entry.indexes.push(Index { oid: row.get(1), name, definition: row.get(4), btree, constraint, completions });
    }
    Ok(tables)
}

/// First ours. Those of or to partitioned tables are not, nor those that lean on a key without overlaps: they need indexes
/// that only `pg_restore` makes, at the very end.
async fn foreign_keys(session: &Session, version: ServerVersion) -> Result<(Vec<ForeignKey>, Vec<ForeignKey>)> {
    let own = if version.major() >= 11 { "con.conparentid = 0" } else { "true" };
    let statement = format!(
        "SELECT con.oid, con.conname::text, n.nspname::text, c.relname::text, fn.nspname::text, fc.relname::text,
                pg_get_constraintdef(con.oid), con.convalidated, c.relkind = 'p',
                c.relkind = 'r' AND fc.relkind = 'r' AND am.amname = 'btree'
         FROM pg_constraint con
         JOIN pg_class c ON c.oid = con.conrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_class fc ON fc.oid = con.confrelid
         JOIN pg_namespace fn ON fn.oid = fc.relnamespace
         JOIN pg_class leaned ON leaned.oid = con.conindid
         JOIN pg_am am ON am.oid = leaned.relam
         WHERE con.contype = 'f' AND {own} AND {}
         ORDER BY n.nspname, c.relname, con.conname",
        user_schema()
    );
    let rows = session.query("list the foreign keys", &statement, &[]).await?;
    let foreign_key = |row: &tokio_postgres::Row| {
        let definition: String = row.get(6);
        ForeignKey {
            oid: row.get(0),
            name: row.get(1),
            table: RelationName { schema: row.get(2), name: row.get(3) },
            referenced: RelationName { schema: row.get(4), name: row.get(5) },
            definition: definition.strip_suffix(" NOT VALID").map_or(definition.clone(), str::to_owned),
            validated: row.get(7),
            partitioned: row.get(8),
        }
    };
    let (own, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get(9));
    Ok((own.into_iter().map(foreign_key).collect(), others.into_iter().map(foreign_key).collect()))
}
