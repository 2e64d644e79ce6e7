//! Kinds of objects that few databases have are compared by what they are like, not by existence alone.

use super::pair::Pair;

const SCHEMA: &str = r#"
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER far TYPE 'odd' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (port '1', host 'a, b');
    CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'u', password 'hunter2');
    CREATE FOREIGN TABLE over_there (id integer OPTIONS (column_name 'Id')) SERVER far
        OPTIONS (table_name 't', schema_name 's');
    CREATE TEXT SEARCH DICTIONARY own_english (TEMPLATE = snowball, LANGUAGE = english, STOPWORDS = english);
    CREATE TEXT SEARCH CONFIGURATION own (PARSER = "default");
    ALTER TEXT SEARCH CONFIGURATION own ADD MAPPING FOR asciiword, word WITH own_english, simple;
    CREATE COLLATION own_order (provider = libc, locale = 'C');
    CREATE COLLATION phonebook (provider = icu, locale = 'de@collation=phonebook', deterministic = false);
    CREATE FUNCTION same(integer, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2';
    CREATE FUNCTION same(text, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $2::text = $1';
    CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = text, FUNCTION = same, RESTRICT = eqsel, JOIN = eqjoinsel);
    CREATE OPERATOR === (LEFTARG = text, RIGHTARG = integer, FUNCTION = same, COMMUTATOR = ===);
    CREATE OPERATOR FAMILY wholes USING btree;
    CREATE OPERATOR CLASS wholes_of_4 FOR TYPE int4 USING btree FAMILY wholes
        AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
    CREATE TYPE mood AS ENUM ('well', 'ill');
    CREATE CAST (mood AS integer) WITH INOUT AS ASSIGNMENT;
    CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
    CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', COMBINEFUNC = int4pl);
    CREATE FUNCTION number(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
    CREATE TABLE long (id integer PRIMARY KEY, text text) WITH (toast.autovacuum_enabled = false);
    INSERT INTO long SELECT n, 'text' FROM generate_series(1, 100) AS n;"#;

/// A change on the target, how it is taken back, and the item and aspect of the only finding.
const DAMAGES: [[&str; 4]; 13] = [
    [
        "ALTER SERVER far OPTIONS (SET host 'elsewhere')",
        "ALTER SERVER far OPTIONS (SET host 'a, b')",
        "server far",
        "foreign options",
    ],
    ["ALTER SERVER far VERSION '2'", "ALTER SERVER far VERSION '1'", "server far", "version"],
    [
        "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'hunter3')",
        "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'hunter2')",
        "user mapping public.far",
        "foreign options",
    ],
    [
        "ALTER FOREIGN TABLE over_there OPTIONS (SET table_name 'other')",
        "ALTER FOREIGN TABLE over_there OPTIONS (SET table_name 't')",
        "foreign table public.over_there",
        "foreign options",
    ],
    [
        "ALTER FOREIGN TABLE over_there ALTER id OPTIONS (SET column_name 'ID')",
        "ALTER FOREIGN TABLE over_there ALTER id OPTIONS (SET column_name 'Id')",
        "column public.over_there.id",
        "foreign options",
    ],
    [
        "ALTER TEXT SEARCH DICTIONARY own_english (STOPWORDS)",
        "ALTER TEXT SEARCH DICTIONARY own_english (STOPWORDS = english)",
        "text search dictionary public.own_english",
        "options",
    ],
    [
        "ALTER TEXT SEARCH CONFIGURATION own ALTER MAPPING FOR word WITH simple",
        "ALTER TEXT SEARCH CONFIGURATION own ALTER MAPPING FOR word WITH own_english, simple",
        "text search configuration public.own",
        "mappings",
    ],
    [
        "DROP COLLATION own_order; CREATE COLLATION own_order (provider = libc, locale = 'POSIX')",
        "DROP COLLATION own_order; CREATE COLLATION own_order (provider = libc, locale = 'C')",
        "collation public.own_order",
        "locale",
    ],
    [
        "ALTER OPERATOR === (integer, text) SET (RESTRICT = NONE)",
        "ALTER OPERATOR === (integer, text) SET (RESTRICT = eqsel)",
        "operator public.===(integer,pg_catalog.text)",
        "restriction estimator",
    ],
    [
        "ALTER OPERATOR FAMILY wholes USING btree ADD OPERATOR 1 < (int4, int8)",
        "ALTER OPERATOR FAMILY wholes USING btree DROP OPERATOR 1 (int4, int8)",
        "operator family public.wholes USING btree",
        "operators",
    ],
    [
        "DROP CAST (mood AS integer); CREATE CAST (mood AS integer) WITH INOUT AS IMPLICIT",
        "DROP CAST (mood AS integer); CREATE CAST (mood AS integer) WITH INOUT AS ASSIGNMENT",
        "cast (public.mood AS integer)",
        "context",
    ],
    [
        "DROP AGGREGATE total(integer); CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0')",
        "DROP AGGREGATE total(integer);
         CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', COMBINEFUNC = int4pl)",
        "aggregate public.total(integer)",
        "aggregate",
    ],
    [
        "ALTER TABLE long RESET (toast.autovacuum_enabled)",
        "ALTER TABLE long SET (toast.autovacuum_enabled = false)",
        "table public.long",
        "options of long values",
    ],
];

#[tokio::test]
async fn what_they_are_like_is_compared() {
    // GIVEN such objects, migrated to another major: options in another order and locales in other words are no difference
    let pair = Pair::filled(13, 17, SCHEMA).await;
    pair.migrate().await;
    let report = tempfile::tempdir().unwrap();
    for (number, [change, undo, item, aspect]) in DAMAGES.into_iter().enumerate() {
        // WHEN one of them is changed on the target, and both are compared
        pair.target.execute(change).await;
        let place = report.path().join(number.to_string());
        let outcome = pair.program().arg("--verify").env("REPORT", place.display().to_string()).run().await;
        pair.target.execute(undo).await;

        // THEN it is named, and nothing else; what may hold a password is not shown
        outcome.assert_code(4).assert_without(&["hunter", "elsewhere"]);
        let text = std::fs::read_to_string(place.join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found: Vec<_> = findings
            .iter()
            .filter(|one| one["kind"] != "note")
            .map(|one| (one["item"].as_str(), one["aspect"].as_str()))
            .collect();
        assert_eq!(found, [(Some(item), Some(aspect))], "{change}: {findings:#?}");
    }
    pair.assert_equal(&pair.verify().await);
}

#[tokio::test]
async fn their_owners_and_privileges_travel_and_are_compared() {
    // GIVEN objects of a role's own, and privileges on a foreign server
    let pair = Pair::new(15, 18).await;
    let role = format!("{}_owner", pair.source.name);
    pair.source
        .execute(&format!(
            "CREATE ROLE {role};
             CREATE TABLE t (a integer, b integer); CREATE STATISTICS st ON a, b FROM t; ALTER STATISTICS st OWNER TO {role};
             CREATE COLLATION own_order (provider = libc, locale = 'C'); ALTER COLLATION own_order OWNER TO {role};
             CREATE FOREIGN DATA WRAPPER bare; CREATE SERVER far FOREIGN DATA WRAPPER bare;
             GRANT USAGE ON FOREIGN SERVER far TO {role};
             CREATE PUBLICATION changes FOR TABLE t"
        ))
        .await;
    pair.target.execute(&format!("CREATE ROLE {role}")).await;
    let program = pair.program().args(["--with-owner", "--with-acl"]);
    pair.assert_equal(&program.run().await);

    // WHEN they are others' on the target, THEN each is named
    pair.target
        .execute(&format!(
            "ALTER STATISTICS st OWNER TO postgres; ALTER COLLATION own_order OWNER TO postgres;
             ALTER PUBLICATION changes OWNER TO {role}; REVOKE USAGE ON FOREIGN SERVER far FROM {role}"
        ))
        .await;
    let outcome = program.env("LOG_FORMAT", "text").arg("--verify").run().await;
    outcome.assert_code(4);
    for item in ["statistics object public.st", "collation public.own_order", "publication changes", "server far"] {
        assert!(outcome.stdout.contains(&format!("rights on {item}")), "{item}: {outcome}");
    }
}

#[tokio::test]
async fn options_of_a_user_mapping_that_nobody_showed_us_leave_equality_unproved() {
    // GIVEN a role that may make user mappings for others, but not see their options
    let pair = Pair::new(17, 18).await;
    let (app, other) = (format!("{}_app", pair.source.name), format!("{}_other", pair.source.name));
    for side in [&pair.source, &pair.target] {
        let name = &side.name;
        side.execute(&format!(
            "CREATE ROLE {app} LOGIN PASSWORD 'app'; CREATE ROLE {other};
             CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {app};
             GRANT CREATE ON SCHEMA public TO {app}; GRANT CREATE ON DATABASE {name} TO {app}"
        ))
        .await;
    }
    pair.source
        .execute(&format!(
            "SET ROLE {app}; CREATE TABLE t (id integer PRIMARY KEY); CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
             CREATE USER MAPPING FOR {other} SERVER far OPTIONS (user 'u', password 'hunter2')"
        ))
        .await;

    // WHEN that role migrates
    let (source, target) = (pair.source.url_as(&app, "app"), pair.target.url_as(&app, "app"));
    let outcome = pair.program_between(&source, &target).env("LOG_FORMAT", "text").run().await;

    // THEN all is there, and the options are said to be missing
    outcome.assert_code(6);
    assert!(outcome.stdout.contains(&format!("user mapping {other}.far")), "{outcome}");
    assert!(outcome.stdout.contains("may not see them, so they were not carried"), "{outcome}");
}
