//! Checks of the source: everything in it must be readable, and read in full.

use common::report::Check;
use common::units;

use super::{names, some};
use crate::catalog::{Catalog, user_schema};
use crate::connect::Session;
use crate::error::Result;
use crate::{large_object, sql};

/// The role may read every table and sequence.
pub(super) async fn readable(session: &Session, catalog: &Catalog) -> Result<Check> {
    let statement = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND {}
           AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind
               WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END)
         ORDER BY 1",
        user_schema()
    );
    let unreadable = names(session, "look for what cannot be read", &statement).await?;
    if unreadable.is_empty() {
        let tables = units::counted(catalog.tables.len() as u64, "table");
        return Ok(Check::pass("source is readable", format!("{tables}, {}", units::bytes(catalog.bytes()))));
    }
    let user: String = session.value("read the role", "SELECT format('%I', current_user)", &[]).await?;
    Ok(Check::fail(
        "source is readable",
        format!("the role {user} may not read {}", some(&unreadable)),
        format!(
            "on the source, as the owner: GRANT USAGE ON SCHEMA … TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO {user}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO {user}"
        ),
    ))
}

/// No policy hides rows from the role. Without this check such a table would arrive empty, without a word.
pub(super) async fn row_security(session: &Session) -> Result<Check> {
    let statement = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND {} AND row_security_active(c.oid) ORDER BY 1",
        user_schema()
    );
    // row_security_active answers false while row_security is off; the question is what the policies would do.
    session.execute("switch row security on for a look", "SET LOCAL row_security = on").await?;
    let hidden = names(session, "look for row security", &statement).await;
    session.execute("switch row security off again", "SET LOCAL row_security = off").await?;
    let hidden = hidden?;
    if hidden.is_empty() {
        return Ok(Check::pass("row security", "no policy hides rows from the role"));
    }
    let user: String = session.value("read the role", "SELECT format('%I', current_user)", &[]).await?;
    Ok(Check::fail(
        "row security",
        format!("policies may hide rows from the role {user} in {}", some(&hidden)),
        format!(
            "read as the tables' owner (who is bound as well where they say FORCE, until ALTER TABLE … NO FORCE ROW LEVEL SECURITY), or on the source, as a superuser: ALTER ROLE {user} BYPASSRLS"
        ),
    ))
}

/// Text is converted to UTF-8 on the way and back. A source without an encoding cannot promise that it is text at all: its bytes go as
/// they are, and only a target without one takes any.
pub(super) async fn encoding(source: &Session, target: &Session) -> Result<Check> {
    let statement = "SELECT current_setting('server_encoding')";
    let from: String = source.value("read the encoding", statement, &[]).await?;
    let to: String = target.value("read the encoding", statement, &[]).await?;
    let seen = format!("source {from}, target {to}");
    if from == "SQL_ASCII" && to == "SQL_ASCII" {
        return Ok(Check::pass("encoding", format!("{seen}: bytes go as they are")));
    }
    if from == "SQL_ASCII" {
        return Ok(Check::warn(
            "encoding",
            format!("{seen}: the source does not say what its text is"),
            "bytes that are not UTF-8 will be refused by the target: find them before the cutover, or create the target database with \
             ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
        ));
    }
    if to != "UTF8" && to != from {
        return Ok(Check::warn(
            "encoding",
            format!("{seen}: the target may lack characters that the source has"),
            "create the target database with ENCODING 'UTF8'",
        ));
    }
    Ok(Check::pass("encoding", seen))
}

/// Text sorts the same on both sides. Otherwise nothing is lost, but pages of the application turn up in another order.
pub(super) async fn collation(source: &Session, target: &Session) -> Result<Check> {
    const NAME: &str = "collation";
    let (from, to) = (read_collation(source).await?, read_collation(target).await?);
    if is_same_collation(&from, &to) {
        return Ok(Check::pass(NAME, from));
    }
    Ok(Check::warn(
        NAME,
        format!("source: {from}; target: {to}: text may sort otherwise there"),
        "create the target database with the source's LC_COLLATE and LC_CTYPE, if the order matters to the application",
    ))
}

/// Whether text sorts the same on both sides.
pub async fn sort_alike(source: &Session, target: &Session) -> Result<bool> {
    Ok(is_same_collation(&read_collation(source).await?, &read_collation(target).await?))
}

async fn read_collation(session: &Session) -> Result<String> {
    // Which library sorts came with 15, its locale's column has had two names since.
    let statement = "SELECT concat_ws(', ', 'sorts by ' || datcollate, 'characters of ' || datctype,
                            'locale ' || coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))
                     FROM pg_database d WHERE datname = current_database()";
    session.value("read the collation", statement, &[]).await
}

/// But for two spellings of one encoding, as systems write it.
fn is_same_collation(one: &str, other: &str) -> bool {
    let plain = |seen: &str| seen.to_lowercase().replace("utf-8", "utf8");
    plain(one) == plain(other)
}

/// What `ALTER DATABASE … SET` says on the source is not part of a dump, and applications rely on it. Gives the statements for the
/// target's `database`. Values of settings that are not the server's own are not shown: applications keep secrets there.
pub(super) async fn database_settings(session: &Session, database: &str) -> Result<Check> {
    const NAME: &str = "settings of the database";
    // Lists are kept as they are written (`GUC_LIST_QUOTE` in PostgreSQL's `guc_tables.c`, as `pg_dumpall` has it).
    const LISTS: [&str; 4] =
        ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];
    let statement = "SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole)::text END,
                            split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
                     FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS setting
                     WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY s.setrole, 2";
    let rows = session.query("read the database's settings", statement, &[]).await?;
    if rows.is_empty() {
        return Ok(Check::pass(NAME, "none of its own"));
    }
    let database = sql::identifier(database);
    let statements: Vec<String> = rows
        .iter()
        .map(|row| {
            let (role, name, value): (Option<String>, String, String) = (row.get(0), row.get(1), row.get(2));
            let whose = match role {
                None => format!("DATABASE {database}"),
                Some(role) => format!("ROLE {} IN DATABASE {database}", sql::identifier(&role)),
            };
            let value = match name.as_str() {
                own if own.contains('.') => "…".into(),
                list if LISTS.contains(&list) => value,
                _ => sql::literal(&value),
            };
            format!("ALTER {whose} SET {} TO {value}", sql::identifier(&name))
        })
        .collect();
    let count = units::counted(rows.len() as u64, "setting");
    Ok(Check::warn(
        NAME,
        format!("{count} of the source's database and of its roles there are not carried"),
        format!("on the target, those that the application needs: {}", statements.join("; ")),
    ))
}

/// Subscriptions stay behind: on the target one would begin to receive what the source still receives.
pub(super) async fn subscriptions(session: &Session) -> Result<Check> {
    const NAME: &str = "subscriptions";
    let statement = "SELECT format('%I', subname) FROM pg_subscription
                     WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1";
    let subscriptions = names(session, "list the subscriptions", statement).await?;
    if subscriptions.is_empty() {
        return Ok(Check::pass(NAME, "none"));
    }
    Ok(Check::warn(
        NAME,
        format!("the source subscribes to publications of others, which is not carried: {}", some(&subscriptions)),
        "after the cutover, on the target: CREATE SUBSCRIPTION … for those that are still wanted",
    ))
}

/// Indexes that the source itself does not trust are left behind, as pg_dump does.
pub(super) async fn invalid_indexes(session: &Session) -> Result<Check> {
    let statement = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i' AND {} ORDER BY 1",
        user_schema()
    );
    let invalid = names(session, "look for invalid indexes", &statement).await?;
    if invalid.is_empty() {
        return Ok(Check::pass("indexes", "all valid on the source"));
    }
    Ok(Check::warn(
        "indexes",
        format!("not valid on the source, and left behind: {}", some(&invalid)),
        "REINDEX or DROP INDEX them on the source, if they are wanted",
    ))
}

/// The role may read every large object, which have rights of their own.
pub(super) async fn large_objects(session: &Session, catalog: &Catalog) -> Result<Check> {
    const NAME: &str = "large objects";
    if catalog.large_object_count == 0 {
        return Ok(Check::pass(NAME, "none"));
    }
    let Some(message) = large_object::unreadable(session).await? else {
        return Ok(Check::pass(NAME, format!("{}, readable", units::count(catalog.large_object_count))));
    };
    let user: String = session.value("read the role", "SELECT format('%I', current_user)", &[]).await?;
    Ok(Check::fail(
        NAME,
        format!("the role {user} may not read them all: {message}"),
        format!("on the source, as their owner: GRANT SELECT ON LARGE OBJECT … TO {user}, for each of them"),
    ))
}
