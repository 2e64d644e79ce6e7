//! Where a source bucket is and who may read it: variables, the platform's `VCAP_SERVICES`, a key that the platform gave, the
//! file. And what the platform must be asked for.
//!
//! Called by `config`. Credentials of the target are never used here.

use std::collections::BTreeMap;

use common::aws::{Credentials, REGION_DEFAULT, SideOptions};
use common::infrastructure::{Bucket, BucketSource, Environment};
use common::settings::{SettingError, Variables};
use platform::args::PlatformArgs;
use platform::{Purpose, Settings};

use crate::args::Args;
use crate::config::Place;
use crate::vcap;

/// Credentials that the platform gave, by the service instance.
pub type Keys = BTreeMap<String, platform::Credentials>;

/// A service key that is needed.
#[derive(Debug, Clone)]
pub struct Need {
    /// Of which instance, and who asks.
    pub settings: Settings,
    /// What for.
    pub purpose: Purpose,
}

/// The key that the platform must be asked for; `None` when everything is known without it.
pub(crate) fn need(
    bucket: Option<&Bucket>,
    environment: Option<&Environment>,
    args: &Args,
    variables: &Variables,
    target: &str,
) -> Result<Option<Need>, SettingError> {
    let Some(service) = service(bucket, args) else { return Ok(None) };
    let has_url = args.source.is_some() || matches!(bucket.map(|bucket| &bucket.source), Some(BucketSource::Url(_)));
    let has_keys = source_key_pair(bucket, variables)?.is_some();
    if variables.secret("VCAP_SERVICES")?.is_some() || has_url && has_keys {
        return Ok(None);
    }
    let shard = args.shard.map(|shard| format!(", share {shard}")).unwrap_or_default();
    let purpose = Purpose { program: "migrate-s3", errand: format!("to {target}{shard}") };
    let settings = Settings::resolve(&complete(&args.platform, environment), &service, variables)?;
    Ok(settings.map(|settings| Need { settings, purpose }))
}

/// The flags, and what the file says of the environment's database, which is on the same platform, where they say nothing.
fn complete(args: &PlatformArgs, environment: Option<&Environment>) -> PlatformArgs {
    let database = environment.and_then(|environment| environment.database.as_ref());
    let mut args = args.clone();
    args.cf_api = args.cf_api.or_else(|| database?.api.clone());
    args.cf_org = args.cf_org.or_else(|| database?.organisation.clone());
    args.cf_space = args.cf_space.or_else(|| database?.space.clone());
    args
}

fn service(bucket: Option<&Bucket>, args: &Args) -> Option<String> {
    args.platform.cf_service.clone().or_else(|| match bucket.map(|bucket| &bucket.source) {
        Some(BucketSource::Service(service)) => Some(service.clone()),
        _ => None,
    })
}

/// The source of `bucket`, or of the only one that the variables name.
pub(crate) fn place(
    bucket: Option<&Bucket>,
    args: &Args,
    variables: &Variables,
    keys: &Keys,
) -> Result<Place, SettingError> {
    let in_file = bucket.map(|bucket| &bucket.source);
    let service = service(bucket, args);
    let binding = match (&service, variables.secret("VCAP_SERVICES")?) {
        (Some(service), Some(services)) => Some(vcap::binding(services.expose(), service)),
        (Some(service), None) => keys.get(service).map(|key| vcap::of_credentials(&key.values, &key.origin)),
        _ => None,
    };
    let url = match (&args.source, in_file) {
        (Some(url), _) | (None, Some(BucketSource::Url(url))) => url.clone(),
        _ => {
            if let Some(Ok(binding)) = &binding {
                binding.url.clone()
            } else {
                binding.transpose()?;
                return Err(SettingError::Missing {
                    what: "the source bucket".into(),
                    how: "set PAAS_BUCKET to s3://bucket; or CF_SERVICE to the name of a service, with VCAP_SERVICES or with CF_SPACE, CF_USERNAME and CF_PASSWORD"
                        .into(),
                });
            }
        }
    };
    let region = binding.as_ref().and_then(|binding| binding.as_ref().ok()?.region.clone());
    let region = args.source_region.clone().or(region).or_else(|| bucket.map(|bucket| bucket.source_region.clone()));
    let endpoint_url = args.source_endpoint_url.clone();
    let credentials = match source_key_pair(bucket, variables)? {
        Some(credentials) => credentials,
        None => match binding.transpose()? {
            Some(binding) => binding.credentials,
            None => return Err(missing_key(bucket)),
        },
    };
    Ok(Place {
        url,
        owner: args.source_owner.clone(),
        options: SideOptions {
            endpoint_url: endpoint_url.or_else(|| bucket.and_then(|bucket| bucket.source_endpoint_url.clone())),
            region: region.unwrap_or_else(|| REGION_DEFAULT.into()),
            credentials,
        },
    })
}

/// The names of the variables that hold the source's key pair.
fn key_variables(bucket: Option<&Bucket>) -> (&str, &str) {
    bucket.map_or(("PAAS_ACCESS_KEY_ID", "PAAS_SECRET_ACCESS_KEY"), |bucket| {
        (&bucket.source_access_key_id_variable, &bucket.source_secret_access_key_variable)
    })
}

fn source_key_pair(bucket: Option<&Bucket>, variables: &Variables) -> Result<Option<Credentials>, SettingError> {
    let (id_variable, secret_variable) = key_variables(bucket);
    let missing = |name: &str, other: &str| SettingError::Missing {
        what: format!("the variable {name}"),
        how: format!("set it beside {other}: a key pair has two halves"),
    };
    match (variables.secret(id_variable)?, variables.secret(secret_variable)?) {
        (Some(id), Some(secret_access_key)) => Ok(Some(Credentials::Static {
            access_key_id: id.expose().to_owned(),
            secret_access_key,
            session_token: variables.secret("PAAS_SESSION_TOKEN")?,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(secret_variable, id_variable)),
        (None, Some(_)) => Err(missing(id_variable, secret_variable)),
    }
}

fn missing_key(bucket: Option<&Bucket>) -> SettingError {
    let (id_variable, secret_variable) = key_variables(bucket);
    SettingError::Missing {
        what: "the source's key pair".into(),
        how: format!(
            "set {id_variable} and {secret_variable}, or CF_SERVICE to the name of a service, with VCAP_SERVICES or with CF_SPACE, CF_USERNAME and CF_PASSWORD; AWS_* is never used for the source"
        ),
    }
}
