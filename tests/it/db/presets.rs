//! What a platform planted is recognised, left behind and reported; what only looks like it is carried.

use super::pair::Pair;

/// What GOV.UK `PaaS`'s broker installs in every tenant's database, with its roles (`paas-rds-broker`, shortened where it
/// does not matter), and an application's own event trigger beside it.
fn govuk_paas(manager: &str) -> String {
    format!(
        r#"
        CREATE ROLE {manager};
        CREATE TABLE logs (id bigserial PRIMARY KEY, text text);
        INSERT INTO logs (text) SELECT 'x' FROM generate_series(1, 10);
        CREATE FUNCTION reassign_owned() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF pg_has_role(current_user, '{manager}', 'member') THEN
                EXECUTE 'REASSIGN OWNED BY "' || current_user || '" TO "{manager}"';
            END IF;
        END $$;
        CREATE FUNCTION make_readable_generic() RETURNS void LANGUAGE plpgsql AS $$
        BEGIN EXECUTE 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{manager}"'; END $$;
        CREATE FUNCTION make_readable() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM public.make_readable_generic(); END $$;
        CREATE FUNCTION forbid_ddl_reader() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF pg_has_role(current_user, '{manager}', 'member') AND NOT pg_has_role(current_user, '{manager}', 'usage')
            THEN RAISE EXCEPTION 'no DDL for readers'; END IF;
        END $$;
        COMMENT ON FUNCTION make_readable() IS 'of the broker';
        CREATE FUNCTION own_audit() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
        CREATE EVENT TRIGGER reassign_owned ON ddl_command_end EXECUTE PROCEDURE reassign_owned();
        CREATE EVENT TRIGGER make_readable ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE SCHEMA')
            EXECUTE PROCEDURE make_readable();
        CREATE EVENT TRIGGER forbid_ddl_reader ON ddl_command_start EXECUTE PROCEDURE forbid_ddl_reader();
        COMMENT ON EVENT TRIGGER make_readable IS 'of the broker';
        CREATE EVENT TRIGGER own_audit ON ddl_command_end EXECUTE PROCEDURE own_audit();"#
    )
}

const TRIGGERS: &str = "SELECT string_agg(evtname, ' ' ORDER BY evtname) FROM pg_event_trigger";
const FUNCTIONS: &str =
    "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace";

#[tokio::test]
async fn after_govuk_paas_an_ordinary_role_may_change_the_schema() {
    // GIVEN a source as the platform left it, on another server than the target, which lacks the platform's roles
    let pair = Pair::new(13, 17).await;
    let manager = format!("{}_manager", pair.source.name);
    pair.source.execute(&govuk_paas(&manager)).await;

    // WHEN it is migrated by a role that could create event triggers
    let outcome = pair.program().env("LOG_FORMAT", "text").run().await;

    // THEN the platform's objects are left behind and named; the application's own is there
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("event trigger make_readable"), "{outcome}");
    assert!(outcome.stdout.contains("GOV.UK PaaS"), "{outcome}");
    assert_eq!(pair.target.text(TRIGGERS).await.as_deref(), Some("own_audit"));
    assert_eq!(pair.target.text(FUNCTIONS).await.as_deref(), Some("own_audit"));
    pair.assert_equal(&pair.verify().await);

    // AND their owners and privileges are missed by nobody
    let rights = pair.program().args(["--verify", "--with-owner", "--with-acl"]).env("LOG_FORMAT", "text").run().await;
    rights.assert_code(0);

    // AND an ordinary role of the application may run its next migration
    let role = format!("app_{}", pair.target.name);
    let grant = format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO {role}");
    pair.target.execute(&grant).await;
    pair.target
        .execute(&format!(
            "SET ROLE {role}; CREATE TABLE next_release (id integer); ALTER TABLE next_release ADD b text"
        ))
        .await;
}

#[tokio::test]
async fn without_a_preset_everything_is_carried() {
    let pair = Pair::new(17, 17).await;
    let manager = format!("{}_manager", pair.source.name);
    pair.source.execute(&govuk_paas(&manager)).await;
    pair.assert_equal(&pair.program().args(["--preset", "none"]).run().await);
    let all = "forbid_ddl_reader make_readable own_audit reassign_owned";
    assert_eq!(pair.target.text(TRIGGERS).await.as_deref(), Some(all));
}

#[tokio::test]
async fn what_heroku_keeps_in_a_schema_of_its_own_stays_there() {
    let pair = Pair::filled(
        17,
        17,
        "CREATE SCHEMA _heroku; CREATE SCHEMA heroku_ext; CREATE EXTENSION citext SCHEMA heroku_ext;
         CREATE FUNCTION _heroku.create_ext() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
         CREATE TABLE _heroku.state (id integer);
         CREATE EVENT TRIGGER log_create_ext ON ddl_command_end EXECUTE FUNCTION _heroku.create_ext();
         CREATE TABLE people (id serial PRIMARY KEY, name heroku_ext.citext);
         INSERT INTO people (name) VALUES ('Ada');",
    )
    .await;
    pair.migrate().await;
    assert_eq!(pair.target.text("SELECT to_regnamespace('_heroku')").await, None);
    assert_eq!(pair.target.text(TRIGGERS).await, None);
    assert_eq!(
        pair.target.text("SELECT count(*) FROM people WHERE name OPERATOR(heroku_ext.=) 'ADA'").await.as_deref(),
        Some("1")
    );
    pair.assert_equal(&pair.verify().await);
}
