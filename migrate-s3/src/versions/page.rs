//! One page of `ListObjectVersions`.

use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, ObjectVersion};
use jiff::Timestamp;

use super::order::{Listed, Sequence};
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{Entry, Version};
use crate::store::Store;

/// Where a page begins, in the store's words; full keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    key: Option<String>,
    version: Option<String>,
}

/// Versions of neighbouring keys.
#[derive(Debug)]
pub struct Page {
    /// Keys ascending; the versions of each, newest first.
    pub entries: Vec<Entry>,
    pub(super) next: Option<Mark>,
}

impl Page {
    /// Whether the listing ends with this page.
    pub fn is_last(&self) -> bool {
        self.next.is_none()
    }
}

/// The first page of all.
pub async fn first(store: &Store, errand: &Errand) -> Result<Page, Error> {
    fetch(store, store.prefix(), &Mark::default(), errand).await
}

/// The page at `mark` of what begins with `prefix`, which is a full one.
pub(super) async fn fetch(store: &Store, prefix: &str, mark: &Mark, errand: &Errand) -> Result<Page, Error> {
    let sequence = Sequence::default();
    let output = store
        .call("ListObjectVersions", None, errand, || {
            store
                .client()
                .list_object_versions()
                .bucket(store.bucket())
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_key_marker(mark.key.clone())
                .set_version_id_marker(mark.version.clone())
                .encoding_type(EncodingType::Url)
                .customize()
                .interceptor(sequence.clone())
                .send()
        })
        .await?;
    let reader = Reader { store, is_encoded: output.encoding_type == Some(EncodingType::Url) };
    let versions = output.versions.unwrap_or_default().into_iter().map(|version| reader.version(version));
    let markers = output.delete_markers.unwrap_or_default().into_iter().map(|marker| reader.marker(marker));
    let entries = sequence.merge(versions.collect::<Result<_, _>>()?, markers.collect::<Result<_, _>>()?);
    let next = match (output.is_truncated == Some(true), output.next_key_marker, entries.last()) {
        (false, ..) => None,
        (true, Some(key), last) => {
            let key = reader.begin(key, last);
            Some(Mark { key, version: output.next_version_id_marker.filter(|id| !id.is_empty()) })
        }
        (true, None, Some(last)) => {
            let version = last.version_id().map(ToOwned::to_owned);
            Some(Mark { key: Some(store.full_prefix(&last.key)?), version })
        }
        (true, None, None) => return Err(reader.broken("a page that promises more and does not say where it begins")),
    };
    if next.as_ref() == Some(mark) {
        return Err(reader.broken("a page that promises more where it began itself"));
    }
    Ok(Page { entries, next })
}

struct Reader<'a> {
    store: &'a Store,
    is_encoded: bool,
}

impl Reader<'_> {
    fn decode(&self, listed: &str) -> Key {
        if self.is_encoded { Key::from_listing(listed, self.store.plus_means()) } else { Key::from(listed) }
    }

    /// Where the next page begins, which the store names by `marker`. Ceph (16) and Swift encode the keys of a page and not
    /// the marker, which is the last of them: decoded once more, `x%7Ey` would pass over all keys up to `x~y`.
    fn begin(&self, marker: String, last: Option<&Entry>) -> Option<String> {
        let is_plain = last.is_some_and(|last| last.key.under(self.store.prefix()) == Key::from(marker.as_str()));
        if is_plain { Some(marker) } else { self.decode(&marker).as_str().map(ToOwned::to_owned) }
    }

    fn broken(&self, what: &str) -> Error {
        Error::ListingBroken { place: self.store.place(), what: what.into() }
    }

    fn key(&self, listed: Option<String>) -> Result<Key, Error> {
        let key = self.decode(&listed.ok_or_else(|| self.broken("a version without a key"))?);
        key.below(self.store.prefix()).ok_or_else(|| self.broken("a key outside the prefix that was asked for"))
    }

    fn version(&self, version: ObjectVersion) -> Result<Listed, Error> {
        let size = version.size.and_then(|size| u64::try_from(size).ok());
        let entry = Entry {
            key: self.key(version.key)?,
            size: size.ok_or_else(|| self.broken("a version without a size"))?,
            etag: version.e_tag.map(|etag| etag.trim_matches('"').to_owned()).unwrap_or_default(),
            last_modified: version.last_modified.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
            storage_class: version.storage_class.map(|class| class.as_str().to_owned()),
            version: Some(Version { id: version.version_id.unwrap_or_else(|| "null".into()), is_marker: false }),
        };
        Ok(Listed { entry, is_latest: version.is_latest == Some(true) })
    }

    fn marker(&self, marker: DeleteMarkerEntry) -> Result<Listed, Error> {
        let entry = Entry {
            key: self.key(marker.key)?,
            size: 0,
            etag: String::new(),
            last_modified: marker.last_modified.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
            storage_class: None,
            version: Some(Version { id: marker.version_id.unwrap_or_else(|| "null".into()), is_marker: true }),
        };
        Ok(Listed { entry, is_latest: marker.is_latest == Some(true) })
    }
}
