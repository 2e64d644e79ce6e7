//! Foundations, brokers and log-ins of every kind.

use serde_json::{Value, json};
use tests::cloud_foundry::{Instance, Kind};
use tests::engines::RDS_NAME as DATABASE_HOST;

use super::{Inside, SERVICE};

const SMALL: &str = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)";

#[tokio::test]
async fn every_way_to_log_in_is_one() {
    let inside =
        Inside::with(SMALL, "postgres", |config, _| config.client = Some(("migration", "client-Pa55word"))).await;
    let nobody = inside.program_of_nobody();
    for (word, program) in [
        ("a passcode", nobody.clone().env("CF_PASSCODE", inside.foundation.passcode())),
        ("a client", nobody.clone().env("CF_CLIENT_ID", "migration").env("CF_CLIENT_SECRET", "client-Pa55word")),
        ("a refresh token", nobody.clone().env("CF_REFRESH_TOKEN", inside.foundation.refresh_token())),
    ] {
        let outcome = program.run().await;
        inside.assert_equal(&outcome);
        outcome.assert_without(&["client-Pa55word"]);
        assert_eq!(outcome.code, Some(0), "{word}: {outcome}");
    }
    let outcome = nobody.run().await;
    outcome.assert_code(2);
    assert!(outcome.stderr.contains("CF_USERNAME and CF_PASSWORD"), "{outcome}");
}

#[tokio::test]
async fn an_old_foundation_with_an_rsa_key_and_an_md5_fingerprint_is_known_by_it() {
    let inside = Inside::with(SMALL, "postgres", |config, _| {
        config.rsa_host_key = true;
        config.md5_fingerprint = true;
        config.buildpacks = vec!["staticfile_buildpack"];
    })
    .await;
    inside.assert_equal(&inside.program().run().await);
}

/// From GOV.UK's credentials to another platform's.
type Shape = fn(&Value) -> Value;

#[tokio::test]
async fn credentials_of_other_platforms_are_understood() {
    let of = |credentials: &Value, field: &str| credentials[field].clone();
    let shapes: [(&'static str, Shape); 2] = [
        // cloud.gov
        ("aws-rds", |c| {
            json!({ "uri": c["uri"], "db_name": c["name"], "host": c["host"], "port": "5432",
                                "username": c["username"], "password": c["password"] })
        }),
        // the cloud service broker
        ("csb-aws-postgresql", |c| {
            json!({ "hostname": c["host"], "port": 5432, "name": c["name"],
                                           "username": c["username"], "password": c["password"], "use_tls": true })
        }),
    ];
    for (offering, shape) in shapes {
        let inside = Inside::with(SMALL, offering, |config, credentials| {
            config.instances = vec![Instance::managed(SERVICE, offering, &shape(credentials))];
        })
        .await;
        inside.assert_equal(&inside.program().run().await);
        // Their brokers refuse words that they do not know, so none is sent.
        assert_eq!(inside.foundation.asked_parameters(), [Value::Null], "{offering}");
    }
    let inside = Inside::with(SMALL, "postgres", |config, credentials| {
        config.instances = vec![Instance::user_provided(SERVICE, &json!({ "URI": of(credentials, "uri") }))];
    })
    .await;
    inside.assert_equal(&inside.program().run().await);
    assert_eq!(inside.foundation.request_count("POST /v3/service_credential_bindings"), 0);
}

#[tokio::test]
async fn credentials_are_read_only_where_the_broker_offers_it() {
    // GIVEN a broker whose read-only credentials are another role's, and one that publishes what it takes
    let read_only = "CREATE ROLE reader_of_the_platform LOGIN PASSWORD 'read-only-Pa55word';
                     GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_of_the_platform";
    let inside = Inside::with(&format!("{SMALL}; {read_only}"), "another", |config, credentials| {
        let mut credentials = credentials.as_object().unwrap().clone();
        credentials.insert("username".into(), "reader_of_the_platform".into());
        credentials.insert("password".into(), "read-only-Pa55word".into());
        let instance = &mut config.instances[0];
        instance.read_only_credentials = Some(credentials);
        instance.kind = Kind::Managed {
            offering: "another",
            schema: Some(json!({ "type": "object", "properties": { "read_only": { "type": "boolean" } } })),
            parameters: vec!["read_only"],
        };
    })
    .await;

    // WHEN the database is migrated
    let outcome = inside.program().run().await;

    // THEN as that role, and as the other one when asked for
    inside.assert_equal(&outcome);
    outcome.assert_without(&["read-only-Pa55word"]);
    let full = inside.program().arg("--cf-full-credentials").arg("--verify").run().await;
    inside.assert_equal(&full);
    assert_eq!(inside.foundation.asked_parameters(), [json!({ "read_only": true }), Value::Null]);
}

#[tokio::test]
async fn a_broker_that_refuses_a_word_is_asked_without_it() {
    // GIVEN a broker that is called as GOV.UK's and knows no parameters
    let inside = Inside::with(SMALL, "postgres", |config, _| {
        config.instances[0].kind = Kind::Managed { offering: "postgres", schema: None, parameters: Vec::new() };
    })
    .await;

    // WHEN a key is wanted THEN it is made all the same, and the failed attempt is gone
    inside.assert_equal(&inside.program().run().await);
    assert_eq!(inside.foundation.asked_parameters(), [json!({ "read_only": true }), Value::Null]);
}

#[tokio::test]
async fn the_certificate_must_name_the_database_and_not_the_way_there() {
    // GIVEN credentials with another name of the same database, which its certificate does not have
    let inside = Inside::with(SMALL, "postgres", |config, credentials| {
        let text = credentials.to_string().replace(DATABASE_HOST, "elsewhere.internal");
        config.instances = vec![Instance::managed(SERVICE, "postgres", &serde_json::from_str(&text).unwrap())];
        let there = config.reachable[&format!("{DATABASE_HOST}:5432")];
        config.reachable.insert("elsewhere.internal:5432".into(), there);
    })
    .await;

    // WHEN it is reached through the platform THEN its certificate is not believed
    let outcome = inside.program().run().await;
    outcome.assert_code(3);
    assert!(outcome.stderr.contains("elsewhere.internal") && outcome.stderr.contains("certificate"), "{outcome}");
    inside.assert_clean(&outcome);
}
