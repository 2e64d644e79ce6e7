//! Clients for AWS and what answers like it, set up the way a migration needs them.
//!
//! Each side of a migration has its own [`SideOptions`]; nothing is shared between two clients, neither
//! credentials nor connections. The SDK's own retries and its stalled-stream detector are off: the first stops
//! retrying for all workers once its token bucket is empty, the second takes a slow consumer for a dead server.
//! Retries are [`crate::retry`]'s, and every caller sets the time limit of its own operation.
//! Called by migrate-s3 for both sides, by [`crate::report`] and by `publish-images`.

mod bucket;
pub mod document;
mod endpoint;
mod failure;
mod http;
mod identities;
mod skew;

use std::fmt;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};

use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

pub use bucket::{BucketClient, ObjectRequest};
pub use failure::{FailureKind, RequestFailure};

use crate::secret::Secret;
use crate::settings::SettingError;

/// The region of the estate, where none is given.
pub const REGION_DEFAULT: &str = "eu-west-2";

/// How long a connection may take, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may take until its answer begins. The body that we send counts, so this must suffice for
/// the largest part on the slowest line: 64 MiB in two minutes is 0.6 MB/s.
pub const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// How long finding credentials may take, over all links of the chain.
pub(crate) const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);

/// The instance metadata service answers from the host itself or, on most machines, not at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Who we are to one side.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A key pair given for this side. Nothing else is looked at, whatever `AWS_*` says.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// The access key's secret.
        secret_access_key: Secret,
        /// The token that belongs to temporary keys.
        session_token: Option<Secret>,
    },
    /// The ordinary chain: `AWS_*`, profile, web identity, the task's role, the instance's role.
    Chain,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Static { .. } => "Static(***)",
            Self::Chain => "Chain",
        })
    }
}

/// How one side is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideOptions {
    /// `http://` or `https://` address of something that answers like S3; `None` is AWS itself.
    pub endpoint_url: Option<String>,
    /// The region, for example [`REGION_DEFAULT`].
    pub region: String,
    /// Who we are there.
    pub credentials: Credentials,
}

impl SideOptions {
    /// A side that is reached as whoever the process is, in `region` or [`REGION_DEFAULT`].
    pub fn of_process(endpoint_url: Option<String>, region: Option<String>) -> Self {
        let region = region.unwrap_or_else(|| REGION_DEFAULT.into());
        Self { endpoint_url, region, credentials: Credentials::Chain }
    }
}

/// A client for the S3 of one side. Asks nobody anything yet: wrong credentials show at the first request.
///
/// Bodies are addressed path-style when an endpoint is given. Checksums are sent and checked as the caller says;
/// the SDK adds its own only where S3 demands one, and checks those that S3 returns.
///
/// Fails when the endpoint or `AWS_CA_BUNDLE` cannot be used.
pub async fn s3_client(options: &SideOptions) -> Result<aws_sdk_s3::Client, SettingError> {
    let http_client = http_client(options, "S3")?;
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials_provider(options, &http_client).await)
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build())
        .http_client(http_client)
        .timeout_config(timeouts())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .force_path_style(options.endpoint_url.is_some());
    config.set_endpoint_url(options.endpoint_url.clone());
    Ok(aws_sdk_s3::Client::from_conf(config.build()))
}

/// The HTTP client of one side; `service` is the word for messages.
pub(crate) fn http_client(options: &SideOptions, service: &str) -> Result<SharedHttpClient, SettingError> {
    http::client(options.endpoint_url.as_deref(), service)
}

/// A connection pool for requests that are not the SDK's own, to `endpoint_url` and wherever it redirects to. `service` is
/// the word for messages. Trusts whom the clients trust, and has their time limits.
pub fn connector(endpoint_url: &str, service: &str) -> Result<aws_smithy_http_client::Connector, SettingError> {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
    http::connector(Some(endpoint_url), service, settings.build())
}

/// The time limits that hold for every request; that of the whole operation is the caller's.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()
}

/// The credentials of `options` as the SDK takes them.
pub(crate) async fn credentials_provider(
    options: &SideOptions,
    http_client: &SharedHttpClient,
) -> SharedCredentialsProvider {
    match &options.credentials {
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            SharedCredentialsProvider::new(SdkCredentials::new(
                access_key_id,
                secret_access_key.expose(),
                session_token.as_ref().map(|token| token.expose().to_owned()),
                None,
                "given for this side",
            ))
        }
        Credentials::Chain => {
            let region = Region::new(options.region.clone());
            let provider_config = ProviderConfig::empty()
                .with_behavior_version(Some(BehaviorVersion::latest()))
                .with_http_client(http_client.clone())
                .with_sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
                .with_region(Some(region.clone()));
            let metadata = imds::Client::builder()
                .configure(&provider_config)
                .connect_timeout(METADATA_TIMEOUT)
                .read_timeout(METADATA_TIMEOUT)
                .max_attempts(2)
                .build();
            let chain = DefaultCredentialsChain::builder()
                .configure(provider_config)
                .region(region)
                .imds_client(metadata)
                .build()
                .await;
            SharedCredentialsProvider::new(chain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A side with credentials that must not show.
    pub(super) fn options(endpoint_url: Option<&str>) -> SideOptions {
        SideOptions {
            endpoint_url: endpoint_url.map(str::to_owned),
            region: REGION_DEFAULT.into(),
            credentials: Credentials::Static {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: Secret::new("hunter2"),
                session_token: Some(Secret::new("hunter3")),
            },
        }
    }

    #[test]
    fn credentials_cannot_be_printed() {
        let text = format!("{:?}", options(None));
        assert!(!text.contains("hunter") && !text.contains("AKID"), "{text}");
    }

    #[tokio::test]
    async fn given_credentials_are_the_ones_used() {
        use aws_credential_types::provider::ProvideCredentials as _;
        let options = options(Some("http://127.0.0.1:9000"));
        let http_client = http::client(options.endpoint_url.as_deref(), "S3").unwrap();
        let provider = credentials_provider(&options, &http_client).await;
        assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), "AKIDEXAMPLE");
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = s3_client(&options(Some(&format!("http://{address}")))).await.unwrap();
        let failure = RequestFailure::from(client.list_buckets().send().await.unwrap_err());
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(failure.to_string().contains("refused"), "{failure}");
    }
}
