//! What belongs to an object besides its bytes: system headers, user metadata, storage class, redirect, tags.
//!
//! Read off the answers to GET and HEAD, applied to PUT and `CreateMultipartUpload`, compared aspect by aspect.
//! Called by `read`, `copy`, `multipart`, `compare`.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher};

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::StorageClass;
use common::units;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::Entry;
use crate::store::Store;

/// How often a head is asked for that names no ETag.
const HEAD_ATTEMPTS: u32 = 4;

/// The storage class that stores mean when they name none.
const STANDARD: &str = "STANDARD";

/// An object's metadata without its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The system headers that travel, by name; absent ones are absent.
    headers: BTreeMap<&'static str, String>,
    /// The user's own, by lower-case name.
    user: BTreeMap<String, String>,
    /// The storage class; `None` for [`STANDARD`].
    storage_class: Option<String>,
    /// How many of the user's own the store could not show in headers.
    pub missing_count: u32,
}

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

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

macro_rules! head {
    ($output:expr, $size:expr) => {{
        let output = $output;
        let headers = [
            ("cache-control", &output.cache_control),
            ("content-disposition", &output.content_disposition),
            ("content-encoding", &output.content_encoding),
            ("content-language", &output.content_language),
            ("content-type", &output.content_type),
            ("expires", &output.expires_string),
            ("website-redirect-location", &output.website_redirect_location),
        ];
        // A composite checksum (`value-N`) is one over the parts' checksums: it says nothing that we could compute.
        let full = |checksum: &Option<String>| checksum.clone().filter(|checksum| !checksum.contains('-'));
        let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
        let encryption = output.server_side_encryption.as_ref().map(|encryption| encryption.as_str());
        Head {
            size: $size,
            etag: output.e_tag.as_deref().unwrap_or_default().trim_matches('"').to_owned(),
            last_modified: output.last_modified.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
            metadata: Metadata {
                headers: headers
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value.clone().filter(|value| !value.is_empty())?)))
                    .collect(),
                user: output.metadata.clone().unwrap_or_default().into_iter().collect(),
                storage_class: output
                    .storage_class
                    .as_ref()
                    .map(|class| class.as_str().to_owned())
                    .filter(|class| class != STANDARD),
                missing_count: count(output.missing_meta).unwrap_or(0),
            },
            tag_count: count(output.tag_count),
            checksums: StoredChecksums {
                sha256: full(&output.checksum_sha256),
                crc64nvme: full(&output.checksum_crc64_nvme),
            },
            etag_is_opaque: encryption.is_some_and(|encryption| encryption.starts_with("aws:kms"))
                || output.sse_customer_algorithm.is_some(),
            version_id: output.version_id.clone(),
        }
    }};
}

impl Head {
    /// Reads the head of a GET; `size` is that of the whole object, which a ranged answer does not carry in one place.
    pub fn of_get(output: &GetObjectOutput, size: u64) -> Self {
        let head: Self = head!(output, size);
        // S3's documentation of GetObject; SeaweedFS, moto and LocalStack do the same. Silence means that there are none.
        Self { tag_count: head.tag_count.or(Some(0)), ..head }
    }

    /// Reads the head of a HEAD.
    pub fn of_head(output: &HeadObjectOutput) -> Self {
        head!(output, output.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
    }
}

/// Asks for the head of `key`, or of one of its versions, stored checksums included.
pub async fn head(store: &Store, key: &Key, version_id: Option<&str>, errand: &Errand) -> Result<Head, Error> {
    let full_key = store.full_key(key)?;
    let output = store
        .call("HeadObject", Some(key), errand, || {
            let request = store.client().head_object().bucket(store.bucket()).key(&full_key);
            request.set_version_id(version_id.map(ToOwned::to_owned)).customize().mutate_request(with_checksums).send()
        })
        .await?;
    let head = Head::of_head(&output);
    let tag_count = head.tag_count.or(store.tells_tags_with_head(head.tag_count.is_some()).then_some(0));
    Ok(Head { tag_count, ..head })
}

/// The same where the head must name an ETag. A HEAD has no body to tell an error by: an answer of 200 without an ETag, from a store that
/// gives them, is not about the object, and is asked for again.
pub async fn sure_head(store: &Store, key: &Key, version_id: Option<&str>, errand: &Errand) -> Result<Head, Error> {
    for _ in 0..HEAD_ATTEMPTS {
        let head = head(store, key, version_id, errand).await?;
        if !head.etag.is_empty() {
            return Ok(head);
        }
    }
    Err(Error::Body { place: store.place(), key: key.clone(), what: "its head names no ETag".into() })
}

/// The head of what `store` lists as `entry`.
pub async fn head_of(store: &Store, entry: &Entry, errand: &Errand) -> Result<Head, Error> {
    if entry.etag.is_empty() {
        head(store, &entry.key, entry.version_id(), errand).await
    } else {
        sure_head(store, &entry.key, entry.version_id(), errand).await
    }
}

/// Asks for stored checksums without asking the SDK to check them.
pub fn with_checksums(request: &mut HttpRequest) {
    request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
}

/// The tags of `entry`; does not ask when `tag_count` says that there are none.
pub async fn tags(store: &Store, entry: &Entry, tag_count: Option<u32>, errand: &Errand) -> Result<Tags, Error> {
    let key = &entry.key;
    if tag_count == Some(0) {
        return Ok(Tags::new());
    }
    let full_key = store.full_key(key)?;
    let asked = store
        .call("GetObjectTagging", Some(key), errand, || {
            let request = store.client().get_object_tagging().bucket(store.bucket()).key(&full_key);
            request.set_version_id(entry.version_id().map(ToOwned::to_owned)).send()
        })
        .await;
    let output = match asked {
        // Nobody said that there are any, and the store does not know what tags are.
        Err(error) if tag_count.is_none() && error.is_unsupported() => return Ok(Tags::new()),
        asked => asked?,
    };
    Ok(output.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// What RFC 3986 calls unreserved stays as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tags as the header `x-amz-tagging` wants them; `None` for no tags.
fn tagging(tags: &Tags) -> Option<String> {
    let encode = |text| utf8_percent_encode(text, QUERY);
    let pairs: Vec<String> = tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

macro_rules! apply {
    ($builder:expr, $metadata:expr, $tags:expr) => {{
        let metadata = $metadata;
        let header = |name: &str| metadata.headers.get(name).cloned();
        let user = (!metadata.user.is_empty()).then(|| metadata.user.clone().into_iter().collect());
        $builder
            .set_cache_control(header("cache-control"))
            .set_content_disposition(header("content-disposition"))
            .set_content_encoding(header("content-encoding"))
            .set_content_language(header("content-language"))
            .set_content_type(header("content-type"))
            .set_website_redirect_location(header("website-redirect-location"))
            .set_metadata(user)
            .set_storage_class(metadata.storage_class.as_deref().map(StorageClass::from))
            .set_tagging(tagging($tags))
    }};
}

impl Metadata {
    /// Puts everything but `Expires` on a PUT; see [`Self::expires`].
    pub fn apply_to_put(&self, request: PutObjectFluentBuilder, tags: &Tags) -> PutObjectFluentBuilder {
        apply!(request, self, tags)
    }

    /// Puts everything but `Expires` on the beginning of a multipart upload; see [`Self::expires`].
    pub fn apply_to_multipart(
        &self,
        request: CreateMultipartUploadFluentBuilder,
        tags: &Tags,
    ) -> CreateMultipartUploadFluentBuilder {
        apply!(request, self, tags)
    }

    /// What puts `Expires` on a request that is about to be signed: as the text that it is, because the SDK's own setter
    /// takes nothing but well-formed dates, and objects in the wild hold others.
    pub fn expires(&self) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static + use<> {
        let expires = self.headers.get("expires").cloned();
        move |request| {
            if let Some(expires) = expires.clone() {
                // A value that is no header value cannot have come out of one.
                let _ = request.headers_mut().try_insert("expires", expires);
            }
        }
    }

    /// Whether there is nothing but a content type.
    pub fn is_plain(&self) -> bool {
        self.headers.keys().all(|name| *name == "content-type") && self.user.is_empty() && self.storage_class.is_none()
    }

    /// Feeds `hasher` with what a store may keep or not: names, the values that few objects have alone, and of the others the
    /// characters that they are made of.
    pub fn hash_likeness(&self, hasher: &mut impl Hasher) {
        (self.headers.len(), self.user.len(), &self.storage_class).hash(hasher);
        for (name, value) in &self.headers {
            match *name {
                "content-disposition" | "expires" | "website-redirect-location" => (name, shape(value)).hash(hasher),
                _ => (name, value).hash(hasher),
            }
        }
        for (name, value) in &self.user {
            (name, shape(value)).hash(hasher);
        }
    }

    /// In words, what an object carries that not all stores take; `None` when that is nothing.
    pub fn carried(&self, tags: &Tags) -> Option<String> {
        let class = self.storage_class.as_ref().map(|class| format!("the storage class `{class}`"));
        let tagged = (!tags.is_empty()).then(|| units::counted(tags.len() as u64, "tag"));
        let redirect = self.headers.get("website-redirect-location").map(|_| "a website redirect".to_owned());
        let user = (!self.user.is_empty()).then(|| "user metadata".to_owned());
        let words: Vec<String> = [class, tagged, redirect, user].into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The aspects in which `target` differs, each with a sentence. The values of user metadata are not shown: they may
    /// be anything.
    pub fn differences(&self, target: &Self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let names = self.headers.keys().chain(target.headers.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let listed = |side: &Self| side.headers.get(name).map(|value| without_padding(name, value));
            if listed(self) != listed(target) {
                let show =
                    |side: &Self| side.headers.get(name).map_or_else(|| "none".into(), |value| format!("`{value}`"));
                found.push(((*name).to_owned(), format!("source {}, target {}", show(self), show(target))));
            }
        }
        if let Some(detail) = map_difference(&self.user, &target.user) {
            found.push(("user metadata".into(), detail));
        }
        if self.storage_class != target.storage_class {
            let show = |side: &Self| side.storage_class.clone().unwrap_or_else(|| STANDARD.into());
            found.push(("storage class".into(), format!("source {}, target {}", show(self), show(target))));
        }
        found
    }
}

/// What stores may tell free texts apart by: how long `text` is in powers of two, whether it has spaces side by side, and which characters
/// it is made of, letters and digits aside: a bit for each of ASCII's, and one each for those of Latin-1, of the basic plane and of others.
pub fn shape(text: &str) -> (Option<u32>, bool, u128) {
    let bit = |character: char| match character {
        _ if character.is_ascii_alphanumeric() => 0,
        '\0'..='\x7f' => 1 << u32::from(character),
        '\u{80}'..='\u{ff}' => 1 << u32::from('0'),
        '\u{100}'..='\u{ffff}' => 1 << u32::from('1'),
        _ => 1_u128 << u32::from('2'),
    };
    (text.len().checked_ilog2(), text.contains("  "), text.chars().fold(0, |bits, character| bits | bit(character)))
}

/// The value of a header as it is compared: Ceph's gateway (20) writes `gzip, br` for `gzip,br`, which is the same list.
fn without_padding(name: &str, value: &str) -> String {
    match name {
        "cache-control" | "content-encoding" | "content-language" => {
            value.split(',').map(str::trim).collect::<Vec<_>>().join(",")
        }
        _ => value.to_owned(),
    }
}

/// In which names two maps differ, without their values; `None` when they are equal.
pub fn map_difference(source: &BTreeMap<String, String>, target: &BTreeMap<String, String>) -> Option<String> {
    let names: std::collections::BTreeSet<_> = source.keys().chain(target.keys()).collect();
    let words: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (source.get(name), target.get(name)) {
            (Some(source), Some(target)) if source == target => None,
            (Some(_), Some(_)) => Some(format!("`{name}` differs")),
            (Some(_), None) => Some(format!("the target lacks `{name}`")),
            _ => Some(format!("only the target has `{name}`")),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(headers: &[(&'static str, &str)], user: &[(&str, &str)]) -> Metadata {
        Metadata {
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            user: user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn differences_name_the_aspect_and_no_user_value() {
        let source = metadata(&[("content-type", "text/csv")], &[("owner", "alice"), ("kind", "log")]);
        let target = metadata(&[("cache-control", "no-store")], &[("owner", "bob")]);
        let found = source.differences(&target);
        assert_eq!(
            found,
            [
                ("cache-control".into(), "source none, target `no-store`".into()),
                ("content-type".into(), "source `text/csv`, target none".into()),
                ("user metadata".into(), "the target lacks `kind`, `owner` differs".into()),
            ]
        );
        assert!(source.differences(&source.clone()).is_empty());
        let (tight, wide) =
            (metadata(&[("content-encoding", "gzip,br")], &[]), metadata(&[("content-encoding", "gzip, br")], &[]));
        assert!(tight.differences(&wide).is_empty());
    }

    /// The integration suite's server takes only dates; S3 itself takes anything.
    #[test]
    fn an_expiry_that_is_no_date_goes_out_as_it_is() {
        let mut request = HttpRequest::empty();
        metadata(&[("expires", "0")], &[]).expires()(&mut request);
        assert_eq!(request.headers().get("expires"), Some("0"));
        let mut request = HttpRequest::empty();
        metadata(&[], &[]).expires()(&mut request);
        assert_eq!(request.headers().get("expires"), None);
    }

    #[test]
    fn tags_are_a_query_string() {
        let tags: Tags = [("a b".into(), "1+1=2".into()), ("ä".into(), String::new())].into();
        assert_eq!(tagging(&tags).as_deref(), Some("a%20b=1%2B1%3D2&%C3%A4="));
        assert_eq!(tagging(&Tags::new()), None);
    }
}
