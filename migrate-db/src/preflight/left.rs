//! What of the source cannot be carried as it is, or not at all: told before, where it is there.
//!
//! Each gives a check only where there is something to say.

use common::report::Check;

use super::{names, some};
use crate::catalog::{Catalog, user_schema};
use crate::connect::Session;
use crate::error::Result;
use crate::{journal, seal, sql};

/// The schema that is our journal's on the target stays behind, and so must hold nothing but the journal of an earlier migration.
pub(super) async fn own_schema(session: &Session) -> Result<Option<Check>> {
    let statement = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = '{}' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
           AND NOT (c.relkind = 'r' AND c.relname = ANY ('{{run,step,segment,finished}}'))
         ORDER BY 1",
        journal::SCHEMA
    );
    let others = names(session, "look for what is not a journal", &statement).await?;
    if others.is_empty() {
        return Ok(None);
    }
    let detail =
        format!("{} would stay behind: the schema {} is for this program's journal", some(&others), journal::SCHEMA);
    let fix = format!(
        "on the source, as the owner: ALTER SCHEMA {} RENAME TO …, or ALTER TABLE … SET SCHEMA …",
        journal::SCHEMA
    );
    Ok(Some(Check::fail("source's own objects", detail, fix)))
}

/// What is said of the database itself is not part of a dump. On the target this program says something there, too, for its next run.
/// The comment itself is not fetched: it may be in the encoding of another database.
pub(super) async fn comment(session: &Session, database: &str) -> Result<Option<Check>> {
    let read = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    let statement = format!(
        "SELECT 'comment' FROM pg_database WHERE datname = current_database()
         AND shobj_description(oid, 'pg_database') NOT LIKE {}",
        sql::literal(&format!("{}%", seal::PREFIX))
    );
    let comments = names(session, "look for the database's comment", &statement).await?;
    Ok(comments.first().map(|_| {
        Check::warn(
            "comment on the database",
            "not carried: a finished migration is marked there",
            format!(
                "when the migration is signed off, if anybody reads it: COMMENT ON DATABASE {} IS …, which on the source is {read}",
                sql::identifier(database)
            ),
        )
    }))
}

/// Tablespaces are directories of a server; a managed one has none of the source's.
pub(super) async fn tablespaces(session: &Session) -> Result<Option<Check>> {
    let statement = format!(
        "SELECT format('%I.%I in %I', n.nspname, c.relname, t.spcname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_tablespace t ON t.oid = c.reltablespace
         WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I') AND {} ORDER BY 1",
        user_schema()
    );
    let elsewhere = names(session, "look for tablespaces", &statement).await?;
    if elsewhere.is_empty() {
        return Ok(None);
    }
    Ok(Some(Check::warn(
        "tablespaces",
        format!("not carried: on the target these lie where all else does: {}", some(&elsewhere)),
        "nothing to do on a managed target; elsewhere, after the migration: ALTER TABLE … SET TABLESPACE …",
    )))
}

/// Rows that only the target could put where they belong, and that it is not asked to.
pub(super) fn misplaced(catalog: &Catalog) -> Option<Check> {
    if catalog.misplaced.is_empty() {
        return None;
    }
    let names: Vec<String> = catalog.misplaced.iter().map(ToString::to_string).collect();
    Some(Check::warn(
        "partitions",
        format!(
            "rows may belong to other partitions on the target, and will be refused, since not all of these are ordinary tables: {}",
            some(&names)
        ),
        "copy these afterwards: pg_dump --data-only --load-via-partition-root --table=… | psql",
    ))
}
