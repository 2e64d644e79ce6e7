//! A source inside Cloud Foundry: which instance, who logs in, and how the database's identity is proved.

use common::settings::{SettingError, Variables};
use platform::settings::WaySettings;
use platform::{Credentials, Settings};

use super::{SourceFlags, vcap};
use crate::endpoint::Endpoint;

/// A service instance to be reached through the platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformSource {
    /// Which, where, and who asks.
    pub settings: Settings,
    /// How the way there is made.
    pub way: WaySettings,
    tls: TlsWords,
}

/// libpq's `PGSSLMODE` and `PGSSLROOTCERT`, for credentials that say nothing of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsWords {
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
}

impl PlatformSource {
    /// The endpoint that the instance's credentials describe.
    pub fn endpoint(&self, credentials: &Credentials) -> Result<Endpoint, SettingError> {
        vcap::of_credentials(&credentials.values, &credentials.origin, &self.tls)
    }
}

/// The source in the platform; `None` when nothing says that it is there.
pub(super) fn source(flags: &SourceFlags, variables: &Variables) -> Result<Option<PlatformSource>, SettingError> {
    let Some(service) = &flags.platform.cf_service else { return Ok(None) };
    let Some(settings) = Settings::resolve(&flags.platform, service, variables)? else { return Ok(None) };
    let get = |name: &str| variables.get(name).map(|value| value.map(str::to_owned));
    let tls = TlsWords { sslmode: get("PGSSLMODE")?, sslrootcert: get("PGSSLROOTCERT")? };
    Ok(Some(PlatformSource { settings, way: flags.way.clone().into(), tls }))
}
