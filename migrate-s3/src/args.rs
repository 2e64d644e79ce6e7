//! The command line and its variables; knows nothing of what they lead to.

use std::ffi::OsString;

use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser};
use common::location::{BucketUrl, Location};
use common::settings::CommonArgs;
use platform::args::PlatformArgs;

use crate::census::Prices;
use crate::manifest::Place;
use crate::shard::Shard;

/// Copies buckets out of a platform-as-a-service into their new homes and proves every byte.
///
/// The source is PAAS_BUCKET with its own key pair, else the bucket of CF_SERVICE in VCAP_SERVICES or by a service key of the
/// platform's API, else what the configuration file says of the environment. The target is NEW_BUCKET, reached with the task's role. A run that is
/// repeated goes on where it was and copies nothing twice.
#[expect(clippy::doc_markdown, reason = "the text is --help's, where backticks would be shown")]
#[expect(clippy::struct_excessive_bools, reason = "each of them is a flag")]
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

    /// The account that must own the source's bucket; every request says so, and the store refuses it otherwise
    #[arg(long, env = "PAAS_BUCKET_OWNER", value_name = "ACCOUNT", help_heading = "Source and target")]
    pub source_owner: Option<String>,

    /// The target: `s3://bucket` or `s3://bucket/prefix`
    #[arg(long, env = "NEW_BUCKET", value_name = "URL", help_heading = "Source and target")]
    pub target: Option<BucketUrl>,

    /// The target's endpoint; without it, AWS
    #[arg(long, env = "NEW_ENDPOINT_URL", value_name = "URL", help_heading = "Source and target")]
    pub target_endpoint_url: Option<String>,

    /// The target's region [default: eu-west-2]
    #[arg(long, env = "NEW_REGION", value_name = "REGION", help_heading = "Source and target")]
    pub target_region: Option<String>,

    /// The account that must own the target's bucket, likewise
    #[arg(long, env = "NEW_BUCKET_OWNER", value_name = "ACCOUNT", help_heading = "Source and target")]
    pub target_owner: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the program's description in --help")]
    pub platform: PlatformArgs,

    /// One bucket of the environment, for example `bulk-upload`; without it, all of them
    #[arg(long, env = "BUCKET", value_name = "NAME", requires = "environment", help_heading = "Environment")]
    pub bucket: Option<String>,

    /// Where finished objects are recorded, so that a later run need not read them again: a directory or an
    /// `s3://bucket/prefix`, reached like the target
    #[arg(long, env = "STATE", value_name = "LOCATION", help_heading = "What to do")]
    pub state: Option<Location>,

    /// Go on although the target has objects that the source lacks; they are left alone
    #[arg(long, env = "ALLOW_EXTRA", value_parser = common::settings::yes_or_no, help_heading = "What to do")]
    pub allow_extra: bool,

    /// Delete objects on the target that the source lacks, at the end of a run in which nothing failed, each looked for
    /// on the source once more
    #[arg(long, env = "DELETE_EXTRA", value_parser = common::settings::yes_or_no, help_heading = "What to do")]
    pub delete_extra: bool,

    /// Delete nothing when more objects than this would be deleted
    #[arg(long, env = "DELETE_MAX", value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000),
          help_heading = "What to do")]
    pub delete_max: u32,

    /// The target bucket's name, to say that the right one is meant; a protected environment asks for it before anything is
    /// deleted or replaced
    #[arg(long, env = "CONFIRM", value_name = "BUCKET", help_heading = "What to do")]
    pub confirm: Option<String>,

    /// Replace objects on the target that differ from the source's
    #[arg(long, env = "OVERWRITE", value_parser = common::settings::yes_or_no, help_heading = "What to do")]
    pub overwrite: bool,

    /// Migrate every version of every object, and every mark of deletion, in their order; the target bucket must keep versions.
    /// Without it, what the source holds now is migrated
    #[arg(long, env = "VERSIONS", value_parser = common::settings::yes_or_no, conflicts_with = "delete_extra",
          help_heading = "What to do")]
    pub versions: bool,

    /// Migrate what this list names, instead of listing the source: the manifest.json of an S3 Inventory in CSV, or a manifest
    /// of S3 Batch Operations (`bucket,key`, also .gz); a file or s3://bucket/key, reached like the target
    #[arg(long, env = "MANIFEST", value_name = "PLACE", conflicts_with_all = ["delete_extra", "versions"], help_heading = "What to do")]
    pub manifest: Option<Place>,

    /// Prices for the estimate of a dry run, US dollars: a million PUT or LIST, a million GET. Without it, those of S3 Standard in
    /// eu-west-2 as published in 2025: 5.30,0.42
    #[arg(long, env = "PRICES", value_name = "PUT,GET", help_heading = "What to do")]
    pub prices: Option<Prices>,

    /// Whether `--verify` was asked to believe what the stores keep; see [`Args::read`].
    #[arg(skip)]
    pub verify_stored: bool,

    /// Objects worked on at the same time, and requests made at the same time to each side at most: how many it really is
    /// grows while the throughput does, and is halved when a store asks for patience
    #[arg(long, env = "JOBS", value_name = "N", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=512),
          help_heading = "Width")]
    pub jobs: u16,

    /// Mebibytes of content read in a second, of all objects together
    #[arg(long, env = "BANDWIDTH_LIMIT", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576), help_heading = "Width")]
    pub bandwidth_limit: Option<u64>,

    /// Requests made in a second to each side
    #[arg(long, env = "REQUESTS_PER_SECOND", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000), help_heading = "Width")]
    pub requests_per_second: Option<u64>,

    /// Work on the I-th of N shares only, counted from 0; N runs, one of each, do the whole. Also taken from
    /// AWS_BATCH_JOB_ARRAY_INDEX and AWS_BATCH_JOB_ARRAY_SIZE, or from JOB_COMPLETION_INDEX and JOB_COMPLETIONS
    #[arg(long, env = "SHARD", value_name = "I/N", help_heading = "Width")]
    pub shard: Option<Shard>,

    /// Mebibytes of objects held in memory at the same time. Objects above 240 GB need more than the default
    #[arg(long, env = "MEMORY_LIMIT", value_name = "MIB", default_value = "24", value_parser = clap::value_parser!(u64).range(16..=1_048_576),
          help_heading = "Width")]
    pub memory_limit: u64,
}

/// Adds up the reports of all shares of a migration and says whether they are the whole.
#[derive(Debug, Clone, Parser)]
#[command(name = "migrate-s3 merge-reports", max_term_width = 110)]
pub struct MergeArgs {
    /// Directories or `s3://bucket/prefix`, each with a `report.json`, or with one in each of the folders directly below
    #[arg(required = true, value_name = "LOCATION")]
    pub locations: Vec<Location>,

    /// Endpoint of the reports' bucket, when it is not AWS
    #[arg(long, env = "REPORT_ENDPOINT_URL", value_name = "URL")]
    pub report_endpoint_url: Option<String>,

    /// Region of the reports' bucket [default: eu-west-2]
    #[arg(long, env = "REPORT_REGION", value_name = "REGION")]
    pub report_region: Option<String>,
}

/// The word that asks for [`MergeArgs`].
pub const MERGE_REPORTS: &str = "merge-reports";

impl Args {
    /// The command line as it is parsed: `--verify` takes a word here, which the shared arguments do not know.
    pub fn command_line() -> Command {
        Self::command().mut_arg("verify", |verify| {
            verify
                // Which words there are is looked at in `read`.
                .value_parser(clap::builder::FalseyValueParser::new())
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_name("HOW")
                .default_value("false")
                .default_missing_value("full")
                .hide_default_value(true)
                .hide_possible_values(true)
                .help(VERIFY_HELP)
        })
    }

    /// Reads `words`, the program's name first, and the variables of the process.
    pub fn read<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error> {
        let matches = Self::command_line().try_get_matches_from(words)?;
        let mut args = Self::from_arg_matches(&matches)?;
        let how = matches.get_raw("verify").and_then(|mut words| words.next()).and_then(|word| word.to_str());
        args.verify_stored = match how.unwrap_or_default() {
            "stored" => true,
            "" | "full" | "0" | "1" | "n" | "y" | "no" | "yes" | "f" | "t" | "off" | "on" | "false" | "true" => false,
            other => {
                let message = format!("--verify (VERIFY) is `full` or `stored`, not `{other}`");
                return Err(Self::command_line().error(clap::error::ErrorKind::InvalidValue, message));
            }
        };
        Ok(args)
    }
}

const VERIFY_HELP: &str = "Compare source and target and say equal, different or not provable, item by item. Writes nothing. \
`full` reads both sides, content and metadata; `stored` reads no content: it holds the checksums that the stores keep against \
each other, and says where they cannot be [possible words: full, stored]";

const AFTER_HELP: &str = "\
Variables for secrets (each also as NAME_FILE, a path):
  PAAS_ACCESS_KEY_ID, PAAS_SECRET_ACCESS_KEY, PAAS_SESSION_TOKEN    the source's key pair; used for nothing else
  VCAP_SERVICES          the platform's credentials, searched for CF_SERVICE
  CF_USERNAME, CF_PASSWORD    who logs in to the platform for a service key; also CF_PASSCODE, CF_CLIENT_ID and
                              CF_CLIENT_SECRET, CF_REFRESH_TOKEN
`migrate-s3 merge-reports LOCATION…` adds up the reports of all shares and says whether they are the whole.
The target is reached with the ordinary chain: AWS_ACCESS_KEY_ID and so on, or the role of the task or the instance.

Exit codes: 0 proved equal, 1 failed, 2 usage, 3 refused before any change, 4 differences, 5 cut short (run again),
6 not provable, 130 and 143 stopped (run again).";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_takes_a_word() {
        let read = |word: &str| Args::read(["migrate-s3", word]);
        let words = |word| read(word).map(|args| (args.common.verify, args.verify_stored)).unwrap();
        assert_eq!(words("--verify"), (true, false));
        assert_eq!(words("--verify=full"), (true, false));
        assert_eq!(words("--verify=stored"), (true, true));
        assert_eq!(words("--allow-extra"), (false, false));
        assert!(read("--verify=everything").unwrap_err().to_string().contains("not `everything`"));
    }

    #[test]
    fn help_is_as_documented() {
        let mut command = Args::command_line().term_width(110);
        insta::assert_snapshot!(command.render_long_help().to_string());
    }
}
