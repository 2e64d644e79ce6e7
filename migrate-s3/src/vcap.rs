//! A bucket and its credentials in `VCAP_SERVICES`, found by the service instance's name.
//!
//! GOV.UK PaaS (`aws-s3-bucket`), cloud.gov (`s3`) and the cloud service broker (`csb-aws-s3-bucket`) differ in the
//! names of the fields. Called by `config`.

use common::aws::Credentials;
use common::location::BucketUrl;
use common::secret::Secret;
use common::settings::SettingError;
use serde_json::{Map, Value};

/// What a binding says about its bucket.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The bucket, without a prefix.
    pub url: BucketUrl,
    /// The binding's own key pair.
    pub credentials: Credentials,
    /// Its region, where it says.
    pub region: Option<String>,
}

/// The bucket of the service instance called `service`.
pub fn binding(services: &str, service: &str) -> Result<Binding, SettingError> {
    of_credentials(&common::vcap::credentials(services, service)?, &common::vcap::origin(service))
}

/// The bucket that `credentials` describe; `origin` says where they come from.
pub(crate) fn of_credentials(credentials: &Map<String, Value>, origin: &str) -> Result<Binding, SettingError> {
    let field = |aliases: &[&str]| {
        let text = |alias: &&str| credentials.get(*alias).and_then(Value::as_str).filter(|text| !text.is_empty());
        aliases.iter().find_map(text).map(str::to_owned)
    };
    let required = |aliases: &[&str], what: &str| {
        field(aliases).ok_or_else(|| SettingError::Invalid {
            name: origin.to_owned(),
            reason: format!("its credentials have no {what} (looked for {})", aliases.join(", ")),
            how: Some("check that it is an S3 bucket's service, and bind it again".into()),
        })
    };
    let bucket = required(&["bucket_name", "bucket"], "bucket")?;
    Ok(Binding {
        url: format!("s3://{bucket}").parse()?,
        credentials: Credentials::Static {
            access_key_id: required(&["aws_access_key_id", "access_key_id"], "access key")?,
            secret_access_key: Secret::new(required(&["aws_secret_access_key", "secret_access_key"], "secret key")?),
            session_token: None,
        },
        region: field(&["aws_region", "region"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &str = r#"{
        "postgres": [{"instance_name": "db", "credentials": {"host": "h"}}],
        "aws-s3-bucket": [
            {"instance_name": "decoy", "credentials": {"bucket_name": "decoy-bucket"}},
            {"instance_name": "csv", "credentials": {"bucket_name": "paas-csv", "aws_access_key_id": "AKID",
             "aws_secret_access_key": "hunter2", "aws_region": "eu-west-1", "deploy_env": ""}}
        ],
        "s3": [{"name": "gov", "credentials": {"bucket": "gov-bucket", "access_key_id": "A", "secret_access_key": "hunter3"}}]
    }"#;

    #[test]
    fn a_binding_is_found_by_name() {
        let found = binding(SERVICES, "csv").unwrap();
        assert_eq!((found.url.bucket.as_str(), found.region.as_deref()), ("paas-csv", Some("eu-west-1")));
        assert!(!format!("{found:?}").contains("hunter"));
        assert_eq!(binding(SERVICES, "gov").unwrap().url.bucket, "gov-bucket");
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = |service| binding(SERVICES, service).unwrap_err().to_string();
        assert!(text("other").contains("it has `decoy`, `csv`, `db`, `gov`"), "{}", text("other"));
        assert!(text("db").contains("no bucket"), "{}", text("db"));
        assert!(text("decoy").contains("no access key"), "{}", text("decoy"));
    }
}
