//! The settings of a run, resolved: flag, then variable, then file. After this nobody asks the environment again.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use common::aws::SideOptions;
use common::infrastructure::Environment;
use common::location::Location;
use common::settings::{self, LogFormat, SettingError, Variables};

use platform::args::PlatformArgs;

use crate::args::Args;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::preset::Preset;
use crate::rights::Rights;
use crate::source::{self, Origin, SourceFlags};
use crate::width::Asked;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Preflight, plan, copy, verify, report.
    Migrate,
    /// Preflight and plan.
    DryRun,
    /// Compare both sides in full.
    Verify,
    /// Compare, copy again what differs, compare that again.
    Repair,
}

impl Mode {
    fn of(args: &Args) -> Self {
        match args.common.mode() {
            settings::Mode::Migrate if args.repair => Self::Repair,
            settings::Mode::Migrate => Self::Migrate,
            settings::Mode::DryRun => Self::DryRun,
            settings::Mode::Verify => Self::Verify,
        }
    }

    /// The word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Migrate => settings::Mode::Migrate.word(),
            Self::DryRun => settings::Mode::DryRun.word(),
            Self::Verify => settings::Mode::Verify.word(),
            Self::Repair => "repair",
        }
    }

    /// Whether the target is changed.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Migrate | Self::Repair)
    }
}

/// Everything a run needs to know.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone)]
pub struct Config {
    /// What is done.
    pub mode: Mode,
    /// The environment's name.
    pub environment: Option<String>,
    /// Where rows are read.
    pub origin: Origin,
    /// Where they go.
    pub target: Endpoint,
    /// The platform's service and space, for the report.
    pub platform: Option<String>,
    /// Whose own objects are left behind.
    pub preset: Preset,
    /// Which rights travel.
    pub rights: Rights,
    /// Sessions that work at the same time, where the operator has a wish.
    pub width: Asked,
    /// Tables larger than this many bytes are cut, where the operator has a wish.
    pub segment_bytes_max: Option<u64>,
    /// Empty the target first.
    pub clean: bool,
    /// What `--confirm` must repeat for what is destructive: the target database's name, or a protected environment's
    /// prefix.
    pub confirmation: String,
    /// Whether `--confirm` repeated it.
    pub confirmed: bool,
    /// Read nothing back.
    pub copy_only: bool,
    /// Keep the journal after success.
    pub keep_journal: bool,
    /// Name keys of differing rows.
    pub show_keys: bool,
    /// Folder of pg_dump and pg_restore.
    pub pg_bin_dir: Option<PathBuf>,
    /// Where the report goes.
    pub report: Option<Location>,
    /// How the report's bucket is reached, when it goes into one.
    pub report_store: SideOptions,
    /// How output looks.
    pub log_format: LogFormat,
    /// Between progress lines.
    pub progress_interval: Duration,
    /// How much is said.
    pub verbose: u8,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A run.
    Run(Box<Config>),
    /// Text to show instead: help, version, or clap's own complaint.
    Show(clap::Error),
}

impl Config {
    /// Reads the process' command line and environment.
    pub fn of_process() -> Result<Request> {
        let variables = Variables::of_process();
        variables.refuse_empty(&Args::command())?;
        match Args::try_parse() {
            Ok(args) => Self::resolve(args, &variables).map(|config| Request::Run(Box::new(config))),
            Err(shown) => Ok(Request::Show(shown)),
        }
    }

    /// Completes `args` from the variables and the file.
    pub fn resolve(args: Args, variables: &Variables) -> Result<Self> {
        let environment = Estate::of(&args)?;
        let platform = environment.complete(&args.platform);
        let flags = SourceFlags {
            url: args.source.clone(),
            url_variable: environment.source_variable.clone(),
            platform: platform.clone(),
            way: args.way.clone(),
        };
        let origin = source::resolve(&flags, variables)?;
        let target = resolve_target(&args, environment.target_variable.as_deref(), variables)?;
        refuse_same(&origin, &target)?;
        let is_protected = environment.protected_prefix.is_some();
        let confirmation = environment.protected_prefix.clone().unwrap_or_else(|| target.database.clone());
        let confirmed = args.confirm.as_deref() == Some(confirmation.as_str());
        if !confirmed && (args.clean || args.repair && is_protected || args.confirm.is_some()) {
            return Err(Error::Setting(unconfirmed(&args, &target, &confirmation)));
        }
        let platform = match (&origin, platform.cf_service, platform.cf_space) {
            (Origin::Platform(source), ..) => Some(source.settings.place()),
            (_, Some(service), Some(space)) => Some(format!("service {service}, space {space}")),
            (_, Some(service), None) => Some(format!("service {service}")),
            (_, None, _) => None,
        };
        let report_store = args.common.report_side();
        Ok(Self {
            mode: Mode::of(&args),
            environment: args.common.environment,
            origin,
            target,
            platform,
            preset: args.preset.into(),
            rights: Rights { owner: args.with_owner, acl: args.with_acl },
            width: Asked { jobs: args.jobs.map(usize::from), index_jobs: args.index_jobs.map(usize::from) },
            segment_bytes_max: args.split_above.map(|megabytes| megabytes.saturating_mul(1_000_000)),
            clean: args.clean,
            confirmation,
            confirmed,
            copy_only: args.copy_only,
            keep_journal: args.keep_journal,
            show_keys: args.show_keys,
            pg_bin_dir: args.pg_bin_dir,
            report_store,
            report: args.common.report,
            log_format: args.common.log_format,
            progress_interval: Duration::from_secs(args.common.progress_interval),
            verbose: args.common.verbose,
        })
    }
}

fn refuse_same(origin: &Origin, target: &Endpoint) -> Result<(), SettingError> {
    let Origin::Endpoint(source) = origin else { return Ok(()) };
    if (&source.host, source.port, &source.database) != (&target.host, target.port, &target.database) {
        return Ok(());
    }
    Err(SettingError::Invalid {
        name: "DATABASE_URL".into(),
        reason: format!("source and target are the same database, {}", target.label()),
        how: Some("correct one of the two".into()),
    })
}

fn resolve_target(args: &Args, variable: Option<&str>, variables: &Variables) -> Result<Endpoint, SettingError> {
    if let Some(url) = &args.target {
        return source::endpoint_of_flag("--target", "DATABASE_URL", url);
    }
    let variable = variable.unwrap_or("DATABASE_URL");
    match variables.secret(variable)? {
        Some(url) => Endpoint::parse(url.expose(), variable),
        None => Err(SettingError::Missing {
            what: "the target database".into(),
            how: format!("set {variable} to postgresql://user:password@host:port/database"),
        }),
    }
}

/// `--confirm` does not repeat the name of what would be changed.
fn unconfirmed(args: &Args, target: &Endpoint, confirmation: &str) -> SettingError {
    let (flag, what) =
        if args.clean { ("--clean", "to drop everything in") } else { ("--repair", "to replace rows in") };
    SettingError::Invalid {
        name: "--confirm".into(),
        reason: format!("it does not repeat the name of what {flag} would change"),
        how: Some(format!("{what} {}, give {flag} --confirm {confirmation}", target.label())),
    }
}

/// What the configuration file says of the environment that was named.
#[derive(Debug, Default)]
struct Estate {
    service: Option<String>,
    space: Option<String>,
    organisation: Option<String>,
    api: Option<String>,
    source_variable: Option<String>,
    target_variable: Option<String>,
    /// Of an environment that is marked protected: what `--confirm` must repeat.
    protected_prefix: Option<String>,
}

impl Estate {
    fn of(args: &Args) -> Result<Self> {
        let Some(environment) = Environment::load(&args.common.config, args.common.environment.as_deref())? else {
            return Ok(Self::default());
        };
        let Some(database) = environment.database else {
            return Err(Error::Setting(SettingError::Missing {
                what: format!("the database of the environment {}", environment.name),
                how: format!("add [environments.{}.database] to {}", environment.name, args.common.config.display()),
            }));
        };
        Ok(Self {
            service: database.service,
            space: database.space,
            organisation: database.organisation,
            api: database.api,
            source_variable: database.source_url_variable,
            target_variable: Some(database.target_url_variable),
            protected_prefix: environment.protected.then_some(environment.prefix),
        })
    }

    /// The flags, and what the file says where they say nothing.
    fn complete(&self, args: &PlatformArgs) -> PlatformArgs {
        let or = |given: &Option<String>, file: &Option<String>| given.clone().or_else(|| file.clone());
        PlatformArgs {
            cf_api: or(&args.cf_api, &self.api),
            cf_org: or(&args.cf_org, &self.organisation),
            cf_space: or(&args.cf_space, &self.space),
            cf_service: or(&args.cf_service, &self.service),
            cf_ca_cert: args.cf_ca_cert.clone(),
        }
    }
}
