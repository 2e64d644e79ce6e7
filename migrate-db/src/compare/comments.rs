//! The question about comments. Must not know of versions: the same one goes to every major. Called by `queries`.

use super::rarer::{FIRST_OF_USERS, transform_as_since_17};

/// `public` has a comment from the beginning, also where `--clean` made it anew; only another one is a user's. Subscriptions
/// stay behind, and leave comments behind themselves when they are dropped.
pub(super) fn all() -> String {
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
