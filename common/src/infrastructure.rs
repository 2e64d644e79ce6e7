//! The estate as `migration.toml` describes it: environments with their database and buckets, and the registries.
//!
//! One file for all programs. It names variables, never their values: whatever looks like a secret in it is refused.
//! Flags and variables win over it; that is the business of each program's `config`. The file's format is
//! documented in `runbooks/reference/migration-toml.md`.

mod error;
mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::InfrastructureError;

use crate::location::BucketUrl;

/// Everything that the file describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Infrastructure {
    /// The file.
    pub path: PathBuf,
    /// The region of the registries, and of the environments that name none of their own.
    pub region: String,
    /// Where the images are kept.
    pub registries: Option<Registries>,
    environments: BTreeMap<String, Environment>,
}

/// The container registries, all in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registries {
    /// The account's number: 12 digits. `None` is the account of whoever asks.
    pub account: Option<String>,
    /// The repository of the application's own image, `core` by default.
    pub application: String,
    /// The repository of `migrate-db`'s image, `db-migration` by default.
    pub db_migration: String,
    /// The repository of `migrate-s3`'s image, `s3-migration` by default.
    pub s3_migration: String,
}

impl Default for Registries {
    fn default() -> Self {
        Self {
            account: None,
            application: "core".into(),
            db_migration: "db-migration".into(),
            s3_migration: "s3-migration".into(),
        }
    }
}

/// One environment, with the file's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name in the file.
    pub name: String,
    /// What the names of its resources begin with, for example `core-prod`. The word that `--confirm` asks for.
    pub prefix: String,
    /// Whether anything destructive needs `--confirm PREFIX`.
    pub protected: bool,
    /// Its region.
    pub region: String,
    /// Its database, if it has one.
    pub database: Option<Database>,
    buckets: BTreeMap<String, Bucket>,
}

/// The database of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Name of the Cloud Foundry service instance that is the source.
    pub service: Option<String>,
    /// The Cloud Foundry space that the instance is in.
    pub space: Option<String>,
    /// The Cloud Foundry organisation.
    pub organisation: Option<String>,
    /// The address of the Cloud Foundry API, without `https://`.
    pub api: Option<String>,
    /// The variable that holds the source's URL, where it is not looked up from the service.
    pub source_url_variable: Option<String>,
    /// The variable that holds the target's URL, `DATABASE_URL` by default.
    pub target_url_variable: String,
}

/// One bucket of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name in the file, for example `bulk-upload`.
    pub name: String,
    /// Where the objects come from.
    pub source: BucketSource,
    /// The variable that holds the source's access key id, `PAAS_ACCESS_KEY_ID` by default.
    pub source_access_key_id_variable: String,
    /// The variable that holds the source's secret, `PAAS_SECRET_ACCESS_KEY` by default.
    pub source_secret_access_key_variable: String,
    /// The source's region, the environment's by default.
    pub source_region: String,
    /// The source's endpoint; `None` is AWS.
    pub source_endpoint_url: Option<String>,
    /// Where the objects go, `s3://PREFIX-NAME` by default.
    pub target: BucketUrl,
    /// The target's region, the environment's by default.
    pub target_region: String,
    /// The target's endpoint; `None` is AWS.
    pub target_endpoint_url: Option<String>,
}

/// How the file names a source bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketSource {
    /// By its URL.
    Url(BucketUrl),
    /// By the name of the Cloud Foundry service instance, whose credentials name the bucket.
    Service(String),
}

impl Infrastructure {
    /// Reads `path`.
    pub fn load(path: &Path) -> Result<Self, InfrastructureError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| InfrastructureError::Unreadable { path: path.into(), source })?;
        file::read(path, &text)
    }

    /// Reads `path` when it exists.
    pub fn load_if_present(path: &Path) -> Result<Option<Self>, InfrastructureError> {
        match Self::load(path) {
            Err(InfrastructureError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            loaded => loaded.map(Some),
        }
    }

    /// The environment called `name`.
    pub fn environment(&self, name: &str) -> Result<&Environment, InfrastructureError> {
        self.environments.get(name).ok_or_else(|| InfrastructureError::UnknownEnvironment {
            path: self.path.clone(),
            name: name.into(),
            known: self.environments.keys().cloned().collect(),
        })
    }

    /// All environments, by name.
    pub fn environments(&self) -> impl Iterator<Item = &Environment> {
        self.environments.values()
    }
}

impl Environment {
    /// The environment that was asked for, from the file at `path`; nobody asking is no reason to look for a file.
    pub fn load(path: &Path, name: Option<&str>) -> Result<Option<Self>, InfrastructureError> {
        name.map(|name| Infrastructure::load(path)?.environment(name).cloned()).transpose()
    }

    /// The bucket called `name`.
    pub fn bucket(&self, name: &str) -> Result<&Bucket, InfrastructureError> {
        self.buckets.get(name).ok_or_else(|| InfrastructureError::UnknownBucket {
            environment: self.name.clone(),
            name: name.into(),
            known: self.buckets.keys().cloned().collect(),
        })
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.values()
    }
}
