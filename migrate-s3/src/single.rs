//! Copying a small object: one GET into one buffer, hashed while it arrives, and one PUT with explicit checksums that the target
//! validates. The leave to hold its bytes is taken before the download starts. Called by `copy`.

use bytes::{Bytes, BytesMut};
use common::aws::ObjectRequest;
use common::finding::{Finding, ProofLevel};

use crate::arrived;
use crate::copy::{DAMAGED_READS_MAX, Proved, Route, carried_tags, damaged, lost_metadata, refused, source_word};
use crate::digest::{self, ContentDigest, ContentHasher, EtagKind, EtagPlan, Sha};
use crate::errand::Errand;
use crate::error::Error;
use crate::etags::{self, Judgement};
use crate::head::{self, CRC64NVME, Head};
use crate::key::Key;
use crate::listing::Entry;
use crate::metadata::{Metadata, Tags};
use crate::read::{Wanted, read};

/// Copies the small object that the source lists as `entry`; see [`crate::copy::copy`].
pub async fn copy(route: &Route, entry: &Entry, mut may_replace: bool, errand: &Errand) -> Result<Proved, Error> {
    let _permit = route.budget.take(entry.size).await;
    let mut by_target = can_be_proved_by_target(route, entry);
    loop {
        let Download { head, body, digest, is_linked, content_md5, doubt } =
            download(route, entry, by_target, errand).await?;
        let (tags, mut findings) = carried_tags(&route.source, entry, &head, errand).await?;
        findings.extend(lost_metadata(entry, &head.metadata));
        findings.extend(doubt);
        let crc64nvme = digest::crc64_base64(digest::crc64nvme(&body));
        let upload = Upload { key: &entry.key, body, crc64nvme, content_md5, metadata: &head.metadata, tags: &tags };
        let put = upload.put(route, may_replace, errand).await;
        let is_vouched = upload.content_md5.is_some();
        if is_vouched && !upload.is_vouched_for(&put, &entry.etag) {
            tracing::warn!(key = %entry.key, "what was sent contradicts the source's ETag; reading again");
            // Only what we put there ourselves is replaced.
            may_replace |= put.is_ok_and(|put| put.is_ours);
            by_target = false;
            route.progress.take_back_bytes(entry.size);
            continue;
        }
        let put = put.map_err(|error| refused(error, &head.metadata, &tags))?;
        let mut proved = Proved {
            sha256: Some(digest.sha256),
            target_sha256: None,
            target_etag: put.etag,
            target_version_id: put.version_id,
            target_checksum: put.checksum,
            proof: if is_linked || is_vouched { ProofLevel::Linked } else { ProofLevel::Stored },
            findings,
        };
        arrived::look(route, entry, (&head.metadata, &tags), &mut proved, errand).await?;
        return Ok(proved);
    }
}

/// Whether the target can be left to hold the bytes against the source's ETag, as `Content-MD5`: it computes their MD5 in any case.
/// Where ETags are known to be MD5s that costs us nothing, and is as good as our own.
fn can_be_proved_by_target(route: &Route, entry: &Entry) -> bool {
    entry.version.is_none()
        && EtagKind::of(&entry.etag) == EtagKind::Md5
        && route.etags.are_md5s(&entry.etag)
        && route.capabilities.content_md5()
}

struct Download {
    head: Head,
    body: Bytes,
    digest: ContentDigest,
    /// The source's own word about the content agrees with what we read.
    is_linked: bool,
    /// What the target is to hold the bytes against, where that is its part; see [`can_be_proved_by_target`].
    content_md5: Option<String>,
    /// Its word contradicts what we read, and nobody can tell why.
    doubt: Option<Finding>,
}

/// Reads a small object. Bytes that contradict the source's own word about them are read again: what contradicts an ETag twice
/// in the same way may do so for another reason than damage, namely that the ETag is no MD5.
async fn download(route: &Route, entry: &Entry, by_target: bool, errand: &Errand) -> Result<Download, Error> {
    let wanted = Wanted::of(entry);
    let plan = if by_target { EtagPlan::None } else { etags::plan(&route.source, entry, errand).await? };
    let mut before: Option<Sha> = None;
    for _ in 0..DAMAGED_READS_MAX {
        let mut hasher = ContentHasher::new(plan);
        let mut buffer = BytesMut::with_capacity(usize::try_from(entry.size).unwrap_or(0));
        let head = read(&route.source, wanted, 0..entry.size, errand, &mut |chunk: &[u8]| {
            hasher.update(chunk);
            buffer.extend_from_slice(chunk);
            route.progress.add_bytes(chunk.len() as u64);
        })
        .await?;
        let (digest, body) = (hasher.finish(), buffer.freeze());
        let word = source_word(&entry.etag, &head, &digest, || digest::crc64nvme(&body));
        let is_repeated = before == Some(digest.sha256);
        let (is_linked, doubt) = match etags::judge(route, entry, &digest, word, is_repeated, errand).await {
            Judgement::Linked => (true, None),
            Judgement::Unlinked(doubt) => (false, doubt),
            Judgement::ReadAgain => {
                tracing::warn!(key = %entry.key, "what was read contradicts the source's checksum; reading again");
                route.progress.take_back_bytes(entry.size);
                before = Some(digest.sha256);
                continue;
            }
        };
        // An ETag of which the head says that it need not be an MD5 may be one all the same; no target is held to it.
        let is_linked =
            is_linked || by_target && head.etag_is_opaque && digest::md5_hex(&body).eq_ignore_ascii_case(&entry.etag);
        let is_open = by_target && !is_linked && !head.etag_is_opaque;
        let content_md5 = is_open.then(|| digest::content_md5_of_etag(&entry.etag)).flatten();
        return Ok(Download { head, body, digest, is_linked, content_md5, doubt });
    }
    Err(damaged(&route.source, &entry.key, "what is read contradicts the checksum that the source keeps"))
}

/// A small object on its way to the target.
struct Upload<'a> {
    key: &'a Key,
    body: Bytes,
    crc64nvme: String,
    /// The MD5 that the source's ETag names; not computed by us.
    content_md5: Option<String>,
    metadata: &'a Metadata,
    tags: &'a Tags,
}

/// What the target answered.
struct Put {
    /// Whether this very request wrote what is there.
    is_ours: bool,
    etag: String,
    version_id: Option<String>,
    checksum: Option<String>,
}

impl Upload<'_> {
    async fn put(&self, route: &Route, may_replace: bool, errand: &Errand) -> Result<Put, Error> {
        let capabilities = &route.capabilities;
        let is_conditional = !may_replace && capabilities.conditional_writes();
        match self.attempt(route, is_conditional, errand).await {
            Err(error) if is_conditional && error.is_precondition() => self.confirm(route, errand).await,
            // What it does not take may be the condition, or something else about the object: without the condition it tells.
            Err(error) if is_conditional && error.is_unsupported() => {
                let put = self.attempt(route, false, errand).await?;
                capabilities.without_conditional_writes();
                Ok(put)
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, route: &Route, is_conditional: bool, errand: &Errand) -> Result<Put, Error> {
        let (target, checksums) = (&route.target, route.capabilities.checksums());
        let full_key = target.full_key(self.key)?;
        let own_md5 = || (!checksums).then(|| digest::content_md5(&self.body));
        let md5 = self.content_md5.clone().or_else(own_md5);
        // Sent again, the same bytes would contradict the source's word again.
        let is_final = |error: &Error| self.content_md5.is_some() && error.is_bad_digest();
        let answer = target
            .send("PutObject", self.key, errand, (&self.body, is_final), |body| {
                let request = ObjectRequest::put(&full_key, body)
                    .headers(self.metadata.headers(self.tags))
                    .header(CRC64NVME, checksums.then(|| self.crc64nvme.clone()))
                    .header("content-md5", md5.clone())
                    .header("if-none-match", is_conditional.then_some("*"));
                target.objects().write(request)
            })
            .await?;
        let header = |name| answer.headers().get(name);
        let stored = header(CRC64NVME).filter(|stored| *stored == self.crc64nvme);
        Ok(Put {
            is_ours: true,
            etag: header("etag").unwrap_or_default().trim_matches('"').to_owned(),
            version_id: header("x-amz-version-id").map(ToOwned::to_owned),
            checksum: stored.map(|stored| format!("crc64nvme:{stored}")),
        })
    }

    /// Whether `put` proves that the source's ETag is the MD5 of the bytes: the target names it as well, which it can only have
    /// computed, or where its own ETags are something else, they have it.
    fn is_vouched_for(&self, put: &Result<Put, Error>, etag: &str) -> bool {
        match put {
            Ok(put) => put.etag.eq_ignore_ascii_case(etag) || digest::md5_hex(&self.body).eq_ignore_ascii_case(etag),
            Err(error) => !error.is_bad_digest(),
        }
    }

    /// The key was empty when it was listed and is taken now: by our own attempt whose answer was lost, if the content
    /// says so.
    async fn confirm(&self, route: &Route, errand: &Errand) -> Result<Put, Error> {
        let head = head::sure(&route.target, self.key, None, errand).await?;
        let occupied = || Error::Occupied { place: route.target.place(), key: self.key.clone() };
        let (etag, version_id) = (head.etag, head.version_id);
        match head.checksums.crc64nvme {
            Some(stored) if stored == self.crc64nvme => {
                Ok(Put { is_ours: false, etag, version_id, checksum: Some(format!("crc64nvme:{stored}")) })
            }
            None if head.size == self.body.len() as u64 => Ok(Put { is_ours: false, etag, version_id, checksum: None }),
            _ => Err(occupied()),
        }
    }
}
