//! Listings of a bucket: objects (both versions of the operation) and multipart uploads, in byte order of the keys.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{self, ETag, Timestamp};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::answer::verdict_of;
use super::faults::Fault;
use super::store::{Object, Store};

/// Keys on a page. Source: `ListObjectsV2` in the S3 API reference.
const PAGE_COUNT_MAX: i32 = 1000;

/// What `encoding-type=url` leaves as it is; a space becomes `+`, as in a form.
const LEFT_PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// A page of a listing.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Arc<Object>)>,
    prefixes: Vec<String>,
    /// The last key or common prefix of the page, when there is more behind it.
    next: Option<String>,
}

/// What a listing is asked for.
struct Query<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// The page starts behind this key or common prefix.
    after: &'a str,
    count: usize,
}

pub(super) fn list_v2(
    store: &Store,
    request: S3Request<dto::ListObjectsV2Input>,
) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
    let verdict = verdict_of(&request);
    let input = request.input;
    let mut position = match &input.continuation_token {
        Some(token) => Position::decode(token)?,
        None => Position { after: input.start_after.clone().unwrap_or_default(), page_before: String::new() },
    };
    if verdict.is(&Fault::RepeatPage) {
        position.after.clone_from(&position.page_before);
    }
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
        after: &position.after,
        count: page_count(input.max_keys)?,
    };
    let mut page = store.bucket(&input.bucket, |bucket| Ok(page_of(&bucket.objects, &query)))?;
    match verdict.fault() {
        Some(Fault::ReversePage) => page.objects.reverse(),
        Some(Fault::LeaveOut(left_out)) => page.objects.retain(|(key, _)| *key != left_out),
        _ => {}
    }
    let encode = Encode(input.encoding_type.is_some());
    let mut objects = encode.objects(&page.objects);
    if verdict.is(&Fault::OtherListedEtags) {
        for object in &mut objects {
            object.e_tag = Some(ETag::Strong("of-the-listing".into()));
        }
    }
    let next = page.next.map(|after| Position { after, page_before: position.after.clone() }.encode());
    let output = dto::ListObjectsV2Output {
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.filter(|_| !verdict.is(&Fault::NoToken)),
        contents: Some(objects),
        common_prefixes: Some(encode.prefixes(page.prefixes)),
        name: Some(input.bucket),
        prefix: Some(encode.key(input.prefix.as_deref().unwrap_or_default())),
        max_keys: Some(input.max_keys.unwrap_or(PAGE_COUNT_MAX).min(PAGE_COUNT_MAX)),
        continuation_token: input.continuation_token,
        delimiter: input.delimiter.map(|delimiter| encode.key(&delimiter)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.map(|key| encode.key(&key)),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(super) fn list_v1(
    store: &Store,
    request: S3Request<dto::ListObjectsInput>,
) -> S3Result<S3Response<dto::ListObjectsOutput>> {
    let input = request.input;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
        after: input.marker.as_deref().unwrap_or_default(),
        count: page_count(input.max_keys)?,
    };
    let page = store.bucket(&input.bucket, |bucket| Ok(page_of(&bucket.objects, &query)))?;
    let encode = Encode(input.encoding_type.is_some());
    let output = dto::ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        // Version 1 names the next marker only with a delimiter; without one it is the last key.
        next_marker: page.next.filter(|_| query.delimiter.is_some()).map(|key| encode.key(&key)),
        contents: Some(encode.objects(&page.objects)),
        common_prefixes: Some(encode.prefixes(page.prefixes)),
        name: Some(input.bucket),
        prefix: Some(encode.key(input.prefix.as_deref().unwrap_or_default())),
        marker: Some(encode.key(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(input.max_keys.unwrap_or(PAGE_COUNT_MAX).min(PAGE_COUNT_MAX)),
        delimiter: input.delimiter.map(|delimiter| encode.key(&delimiter)),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(super) fn list_uploads(
    store: &Store,
    input: dto::ListMultipartUploadsInput,
) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
    let count = page_count(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let marker = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
    let encode = Encode(input.encoding_type.is_some());
    let mut uploads: Vec<_> = store.bucket(&input.bucket, |bucket| {
        let all = bucket.uploads.iter().map(|(id, upload)| (upload.key.clone(), id.clone(), upload.clone()));
        Ok(all.filter(|(key, id, _)| key.starts_with(&prefix) && is_behind(key, id, &marker)).collect())
    })?;
    uploads.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
    let is_truncated = uploads.len() > count;
    uploads.truncate(count);
    let last = uploads.last().filter(|_| is_truncated);
    let (next_key_marker, next_upload_id_marker) = last.map(|(key, id, _)| (encode.key(key), id.clone())).unzip();
    let uploads = uploads.into_iter().map(|(key, id, upload)| dto::MultipartUpload {
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: upload.checksum.map(|(_, kind)| kind.name().to_owned().into()),
        initiated: Some(Timestamp::from(upload.initiated)),
        key: Some(encode.key(&key)),
        storage_class: Some(upload.attributes.storage_class().to_owned().into()),
        upload_id: Some(id),
        ..Default::default()
    });
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        encoding_type: input.encoding_type,
        is_truncated: Some(is_truncated),
        key_marker: input.key_marker,
        max_uploads: i32::try_from(count).ok(),
        next_key_marker,
        next_upload_id_marker,
        prefix: input.prefix.map(|prefix| encode.key(&prefix)),
        upload_id_marker: input.upload_id_marker,
        uploads: Some(uploads.collect()),
        ..Default::default()
    }))
}

fn is_behind(key: &str, id: &str, (key_marker, id_marker): &(String, Option<String>)) -> bool {
    match id_marker {
        Some(id_marker) => (key, id) > (key_marker.as_str(), id_marker.as_str()),
        None => key > key_marker.as_str(),
    }
}

pub(super) fn page_count(asked: Option<i32>) -> S3Result<usize> {
    usize::try_from(asked.unwrap_or(PAGE_COUNT_MAX).min(PAGE_COUNT_MAX))
        .map_err(|_| s3_error!(InvalidArgument, "Argument maxKeys must be an integer between 0 and 2147483647"))
}

fn page_of(objects: &BTreeMap<String, Arc<Object>>, query: &Query<'_>) -> Page {
    let mut page = Page::default();
    let mut last = String::new();
    let from = query.after.max(query.prefix);
    for (key, object) in objects.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
        if !key.starts_with(query.prefix) {
            break;
        }
        let common = common_prefix(key, query);
        // A common prefix that is `after` itself, or was counted already, stands for all keys under it.
        if key.as_str() <= query.after || common.is_some_and(|common| common <= query.after || common == last) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.count {
            page.next = (query.count > 0).then_some(last);
            break;
        }
        common.unwrap_or(key).clone_into(&mut last);
        match common {
            Some(common) => page.prefixes.push(common.to_owned()),
            None => page.objects.push((key.clone(), Arc::clone(object))),
        }
    }
    page
}

/// The part of a key up to the first delimiter behind the prefix.
fn common_prefix<'k>(key: &'k str, query: &Query<'_>) -> Option<&'k str> {
    let delimiter = query.delimiter?;
    let rest = &key[query.prefix.len()..];
    rest.find(delimiter).map(|at| &key[..query.prefix.len() + at + delimiter.len()])
}

/// Where a page starts: what a continuation token hides.
struct Position {
    after: String,
    /// Where the page before it started, for [`Fault::RepeatPage`].
    page_before: String,
}

impl Position {
    fn encode(&self) -> String {
        let length = self.after.len();
        BASE64_URL_SAFE_NO_PAD.encode(format!("{length}:{}{}", self.after, self.page_before))
    }

    fn decode(token: &str) -> S3Result<Self> {
        let invalid = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
        let text = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(invalid)?;
        let (length, keys) = text.split_once(':').ok_or_else(invalid)?;
        let length = length.parse().map_err(|_| invalid())?;
        let (after, page_before) = keys.split_at_checked(length).ok_or_else(invalid)?;
        Ok(Self { after: after.to_owned(), page_before: page_before.to_owned() })
    }
}

/// How keys are written in an answer: url-encoded when the client asks for it.
#[derive(Clone, Copy)]
pub(super) struct Encode(pub(super) bool);

impl Encode {
    pub(super) fn key(self, key: &str) -> String {
        if !self.0 {
            return key.to_owned();
        }
        utf8_percent_encode(key, LEFT_PLAIN).to_string().replace(' ', "+")
    }

    fn prefixes(self, prefixes: Vec<String>) -> Vec<dto::CommonPrefix> {
        prefixes.into_iter().map(|prefix| dto::CommonPrefix { prefix: Some(self.key(&prefix)) }).collect()
    }

    fn objects(self, objects: &[(String, Arc<Object>)]) -> Vec<dto::Object> {
        let entries = objects.iter().map(|(key, object)| dto::Object {
            checksum_algorithm: object.checksum.as_ref().map(|it| vec![it.algorithm.name().to_owned().into()]),
            checksum_type: object.checksum.as_ref().map(|it| it.kind.name().to_owned().into()),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            key: Some(self.key(key)),
            last_modified: Some(Timestamp::from(object.modified)),
            size: i64::try_from(object.body.length()).ok(),
            storage_class: Some(object.attributes.storage_class().to_owned().into()),
            ..Default::default()
        });
        entries.collect()
    }
}
