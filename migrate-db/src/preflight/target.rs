//! Checks of the target: nothing may be in the way, and what is needed may be made.

use common::report::Check;

use super::{TargetState, names, some};
use crate::catalog::{Catalog, user_schema};
use crate::connect::Session;
use crate::error::Result;
use crate::{journal, sql};

/// The target is empty, or holds this run's own work, or is to be emptied.
pub(super) async fn empty(session: &Session, database: &str, state: &TargetState<'_>) -> Result<Check> {
    const NAME: &str = "target is empty";
    if state.clean {
        return Ok(Check::warn(
            NAME,
            format!("everything in the database {database} will be dropped, as --clean asks"),
            "leave out --clean to keep it",
        ));
    }
    if let Some(journal) = state.journal {
        return Ok(Check::pass(NAME, format!("holds the work of run {}, which goes on", journal.run_id)));
    }
    if let Some(seal) = state.seal {
        let detail = format!("holds the finished work of run {}: it is compared, nothing is copied", seal.run_id);
        return Ok(Check::pass(NAME, detail));
    }
    let found = names(session, "look for objects on the target", &objects()).await?;
    if found.is_empty() {
        return Ok(Check::pass(NAME, "no tables, types or functions of anybody"));
    }
    Ok(Check::fail(
        NAME,
        format!("the target database {database} is not empty: it has {}", some(&found)),
        format!(
            "name another target, compare with --verify, or give --clean --confirm {} to drop everything in it",
            state.confirmation
        ),
    ))
}

/// Everything a user made: relations, functions and types that no extension owns, and schemas beside `public`.
fn objects() -> String {
    let foreign = |class: &str, oid: &str| {
        format!(
            "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{class}'::regclass AND d.objid = {oid} AND d.deptype = 'e')"
        )
    };
    let user = user_schema();
    format!(
        "SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialised view ' ELSE 'table ' END
                || format('%I.%I', n.nspname, c.relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {user} AND {}
         UNION ALL
         SELECT 'function ' || format('%I.%I', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {user} AND {}
         UNION ALL
         SELECT 'type ' || format('%I.%I', n.nspname, t.typname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype IN ('d', 'e', 'r') AND {user} AND {}
         UNION ALL
         SELECT 'large object ' || oid FROM pg_largeobject_metadata
         UNION ALL
         SELECT 'schema ' || format('%I', n.nspname) FROM pg_namespace n
         WHERE n.nspname <> 'public' AND {user} AND {}",
        foreign("pg_class", "c.oid"),
        foreign("pg_proc", "p.oid"),
        foreign("pg_type", "t.oid"),
        foreign("pg_namespace", "n.oid"),
    )
}

/// The role may create schemas, and with them everything else, also in `public`.
pub(super) async fn may_create(session: &Session) -> Result<Check> {
    let statement = "SELECT current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery()";
    if session.value("look whether the target takes writes", statement, &[]).await? {
        return Ok(Check::fail(
            "target is writable",
            "the target is read-only: a replica, or a database with default_transaction_read_only",
            "name the primary in DATABASE_URL, or ALTER DATABASE … RESET default_transaction_read_only",
        ));
    }
    let statement = "SELECT has_database_privilege(current_database(), 'CREATE')";
    if session.value("look at the role's rights", statement, &[]).await? {
        let statement = "SELECT format('GRANT CREATE ON SCHEMA public TO %I', current_user)
                         WHERE NOT coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), true)";
        if let Some(grant) = names(session, "look at the role's rights", statement).await?.first() {
            let detail = "the role may not create objects in the schema public";
            return Ok(Check::fail(
                "target is writable",
                detail,
                format!("on the target, as the owner of the schema: {grant}"),
            ));
        }
        return Ok(Check::pass(
            "target is writable",
            format!("the role may create schemas; the journal goes into {}", journal::SCHEMA),
        ));
    }
    let names: String = session
        .value(
            "read the role",
            "SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)",
            &[],
        )
        .await?;
    Ok(Check::fail(
        "target is writable",
        "the role may not create schemas in the target database",
        format!("on the target, as its owner: {names}"),
    ))
}

/// The target can install every extension that the source has.
pub(super) async fn extensions(session: &Session, catalog: &Catalog) -> Result<Check> {
    let statement = "SELECT name::text FROM pg_available_extensions UNION SELECT extname::text FROM pg_extension";
    let available = names(session, "list the extensions on offer", statement).await?;
    let missing: Vec<String> = catalog.extensions.iter().filter(|name| !available.contains(name)).cloned().collect();
    if missing.is_empty() {
        return Ok(Check::pass("extensions", format!("all {} can be had on the target", catalog.extensions.len())));
    }
    Ok(Check::fail(
        "extensions",
        format!("the target does not offer {}", some(&missing)),
        "install the packages on the target's server, or drop the extensions on the source if nothing uses them",
    ))
}

/// Those of the source's extensions that only a superuser may install, where the role is none: told before, since providers have ways of
/// their own to allow it to others.
pub(super) async fn extensions_of_superusers(session: &Session, catalog: &Catalog) -> Result<Option<Check>> {
    // Whether others may was asked of each since 13 (`trusted`). Amazon's and others' leading roles install what they offer.
    let statement = "SELECT a.name::text FROM pg_available_extensions a
                     JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
                     WHERE a.installed_version IS NULL AND v.superuser AND coalesce(to_jsonb(v) ->> 'trusted', 'false') = 'false'
                       AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = current_user AND r.rolsuper)
                       AND NOT EXISTS (SELECT FROM pg_roles r
                                       WHERE r.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')
                                         AND pg_has_role(r.oid, 'MEMBER'))";
    let refused = names(session, "look who may install the extensions", statement).await?;
    let refused: Vec<String> = catalog.extensions.iter().filter(|name| refused.contains(name)).cloned().collect();
    if refused.is_empty() {
        return Ok(None);
    }
    let statement = |name: &String| format!("CREATE EXTENSION {} CASCADE", sql::identifier(name));
    let statements: Vec<String> = refused.iter().map(statement).collect();
    Ok(Some(Check::warn(
        "extensions of superusers",
        format!("the role is no superuser, and only a superuser may install {}", some(&refused)),
        format!(
            "unless the provider allows it to this role, migrate as a superuser, or have one install them on the target first, in the \
             schemas where the source has them: {}",
            statements.join("; ")
        ),
    )))
}
