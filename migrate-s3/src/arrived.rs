//! Whether what was written is on the target as it was sent: under its key, with its headers, metadata and tags.
//!
//! S3 keeps what it agrees to. Other stores agree and keep less: Ceph's gateway makes `-` of `_` in the names of user metadata and
//! (16) forgets the tags of large objects, SeaweedFS drops redirects and puts `a//b` where `a/b` is. So there it is looked at,
//! wherever there is something to lose: for the first objects of each likeness, since what a store keeps is a matter of what it is
//! sent and not of chance. Called by `copy` and `multipart`.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::types::EncodingType;
use common::error::sentence;
use common::finding::{Finding, FindingKind};

use crate::copy::{Proved, Route, SINGLE_BYTES_MAX};
use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::key::Key;
use crate::listing::{Entry, Version};
use crate::metadata::{self, Metadata, Tags, map_difference};
use crate::reread::reread;
use crate::store::Store;

/// So many likenesses are remembered; objects of any further one are all looked at.
const LIKENESSES_MAX: usize = 10_000;

/// Of what likeness the objects are that the target was seen to keep as they were sent, in this run.
#[derive(Debug, Default)]
pub struct Likenesses(Mutex<HashSet<u64>>);

impl Likenesses {
    fn holds(&self, likeness: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&likeness)
    }

    fn learn(&self, likeness: u64) {
        let mut likenesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if likenesses.len() < LIKENESSES_MAX {
            likenesses.insert(likeness);
        }
    }
}

/// Objects of one likeness are written by the same operation, have keys of the same kind, the same headers and storage class, metadata
/// and tags of the same names, and in what is free text the same kinds of characters and lengths of the same magnitude.
fn likeness(entry: &Entry, metadata: &Metadata, tags: &Tags) -> u64 {
    let mut hasher = DefaultHasher::new();
    (entry.size == 0, entry.size > SINGLE_BYTES_MAX, entry.version.is_some()).hash(&mut hasher);
    entry.key.is_odd_as_path().hash(&mut hasher);
    metadata.hash_likeness(&mut hasher);
    for (name, value) in tags {
        (name, metadata::shape(value)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Looks at what has become of `entry` with these `metadata` and `tags`: reads it back where the target's word proves nothing of
/// its content. What else lacks is added to the findings of `proved`.
pub async fn look(
    route: &Route,
    entry: &Entry,
    (metadata, tags): (&Metadata, &Tags),
    proved: &mut Proved,
    errand: &Errand,
) -> Result<(), Error> {
    let target = &route.target;
    let seen = match proved.target_checksum {
        Some(_) => None,
        None => Some(reread(route, &entry.key, entry.size, proved, errand).await?),
    };
    if target.is_s3_itself() {
        return Ok(());
    }
    let differs = |aspect: &str, detail: String| Finding::new(FindingKind::Differs, entry.name(), aspect, detail);
    // A path may lead to it although its key is another one: what lists it, tells.
    if entry.key.is_odd_as_path() && !is_listed(target, &entry.key, errand).await? {
        let detail =
            "the target took it and does not list it under this key; it may have replaced an object of another key";
        proved.findings.push(differs("key", detail.into()));
        return Ok(());
    }
    let likeness = likeness(entry, metadata, tags);
    let seen = match seen {
        None if metadata.is_plain() && tags.is_empty() => return Ok(()),
        None if route.kept.holds(likeness) => return Ok(()),
        None => head::sure(target, &entry.key, proved.target_version_id.as_deref(), errand).await,
        Some(seen) => Ok(seen),
    };
    let seen = match seen {
        Err(error) if error.is_denied() || matches!(error, Error::Body { .. }) => {
            proved.findings.push(unseen(entry, "metadata", &error));
            return Ok(());
        }
        seen => seen?,
    };
    let differences = metadata.differences(&seen.metadata);
    let mut is_kept = differences.is_empty();
    proved.findings.extend(differences.into_iter().map(|(aspect, detail)| differs(&aspect, detail)));
    if !tags.is_empty() {
        let finding = look_at_tags(route, entry, tags, (seen.tag_count, proved), errand).await?;
        is_kept &= finding.is_none();
        proved.findings.extend(finding);
    }
    if is_kept {
        route.kept.learn(likeness);
    }
    Ok(())
}

/// What has become of `tags` of what was written from `entry`; nothing when they are there.
async fn look_at_tags(
    route: &Route,
    entry: &Entry,
    tags: &Tags,
    (tag_count, proved): (Option<u32>, &Proved),
    errand: &Errand,
) -> Result<Option<Finding>, Error> {
    let version = entry.version.as_ref().zip(proved.target_version_id.clone());
    let version = version.map(|(version, id)| Version { id, ..version.clone() });
    let written = Entry { version, ..entry.clone() };
    match metadata::tags(&route.target, &written, tag_count, errand).await {
        Ok(kept) => {
            let differs = |detail| Finding::new(FindingKind::Differs, entry.name(), "tags", detail);
            Ok(map_difference(tags, &kept).map(differs))
        }
        Err(error) if error.is_denied() || error.is_unsupported() => Ok(Some(unseen(entry, "tags", &error))),
        Err(error) => Err(error),
    }
}

fn unseen(entry: &Entry, aspect: &str, error: &Error) -> Finding {
    let detail = format!("sent, and cannot be looked at: {}", sentence(error));
    Finding::new(FindingKind::Unknown, entry.name(), aspect, detail)
}

/// Whether `store` lists an object under this very key.
async fn is_listed(store: &Store, key: &Key, errand: &Errand) -> Result<bool, Error> {
    let full_key = store.full_key(key)?;
    let output = store
        .call("ListObjects", Some(key), errand, || {
            let request = store.client().list_objects().bucket(store.bucket()).prefix(&full_key).max_keys(1);
            request.encoding_type(EncodingType::Url).send()
        })
        .await?;
    let is_encoded = output.encoding_type == Some(EncodingType::Url);
    let first = output.contents.unwrap_or_default().into_iter().find_map(|object| object.key);
    let first = first
        .map(|listed| if is_encoded { Key::from_listing(&listed, store.plus_means()) } else { Key::from(&*listed) });
    Ok(first.is_some_and(|first| first == key.under(store.prefix())))
}
