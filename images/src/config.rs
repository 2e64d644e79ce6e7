//! The settings of `publish-images`: flag, then variable, then file, then default.

use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use common::aws::{REGION_DEFAULT, SideOptions};
use common::infrastructure::{Infrastructure, Registries};
use common::settings::{LogFormat, SettingError, Variables};

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
    /// Images shown for each registry at most.
    pub images_shown: usize,
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
            Ok(args) => Self::resolve(args).map(|config| Request::Run(Box::new(config))),
            Err(shown) => Ok(Request::Show(shown)),
        }
    }

    /// Completes `args` from the file.
    pub fn resolve(args: Args) -> Result<Self, Error> {
        let estate = match &args.config {
            Some(path) => Some(Infrastructure::load(path)?),
            None => Infrastructure::load_if_present(Path::new(FILE_DEFAULT))?,
        };
        let region = args.region.or_else(|| estate.as_ref().map(|estate| estate.region.clone()));
        let mut registries = estate.and_then(|estate| estate.registries).unwrap_or_default();
        if let Some(account) = args.registry_id {
            registries.account = Some(account_number(account)?);
        }
        let Command::Status { images } = args.command;
        Ok(Self {
            side: SideOptions::of_process(args.endpoint_url, Some(region.unwrap_or_else(|| REGION_DEFAULT.into()))),
            registries,
            images_shown: images,
            log_format: args.log_format,
            verbose: args.verbose,
        })
    }
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
        Config::resolve(Args::try_parse_from(fixed.iter().chain(arguments)).unwrap())
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
    fn a_number_that_is_no_account_is_refused() {
        let error = resolved(&["--registry-id", "12345"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--registry-id `12345` is not usable: the number of an AWS account has 12 digits"
        );
    }
}
