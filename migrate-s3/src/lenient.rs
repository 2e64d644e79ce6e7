//! Answers whose outermost element has another name than S3's, which the SDK refuses: `CompleteMultipartUploadResponse` of moto.
//!
//! What matters in them is read here; what they do not say is not supposed, so that an object behind such an answer is read
//! back. An error is left an error. Called by `multipart`.

#![expect(clippy::result_large_err, reason = "the SDK's own errors, passed on as they are")]

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use common::aws::document;

/// The answer to `CompleteMultipartUpload`.
pub fn completed<E>(
    answer: Result<CompleteMultipartUploadOutput, SdkError<E, HttpResponse>>,
) -> Result<CompleteMultipartUploadOutput, SdkError<E, HttpResponse>> {
    answer.or_else(|error| match said(&error, "ETag") {
        Some(etag) => Ok(CompleteMultipartUploadOutput::builder().e_tag(etag).build()),
        None => Err(error),
    })
}

/// What the document of a success says under `name`.
fn said<E>(error: &SdkError<E, HttpResponse>, name: &str) -> Option<String> {
    let response = error.raw_response().filter(|response| response.status().is_success())?;
    document::said(response.body().bytes()?, name)
}
