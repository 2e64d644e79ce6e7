//! What a store says of an object before its content: size, ETag, stored checksums, metadata.
//!
//! Read off the answers to GET and HEAD. Called by `read`, `copy`, `multipart`, `compare`.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::http::Headers;
use common::aws::ObjectRequest;
use jiff::Timestamp;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::Entry;
use crate::metadata::Metadata;
use crate::store::Store;

/// How often a head is asked for that names no ETag.
const HEAD_ATTEMPTS: u32 = 4;

/// The header with CRC-64/NVME over the content.
pub const CRC64NVME: &str = "x-amz-checksum-crc64nvme";

/// What the store keeps about the bytes of the whole object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredChecksums {
    /// SHA-256, base64.
    pub sha256: Option<String>,
    /// CRC-64/NVME, base64.
    pub crc64nvme: Option<String>,
}

impl StoredChecksums {
    /// Whether there is one.
    pub fn is_any(&self) -> bool {
        self.sha256.is_some() || self.crc64nvme.is_some()
    }
}

/// Everything that the head of an answer says about an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Length of the whole object in bytes.
    pub size: u64,
    /// The entity tag without quotes.
    pub etag: String,
    /// When it was last written, by the store's clock.
    pub last_modified: Option<Timestamp>,
    /// The metadata.
    pub metadata: Metadata,
    /// How many tags there are; `None` when the answer does not say.
    pub tag_count: Option<u32>,
    /// What the store keeps about the bytes.
    pub checksums: StoredChecksums,
    /// Whether the ETag cannot be an MD5 because of how the object is encrypted.
    pub etag_is_opaque: bool,
    /// The version's id, where the store keeps versions.
    pub version_id: Option<String>,
}

impl Head {
    /// Reads the head of a GET; `size` is that of the whole object, which a ranged answer does not carry in one place.
    pub fn of_get(headers: &Headers, size: u64) -> Self {
        let head = Self::new(headers, size);
        // S3's documentation of GetObject; SeaweedFS, moto and LocalStack do the same. Silence means that there are none.
        Self { tag_count: head.tag_count.or(Some(0)), ..head }
    }

    /// Reads the head of a HEAD.
    pub fn of_head(headers: &Headers) -> Self {
        Self::new(headers, headers.get("content-length").and_then(|size| size.parse().ok()).unwrap_or(0))
    }

    fn new(headers: &Headers, size: u64) -> Self {
        let text = |name| headers.get(name).map(ToOwned::to_owned);
        let count = |name| headers.get(name).and_then(|count| count.parse().ok());
        // A composite checksum (`value-N`) is one over the parts' checksums: it says nothing that we could compute.
        let full = |name| text(name).filter(|checksum| !checksum.contains('-'));
        let written =
            headers.get("last-modified").and_then(|time| DateTime::from_str(time, DateTimeFormat::HttpDate).ok());
        let is_of_kms = headers.get("x-amz-server-side-encryption").is_some_and(|how| how.starts_with("aws:kms"));
        Self {
            size,
            etag: headers.get("etag").unwrap_or_default().trim_matches('"').to_owned(),
            last_modified: written.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
            metadata: Metadata::of(headers),
            tag_count: count("x-amz-tagging-count"),
            checksums: StoredChecksums { sha256: full("x-amz-checksum-sha256"), crc64nvme: full(CRC64NVME) },
            etag_is_opaque: is_of_kms || headers.contains_key("x-amz-server-side-encryption-customer-algorithm"),
            version_id: text("x-amz-version-id"),
        }
    }
}

/// Asks for the head of `key`, or of one of its versions, stored checksums included.
pub async fn ask(store: &Store, key: &Key, version_id: Option<&str>, errand: &Errand) -> Result<Head, Error> {
    let full_key = store.full_key(key)?;
    let answer = store
        .call("HeadObject", Some(key), errand, || {
            let request = ObjectRequest::head(&full_key).query("versionId", version_id);
            store.objects().send(request.header("x-amz-checksum-mode", Some("ENABLED")))
        })
        .await?;
    let head = Head::of_head(answer.headers());
    let tag_count = head.tag_count.or(store.tells_tags_with_head(head.tag_count.is_some()).then_some(0));
    Ok(Head { tag_count, ..head })
}

/// The same where the head must name an ETag. A HEAD has no body to tell an error by: an answer of 200 without an ETag, from a store that
/// gives them, is not about the object, and is asked for again.
pub async fn sure(store: &Store, key: &Key, version_id: Option<&str>, errand: &Errand) -> Result<Head, Error> {
    for _ in 0..HEAD_ATTEMPTS {
        let head = ask(store, key, version_id, errand).await?;
        if !head.etag.is_empty() {
            return Ok(head);
        }
    }
    Err(Error::Body { place: store.place(), key: key.clone(), what: "its head names no ETag".into() })
}

/// The head of what `store` lists as `entry`.
pub async fn of_entry(store: &Store, entry: &Entry, errand: &Errand) -> Result<Head, Error> {
    if entry.etag.is_empty() {
        ask(store, &entry.key, entry.version_id(), errand).await
    } else {
        sure(store, &entry.key, entry.version_id(), errand).await
    }
}
