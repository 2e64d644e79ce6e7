//! Whether what was written is on the target as it was sent: under its key, with its headers, metadata and tags.
//!
//! S3 keeps what it agrees to. Other stores agree and keep less: Ceph's gateway makes `-` of `_` in the names of user metadata and
//! (16) forgets the tags of large objects, SeaweedFS drops redirects and puts `a//b` where `a/b` is. So there it is looked at,
//! wherever there is something to lose. Called by `copy` and `multipart`.

use aws_sdk_s3::types::EncodingType;
use common::error::sentence;
use common::finding::{Finding, FindingKind};

use crate::copy::{Proved, Route};
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{Entry, Version};
use crate::metadata::{self, Head, Metadata, Tags, map_difference};
use crate::reread::reread;
use crate::store::Store;

/// How often a head is asked for that says nothing.
const HEAD_ATTEMPTS: u32 = 4;

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
    let seen = match seen {
        None if metadata.is_plain() && tags.is_empty() => return Ok(()),
        None => head(target, &entry.key, proved.target_version_id.as_deref(), errand).await,
        Some(seen) => Ok(seen),
    };
    let unseen = |aspect: &str, error: &Error| {
        let detail = format!("sent, and cannot be looked at: {}", sentence(error));
        Finding::new(FindingKind::Unknown, entry.name(), aspect, detail)
    };
    let seen = match seen {
        Err(error) if error.is_denied() || matches!(error, Error::Body { .. }) => {
            proved.findings.push(unseen("metadata", &error));
            return Ok(());
        }
        seen => seen?,
    };
    let differences = metadata.differences(&seen.metadata);
    proved.findings.extend(differences.into_iter().map(|(aspect, detail)| differs(&aspect, detail)));
    if tags.is_empty() {
        return Ok(());
    }
    let version = entry.version.as_ref().zip(proved.target_version_id.clone());
    let version = version.map(|(version, id)| Version { id, ..version.clone() });
    let written = Entry { version, ..entry.clone() };
    let kept = metadata::tags(target, &written, seen.tag_count, errand).await;
    match kept {
        Ok(kept) => proved.findings.extend(map_difference(tags, &kept).map(|detail| differs("tags", detail))),
        Err(error) if error.is_denied() || error.is_unsupported() => {
            proved.findings.push(unseen("tags", &error));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The head of what was written. A HEAD has no body to tell an error by: an answer of 200 that names no ETag, when that to the
/// writing did, is not about the object, and is asked for again.
async fn head(store: &Store, key: &Key, version_id: Option<&str>, errand: &Errand) -> Result<Head, Error> {
    for _ in 0..HEAD_ATTEMPTS {
        let head = metadata::head(store, key, version_id, errand).await?;
        if !head.etag.is_empty() {
            return Ok(head);
        }
    }
    Err(Error::Body { place: store.place(), key: key.clone(), what: "its head names no ETag".into() })
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
