//! `--clean --confirm DATABASE`: empties the target. The only place of this program that drops what it did not make.

use crate::connect::Session;
use crate::error::Result;
use crate::large_object;

/// Objects dropped by one transaction: each holds a lock until its end, and a server has room for some 6,400.
const DROPS_PER_TRANSACTION: usize = 200;

/// Makes `public` as every new database has it: since 15 it belongs to the database's owner, and not everybody may create in
/// it. Whoever may not give it away keeps it.
const PUBLIC: &str = "CREATE SCHEMA public;
    COMMENT ON SCHEMA public IS 'standard public schema';
    DO $$ BEGIN
        IF current_setting('server_version_num')::integer < 150000 THEN
            GRANT ALL ON SCHEMA public TO PUBLIC;
        ELSE
            IF pg_has_role('pg_database_owner', 'MEMBER') THEN ALTER SCHEMA public OWNER TO pg_database_owner; END IF;
            GRANT USAGE ON SCHEMA public TO PUBLIC;
        END IF;
    END $$";

/// Drops event triggers and publications, which live in no schema, then relation by relation what is in the schemas of
/// users, then these with all that is left, and gives `public` back.
pub async fn empty_target(session: &Session) -> Result<()> {
    let lists = [
        ("SELECT format('DROP EVENT TRIGGER IF EXISTS %I', evtname) FROM pg_event_trigger", "event triggers"),
        ("SELECT format('DROP PUBLICATION IF EXISTS %I', pubname) FROM pg_publication", "publications"),
        (
            "SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
                           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                          WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
               AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                               AND e.deptype = 'e')
             ORDER BY c.relkind <> 'v', c.relkind <> 'm', c.oid",
            "relations",
        ),
        (
            "SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) FROM pg_namespace
             WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'",
            "schemas",
        ),
    ];
    for (list, what) in lists {
        let action = format!("drop {what}");
        let rows = session.query(&format!("list what is to be dropped ({what})"), list, &[]).await?;
        let drops: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        for some in drops.chunks(DROPS_PER_TRANSACTION) {
            session.execute(&action, &some.join("; ")).await?;
        }
    }
    large_object::remove_all(session).await?;
    session.execute("create the schema public again", PUBLIC).await
}
