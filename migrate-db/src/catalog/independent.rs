//! Which tables and sequences depend on nothing but their schema: they can be made in any order, and at the same time, but for
//! names that collide, which whoever makes them must see.

use std::collections::HashSet;

use super::user_schema;
use crate::connect::Session;
use crate::error::Result;

/// Their object identifiers.
///
/// What `CREATE TABLE` says may name other things: types, functions in defaults and checks, parents, sequences of others. What a
/// server did not bring itself stands in `pg_depend`, but for names within literals (`'{public.t}'::regclass[]`). A sequence of the
/// table's own columns is no obstacle: its default is given to the column afterwards, and so is its owner to it.
///
/// The order tells also what a NOT NULL constraint is called (since PostgreSQL 18): a dump leaves out the name that the server would
/// choose, and it chooses another where the schema has a constraint of that name already. So tables that share one are bound.
pub(super) async fn read(session: &Session) -> Result<HashSet<u32>> {
    let statement = format!(
        "WITH relation AS (
             SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND {}),
         part AS (
             SELECT 'pg_class'::regclass AS class, oid, oid AS relation, relkind FROM relation
             UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, r.oid, r.relkind FROM pg_attrdef d JOIN relation r ON r.oid = d.adrelid
             UNION ALL SELECT 'pg_constraint'::regclass, k.oid, r.oid, r.relkind
                       FROM pg_constraint k JOIN relation r ON r.oid = k.conrelid WHERE k.contype IN ('c', 'n')),
         owned AS (
             SELECT d.objid AS sequence, d.refobjid AS relation FROM pg_depend d JOIN relation r ON r.oid = d.objid AND r.relkind = 'S'
             WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'),
         bound AS (
             SELECT p.relation FROM part p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid
             WHERE NOT (d.refclassid = 'pg_namespace'::regclass
                        OR d.refclassid = 'pg_class'::regclass
                           AND (d.refobjid = p.relation OR p.relkind = 'S' AND d.deptype = 'a'
                                OR EXISTS (SELECT FROM owned o WHERE o.sequence = d.refobjid AND o.relation = p.relation)))
             UNION ALL
             SELECT k.conrelid FROM pg_constraint k JOIN (
                 SELECT connamespace, conname FROM pg_constraint GROUP BY connamespace, conname
                 HAVING count(*) > 1 AND bool_or(contype = 'n')) AS shared USING (connamespace, conname))
         SELECT oid FROM relation EXCEPT SELECT relation FROM bound",
        user_schema()
    );
    let rows = session.query("list what depends on nothing", &statement, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
