//! The command line of `publish-images`. Only what clap knows; [`crate::config`] completes it.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
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

    /// Role to assume for the registries, for example in the account that holds them
    #[arg(long, env = "ECR_ASSUME_ROLE", value_name = "ARN", global = true)]
    pub assume_role: Option<String>,

    /// Region of the registries [default: the file's, else eu-west-2]
    #[arg(long, env = "ECR_REGION", value_name = "REGION", global = true)]
    pub region: Option<String>,

    /// Address of something that answers like ECR, when it is not AWS
    #[arg(long, env = "ECR_ENDPOINT_URL", value_name = "URL", global = true)]
    pub endpoint_url: Option<String>,

    /// Address that images are pushed to and pulled from [default: the one that ECR names]
    #[arg(long, env = "ECR_REGISTRY_URL", value_name = "URL", global = true)]
    pub registry_url: Option<String>,

    /// Seconds that the registry may be silent, or away in the middle of a push
    #[arg(long, env = "REGISTRY_PATIENCE", value_name = "SECONDS", default_value = "180", global = true,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,

    /// Format of log lines and of the result
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Seconds between progress lines, where stderr is no terminal
    #[arg(long, env = "PROGRESS_INTERVAL", value_name = "SECONDS", default_value = "10", global = true,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub progress_interval: u64,

    /// Say more on stderr; twice for everything
    #[arg(long, short, action = ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Say which registries there are and which images they hold. Changes nothing
    Status {
        /// Images shown for each registry at most, the newest first
        #[arg(long, env = "IMAGES_SHOWN", value_name = "COUNT", default_value = "10")]
        images: usize,
    },
    /// Bring an image into its registry, wait for its scan, and print the digest to pin
    Push {
        /// The image and where it goes.
        #[command(flatten)]
        image: ImageArgs,
        /// Fail when the scan finds something of this severity or a worse one
        #[arg(long, env = "MAX_SEVERITY", value_name = "SEVERITY", default_value = "high")]
        max_severity: Severity,
        /// Seconds that the scan may take
        #[arg(long, env = "SCAN_TIMEOUT", value_name = "SECONDS", default_value = "600",
              value_parser = clap::value_parser!(u64).range(1..=86_400))]
        scan_timeout: u64,
        /// Do not wait for the scan
        #[arg(long, env = "SKIP_SCAN")]
        skip_scan: bool,
    },
    /// Prove that what a task would pull is what was built: read all of it from the registry. Changes nothing
    PullCheck {
        /// The image and where it is.
        #[command(flatten)]
        image: ImageArgs,
    },
    /// Empty a repository and delete it, after the cutover
    Remove {
        /// The repository
        #[arg(value_name = "REPOSITORY")]
        repository: String,
        /// The repository's name again: its images cannot be had back
        #[arg(long, value_name = "REPOSITORY")]
        confirm: Option<String>,
    },
    /// Copy existing images from another registry into ECR, by digest
    Mirror {
        /// `HOST[:PORT]/REPOSITORY` for all its tags, with :TAG or @DIGEST for one image, `HOST[:PORT]/NAMESPACE/*` for all
        /// its repositories. Its user is in `MIRROR_USERNAME` and `MIRROR_PASSWORD`. `http://` before it: without TLS
        #[arg(value_name = "SRC")]
        source: String,
        /// The repository in ECR; for a namespace, what the names of the repositories begin with
        #[arg(value_name = "DST")]
        target: String,
    },
}

/// An image that was built here, and its place in the registry.
#[derive(Debug, Clone, PartialEq, Eq, ClapArgs)]
pub struct ImageArgs {
    /// A file as `docker save` or `make images` writes it, or docker:NAME[:TAG] for one in the Docker engine
    #[arg(value_name = "IMAGE")]
    pub source: String,
    /// The repository [default: the one for the image's own name]
    #[arg(long, env = "IMAGE_REPOSITORY", value_name = "NAME")]
    pub repository: Option<String>,
    /// The tag [default: the image's own]
    #[arg(long, env = "IMAGE_TAG", value_name = "TAG")]
    pub tag: Option<String>,
}

/// How bad a finding is, in ECR's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Severity {
    /// Worth knowing.
    Informational,
    /// Hardly exploitable.
    Low,
    /// Exploitable under conditions. Findings that nobody has rated yet count as this.
    Medium,
    /// Exploitable.
    High,
    /// Exploitable from outside, with full effect.
    Critical,
}

impl Severity {
    /// ECR's word, in lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity that a word means; what is unknown counts as medium.
    pub fn of_word(word: &str) -> Self {
        let known = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];
        known.into_iter().find(|severity| severity.word() == word).unwrap_or(Self::Medium)
    }
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
