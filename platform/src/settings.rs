//! Which foundation, as whom, and which service instance: flags, variables and file brought together.
//!
//! Who logs in comes from variables, or from files that `NAME_FILE` variables name; the first of these that is complete:
//! `CF_USERNAME` with `CF_PASSWORD`, `CF_PASSCODE`, `CF_CLIENT_ID` with `CF_CLIENT_SECRET`, `CF_REFRESH_TOKEN`.

use std::fmt;
use std::path::PathBuf;

use common::secret::Secret;
use common::settings::{SettingError, Variables};

use crate::args::{PlatformArgs, WayArgs};

/// Where the service that these programs were written for lived; the shell images had both built in.
const API_DEFAULT: &str = "api.london.cloud.service.gov.uk";
const ORGANISATION_DEFAULT: &str = "dluhc-core";

/// Everything needed to find a service instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Base URL of the API, without a slash at its end.
    pub api: String,
    /// Name of the organisation.
    pub organisation: String,
    /// Name of the space.
    pub space: String,
    /// Name of the service instance.
    pub service: String,
    /// Who logs in.
    pub login: Login,
    /// Further certificate authorities for the API, PEM.
    pub ca_cert: Option<PathBuf>,
}

/// How a way through an application is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaySettings {
    /// The application to go through; `None` makes one.
    pub via_app: Option<String>,
    /// SSH sessions at most, at least 1.
    pub sessions_max: usize,
    /// Ask for credentials that can only read, where the broker offers them.
    pub read_only: bool,
}

impl From<WayArgs> for WaySettings {
    fn from(args: WayArgs) -> Self {
        Self {
            via_app: args.via_app,
            sessions_max: usize::from(args.cf_ssh_sessions),
            read_only: !args.cf_full_credentials,
        }
    }
}

/// Who logs in. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A user.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A user with a code that `LOGIN/passcode` gave; good for one log-in.
    Passcode(Secret),
    /// A client of UAA's.
    Client {
        /// Its name.
        id: String,
        /// Its secret.
        secret: Secret,
    },
    /// Whoever `cf login` logged in.
    RefreshToken(Secret),
}

impl fmt::Display for Login {
    /// As messages name it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(formatter, "the user {user}"),
            Self::Passcode(_) => formatter.write_str("the user of CF_PASSCODE"),
            Self::Client { id, .. } => write!(formatter, "the client {id}"),
            Self::RefreshToken(_) => formatter.write_str("the user of CF_REFRESH_TOKEN"),
        }
    }
}

impl Login {
    /// The variables that hold it, for messages.
    pub const fn variables(&self) -> &'static str {
        match self {
            Self::Password { .. } => "CF_USERNAME and CF_PASSWORD",
            Self::Passcode(_) => "CF_PASSCODE",
            Self::Client { .. } => "CF_CLIENT_ID and CF_CLIENT_SECRET",
            Self::RefreshToken(_) => "CF_REFRESH_TOKEN",
        }
    }

    /// The first way to log in that the variables hold; `None` when they hold none.
    pub fn of(variables: &Variables) -> Result<Option<Self>, SettingError> {
        if let Some((user, password)) = pair(variables, "CF_USERNAME", "CF_PASSWORD")? {
            return Ok(Some(Self::Password { user: user.expose().to_owned(), password }));
        }
        if let Some(passcode) = variables.secret("CF_PASSCODE")? {
            return Ok(Some(Self::Passcode(passcode)));
        }
        if let Some((id, secret)) = pair(variables, "CF_CLIENT_ID", "CF_CLIENT_SECRET")? {
            return Ok(Some(Self::Client { id: id.expose().to_owned(), secret }));
        }
        Ok(variables.secret("CF_REFRESH_TOKEN")?.map(Self::RefreshToken))
    }
}

/// Both halves or neither.
fn pair(variables: &Variables, name: &str, other: &str) -> Result<Option<(Secret, Secret)>, SettingError> {
    let missing = |name: &str, other: &str| SettingError::Missing {
        what: format!("the variable {name}"),
        how: format!("set it beside {other}: they log in together"),
    };
    match (variables.secret(name)?, variables.secret(other)?) {
        (Some(one), Some(two)) => Ok(Some((one, two))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(other, name)),
        (None, Some(_)) => Err(missing(name, other)),
    }
}

impl Settings {
    /// The settings for the instance `service`, completed with the defaults. `None` when nothing says that the platform
    /// is to be asked: neither a log-in nor an address.
    pub fn resolve(args: &PlatformArgs, service: &str, variables: &Variables) -> Result<Option<Self>, SettingError> {
        let login = Login::of(variables)?;
        if login.is_none() && args.cf_api.is_none() {
            return Ok(None);
        }
        let login = login.ok_or_else(|| SettingError::Missing {
            what: format!("who logs in at {}", args.cf_api.as_deref().unwrap_or(API_DEFAULT)),
            how: "set CF_USERNAME and CF_PASSWORD; or CF_PASSCODE, or CF_CLIENT_ID and CF_CLIENT_SECRET, or CF_REFRESH_TOKEN"
                .into(),
        })?;
        let api = base_url(args.cf_api.as_deref().unwrap_or(API_DEFAULT))?;
        let default = || (api == format!("https://{API_DEFAULT}")).then(|| ORGANISATION_DEFAULT.to_owned());
        let missing = |what: &str, variable: &str| SettingError::Missing {
            what: format!("the {what} of the service `{service}`"),
            how: format!("set {variable}; `cf target` shows the names"),
        };
        let organisation = args.cf_org.clone().or_else(default).ok_or_else(|| missing("organisation", "CF_ORG"))?;
        let space = args.cf_space.clone().ok_or_else(|| missing("space", "CF_SPACE"))?;
        let ca_cert = args.cf_ca_cert.clone();
        Ok(Some(Self { api, organisation, space, service: service.into(), login, ca_cert }))
    }

    /// How messages and reports call the place.
    pub fn place(&self) -> String {
        format!("service {} in {}/{}, {}", self.service, self.organisation, self.space, self.host())
    }

    /// The API's address without its scheme.
    pub fn host(&self) -> &str {
        self.api.strip_prefix("https://").unwrap_or(&self.api)
    }
}

/// `https://HOST[:PORT]`; a password must not travel in the clear.
fn base_url(address: &str) -> Result<String, SettingError> {
    let invalid = |reason: &str| SettingError::Invalid {
        name: "CF_API".into(),
        reason: reason.into(),
        how: Some(format!("give the host, for example {API_DEFAULT}; `cf api` shows it")),
    };
    let host = address.trim().trim_end_matches('/');
    let host = host.strip_prefix("https://").unwrap_or(host);
    if host.starts_with("http://") {
        return Err(invalid("it begins with http://, and a password must not travel in the clear"));
    }
    if host.is_empty() || host.contains(['/', ' ', '@', '?', '#']) {
        return Err(invalid("it is not the address of a host"));
    }
    Ok(format!("https://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: [(&str, &str); 2] = [("CF_USERNAME", "jane"), ("CF_PASSWORD", "hunter2")];

    fn args(api: Option<&str>, org: Option<&str>, space: Option<&str>) -> PlatformArgs {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        PlatformArgs { cf_api: owned(api), cf_org: owned(org), cf_space: owned(space), ..PlatformArgs::default() }
    }

    #[test]
    fn the_variables_of_the_shell_image_are_enough() {
        let settings = Settings::resolve(&args(None, None, Some("production")), "db", &Variables::from(USER));
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.place(), "service db in dluhc-core/production, api.london.cloud.service.gov.uk");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn without_a_log_in_or_an_address_the_platform_is_not_asked() {
        let nobody = Variables::default();
        assert_eq!(Settings::resolve(&args(None, Some("o"), Some("s")), "db", &nobody).unwrap(), None);
        let error = Settings::resolve(&args(Some("api.example"), Some("o"), Some("s")), "db", &nobody).unwrap_err();
        assert_eq!(error.to_string(), "who logs in at api.example is not given");
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = |args: &PlatformArgs| Settings::resolve(args, "db", &Variables::from(USER)).unwrap_err().to_string();
        assert_eq!(
            text(&args(Some("https://api.example/"), None, Some("s"))),
            "the organisation of the service `db` is not given"
        );
        assert_eq!(text(&args(Some("api.example"), Some("o"), None)), "the space of the service `db` is not given");
        assert!(text(&args(Some("http://api.example"), Some("o"), Some("s"))).contains("in the clear"));
        let half = Login::of(&Variables::from([("CF_USERNAME", "jane")])).unwrap_err();
        assert_eq!(half.to_string(), "the variable CF_PASSWORD is not given");
    }

    #[test]
    fn the_first_way_to_log_in_wins() {
        let login = |variables: &[(&str, &str)]| {
            let mut all = [("A", "a"), ("B", "b"), ("C", "c"), ("D", "d")];
            all.iter_mut().zip(variables).for_each(|(slot, pair)| *slot = *pair);
            Login::of(&Variables::from(all)).unwrap()
        };
        assert_eq!(login(&[("CF_PASSCODE", "x"), ("CF_REFRESH_TOKEN", "y")]), Some(Login::Passcode(Secret::new("x"))));
        assert!(matches!(login(&[("CF_PASSCODE", "x"), USER[0], USER[1]]), Some(Login::Password { .. })));
        assert!(matches!(
            login(&[("CF_CLIENT_ID", "x"), ("CF_CLIENT_SECRET", "y"), ("CF_REFRESH_TOKEN", "z")]),
            Some(Login::Client { .. })
        ));
        assert_eq!(login(&[]), None);
    }
}
