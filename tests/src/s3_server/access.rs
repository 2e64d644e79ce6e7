//! Who may do what: the secret of a key, the buckets of an account, the region of a bucket; and the claim of a fault.

use std::sync::Arc;

use hyper::http::{HeaderMap, header};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::faults::{Fault, Verdict};
use super::store::Store;

/// The account that owns all buckets.
const OWNER: &str = "111122223333";

pub(super) struct Auth(pub(super) Arc<Store>);

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.accounts.iter().find(|account| account.access_key_id == access_key) {
            Some(account) => Ok(SecretKey::from(account.secret_access_key.as_str())),
            None => {
                Err(s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."))
            }
        }
    }
}

pub(super) struct Access(pub(super) Arc<Store>);

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let denied = || s3_error!(AccessDenied, "Access Denied");
        let access_key = context.credentials().ok_or_else(denied)?.access_key.clone();
        let operation = context.s3_op().name().to_owned();
        let bucket = context.s3_path().get_bucket_name().unwrap_or_default().to_owned();
        let key = context.s3_path().get_object_key().unwrap_or_default().to_owned();
        let verdict = context.extensions_mut().get::<Verdict>().cloned().unwrap_or_default();
        if !bucket.is_empty() {
            let settings = self.0.settings(&bucket)?;
            let account = self.0.accounts.iter().find(|account| account.access_key_id == access_key);
            if !account.is_some_and(|account| account.buckets.contains(&bucket)) {
                return Err(denied());
            }
            let owner = context.headers().get("x-amz-expected-bucket-owner");
            if owner.is_some_and(|owner| owner.as_bytes() != OWNER.as_bytes()) {
                return Err(denied());
            }
            if let Some(expected) = settings.region {
                check_region(context.headers(), &expected, &verdict)?;
            }
        }
        let fault = self.0.faults.claim(&bucket, &operation, &key);
        verdict.set_fault(fault.clone());
        match fault {
            Some(Fault::Fail { status, code }) => Err(failure(status, &code)),
            Some(Fault::DropConnection | Fault::ErrorWithStatus200(_)) => Err(failure(500, "InternalError")),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Fault::NoTagging) if wants_tags(&operation, context.headers()) => {
                Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented"))
            }
            _ => Ok(()),
        }
    }
}

fn wants_tags(operation: &str, headers: &HeaderMap) -> bool {
    operation.ends_with("ObjectTagging") || headers.contains_key("x-amz-tagging")
}

/// Compares the region in the signature's scope with the bucket's, as a regional endpoint of AWS does.
fn check_region(headers: &HeaderMap, expected: &str, verdict: &Verdict) -> S3Result<()> {
    let signed = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(scope_region);
    let Some(region) = signed.filter(|region| *region != expected) else { return Ok(()) };
    verdict.set_region(expected);
    Err(s3_error!(
        AuthorizationHeaderMalformed,
        "The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
        region,
        expected
    ))
}

/// The region in `Credential=KEY/DATE/REGION/s3/aws4_request`.
fn scope_region(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split(',').next()?.split('/').nth(2)
}

fn failure(status: u16, code: &str) -> S3Error {
    let known = S3ErrorCode::from_bytes(code.as_bytes());
    let code = known.unwrap_or_else(|| S3ErrorCode::Custom(code.into()));
    let mut error = S3Error::with_message(code, "A scripted fault");
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        error.set_status_code(status);
    }
    error
}
