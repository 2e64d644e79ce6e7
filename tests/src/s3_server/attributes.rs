//! What travels with an object besides its bytes: content headers, user metadata, storage class, redirect, tags.
//!
//! Headers are kept as they came, byte for byte, and are given back as they are.

use hyper::http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::{S3Result, s3_error};

const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
const REDIRECT: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");
const TAGGING: HeaderName = HeaderName::from_static("x-amz-tagging");
const META_PREFIX: &str = "x-amz-meta-";

/// What S3 says of a body that came without a content type.
const DEFAULT_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("binary/octet-stream");

/// User metadata: names and values together, in bytes. Source: the S3 user guide, "Working with object metadata".
const META_BYTES_MAX: usize = 2 * 1024;

/// Tags of one object. Source: the S3 user guide, "Categorizing your objects using tags".
const TAG_COUNT_MAX: usize = 10;

/// The headers that are kept and given back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    headers: HeaderMap,
}

impl Attributes {
    /// Takes what is kept from the headers of a request.
    pub(super) fn from_request(request: &HeaderMap) -> S3Result<Self> {
        let mut headers = HeaderMap::new();
        let mut meta_bytes = 0;
        for (name, value) in request {
            let Some(value) = kept(name, value) else { continue };
            if let Some(meta) = name.as_str().strip_prefix(META_PREFIX) {
                meta_bytes += meta.len() + value.len();
            }
            headers.append(name, value);
        }
        if meta_bytes > META_BYTES_MAX {
            return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
        }
        if !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, DEFAULT_CONTENT_TYPE);
        }
        Ok(Self { headers })
    }

    /// The same from names and values, for fixtures. Names are those of the request's headers.
    pub(super) fn from_pairs(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut request = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
            let value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("{value:?} is no header value"))?;
            request.append(name, value);
        }
        Self::from_request(&request).map_err(|error| error.to_string())
    }

    /// The headers of an answer to GET or HEAD. S3 leaves the class `STANDARD` out.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if self.storage_class() == "STANDARD" {
            headers.remove(STORAGE_CLASS);
        }
        headers
    }

    /// What a store keeps that is [`super::Fault::KeepLess`].
    pub(super) fn less(&self) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().filter(|(name, _)| **name != REDIRECT) {
            let meta =
                name.as_str().strip_prefix(META_PREFIX).map(|meta| format!("{META_PREFIX}{}", meta.replace('_', "-")));
            let name = meta.and_then(|name| name.parse().ok()).unwrap_or_else(|| name.clone());
            headers.append(name, value.clone());
        }
        Self { headers }
    }

    /// The storage class, `STANDARD` when none was named.
    pub(super) fn storage_class(&self) -> &str {
        self.headers.get(STORAGE_CLASS).and_then(|class| class.to_str().ok()).unwrap_or("STANDARD")
    }

    /// Whether the bytes can only be read after a restore.
    pub(super) fn is_archived(&self) -> bool {
        matches!(self.storage_class(), "GLACIER" | "DEEP_ARCHIVE")
    }

    /// What a copy gets: these attributes, but the storage class of the copying request.
    pub(super) fn copied(&self, request: &HeaderMap) -> Self {
        let mut headers = self.headers.clone();
        headers.remove(STORAGE_CLASS);
        if let Some(class) = request.get(STORAGE_CLASS) {
            headers.insert(STORAGE_CLASS, class.clone());
        }
        Self { headers }
    }
}

/// The value to keep of a header, or `None` for one that is not kept.
fn kept(name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
    let plain = [
        header::CACHE_CONTROL,
        header::CONTENT_DISPOSITION,
        header::CONTENT_LANGUAGE,
        header::CONTENT_TYPE,
        header::EXPIRES,
        STORAGE_CLASS,
        REDIRECT,
    ];
    if plain.contains(name) || name.as_str().starts_with(META_PREFIX) {
        return Some(value.clone());
    }
    if name != header::CONTENT_ENCODING {
        return None;
    }
    // `aws-chunked` describes the transfer, not the object.
    let text = value.to_str().ok()?;
    let left: Vec<_> = text.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    let left = left.join(",");
    if left.is_empty() { None } else { HeaderValue::from_str(&left).ok() }
}

/// The tags in a request's `x-amz-tagging` header; empty without one.
pub(super) fn tags_of_request(request: &HeaderMap) -> S3Result<Vec<(String, String)>> {
    let Some(header) = request.get(TAGGING) else { return Ok(Vec::new()) };
    let text = header.to_str().map_err(|_| s3_error!(InvalidArgument, "x-amz-tagging is not ASCII"))?;
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let tags = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((form_decoded(key)?, form_decoded(value)?))
    });
    checked_tags(tags.collect::<S3Result<_>>()?)
}

/// The tags, when S3 would take them: at most ten, no key twice, within the lengths.
pub(super) fn checked_tags(tags: Vec<(String, String)>) -> S3Result<Vec<(String, String)>> {
    if tags.len() > TAG_COUNT_MAX {
        return Err(s3_error!(InvalidTag, "Object tags cannot be greater than 10"));
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if tags[..index].iter().any(|(other, _)| other == key) {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

fn form_decoded(text: &str) -> S3Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| s3_error!(InvalidArgument, "x-amz-tagging is not UTF-8"))
}
