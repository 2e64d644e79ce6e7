//! What was overlooked, or called different although nothing was lost, until somebody tried.

use super::pair::Pair;

#[tokio::test]
async fn words_in_names_and_literals_make_no_query() {
    // GIVEN objects that have the word of queries in their names and literals, on another major
    let pair = Pair::filled(
        15,
        18,
        "CREATE TABLE \"SELECTED\" (id integer PRIMARY KEY, a integer, b integer);
         CREATE TABLE grants (id integer PRIMARY KEY, action text DEFAULT 'SELECT', s integer,
             CONSTRAINT ck CHECK (action IN ('SELECT', 'INSERT')),
             CONSTRAINT fk FOREIGN KEY (s) REFERENCES \"SELECTED\" ON DELETE CASCADE);
         CREATE INDEX several ON \"SELECTED\" (a, b);
         CREATE INDEX part ON grants (id) WHERE action = 'SELECT';
         ALTER TABLE grants ENABLE ROW LEVEL SECURITY;
         CREATE POLICY may ON grants USING (EXISTS (SELECT 'x' FROM \"SELECTED\" WHERE a = s));",
    )
    .await;
    pair.migrate().await;

    // WHEN they are damaged on the target, THEN each is named
    for (damage, item, code) in [
        ("DROP INDEX several; CREATE INDEX several ON \"SELECTED\" USING hash (b)", "several", 4),
        ("ALTER TABLE grants DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (action IN ('SELECT', 'DELETE'))", "ck", 4),
        ("ALTER TABLE grants ALTER action SET DEFAULT 'SELECT 2'", "grants.action", 4),
        ("DROP INDEX part; CREATE INDEX part ON grants (s) WHERE action = 'SELECT'", "part", 4),
        (
            "ALTER TABLE grants DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (s) REFERENCES \"SELECTED\" ON DELETE SET NULL",
            "fk",
            4,
        ),
        ("ALTER POLICY may ON grants USING (true OR EXISTS (SELECT 'x' FROM \"SELECTED\" WHERE a = s))", "may", 4),
    ] {
        let again = pair.with_new_target().await;
        again.migrate().await;
        again.target.execute(damage).await;
        let outcome = again.verify().await;
        outcome.assert_code(code);
        assert!(outcome.stderr.contains(item), "{damage}: {outcome}");
    }
}

#[tokio::test]
async fn what_a_database_has_set_for_its_sessions_changes_nothing() {
    // GIVEN settings of either database that change what is printed, how XML is read and where tables go
    for (source, target) in [(15, 15), (13, 17)] {
        let pair = Pair::new(source, target).await;
        pair.source
            .execute(
                "CREATE TABLE t (\"a\" text DEFAULT '\\x', x xml, CHECK (a <> '\\d'));
                 INSERT INTO t VALUES ('\\n', 'no document');
                 CREATE TABLE parted (id integer) PARTITION BY LIST (id);
                 CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
                 CREATE VIEW v AS SELECT a, EXISTS (SELECT 'x' FROM parted) FROM t WHERE a <> '\\'",
            )
            .await;
        let name = pair.target.text("SELECT format('%I', current_database())").await.unwrap();
        pair.target
            .execute(&format!(
                "ALTER DATABASE {name} SET quote_all_identifiers = on; ALTER DATABASE {name} SET standard_conforming_strings = off;
                 ALTER DATABASE {name} SET xmloption = document; ALTER DATABASE {name} SET default_tablespace = pg_default"
            ))
            .await;

        // WHEN it is migrated, THEN all is there and equal
        pair.migrate().await;
        pair.assert_equal(&pair.verify().await);
    }
}

#[tokio::test]
async fn where_an_extension_is_and_what_leans_on_it_is_compared() {
    // GIVEN an index that leans on an extension, and a source without one that every new database has
    let pair = Pair::filled(
        15,
        18,
        "CREATE EXTENSION citext; CREATE TABLE t (n integer, c citext); CREATE INDEX t_n ON t (n);
         ALTER INDEX t_n DEPENDS ON EXTENSION citext; DROP EXTENSION plpgsql",
    )
    .await;

    // WHEN it is migrated, THEN the index leans on it there
    pair.migrate().await;
    let leans = "SELECT count(*) FROM pg_depend WHERE objid = 't_n'::regclass AND deptype = 'x'";
    assert_eq!(pair.target.text(leans).await.as_deref(), Some("1"));

    // AND what is otherwise later is named
    for (damage, item) in [
        ("ALTER INDEX t_n NO DEPENDS ON EXTENSION citext", "t_n"),
        ("CREATE SCHEMA other; ALTER EXTENSION citext SET SCHEMA other", "extension citext"),
    ] {
        let again = pair.with_new_target().await;
        again.migrate().await;
        again.target.execute(damage).await;
        let outcome = again.verify().await;
        outcome.assert_code(4);
        assert!(outcome.stderr.contains(item), "{damage}: {outcome}");
    }
}

#[tokio::test]
async fn a_schema_that_has_the_journals_name_does_not_stay_behind_in_silence() {
    // GIVEN a schema of the user's under the name of ours
    let pair = Pair::filled(15, 15, "CREATE SCHEMA migrate_db; CREATE TABLE migrate_db.mine (id integer)").await;

    // WHEN it is to be migrated, THEN it is named with the way out, and nothing is changed
    let outcome = pair.program().run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("migrate_db.mine") && outcome.stderr.contains("RENAME"), "{outcome}");
    pair.source.execute("ALTER SCHEMA migrate_db RENAME TO ours").await;
    pair.migrate().await;
}

#[tokio::test]
async fn what_cannot_be_carried_as_it_is_is_told_before() {
    // GIVEN a table in a tablespace, and an index of a partitioned table alone
    let pair = Pair::scripted(
        15,
        15,
        "SET allow_in_place_tablespaces = on;
         CREATE TABLESPACE apart LOCATION '';
         CREATE TABLE t (id integer) TABLESPACE apart;
         CREATE TABLE h (c integer) PARTITION BY HASH (c);
         CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         CREATE INDEX alone ON ONLY h (c);",
    )
    .await;

    // WHEN it is looked at, THEN the tablespace is named
    let outcome = pair.program().arg("--dry-run").run().await;
    outcome.assert_code(0);
    assert!(outcome.stderr.contains("public.t in apart"), "{outcome}");

    // AND that index is missed where it is gone
    pair.migrate().await;
    pair.target.execute("DROP INDEX alone").await;
    pair.verify().await.assert_code(4);
}

#[tokio::test]
async fn what_is_said_of_the_database_itself_is_told_with_the_statements() {
    // GIVEN a database with settings of its own, one of them a secret of the application, and a comment
    let pair = Pair::filled(
        15,
        17,
        r#"CREATE TABLE t (id integer); CREATE EXTENSION dblink;
           DO $$ DECLARE d text := quote_ident(current_database()); BEGIN
               EXECUTE 'ALTER DATABASE ' || d || ' SET work_mem TO ''9MB''';
               EXECUTE 'ALTER DATABASE ' || d || ' SET search_path TO "Odd one", public';
               EXECUTE 'ALTER DATABASE ' || d || ' SET "app.jwt_secret" TO ''hush-hush''';
               EXECUTE 'ALTER ROLE postgres IN DATABASE ' || d || ' SET statement_timeout TO ''3min''';
               EXECUTE 'COMMENT ON DATABASE ' || d || ' IS ''of the team''''s''';
           END $$"#,
    )
    .await;
    let (role, database) = (format!("plain_{}", pair.target.name), &pair.target.name);
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT CREATE ON DATABASE {database} TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
    );
    pair.target.execute(&create).await;

    // WHEN it is looked at, THEN all statements are there that bring them over, but not the secret
    let program = pair.program_between(&pair.source.url(), &pair.target.url_as(&role, "x"));
    let outcome = program.env("LOG_FORMAT", "text").arg("--dry-run").run().await;
    outcome.assert_code(0).assert_without(&["hush"]);
    for said in [
        format!("ALTER DATABASE \"{database}\" SET \"work_mem\" TO '9MB'"),
        format!("ALTER DATABASE \"{database}\" SET \"search_path\" TO \"Odd one\", public"),
        format!("ALTER DATABASE \"{database}\" SET \"app.jwt_secret\" TO …"),
        format!("ALTER ROLE \"postgres\" IN DATABASE \"{database}\" SET \"statement_timeout\" TO '3min'"),
        format!("COMMENT ON DATABASE \"{database}\" IS …"),
        // AND extensions that this role cannot install, nor the migration with it
        "only a superuser may install dblink".into(),
    ] {
        assert!(outcome.stdout.contains(&said), "{said}: {outcome}");
    }
}

#[tokio::test]
async fn options_that_servers_set_for_themselves_are_nobodys() {
    // GIVEN columns with options that somebody has set, and majors whose servers may add one of their own
    for (source, target) in [(17, 18), (15, 17), (17, 17)] {
        let pair = Pair::filled(
            source,
            target,
            "CREATE TABLE t (a integer, b text); ALTER TABLE t ALTER b SET (n_distinct = 5); CREATE TABLE u (c integer);
             INSERT INTO t VALUES (1, 'x'); COMMENT ON TABLE t IS 'pg_attver=1'",
        )
        .await;

        // WHEN they are migrated, THEN those arrive
        pair.migrate().await;
        let options = "SELECT attoptions::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'";
        assert!(pair.target.text(options).await.is_some_and(|options| options.contains("n_distinct=5")));

        // AND are compared
        pair.target.execute("ALTER TABLE t ALTER b SET (n_distinct = 6)").await;
        pair.verify().await.assert_code(4);
    }
}
