//! The questions for owners and privileges, asked only where these travel. Privileges are compared without who granted
//! them, and without those that owners have anyway.

use crate::catalog::user_schema;
use crate::rights::Rights;

/// All questions, each with what it lists; none where nothing travels.
pub(super) fn all(rights: Rights) -> Vec<(&'static str, String)> {
    if rights.is_none() {
        return Vec::new();
    }
    let user = user_schema();
    let relations = question(
        rights,
        "relation",
        "ARRAY[n.nspname::text, c.relname::text]",
        (
            "c.relowner",
            "coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner))",
        ),
        &format!(
            "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND {user} AND {}",
            super::queries::own("pg_class", "c.oid")
        ),
    );
    let functions = question(
        rights,
        "function",
        &super::queries::function_name(),
        ("p.proowner", "coalesce(p.proacl, acldefault('f', p.proowner))"),
        &format!("pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {}", super::queries::own_function()),
    );
    // `public` comes with the database, with other privileges in other majors.
    let schemas = question(
        rights,
        "schema",
        "ARRAY[n.nspname::text]",
        ("n.nspowner", "coalesce(n.nspacl, acldefault('n', n.nspowner))"),
        &format!("pg_namespace n WHERE n.nspname <> 'public' AND {user}"),
    );
    vec![("rights on relations", relations), ("rights on functions", functions), ("rights on schemas", schemas)]
}

fn question(rights: Rights, kind: &str, name: &str, (owner, acl): (&str, &str), from: &str) -> String {
    let (with_owner, with_acl) = (rights.owner, rights.acl);
    format!(
        "SELECT 'rights on {kind}', {name}, ARRAY[]::text[],
                json_build_object(
                    'owner', CASE WHEN {with_owner} THEN pg_get_userbyid({owner}) END,
                    'privileges', CASE WHEN {with_acl} THEN (
                        SELECT string_agg(format('%s %s%s', coalesce(r.rolname, 'PUBLIC'), a.privilege_type,
                                                 CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END), ', '
                                          ORDER BY coalesce(r.rolname, 'PUBLIC'), a.privilege_type)
                        FROM aclexplode({acl}) a LEFT JOIN pg_roles r ON r.oid = a.grantee
                        WHERE a.grantee <> {owner} AND a.privilege_type <> 'MAINTAIN') END)::text
         FROM {from}"
    )
}
