//! One side of the migration: a client, a bucket, a prefix, and the way requests are made there.
//!
//! Every request goes through [`Store::call`]: it has a time limit, is repeated while its failure is transient, and its
//! error names side, bucket, key and operation. Knows nothing of what the requests are for.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use common::aws::{FailureKind, RequestFailure, SideOptions};
use common::location::BucketUrl;
use common::settings::SettingError;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::{Key, PlusMeans};
use crate::listing::Dialect;

/// The limit of a request with its answer's head. Longer than the client's own read limit, which is the one that
/// should strike: this one is for what that does not see, such as finding credentials.
const CALL_TIMEOUT: Duration = Duration::from_secs(150);

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the data comes from; only ever read.
    Source,
    /// Where it goes.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    side: Side,
    client: Client,
    url: BucketUrl,
    options: SideOptions,
    dialect: OnceLock<Dialect>,
}

impl Store {
    /// The bucket at `url` as seen with `options`. Asks nobody anything yet.
    pub async fn new(side: Side, url: BucketUrl, options: SideOptions) -> Result<Self, SettingError> {
        let client = common::aws::s3_client(&options).await?;
        // Bodies are checked here, against what is hashed anyway; the SDK would hash them a second time.
        let config =
            client.config().to_builder().response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let client = Client::from_conf(config.build());
        Ok(Self { inner: Arc::new(Inner { side, client, url, options, dialect: OnceLock::new() }) })
    }

    /// Which side this is.
    pub fn side(&self) -> Side {
        self.inner.side
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.inner.url.bucket
    }

    /// What keys begin with; empty for the whole bucket.
    pub fn prefix(&self) -> &str {
        &self.inner.url.prefix
    }

    /// Bucket and prefix.
    pub fn url(&self) -> &BucketUrl {
        &self.inner.url
    }

    /// How it is reached.
    pub fn options(&self) -> &SideOptions {
        &self.inner.options
    }

    /// Side and location as messages name them: `source s3://bucket/prefix/`.
    pub fn place(&self) -> String {
        format!("{} {}", self.inner.side, self.inner.url)
    }

    /// What answers there, for the report.
    pub fn engine(&self) -> String {
        let SideOptions { endpoint_url, region, .. } = &self.inner.options;
        endpoint_url.as_ref().map_or_else(|| format!("AWS S3, {region}"), |url| format!("S3 at {url}, {region}"))
    }

    /// How a plus in this store's listings is to be read; AWS's way until [`Self::set_dialect`].
    pub fn plus_means(&self) -> PlusMeans {
        self.inner.dialect.get().map(|dialect| dialect.plus_means).unwrap_or_default()
    }

    /// Whether it lists folder by folder; not until [`Self::set_dialect`] says so.
    pub fn lists_by_folder(&self) -> bool {
        self.inner.dialect.get().is_some_and(|dialect| dialect.by_folder)
    }

    /// Settles how listings are to be read. Only the first call counts.
    pub fn set_dialect(&self, dialect: Dialect) {
        let _ = self.inner.dialect.set(dialect);
    }

    /// The full key of the object `key`, as the SDK sends it.
    pub fn full_key(&self, key: &Key) -> Result<String, Error> {
        let key = key.under(self.prefix());
        key.as_str().map(ToOwned::to_owned).ok_or_else(|| Error::KeyNotUtf8 { key: key.clone() })
    }

    /// The client, for building requests; they are sent by [`Self::call`].
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Makes the request that `send` builds and sends, again while it fails with a transient error.
    pub async fn call<T, E, F>(
        &self,
        operation: &'static str,
        key: Option<&Key>,
        errand: &Errand,
        send: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let mut attempts = 1;
        loop {
            match self.call_once(operation, key, send()).await {
                Err(error) if errand.again(&mut attempts, &error).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits for the answer to one request.
    pub async fn call_once<T, E>(
        &self,
        operation: &'static str,
        key: Option<&Key>,
        answer: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failure = match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(output)) => return Ok(output),
            Ok(Err(error)) => RequestFailure::new(&error),
            Err(_) => RequestFailure {
                kind: FailureKind::Timeout,
                code: None,
                status: None,
                message: format!("no answer within {} s", CALL_TIMEOUT.as_secs()),
                request_id: None,
                region: None,
            },
        };
        // Who gives no answer is named by the address that was tried.
        let place = match &self.inner.options.endpoint_url {
            Some(url) if failure.status.is_none() => format!("{} at {url}", self.place()),
            _ => self.place(),
        };
        Err(Error::Request { place, key: key.cloned(), operation, failure: Box::new(failure) })
    }
}
