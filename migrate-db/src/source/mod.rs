//! Where the source database comes from: the first of the contract's places that says something.
//!
//! `--source`/`SOURCE_DATABASE_URL`, then `CF_SERVICE` looked up in `VCAP_SERVICES`, then libpq's `PG*` variables (what
//! `cf conduit SERVICE -- migrate-db` sets), then the platform's API. No I/O but reading the files that secrets may be in.

mod libpq;
mod platform;
mod vcap;

use common::settings::{SettingError, Variables};

use ::platform::args::{PlatformArgs, WayArgs};

use crate::endpoint::{Endpoint, Parts};

pub use self::platform::PlatformSource;

/// Where rows are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// At a server that can be reached.
    Endpoint(Box<Endpoint>),
    /// Inside a platform, which is asked for credentials and a way.
    Platform(Box<PlatformSource>),
}

/// What the flags say about the source.
#[derive(Debug, Clone, Default)]
pub struct SourceFlags {
    /// `--source`, as typed.
    pub url: Option<String>,
    /// The variable that holds the source's URL, from the configuration file.
    pub url_variable: Option<String>,
    /// `CF_*`: which service instance, and where it is. The flags, completed from the configuration file.
    pub platform: PlatformArgs,
    /// How a way into the platform is made.
    pub way: WayArgs,
}

/// Finds out where the source is.
pub fn resolve(flags: &SourceFlags, variables: &Variables) -> Result<Origin, SettingError> {
    if let Some(endpoint) = outside(flags, variables)? {
        return Ok(Origin::Endpoint(Box::new(endpoint)));
    }
    if let Some(source) = platform::source(flags, variables)? {
        return Ok(Origin::Platform(Box::new(source)));
    }
    let how = match &flags.platform.cf_service {
        Some(service) => format!(
            "set CF_USERNAME and CF_PASSWORD besides, to reach the service `{service}` through the platform; or run it where VCAP_SERVICES names it; or set SOURCE_DATABASE_URL"
        ),
        None => "set SOURCE_DATABASE_URL; or CF_SERVICE with CF_SPACE, CF_USERNAME and CF_PASSWORD, to reach it through the platform".into(),
    };
    Err(SettingError::Missing { what: "the source database".into(), how })
}

/// The endpoint that needs no platform, when there is one.
fn outside(flags: &SourceFlags, variables: &Variables) -> Result<Option<Endpoint>, SettingError> {
    if let Some(url) = &flags.url {
        return endpoint_of_flag("--source", "SOURCE_DATABASE_URL", url).map(Some);
    }
    let url_variable = flags.url_variable.as_deref().unwrap_or("SOURCE_DATABASE_URL");
    if let Some(url) = variables.secret(url_variable)? {
        return Endpoint::parse(url.expose(), url_variable).map(Some);
    }
    if let Some(service) = &flags.platform.cf_service
        && let Some(services) = variables.get("VCAP_SERVICES")?
    {
        return vcap::endpoint(services, service).map(Some);
    }
    libpq::endpoint(variables)
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
        match resolve(flags, variables).unwrap() {
            Origin::Endpoint(endpoint) => endpoint.host,
            Origin::Platform(source) => source.settings.host().to_owned(),
        }
    }

    #[test]
    fn the_first_place_wins() {
        let platform = PlatformArgs {
            cf_service: Some("core-postgres".into()),
            cf_space: Some("production".into()),
            ..PlatformArgs::default()
        };
        let service = SourceFlags { platform, ..SourceFlags::default() };
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
        let user = [("CF_USERNAME", "jane"), ("CF_PASSWORD", "p")];
        assert_eq!(host(&service, &Variables::from(user)), "api.london.cloud.service.gov.uk");
        assert_eq!(host(&service, &Variables::from([user[0], user[1], all[2], all[3], all[4]])), "pg.example");
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
