//! Copying a large object in parts that are read and sent at the same time.
//!
//! Every part is a ranged GET with `If-Match` into one buffer and an `UploadPart` with an explicit checksum; the leave to
//! hold its bytes is taken before the download starts and given back when they were sent and hashed. The object becomes
//! visible with `CompleteMultipartUpload`, which carries its size and its full-object checksum. Whatever goes wrong, the
//! upload is aborted; one that a kill left behind is gone on with where the journal knows it. Called by `copy`.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use common::aws::ObjectRequest;
use common::finding::ProofLevel;
use common::tasks::TaskSet;
use futures::FutureExt as _;

use crate::arrived;
use crate::copy::{DAMAGED_READS_MAX, Proved, Route, carried_tags, damaged, lost_metadata, refused, source_word};
use crate::digest::{self, ContentHasher, EtagPlan, Sha};
use crate::errand::Errand;
use crate::error::Error;
use crate::etags::{self, Judgement};
use crate::head::{self, Head};
use crate::key::Key;
use crate::lenient;
use crate::listing::Entry;
use crate::metadata::{Header, Tags};
use crate::sequence::Sequence;
use crate::store::Store;

mod leftovers;
mod part;
mod resume;

pub use leftovers::{Leftovers, abort_other, list_uploads};
use leftovers::{abort_doubles, abort_leftovers, abort_own};
use part::{Held, Part, Sent};

/// S3's limit on the number of parts of an object ("Amazon S3 multipart upload limits").
const PARTS_MAX: u64 = 10_000;

/// The smallest part that we make. S3 wants 5 MiB; 8 MiB halves the requests at little cost in memory.
const PART_BYTES_MIN: u64 = 8 << 20;

/// The length of all parts but the last, for an object of `size` bytes: as small as the limit on their number allows.
pub fn part_bytes(size: u64) -> u64 {
    size.div_ceil(PARTS_MAX).next_multiple_of(1 << 20).max(PART_BYTES_MIN)
}

/// Copies the object that the source lists as `entry`; see [`crate::copy::copy`].
pub async fn copy(route: &Arc<Route>, entry: &Entry, may_replace: bool, errand: &Arc<Errand>) -> Result<Proved, Error> {
    let part_bytes = part_bytes(entry.size);
    if part_bytes > route.memory_bytes {
        return Err(Error::PartTooBig { key: entry.key.clone(), size: entry.size, part_bytes });
    }
    let head = head::of_entry(&route.source, entry, errand).await?;
    let (tags, mut findings) = carried_tags(&route.source, entry, &head, errand).await?;
    findings.extend(lost_metadata(entry, &head.metadata));
    let belongings = resume::belongings(&head.metadata, &tags, part_bytes, route.capabilities.checksums());
    let mut resumed = resume::find(route, entry, belongings, errand).await;
    abort_leftovers(route, &entry.key, resumed.as_ref().map(|(id, _)| id.as_str()), errand).await;
    let mut before = None;
    for _ in 0..DAMAGED_READS_MAX {
        let upload = if let Some((id, parts)) = resumed.take() {
            Upload::go_on(route, entry, id, parts, errand)?
        } else {
            let upload = Upload::begin(route, entry, &head, &tags, errand).await?;
            if resume::is_worth_it(entry, part_bytes) {
                resume::note(errand, entry, &upload.id, belongings).await;
            }
            upload
        };
        let outcome = upload.transfer(part_bytes, &head, may_replace, before).await;
        if !matches!(outcome, Ok(Transferred::Whole(_))) {
            abort_own(route, &entry.key, &upload.id).await;
        }
        match outcome? {
            Transferred::Whole(mut proved) => {
                proved.findings.extend(findings);
                arrived::look(route, entry, (&head.metadata, &tags), &mut proved, errand).await?;
                return Ok(*proved);
            }
            Transferred::Doubtful(sha256) => {
                tracing::warn!(key = %entry.key, "what was read contradicts the source's checksum; reading again");
                route.progress.take_back_bytes(entry.size);
                before = Some(sha256);
            }
        }
    }
    Err(damaged(&route.source, &entry.key, "what is read contradicts the checksum that the source keeps"))
}

/// Begins an upload of `key` that carries `headers`, with a CRC-64 over everything where it has `checksums`. Returns its id.
pub async fn begin(
    target: &Store,
    key: &Key,
    checksums: bool,
    headers: &[Header],
    errand: &Errand,
) -> Result<String, Error> {
    let full_key = target.full_key(key)?;
    let call = || {
        let request = ObjectRequest::post(&full_key)
            .query("uploads", Some(""))
            .headers(headers.iter().cloned())
            .header("x-amz-checksum-algorithm", checksums.then_some("CRC64NVME"))
            .header("x-amz-checksum-type", checksums.then_some("FULL_OBJECT"));
        target.objects().ask(request, "UploadId")
    };
    target.call("CreateMultipartUpload", Some(key), errand, call).await
}

/// How the transfer of all parts ended.
enum Transferred {
    /// The object is there.
    Whole(Box<Proved>),
    /// What was read, with this digest, contradicts what the source says of it; nothing was completed.
    Doubtful(Sha),
}

/// A multipart upload that has begun.
struct Upload {
    route: Arc<Route>,
    errand: Arc<Errand>,
    entry: Entry,
    full_key: String,
    id: String,
    /// Whether parts carry CRC-64/NVME and the object is to have one over everything.
    checksums: bool,
    /// What the target has of it already.
    parts: Arc<resume::Parts>,
}

/// What the target says of the object that it has put together.
struct Completed {
    etag: String,
    version_id: Option<String>,
    /// The checksum that it keeps for all of it.
    crc64nvme: Option<String>,
}

/// What has become of the parts.
#[derive(Default)]
struct PartsDone {
    sent: Vec<Sent>,
    failure: Option<Error>,
}

impl Upload {
    async fn begin(
        route: &Arc<Route>,
        entry: &Entry,
        head: &Head,
        tags: &Tags,
        errand: &Arc<Errand>,
    ) -> Result<Self, Error> {
        let target = &route.target;
        let full_key = target.full_key(&entry.key)?;
        let checksums = route.capabilities.checksums();
        let retries_before = errand.retries();
        let headers = head.metadata.headers(tags);
        let begun = begin(target, &entry.key, checksums, &headers, errand).await;
        let id = begun.map_err(|error| refused(error, &head.metadata, tags))?;
        if errand.retries() > retries_before {
            abort_doubles(route, &entry.key, &id, errand).await;
        }
        let (route, errand, parts) = (Arc::clone(route), Arc::clone(errand), Arc::default());
        Ok(Self { route, errand, entry: entry.clone(), full_key, id, checksums, parts })
    }

    /// The upload `id`, of which the target has `parts`.
    fn go_on(
        route: &Arc<Route>,
        entry: &Entry,
        id: String,
        parts: resume::Parts,
        errand: &Arc<Errand>,
    ) -> Result<Self, Error> {
        let (full_key, checksums) = (route.target.full_key(&entry.key)?, route.capabilities.checksums());
        let (route, errand, parts) = (Arc::clone(route), Arc::clone(errand), Arc::new(parts));
        Ok(Self { route, errand, entry: entry.clone(), full_key, id, checksums, parts })
    }

    /// Sends all parts and completes the upload.
    async fn transfer(
        &self,
        part_bytes: u64,
        head: &Head,
        may_replace: bool,
        before: Option<Sha>,
    ) -> Result<Transferred, Error> {
        // A checksum of the whole object that the source keeps is proof enough, and cheaper than MD5, which is computed only until
        // it is known what such ETags are: of objects without a checksum they tell damage.
        let is_known = self.route.etags.are_md5s(&self.entry.etag);
        let plan = if head.checksums.is_any() && is_known {
            EtagPlan::None
        } else {
            etags::plan(&self.route.source, &self.entry, &self.errand).await?
        };
        let sequence = Arc::new(Sequence::new(ContentHasher::new(plan)));
        let mut sent = self.send_parts(part_bytes, &sequence).await?;
        sent.sort_by_key(|part| part.number);
        let crc = sent.iter().fold(0, |crc, part| digest::crc64nvme_combine(crc, part.crc, part.bytes));
        let sent_bytes: u64 = sent.iter().map(|part| part.bytes).sum();
        let digest = sequence.finish().filter(|_| sent_bytes == self.entry.size);
        let digest = digest.ok_or_else(|| damaged(&self.route.source, &self.entry.key, "its parts do not add up"))?;
        let word = source_word(&self.entry.etag, head, &digest, || crc);
        let is_repeated = before == Some(digest.sha256);
        let judged = etags::judge(&self.route, &self.entry, &digest, word, is_repeated, &self.errand).await;
        let (proof, doubt) = match judged {
            Judgement::Linked => (ProofLevel::Linked, None),
            Judgement::Unlinked(doubt) => (ProofLevel::Stored, doubt),
            Judgement::ReadAgain => return Ok(Transferred::Doubtful(digest.sha256)),
        };
        let completed = self.complete(sent, crc, may_replace).await?;
        let target_checksum = completed.crc64nvme.filter(|stored| *stored == digest::crc64_base64(crc));
        let target_checksum = target_checksum.map(|stored| format!("crc64nvme:{stored}"));
        Ok(Transferred::Whole(Box::new(Proved {
            sha256: Some(digest.sha256),
            target_sha256: None,
            target_etag: completed.etag,
            target_version_id: completed.version_id,
            target_checksum,
            proof,
            findings: Vec::from_iter(doubt),
        })))
    }

    async fn send_parts(&self, part_bytes: u64, sequence: &Arc<Sequence<Held>>) -> Result<Vec<Sent>, Error> {
        let progress = Arc::new(Mutex::new(PartsDone::default()));
        let mut tasks = TaskSet::<Error>::new(&self.errand.stop);
        let stop = tasks.token();
        let mut offset = 0;
        for number in 1.. {
            if offset == self.entry.size {
                break;
            }
            let range = offset..self.entry.size.min(offset + part_bytes);
            offset = range.end;
            let permit = tokio::select! {
                permit = self.route.budget.take(range.end - range.start) => permit,
                () = stop.cancelled() => break,
            };
            let part = Part {
                route: Arc::clone(&self.route),
                errand: Arc::clone(&self.errand),
                entry: self.entry.clone(),
                full_key: self.full_key.clone(),
                upload_id: self.id.clone(),
                checksums: self.checksums,
                there: self.parts.get(&number).cloned(),
                number,
                range,
            };
            let (progress, sequence, stop) = (Arc::clone(&progress), Arc::clone(sequence), stop.clone());
            tasks.spawn(async move {
                let outcome = tokio::select! {
                    outcome = part.copy(permit, &sequence) => outcome,
                    () = stop.cancelled() => Err(Error::GivenUp),
                };
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Ok(part) => progress.sent.push(part),
                    // The first failure ends the others at once, not only when all are begun.
                    Err(error) => {
                        progress.failure.get_or_insert(error);
                        stop.cancel();
                    }
                }
                Ok(())
            });
        }
        tasks.join().await?;
        let done = std::mem::take(&mut *progress.lock().unwrap_or_else(PoisonError::into_inner));
        match done.failure {
            Some(error) => Err(error),
            None if self.errand.stop.is_cancelled() => Err(Error::GivenUp),
            None => Ok(done.sent),
        }
    }

    /// Makes the object visible. Returns its ETag and the checksum that the target keeps for all of it.
    async fn complete(&self, sent: Vec<Sent>, crc: u64, may_replace: bool) -> Result<Completed, Error> {
        let capabilities = &self.route.capabilities;
        let part = |part: Sent| {
            let crc = self.checksums.then(|| digest::crc64_base64(part.crc));
            CompletedPart::builder().part_number(part.number).e_tag(part.etag).set_checksum_crc64_nvme(crc).build()
        };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(sent.into_iter().map(part).collect())).build();
        let mut is_conditional = !may_replace && capabilities.conditional_writes();
        let mut was_refused = false;
        loop {
            match self.complete_once(parts.clone(), crc, is_conditional).await {
                // What it does not take may be the condition, or something else: without the condition it tells.
                Err(error) if is_conditional && error.is_unsupported() => (is_conditional, was_refused) = (false, true),
                Err(error) if is_conditional && error.is_precondition() && self.errand.retries() > 0 => {
                    // Taken by our own attempt whose answer was lost, if the content says so.
                    let occupied = || Error::Occupied { place: self.route.target.place(), key: self.entry.key.clone() };
                    return self.confirm(crc, occupied()).await;
                }
                Err(error) if is_conditional && error.is_precondition() => {
                    return Err(Error::Occupied { place: self.route.target.place(), key: self.entry.key.clone() });
                }
                // An earlier attempt whose answer was lost has completed it: the object tells.
                Err(error) if error.is_not_found() && self.errand.retries() > 0 => {
                    return self.confirm(crc, error).await;
                }
                outcome => {
                    if was_refused && outcome.is_ok() {
                        capabilities.without_conditional_writes();
                    }
                    return outcome;
                }
            }
        }
    }

    async fn complete_once(
        &self,
        parts: CompletedMultipartUpload,
        crc: u64,
        is_conditional: bool,
    ) -> Result<Completed, Error> {
        let target = &self.route.target;
        let crc = self.checksums.then(|| digest::crc64_base64(crc));
        let size = i64::try_from(self.entry.size).ok().filter(|_| self.checksums);
        let output = target
            .call("CompleteMultipartUpload", Some(&self.entry.key), &self.errand, || {
                target
                    .client()
                    .complete_multipart_upload()
                    .bucket(target.bucket())
                    .key(&self.full_key)
                    .upload_id(&self.id)
                    .multipart_upload(parts.clone())
                    .set_checksum_crc64_nvme(crc.clone())
                    .set_checksum_type(self.checksums.then_some(ChecksumType::FullObject))
                    .set_mpu_object_size(size)
                    .set_if_none_match(is_conditional.then(|| "*".to_owned()))
                    .send()
                    .map(lenient::completed)
            })
            .await?;
        let etag = output.e_tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok(Completed { etag, version_id: output.version_id, crc64nvme: output.checksum_crc64_nvme })
    }

    async fn confirm(&self, crc: u64, cause: Error) -> Result<Completed, Error> {
        let head = head::sure(&self.route.target, &self.entry.key, None, &self.errand).await?;
        let crc = digest::crc64_base64(crc);
        let agrees = head.checksums.crc64nvme.as_ref().is_none_or(|stored| *stored == crc);
        if head.size != self.entry.size || !agrees {
            return Err(cause);
        }
        Ok(Completed { etag: head.etag, version_id: head.version_id, crc64nvme: head.checksums.crc64nvme })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_size_fits_the_limits(size in 1u64..=50_000_000_000_000) {
            let part_bytes = part_bytes(size);
            prop_assert!(size.div_ceil(part_bytes) <= PARTS_MAX);
            prop_assert!((PART_BYTES_MIN..=5 << 30).contains(&part_bytes));
        }
    }
}
