//! The flags and variables that say which foundation, organisation, space and service instance; shared by the programs.

#![expect(clippy::doc_markdown, reason = "these comments are the text of --help")]

use std::path::PathBuf;

use clap::Args;

/// What the command line says of the platform. Who logs in is said in variables only, see [`crate::settings`].
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud Foundry")]
pub struct PlatformArgs {
    /// Address of the platform's API [default: api.london.cloud.service.gov.uk]
    #[arg(long, env = "CF_API", value_name = "HOST")]
    pub cf_api: Option<String>,

    /// The organisation [default: dluhc-core, at the default CF_API]
    #[arg(long, env = "CF_ORG", value_name = "NAME")]
    pub cf_org: Option<String>,

    /// The space that the service instance is in; named in the report
    #[arg(long, env = "CF_SPACE", value_name = "NAME")]
    pub cf_space: Option<String>,

    /// The service instance that is the source
    #[arg(long, env = "CF_SERVICE", value_name = "NAME")]
    pub cf_service: Option<String>,

    /// A file with further certificate authorities for the platform's API, PEM
    #[arg(long, env = "CF_CA_CERT", value_name = "FILE")]
    pub cf_ca_cert: Option<PathBuf>,
}

/// What only a source behind an application's SSH needs besides.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cloud Foundry")]
pub struct WayArgs {
    /// Go through the SSH of this running application, instead of one that is made for the run and deleted after it
    #[arg(long, env = "CF_VIA_APP", value_name = "NAME")]
    pub via_app: Option<String>,

    /// SSH sessions that share the connections to the source
    #[arg(long, env = "CF_SSH_SESSIONS", value_name = "N", default_value = "8",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub cf_ssh_sessions: u16,

    /// Take full credentials, also where the broker offers credentials that can only read
    #[arg(long, env = "CF_FULL_CREDENTIALS", value_parser = common::settings::yes_or_no)]
    pub cf_full_credentials: bool,
}

impl Default for WayArgs {
    fn default() -> Self {
        Self { via_app: None, cf_ssh_sessions: 8, cf_full_credentials: false }
    }
}
