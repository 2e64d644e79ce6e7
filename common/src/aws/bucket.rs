//! Requests about the objects of one bucket: built here, signed by the SDK's signer, sent by its HTTP client.
//!
//! The SDK itself prepares every request anew, which is dear where thousands of small objects a second are read and written
//! (decision 0024). Knows nothing of what the requests are for.
//! Called by migrate-s3.

use std::borrow::Cow;

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::error::{BoxError, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::error::ErrorMetadata;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::endpoint;
use super::identities::Identities;
use super::skew::Skew;
use super::{CONNECT_TIMEOUT, RequestFailure, SideOptions, document, http};
use crate::error::{Class, OperatorError as _};
use crate::settings::SettingError;

/// What we call ourselves.
const USER_AGENT: &str = concat!("core-migration/", env!("CARGO_PKG_VERSION"));

/// The type of a body that has none, as the SDK gives it.
const CONTENT_TYPE: &str = "application/octet-stream";

/// What is read of a document.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// What RFC 3986 calls unreserved stays as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, and the slashes of a key.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// What can go wrong, in the SDK's words.
type Failed = SdkError<ErrorMetadata, HttpResponse>;

/// One request about one object.
#[derive(Debug)]
pub struct ObjectRequest<'a> {
    method: &'static str,
    key: &'a str,
    query: Vec<(&'static str, Cow<'a, str>)>,
    headers: Vec<(Cow<'static, str>, String)>,
    body: Option<SdkBody>,
}

impl<'a> ObjectRequest<'a> {
    fn new(method: &'static str, key: &'a str, body: Option<SdkBody>) -> Self {
        Self { method, key, query: Vec::new(), headers: Vec::new(), body }
    }

    /// Asks for the content of `key`.
    pub fn get(key: &'a str) -> Self {
        Self::new("GET", key, None)
    }

    /// Asks for what is known of `key`.
    pub fn head(key: &'a str) -> Self {
        Self::new("HEAD", key, None)
    }

    /// Begins something about `key`.
    pub fn post(key: &'a str) -> Self {
        Self::new("POST", key, None)
    }

    /// Writes `body`, whose length must be known. It is not signed: say by a header what it must be.
    pub fn put(key: &'a str, body: SdkBody) -> Self {
        Self::new("PUT", key, Some(body))
    }

    /// With this in the query, where there is a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl Into<Cow<'a, str>>>) -> Self {
        self.query.extend(value.map(|value| (name, value.into())));
        self
    }

    /// With this header, where there is a value; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        self.headers.extend(value.map(|value| (Cow::Borrowed(name), value.into())));
        self
    }

    /// With these headers besides; names in lower case.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = (Cow<'static, str>, String)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// See the module.
#[derive(Debug)]
pub struct BucketClient {
    connector: Connector,
    identities: Identities,
    /// Where the bucket is, without a slash at its end.
    url: String,
    /// Region and service that signatures are for.
    scope: (String, String),
    settings: SigningSettings,
    owner: Option<String>,
    skew: Skew,
}

impl BucketClient {
    /// A client for `bucket` as seen with `options`. Asks nobody anything yet. With `owner`, every request says which account the
    /// bucket must belong to.
    ///
    /// Fails when the endpoint or `AWS_CA_BUNDLE` cannot be used, and for buckets that sign otherwise than general purpose ones.
    pub async fn new(options: &SideOptions, bucket: &str, owner: Option<String>) -> Result<Self, SettingError> {
        let (url, scope) = endpoint(options, bucket).await?;
        let connecting = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let connector = http::connector(options.endpoint_url.as_deref(), "S3", connecting)?;
        let identities = Identities::new(options, &super::http_client(options, "S3")?).await;
        // As S3 wants it: "Signature Calculations for the Authorization Header" of its API reference.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        Ok(Self { connector, identities, url, scope, settings, owner, skew: Skew::default() })
    }

    /// Makes `request`, once, without a limit of time. Answers with the head of a success, its body still to come; anything else is
    /// a failure.
    pub async fn send(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, RequestFailure> {
        let unsent = |error| RequestFailure::new(&Failed::construction_failure(error));
        let identity = self.identities.current().await.map_err(|error| unsent(error.into()))?;
        let mut request = self.signed(request, &identity).map_err(unsent)?;
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let answer = self.connector.call(request).await;
        let mut answer = answer.map_err(|error| RequestFailure::new(&Failed::dispatch_failure(error)))?;
        self.skew.learn(answer.headers());
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (document, torn) = read(&mut answer).await;
        let said = document::error(&document);
        let failed = match torn {
            // Without its document a refusal says too little to be believed.
            Some(error) if said.code().is_none() => Failed::response_error(error, answer),
            _ => Failed::service_error(said, answer),
        };
        let failure = RequestFailure::new(&failed);
        if failure.class() == Class::Transient
            && let Some(connection) = connection.get()
        {
            // Behind a name there are many machines; the next attempt is to have the chance of another one.
            connection.poison();
        }
        Err(failure)
    }

    /// The same for a request that writes. What was written has an ETag; a success without one is an error that comes with a 200, or
    /// a proxy's page.
    pub async fn write(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, RequestFailure> {
        let mut answer = self.send(request).await?;
        // Read to its end, so that the connection can be used again.
        let (document, _) = read(&mut answer).await;
        if answer.headers().get("etag").is_some_and(|etag| !etag.is_empty()) {
            return Ok(answer);
        }
        Err(not_understood(answer, document))
    }

    /// The same for a request whose answer is a small document, of which the text under `name` is wanted.
    pub async fn ask(&self, request: ObjectRequest<'_>, name: &str) -> Result<String, RequestFailure> {
        let mut answer = self.send(request).await?;
        match read(&mut answer).await {
            (document, None) => document::said(&document, name).ok_or_else(|| not_understood(answer, document)),
            (_, Some(error)) => Err(RequestFailure::new(&Failed::response_error(error, answer))),
        }
    }

    fn signed(&self, request: ObjectRequest<'_>, identity: &Identity) -> Result<HttpRequest, BoxError> {
        let ObjectRequest { method, key, query, mut headers, body } = request;
        let mut uri = String::with_capacity(self.url.len() + key.len() * 2 + 64);
        uri.push_str(&self.url);
        uri.push('/');
        uri.extend(utf8_percent_encode(key, PATH));
        for (index, (name, value)) in query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(name);
            // What has no value, as `uploads`, is written as the SDK writes it.
            uri.push_str(if value.is_empty() { "" } else { "=" });
            uri.extend(utf8_percent_encode(value, QUERY));
        }
        if let Some(body) = &body {
            let length = body.content_length().ok_or("the length of the body is not known")?;
            headers.push(("content-length".into(), length.to_string()));
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".into(), CONTENT_TYPE.to_owned()));
            }
        }
        headers.extend(self.owner.iter().map(|owner| ("x-amz-expected-bucket-owner".into(), owner.clone())));
        let payload = if body.is_some() { SignableBody::UnsignedPayload } else { SignableBody::empty() };
        let signable = headers.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
        let signable = SignableRequest::new(method, uri.as_str(), signable, payload)?;
        let (region, service) = &self.scope;
        let params = SigningParams::builder().identity(identity).region(region).name(service);
        let params = params.time(self.skew.now()).settings(self.settings.clone()).build()?.into();
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let mut request = ::http::Request::builder().method(method).uri(&uri).header("user-agent", USER_AGENT);
        for (name, value) in &headers {
            request = request.header(name.as_ref(), value);
        }
        let mut request = request.body(body.unwrap_or_else(SdkBody::empty))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(HttpRequest::try_from(request)?)
    }
}

/// The failure that a success with this `document` is.
fn not_understood(mut answer: HttpResponse, document: Vec<u8>) -> RequestFailure {
    *answer.body_mut() = SdkBody::from(document);
    RequestFailure::new(&Failed::service_error(ErrorMetadata::builder().build(), answer))
}

/// The beginning of a small body, and what it broke off with, if it did.
async fn read(answer: &mut HttpResponse) -> (Vec<u8>, Option<BoxError>) {
    let mut body = ByteStream::new(answer.take_body());
    let mut bytes = Vec::new();
    while bytes.len() < DOCUMENT_BYTES_MAX {
        match body.next().await {
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
            Some(Err(error)) => return (bytes, Some(error.into())),
            None => break,
        }
    }
    (bytes, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::tests::options;

    async fn signed(client: &BucketClient, request: ObjectRequest<'_>) -> HttpRequest {
        let identity = client.identities.current().await.unwrap();
        client.signed(request, &identity).unwrap()
    }

    #[tokio::test]
    async fn keys_arrive_as_they_are() {
        let client = BucketClient::new(&options(Some("http://127.0.0.1:9000")), "bucket", None).await.unwrap();
        for (key, path) in [
            ("a/b", "/bucket/a/b"),
            ("/a//../.b/", "/bucket//a//../.b/"),
            ("a b+c%d?e#ü", "/bucket/a%20b%2Bc%25d%3Fe%23%C3%BC"),
            ("\u{1}'~*", "/bucket/%01%27~%2A"),
        ] {
            let request = signed(&client, ObjectRequest::get(key).query("versionId", Some("a/b="))).await;
            assert_eq!(request.uri(), format!("http://127.0.0.1:9000{path}?versionId=a%2Fb%3D"));
        }
    }

    /// The signature itself is held against by every server of the integration suite.
    #[tokio::test]
    async fn everything_is_signed_and_the_secret_is_not_sent() {
        let owner = Some("123456789012".to_owned());
        let client = BucketClient::new(&options(None), "core-prod", owner).await.unwrap();
        let request = ObjectRequest::put("key", SdkBody::from("abc")).header("x-amz-meta-a", Some("b"));
        let request = signed(&client, request).await;
        let header = |name| request.headers().get(name).unwrap();
        let signed = "SignedHeaders=content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-expected-bucket-owner;x-amz-meta-a;x-amz-security-token,";
        assert!(header("authorization").contains(signed), "{}", header("authorization"));
        assert!(header("authorization").contains("/eu-west-2/s3/aws4_request"), "{}", header("authorization"));
        assert_eq!(header("x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
        assert_eq!((header("content-length"), header("x-amz-meta-a")), ("3", "b"));
        assert!(!format!("{request:?}{client:?}").contains("hunter2"));
        assert!(!format!("{client:?}").contains("hunter3"));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_said() {
        let client = BucketClient::new(&options(Some("http://127.0.0.1:9")), "bucket", None).await.unwrap();
        let failure = client.send(ObjectRequest::get("a").header("x-amz-meta-a", Some("b\nc"))).await.unwrap_err();
        assert_eq!(failure.kind, crate::aws::FailureKind::Other, "{failure}");
        let failure = client.send(ObjectRequest::get("a")).await.unwrap_err();
        assert_eq!(failure.kind, crate::aws::FailureKind::Unreachable, "{failure}");
    }

    /// A client of a server that gives these answers one after the other; the server counts its connections.
    async fn answered_by(answers: Vec<&'static str>) -> (BucketClient, impl Future<Output = usize>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = async move {
            let (mut answers, mut connections) = (answers.into_iter().peekable(), 0);
            while answers.peek().is_some() {
                let (mut connection, _) = listener.accept().await.unwrap();
                connections += 1;
                let mut request = [0; 4096];
                while answers.peek().is_some() && connection.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    let answer = answers.next().unwrap();
                    connection.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains("connection: close") {
                        break;
                    }
                }
            }
            connections
        };
        (BucketClient::new(&options(Some(&url)), "bucket", None).await.unwrap(), server)
    }

    #[tokio::test]
    async fn a_torn_refusal_is_not_believed_and_a_whole_one_is() {
        let torn = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 99\r\n\r\n<Error><Code>NoSuchBuck";
        let whole = "HTTP/1.1 404 Not Found\r\ncontent-length: 40\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>";
        let (client, server) = answered_by(vec![torn, whole]).await;
        let asked = async {
            let failure = client.send(ObjectRequest::get("a")).await.unwrap_err();
            assert_eq!(failure.class(), Class::Transient, "{failure}");
            let failure = client.send(ObjectRequest::get("a")).await.unwrap_err();
            assert_eq!((failure.code.as_deref(), failure.class()), (Some("NoSuchBucket"), Class::Permanent));
        };
        tokio::join!(server, asked);
    }

    #[tokio::test]
    async fn a_connection_on_which_a_request_failed_in_passing_is_not_used_again() {
        let fine = "HTTP/1.1 200 OK\r\netag: x\r\ncontent-length: 2\r\n\r\nok";
        let without_etag = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n<Error><Code>SlowDown</Code></Error>    ";
        let busy = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
        let (client, server) = answered_by(vec![fine, without_etag, busy, fine]).await;
        let write = || client.write(ObjectRequest::put("a", SdkBody::from("abc")));
        let asked = async {
            assert!(write().await.is_ok());
            assert_eq!(write().await.unwrap_err().code.as_deref(), Some("SlowDown"));
            assert_eq!(write().await.unwrap_err().status, Some(503));
            assert!(write().await.is_ok());
        };
        assert_eq!(tokio::join!(server, asked).0, 2);
    }
}
