//! Comparing one object on both sides: content, headers, user metadata, storage class, tags.
//!
//! The source is always read in full. The target is read in full when the comparison is to be, and otherwise only where it
//! keeps no checksum that our own can be held against. Bodies stream through; nothing is kept. Called by `work`.

mod kept;

use common::finding::{Finding, FindingKind, ProofLevel};
use crc_fast::CrcAlgorithm;

use crate::copy::{Proved, Route, Word, source_word};
use crate::digest::{self, ContentDigest, ContentHasher, EtagPlan};
use crate::errand::Errand;
use crate::error::Error;
use crate::etags::{self, Meaning};
use crate::head::{self, Head};
use crate::listing::Entry;
use crate::metadata::{self, map_difference};
use crate::read::{Wanted, read};
use crate::store::Store;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The target's stored checksum will do where there is one.
    Stored,
    /// Both sides in full.
    Full,
    /// No content at all: the checksums that both stores keep are held against each other.
    Kept,
}

/// Compares two objects of the same size. [`Proved::findings`] has the differences; with none of them the objects are
/// equal, as strongly as [`Proved::proof`] says.
pub async fn compare(
    route: &Route,
    source: &Entry,
    target: &Entry,
    depth: Depth,
    errand: &Errand,
) -> Result<Proved, Error> {
    // Where both sides are read, nothing is proved by the source's own word.
    let plan = match depth {
        Depth::Kept => return kept::compare(route, source, target, errand).await,
        Depth::Full => HashPlan { etag: EtagPlan::None, fingerprint: true },
        Depth::Stored => HashPlan { etag: etags::plan(&route.source, source, errand).await?, fingerprint: false },
    };
    let reading = hash(&route.source, source, plan, errand, |bytes| route.progress.add_bytes(bytes));
    let (ours, theirs) = match depth {
        Depth::Full => {
            let theirs = fingerprint(&route.target, target, errand);
            let (ours, (head, fingerprint)) = futures::future::try_join(reading, theirs).await?;
            // The same fingerprint is of the same bytes. Another one is told by SHA-256, which costs a second reading.
            let sha256 = if ours.fingerprint == Some(fingerprint) {
                ours.digest.sha256
            } else {
                hash(&route.target, target, HashPlan::default(), errand, |_| ()).await?.digest.sha256
            };
            (ours, Theirs { head, sha256: Some(sha256), checksum: None })
        }
        Depth::Stored | Depth::Kept => {
            let head = head::of_entry(&route.target, target, errand).await?;
            let ours = reading.await?;
            // What a store keeps without looking at it says nothing about what it holds.
            let checksum = held_against(&head, &ours).filter(|_| route.capabilities.checksums());
            let sha256 = match &checksum {
                Some(_) => None,
                None => Some(hash(&route.target, target, HashPlan::default(), errand, |_| ()).await?.digest.sha256),
            };
            (ours, Theirs { head, sha256, checksum })
        }
    };
    let word = ours.word_of_source(&source.etag);
    let mut findings: Vec<Finding> = content(source, &ours, &theirs).into_iter().collect();
    if findings.is_empty() && is_contradicted(route, source, word, errand).await {
        findings.push(etags::contradicted(source));
    }
    findings.extend(belongings(route, (source, target), &ours.head, &theirs.head, errand).await?);
    let proof = match &theirs {
        Theirs { sha256: Some(_), .. } => ProofLevel::Reread,
        _ if word == Word::Agrees => ProofLevel::Linked,
        _ => ProofLevel::Stored,
    };
    let is_different = findings.iter().any(|finding| finding.aspect == "content");
    Ok(Proved {
        sha256: Some(ours.digest.sha256),
        target_sha256: theirs.sha256,
        target_etag: target.etag.clone(),
        target_version_id: target.version_id().map(ToOwned::to_owned),
        target_checksum: theirs.checksum.map(|checksum| checksum.text),
        proof: if is_different { ProofLevel::None } else { proof },
        findings,
    })
}

/// What was read of the source.
struct Ours {
    head: Head,
    digest: ContentDigest,
    crc64nvme: u64,
    fingerprint: Option<Fingerprint>,
}

/// What is computed besides SHA-256 and CRC-64/NVME.
#[derive(Debug, Clone, Copy)]
struct HashPlan {
    etag: EtagPlan,
    /// What the other side is held against.
    fingerprint: bool,
}

impl Default for HashPlan {
    fn default() -> Self {
        Self { etag: EtagPlan::None, fingerprint: false }
    }
}

/// What is known of the target.
struct Theirs {
    head: Head,
    sha256: Option<digest::Sha>,
    checksum: Option<Held>,
}

/// A checksum that the target keeps, held against ours.
struct Held {
    text: String,
    agrees: bool,
}

impl Ours {
    fn word_of_source(&self, etag: &str) -> Word {
        source_word(etag, &self.head, &self.digest, || self.crc64nvme)
    }
}

/// Both sides are the same, and the source itself says that it is something else: a damage that was copied, and is read again.
async fn is_contradicted(route: &Route, source: &Entry, word: Word, errand: &Errand) -> bool {
    match word {
        Word::Contradicts { is_certain: true } => true,
        Word::Contradicts { is_certain: false } => {
            !etags::is_uneven(&route.source, source, errand).await
                && route.etags.meaning(route, source, errand).await == Meaning::Md5
        }
        Word::Agrees | Word::Silent => false,
    }
}

async fn hash(
    store: &Store,
    entry: &Entry,
    plan: HashPlan,
    errand: &Errand,
    progress: impl Fn(u64) + Send + Sync,
) -> Result<Ours, Error> {
    let mut hasher = ContentHasher::new(plan.etag);
    let mut fingerprint = plan.fingerprint.then(blake3::Hasher::new);
    let mut crc64nvme = crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme);
    let wanted = Wanted::of(entry);
    let head = read(store, wanted, 0..entry.size, errand, &mut |chunk: &[u8]| {
        hasher.update(chunk);
        crc64nvme.update(chunk);
        if let Some(fingerprint) = &mut fingerprint {
            fingerprint.update(chunk);
        }
        progress(chunk.len() as u64);
    })
    .await?;
    let fingerprint = fingerprint.map(|fingerprint| fingerprint.finalize());
    Ok(Ours { head, digest: hasher.finish(), crc64nvme: crc64nvme.finalize(), fingerprint })
}

/// What two sides are held against each other by. SHA-256 would do as well, and costs a processor without instructions for it
/// several times as much; see decision 0023.
type Fingerprint = blake3::Hash;

/// Reads all of `entry` for its fingerprint.
async fn fingerprint(store: &Store, entry: &Entry, errand: &Errand) -> Result<(Head, Fingerprint), Error> {
    let mut fingerprint = blake3::Hasher::new();
    let mut take = |chunk: &[u8]| {
        fingerprint.update(chunk);
    };
    let head = read(store, Wanted::of(entry), 0..entry.size, errand, &mut take).await?;
    Ok((head, fingerprint.finalize()))
}

fn held_against(target: &Head, ours: &Ours) -> Option<Held> {
    let held = |algorithm: &str, stored: &String, computed: &str| Held {
        text: format!("{algorithm}:{stored}"),
        agrees: stored == computed,
    };
    let sha256 = target.checksums.sha256.as_ref();
    let crc64nvme = target.checksums.crc64nvme.as_ref();
    sha256
        .map(|stored| held("sha256", stored, &digest::base64(&ours.digest.sha256)))
        .or_else(|| crc64nvme.map(|stored| held("crc64nvme", stored, &digest::crc64_base64(ours.crc64nvme))))
}

fn content(source: &Entry, ours: &Ours, theirs: &Theirs) -> Option<Finding> {
    let detail = match theirs {
        Theirs { sha256: Some(sha256), .. } if *sha256 != ours.digest.sha256 => {
            let hex = |sha: &digest::Sha| hex::encode(sha);
            format!("SHA-256 of the source {}, of the target {}", hex(&ours.digest.sha256), hex(sha256))
        }
        Theirs { checksum: Some(Held { text, agrees: false }), .. } => {
            format!("the target keeps the checksum {text}, which the source's content does not have")
        }
        _ => return None,
    };
    Some(Finding::new(FindingKind::Differs, source.name(), "content", detail))
}

/// Everything but the content.
async fn belongings(
    route: &Route,
    (source, target): (&Entry, &Entry),
    ours: &Head,
    theirs: &Head,
    errand: &Errand,
) -> Result<Vec<Finding>, Error> {
    let item = source.name();
    let differs = |aspect: &str, detail: String| Finding::new(FindingKind::Differs, &item, aspect, detail);
    let differences = ours.metadata.differences(&theirs.metadata);
    let mut findings: Vec<Finding> = differences.into_iter().map(|(aspect, detail)| differs(&aspect, detail)).collect();
    let missing_count = ours.metadata.missing_count + theirs.metadata.missing_count;
    if missing_count > 0 {
        let detail = format!("{missing_count} entries cannot be read through the API");
        findings.push(Finding::new(FindingKind::Unknown, &item, "user metadata", detail));
    }
    for header in ours.metadata.unreadable.union(&theirs.metadata.unreadable) {
        let detail = "its value is no text, or it comes twice with different ones";
        findings.push(Finding::new(FindingKind::Unknown, &item, header, detail));
    }
    // A number of tags is told to those who may read tags; whoever may not sees none, and preflight says so.
    let source_tags = metadata::tags(&route.source, source, ours.tag_count, errand).await;
    let target_tags = metadata::tags(&route.target, target, theirs.tag_count, errand).await;
    match (source_tags, target_tags) {
        (Ok(ours), Ok(theirs)) => {
            findings.extend(map_difference(&ours, &theirs).map(|detail| differs("tags", detail)));
        }
        (Err(error), _) | (_, Err(error)) if error.is_denied() || error.is_unsupported() => {
            findings.push(Finding::new(FindingKind::Unknown, &item, "tags", format!("cannot be read: {error}")));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    }
    Ok(findings)
}
