//! The question about types and domains. Called by `queries`, and by `rights` for who owns them.

use super::queries::own;
use crate::catalog::user_schema;

/// Types `t` in schemas `n`, without row types of tables, arrays and multiranges: they come with what they belong to.
pub(super) const OWN: &str = "pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    LEFT JOIN pg_range r ON r.rngtypid = t.oid
    WHERE coalesce(c.relkind = 'c', true) AND t.typtype IN ('b', 'c', 'd', 'e', 'r')
      AND NOT EXISTS (SELECT FROM pg_type element WHERE element.typarray = t.oid)";

/// Every type and domain, with what it is like; the attributes of row types are asked for as columns are. Ranges have
/// multiranges since 14.
pub(super) fn all(common_major: i32) -> String {
    let multirange = if common_major >= 14 { "nullif(r.rngmultitypid, 0)::regtype" } else { "NULL" };
    format!(
        "SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END,
                ARRAY[n.nspname::text, t.typname::text], ARRAY[]::text[],
                json_build_object(
                    'family', t.typtype,
                    'labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                               FROM pg_enum e WHERE e.enumtypid = t.oid),
                    'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
                    'not null', CASE WHEN t.typtype = 'd' THEN t.typnotnull END,
                    'default', t.typdefault,
                    'collation', CASE WHEN t.typtype = 'd' THEN
                        (SELECT format('%I.%I', cn.nspname, co.collname)
                         FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                         WHERE co.oid = t.typcollation) END,
                    'subtype', format_type(r.rngsubtype, NULL),
                    'operator class', (SELECT i.identity FROM pg_identify_object('pg_opclass'::regclass, r.rngsubopc, 0) AS i),
                    'collation of the subtype', (SELECT i.identity
                        FROM pg_identify_object('pg_collation'::regclass, nullif(r.rngcollation, 0), 0) AS i),
                    'multirange', {multirange},
                    'range functions', CASE WHEN t.typtype = 'r' THEN concat_ws(', ', r.rngcanonical, r.rngsubdiff) END,
                    'functions', CASE WHEN t.typtype = 'b' THEN concat_ws(', ', t.typinput, t.typoutput, t.typreceive,
                                      t.typsend, t.typmodin, t.typmodout, t.typanalyze) END,
                    'form', CASE WHEN t.typtype = 'b' THEN concat_ws(', ', t.typlen, t.typbyval, t.typalign, t.typstorage,
                                 t.typcategory, t.typispreferred, t.typdelim, nullif(t.typelem, 0)::regtype) END)::text
         FROM {OWN} AND {} AND {}",
        user_schema(),
        own("pg_type", "t.oid")
    )
}
