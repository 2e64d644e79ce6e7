//! Going on with a multipart upload that an earlier start of this migration was killed over.
//!
//! The journal knows which uploads are ours, and of which generation of the object and with which belongings they were
//! begun. `ListParts` says what the target has of one; each of its parts is believed only when its checksum, or its MD5 where
//! the target keeps no checksums, is that of the bytes that are read of the source now. What is not is sent again.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::copy::Route;
use crate::digest;
use crate::errand::Errand;
use crate::error::Error;
use crate::journal::{self, Begun};
use crate::listing::Entry;
use crate::metadata::{Metadata, Tags};

/// Objects of fewer parts than these begin anew: noting an upload costs a write of the journal.
const PARTS_MIN: u64 = 4;

/// A part that the target has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) bytes: u64,
    /// With its quotes, as completion wants it.
    pub(super) etag: String,
    pub(super) crc64nvme: Option<String>,
}

/// Parts by number.
pub(super) type Parts = HashMap<i32, Listed>;

impl Listed {
    /// Whether it holds `body`, whose CRC-64/NVME is `crc`.
    pub(super) fn holds(&self, body: &[u8], crc: u64, has_checksums: bool) -> bool {
        self.bytes == body.len() as u64
            && match &self.crc64nvme {
                Some(stored) => *stored == digest::crc64_base64(crc),
                None => !has_checksums && self.etag.trim_matches('"') == digest::md5_hex(body),
            }
    }
}

/// What an upload was begun with besides the object's bytes; another value means another upload.
pub(super) fn belongings(metadata: &Metadata, tags: &Tags, part_bytes: u64, has_checksums: bool) -> u64 {
    digest::crc64nvme(format!("{metadata:?} {tags:?} {part_bytes} {has_checksums}").as_bytes())
}

/// Whether an upload of `entry` is worth noting.
pub(super) fn is_worth_it(entry: &Entry, part_bytes: u64) -> bool {
    entry.size.div_ceil(part_bytes) >= PARTS_MIN
}

/// Notes in the journal, where there is one, that the upload `id` has begun.
pub(super) async fn note(errand: &Errand, entry: &Entry, id: &str, belongings: u64) {
    if let Some(journal) = &errand.journal {
        // Nobody takes it when the run ends early; then the upload is aborted.
        let _ = journal.send(journal::upload_line(entry, id, belongings)).await;
    }
}

/// The upload of `entry` that the journal knows and the target still has, with its parts.
pub(super) async fn find(route: &Route, entry: &Entry, belongings: u64, errand: &Errand) -> Option<(String, Parts)> {
    let begun = route.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&journal::key_hash(entry));
    let Begun { id, .. } = begun.filter(|begun| begun.is_of(entry, belongings))?;
    match list_parts(route, entry, &id, errand).await {
        Ok(parts) => {
            let count = parts.len();
            tracing::info!(key = %entry.key, parts = count, "going on with the upload of an earlier start");
            Some((id, parts))
        }
        Err(error) => {
            if !error.is_not_found() {
                tracing::warn!(key = %entry.key, %error, "an upload cannot be gone on with; beginning anew");
            }
            None
        }
    }
}

async fn list_parts(route: &Route, entry: &Entry, id: &str, errand: &Errand) -> Result<Parts, Error> {
    let target = &route.target;
    let full_key = target.full_key(&entry.key)?;
    let (mut parts, mut marker) = (Parts::new(), None::<String>);
    loop {
        let page = target
            .call("ListParts", Some(&entry.key), errand, || {
                let request = target.client().list_parts().bucket(target.bucket()).key(&full_key).upload_id(id);
                request.set_part_number_marker(marker.clone()).send()
            })
            .await?;
        for part in page.parts.unwrap_or_default() {
            let bytes = part.size.and_then(|size| u64::try_from(size).ok());
            if let (Some(number), Some(bytes), Some(etag)) = (part.part_number, bytes, part.e_tag) {
                parts.insert(number, Listed { bytes, etag, crc64nvme: part.checksum_crc64_nvme });
            }
        }
        let next = page.next_part_number_marker;
        // A marker that does not move would go round for ever.
        if page.is_truncated != Some(true) || next.is_none() || next == marker {
            return Ok(parts);
        }
        marker = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_believed_for_its_content_only() {
        let body = b"content";
        let crc = digest::crc64nvme(body);
        let listed = |bytes, etag: &str, crc64nvme: Option<String>| Listed { bytes, etag: etag.into(), crc64nvme };
        assert!(listed(7, "\"opaque\"", Some(digest::crc64_base64(crc))).holds(body, crc, true));
        assert!(!listed(8, "\"opaque\"", Some(digest::crc64_base64(crc))).holds(body, crc, true));
        assert!(!listed(7, "\"opaque\"", Some(digest::crc64_base64(crc + 1))).holds(body, crc, true));
        let md5 = format!("\"{}\"", digest::md5_hex(body));
        assert!(listed(7, &md5, None).holds(body, crc, false));
        assert!(!listed(7, &md5, None).holds(body, crc, true), "it should have kept a checksum");
        assert!(!listed(7, "\"opaque\"", None).holds(body, crc, false));
    }
}
