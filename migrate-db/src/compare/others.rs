//! The questions about comments, and about what is compared by existence alone. Must not know of versions: the same
//! question goes to every major. Called by `queries`.

/// Objects with smaller identifiers were made with the database (`FirstNormalObjectId` in PostgreSQL's sources).
const FIRST_OF_USERS: u32 = 16_384;

/// `public` has a comment from the beginning, also where `--clean` made it anew; only another one is a user's. Subscriptions
/// stay behind, and leave comments behind themselves when they are dropped.
pub(super) fn comments() -> String {
    format!(
        "SELECT 'comment', ARRAY['on ' || i.type || ' ' || {}],
                CASE WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') AND d.objsubid > 0
                     THEN ARRAY[n.nspname::text, c.relname::text] ELSE ARRAY[]::text[] END,
                json_build_object('text', d.description)::text
         FROM pg_description d
         CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
         LEFT JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
         LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE (d.objoid >= {FIRST_OF_USERS} OR d.classoid = 'pg_namespace'::regclass AND i.identity = 'public')
           AND NOT (d.classoid = 'pg_namespace'::regclass AND i.identity = 'public'
                    AND d.description = 'standard public schema')
           AND d.classoid NOT IN ('pg_extension'::regclass, 'pg_subscription'::regclass) AND i.identity IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')",
        transform_as_since_17("i.type", "i.identity")
    )
}

/// A name as PostgreSQL 17 and newer give it: before, transforms were called `for TYPE on language …`.
fn transform_as_since_17(kind: &str, identity: &str) -> String {
    format!("CASE {kind} WHEN 'transform' THEN replace({identity}, ' on language ', ' language ') ELSE {identity} END")
}

/// Everything else that a dump can hold: compared by existence. What the server made with something else (a multirange's
/// casts) comes with that; an operator that is only named so far is nothing yet.
pub(super) fn others() -> String {
    const CATALOGS: [&str; 13] = [
        "pg_cast",
        "pg_collation",
        "pg_conversion",
        "pg_foreign_data_wrapper",
        "pg_foreign_server",
        "pg_language",
        "pg_opclass",
        "pg_operator",
        "pg_opfamily",
        "pg_transform",
        "pg_ts_config",
        "pg_ts_dict",
        "pg_am",
    ];
    let only = |name: &str| if name == "pg_operator" { " WHERE oprcode <> 0" } else { "" };
    let list = |name: &&str| format!("SELECT '{name}'::regclass AS class, oid FROM {name}{}", only(name));
    let all: Vec<String> = CATALOGS.iter().map(list).collect();
    format!(
        "SELECT i.type, ARRAY[{}], ARRAY[]::text[], '{{}}'
         FROM (SELECT class, oid FROM ({}) AS every WHERE oid >= {FIRST_OF_USERS}) AS o
         CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, 0) AS i
         WHERE NOT EXISTS (SELECT FROM pg_depend e
                           WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype IN ('e', 'i'))",
        transform_as_since_17("i.type", "i.identity"),
        all.join(" UNION ALL ")
    )
}
