//! The settings of `publish-images`: flag, then variable, then file, then default.

use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use common::aws::{REGION_DEFAULT, RequestFailure, SideOptions};
use common::ecr::Registry;
use common::infrastructure::{Infrastructure, Registries};
use common::secret::Secret;
use common::settings::{LogFormat, SettingError, Variables};
use tokio_util::sync::CancellationToken;

use crate::args::{Args, Command};
use crate::error::Error;

/// The file that is read when none is named and it exists.
const FILE_DEFAULT: &str = "migration.toml";

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A run.
    Run(Box<Config>),
    /// Help, the version or a complaint of clap's.
    Show(clap::Error),
}

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the registries are reached: as whoever the process is.
    pub side: SideOptions,
    /// The names of the repositories and the account that holds them.
    pub registries: Registries,
    /// What to do.
    pub command: Command,
    /// The role to assume for the registries.
    pub assume_role: Option<String>,
    /// The address of the registry, where it is not the one that ECR names.
    pub registry_url: Option<String>,
    /// How long a registry may be away in the middle of a push.
    pub patience: Duration,
    /// The user of the registry that is mirrored.
    pub mirror_user: Option<(String, Secret)>,
    /// Time between progress lines.
    pub progress_interval: Duration,
    /// How the result is written.
    pub log_format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
}

impl Config {
    /// Reads the process' command line and environment.
    pub fn of_process() -> Result<Request, Error> {
        let variables = Variables::of_process();
        let command = Args::command();
        variables.refuse_empty(&command)?;
        command.get_subcommands().try_for_each(|command| variables.refuse_empty(command))?;
        match Args::try_parse() {
            Ok(args) => Self::resolve(args, &variables).map(|config| Request::Run(Box::new(config))),
            Err(shown) => Ok(Request::Show(shown)),
        }
    }

    /// Completes `args` from the file and from the variables that hold secrets.
    pub fn resolve(args: Args, variables: &Variables) -> Result<Self, Error> {
        let estate = match &args.config {
            Some(path) => Some(Infrastructure::load(path)?),
            None => Infrastructure::load_if_present(Path::new(FILE_DEFAULT))?,
        };
        let region = args.region.or_else(|| estate.as_ref().map(|estate| estate.region.clone()));
        let mut registries = estate.and_then(|estate| estate.registries).unwrap_or_default();
        if let Some(account) = args.registry_id {
            registries.account = Some(account_number(account)?);
        }
        if let Some(role) = &args.assume_role {
            role_name(role)?;
        }
        Ok(Self {
            side: SideOptions::of_process(args.endpoint_url, Some(region.unwrap_or_else(|| REGION_DEFAULT.into()))),
            registries,
            command: args.command,
            assume_role: args.assume_role,
            registry_url: args.registry_url,
            patience: Duration::from_secs(args.patience),
            mirror_user: mirror_user(variables)?,
            progress_interval: Duration::from_secs(args.progress_interval),
            log_format: args.log_format,
            verbose: args.verbose,
        })
    }
}

impl Config {
    /// The control plane of the registries.
    pub async fn registry(&self, stop: &CancellationToken) -> Result<Registry, Error> {
        let account = self.registries.account.clone();
        Ok(Registry::new(&self.side, account, self.assume_role.as_deref(), stop.clone()).await?)
    }

    /// Makes an error of a request to the control plane that failed.
    pub fn request_failed(
        &self,
        action: &'static str,
        repository: &str,
    ) -> impl FnOnce(RequestFailure) -> Error + use<> {
        let (repository, region) = (repository.to_owned(), self.side.region.clone());
        move |source| Error::Request { action, repository, region, source: Box::new(source) }
    }
}

fn mirror_user(variables: &Variables) -> Result<Option<(String, Secret)>, SettingError> {
    let (name, password) = (variables.get("MIRROR_USERNAME")?, variables.secret("MIRROR_PASSWORD")?);
    match (name, password) {
        (None, None) => Ok(None),
        (Some(name), Some(password)) => Ok(Some((name.to_owned(), password))),
        _ => Err(SettingError::Missing {
            what: "one half of the user of the registry to mirror".into(),
            how: "give both MIRROR_USERNAME and MIRROR_PASSWORD (or MIRROR_PASSWORD_FILE), or neither".into(),
        }),
    }
}

fn role_name(role: &str) -> Result<(), SettingError> {
    if role.starts_with("arn:") && role.contains(":role/") {
        return Ok(());
    }
    Err(SettingError::Invalid {
        name: format!("--assume-role `{role}`"),
        reason: "a role is named by its ARN".into(),
        how: Some("write arn:aws:iam::ACCOUNT:role/NAME".into()),
    })
}

fn account_number(account: String) -> Result<String, SettingError> {
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(account);
    }
    Err(SettingError::Invalid {
        name: format!("--registry-id `{account}`"),
        reason: "the number of an AWS account has 12 digits".into(),
        how: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(arguments: &[&str]) -> Result<Config, Error> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../migration.toml");
        let fixed = ["publish-images", "status", "--config", file];
        Config::resolve(Args::try_parse_from(fixed.iter().chain(arguments)).unwrap(), &Variables::default())
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        assert_eq!(resolved(&[]).unwrap().side.region, "eu-west-2");
        let config = resolved(&["--region", "eu-west-1", "--registry-id", "123456789012"]).unwrap();
        assert_eq!(config.side.region, "eu-west-1");
        assert_eq!(config.registries.account.as_deref(), Some("123456789012"));
        assert_eq!(config.registries.db_migration, "db-migration");
    }

    #[test]
    fn a_role_is_an_arn_and_a_user_has_a_password() {
        let error = resolved(&["--assume-role", "publisher"]).unwrap_err();
        assert!(error.to_string().contains("named by its ARN"), "{error}");
        assert!(resolved(&["--assume-role", "arn:aws:iam::123456789012:role/publisher"]).is_ok());
        assert!(mirror_user(&Variables::from([("MIRROR_USERNAME", "reader")])).is_err());
        let user = mirror_user(&Variables::from([("MIRROR_USERNAME", "reader"), ("MIRROR_PASSWORD", "hunter2")]));
        assert!(!format!("{user:?}").contains("hunter2"));
    }

    #[test]
    fn a_number_that_is_no_account_is_refused() {
        let error = resolved(&["--registry-id", "12345"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--registry-id `12345` is not usable: the number of an AWS account has 12 digits"
        );
    }
}
