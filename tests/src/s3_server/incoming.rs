//! A body on its way into the store: written, hashed, and refused when it is not what its client says it is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::http::HeaderMap;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, dto, s3_error};

use super::body::Body;
use super::checksum::{Algorithm, Digests};
use super::store::Store;

/// The largest body of one PUT or one part: 5 GiB. Source: S3 user guide, "Amazon S3 multipart upload limits".
const BODY_BYTES_MAX: u64 = 5 << 30;

/// A body on its way into the store, and what its client says of it.
pub(super) struct Incoming<'a> {
    pub(super) body: Option<dto::StreamingBlob>,
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<TrailingHeaders>,
    pub(super) length: Option<i64>,
    pub(super) content_md5: Option<String>,
    pub(super) ignore_checksums: bool,
    pub(super) echo_checksums: bool,
}

impl Incoming<'_> {
    /// Writes the body, and refuses it when it is not what the client says it is.
    ///
    /// The named algorithm is the one of a checksum header or trailer, else `default`.
    pub(super) async fn store(self, store: &Store, default: Option<Algorithm>) -> S3Result<(Body, Digests)> {
        let claimed = if self.ignore_checksums { None } else { claimed_algorithm(self.headers)? };
        let named = claimed.or(default);
        let bytes = self.body.unwrap_or_else(|| s3s::Body::empty().into());
        let (body, mut digests) = store.directory.write(bytes, named).await.map_err(interrupted)?;
        if body.length() > BODY_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"));
        }
        if self.length.is_some_and(|length| u64::try_from(length) != Ok(body.length())) {
            return Err(s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header"
            ));
        }
        if self.ignore_checksums {
            return Ok((body, digests));
        }
        if let Some(expected) = self.content_md5 {
            let expected = BASE64_STANDARD.decode(&expected).ok().filter(|value| value.len() == 16);
            let expected =
                expected.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))?;
            if expected != digests.md5 {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        if let Some(algorithm) = claimed {
            let name = algorithm.header();
            let trailers = self.trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
            if let Some(expected) = self.headers.get(name).or_else(|| trailers.get(name)) {
                if self.echo_checksums {
                    let claim = BASE64_STANDARD.decode(expected).unwrap_or_default();
                    digests.named = Some((algorithm, claim));
                    return Ok((body, digests));
                }
                check_claim(algorithm, expected.to_str().unwrap_or_default(), &digests)?;
            }
        }
        Ok((body, digests))
    }
}

fn check_claim(algorithm: Algorithm, claim: &str, digests: &Digests) -> S3Result<()> {
    let actual = digests.raw(algorithm).unwrap_or_default();
    let claim = BASE64_STANDARD.decode(claim).ok().filter(|value| value.len() == actual.len());
    let Some(claim) = claim else {
        return Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", algorithm.header()));
    };
    if claim != actual {
        return Err(s3_error!(BadDigest, "The {} you specified did not match what we received.", algorithm.name()));
    }
    Ok(())
}

/// The algorithm that the client sends a value of, in a header or a trailer.
pub(super) fn claimed_algorithm(headers: &HeaderMap) -> S3Result<Option<Algorithm>> {
    let trailer = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut claimed = Algorithm::ALL.into_iter().filter(|algorithm| {
        headers.contains_key(algorithm.header()) || trailer.split(',').any(|name| name.trim() == algorithm.header())
    });
    let first = claimed.next();
    if claimed.next().is_some() {
        return Err(s3_error!(
            InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        ));
    }
    Ok(first)
}

/// The error of a body that broke off or was not the one that was signed; errors of s3s itself pass through.
fn interrupted(error: std::io::Error) -> S3Error {
    let error = match error.downcast::<S3Error>() {
        Ok(error) => return error,
        Err(error) => error,
    };
    if error.to_string().contains("Sha256Mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut mismatch = S3Error::with_message(code, message);
        mismatch.set_status_code(hyper::StatusCode::BAD_REQUEST);
        return mismatch;
    }
    s3_error!(error, IncompleteBody, "The request body ended before it was complete")
}
