//! Requests about the objects of one bucket: built here, signed by the SDK's signer, sent by its HTTP client.
//!
//! The SDK itself prepares every request anew, which costs as much as sending it. Where thousands of small objects a second are
//! read and written, that is most of what a processor does (decision 0024). Knows nothing of what the requests are for.
//! Called by migrate-s3.

use std::borrow::Cow;
use std::time::SystemTime;

use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
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
use aws_smithy_types::Document;
use aws_smithy_types::endpoint::EndpointAuthScheme;
use aws_smithy_types::error::ErrorMetadata;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::identities::Identities;
use super::{CONNECT_TIMEOUT, RequestFailure, SideOptions, document, http};
use crate::settings::SettingError;

/// What we call ourselves.
const USER_AGENT: &str = concat!("core-migration/", env!("CARGO_PKG_VERSION"));

/// The type of a body that has none, as the SDK gives it.
const CONTENT_TYPE: &str = "application/octet-stream";

/// What is read of the document that comes with a refusal.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// What RFC 3986 calls unreserved stays as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, and the slashes of a key.
const PATH: &AsciiSet = &QUERY.remove(b'/');

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
        Ok(Self { connector, identities, url, scope, settings, owner })
    }

    /// Makes `request`, once, without a limit of time. Answers with the head of a success, its body still to come; anything else is
    /// a failure.
    pub async fn send(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, RequestFailure> {
        let unsent = |error| RequestFailure::new(&SdkError::<ErrorMetadata, _>::construction_failure(error));
        let identity = self.identities.current().await.map_err(|error| unsent(error.into()))?;
        let mut request = self.signed(request, &identity).map_err(unsent)?;
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let answer = self.connector.call(request).await;
        let mut answer =
            answer.map_err(|error| RequestFailure::new(&SdkError::<ErrorMetadata, _>::dispatch_failure(error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        if answer.status().is_server_error() {
            // Behind a name there are many machines; the next attempt is to have the chance of another one.
            if let Some(connection) = connection.get() {
                connection.poison();
            }
        }
        let said = document::error(&read(&mut answer).await);
        Err(RequestFailure::new(&SdkError::service_error(said, answer)))
    }

    /// The same for a request that writes. What was written has an ETag; a success without one is an error that comes with a 200, or
    /// a proxy's page.
    pub async fn write(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, RequestFailure> {
        let mut answer = self.send(request).await?;
        if answer.headers().get("etag").is_some_and(|etag| !etag.is_empty()) {
            return Ok(answer);
        }
        let document = read(&mut answer).await;
        Err(not_understood(answer, document))
    }

    /// The same for a request whose answer is a small document, of which the text under `name` is wanted.
    pub async fn ask(&self, request: ObjectRequest<'_>, name: &str) -> Result<String, RequestFailure> {
        let mut answer = self.send(request).await?;
        let document = read(&mut answer).await;
        document::said(&document, name).ok_or_else(|| not_understood(answer, document))
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
        let params = params.time(SystemTime::now()).settings(self.settings.clone()).build()?.into();
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

/// Where `bucket` is, and what region and service signatures there are for, by the SDK's own rules.
async fn endpoint(options: &SideOptions, bucket: &str) -> Result<(String, (String, String)), SettingError> {
    let invalid = |reason: String, how: &str| SettingError::Invalid {
        name: format!("the bucket `{bucket}`"),
        reason,
        how: Some(how.into()),
    };
    let params = Params::builder()
        .bucket(bucket)
        .region(&options.region)
        .set_endpoint(options.endpoint_url.clone())
        .force_path_style(options.endpoint_url.is_some())
        .build();
    let unresolved = |error: BoxError| invalid(error.to_string(), "check its name, the region and the endpoint");
    let params = params.map_err(|error| unresolved(error.into()))?;
    let endpoint = ResolveEndpoint::resolve_endpoint(&DefaultResolver::new(), &params).await.map_err(unresolved)?;
    let scheme = endpoint.auth_schemes().first();
    if let Some(other) = scheme.map(EndpointAuthScheme::name).filter(|name| *name != "sigv4") {
        let reason = format!("its requests are signed by `{other}`, which is not that of general purpose buckets");
        return Err(invalid(
            reason,
            "copy it with the tool of its own kind; directory buckets have neither tags nor order",
        ));
    }
    let word = |name: &str| scheme.and_then(|scheme| scheme.get(name)).and_then(Document::as_string);
    let region = word("signingRegion").unwrap_or(&options.region).to_owned();
    let service = word("signingName").unwrap_or("s3").to_owned();
    Ok((endpoint.url().trim_end_matches('/').to_owned(), (region, service)))
}

/// The failure that a success with this `document` is.
fn not_understood(mut answer: HttpResponse, document: Vec<u8>) -> RequestFailure {
    *answer.body_mut() = SdkBody::from(document);
    RequestFailure::new(&SdkError::service_error(ErrorMetadata::builder().build(), answer))
}

/// The beginning of a small body; as much of it as comes.
async fn read(answer: &mut HttpResponse) -> Vec<u8> {
    let mut body = ByteStream::new(answer.take_body());
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = body.next().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Credentials;

    fn options(endpoint_url: Option<&str>) -> SideOptions {
        SideOptions {
            endpoint_url: endpoint_url.map(str::to_owned),
            region: "eu-west-2".into(),
            credentials: Credentials::Static {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: crate::secret::Secret::new("hunter2"),
                session_token: None,
            },
        }
    }

    async fn signed(client: &BucketClient, request: ObjectRequest<'_>) -> HttpRequest {
        let identity = client.identities.current().await.unwrap();
        client.signed(request, &identity).unwrap()
    }

    #[tokio::test]
    async fn buckets_are_where_the_sdk_says() {
        let url = |options: SideOptions, bucket: &'static str| async move {
            endpoint(&options, bucket).await.map(|(url, _)| url)
        };
        let cases = [
            (None, "core-prod", "https://core-prod.s3.eu-west-2.amazonaws.com"),
            // A dot would not fit the certificate.
            (None, "core.prod", "https://s3.eu-west-2.amazonaws.com/core.prod"),
            (Some("http://127.0.0.1:9000"), "core-prod", "http://127.0.0.1:9000/core-prod"),
            (Some("https://host/s3/"), "core-prod", "https://host/s3/core-prod"),
        ];
        for (endpoint_url, bucket, expected) in cases {
            assert_eq!(url(options(endpoint_url), bucket).await.unwrap(), expected);
        }
        let error = url(options(None), "core--euw2-az1--x-s3").await.unwrap_err();
        assert!(error.to_string().contains("sigv4-s3express"), "{error}");
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
        let signed = "SignedHeaders=content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-expected-bucket-owner;x-amz-meta-a,";
        assert!(header("authorization").contains(signed), "{}", header("authorization"));
        assert!(header("authorization").contains("/eu-west-2/s3/aws4_request"), "{}", header("authorization"));
        assert_eq!(header("x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
        assert_eq!((header("content-length"), header("x-amz-meta-a")), ("3", "b"));
        assert!(!format!("{request:?}{client:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_said() {
        let client = BucketClient::new(&options(Some("http://127.0.0.1:9")), "bucket", None).await.unwrap();
        let failure = client.send(ObjectRequest::get("a").header("x-amz-meta-a", Some("b\nc"))).await.unwrap_err();
        assert_eq!(failure.kind, crate::aws::FailureKind::Other, "{failure}");
        let failure = client.send(ObjectRequest::get("a")).await.unwrap_err();
        assert_eq!(failure.kind, crate::aws::FailureKind::Unreachable, "{failure}");
    }
}
