//! The command line of `publish-images`. Only what clap knows; [`crate::config`] completes it.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use common::settings::LogFormat;

/// The container images of the migration and the registries that they are started from
#[derive(Debug, Clone, Parser)]
#[command(name = "publish-images", version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// The file that describes the estate [default: migration.toml, if there is one]
    #[arg(long, env = "CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Number of the account that holds the registries [default: the file's, else the account of the credentials]
    #[arg(long, env = "ECR_REGISTRY_ID", value_name = "ACCOUNT", global = true)]
    pub registry_id: Option<String>,

    /// Region of the registries [default: the file's, else eu-west-2]
    #[arg(long, env = "ECR_REGION", value_name = "REGION", global = true)]
    pub region: Option<String>,

    /// Address of something that answers like ECR, when it is not AWS
    #[arg(long, env = "ECR_ENDPOINT_URL", value_name = "URL", global = true)]
    pub endpoint_url: Option<String>,

    /// Format of log lines and of the result
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Say more on stderr; twice for everything
    #[arg(long, short, action = ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Say which registries there are and which images they hold. Changes nothing
    Status {
        /// Images shown for each registry at most, the newest first
        #[arg(long, env = "IMAGES_SHOWN", value_name = "COUNT", default_value = "10")]
        images: usize,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
