//! What a bucket tells of itself: existence, region, versioning, lifecycle, encryption; and the list of buckets.

use std::time::SystemTime;

use s3s::dto::{self, Timestamp};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::answer::encryption_rule;
use super::store::Store;

pub(super) fn head(store: &Store, bucket: &str) -> S3Result<S3Response<dto::HeadBucketOutput>> {
    let output = dto::HeadBucketOutput { bucket_region: store.settings(bucket)?.region, ..Default::default() };
    Ok(S3Response::new(output))
}

/// Lists the buckets that the account may use.
pub(super) fn list(store: &Store, request: &S3Request<dto::ListBucketsInput>) -> S3Response<dto::ListBucketsOutput> {
    let access_key = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
    let account = store.accounts.iter().find(|account| Some(account.access_key_id.as_str()) == access_key);
    let names = account.map(|account| account.buckets.as_slice()).unwrap_or_default();
    let buckets = names.iter().map(|name| dto::Bucket {
        creation_date: Some(Timestamp::from(SystemTime::UNIX_EPOCH)),
        name: Some(name.clone()),
        ..Default::default()
    });
    S3Response::new(dto::ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
}

/// The region as `GetBucketLocation` tells it: nothing for us-east-1.
pub(super) fn location(store: &Store, bucket: &str) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
    let region = store.settings(bucket)?.region.filter(|region| region != "us-east-1");
    let location_constraint = region.map(dto::BucketLocationConstraint::from);
    Ok(S3Response::new(dto::GetBucketLocationOutput { location_constraint }))
}

pub(super) fn versioning(store: &Store, bucket: &str) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
    let enabled = dto::BucketVersioningStatus::from_static(dto::BucketVersioningStatus::ENABLED);
    let status = store.settings(bucket)?.versioning.then_some(enabled);
    Ok(S3Response::new(dto::GetBucketVersioningOutput { status, ..Default::default() }))
}

pub(super) fn lifecycle(
    store: &Store,
    bucket: &str,
) -> S3Result<S3Response<dto::GetBucketLifecycleConfigurationOutput>> {
    let settings = store.settings(bucket)?;
    if settings.expire_after_days.is_none() && settings.abort_uploads_after_days.is_none() {
        return Err(s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"));
    }
    let rule = dto::LifecycleRule {
        abort_incomplete_multipart_upload: settings
            .abort_uploads_after_days
            .map(|days| dto::AbortIncompleteMultipartUpload { days_after_initiation: Some(days) }),
        expiration: settings
            .expire_after_days
            .map(|days| dto::LifecycleExpiration { days: Some(days), ..Default::default() }),
        filter: Some(dto::LifecycleRuleFilter { prefix: Some(String::new()), ..Default::default() }),
        id: Some("expire".to_owned()),
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix: None,
        status: dto::ExpirationStatus::from_static(dto::ExpirationStatus::ENABLED),
        transitions: None,
    };
    let output = dto::GetBucketLifecycleConfigurationOutput { rules: Some(vec![rule]), ..Default::default() };
    Ok(S3Response::new(output))
}

pub(super) fn encryption(store: &Store, bucket: &str) -> S3Result<S3Response<dto::GetBucketEncryptionOutput>> {
    let rules = vec![encryption_rule(&store.settings(bucket)?)];
    let configuration = dto::ServerSideEncryptionConfiguration { rules };
    let output = dto::GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) };
    Ok(S3Response::new(output))
}
