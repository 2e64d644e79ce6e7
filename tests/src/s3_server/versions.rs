//! Versions of keys: kept where a bucket is told to, newest last; listed newest first, as S3 does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use s3s::dto::{self, ETag, Timestamp};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::answer::verdict_of;
use super::faults::Fault;
use super::listing::{Encode, page_count};
use super::store::{Bucket, Object, Store};

/// One of a key's versions.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) modified: SystemTime,
    /// `None` for a delete marker.
    pub(super) object: Option<Arc<Object>>,
}

impl Bucket {
    /// Puts `object`; returns the id of its version where versions are kept.
    pub(super) fn insert(&mut self, key: String, object: Object) -> Option<String> {
        let object = Arc::new(object);
        let id = self.settings.versioning.then(|| self.push(&key, Some(Arc::clone(&object))));
        self.objects.insert(key, object);
        id
    }

    /// Deletes what is there now; returns the id of the delete marker where versions are kept.
    pub(super) fn delete(&mut self, key: &str) -> Option<String> {
        self.objects.remove(key);
        self.settings.versioning.then(|| self.push(key, None))
    }

    /// Times ascend by a millisecond at least, the unit in which they are listed.
    fn push(&mut self, key: &str, object: Option<Arc<Object>>) -> String {
        let versions = self.versions.entry(key.to_owned()).or_default();
        let earliest = versions.last().map(|last| last.modified + Duration::from_millis(1));
        let modified = earliest.map_or_else(SystemTime::now, |earliest| earliest.max(SystemTime::now()));
        let id = uuid::Uuid::new_v4().simple().to_string();
        versions.push(Version { id: id.clone(), modified, object });
        id
    }

    /// The id of the version that is there now, where versions are kept.
    pub(super) fn current_id(&self, key: &str) -> Option<String> {
        self.versions.get(key).and_then(|versions| versions.last()).map(|version| version.id.clone())
    }

    /// The object as it is now, or one of its versions.
    pub(super) fn version(&self, key: &str, id: Option<&str>) -> S3Result<Arc<Object>> {
        let Some(id) = id else { return self.object(key).cloned() };
        let version = self.versions.get(key).and_then(|versions| versions.iter().find(|version| version.id == id));
        match version {
            Some(Version { object: Some(object), .. }) => Ok(Arc::clone(object)),
            Some(_) => Err(s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")),
            None => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
        }
    }
}

pub(super) fn list(
    store: &Store,
    request: S3Request<dto::ListObjectVersionsInput>,
) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
    let verdict = verdict_of(&request);
    let input = request.input;
    let count = page_count(input.max_keys)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut marker = (input.key_marker.clone().unwrap_or_default(), input.version_id_marker.clone());
    if verdict.is(&Fault::RepeatPage) {
        marker = (String::new(), None);
    }
    let all: Vec<(String, Version, bool)> = store.bucket(&input.bucket, |bucket| Ok(newest_first(bucket, &prefix)))?;
    let begin = match &marker {
        (key, None) => all.iter().position(|(other, ..)| other > key).unwrap_or(all.len()),
        (key, Some(id)) => {
            let of_marker = all.iter().position(|(other, version, _)| other == key && version.id == *id);
            of_marker.ok_or_else(|| s3_error!(InvalidArgument, "Invalid version id specified"))? + 1
        }
    };
    let begin = if marker.0.is_empty() { 0 } else { begin };
    let page = &all[begin..all.len().min(begin + count)];
    let is_truncated = begin + page.len() < all.len();
    let encode = Encode(input.encoding_type.is_some());
    let last = page.last().filter(|_| is_truncated);
    let markers = page.iter().filter(|(_, version, _)| version.object.is_none()).map(|(key, version, is_latest)| {
        dto::DeleteMarkerEntry {
            is_latest: Some(*is_latest),
            key: Some(encode.key(key)),
            last_modified: Some(Timestamp::from(version.modified)),
            version_id: Some(version.id.clone()),
            ..Default::default()
        }
    });
    let versions = page.iter().filter_map(|(key, version, is_latest)| {
        let object = version.object.as_ref()?;
        Some(dto::ObjectVersion {
            e_tag: Some(ETag::Strong(object.etag.clone())),
            is_latest: Some(*is_latest),
            key: Some(encode.key(key)),
            last_modified: Some(Timestamp::from(version.modified)),
            size: i64::try_from(object.body.length()).ok(),
            storage_class: Some(object.attributes.storage_class().to_owned().into()),
            version_id: Some(version.id.clone()),
            ..Default::default()
        })
    });
    Ok(S3Response::new(dto::ListObjectVersionsOutput {
        delete_markers: Some(markers.collect()),
        versions: Some(versions.collect()),
        is_truncated: Some(is_truncated),
        next_key_marker: last
            .map(|(key, ..)| if verdict.is(&Fault::PlainMarker) { key.clone() } else { encode.key(key) }),
        next_version_id_marker: last.map(|(_, version, _)| version.id.clone()),
        encoding_type: input.encoding_type,
        key_marker: input.key_marker,
        version_id_marker: input.version_id_marker,
        max_keys: i32::try_from(count).ok(),
        name: Some(input.bucket),
        prefix: input.prefix.map(|prefix| encode.key(&prefix)),
        ..Default::default()
    }))
}

/// All versions below `prefix`, and which of them are the latest of their keys.
fn newest_first(bucket: &Bucket, prefix: &str) -> Vec<(String, Version, bool)> {
    let keys = bucket.versions.iter().filter(|(key, _)| key.starts_with(prefix));
    keys.flat_map(|(key, versions)| {
        let last = versions.len();
        let numbered = versions.iter().enumerate().rev();
        numbered.map(move |(index, version)| (key.clone(), version.clone(), index + 1 == last))
    })
    .collect()
}
