//! Where the source database comes from: the first of the contract's places that says something.
//!
//! `--source`/`SOURCE_DATABASE_URL`, then `CF_SERVICE` looked up in `VCAP_SERVICES`, then libpq's `PG*` variables (what
//! `cf conduit SERVICE -- migrate-db` sets). No I/O but reading the files that secrets may be in.

mod libpq;
mod vcap;

use common::settings::{SettingError, Variables};

use crate::endpoint::{Endpoint, Parts};

/// What the flags say about the source.
#[derive(Debug, Clone, Default)]
pub struct SourceFlags {
    /// `--source`, as typed.
    pub url: Option<String>,
    /// The variable that holds the source's URL, from the configuration file.
    pub url_variable: Option<String>,
    /// `--cf-service` / `CF_SERVICE`.
    pub service: Option<String>,
}

/// Finds the source's endpoint.
pub fn resolve(flags: &SourceFlags, variables: &Variables) -> Result<Endpoint, SettingError> {
    if let Some(url) = &flags.url {
        return endpoint_of_flag("--source", "SOURCE_DATABASE_URL", url);
    }
    let url_variable = flags.url_variable.as_deref().unwrap_or("SOURCE_DATABASE_URL");
    if let Some(url) = variables.secret(url_variable)? {
        return Endpoint::parse(url.expose(), url_variable);
    }
    if let Some(service) = &flags.service
        && let Some(services) = variables.get("VCAP_SERVICES")?
    {
        return vcap::endpoint(services, service);
    }
    if let Some(endpoint) = libpq::endpoint(variables)? {
        return Ok(endpoint);
    }
    let how = match &flags.service {
        Some(service) => format!(
            "run it where VCAP_SERVICES names the service `{service}`, run it through `cf conduit {service} -- migrate-db`, or set SOURCE_DATABASE_URL"
        ),
        None => "set SOURCE_DATABASE_URL, or CF_SERVICE where VCAP_SERVICES names the service, or run it through `cf conduit SERVICE -- migrate-db`".into(),
    };
    Err(SettingError::Missing { what: "the source database".into(), how })
}

/// An endpoint typed on the command line, where every user of the machine can read it: without a password.
pub fn endpoint_of_flag(flag: &str, variable: &str, url: &str) -> Result<Endpoint, SettingError> {
    let parts = Parts::parse(url, flag)?;
    if parts.has_password() {
        return Err(SettingError::Invalid {
            name: flag.into(),
            reason: "it holds a password, and a command line can be read by everyone on the machine".into(),
            how: Some(format!("put the URL into the variable {variable}, or a file that {variable}_FILE names")),
        });
    }
    parts.build(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VCAP: &str = r#"{"postgres": [{"instance_name": "core-postgres", "name": "core-postgres",
        "credentials": {"host": "vcap.example", "port": 5432, "name": "core", "username": "u", "password": "p",
                        "uri": "postgres://u:p@vcap.example:5432/core"}}]}"#;

    fn host(flags: &SourceFlags, variables: &Variables) -> String {
        resolve(flags, variables).unwrap().host
    }

    #[test]
    fn the_first_place_wins() {
        let service = SourceFlags { service: Some("core-postgres".into()), ..SourceFlags::default() };
        let all = [
            ("SOURCE_DATABASE_URL", "postgres://u:p@url.example/d"),
            ("VCAP_SERVICES", VCAP),
            ("PGHOST", "pg.example"),
            ("PGUSER", "u"),
            ("PGDATABASE", "d"),
        ];
        let flag = SourceFlags { url: Some("postgres://u@flag.example/d".into()), ..service.clone() };
        assert_eq!(host(&flag, &Variables::from(all)), "flag.example");
        assert_eq!(host(&service, &Variables::from(all)), "url.example");
        assert_eq!(host(&service, &Variables::from([all[1], all[2], all[3], all[4]])), "vcap.example");
        assert_eq!(host(&service, &Variables::from([all[2], all[3], all[4]])), "pg.example");
        assert_eq!(host(&SourceFlags::default(), &Variables::from([all[1], all[2], all[3], all[4]])), "pg.example");
        let error = resolve(&service, &Variables::default()).unwrap_err();
        assert_eq!(error.to_string(), "the source database is not given");
    }

    #[test]
    fn a_password_in_a_flag_is_refused_without_showing_it() {
        let flags = SourceFlags { url: Some("postgres://u:hunter2@h/d".into()), ..SourceFlags::default() };
        let error = resolve(&flags, &Variables::default()).unwrap_err().to_string();
        assert!(error.contains("holds a password") && !error.contains("hunter2"), "{error}");
    }
}
