//! What went wrong with a request to AWS, in words that an operator can use.
//!
//! Made from the SDK's errors, whose own text is a page long and may quote signed headers. Knows the error codes
//! that all services share; a service's own codes are its caller's.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::document;
use crate::error::{Class, OperatorError};

/// The kinds of failure that differ in what to do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// There are no credentials, or the service does not know them.
    Credentials,
    /// The credentials are known and may not do this.
    AccessDenied,
    /// The bucket or repository is in another region.
    WrongRegion,
    /// The bucket, key, upload or repository does not exist.
    NotFound,
    /// The clocks of the two sides differ too much.
    Clock,
    /// The server asks for patience.
    Throttled,
    /// The server could not be reached, or the connection broke.
    Unreachable,
    /// No such host.
    UnknownHost,
    /// The server's certificate is not trusted.
    Untrusted,
    /// No answer within the time limit.
    Timeout,
    /// The server failed.
    Server,
    /// Anything else; permanent.
    Other,
}

/// One failed request. Holds no header, signature or credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFailure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The service's own code, for example `NoSuchBucket`.
    pub code: Option<String>,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// What the service or the network said.
    pub message: String,
    /// The id by which the service's owner finds the request.
    pub request_id: Option<String>,
    /// The region that the bucket is in, when the service told.
    pub region: Option<String>,
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.status) {
            (Some(code), _) => write!(formatter, "{code}: {}", self.message)?,
            (None, Some(status)) => write!(formatter, "HTTP status {status}: {}", self.message)?,
            (None, None) => formatter.write_str(&self.message)?,
        }
        if let Some(request_id) = &self.request_id {
            write!(formatter, " (request {request_id})")?;
        }
        Ok(())
    }
}

impl Error for RequestFailure {}

impl OperatorError for RequestFailure {
    fn class(&self) -> Class {
        match self.kind {
            FailureKind::Throttled | FailureKind::Unreachable | FailureKind::Timeout | FailureKind::Server => {
                Class::Transient
            }
            FailureKind::Credentials
            | FailureKind::AccessDenied
            | FailureKind::WrongRegion
            | FailureKind::NotFound
            | FailureKind::Clock
            | FailureKind::UnknownHost
            | FailureKind::Untrusted
            | FailureKind::Other => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.kind {
            FailureKind::Credentials => {
                "check the credentials of this side: key, secret and session token, or the task's role"
            }
            FailureKind::AccessDenied => {
                "allow this action to the user or role in use, also in the bucket's and the key's policies"
            }
            FailureKind::WrongRegion => {
                return Some(match &self.region {
                    Some(region) => format!("it is in {region}: give that region for this side"),
                    None => "give the region that it is in".into(),
                });
            }
            FailureKind::NotFound => "check the name, the account and the region",
            FailureKind::Clock => "set this machine's clock",
            FailureKind::Throttled => "run the same command again later, or with fewer workers",
            FailureKind::Unreachable => {
                "check the endpoint's address and port, the security groups and the route to it"
            }
            FailureKind::UnknownHost => "check the spelling of the endpoint and of the region, and the name resolution",
            FailureKind::Untrusted => {
                "name the file of the authority that signed the server's certificate in AWS_CA_BUNDLE"
            }
            FailureKind::Timeout | FailureKind::Server => "run the same command again",
            FailureKind::Other => return None,
        };
        Some(hint.into())
    }
}

impl<E> From<SdkError<E, HttpResponse>> for RequestFailure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::new(&error)
    }
}

impl RequestFailure {
    /// What `error` comes to.
    pub fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(service) => Self::of_answer(service.err(), service.raw()),
            SdkError::TimeoutError(_) => Self::without_answer(FailureKind::Timeout, "no answer within the time limit"),
            SdkError::ResponseError(_) => {
                let message = format!("the answer could not be read: {}", innermost(error));
                Self::without_answer(FailureKind::Server, message)
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Self::without_answer(FailureKind::Timeout, format!("no answer in time: {}", innermost(error)))
            }
            _ => {
                let kind = kind_of_chain(error);
                let message = match (kind, innermost(error)) {
                    // The SDK lists on further lines what it tried.
                    (FailureKind::Credentials, reason) if reason.contains('\n') => {
                        "there are no credentials in the environment, the profile or the task's role".into()
                    }
                    (FailureKind::Credentials, reason) => format!("no credentials could be had: {reason}"),
                    (_, reason) => reason,
                };
                Self::without_answer(kind, message)
            }
        }
    }

    fn of_answer(error: &impl ProvideErrorMetadata, response: &HttpResponse) -> Self {
        let header = |name: &str| response.headers().get(name).map(str::to_owned);
        let status = response.status().as_u16();
        // A success that the SDK takes for a failure is one whose document is not the one that was asked for; some
        // services say 200 and send an error.
        let document = response.body().bytes().filter(|_| response.status().is_success() && error.code().is_none());
        let within = document.map(document::error).unwrap_or_default();
        let code = error.code().or_else(|| within.code()).map(str::to_owned);
        let message =
            error.message().filter(|message| !message.is_empty()).or_else(|| within.message()).map(str::to_owned);
        let message = message.unwrap_or_else(|| words_for(status).to_owned());
        Self {
            kind: kind_of_code(code.as_deref().unwrap_or_default(), status),
            code,
            status: Some(status),
            message,
            request_id: header("x-amz-request-id").or_else(|| header("x-amzn-requestid")),
            region: header("x-amz-bucket-region"),
        }
    }

    fn without_answer(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, status: None, message: message.into(), request_id: None, region: None }
    }
}

fn kind_of_code(code: &str, status: u16) -> FailureKind {
    match (code, status) {
        ("SlowDown" | "RequestLimitExceeded" | "TooManyRequestsException" | "BandwidthLimitExceeded", _) | (_, 429) => {
            FailureKind::Throttled
        }
        (code, _) if code.contains("Throttl") => FailureKind::Throttled,
        ("RequestTimeout" | "InternalError" | "ServiceUnavailable" | "InternalFailure" | "ServerException", _)
        | (_, 408 | 500 | 502 | 503 | 504)
        // It agreed, and what came with it cannot be read: torn, or not its own.
        | ("", 200..=299) => FailureKind::Server,
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException",
            _,
        )
        | (_, 401) => FailureKind::Credentials,
        ("RequestTimeTooSkewed", _) => FailureKind::Clock,
        // Archived: a matter of this object and not of rights, whatever the status.
        ("InvalidObjectState", _) => FailureKind::Other,
        (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, 301 | 307) => FailureKind::WrongRegion,
        ("NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" | "NotFound" | "RepositoryNotFoundException", _) | (_, 404) => {
            FailureKind::NotFound
        }
        ("AccessDenied" | "AccessDeniedException" | "AllAccessDisabled", _) | (_, 403) => FailureKind::AccessDenied,
        _ => FailureKind::Other,
    }
}

fn words_for(status: u16) -> &'static str {
    match status {
        301 | 307 => "the bucket is in another region",
        403 => "access denied",
        404 => "not found",
        412 => "it has changed meanwhile",
        200..=299 => "the service agreed, and its answer cannot be understood",
        _ => "the service gave no reason",
    }
}

/// The kind of a failure without an answer, from what its causes are.
fn kind_of_chain(error: &(dyn Error + 'static)) -> FailureKind {
    let mut cause = Some(error);
    let mut kind = FailureKind::Other;
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<CredentialsError>() {
            return match error {
                CredentialsError::ProviderTimedOut(_) => FailureKind::Timeout,
                _ => FailureKind::Credentials,
            };
        }
        if inner.downcast_ref::<rustls::Error>().is_some() {
            return FailureKind::Untrusted;
        }
        let text = inner.to_string();
        if text.contains("Name or service not known") || text.contains("No address associated") {
            return FailureKind::UnknownHost;
        }
        if text.contains("invalid peer certificate") {
            return FailureKind::Untrusted;
        }
        if inner.downcast_ref::<std::io::Error>().is_some() || text.contains("connection") || text == "io error" {
            kind = FailureKind::Unreachable;
        }
        cause = inner.source();
    }
    kind
}

/// The text of the innermost cause: the outer ones only say that there is one.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_decide() {
        let cases = [
            ("SlowDown", 503, FailureKind::Throttled),
            ("KMS.ThrottlingException", 400, FailureKind::Throttled),
            ("", 503, FailureKind::Server),
            ("SignatureDoesNotMatch", 403, FailureKind::Credentials),
            ("", 403, FailureKind::AccessDenied),
            ("AuthorizationHeaderMalformed", 400, FailureKind::WrongRegion),
            ("", 301, FailureKind::WrongRegion),
            ("NoSuchBucket", 404, FailureKind::NotFound),
            ("PreconditionFailed", 412, FailureKind::Other),
            ("InvalidObjectState", 403, FailureKind::Other),
            ("InternalError", 200, FailureKind::Server),
            ("", 200, FailureKind::Server),
        ];
        for (code, status, kind) in cases {
            assert_eq!(kind_of_code(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let mut failure = RequestFailure::without_answer(FailureKind::WrongRegion, "no");
        failure.code = Some("PermanentRedirect".into());
        failure.request_id = Some("4442".into());
        failure.region = Some("eu-west-1".into());
        assert_eq!(failure.to_string(), "PermanentRedirect: no (request 4442)");
        assert_eq!(failure.hint().unwrap(), "it is in eu-west-1: give that region for this side");
        assert_eq!(failure.class(), Class::Permanent);
    }
}
