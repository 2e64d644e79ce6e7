//! What the source's ETags mean: MD5s, or something that only looks like them.
//!
//! An ETag that contradicts what was read, twice in the same way, is either no MD5 or the sign of damage that repeats
//! itself: a bit that a proxy or a disk flips each time. Which of the two it is the store's other objects tell. Called by `copy`,
//! `multipart` and `compare`.

use std::sync::atomic::{AtomicBool, Ordering};

use common::aws::ObjectRequest;
use common::finding::{Finding, FindingKind};

use crate::copy::{Route, Word};
use crate::digest::{ContentDigest, ContentHasher, EtagKind, EtagPlan};
use crate::errand::Errand;
use crate::error::Error;
use crate::listing::{self, Entry};
use crate::read::{Wanted, read};
use crate::store::Store;

/// Objects that are read to learn what ETags mean, at most, and how large they are at most.
const OTHERS_MAX: usize = 8;
const OTHERS_BYTES_MAX: u64 = 1 << 20;

/// What the ETags of one form have turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// They are MD5s: one that contradicts means damage.
    Md5,
    /// They are something else: none of several objects has the one that its content would have.
    Other,
    /// There was nothing to tell by.
    Unknown,
}

/// What was learnt of the source's ETags in this run.
#[derive(Debug, Default)]
pub struct Etags {
    whole: AtomicBool,
    parts: AtomicBool,
}

impl Etags {
    /// Whether an ETag of the form of `etag` has turned out to be made of MD5s.
    pub fn are_md5s(&self, etag: &str) -> bool {
        match EtagKind::of(etag) {
            EtagKind::Md5 => self.whole.load(Ordering::Relaxed),
            EtagKind::Multipart(_) => self.parts.load(Ordering::Relaxed),
            EtagKind::Opaque => false,
        }
    }

    /// Learns from an object that was read.
    fn learn(&self, entry: &Entry, digest: &ContentDigest) {
        if digest.etag.as_ref().is_some_and(|computed| computed.eq_ignore_ascii_case(&entry.etag)) {
            match EtagKind::of(&entry.etag) {
                EtagKind::Md5 => self.whole.store(true, Ordering::Relaxed),
                EtagKind::Multipart(_) => self.parts.store(true, Ordering::Relaxed),
                EtagKind::Opaque => {}
            }
        }
    }

    /// What the ETag of `entry` means, going by the others of its form. Where no object has told yet, some small ones are
    /// read for it.
    pub async fn meaning(&self, route: &Route, entry: &Entry, errand: &Errand) -> Meaning {
        let (known, is_whole) = match EtagKind::of(&entry.etag) {
            EtagKind::Md5 => (&self.whole, true),
            EtagKind::Multipart(_) => (&self.parts, false),
            EtagKind::Opaque => return Meaning::Other,
        };
        if known.load(Ordering::Relaxed) {
            return Meaning::Md5;
        }
        let read_count = if is_whole { self.ask_others(route, entry, errand).await } else { 0 };
        match (known.load(Ordering::Relaxed), read_count) {
            (true, _) => Meaning::Md5,
            (false, 0) => Meaning::Unknown,
            (false, _) => Meaning::Other,
        }
    }

    /// Reads small objects until one of them tells that ETags are MD5s. How many were read.
    async fn ask_others(&self, route: &Route, entry: &Entry, errand: &Errand) -> usize {
        let Ok(page) = listing::first(&route.source, errand).await else { return 0 };
        let is_like_it = |other: &&Entry| {
            other.key != entry.key && other.size <= OTHERS_BYTES_MAX && EtagKind::of(&other.etag) == EtagKind::Md5
        };
        let mut read_count = 0;
        for other in page.entries.iter().filter(is_like_it).take(OTHERS_MAX) {
            let mut hasher = ContentHasher::new(EtagPlan::Whole);
            let mut take = |chunk: &[u8]| hasher.update(chunk);
            let head = read(&route.source, Wanted::of(other), 0..other.size, errand, &mut take).await;
            // One that is encrypted says so, and tells nothing of the others.
            if head.is_ok_and(|head| !head.etag_is_opaque) {
                read_count += 1;
                self.learn(other, &hasher.finish());
            }
            if self.whole.load(Ordering::Relaxed) {
                break;
            }
        }
        read_count
    }
}

/// How the ETag of `entry` can be computed. Asks for the length of the first part where there are several.
pub async fn plan(source: &Store, entry: &Entry, errand: &Errand) -> Result<EtagPlan, Error> {
    match EtagKind::of(&entry.etag) {
        EtagKind::Md5 => Ok(EtagPlan::Whole),
        EtagKind::Opaque => Ok(EtagPlan::None),
        EtagKind::Multipart(1) => Ok(EtagPlan::Parts(u64::MAX)),
        EtagKind::Multipart(count) => {
            // A store that does not know parts any more leaves the ETag unproved, which is no failure.
            let part_bytes = part_bytes(source, entry, 1, errand).await?.filter(|part_bytes| *part_bytes > 0);
            Ok(part_bytes
                .filter(|part_bytes| entry.size.div_ceil(*part_bytes) == u64::from(count))
                .map_or(EtagPlan::None, EtagPlan::Parts))
        }
    }
}

/// The length of a part of `entry`, where the store knows parts.
async fn part_bytes(source: &Store, entry: &Entry, number: i32, errand: &Errand) -> Result<Option<u64>, Error> {
    let full_key = source.full_key(&entry.key)?;
    let part = source
        .call("HeadObject", Some(&entry.key), errand, || {
            let request = ObjectRequest::head(&full_key).query("partNumber", Some(number.to_string()));
            source.objects().send(request.query("versionId", entry.version_id()))
        })
        .await;
    let part = part.ok().filter(|part| part.headers().get("x-amz-mp-parts-count").is_some());
    Ok(part.and_then(|part| part.headers().get("content-length")?.parse().ok()))
}

/// Whether the parts of `entry` are of several lengths, the last one aside. What was computed by the length of the first one
/// says nothing then. Asked only where it contradicts: it takes a request for each part.
pub async fn is_uneven(source: &Store, entry: &Entry, errand: &Errand) -> bool {
    let EtagKind::Multipart(count) = EtagKind::of(&entry.etag) else { return false };
    let mut first = None;
    for number in 1..i32::try_from(count).unwrap_or(i32::MAX) {
        match part_bytes(source, entry, number, errand).await {
            Ok(Some(length)) if *first.get_or_insert(length) == length => {}
            Ok(Some(_)) => return true,
            _ => return false,
        }
    }
    false
}

/// What comes of bytes that were read, by what the source says of them.
#[derive(Debug)]
pub enum Judgement {
    /// The source says that they are its own.
    Linked,
    /// It says nothing that counts; with a finding, nobody can tell whether it does.
    Unlinked(Option<Finding>),
    /// They are damaged.
    ReadAgain,
}

/// Judges what was read of `entry`. `is_repeated`: the same was read before, so that it is no accident of the line.
pub async fn judge(
    route: &Route,
    entry: &Entry,
    digest: &ContentDigest,
    word: Word,
    is_repeated: bool,
    errand: &Errand,
) -> Judgement {
    route.etags.learn(entry, digest);
    match word {
        Word::Agrees => Judgement::Linked,
        Word::Silent => Judgement::Unlinked(None),
        Word::Contradicts { is_certain: false } if is_uneven(&route.source, entry, errand).await => {
            Judgement::Unlinked(None)
        }
        Word::Contradicts { is_certain: false } if is_repeated => match route.etags.meaning(route, entry, errand).await
        {
            Meaning::Md5 => Judgement::ReadAgain,
            Meaning::Other => Judgement::Unlinked(None),
            Meaning::Unknown => Judgement::Unlinked(Some(contradicted(entry))),
        },
        Word::Contradicts { .. } => Judgement::ReadAgain,
    }
}

/// The finding that the source's own word about an object contradicts what was read and nobody can tell why.
pub fn contradicted(entry: &Entry) -> Finding {
    let detail = "what was read, twice the same, is not what the source's ETag or checksum says: either that means something else, \
                  or the object is damaged in the same way each time it is read; hold it against another copy";
    Finding::new(FindingKind::Unknown, entry.name(), "content", detail)
}
