//! The question about functions, aggregates and procedures. Called by `queries`, and by `rights` for who owns them.

use super::queries::own;
use crate::catalog::{ServerVersion, user_schema};

/// The parameters of the function `p` as `printed` gives them, but for the IN that a procedure's have since 14.
fn parameters(printed: &str) -> String {
    format!(r"regexp_replace({printed}(p.oid), '(^|, )IN ', '\1', 'g')")
}

/// The name of the function `p` in the schema `n`.
pub(super) fn name() -> String {
    format!("ARRAY[n.nspname::text, format('%s(%s)', p.proname, {})]", parameters("pg_get_function_identity_arguments"))
}

/// The condition that the function `p` in the schema `n` is a user's, and was not made by the server together with a type: ranges
/// have more of these since 14.
pub(super) fn own_function() -> String {
    format!(
        "{} AND {} AND NOT EXISTS
         (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')",
        user_schema(),
        own("pg_proc", "p.oid")
    )
}

/// Every function, aggregate and procedure, with what it is like. Before 11, final functions of aggregates did not say whether
/// they modify their state: they count as what they would be by default.
pub(super) fn all(version: ServerVersion) -> String {
    let (name, arguments) = (name(), parameters("pg_get_function_arguments"));
    // Bodies that the server parsed when the function was made came with 14.
    let parsed_body = if version.major() >= 14 { "pg_get_function_sqlbody(p.oid)" } else { "NULL" };
    format!(
        "SELECT CASE WHEN agg.aggfnoid IS NOT NULL THEN 'aggregate'
                    WHEN j ->> 'prokind' = 'p' THEN 'procedure' ELSE 'function' END,
                {name},
                ARRAY[]::text[],
                json_build_object(
                    'language', l.lanname,
                    'arguments', {arguments},
                    'result', pg_get_function_result(p.oid),
                    'volatility', p.provolatile, 'parallel', p.proparallel, 'strict', p.proisstrict,
                    'leakproof', p.proleakproof, 'security definer', p.prosecdef,
                    'cost', p.procost, 'rows', p.prorows,
                    'settings', p.proconfig::text,
                    'window', coalesce(j ->> 'proiswindow', (j ->> 'prokind' = 'w')::text),
                    'support', nullif(j ->> 'prosupport', '-'),
                    'transforms', (SELECT string_agg(format_type(type, NULL), ', ') FROM unnest(p.protrftypes) AS type),
                    'library', p.probin,
                    'body', p.prosrc,
                    'parsed body', {parsed_body},
                    'aggregate', (jsonb_build_object('aggfinalmodify', CASE agg.aggkind WHEN 'n' THEN 'r' ELSE 'w' END,
                                                     'aggmfinalmodify', CASE agg.aggkind WHEN 'n' THEN 'r' ELSE 'w' END)
                                  || to_jsonb(agg) - '{{aggfnoid,aggtranstype,aggmtranstype,aggsortop}}'::text[])::text,
                    'types of states', concat_ws(', ', agg.aggtranstype::regtype, agg.aggmtranstype::regtype),
                    'sort operator', agg.aggsortop::regoperator)::text
         FROM pg_proc p
         JOIN pg_namespace n ON n.oid = p.pronamespace
         JOIN pg_language l ON l.oid = p.prolang
         CROSS JOIN LATERAL (SELECT to_jsonb(p) - 'prosrc') AS whole (j)
         LEFT JOIN pg_aggregate agg ON agg.aggfnoid = p.oid
         WHERE {}",
        own_function()
    )
}
