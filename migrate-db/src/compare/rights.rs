//! The questions for owners and privileges, asked only where these travel. Privileges are compared without who granted
//! them, and without those that owners have anyway.

use super::rarer;
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
        "'relation'",
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
        "'function'",
        &super::functions::name(),
        ("p.proowner", "coalesce(p.proacl, acldefault('f', p.proowner))"),
        &format!("pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {}", super::functions::own_function()),
    );
    // `public` comes with the database, with other privileges in other majors.
    let schemas = question(
        rights,
        "'schema'",
        "ARRAY[n.nspname::text]",
        ("n.nspowner", "coalesce(n.nspacl, acldefault('n', n.nspowner))"),
        &format!("pg_namespace n WHERE n.nspname <> 'public' AND {user}"),
    );
    let large_objects = question(
        rights,
        "'large object'",
        "ARRAY[m.oid::text]",
        ("m.lomowner", "coalesce(m.lomacl, acldefault('L', m.lomowner))"),
        "pg_largeobject_metadata m",
    );
    let types = question(
        rights,
        "'type'",
        "ARRAY[n.nspname::text, t.typname::text]",
        ("t.typowner", "coalesce(t.typacl, acldefault('T', t.typowner))"),
        super::types::OWN,
    );
    let types = format!("{types} AND {user} AND {}", super::queries::own("pg_type", "t.oid"));
    let mut questions = vec![
        ("rights on relations", relations),
        ("rights on functions", functions),
        ("rights on schemas", schemas),
        ("rights on large objects", large_objects),
        ("rights on types", types),
        ("rights on rarer objects", rarer_objects(rights)),
    ];
    if rights.acl {
        questions.extend([("rights on columns", columns(rights)), ("rights on objects to come", defaults(rights))]);
    }
    questions
}

/// What else has an owner, some of it privileges too.
fn rarer_objects(rights: Rights) -> String {
    let others =
        [("pg_event_trigger", "o.evtowner"), ("pg_publication", "o.pubowner"), ("pg_statistic_ext", "o.stxowner")];
    let others = others.into_iter().map(|(catalog, owner)| (rarer::rows(catalog), owner, "NULL::aclitem[]".to_owned()));
    let catalogs = rarer::catalogs();
    let all = catalogs.iter().filter_map(|catalog| {
        let owner = catalog.owner?;
        let acl = catalog.acl.map(|(column, kind)| format!("coalesce({column}, acldefault('{kind}', {owner}))"));
        Some((rarer::rows(catalog.name), owner, acl.unwrap_or_else(|| "NULL::aclitem[]".into())))
    });
    let ask = |(rows, owner, acl): (String, &str, String)| {
        question(rights, "i.type", "ARRAY[i.identity]", (owner, &acl), &rows)
    };
    all.chain(others).map(ask).collect::<Vec<_>>().join(" UNION ALL ")
}

/// Only columns that somebody beside the table's owner has privileges on.
fn columns(rights: Rights) -> String {
    question(
        rights,
        "'column'",
        "ARRAY[n.nspname::text, c.relname::text, a.attname::text]",
        ("c.relowner", "a.attacl"),
        &format!(
            "pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT a.attisdropped AND EXISTS (SELECT FROM aclexplode(a.attacl) x WHERE x.grantee <> c.relowner)
               AND c.relpersistence <> 't' AND {} AND {}",
            user_schema(),
            super::queries::own("pg_class", "c.oid")
        ),
    )
}

/// `ALTER DEFAULT PRIVILEGES`: the schema, whose objects, and which.
fn defaults(rights: Rights) -> String {
    question(
        rights,
        "'objects to come'",
        "ARRAY[coalesce(n.nspname::text, ''), pg_get_userbyid(d.defaclrole)::text, d.defaclobjtype::text]",
        ("d.defaclrole", "d.defaclacl"),
        "pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace",
    )
}

fn question(rights: Rights, kind: &str, name: &str, (owner, acl): (&str, &str), from: &str) -> String {
    let (with_owner, with_acl) = (rights.owner, rights.acl);
    format!(
        "SELECT 'rights on ' || {kind}, {name}, ARRAY[]::text[],
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
