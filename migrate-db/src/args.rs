//! The command line and its variables; knows nothing of what they lead to.

#![expect(clippy::doc_markdown, reason = "these comments are the text of --help")]

use clap::{Parser, ValueEnum};
use common::settings::CommonArgs;
use platform::args::{PlatformArgs, WayArgs};

use crate::preset::Preset;

/// Streams a PostgreSQL database out of a platform-as-a-service into its new home and proves that nothing was lost.
///
/// The source comes from SOURCE_DATABASE_URL, else from CF_SERVICE looked up in VCAP_SERVICES, else from libpq's PG*
/// variables, else from the platform's API, through SSH into the platform. The target comes from DATABASE_URL. Passwords are given in variables, or in files that NAME_FILE
/// variables name, never in flags.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, Parser)]
#[command(name = "migrate-db", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the program's description in --help")]
    pub common: CommonArgs,

    /// Compare, copy again just the rows or tables that differ, and compare those again. For a target that a finished run
    /// filled earlier: copy early, stop the writers, repair, done
    #[arg(long, env = "REPAIR", value_parser = common::settings::yes_or_no, conflicts_with_all = ["verify", "dry_run", "clean"],
          help_heading = "Mode")]
    pub repair: bool,

    /// Copy without reading back what was written: nothing is proved, exit code 6. For an early copy, which --repair compares
    /// and brings up to date later
    #[arg(long, env = "COPY_ONLY", value_parser = common::settings::yes_or_no,
          conflicts_with_all = ["verify", "dry_run", "repair"], help_heading = "Mode")]
    pub copy_only: bool,

    /// The source as a connection string without a password; with one, use the variable SOURCE_DATABASE_URL
    #[arg(long, value_name = "URL", help_heading = "Source and target")]
    pub source: Option<String>,

    /// The target as a connection string without a password; with one, use the variable DATABASE_URL
    #[arg(long, value_name = "URL", help_heading = "Source and target")]
    pub target: Option<String>,

    /// Whose own objects in the source are left behind, and reported
    #[arg(
        long,
        env = "PRESET",
        value_name = "PLATFORM",
        value_enum,
        default_value = "auto",
        help_heading = "Source and target"
    )]
    pub preset: PresetName,

    /// Objects keep their owners, who must exist on the target; otherwise all belong to the role that connects
    #[arg(long, env = "WITH_OWNER", value_parser = common::settings::yes_or_no, help_heading = "Source and target")]
    pub with_owner: bool,

    /// Privileges are granted on the target too; the roles must exist there
    #[arg(long, env = "WITH_ACL", value_parser = common::settings::yes_or_no, help_heading = "Source and target")]
    pub with_acl: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the program's description in --help")]
    pub platform: PlatformArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the program's description in --help")]
    pub way: WayArgs,

    /// Tables read and written at the same time; by default 4 to 16, as the target has processors and both sides have room
    /// for sessions
    #[arg(long, env = "JOBS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Width")]
    pub jobs: Option<u16>,

    /// Sessions on the target that build indexes, check constraints and verify; by default likewise
    #[arg(long, env = "INDEX_JOBS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64),
          help_heading = "Width")]
    pub index_jobs: Option<u16>,

    /// Tables larger than this many megabytes are copied in segments, by blocks, or by keys before PostgreSQL 14; by default
    /// what two of the jobs would have to copy, and 256 to 1,000
    #[arg(long, env = "SPLIT_ABOVE", value_name = "MB", value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "Width")]
    pub split_above: Option<u64>,

    /// Empty the target first: everything in it is dropped. Needs --confirm
    #[arg(long, env = "CLEAN", value_parser = common::settings::yes_or_no, requires = "confirm", conflicts_with = "verify",
          help_heading = "Destructive")]
    pub clean: bool,

    /// The target database's name (a protected environment's prefix), typed out, as leave for --clean, and for a --repair
    /// of a target that this migration did not fill
    #[arg(long, env = "CONFIRM", value_name = "DATABASE", help_heading = "Destructive")]
    pub confirm: Option<String>,

    /// Keep the journal on the target after a run that was proved equal
    #[arg(long, env = "KEEP_JOURNAL", value_parser = common::settings::yes_or_no, help_heading = "Output")]
    pub keep_journal: bool,

    /// Name the keys of rows that differ; without it only their number and columns
    #[arg(long, env = "SHOW_KEYS", value_parser = common::settings::yes_or_no, help_heading = "Output")]
    pub show_keys: bool,

    /// The folder of pg_dump and pg_restore; by default the best of those installed
    #[arg(long, env = "PG_BIN_DIR", value_name = "FOLDER", help_heading = "Source and target")]
    pub pg_bin_dir: Option<std::path::PathBuf>,
}

const AFTER_HELP: &str = "\
Variables for secrets (each also as NAME_FILE, a path):
  DATABASE_URL           the target, a full connection string
  SOURCE_DATABASE_URL    the source, a full connection string
  VCAP_SERVICES          the platform's credentials, searched for CF_SERVICE
  PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, PGSSLROOTCERT    the source, as `cf conduit` sets them
  CF_USERNAME, CF_PASSWORD               who logs in to the platform: a user,
  CF_PASSCODE                            or a user with a code of the page LOGIN/passcode,
  CF_CLIENT_ID, CF_CLIENT_SECRET         or a client of UAA's,
  CF_REFRESH_TOKEN                       or whoever `cf login` logged in

Exit codes: 0 proved equal, 1 failed, 2 usage, 3 refused before any change, 4 differences, 5 cut short (run again),
6 not provable, 130 and 143 stopped (run again).";

/// The words of `--preset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetName {
    /// Those of every platform that is known
    Auto,
    /// GOV.UK PaaS: event triggers and functions of its database broker
    GovukPaas,
    /// Heroku: the schema _heroku and its event triggers
    Heroku,
    /// cloud.gov and others on Amazon RDS: what DMS leaves in a database
    CloudGov,
    /// Nothing is left behind
    None,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Auto => Self::Auto,
            PresetName::GovukPaas => Self::GovukPaas,
            PresetName::Heroku => Self::Heroku,
            PresetName::CloudGov => Self::CloudGov,
            PresetName::None => Self::None,
        }
    }
}
