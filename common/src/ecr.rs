//! The container registries' control plane: which repositories there are and what is in them. Only reads.
//!
//! The one module that knows aws-sdk-ecr, behind the feature `ecr`. Called by `publish-images`.

use std::time::Duration;

use aws_sdk_ecr::config::{BehaviorVersion, IdentityCache, Region, retry::RetryConfig};
use aws_sdk_ecr::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ecr::types::{ImageDetail, ImageScanningConfiguration, ImageTagMutability};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::aws::{self, RequestFailure, SideOptions};
use crate::retry::{RetryPolicy, retry};
use crate::settings::SettingError;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

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
    pub scan_findings: std::collections::BTreeMap<String, u64>,
}

impl Registry {
    /// The registry of `account`, or of whoever asks when that is `None`. Asks nobody anything yet.
    pub async fn new(
        options: &SideOptions,
        account: Option<String>,
        stop: CancellationToken,
    ) -> Result<Self, SettingError> {
        let http_client = aws::http_client(options, "ECR")?;
        let timeouts = aws::timeouts().to_builder().operation_timeout(REQUEST_TIMEOUT).build();
        let mut config = aws_sdk_ecr::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(options.region.clone()))
            .credentials_provider(aws::credentials_provider(options, &http_client).await)
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
}

fn image(detail: ImageDetail) -> Image {
    let scan = detail
        .image_scan_status()
        .and_then(|scan| scan.status())
        .map_or_else(|| "not scanned".into(), |status| status.as_str().to_lowercase().replace('_', " "));
    let counts = detail.image_scan_findings_summary().and_then(|summary| summary.finding_severity_counts());
    let scan_findings = counts
        .into_iter()
        .flatten()
        .filter_map(|(severity, count)| Some((severity.as_str().to_lowercase(), u64::try_from(*count).ok()?)))
        .filter(|(_, count)| *count > 0)
        .collect();
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
