//! From the arguments, the variables and the file to what the run needs: the settled configuration.
//!
//! Explicit flags and variables win over the file. Credentials are resolved per side and never cross.

use std::time::Duration;

use clap::Parser as _;
use common::aws::{Credentials, REGION_DEFAULT, SideOptions};
use common::infrastructure::{Bucket, Environment};
use common::location::{BucketUrl, Location};
use common::report::Check;
use common::settings::{LogFormat, Mode, SettingError, Variables};

use crate::args::{Args, MERGE_REPORTS, MergeArgs};
use crate::census::Prices;
use crate::error::Error;
use crate::manifest;
use crate::origin::{self, Keys, Need};
use crate::shard::Shard;

/// A bucket and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Bucket and prefix.
    pub url: BucketUrl,
    /// Endpoint, region, credentials.
    pub options: SideOptions,
    /// The account whose bucket it must be.
    pub owner: Option<String>,
}

/// One bucket to migrate.
#[derive(Debug, Clone)]
pub struct Leg {
    /// Its name in the environment; `None` when the variables name the only one.
    pub name: Option<String>,
    /// Where its objects come from.
    pub source: Place,
    /// Where they go.
    pub target: Place,
}

/// Everything that a run needs to know.
#[expect(clippy::struct_excessive_bools, reason = "each of them is a flag")]
#[derive(Debug, Clone)]
pub struct Config {
    /// What to do.
    pub mode: Mode,
    /// The environment's name, where one was given.
    pub environment: Option<String>,
    /// The buckets, one after the other.
    pub legs: Vec<Leg>,
    /// Objects worked on at the same time.
    pub jobs: usize,
    /// Bytes of content read in a second.
    pub content_per_second: Option<u64>,
    /// Requests made in a second to each side.
    pub requests_per_second: Option<u64>,
    /// The share that this run works on.
    pub shard: Option<Shard>,
    /// Bytes of objects held in memory at the same time.
    pub memory_bytes: u64,
    /// Replace what differs.
    pub overwrite: bool,
    /// Put up with objects that only the target has.
    pub allow_extra: bool,
    /// Delete what only the target has, at most so many objects.
    pub delete_max: Option<u32>,
    /// The list of what is to be migrated, instead of the source's listing.
    pub manifest: Option<manifest::Place>,
    /// Whether all versions are migrated, not only the current objects.
    pub versions: bool,
    /// Whether `--verify` holds the stores' own checksums against each other instead of reading.
    pub verify_stored: bool,
    /// What requests cost.
    pub prices: Prices,
    /// Where finished objects are recorded.
    pub state: Option<Location>,
    /// Where the report goes.
    pub report: Option<Location>,
    /// How a bucket for the report is reached.
    pub report_store: SideOptions,
    /// Format of what is shown.
    pub log_format: LogFormat,
    /// Between two lines of progress.
    pub progress_interval: Duration,
    /// How much is said.
    pub verbose: u8,
    /// What was looked at already, on the platform.
    pub checks: Vec<Check>,
}

/// A run that needs keys of the platform's first.
pub struct Wanted {
    /// The command line.
    pub args: Args,
    /// Which keys.
    pub needs: Vec<Need>,
    variables: Variables,
}

impl Wanted {
    /// The configuration with the keys. What was looked at is in `checks`.
    pub fn complete(&self, keys: &Keys, checks: Vec<Check>) -> Result<Config, Error> {
        Ok(Config { checks, ..Config::resolve(self.args.clone(), &self.variables, keys)? })
    }

    /// The configuration of a dry run that would have to make keys to see more: no bucket is looked at.
    pub fn without_buckets(&self, checks: Vec<Check>) -> Result<Config, Error> {
        Ok(Config { checks, ..Config::with(self.args.clone(), Vec::new(), &self.variables)? })
    }
}

/// What the command line asks for.
pub enum Request {
    /// To run.
    Run(Box<Config>),
    /// To run with keys that the platform must be asked for.
    Ask(Box<Wanted>),
    /// To add up the reports of shares.
    MergeReports(MergeArgs),
    /// To show help, the version, or a mistake in the command line.
    Show(clap::Error),
}

impl Config {
    /// What is counted: the singular of a noun that takes an s.
    pub fn unit(&self) -> &'static str {
        if self.versions { "version" } else { "object" }
    }

    /// Reads the process' command line and environment.
    pub fn of_process() -> Result<Request, Error> {
        let variables = Variables::of_process();
        if std::env::args_os().nth(1).is_some_and(|word| word == MERGE_REPORTS) {
            // The first word is the program's name to the parser.
            return Ok(match MergeArgs::try_parse_from(std::env::args_os().skip(1)) {
                Ok(args) => Request::MergeReports(args),
                Err(shown) => Request::Show(shown),
            });
        }
        variables.refuse_empty(&Args::command_line())?;
        match Args::read(std::env::args_os()) {
            Ok(args) => match needs(&args, &variables)? {
                needs if needs.is_empty() => {
                    Self::resolve(args, &variables, &Keys::new()).map(|config| Request::Run(Box::new(config)))
                }
                needs => Ok(Request::Ask(Box::new(Wanted { args, needs, variables }))),
            },
            Err(shown) => Ok(Request::Show(shown)),
        }
    }

    /// Completes `args` from the variables, the file, and the `keys` that the platform gave.
    pub fn resolve(args: Args, variables: &Variables, keys: &Keys) -> Result<Self, Error> {
        let legs = legs(&args, variables, keys)?;
        Self::with(args, legs, variables)
    }

    fn with(args: Args, legs: Vec<Leg>, variables: &Variables) -> Result<Self, Error> {
        legs.iter().try_for_each(refuse_same_place)?;
        consent(&args, &legs)?;
        if args.manifest.is_some() && legs.len() > 1 {
            return Err(Error::Setting(SettingError::Invalid {
                name: "--manifest (MANIFEST)".into(),
                reason: format!("it lists one bucket, and the environment has {}", legs.len()),
                how: Some("choose a bucket with --bucket".into()),
            }));
        }
        let shard = args.shard.map_or_else(|| Shard::of_orchestrator(variables), |shard| Ok(Some(shard)))?;
        let report_store = args.common.report_side();
        Ok(Self {
            mode: args.common.mode(),
            environment: args.common.environment,
            legs,
            jobs: usize::from(args.jobs),
            memory_bytes: args.memory_limit << 20,
            content_per_second: args.bandwidth_limit.map(|mebibytes| mebibytes << 20),
            requests_per_second: args.requests_per_second,
            shard,
            overwrite: args.overwrite,
            allow_extra: args.allow_extra,
            delete_max: args.delete_extra.then_some(args.delete_max),
            manifest: args.manifest,
            versions: args.versions,
            verify_stored: args.verify_stored,
            prices: args.prices.unwrap_or_default(),
            state: args.state,
            report: args.common.report.map(|location| shard.map_or(location.clone(), |shard| shard.place(location))),
            report_store,
            log_format: args.common.log_format,
            progress_interval: Duration::from_secs(args.common.progress_interval),
            verbose: args.common.verbose,
            checks: Vec::new(),
        })
    }
}

/// Whether what destroys was asked for by name where it must be.
fn consent(args: &Args, legs: &[Leg]) -> Result<(), Error> {
    let is_destructive = args.delete_extra || args.overwrite;
    let environment = Environment::load(&args.common.config, args.common.environment.as_deref())?;
    let is_protected = environment.as_ref().is_some_and(|environment| environment.protected);
    let prefix = environment.map(|environment| environment.prefix);
    let buckets: Vec<&str> = legs.iter().map(|leg| leg.target.url.bucket.as_str()).collect();
    match &args.confirm {
        Some(name) if buckets.iter().all(|bucket| bucket == name) || prefix.as_ref() == Some(name) => Ok(()),
        Some(name) => Err(Error::Setting(SettingError::Invalid {
            name: "--confirm (CONFIRM)".into(),
            reason: format!("it names {name}, and the target is {}", buckets.join(" and ")),
            how: Some("name the target bucket; of several buckets, choose one with --bucket".into()),
        })),
        None if is_destructive && is_protected => Err(Error::Setting(SettingError::Missing {
            what: "--confirm (CONFIRM), which a protected environment asks for before anything is deleted or replaced,"
                .into(),
            how: format!("check the target, then give --confirm {}", buckets.join(" or ")),
        })),
        None => Ok(()),
    }
}

fn legs(args: &Args, variables: &Variables, keys: &Keys) -> Result<Vec<Leg>, Error> {
    let Some(environment) = environment(args)? else { return Ok(vec![leg(None, args, variables, keys)?]) };
    let buckets = buckets(&environment, args)?;
    buckets.into_iter().map(|bucket| Ok(leg(Some(bucket), args, variables, keys)?)).collect()
}

fn environment(args: &Args) -> Result<Option<Environment>, Error> {
    Ok(Environment::load(&args.common.config, args.common.environment.as_deref())?)
}

/// The buckets of an environment that are asked for.
fn buckets<'e>(environment: &'e Environment, args: &Args) -> Result<Vec<&'e Bucket>, Error> {
    let buckets: Vec<&Bucket> = match &args.bucket {
        Some(name) => vec![environment.bucket(name)?],
        None => environment.buckets().collect(),
    };
    if buckets.is_empty() {
        return Err(Error::Setting(SettingError::Missing {
            what: format!("a bucket of the environment {}", environment.name),
            how: format!("add one to {}", args.common.config.display()),
        }));
    }
    if buckets.len() > 1 && (args.source.is_some() || args.target.is_some()) {
        return Err(Error::Setting(SettingError::Invalid {
            name: "PAAS_BUCKET or NEW_BUCKET".into(),
            reason: format!("it names one bucket, and the environment {} has {}", environment.name, buckets.len()),
            how: Some("remove the variable, or choose a bucket with --bucket".into()),
        }));
    }
    Ok(buckets)
}

/// What the platform must be asked for before the configuration is whole.
fn needs(args: &Args, variables: &Variables) -> Result<Vec<Need>, Error> {
    let environment = environment(args)?;
    let buckets = match &environment {
        Some(environment) => buckets(environment, args)?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let mut needs = Vec::new();
    for bucket in buckets {
        let target = target(bucket, args)?;
        needs.extend(origin::need(bucket, environment.as_ref(), args, variables, &target.url.to_string())?);
    }
    Ok(needs)
}

fn leg(bucket: Option<&Bucket>, args: &Args, variables: &Variables, keys: &Keys) -> Result<Leg, SettingError> {
    Ok(Leg {
        name: bucket.map(|bucket| bucket.name.clone()),
        source: origin::place(bucket, args, variables, keys)?,
        target: target(bucket, args)?,
    })
}

fn target(bucket: Option<&Bucket>, args: &Args) -> Result<Place, SettingError> {
    let in_file = |value: fn(&Bucket) -> Option<String>| bucket.and_then(value);
    let url = args.target.clone().or_else(|| bucket.map(|bucket| bucket.target.clone()));
    let url = url.ok_or_else(|| SettingError::Missing {
        what: "the target bucket".into(),
        how: "set NEW_BUCKET to s3://bucket, or name an --environment".into(),
    })?;
    let endpoint_url =
        args.target_endpoint_url.clone().or_else(|| in_file(|bucket| bucket.target_endpoint_url.clone()));
    let region = args.target_region.clone().or_else(|| in_file(|bucket| Some(bucket.target_region.clone())));
    Ok(Place {
        url,
        owner: args.target_owner.clone(),
        options: SideOptions {
            endpoint_url,
            region: region.unwrap_or_else(|| REGION_DEFAULT.into()),
            credentials: Credentials::Chain,
        },
    })
}

/// Source and target must not overlap: what is written would be listed, and copied, again.
fn refuse_same_place(leg: &Leg) -> Result<(), Error> {
    let (source, target) = (&leg.source, &leg.target);
    let endpoint =
        |place: &Place| place.options.endpoint_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
    let (source_prefix, target_prefix) = (&source.url.prefix, &target.url.prefix);
    let overlaps =
        source_prefix.starts_with(target_prefix.as_str()) || target_prefix.starts_with(source_prefix.as_str());
    if endpoint(source) == endpoint(target) && source.url.bucket == target.url.bucket && overlaps {
        return Err(Error::SamePlace { source_place: source.url.to_string(), target_place: target.url.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve<const N: usize>(flags: &[&str], variables: [(&str, &str); N]) -> Result<Config, Error> {
        let args = Args::read(["migrate-s3"].iter().chain(flags)).unwrap();
        Config::resolve(args, &Variables::from(variables), &Keys::new())
    }

    const KEYS: [(&str, &str); 2] = [("PAAS_ACCESS_KEY_ID", "AKID"), ("PAAS_SECRET_ACCESS_KEY", "hunter2")];

    #[test]
    fn the_task_definition_of_today_is_enough() {
        let config = resolve(&["--source", "s3://paas-csv", "--target", "s3://core-prod-bulk-upload"], KEYS).unwrap();
        let leg = &config.legs[0];
        assert_eq!(leg.source.options.region, "eu-west-2");
        assert_eq!(leg.target.options.credentials, Credentials::Chain);
        assert!(
            matches!(&leg.source.options.credentials, Credentials::Static { access_key_id, .. } if access_key_id == "AKID")
        );
    }

    #[test]
    fn the_source_never_uses_the_chain() {
        let error =
            resolve(&["--source", "s3://paas-csv", "--target", "s3://new-bucket"], [("AWS_ACCESS_KEY_ID", "x")]);
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "the source's key pair is not given");
        let half = resolve(&["--source", "s3://paas-csv", "--target", "s3://new-bucket"], [KEYS[0]]).unwrap_err();
        assert_eq!(half.to_string(), "the variable PAAS_SECRET_ACCESS_KEY is not given");
    }

    #[test]
    fn a_confirmation_that_names_another_bucket_is_refused() {
        let places = ["--source", "s3://paas-csv", "--target", "s3://new-bucket", "--delete-extra"];
        assert_eq!(resolve(&places, KEYS).unwrap().delete_max, Some(1000));
        let with = |name| resolve(&[&places[..], &["--confirm", name]].concat(), KEYS);
        assert!(with("new-bucket").is_ok());
        assert!(with("old-bucket").unwrap_err().to_string().contains("it names old-bucket"));
    }

    #[test]
    fn overlapping_places_are_refused() {
        for (source, target) in [("s3://one", "s3://one"), ("s3://one/a", "s3://one"), ("s3://one/a", "s3://one/a/b")] {
            let error = resolve(&["--source", source, "--target", target], KEYS).unwrap_err();
            assert!(matches!(error, Error::SamePlace { .. }), "{source} {target}");
        }
        assert!(resolve(&["--source", "s3://one/a", "--target", "s3://one/b"], KEYS).is_ok());
        let elsewhere = ["--source", "s3://one", "--target", "s3://one", "--target-endpoint-url", "http://127.0.0.1:1"];
        assert!(resolve(&elsewhere, KEYS).is_ok());
    }

    #[test]
    fn a_binding_gives_bucket_and_keys() {
        let services = r#"{"aws-s3-bucket": [{"instance_name": "csv", "credentials": {"bucket_name": "paas-csv",
            "aws_access_key_id": "B", "aws_secret_access_key": "hunter3", "aws_region": "eu-west-1"}}]}"#;
        let config =
            resolve(&["--cf-service", "csv", "--target", "s3://new-bucket"], [("VCAP_SERVICES", services)]).unwrap();
        let source = &config.legs[0].source;
        assert_eq!((source.url.bucket.as_str(), source.options.region.as_str()), ("paas-csv", "eu-west-1"));
    }
}
