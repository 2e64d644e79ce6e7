//! The questions to the system catalogs: each row is an object's kind, the parts of its name, its parent's name, and its
//! aspects as a JSON object. PostgreSQL 10 and newer.

use super::{comments, functions, rarer, types};
use crate::catalog::{ServerVersion, user_schema};

/// The first major whose NOT NULL constraints of tables are constraints with names.
const NAMED_NOT_NULLS_SINCE: i32 = 18;

/// All questions to a server of that `version`, each with what it lists. What others belong to comes before them. Of what came
/// with a major version there are questions where both sides have it, and `common_major` is the smaller one.
pub(super) fn all(version: ServerVersion, common_major: i32) -> Vec<(&'static str, String)> {
    let mut questions = vec![
        ("schemas", schemas()),
        ("relations", relations()),
        ("types", types::all(common_major)),
        ("columns", columns(version)),
        ("indexes", indexes()),
        ("constraints", constraints(version)),
        ("constraints of domains", domain_constraints()),
        ("sequences", sequences()),
        ("functions", functions::all(version)),
        ("triggers", triggers(version)),
        ("rules", rules()),
        ("policies", policies()),
        ("extensions", extensions()),
        ("event triggers", event_triggers()),
        ("statistics objects", statistics()),
        ("publications", publications(version)),
        ("comments", comments::all()),
        ("rarer objects", rarer::all()),
        ("user mappings", rarer::user_mappings()),
    ];
    if common_major >= NAMED_NOT_NULLS_SINCE {
        questions.push(("NOT NULL constraints", not_nulls()));
    }
    questions
}

/// The aspect of a foreign key whose triggers are not all switched on as they were made.
pub(super) const FOREIGN_KEY_TRIGGERS: &str = "state of its triggers";

/// The condition that no extension brought the object `oid` of the catalog `class`.
pub(super) fn own(class: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// The condition that the relation `c` in the schema `n` is a user's.
fn own_relation() -> String {
    format!("c.relpersistence <> 't' AND {} AND {}", user_schema(), own("pg_class", "c.oid"))
}

/// `public` is there from the beginning and may be gone on one side; what it holds is compared all the same.
fn schemas() -> String {
    format!(
        "SELECT 'schema', ARRAY[n.nspname::text], ARRAY[]::text[], '{{}}'
         FROM pg_namespace n WHERE n.nspname <> 'public' AND {} AND {}",
        user_schema(),
        own("pg_namespace", "n.oid")
    )
}

fn relations() -> String {
    format!(
        "SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialised view' WHEN 'f' THEN 'foreign table'
                    ELSE 'table' END,
                ARRAY[n.nspname::text, c.relname::text], ARRAY[]::text[],
                json_build_object(
                    'persistence', c.relpersistence,
                    'partitioned', c.relkind = 'p',
                    'row security', c.relrowsecurity,
                    'forced row security', c.relforcerowsecurity,
                    'replica identity', c.relreplident,
                    'options', (SELECT string_agg(option, ', ' ORDER BY option COLLATE \"C\") FROM unnest(c.reloptions) AS option),
                    'access method', CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(am.amname, 'heap') WHEN c.relkind = 'p' THEN am.amname END,
                    'row type', nullif(c.reloftype, 0)::regtype,
                    'partition key', pg_get_partkeydef(c.oid),
                    'partition bounds', pg_get_expr(c.relpartbound, c.oid),
                    'parents', (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                                FROM pg_inherits i WHERE i.inhrelid = c.oid),
                    'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
                    'filled', CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
                    'order of columns', CASE WHEN c.relkind = 'r' AND NOT c.relispartition AND EXISTS
                        (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
                        THEN (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END,
                    'options of long values', CASE WHEN EXISTS
                        (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attlen = -1 AND a.attstorage <> 'p'
                         AND NOT a.attisdropped)
                        THEN (SELECT {} FROM pg_class long WHERE long.oid = c.reltoastrelid) END,
                    'foreign options', (SELECT {} FROM pg_foreign_table ft WHERE ft.ftrelid = c.oid))::text
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {}",
        rarer::options("long.reloptions"),
        rarer::options("ft.ftoptions"),
        own_relation()
    )
}

/// The options of a column that somebody has set. Servers of late 2026 (17.12) keep a number of their own among them, `pg_attver`,
/// anew for each table that is made; `pg_dump` of that release passes over it too.
const SET_OPTIONS: &str = r"nullif(array(SELECT one FROM unnest(a.attoptions) AS o (one) WHERE one NOT LIKE 'pg\_attver=%' ORDER BY one), '{}')::text";

/// The position counts living columns only. Children of ordinary inheritance are passed over there: `pg_dump` puts their
/// inherited columns first, which is noted with the table. A partition's identity is its parent's since 17; before, the
/// partition had none, or a sequence of its own, which is compared as such.
fn columns(version: ServerVersion) -> String {
    let not_null = if version.major() >= NAMED_NOT_NULLS_SINCE {
        format!(
            "CASE WHEN a.attnotnull AND EXISTS (
                      SELECT FROM pg_constraint k
                      WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND k.coninhcount > 0)
                  THEN '{INHERITED}' ELSE a.attnotnull::text END"
        )
    } else {
        "a.attnotnull::text".into()
    };
    format!(
        "SELECT CASE c.relkind WHEN 'c' THEN 'attribute' ELSE 'column' END,
                ARRAY[n.nspname::text, c.relname::text, a.attname::text], ARRAY[n.nspname::text, c.relname::text],
                json_build_object(
                    'type', format_type(a.atttypid, a.atttypmod),
                    'not null', {not_null},
                    'default', pg_get_expr(d.adbin, d.adrelid),
                    'generated', nullif(to_jsonb(a) ->> 'attgenerated', ''),
                    'identity', CASE WHEN NOT c.relispartition THEN nullif(a.attidentity::text, '') END,
                    'collation', CASE WHEN a.attcollation <> t.typcollation THEN
                        (SELECT format('%I.%I', cn.nspname, co.collname)
                         FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                         WHERE co.oid = a.attcollation) END,
                    'storage', CASE WHEN c.relkind IN ('r', 'p', 'm', 'f') THEN a.attstorage END,
                    'compression', nullif(to_jsonb(a) ->> 'attcompression', ''),
                    'statistics target', nullif(a.attstattarget, -1),
                    'options', {SET_OPTIONS},
                    'foreign options', {},
                    'position', CASE WHEN c.relkind <> 'r' OR c.relispartition OR NOT EXISTS
                        (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
                        THEN row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) END)::text
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {}",
        rarer::options("a.attfdwoptions"),
        own_relation()
    )
}

fn indexes() -> String {
    format!(
        "SELECT 'index', ARRAY[n.nspname::text, ic.relname::text], ARRAY[n.nspname::text, c.relname::text],
                json_build_object(
                    'definition', pg_get_indexdef(i.indexrelid),
                    'valid', i.indisvalid,
                    'partitioned', c.relkind = 'p',
                    'clustered on', i.indisclustered,
                    'replica identity', i.indisreplident,
                    'attached to', (SELECT h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = i.indexrelid),
                    'statistics targets', (SELECT string_agg(format('%s: %s', a.attnum, a.attstattarget), ', '
                                                             ORDER BY a.attnum)
                                           FROM pg_attribute a
                                           WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0),
                    'depends on', (SELECT string_agg(e.extname::text, ', ' ORDER BY e.extname)
                                   FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                                   WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.deptype = 'x'))::text
         FROM pg_index i
         JOIN pg_class ic ON ic.oid = i.indexrelid
         JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'm') AND {}",
        own_relation()
    )
}

/// Without NOT NULL (compared with the columns, and by itself where both sides have it as a constraint), constraint triggers (compared with the
/// triggers), and those of partitions that follow their parent's foreign key under names of the server's choice. A foreign key whose
/// triggers are switched off, there or on a partition, holds nothing: `DISABLE TRIGGER ALL` does that. Where no trigger of a
/// constraint is, nobody need look at each key.
fn constraints(version: ServerVersion) -> String {
    let copies = if version.major() >= 11 {
        "UNION ALL SELECT copy.oid FROM pg_constraint copy JOIN key ON copy.conparentid = key.oid"
    } else {
        ""
    };
    format!(
        "SELECT 'constraint', ARRAY[n.nspname::text, c.relname::text, con.conname::text],
                ARRAY[n.nspname::text, c.relname::text],
                json_build_object(
                    'definition', regexp_replace(pg_get_constraintdef(con.oid), ' NOT VALID$', ''),
                    'validated', con.convalidated,
                    '{FOREIGN_KEY_TRIGGERS}', CASE WHEN con.contype = 'f'
                        AND (SELECT EXISTS (SELECT FROM pg_trigger WHERE tgconstraint <> 0 AND tgenabled <> 'O')) THEN (
                        WITH RECURSIVE key AS (SELECT con.oid {copies})
                        SELECT string_agg(DISTINCT format('%s: %s', t.tgrelid::regclass, t.tgenabled) COLLATE \"C\", ', ')
                        FROM key JOIN pg_trigger t ON t.tgconstraint = key.oid WHERE t.tgenabled <> 'O') END)::text
         FROM pg_constraint con
         JOIN pg_class c ON c.oid = con.conrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE con.contype NOT IN ('n', 't')
           AND NOT (con.contype = 'f' AND coalesce(to_jsonb(con) ->> 'conparentid', '0') <> '0') AND {}",
        own_relation()
    )
}

/// The kind of NOT NULL constraints.
pub(super) const NOT_NULL: &str = "NOT NULL constraint";

/// What is said of a column that is NOT NULL because those are from which its table inherits.
pub(super) const INHERITED: &str = "inherited";

/// Whether a column is NOT NULL, wherever that comes from.
pub(super) fn without_heritage(not_null: &str) -> &str {
    if not_null == INHERITED { "true" } else { not_null }
}

/// NOT NULL constraints of tables and domains, by column. A dump leaves out names that the server would choose anyway, or that come from
/// a parent, and so not every name is the same afterwards.
fn not_nulls() -> String {
    format!(
        "SELECT '{NOT_NULL}', ARRAY[n.nspname::text, coalesce(c.relname, t.typname)::text, coalesce(a.attname, 'VALUE')::text],
                ARRAY[n.nspname::text, coalesce(c.relname, t.typname)::text],
                json_build_object('definition', regexp_replace(pg_get_constraintdef(con.oid), ' NOT VALID$', ''),
                                  'validated', con.convalidated, 'name', con.conname)::text
         FROM pg_constraint con
         JOIN pg_namespace n ON n.oid = con.connamespace
         LEFT JOIN pg_class c ON c.oid = con.conrelid
         LEFT JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
         LEFT JOIN pg_type t ON t.oid = con.contypid
         WHERE con.contype = 'n' AND coalesce(c.relpersistence <> 't', true) AND {} AND {} AND {}",
        user_schema(),
        own("pg_class", "con.conrelid"),
        own("pg_type", "con.contypid")
    )
}

fn domain_constraints() -> String {
    format!(
        "SELECT 'constraint', ARRAY[n.nspname::text, t.typname::text, con.conname::text],
                ARRAY[n.nspname::text, t.typname::text],
                json_build_object('definition', regexp_replace(pg_get_constraintdef(con.oid), ' NOT VALID$', ''),
                                  'validated', con.convalidated)::text
         FROM pg_constraint con
         JOIN pg_type t ON t.oid = con.contypid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE con.contype NOT IN ('n', 't') AND {} AND {}",
        user_schema(),
        own("pg_type", "t.oid")
    )
}

/// Where a sequence stands is compared elsewhere: this is what it is.
fn sequences() -> String {
    format!(
        "SELECT 'sequence', ARRAY[n.nspname::text, c.relname::text], ARRAY[]::text[],
                json_build_object(
                    'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
                    'persistence', c.relpersistence, 'minimum', s.seqmin, 'maximum', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
                    'owned by', (SELECT format('%s.%I', d.refobjid::regclass, a.attname)
                                 FROM pg_depend d
                                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                   AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))::text
         FROM pg_sequence s
         JOIN pg_class c ON c.oid = s.seqrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {}",
        own_relation()
    )
}

/// Without those that the server made itself: foreign keys, and copies on partitions of their parent's triggers. A copy can be
/// switched off for itself.
fn triggers(version: ServerVersion) -> String {
    let elsewhere = if version.major() >= 13 {
        "CASE c.relkind WHEN 'p' THEN
             (SELECT string_agg(format('%s: %s', copy.tgrelid::regclass, copy.tgenabled), ', '
                                ORDER BY copy.tgrelid::regclass::text COLLATE \"C\")
              FROM pg_partition_tree(c.oid) p JOIN pg_trigger copy ON copy.tgrelid = p.relid AND copy.tgname = t.tgname
              WHERE copy.tgparentid <> 0 AND copy.tgenabled <> t.tgenabled) END"
    } else {
        "NULL"
    };
    format!(
        "SELECT 'trigger', ARRAY[n.nspname::text, c.relname::text, t.tgname::text],
                ARRAY[n.nspname::text, c.relname::text],
                json_build_object(
                    'definition', replace(pg_get_triggerdef(t.oid), ' EXECUTE PROCEDURE ', ' EXECUTE FUNCTION '),
                    'enabled', t.tgenabled,
                    'enabled on partitions', {elsewhere})::text
         FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT t.tgisinternal AND coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0' AND {}",
        own_relation()
    )
}

fn rules() -> String {
    format!(
        "SELECT 'rule', ARRAY[n.nspname::text, c.relname::text, r.rulename::text], ARRAY[n.nspname::text, c.relname::text],
                json_build_object('definition', pg_get_ruledef(r.oid), 'enabled', r.ev_enabled)::text
         FROM pg_rewrite r
         JOIN pg_class c ON c.oid = r.ev_class
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE r.rulename <> '_RETURN' AND {}",
        own_relation()
    )
}

fn policies() -> String {
    format!(
        "SELECT 'policy', ARRAY[n.nspname::text, c.relname::text, p.polname::text], ARRAY[n.nspname::text, c.relname::text],
                json_build_object(
                    'command', p.polcmd, 'permissive', p.polpermissive,
                    'roles', (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE pg_get_userbyid(role)::text END, ', '
                                                ORDER BY pg_get_userbyid(role)) FROM unnest(p.polroles) AS role),
                    'using', pg_get_expr(p.polqual, p.polrelid),
                    'with check', pg_get_expr(p.polwithcheck, p.polrelid))::text
         FROM pg_policy p
         JOIN pg_class c ON c.oid = p.polrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {}",
        own_relation()
    )
}

fn extensions() -> String {
    "SELECT 'extension', ARRAY[e.extname::text], ARRAY[]::text[],
            json_build_object('version', e.extversion, 'schema', n.nspname)::text
     FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        .into()
}

fn event_triggers() -> String {
    format!(
        "SELECT 'event trigger', ARRAY[t.evtname::text], ARRAY[]::text[],
                json_build_object('event', t.evtevent, 'tags', t.evttags::text, 'enabled', t.evtenabled,
                                  'function', t.evtfoid::regprocedure)::text
         FROM pg_event_trigger t WHERE {}",
        own("pg_event_trigger", "t.oid")
    )
}

fn statistics() -> String {
    format!(
        "SELECT 'statistics object', ARRAY[sn.nspname::text, s.stxname::text], ARRAY[n.nspname::text, c.relname::text],
                json_build_object('definition', pg_get_statisticsobjdef(s.oid),
                                  'target', nullif(to_jsonb(s) ->> 'stxstattarget', '-1'))::text
         FROM pg_statistic_ext s
         JOIN pg_namespace sn ON sn.oid = s.stxnamespace
         JOIN pg_class c ON c.oid = s.stxrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {}",
        own_relation()
    )
}

fn publications(version: ServerVersion) -> String {
    let schemas = if version.major() >= 15 {
        "(SELECT string_agg(pnnspid::regnamespace::text, ', ' ORDER BY pnnspid::regnamespace::text COLLATE \"C\")
          FROM pg_publication_namespace WHERE pnpubid = p.oid)"
    } else {
        "NULL"
    };
    // Some columns, or some rows, of a table: since 15.
    let table = if version.major() >= 15 {
        "concat(r.prrelid::regclass,
                (SELECT format(' (%s)', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)) FROM pg_attribute a
                 WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs) HAVING count(*) > 0),
                ' WHERE ' || pg_get_expr(r.prqual, r.prrelid))"
    } else {
        "r.prrelid::regclass::text"
    };
    format!(
        "SELECT 'publication', ARRAY[p.pubname::text], ARRAY[]::text[],
                json_build_object(
                    'all tables', p.puballtables, 'insert', p.pubinsert, 'update', p.pubupdate, 'delete', p.pubdelete,
                    'truncate', coalesce(to_jsonb(p) ->> 'pubtruncate', 'true'),
                    'through the root', coalesce(to_jsonb(p) ->> 'pubviaroot', 'false'),
                    'generated columns', nullif(to_jsonb(p) ->> 'pubgencols', 'n'),
                    'tables', (SELECT string_agg({table}, ', ' ORDER BY r.prrelid::regclass::text COLLATE \"C\")
                               FROM pg_publication_rel r WHERE r.prpubid = p.oid),
                    'schemas', {schemas})::text
         FROM pg_publication p"
    )
}
