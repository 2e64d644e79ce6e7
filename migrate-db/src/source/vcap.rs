//! Credentials of a database in `VCAP_SERVICES`: by the instance's name, in any of the shapes that platforms use.
//!
//! GOV.UK `PaaS` (`postgres`), cloud.gov (`aws-rds`), the cloud service broker (`csb-aws-postgresql`) and user-provided
//! services differ in the names of the fields; the aliases are those that the conduit plugin knows, case-blind.

use common::secret::Secret;
use common::settings::SettingError;
use serde_json::{Map, Value};

use super::platform::TlsWords;
use crate::endpoint::{Endpoint, Parts};

/// The endpoint of the service instance called `service`.
pub(super) fn endpoint(services: &str, service: &str) -> Result<Endpoint, SettingError> {
    let origin = common::vcap::origin(service);
    of_credentials(&common::vcap::credentials(services, service)?, &origin, &TlsWords::default())
}

/// The endpoint that `credentials` describe. `words` fill what they leave open.
pub(super) fn of_credentials(
    credentials: &Map<String, Value>,
    origin: &str,
    words: &TlsWords,
) -> Result<Endpoint, SettingError> {
    let mut parts = parts(credentials, origin)?;
    parts.sslmode = parts.sslmode.or_else(|| words.sslmode.clone());
    parts.sslrootcert = parts.sslrootcert.or_else(|| words.sslrootcert.clone());
    parts.build(origin)
}

/// The split fields first: a password may break the URI. The URI fills what they leave open, and says `sslmode`.
fn parts(credentials: &Map<String, Value>, origin: &str) -> Result<Parts, SettingError> {
    let field = |aliases: &[&str]| {
        credentials.iter().find(|(name, _)| aliases.contains(&name.to_ascii_lowercase().as_str())).and_then(
            |(_, value)| match value {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            },
        )
    };
    let split = Parts {
        host: field(&["host", "hostname"]),
        port: field(&["port"]),
        user: field(&["user", "username"]),
        password: field(&["password", "passwd", "pwd"]).map(Secret::new),
        database: field(&["database", "db", "db_name", "dbname", "name"]),
        ..Parts::default()
    };
    let complete = split.host.is_some() && split.user.is_some() && split.password.is_some() && split.database.is_some();
    let uri = match field(&["uri", "url"]).map(|uri| Parts::parse(&uri, origin)) {
        Some(Ok(parts)) => parts,
        Some(Err(error)) if !complete => return Err(error),
        _ => Parts::default(),
    };
    Ok(Parts {
        host: split.host.or(uri.host),
        port: split.port.or(uri.port),
        user: split.user.or(uri.user),
        password: split.password.or(uri.password),
        database: split.database.or(uri.database),
        ..uri
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::SslMode;

    fn service(kind: &str, credentials: &str) -> Result<Endpoint, SettingError> {
        let services = format!(
            r#"{{"redis": [{{"instance_name": "other", "credentials": {{"host": "redis"}}}}],
                 "{kind}": [{{"instance_name": "decoy", "credentials": {{"host": "decoy"}}}},
                            {{"instance_name": "core", "credentials": {credentials}}}]}}"#
        );
        endpoint(&services, "core")
    }

    #[test]
    fn the_shapes_of_the_platforms_are_read() {
        for (kind, credentials) in [
            (
                "postgres",
                r#"{"host": "h", "port": 5432, "name": "d", "username": "u", "password": "p/@:", "uri": "postgres://u:p/@:@h:5432/d", "jdbcuri": "jdbc:x"}"#,
            ),
            (
                "aws-rds",
                r#"{"uri": "postgres://u:p%2F%40%3A@h:5432/d", "db_name": "d", "host": "h", "port": "5432", "username": "u", "password": "p/@:"}"#,
            ),
            (
                "csb-aws-postgresql",
                r#"{"hostname": "h", "port": 5432, "name": "d", "username": "u", "password": "p/@:", "uri": "", "jdbcUrl": "x"}"#,
            ),
            ("user-provided", r#"{"URI": "postgresql://u:p%2F%40%3A@h/d"}"#),
            ("user-provided", r#"{"Host": "h", "User": "u", "PWD": "p/@:", "Database": "d"}"#),
        ] {
            let endpoint = service(kind, credentials).unwrap();
            assert_eq!(
                (endpoint.host.as_str(), endpoint.port, endpoint.user.as_str(), endpoint.database.as_str()),
                ("h", 5432, "u", "d")
            );
            assert_eq!(endpoint.password.unwrap().expose(), "p/@:", "{kind}");
        }
    }

    #[test]
    fn tls_switched_off_by_the_platform_is_seen() {
        let endpoint = service(
            "postgres",
            r#"{"host": "h", "name": "d", "username": "u", "password": "p", "uri": "postgres://u:p@h/d?sslmode=disable"}"#,
        );
        assert_eq!(endpoint.unwrap().tls.mode, SslMode::Disable);
    }
}
