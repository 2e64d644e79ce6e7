//! Puts the estate's objects into a bucket through its S3 API, as the service and its people did. Works on any S3 server.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Bucket, Estate, Object};

/// Objects in flight at a time.
const UPLOAD_COUNT: usize = 8;
/// Objects of this size and above go up in parts, as the service's own client does it.
const PART_BYTES: usize = 16 << 20;

/// The server refused an object.
#[derive(Debug, thiserror::Error)]
#[error("the estate's object {key:?} cannot be put into bucket {bucket}: {cause}")]
pub struct UploadError {
    bucket: String,
    key: String,
    cause: String,
}

impl Estate {
    /// Puts all objects of one of the estate's buckets into the bucket `name`; how many, and how many bytes.
    pub async fn fill_bucket(&self, client: &Client, bucket: Bucket, name: &str) -> Result<(u64, u64), UploadError> {
        stream::iter(self.objects(bucket))
            .map(|object| async move {
                let bytes = object.body.len() as u64;
                let key = object.key.clone();
                let stored = if object.body.len() < PART_BYTES {
                    put(client, name, object).await
                } else {
                    put_parts(client, name, object).await
                };
                stored.map_err(|cause| UploadError { bucket: name.to_owned(), key, cause })?;
                Ok(bytes)
            })
            .buffer_unordered(UPLOAD_COUNT)
            .try_fold((0, 0), |(count, total), bytes| async move { Ok((count + 1, total + bytes)) })
            .await
    }
}

fn text(error: &impl std::error::Error) -> String {
    DisplayErrorContext(error).to_string()
}

fn tagging(object: &Object) -> Option<String> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        object.tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

async fn put(client: &Client, bucket: &str, object: Object) -> Result<(), String> {
    let tagging = tagging(&object);
    let mut request = client.put_object().bucket(bucket).key(&object.key).set_tagging(tagging);
    for (name, value) in &object.metadata {
        request = request.metadata(*name, value);
    }
    request
        .set_content_type(object.content_type.map(str::to_owned))
        .set_content_disposition(object.content_disposition)
        .body(ByteStream::from(object.body))
        .send()
        .await
        .map(drop)
        .map_err(|error| text(&error))
}

async fn put_parts(client: &Client, bucket: &str, object: Object) -> Result<(), String> {
    let tagging = tagging(&object);
    let Object { key, body, content_type, content_disposition, metadata, .. } = object;
    let mut request = client.create_multipart_upload().bucket(bucket).key(&key).set_tagging(tagging);
    for (name, value) in metadata {
        request = request.metadata(name, value);
    }
    // The SDK sends a CRC-32 with every part; S3 takes it only when the upload was announced with it.
    let created = request
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .set_content_type(content_type.map(str::to_owned))
        .set_content_disposition(content_disposition)
        .send()
        .await
        .map_err(|error| text(&error))?;
    let upload = created.upload_id().ok_or("the server names no upload id")?;
    let mut parts = Vec::new();
    for (number, part) in (1..).zip(parts_of(&body)) {
        let sent = client.upload_part().bucket(bucket).key(&key).upload_id(upload).part_number(number);
        let answer = sent.body(ByteStream::from(part)).send().await.map_err(|error| text(&error))?;
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag().map(str::to_owned))
                .set_checksum_crc32(answer.checksum_crc32().map(str::to_owned))
                .build(),
        );
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(&key).upload_id(upload);
    complete.multipart_upload(parts).send().await.map(drop).map_err(|error| text(&error))
}

fn parts_of(body: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..body.len()).step_by(PART_BYTES).map(|start| body.slice(start..body.len().min(start + PART_BYTES)))
}
