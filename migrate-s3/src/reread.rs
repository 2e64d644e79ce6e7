//! Reading back what was written: the proof where the target keeps no checksum that could be believed.
//!
//! Called by `copy` and `multipart`.

use common::finding::ProofLevel;

use crate::copy::{Proved, Route, damaged};
use crate::digest::{ContentHasher, EtagPlan, Sha};
use crate::errand::Errand;
use crate::error::Error;
use crate::head::{self, Head};
use crate::key::Key;
use crate::read::{Wanted, read};

/// Reads the target's object back and compares it with what was read from the source. Returns what its head says.
pub async fn reread(route: &Route, key: &Key, size: u64, proved: &mut Proved, errand: &Errand) -> Result<Head, Error> {
    let etag = proved.target_etag.clone();
    let other =
        |what: &str| damaged(&route.target, key, &format!("what the target returns is not what was sent{what}"));
    let (sha256, head) = match hash_back(route, key, size, &etag, proved, errand).await {
        // Some stores name another ETag in the answer to a completion than ever after; what counts is the content.
        Err(Error::Changed { .. }) => {
            let head = head::sure(&route.target, key, proved.target_version_id.as_deref(), errand).await?;
            proved.target_etag = head.etag;
            match hash_back(route, key, size, &proved.target_etag, proved, errand).await {
                Err(Error::Changed { what, .. }) => return Err(other(&format!(": {what}"))),
                sha256 => sha256?,
            }
        }
        sha256 => sha256?,
    };
    if Some(sha256) != proved.sha256 {
        return Err(other(""));
    }
    proved.target_sha256 = Some(sha256);
    proved.proof = ProofLevel::Reread;
    Ok(head)
}

async fn hash_back(
    route: &Route,
    key: &Key,
    size: u64,
    etag: &str,
    proved: &Proved,
    errand: &Errand,
) -> Result<(Sha, Head), Error> {
    let mut hasher = ContentHasher::new(EtagPlan::None);
    let wanted = Wanted { key, etag, size, version_id: proved.target_version_id.as_deref() };
    let head = read(&route.target, wanted, 0..size, errand, &mut |chunk: &[u8]| hasher.update(chunk)).await?;
    Ok((hasher.finish().sha256, head))
}
