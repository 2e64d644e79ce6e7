//! One side of the migration: a client, a bucket, a prefix, and the way requests are made there.
//!
//! Every request goes through [`Store::call`]: it has a time limit, is repeated while its failure is transient, and its
//! error names side, bucket, key and operation. Knows nothing of what the requests are for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ConfigBag, Intercept, ResponseChecksumValidation, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use common::aws::{BucketClient, FailureKind, RequestFailure, SideOptions};
use common::location::BucketUrl;
use common::settings::SettingError;

use crate::dialect::Dialect;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::{Key, PlusMeans};
use crate::limits::Limits;
use crate::upload;

/// How long a store may think about a request before the head of its answer comes; finding credentials counts too.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The same for [`COMPLETION`]: S3 takes minutes to put thousands of parts together.
const COMPLETION_TIMEOUT: Duration = Duration::from_mins(5);

/// The one operation that takes its time.
const COMPLETION: &str = "CompleteMultipartUpload";

/// How often a request is made whose answer, a success, cannot be understood.
const UNREADABLE_ATTEMPTS: u32 = 3;

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
    limits: Limits,
}

#[derive(Debug)]
struct Inner {
    side: Side,
    client: Client,
    objects: BucketClient,
    url: BucketUrl,
    options: SideOptions,
    owner: Option<String>,
    dialect: OnceLock<Dialect>,
    /// Whether a HEAD has ever told how many tags an object has.
    told_tags_with_head: AtomicBool,
}

impl Store {
    /// The bucket at `url` as seen with `options`. Asks nobody anything yet.
    pub async fn new(side: Side, url: BucketUrl, options: SideOptions) -> Result<Self, SettingError> {
        Self::of_owner(side, url, options, None).await
    }

    /// The same, where every request says whose the bucket must be: the number of an account.
    pub async fn of_owner(
        side: Side,
        url: BucketUrl,
        options: SideOptions,
        owner: Option<String>,
    ) -> Result<Self, SettingError> {
        let client = common::aws::s3_client(&options).await?;
        // Bodies are checked here, against what is hashed anyway; the SDK would hash them a second time.
        // Time limits are those of `call_once` and of `upload`: the SDK's own counts a body that is being sent, however
        // well it moves.
        let limits = TimeoutConfig::builder().connect_timeout(common::aws::CONNECT_TIMEOUT).build();
        let config = client.config().to_builder();
        let config =
            config.response_checksum_validation(ResponseChecksumValidation::WhenRequired).timeout_config(limits);
        let config = match &owner {
            Some(owner) => config.interceptor(ExpectedOwner(owner.clone())),
            None => config,
        };
        let client = Client::from_conf(config.build());
        let objects = BucketClient::new(&options, &url.bucket, owner.clone()).await?;
        // S3 itself does: the documentation of HeadObject, `x-amz-tagging-count`. Of others one cannot know: LocalStack tells it
        // with a GET only.
        let told_tags_with_head = AtomicBool::new(options.endpoint_url.is_none());
        let dialect = OnceLock::new();
        let inner = Inner { side, client, objects, url, options, owner, dialect, told_tags_with_head };
        Ok(Self { inner: Arc::new(inner), limits: Limits::none() })
    }

    /// The same with these limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How hard it may be worked.
    pub fn limits(&self) -> &Limits {
        &self.limits
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

    /// Whether it is S3 itself, also through an endpoint of a VPC, and nothing that only answers like it.
    pub fn is_s3_itself(&self) -> bool {
        let is_amazons = |url: &String| url.split(['/', ':']).any(|part| part.ends_with(".amazonaws.com"));
        self.inner.options.endpoint_url.as_ref().is_none_or(is_amazons)
    }

    /// Whether a HEAD without a number of tags means that there are none. `told` says whether one just had a number.
    pub fn tells_tags_with_head(&self, told: bool) -> bool {
        self.inner.told_tags_with_head.fetch_or(told, Ordering::Relaxed) || told
    }

    /// The account whose bucket it must be, where one was given.
    pub fn owner(&self) -> Option<&str> {
        self.inner.owner.as_deref()
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

    /// Whether it knows the first version of listings only; not until [`Self::set_dialect`] says so.
    pub fn lists_by_version_1(&self) -> bool {
        self.inner.dialect.get().is_some_and(|dialect| dialect.version_1)
    }

    /// Settles how listings are to be read. Only the first call counts.
    pub fn set_dialect(&self, dialect: Dialect) {
        let _ = self.inner.dialect.set(dialect);
    }

    /// The full key of the object `key`, as the SDK sends it: not UTF-8 it cannot send, and white space it takes for nothing.
    pub fn full_key(&self, key: &Key) -> Result<String, Error> {
        let key = key.under(self.prefix());
        match key.as_str() {
            Some(text) if key.is_sendable() => Ok(text.to_owned()),
            Some(_) => Err(Error::KeyUnsendable { key, why: "nothing but white space" }),
            None => Err(Error::KeyUnsendable { key, why: "not UTF-8" }),
        }
    }

    /// What all keys below `folder` begin with, as the SDK sends it.
    pub fn full_prefix(&self, folder: &Key) -> Result<String, Error> {
        let prefix = folder.under(self.prefix());
        let text = prefix.as_str().map(ToOwned::to_owned);
        text.ok_or(Error::KeyUnsendable { key: prefix, why: "not UTF-8" })
    }

    /// The client, for building requests; they are sent by [`Self::call`].
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The same for what is asked of thousands of objects a second, and what needs its headers as they are.
    pub fn objects(&self) -> &BucketClient {
        &self.inner.objects
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
        E: Into<RequestFailure>,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = 1;
        loop {
            let slot = self.limits.begin().await;
            let outcome = self.call_once(operation, key, send()).await;
            drop(slot);
            match outcome {
                Err(error) if errand.must_look_first(operation, &error) => return Err(error),
                // A store that always answers so is another kind of store: no need for much patience.
                Err(error) if error.is_unreadable() && attempts >= UNREADABLE_ATTEMPTS => return Err(error),
                Err(error) if errand.again(&mut attempts, &error).await => {}
                outcome => return outcome,
            }
        }
    }

    /// The same for a request that carries `body`, which `send` is given in a form that is watched: it may take as long as
    /// it moves, and is given up when it does not. An error that `is_final` is not tried again whatever it is.
    pub async fn send<F>(
        &self,
        operation: &'static str,
        key: &Key,
        errand: &Errand,
        (body, is_final): (&Bytes, impl Fn(&Error) -> bool),
        send: impl Fn(SdkBody) -> F,
    ) -> Result<HttpResponse, Error>
    where
        F: Future<Output = Result<HttpResponse, RequestFailure>>,
    {
        let mut attempts = 1;
        loop {
            let slot = self.limits.begin().await;
            let (body, watch) = upload::watched(body.clone());
            let answer = tokio::select! {
                answer = send(body) => answer,
                stalled = watch.stalled() => Err(timeout(stalled)),
            };
            drop(slot);
            match answer.map_err(|failure| self.failed(operation, Some(key), failure)) {
                Err(error) if is_final(&error) || errand.must_look_first(operation, &error) => return Err(error),
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
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error>
    where
        E: Into<RequestFailure>,
    {
        let limit = if operation == COMPLETION { COMPLETION_TIMEOUT } else { ANSWER_TIMEOUT };
        let failure = match tokio::time::timeout(limit, answer).await {
            Ok(Ok(output)) => return Ok(output),
            Ok(Err(error)) => error.into(),
            Err(_) => timeout(format!("no answer within {} s", limit.as_secs())),
        };
        Err(self.failed(operation, key, failure))
    }

    fn failed(&self, operation: &'static str, key: Option<&Key>, failure: RequestFailure) -> Error {
        if failure.kind == FailureKind::Throttled {
            self.limits.throttled();
        }
        // Who gives no answer is named by the address that was tried.
        let place = match &self.inner.options.endpoint_url {
            Some(url) if failure.status.is_none() => format!("{} at {url}", self.place()),
            _ => self.place(),
        };
        Error::Request { place, key: key.cloned(), operation, failure: Box::new(failure) }
    }
}

/// Says in every request whose the bucket must be; the store refuses it when it is another's.
#[derive(Debug)]
struct ExpectedOwner(String);

impl Intercept for ExpectedOwner {
    fn name(&self) -> &'static str {
        "ExpectedOwner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().try_insert("x-amz-expected-bucket-owner", self.0.clone())?;
        Ok(())
    }
}

fn timeout(message: String) -> RequestFailure {
    RequestFailure { kind: FailureKind::Timeout, code: None, status: None, message, request_id: None, region: None }
}
