//! The parts of an answer that every operation on objects shares: encryption, checksum and attribute headers, errors.

use hyper::http::{HeaderMap, HeaderValue};
use s3s::{S3Error, S3Request, S3Result, dto, s3_error};

use super::checksum::{Kind, Stored};
use super::conditions::Selection;
use super::config;
use super::faults::{Fault, Verdict};
use super::store::{Object, Store};

/// The ARN that a bucket in KMS mode names as its key.
const KMS_KEY: &str = "arn:aws:kms:eu-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The headers of an answer to GET or HEAD that the generated types do not carry as they came.
pub(super) fn read_headers(
    store: &Store,
    bucket: &str,
    object: &Object,
    selection: &Selection,
    verdict: &Verdict,
    checksum_mode: bool,
) -> S3Result<HeaderMap> {
    let mut headers = object.attributes.headers();
    headers.extend(encryption_headers(&store.settings(bucket)?));
    if checksum_mode && selection.is_whole() && !verdict.is(&Fault::IgnoreChecksums) {
        add_checksum(&mut headers, object.checksum.as_ref());
    }
    if !object.tags.is_empty() && !verdict.is(&Fault::NoTagging) {
        headers.insert("x-amz-tagging-count", HeaderValue::from(object.tags.len()));
    }
    Ok(headers)
}

/// The headers that say how the bucket encrypts.
pub(super) fn encryption_headers(settings: &config::Bucket) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if settings.kms {
        headers.insert("x-amz-server-side-encryption", HeaderValue::from_static("aws:kms"));
        headers.insert("x-amz-server-side-encryption-aws-kms-key-id", HeaderValue::from_static(KMS_KEY));
        headers.insert("x-amz-server-side-encryption-bucket-key-enabled", HeaderValue::from_static("true"));
    } else {
        headers.insert("x-amz-server-side-encryption", HeaderValue::from_static("AES256"));
    }
    headers
}

/// The bucket's default encryption as `GetBucketEncryption` tells it.
pub(super) fn encryption_rule(settings: &config::Bucket) -> dto::ServerSideEncryptionRule {
    let algorithm = if settings.kms { "aws:kms" } else { "AES256" };
    dto::ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(dto::ServerSideEncryptionByDefault {
            kms_master_key_id: settings.kms.then(|| KMS_KEY.to_owned()),
            sse_algorithm: dto::ServerSideEncryption::from(algorithm.to_owned()),
        }),
        bucket_key_enabled: Some(settings.kms),
    }
}

/// Adds the header of a stored checksum, and of its type.
pub(super) fn add_checksum(headers: &mut HeaderMap, checksum: Option<&Stored>) {
    let Some(Stored { algorithm, kind, value }) = checksum else { return };
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(algorithm.header(), value);
        headers.insert("x-amz-checksum-type", HeaderValue::from_static(Kind::name(*kind)));
    }
}

pub(super) fn verdict_of<T>(request: &S3Request<T>) -> Verdict {
    request.extensions.get().cloned().unwrap_or_default()
}

pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    s3_error!(error, InternalError, "We encountered an internal error. Please try again.")
}

pub(super) fn signed(length: u64) -> S3Result<i64> {
    i64::try_from(length).map_err(internal)
}
