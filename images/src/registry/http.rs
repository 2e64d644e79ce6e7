//! Plain HTTP for the registry's protocol, on the connections that the AWS clients use: same trust, same time limits.
//!
//! Follows redirections of reads, as registries keep blobs in object stores; the token does not travel to another host.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Buf as _, Bytes, BytesMut};

use super::failure::Failure;

/// No stream stays silent longer than this.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// Redirections in a row.
const REDIRECTIONS_MAX: usize = 5;

/// Bytes of an error's text that are read.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Http {
    connector: Arc<Connector>,
}

/// A request. Can be sent more than once.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &'static str, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new() }
    }

    /// A read.
    pub fn get(url: String) -> Self {
        Self::new("GET", url)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// The answer to a request; its body is not yet read.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }

    /// The failure that it speaks of.
    pub async fn failure(self) -> Failure {
        let body = self.body.collect(ERROR_BYTES_MAX).await.unwrap_or_default();
        Failure::of_answer(self.status, &body)
    }
}

/// A body that is being read.
#[derive(Debug)]
pub struct Body {
    stream: ByteStream,
    /// What was read and not yet asked for.
    rest: Bytes,
}

impl Body {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        match tokio::time::timeout(IDLE_MAX, self.stream.next()).await {
            Err(_) => Err(Failure::Silent),
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(error))) => Err(Failure::broken(&error)),
        }
    }

    /// The whole body, which must not be longer than `bytes_max`.
    pub async fn collect(mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > bytes_max {
                return Err(Failure::Protocol(format!("an answer has more than {bytes_max} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// The body without its first `count` bytes.
    pub async fn skip(mut self, mut count: u64) -> Result<Self, Failure> {
        while count > 0 {
            let Some(mut bytes) = self.next().await? else { break };
            let skipped = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
            bytes.advance(skipped);
            count -= skipped as u64;
            self.rest = bytes;
        }
        Ok(self)
    }
}

impl Http {
    /// Connections through `connector`.
    pub fn new(connector: Connector) -> Self {
        Self { connector: Arc::new(connector) }
    }

    /// Sends a request, and follows where a read is redirected to.
    pub async fn send(&self, mut request: Request) -> Result<Answer, Failure> {
        for _ in 0..REDIRECTIONS_MAX {
            let answer = self.send_once(&request).await?;
            let reads = matches!(request.method, "GET" | "HEAD");
            match answer.header("location") {
                Some(location) if reads && matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                    if !location.starts_with('/') {
                        request.headers.retain(|(name, _)| *name != "authorization");
                    }
                    request.url = join(&request.url, &location);
                }
                _ => return Ok(answer),
            }
        }
        Err(Failure::Protocol(format!("more than {REDIRECTIONS_MAX} redirections in a row")))
    }

    async fn send_once(&self, request: &Request) -> Result<Answer, Failure> {
        let wrong = |error: &dyn std::error::Error| Failure::Protocol(format!("no request can be made: {error}"));
        let mut sent = HttpRequest::new(SdkBody::from(request.body.clone()));
        sent.set_method(request.method).map_err(|error| wrong(&error))?;
        sent.set_uri(request.url.as_str()).map_err(|error| wrong(&error))?;
        for (name, value) in &request.headers {
            sent.headers_mut().try_insert(*name, value.clone()).map_err(|error| wrong(&error))?;
        }
        let mut answer: HttpResponse = self.connector.call(sent).await.map_err(|error| Failure::broken(&error))?;
        let headers = answer.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let stream = ByteStream::new(answer.take_body());
        Ok(Answer { status: answer.status().as_u16(), headers, body: Body { stream, rest: Bytes::new() } })
    }
}

/// A redirection's target, which may leave out the host.
fn join(url: &str, location: &str) -> String {
    if !location.starts_with('/') {
        return location.to_owned();
    }
    let host_begins = url.find("://").map_or(0, |index| index + 3);
    let host_ends = url[host_begins..].find('/').map_or(url.len(), |index| host_begins + index);
    format!("{}{location}", &url[..host_ends])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_may_leave_out_the_host() {
        assert_eq!(join("https://host:5000/v2/a", "/b?c"), "https://host:5000/b?c");
        assert_eq!(join("https://host/v2/a", "https://other/b"), "https://other/b");
    }

    #[tokio::test]
    async fn a_body_is_read_in_pieces() {
        let body = || Body { stream: ByteStream::from_static(b"0123456789"), rest: Bytes::new() };
        assert_eq!(body().skip(4).await.unwrap().collect(100).await.unwrap(), "456789");
        assert_eq!(body().skip(40).await.unwrap().collect(100).await.unwrap(), "");
        assert!(body().collect(9).await.is_err());
    }
}
