//! One repository of a container registry, through the protocol that all of them speak (OCI distribution, version 2).
//!
//! Knows nothing of ECR's own service but that tokens come from it. A token that has expired is renewed once for each request.
//! Called by `push`, `pull-check` and `mirror`.

pub mod access;
pub mod failure;
pub mod http;
pub mod reference;
pub mod upload;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::retry::{RetryPolicy, retry};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use access::Access;
use failure::Failure;
use http::{Answer, Body, Http, Request};

/// All kinds of manifests that we can hand on.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// ECR's and Docker's own limit for a manifest.
const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// A registry that is started anew is back within this time.
const PATIENCE_DEFAULT: Duration = Duration::from_mins(3);

/// Pages of a list of tags or repositories that are asked for at most.
const PAGES_MAX: usize = 200;

/// A manifest as a registry keeps it.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What it is.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits, of `content`.
    pub digest: String,
    /// Its bytes, which the digest is of.
    pub content: Bytes,
}

/// One repository.
#[derive(Debug)]
pub struct Repository {
    http: Http,
    /// `https://HOST`, without a slash at the end.
    base: String,
    name: String,
    access: Access,
    /// How long the registry may be silent, or away in the middle of a push, without one byte of progress.
    patience: Duration,
    stop: CancellationToken,
}

impl Repository {
    /// The repository `name` of the registry at `base`.
    pub fn new(http: Http, base: &str, name: &str, access: Access, stop: CancellationToken) -> Self {
        let (base, name) = (base.trim_end_matches('/').to_owned(), name.to_owned());
        Self { http, base, name, access, patience: PATIENCE_DEFAULT, stop }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Another repository of the same registry.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self::new(self.http.clone(), &self.base, name, self.access.clone(), self.stop.clone())
            .with_patience(self.patience)
    }

    /// Its name as a person writes it: without the scheme.
    pub fn display_name(&self) -> String {
        format!("{}/{}", self.base.split("://").last().unwrap_or_default(), self.name)
    }

    /// Its name in the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The manifest under a tag or digest; `None` when there is none.
    pub async fn manifest(&self, reference: &str) -> Result<Option<Manifest>, Failure> {
        self.retried(async || {
            let request = Request::get(self.url(&format!("manifests/{reference}"))).header("accept", MANIFEST_TYPES);
            let answer = match self.expect(request, &[200]).await {
                Err(failure) if failure.is_absent() => return Ok(None),
                answer => answer?,
            };
            let declared = answer.header("content-type").unwrap_or_default();
            let content = answer.body.collect(MANIFEST_BYTES_MAX).await?;
            let digest = crate::image::digest_of(&content);
            if reference.starts_with("sha256:") && reference != digest {
                return Err(Failure::Protocol(format!("the manifest under {reference} has the digest {digest}")));
            }
            let own = serde_json::from_slice::<Value>(&content).unwrap_or_default();
            let media_type = own["mediaType"].as_str().map_or(declared, str::to_owned);
            Ok(Some(Manifest { media_type, digest, content }))
        })
        .await
    }

    /// Puts a manifest under a tag, or under its digest.
    pub async fn put_manifest(&self, reference: &str, manifest: &Manifest) -> Result<(), Failure> {
        self.retried(async || {
            let request = Request::new("PUT", self.url(&format!("manifests/{reference}")))
                .header("content-type", &manifest.media_type)
                .body(manifest.content.clone());
            let answer = self.expect(request, &[200, 201]).await?;
            match answer.header("docker-content-digest") {
                Some(digest) if digest != manifest.digest => {
                    Err(Failure::Protocol(format!("{} was stored as {digest}", manifest.digest)))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Whether the registry holds the blob with this digest.
    pub async fn has_blob(&self, digest: &str) -> Result<bool, Failure> {
        self.retried(async || {
            match self.expect(Request::new("HEAD", self.url(&format!("blobs/{digest}"))), &[200]).await {
                Err(failure) if failure.is_absent() => Ok(false),
                answer => answer.map(|_| true),
            }
        })
        .await
    }

    /// The content of the blob with this digest, from `offset` on. A connection that breaks later is the caller's business.
    pub async fn blob(&self, digest: &str, offset: u64) -> Result<Body, Failure> {
        let mut request = Request::get(self.url(&format!("blobs/{digest}")));
        if offset > 0 {
            request = request.header("range", &format!("bytes={offset}-"));
        }
        let answer = self.expect(request, &[200, 206]).await?;
        let skip = if answer.status == 206 { 0 } else { offset };
        answer.body.skip(skip).await
    }

    /// All tags.
    pub async fn tags(&self) -> Result<Vec<String>, Failure> {
        self.list(self.url("tags/list?n=1000"), "tags").await
    }

    /// All repositories of the registry.
    pub async fn catalog(&self) -> Result<Vec<String>, Failure> {
        self.list(format!("{}/v2/_catalog?n=1000", self.base), "repositories").await
    }

    async fn list(&self, first: String, field: &str) -> Result<Vec<String>, Failure> {
        let mut entries = Vec::new();
        let mut next = Some(first);
        for _ in 0..PAGES_MAX {
            let Some(url) = next.take() else { break };
            let (link, page) = self
                .retried(async || {
                    let answer = self.expect(Request::get(url.clone()), &[200]).await?;
                    let link = answer.header("link");
                    Ok((link, answer.body.collect(MANIFEST_BYTES_MAX).await?))
                })
                .await?;
            let page: Value = serde_json::from_slice(&page).map_err(|error| Failure::Protocol(error.to_string()))?;
            let names = page[field].as_array().into_iter().flatten();
            entries.extend(names.filter_map(Value::as_str).map(str::to_owned));
            // `</v2/…?last=x&n=1000>; rel="next"`
            next = link.and_then(|link| Some(self.absolute(link.split_once('<')?.1.split_once('>')?.0)));
        }
        entries.sort();
        Ok(entries)
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.name)
    }

    /// A location that the registry gave, which may leave out what we know.
    fn absolute(&self, location: &str) -> String {
        if location.starts_with('/') { format!("{}{location}", self.base) } else { location.to_owned() }
    }

    /// Sends a request as whoever we are; fails on any status that is not among `expected`.
    async fn expect(&self, request: Request, expected: &[u16]) -> Result<Answer, Failure> {
        let mut answer = self.send(&request).await?;
        if matches!(answer.status, 401 | 403) {
            let challenge = answer.header("www-authenticate");
            let denied = answer.failure().await;
            self.access.renew(&self.http, challenge.as_deref(), &self.name, denied).await?;
            answer = self.send(&request).await?;
        }
        if expected.contains(&answer.status) { Ok(answer) } else { Err(answer.failure().await) }
    }

    /// Sends a request as whoever we are, and waits for the answer's head no longer than our patience lasts.
    async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let sending = self.http.send(self.access.authorize(request));
        tokio::time::timeout(self.patience, sending).await.unwrap_or(Err(Failure::Silent))
    }

    /// Tries again what is worth it, as long as our patience lasts: a silent registry would use it up once for each attempt.
    async fn retried<T>(&self, attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let (begun, enough) = (Instant::now(), self.stop.child_token());
        let bounded = async |_| {
            let outcome = attempt().await;
            if begun.elapsed() >= self.patience {
                enough.cancel();
            }
            outcome
        };
        retry(RetryPolicy::REQUEST, &enough, bounded).await.outcome
    }
}
