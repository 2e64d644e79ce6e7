//! The container registries' control plane: which repositories there are, what is in them, tokens, scans.
//!
//! The one module that knows aws-sdk-ecr, behind the feature `ecr`. Called by `publish-images`. What changes anything is
//! [`Registry::start_scan`] and [`Registry::delete_repository`]; images travel through the registry's own protocol.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::config::{BehaviorVersion, IdentityCache, Region, SharedHttpClient, retry::RetryConfig};
use aws_sdk_ecr::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ecr::types::{
    FindingSeverity, ImageDetail, ImageIdentifier, ImageScanningConfiguration, ImageTagMutability,
};
use aws_smithy_async::time::SystemTimeSource;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::aws::{self, RequestFailure, SideOptions};
use crate::retry::{RetryPolicy, retry};
use crate::secret::Secret;
use crate::settings::SettingError;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Under this name the sessions of an assumed role appear in `CloudTrail`.
const SESSION_NAME: &str = "publish-images";

/// Images in one answer, the service's own maximum.
const PAGE_IMAGES: i32 = 1000;

/// Pages asked for at most. Ten times the 20,000 images that a repository holds by ECR's default quota.
const PAGES_MAX: usize = 200;

/// The registry of one account in one region.
#[derive(Debug, Clone)]
pub struct Registry {
    client: aws_sdk_ecr::Client,
    account: Option<String>,
    stop: CancellationToken,
}

/// What a scan has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// Nobody has asked for one, or it is not known yet.
    Absent,
    /// It goes on: the service's word in lower case.
    Running(String),
    /// It is done; the findings by severity in lower case, without those that are zero.
    Done(BTreeMap<String, u64>),
    /// It cannot be done: the service's words.
    Failed(String),
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// What an image's name begins with, for example `123456789012.dkr.ecr.eu-west-2.amazonaws.com/db-migration`.
    pub uri: String,
    /// Whether a tag can be moved to another image.
    pub mutable_tags: bool,
    /// Whether each image is scanned when it is pushed.
    pub scan_on_push: bool,
}

/// One image in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its tags, in order; none for an image whose tag has moved on.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed_at: Option<Timestamp>,
    /// Size of its compressed layers.
    pub size_bytes: Option<u64>,
    /// What the scan says: the service's word in lower case, for example `complete`; `not scanned` without one.
    pub scan: String,
    /// Findings of the scan by severity, in lower case, for example `high`; those that are zero are left out.
    pub scan_findings: BTreeMap<String, u64>,
}

impl Registry {
    /// The registry of `account`, or of whoever asks when that is `None`; as `assume_role`, where one is given. Asks nobody
    /// anything yet.
    pub async fn new(
        options: &SideOptions,
        account: Option<String>,
        assume_role: Option<&str>,
        stop: CancellationToken,
    ) -> Result<Self, SettingError> {
        let http_client = aws::http_client(options, "ECR")?;
        let mut credentials = aws::credentials_provider(options, &http_client).await;
        if let Some(role) = assume_role {
            credentials = assumed(role, options, credentials, &http_client).await;
        }
        let timeouts = aws::timeouts().to_builder().operation_timeout(REQUEST_TIMEOUT).build();
        let mut config = aws_sdk_ecr::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(options.region.clone()))
            .credentials_provider(credentials)
            .identity_cache(IdentityCache::lazy().load_timeout(aws::CREDENTIALS_TIMEOUT).build())
            .http_client(http_client)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(options.endpoint_url.clone());
        Ok(Self { client: aws_sdk_ecr::Client::from_conf(config.build()), account, stop })
    }

    /// The repository called `name`; `None` when there is none.
    pub async fn repository(&self, name: &str) -> Result<Option<Repository>, RequestFailure> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
            let request = self.client.describe_repositories().repository_names(name);
            match request.set_registry_id(self.account.clone()).send().await {
                Err(SdkError::ServiceError(error)) if error.err().code() == Some("RepositoryNotFoundException") => {
                    Ok(None)
                }
                answer => answer.map(Some).map_err(RequestFailure::from),
            }
        })
        .await;
        let Some(answer) = attempted.outcome? else { return Ok(None) };
        Ok(answer.repositories.unwrap_or_default().into_iter().next().map(|repository| Repository {
            mutable_tags: repository.image_tag_mutability() != Some(&ImageTagMutability::Immutable),
            scan_on_push: repository
                .image_scanning_configuration()
                .is_some_and(ImageScanningConfiguration::scan_on_push),
            uri: repository.repository_uri.unwrap_or_default(),
        }))
    }

    /// The images of the repository called `name`, newest first.
    pub async fn images(&self, name: &str) -> Result<Vec<Image>, RequestFailure> {
        let mut images = Vec::new();
        let mut next_token = None;
        for _ in 0..PAGES_MAX {
            let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
                let request = self.client.describe_images().repository_name(name).max_results(PAGE_IMAGES);
                let request = request.set_registry_id(self.account.clone()).set_next_token(next_token.clone());
                request.send().await.map_err(RequestFailure::from)
            })
            .await;
            let page = attempted.outcome?;
            images.extend(page.image_details.unwrap_or_default().into_iter().map(image));
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        images.sort_by(|left, right| (right.pushed_at, &left.digest).cmp(&(left.pushed_at, &right.digest)));
        Ok(images)
    }

    /// A token for the registry's protocol, good for twelve hours: the credentials of a `Basic` authorization.
    pub async fn token(&self) -> Result<Secret, RequestFailure> {
        Ok(self.authorization().await?.0)
    }

    /// The registry's address, for example `https://123456789012.dkr.ecr.eu-west-2.amazonaws.com`.
    pub async fn address(&self) -> Result<String, RequestFailure> {
        Ok(self.authorization().await?.1)
    }

    async fn authorization(&self) -> Result<(Secret, String), RequestFailure> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
            // The list of accounts is deprecated for those who have one registry, and the only way to name another one.
            #[expect(deprecated, reason = "the only way to name another account")]
            let request =
                self.client.get_authorization_token().set_registry_ids(self.account.clone().map(|id| vec![id]));
            request.send().await.map_err(RequestFailure::from)
        })
        .await;
        let data = attempted.outcome?.authorization_data.unwrap_or_default().into_iter().next();
        let token = data.as_ref().and_then(|data| data.authorization_token.clone()).unwrap_or_default();
        Ok((Secret::new(token), data.and_then(|data| data.proxy_endpoint).unwrap_or_default()))
    }

    /// Where the scan of an image stands.
    pub async fn scan(&self, repository: &str, digest: &str) -> Result<Scan, RequestFailure> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
            let request = self.client.describe_image_scan_findings().repository_name(repository);
            let request = request.set_registry_id(self.account.clone()).image_id(identifier(digest)).max_results(1000);
            match request.send().await {
                // An image that was pushed a moment ago may not be known to this half of ECR yet.
                Err(SdkError::ServiceError(error))
                    if matches!(error.err().code(), Some("ScanNotFoundException" | "ImageNotFoundException")) =>
                {
                    Ok(None)
                }
                answer => answer.map(Some).map_err(RequestFailure::from),
            }
        })
        .await;
        let Some(answer) = attempted.outcome? else { return Ok(Scan::Absent) };
        let status = answer.image_scan_status();
        let word = status.and_then(|status| status.status()).map_or("", |status| status.as_str());
        let words = || {
            let description = status.and_then(|status| status.description()).unwrap_or_default();
            format!("{} {description}", word.to_lowercase().replace('_', " ")).trim().to_owned()
        };
        Ok(match word {
            // `ACTIVE` is enhanced scanning's word: scanned, and scanned again when something new becomes known.
            "COMPLETE" | "ACTIVE" => {
                Scan::Done(findings(answer.image_scan_findings().and_then(|all| all.finding_severity_counts())))
            }
            "" | "PENDING" | "IN_PROGRESS" => Scan::Running(words()),
            _ => Scan::Failed(words()),
        })
    }

    /// Asks for the scan of an image that was not scanned when it was pushed.
    pub async fn start_scan(&self, repository: &str, digest: &str) -> Result<(), RequestFailure> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
            let request = self.client.start_image_scan().repository_name(repository).image_id(identifier(digest));
            request.set_registry_id(self.account.clone()).send().await.map_err(RequestFailure::from)
        })
        .await;
        attempted.outcome.map(drop)
    }

    /// Deletes a repository with everything in it.
    pub async fn delete_repository(&self, name: &str) -> Result<(), RequestFailure> {
        let attempted = retry(RetryPolicy::REQUEST, &self.stop, async |_| {
            let request = self.client.delete_repository().repository_name(name).force(true);
            request.set_registry_id(self.account.clone()).send().await.map_err(RequestFailure::from)
        })
        .await;
        attempted.outcome.map(drop)
    }
}

fn image(detail: ImageDetail) -> Image {
    let scan = detail
        .image_scan_status()
        .and_then(|scan| scan.status())
        .map_or_else(|| "not scanned".into(), |status| status.as_str().to_lowercase().replace('_', " "));
    let counts = detail.image_scan_findings_summary().and_then(|summary| summary.finding_severity_counts());
    let scan_findings = findings(counts);
    let pushed_at = detail.image_pushed_at().and_then(|time| Timestamp::from_second(time.secs()).ok());
    let mut tags = detail.image_tags.unwrap_or_default();
    tags.sort();
    Image {
        digest: detail.image_digest.unwrap_or_default(),
        tags,
        pushed_at,
        size_bytes: detail.image_size_in_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        scan,
        scan_findings,
    }
}

/// Counts by severity, without those that are zero.
fn findings(counts: Option<&HashMap<FindingSeverity, i32>>) -> BTreeMap<String, u64> {
    let counts = counts.into_iter().flatten();
    let counts =
        counts.filter_map(|(severity, count)| Some((severity.as_str().to_lowercase(), u64::try_from(*count).ok()?)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn identifier(digest: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest).build()
}

/// The credentials of `role`, which whoever `credentials` belong to may assume. For an endpoint that is not AWS, the same
/// endpoint answers for the role.
async fn assumed(
    role: &str,
    options: &SideOptions,
    credentials: SharedCredentialsProvider,
    http_client: &SharedHttpClient,
) -> SharedCredentialsProvider {
    let mut config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(options.region.clone()))
        .http_client(http_client.clone())
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .timeout_config(aws::timeouts().to_builder().operation_timeout(REQUEST_TIMEOUT).build());
    config.set_endpoint_url(options.endpoint_url.clone());
    let provider = AssumeRoleProvider::builder(role).session_name(SESSION_NAME).configure(&config.build());
    SharedCredentialsProvider::new(provider.build_from_provider(credentials).await)
}
