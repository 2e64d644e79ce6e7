//! Where settings come from: flag, then variable, then file. Secrets: variable or file named by a variable, never a flag.
//!
//! clap resolves flags and variables; this module adds what it cannot know: a variable that is set to nothing is an
//! error, not a default; a secret may be given as `NAME` or as a path in `NAME_FILE`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::aws::SideOptions;
use crate::error::{Class, OperatorError};
use crate::exit::ExitStatus;
use crate::location::Location;
use crate::secret::Secret;

/// A setting that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The variable exists and is empty.
    #[error("the variable {name} is set to nothing")]
    Empty {
        /// The variable.
        name: String,
    },
    /// Neither given nor found.
    #[error("{what} is not given")]
    Missing {
        /// The thing, for example `the target bucket`.
        what: String,
        /// How to give it.
        how: String,
    },
    /// Given, and not usable.
    #[error("{name} is not usable: {reason}")]
    Invalid {
        /// The flag or variable. Never its value when that could be a secret.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// The next step, when the reason does not say it.
        how: Option<String>,
    },
    /// The file behind `NAME_FILE` cannot be read.
    #[error("cannot read the file that the variable {name} names")]
    SecretFile {
        /// The variable.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl OperatorError for SettingError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty { name } => Some(format!(
                "give {name} a value or remove it; in an ECS task definition, check that the secret it refers to has one"
            )),
            Self::Missing { how, .. } => Some(how.clone()),
            Self::Invalid { how, .. } => how.clone(),
            Self::SecretFile { name, .. } => Some(format!("check the path in {name} and the file's permissions")),
        }
    }
}

/// The process' environment as a value, so that everything that reads it can be tested without touching the process.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process. One that is not UTF-8 is not seen.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of `name`; an empty one is an error.
    pub fn get(&self, name: &str) -> Result<Option<&str>, SettingError> {
        match self.0.get(name).map(String::as_str) {
            Some("") => Err(SettingError::Empty { name: name.into() }),
            value => Ok(value),
        }
    }

    /// The secret in `name`, or in the file that `name_FILE` names (one trailing newline is dropped).
    pub fn secret(&self, name: &str) -> Result<Option<Secret>, SettingError> {
        if let Some(value) = self.get(name)? {
            return Ok(Some(Secret::new(value)));
        }
        let file_variable = format!("{name}_FILE");
        let Some(path) = self.get(&file_variable)? else { return Ok(None) };
        let content = std::fs::read_to_string(path)
            .map_err(|source| SettingError::SecretFile { name: file_variable.clone(), source })?;
        let content = content.strip_suffix('\n').unwrap_or(&content);
        if content.is_empty() {
            return Err(SettingError::Empty { name: file_variable });
        }
        Ok(Some(Secret::new(content)))
    }

    /// Fails on the first variable that one of `command`'s arguments reads and that is set to nothing. Call it
    /// before parsing: to clap an empty variable is a value.
    pub fn refuse_empty(&self, command: &clap::Command) -> Result<(), SettingError> {
        command
            .get_arguments()
            .filter_map(clap::Arg::get_env)
            .filter_map(std::ffi::OsStr::to_str)
            .try_for_each(|name| self.get(name).map(drop))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// How log lines, progress and the summary are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A switch as a variable gives it, in the words that people use; nothing at all is no. A word that is neither is an error:
/// a comparison that was asked for must not become a migration by a typo.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("yes or no is wanted (or true, on, 1; false, off, 0)".into()),
    }
}

/// The arguments that both programs have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What to do")]
pub struct CommonArgs {
    /// Preflight and plan only: what would be done, how much, what will go wrong. Writes nothing
    #[arg(long, env = "DRY_RUN", value_parser = yes_or_no, conflicts_with = "verify")]
    pub dry_run: bool,

    /// Compare source and target in full and say equal, different or not provable, item by item. Writes nothing
    #[arg(long, env = "VERIFY", value_parser = yes_or_no)]
    pub verify: bool,

    /// Name of the environment in the configuration file, for example `staging`
    #[arg(long, env = "ENVIRONMENT", value_name = "NAME", help_heading = "Environment")]
    pub environment: Option<String>,

    /// The file that describes the estate
    #[arg(long, env = "CONFIG", value_name = "FILE", default_value = "migration.toml", help_heading = "Environment")]
    pub config: PathBuf,

    /// Where the report goes: a directory or an `s3://bucket/prefix`
    #[arg(long, env = "REPORT", value_name = "LOCATION", help_heading = "Output")]
    pub report: Option<Location>,

    /// Endpoint of the report's bucket, when it is not AWS
    #[arg(long, env = "REPORT_ENDPOINT_URL", value_name = "URL", help_heading = "Output")]
    pub report_endpoint_url: Option<String>,

    /// Region of the report's bucket [default: eu-west-2]
    #[arg(long, env = "REPORT_REGION", value_name = "REGION", help_heading = "Output")]
    pub report_region: Option<String>,

    /// Format of log lines, progress and the summary
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub log_format: LogFormat,

    /// Seconds between progress lines when stderr is not a terminal
    #[arg(long, env = "PROGRESS_INTERVAL", value_name = "SECONDS", default_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = "Output")]
    pub progress_interval: u64,

    /// Say more on stderr; twice for everything
    #[arg(long, short, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}

/// Which of the contract's modes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Preflight, plan, copy, verify, report.
    Migrate,
    /// Preflight and plan.
    DryRun,
    /// Compare both sides in full.
    Verify,
}

impl Mode {
    /// The word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::DryRun => "dry-run",
            Self::Verify => "verify",
        }
    }
}

impl CommonArgs {
    /// How the report's bucket is reached: as whoever the process is.
    pub fn report_side(&self) -> SideOptions {
        SideOptions::of_process(self.report_endpoint_url.clone(), self.report_region.clone())
    }

    /// The mode that the flags ask for.
    pub fn mode(&self) -> Mode {
        match (self.dry_run, self.verify) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Verify,
            (false, false) => Mode::Migrate,
        }
    }
}

/// Shows what clap has to say (help, version, or a complaint) and gives the exit status that goes with it.
pub fn show(text: &clap::Error) -> ExitStatus {
    // Nobody may be reading; the exit code still says it.
    let _ = text.print();
    if text.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_a_word_and_no_other_word() {
        for (text, expected) in [("yes", true), ("TRUE", true), ("1", true), ("", false), ("off", false), ("0", false)]
        {
            assert_eq!(yes_or_no(text), Ok(expected), "{text}");
        }
        assert!(yes_or_no("yess").is_err());
    }

    #[test]
    fn an_empty_variable_is_named() {
        let variables = Variables::from([("NEW_BUCKET", "")]);
        let error = variables.get("NEW_BUCKET").unwrap_err();
        assert_eq!(error.to_string(), "the variable NEW_BUCKET is set to nothing");
        assert_eq!(error.class(), Class::Usage);
    }

    #[test]
    fn a_secret_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let variables = Variables::from([("KEY_FILE", file.path().to_str().unwrap())]);
        assert_eq!(variables.secret("KEY").unwrap().unwrap().expose(), "hunter2");
        assert!(variables.secret("OTHER").unwrap().is_none());
    }

    #[test]
    fn an_empty_secret_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let variables = Variables::from([("KEY_FILE", file.path().to_str().unwrap())]);
        assert!(matches!(variables.secret("KEY"), Err(SettingError::Empty { name }) if name == "KEY_FILE"));
    }
}
