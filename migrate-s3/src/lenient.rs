//! Answers whose outermost element has another name than S3's, which the SDK refuses: `InitiateMultipartUpload` of gofakes3 (and
//! so of `rclone serve s3`), `CompleteMultipartUploadResponse` of moto.
//!
//! What matters in them is read here; what they do not say is not supposed, so that an object behind such an answer is read
//! back. An error is left an error. Called by `multipart` and `preflight`.

#![expect(clippy::result_large_err, reason = "the SDK's own errors, passed on as they are")]

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadOutput;

/// The answer to `CreateMultipartUpload`.
pub fn created<E>(
    answer: Result<CreateMultipartUploadOutput, SdkError<E, HttpResponse>>,
) -> Result<CreateMultipartUploadOutput, SdkError<E, HttpResponse>> {
    answer.or_else(|error| match said(&error, "UploadId") {
        Some(id) => Ok(CreateMultipartUploadOutput::builder().upload_id(id).build()),
        None => Err(error),
    })
}

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
    within(std::str::from_utf8(response.body().bytes()?).ok()?, name)
}

fn within(document: &str, name: &str) -> Option<String> {
    if document.contains("<Error") {
        return None;
    }
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim().replace("&quot;", "\"").replace("&#34;", "\"");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_of_the_document_do_not_matter_and_errors_do() {
        let upload = "<?xml version=\"1.0\"?>\n<InitiateMultipartUpload>\n <Key>k</Key>\n <UploadId>7b-4d</UploadId>\n</InitiateMultipartUpload>";
        assert_eq!(within(upload, "UploadId").as_deref(), Some("7b-4d"));
        let whole = "<CompleteMultipartUploadResponse><ETag>&#34;7d1f-5&#34;</ETag></CompleteMultipartUploadResponse>";
        assert_eq!(within(whole, "ETag").as_deref(), Some("\"7d1f-5\""));
        assert_eq!(within("<Error><Code>InternalError</Code><ETag>x</ETag></Error>", "ETag"), None);
        assert_eq!(within("<html>hello</html>", "ETag"), None);
    }
}
