//! The command line and its variables; knows nothing of what they lead to.

use clap::Parser;
use common::location::{BucketUrl, Location};
use common::settings::CommonArgs;

/// Copies buckets out of a platform-as-a-service into their new homes and proves every byte.
///
/// The source is PAAS_BUCKET with its own key pair, else the bucket of CF_SERVICE in VCAP_SERVICES, else what the
/// configuration file says of the environment. The target is NEW_BUCKET, reached with the task's role. A run that is
/// repeated goes on where it was and copies nothing twice.
#[expect(clippy::doc_markdown, reason = "the text is --help's, where backticks would be shown")]
#[derive(Debug, Clone, Parser)]
#[command(name = "migrate-s3", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the program's description in --help")]
    pub common: CommonArgs,

    /// The source: `s3://bucket` or `s3://bucket/prefix`
    #[arg(long, env = "PAAS_BUCKET", value_name = "URL", help_heading = "Source and target")]
    pub source: Option<BucketUrl>,

    /// The source's endpoint; without it, AWS
    #[arg(long, env = "PAAS_ENDPOINT_URL", value_name = "URL", help_heading = "Source and target")]
    pub source_endpoint_url: Option<String>,

    /// The source's region [default: eu-west-2]
    #[arg(long, env = "PAAS_REGION", value_name = "REGION", help_heading = "Source and target")]
    pub source_region: Option<String>,

    /// The target: `s3://bucket` or `s3://bucket/prefix`
    #[arg(long, env = "NEW_BUCKET", value_name = "URL", help_heading = "Source and target")]
    pub target: Option<BucketUrl>,

    /// The target's endpoint; without it, AWS
    #[arg(long, env = "NEW_ENDPOINT_URL", value_name = "URL", help_heading = "Source and target")]
    pub target_endpoint_url: Option<String>,

    /// The target's region [default: eu-west-2]
    #[arg(long, env = "NEW_REGION", value_name = "REGION", help_heading = "Source and target")]
    pub target_region: Option<String>,

    /// The platform's service instance whose bucket is the source
    #[arg(long, env = "CF_SERVICE", value_name = "NAME", help_heading = "Source and target")]
    pub cf_service: Option<String>,

    /// One bucket of the environment, for example `bulk-upload`; without it, all of them
    #[arg(long, env = "BUCKET", value_name = "NAME", requires = "environment", help_heading = "Environment")]
    pub bucket: Option<String>,

    /// Where finished objects are recorded, so that a later run need not read them again: a directory or an
    /// `s3://bucket/prefix`, reached like the target
    #[arg(long, env = "STATE", value_name = "LOCATION", help_heading = "What to do")]
    pub state: Option<Location>,

    /// Go on although the target has objects that the source lacks; they are left alone
    #[arg(long, env = "ALLOW_EXTRA", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "What to do")]
    pub allow_extra: bool,

    /// Replace objects on the target that differ from the source's
    #[arg(long, env = "OVERWRITE", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "What to do")]
    pub overwrite: bool,

    /// Objects worked on at the same time
    #[arg(long, env = "JOBS", value_name = "N", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=512),
          help_heading = "Width")]
    pub jobs: u16,

    /// Mebibytes of objects held in memory at the same time. Objects above 320 GB need more than the default
    #[arg(long, env = "MEMORY_LIMIT", value_name = "MIB", default_value = "32", value_parser = clap::value_parser!(u64).range(16..=1_048_576),
          help_heading = "Width")]
    pub memory_limit: u64,
}

const AFTER_HELP: &str = "\
Variables for secrets (each also as NAME_FILE, a path):
  PAAS_ACCESS_KEY_ID, PAAS_SECRET_ACCESS_KEY, PAAS_SESSION_TOKEN    the source's key pair; used for nothing else
  VCAP_SERVICES          the platform's credentials, searched for CF_SERVICE
The target is reached with the ordinary chain: AWS_ACCESS_KEY_ID and so on, or the role of the task or the instance.

Exit codes: 0 proved equal, 1 failed, 2 usage, 3 refused before any change, 4 differences, 5 cut short (run again),
6 not provable, 130 and 143 stopped (run again).";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn help_is_as_documented() {
        let mut command = Args::command().term_width(110);
        insta::assert_snapshot!(command.render_long_help().to_string());
    }
}
