//! The questions about the kinds of objects that few databases have: casts, collations, operators, text search, foreign
//! servers. Must not know of versions: the same question goes to every major, and columns that came with one are read through
//! `to_jsonb`. Called by `queries`, and by `rights` for owners and privileges.

/// Objects with smaller identifiers were made with the database (`FirstNormalObjectId` in PostgreSQL's sources).
pub(super) const FIRST_OF_USERS: u32 = 16_384;

/// A system catalog of such objects; its rows are called `o`.
pub(super) struct Catalog {
    /// Its name.
    pub(super) name: &'static str,
    /// The column of the owner, where its objects have one.
    pub(super) owner: Option<&'static str>,
    /// The column of the privileges, and their kind as `acldefault` calls it.
    pub(super) acl: Option<(&'static str, char)>,
    /// What an object is like, as `json_build_object` takes it.
    aspects: String,
}

/// The rows `o` of a catalog that are a user's, with their names `i`. What the server made with something else (a
/// multirange's casts) comes with that; an operator that is only named so far is nothing yet.
pub(super) fn rows(catalog: &str) -> String {
    let whole = if catalog == "pg_operator" { "o.oprcode <> 0" } else { "true" };
    format!(
        "{catalog} o CROSS JOIN LATERAL pg_identify_object('{catalog}'::regclass, o.oid, 0) AS i
         WHERE o.oid >= {FIRST_OF_USERS} AND {whole}
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = o.oid
                           AND e.deptype IN ('e', 'i'))"
    )
}

/// Every object of these kinds, with what it is like.
pub(super) fn all() -> String {
    let question = |catalog: &Catalog| {
        format!(
            "SELECT i.type, ARRAY[{}], ARRAY[]::text[], json_build_object({})::text FROM {}",
            transform_as_since_17("i.type", "i.identity"),
            catalog.aspects,
            rows(catalog.name)
        )
    };
    catalogs().iter().map(question).collect::<Vec<_>>().join(" UNION ALL ")
}

/// Who reaches a foreign server as whom. The options are shown only to some roles, and are compared where both sides show
/// them: the condition is that of the view.
pub(super) fn user_mappings() -> String {
    format!(
        "SELECT 'user mapping', ARRAY[m.usename::text, m.srvname::text], ARRAY[]::text[],
                json_build_object(
                    'foreign options', {},
                    'readable', m.umuser <> 0 AND m.usename = current_user
                                AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE'))
                                OR m.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE')
                                OR (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user))::text
         FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid",
        options("m.umoptions")
    )
}

/// A name as PostgreSQL 17 and newer give it: before, transforms were called `for TYPE on language …`.
pub(super) fn transform_as_since_17(kind: &str, identity: &str) -> String {
    format!("CASE {kind} WHEN 'transform' THEN replace({identity}, ' on language ', ' language ') ELSE {identity} END")
}

/// The options of something foreign, in the order in which `pg_dump` writes them.
pub(super) fn options(column: &str) -> String {
    format!("(SELECT string_agg(option, ', ' ORDER BY option COLLATE \"C\") FROM unnest({column}) AS option)")
}

/// Who owns a catalog's objects, and who has privileges on them: columns, and the letter of `acldefault`.
type Holders = (Option<&'static str>, Option<(&'static str, char)>);

/// Nobody.
const FREE: Holders = (None, None);

const fn owned(owner: &'static str) -> Holders {
    (Some(owner), None)
}

const fn shared(owner: &'static str, acl: &'static str, kind: char) -> Holders {
    (Some(owner), Some((acl, kind)))
}

fn of(name: &'static str, (owner, acl): Holders, aspects: impl Into<String>) -> Catalog {
    Catalog { name, owner, acl, aspects: aspects.into() }
}

/// All of them.
pub(super) fn catalogs() -> Vec<Catalog> {
    [foreign(), of_operators(), text_search(), of_types()].into_iter().flatten().collect()
}

fn foreign() -> Vec<Catalog> {
    let wrapper = format!(
        "'handler', o.fdwhandler::regproc, 'validator', o.fdwvalidator::regproc, 'foreign options', {}",
        options("o.fdwoptions")
    );
    let server = format!(
        "'wrapper', (SELECT w.fdwname FROM pg_foreign_data_wrapper w WHERE w.oid = o.srvfdw), 'type', o.srvtype,
         'version', o.srvversion, 'foreign options', {}",
        options("o.srvoptions")
    );
    vec![
        of("pg_foreign_data_wrapper", shared("o.fdwowner", "o.fdwacl", 'F'), wrapper),
        of("pg_foreign_server", shared("o.srvowner", "o.srvacl", 'S'), server),
    ]
}

fn of_operators() -> Vec<Catalog> {
    let operator = "'result', o.oprresult::regtype, 'function', o.oprcode, 'commutator', o.oprcom::regoperator,
         'negator', o.oprnegate::regoperator, 'restriction estimator', o.oprrest, 'join estimator', o.oprjoin,
         'merges', o.oprcanmerge, 'hashes', o.oprcanhash";
    let class = format!(
        "'family', {}, 'type', o.opcintype::regtype, 'by default', o.opcdefault, 'key type', o.opckeytype::regtype, {}",
        named("pg_opfamily", "o.opcfamily"),
        members("o.opcfamily", &format!(" AND {{left}} = o.opcintype AND o.opcfamily < {FIRST_OF_USERS}"))
    );
    vec![
        of("pg_operator", owned("o.oprowner"), operator),
        of("pg_opclass", owned("o.opcowner"), class),
        of("pg_opfamily", owned("o.opfowner"), members("o.oid", "")),
        of("pg_am", FREE, "'type', o.amtype, 'handler', o.amhandler"),
    ]
}

fn text_search() -> Vec<Catalog> {
    let configuration = format!(
        "'parser', {}, 'mappings', (SELECT string_agg(concat(m.maptokentype, ': ', m.mapdict::regdictionary), ', '
                                                      ORDER BY m.maptokentype, m.mapseqno)
                                    FROM pg_ts_config_map m WHERE m.mapcfg = o.oid)",
        named("pg_ts_parser", "o.cfgparser")
    );
    let dictionary = format!("'template', {}, 'options', o.dictinitoption", named("pg_ts_template", "o.dicttemplate"));
    let parser =
        "'start', o.prsstart, 'token', o.prstoken, 'end', o.prsend, 'headline', o.prsheadline, 'types', o.prslextype";
    vec![
        of("pg_ts_config", owned("o.cfgowner"), configuration),
        of("pg_ts_dict", owned("o.dictowner"), dictionary),
        of("pg_ts_parser", FREE, parser),
        of("pg_ts_template", FREE, "'init', o.tmplinit, 'lexize', o.tmpllexize"),
    ]
}

/// What texts and types can be turned into, and by what.
fn of_types() -> Vec<Catalog> {
    let conversion = "'from', pg_encoding_to_char(o.conforencoding), 'to', pg_encoding_to_char(o.contoencoding),
         'function', o.conproc, 'by default', o.condefault";
    let cast = "'function', o.castfunc::regprocedure, 'context', o.castcontext, 'method', o.castmethod";
    let transform = "'from SQL', o.trffromsql::regprocedure, 'to SQL', o.trftosql::regprocedure";
    let language = "'trusted', o.lanpltrusted, 'handler', o.lanplcallfoid::regproc, 'inline', o.laninline::regproc,
         'validator', o.lanvalidator::regproc";
    vec![
        of("pg_collation", owned("o.collowner"), collation()),
        of("pg_conversion", owned("o.conowner"), conversion),
        of("pg_cast", FREE, cast),
        of("pg_transform", FREE, transform),
        of("pg_language", shared("o.lanowner", "o.lanacl", 'l'), language),
    ]
}

/// ICU's names of locales are apart: since 16 a server writes them in one form, whatever form it was given.
fn collation() -> String {
    let locale =
        "coalesce(to_jsonb(o) ->> 'colllocale', to_jsonb(o) ->> 'colliculocale', to_jsonb(o) ->> 'collcollate')";
    format!(
        "'provider', o.collprovider, 'deterministic', coalesce(to_jsonb(o) ->> 'collisdeterministic', 'true'),
         'locale', CASE WHEN o.collprovider <> 'i' THEN concat_ws(' ', {locale}, to_jsonb(o) ->> 'collctype') END,
         'ICU locale', CASE WHEN o.collprovider = 'i' THEN {locale} END, 'rules', to_jsonb(o) ->> 'collicurules'"
    )
}

/// The full name of the row `oid` of the catalog `class`.
fn named(class: &str, oid: &str) -> String {
    format!("(SELECT identity FROM pg_identify_object('{class}'::regclass, {oid}, 0))")
}

/// The operators and functions of the family `family` of operators for which `condition` holds. A class names its own only
/// where its family is the server's own, whose members nobody else names.
fn members(family: &str, condition: &str) -> String {
    let list = |catalog: &str, prefix: &str, member: &str| {
        let condition = condition.replace("{left}", &format!("m.{prefix}lefttype"));
        format!(
            "(SELECT string_agg(one.text, ', ' ORDER BY one.text COLLATE \"C\")
              FROM (SELECT concat_ws(' ', {member}) AS text FROM {catalog} m WHERE m.{prefix}family = {family}{condition}) AS one)"
        )
    };
    let sorted_by = "(SELECT s.opfname FROM pg_opfamily s WHERE s.oid = m.amopsortfamily)";
    format!(
        "'operators', {}, 'functions', {}",
        list("pg_amop", "amop", &format!("m.amopstrategy, m.amopopr::regoperator, m.amoppurpose, {sorted_by}")),
        list(
            "pg_amproc",
            "amproc",
            "m.amprocnum, m.amproclefttype::regtype, m.amprocrighttype::regtype, m.amproc::regprocedure"
        )
    )
}
