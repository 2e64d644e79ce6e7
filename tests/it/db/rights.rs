//! Owners and privileges: left behind by default, carried and compared when asked for.

use super::pair::Pair;

/// Roles live on servers, so each test has its own, by the name of its database.
fn schema(prefix: &str) -> String {
    format!(
        "CREATE ROLE {prefix}_owner; CREATE ROLE {prefix}_reader;
         CREATE SCHEMA app AUTHORIZATION {prefix}_owner; GRANT USAGE ON SCHEMA app TO {prefix}_reader;
         CREATE TABLE app.logs (id bigserial PRIMARY KEY, text text);
         ALTER TABLE app.logs OWNER TO {prefix}_owner; GRANT SELECT ON app.logs TO {prefix}_reader WITH GRANT OPTION;
         INSERT INTO app.logs (text) SELECT 'x' FROM generate_series(1, 100);
         CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
         ALTER FUNCTION app.f() OWNER TO {prefix}_owner; REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC;
         CREATE PROCEDURE app.p(a integer, VARIADIC b text[]) LANGUAGE sql AS ''; CREATE TYPE app.span AS RANGE (subtype = float8);
         CREATE TYPE app.mood AS ENUM ('well'); ALTER TYPE app.mood OWNER TO {prefix}_owner;
         GRANT UPDATE (text) ON app.logs TO {prefix}_reader; REVOKE USAGE ON TYPE app.mood FROM PUBLIC;
         SELECT lo_from_bytea(4711, 'x'); ALTER LARGE OBJECT 4711 OWNER TO {prefix}_owner;
         GRANT SELECT ON LARGE OBJECT 4711 TO {prefix}_reader;
         ALTER DEFAULT PRIVILEGES FOR ROLE {prefix}_owner IN SCHEMA app GRANT SELECT ON TABLES TO {prefix}_reader;"
    )
}

const OWNER: &str = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'logs'";

#[tokio::test]
async fn by_default_all_belongs_to_the_role_that_connects() {
    let pair = Pair::new(13, 17).await;
    pair.source.execute(&schema(&pair.source.name)).await;
    pair.migrate().await;
    assert_eq!(pair.target.text(OWNER).await.as_deref(), Some("postgres"));
    assert_eq!(pair.target.text("SELECT relacl::text FROM pg_class WHERE relname = 'logs'").await, None);
}

#[tokio::test]
async fn asked_for_they_arrive_and_are_compared() {
    // GIVEN a target without the roles
    let pair = Pair::new(13, 17).await;
    let name = pair.source.name.clone();
    pair.source.execute(&schema(&name)).await;
    let program = pair.program().args(["--with-owner", "--with-acl"]);

    // WHEN rights are to travel, THEN the roles that are missing are named with the way to make them
    let outcome = program.run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains(&format!("CREATE ROLE \"{name}_reader\"")), "{outcome}");

    // WHEN they are there, THEN the rights are the source's
    pair.target.execute(&format!("CREATE ROLE {name}_owner; CREATE ROLE {name}_reader")).await;
    pair.assert_equal(&program.run().await);
    assert_eq!(pair.target.text(OWNER).await, Some(format!("{name}_owner")));
    for statement in [
        "SELECT relacl::text FROM pg_class WHERE relname = 'logs'",
        "SELECT proacl::text FROM pg_proc WHERE proname = 'f'",
        "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'app'",
        "SELECT defaclacl::text FROM pg_default_acl",
        "SELECT lomowner::regrole || ' ' || lomacl::text FROM pg_largeobject_metadata",
    ] {
        let there = pair.target.text(statement).await.map(|text| text.replace("arwdDxtm", "arwdDxt"));
        assert_eq!(there, pair.source.text(statement).await, "{statement}");
    }
    let verify = program.clone().arg("--verify");
    pair.assert_equal(&verify.run().await);

    // WHEN one is taken away or given, THEN that is a difference
    let verify = verify.env("LOG_FORMAT", "text");
    for (item, change, back) in [
        (
            "relation app.logs",
            "REVOKE SELECT ON app.logs FROM {}_reader",
            "GRANT SELECT ON app.logs TO {}_reader WITH GRANT OPTION",
        ),
        (
            "column app.logs.text",
            "REVOKE UPDATE (text) ON app.logs FROM {}_reader",
            "GRANT UPDATE (text) ON app.logs TO {}_reader",
        ),
        ("type app.mood", "GRANT USAGE ON TYPE app.mood TO PUBLIC", "REVOKE USAGE ON TYPE app.mood FROM PUBLIC"),
        ("type app.mood", "ALTER TYPE app.mood OWNER TO postgres", "ALTER TYPE app.mood OWNER TO {}_owner"),
        (
            "large object 4711",
            "GRANT UPDATE ON LARGE OBJECT 4711 TO PUBLIC",
            "REVOKE UPDATE ON LARGE OBJECT 4711 FROM PUBLIC",
        ),
        ("large object 4711", "ALTER LARGE OBJECT 4711 OWNER TO postgres", "ALTER LARGE OBJECT 4711 OWNER TO {}_owner"),
        (
            "objects to come app.",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {}_owner IN SCHEMA app GRANT DELETE ON TABLES TO {}_reader",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {}_owner IN SCHEMA app REVOKE DELETE ON TABLES FROM {}_reader",
        ),
    ] {
        pair.target.execute(&change.replace("{}", &name)).await;
        let outcome = verify.run().await;
        outcome.assert_code(4);
        assert!(outcome.stdout.contains(&format!("rights on {item}")), "{outcome}");
        pair.target.execute(&back.replace("{}", &name)).await;
        verify.run().await.assert_code(0);
    }
}

#[tokio::test]
async fn rights_that_an_owner_gave_up_are_given_up_last() {
    // GIVEN a source with a log that nobody may write to any more, not even its owner, an index over a function that the owner may
    // not call, and an event trigger that refuses every grant
    let pair = Pair::new(17, 18).await;
    let name = pair.source.name.clone();
    pair.source
        .execute(&format!(
            "CREATE ROLE {name}_app;
             CREATE SCHEMA app;
             CREATE FUNCTION app.f(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
             CREATE TABLE app.logs (id integer PRIMARY KEY, text text);
             INSERT INTO app.logs SELECT id, 'x' FROM generate_series(1, 100) id;
             CREATE INDEX by_f ON app.logs (app.f(id));
             REVOKE EXECUTE ON FUNCTION app.f(integer) FROM PUBLIC, postgres;
             ALTER SCHEMA app OWNER TO {name}_app; ALTER TABLE app.logs OWNER TO {name}_app;
             REVOKE INSERT, UPDATE, DELETE, TRUNCATE, SELECT ON app.logs FROM {name}_app; REVOKE ALL ON SCHEMA app FROM {name}_app;
             CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more grants'; END $$;
             CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE') EXECUTE FUNCTION refuse()"
        ))
        .await;
    pair.target.execute(&format!("CREATE ROLE {name}_app")).await;

    // WHEN it is migrated with its rights
    let program = pair.program().args(["--with-owner", "--with-acl"]);

    // THEN all of it arrives
    pair.assert_equal(&program.run().await);
    let rights = "SELECT relacl::text FROM pg_class WHERE relname = 'logs'";
    assert_eq!(pair.target.text(rights).await, pair.source.text(rights).await);
}
