//! Copying one object, small ones by `single`, large ones by `multipart`; what both share, and what was proved about it.
//! Called by `work`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::aws::FailureKind;
use common::finding::{Finding, FindingKind, ProofLevel};
use common::limits::ByteBudget;
use common::progress::Progress;

use crate::arrived::Likenesses;
use crate::compare::Depth;
use crate::digest::{self, ContentDigest, Sha};
use crate::errand::Errand;
use crate::error::Error;
use crate::etags::Etags;
use crate::head::Head;
use crate::journal::Begun;
use crate::key::Key;
use crate::listing::Entry;
use crate::metadata::{self, Metadata, Tags};
use crate::multipart;
use crate::single;
use crate::store::Store;

/// Objects above this size are copied in parts. Twice the smallest part, so that there are always two.
pub const SINGLE_BYTES_MAX: u64 = 16 << 20;

/// How often a source object is read again when its bytes contradict its checksum.
pub const DAMAGED_READS_MAX: u32 = 3;

/// What the target store can do; learnt by preflight's probe and, where an answer says so, on the way.
#[derive(Debug)]
pub struct Capabilities {
    /// It keeps the checksums that it is sent.
    checksums: AtomicBool,
    /// It refuses a body whose `Content-MD5` is another one, and takes that beside a checksum.
    content_md5: AtomicBool,
    /// It understands `If-None-Match: *`.
    conditional_writes: AtomicBool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            checksums: AtomicBool::new(true),
            content_md5: AtomicBool::new(false),
            conditional_writes: AtomicBool::new(true),
        }
    }
}

impl Capabilities {
    /// Whether checksums are to be sent.
    pub fn checksums(&self) -> bool {
        self.checksums.load(Ordering::Relaxed)
    }

    /// The target does not take checksums.
    pub fn without_checksums(&self) {
        self.checksums.store(false, Ordering::Relaxed);
    }

    /// Whether the target holds bodies against `Content-MD5`; not until it has shown it.
    pub fn content_md5(&self) -> bool {
        self.content_md5.load(Ordering::Relaxed)
    }

    /// The target has refused a body with another `Content-MD5`.
    pub fn with_content_md5(&self) {
        self.content_md5.store(true, Ordering::Relaxed);
    }

    /// Whether a write may carry `If-None-Match: *`.
    pub fn conditional_writes(&self) -> bool {
        self.conditional_writes.load(Ordering::Relaxed)
    }

    /// The target does not take conditional writes.
    pub fn without_conditional_writes(&self) {
        self.conditional_writes.store(false, Ordering::Relaxed);
    }
}

/// Both sides and what all workers share.
#[derive(Debug)]
pub struct Route {
    /// Where the data comes from.
    pub source: Store,
    /// Where it goes.
    pub target: Store,
    /// Bytes of bodies that may be held at the same time.
    pub budget: ByteBudget,
    /// The same in number, for the size of parts.
    pub memory_bytes: u64,
    /// How a verification compares.
    pub depth: Depth,
    /// What the target can do.
    pub capabilities: Capabilities,
    /// What the source's ETags mean.
    pub etags: Etags,
    /// Objects of which likeness the target was seen to keep.
    pub kept: Likenesses,
    /// Multipart uploads that the journal knows to have begun, by the hash of their keys.
    pub begun: Mutex<HashMap<u128, Begun>>,
    /// Multipart uploads that an earlier start left behind.
    pub leftovers: multipart::Leftovers,
    /// Counters for the display.
    pub progress: Progress,
}

/// What came of copying, or of comparing, one object.
#[derive(Debug, Clone)]
pub struct Proved {
    /// SHA-256 of the bytes that we read from the source, where we read it.
    pub sha256: Option<Sha>,
    /// SHA-256 of the bytes that we read from the target, where we read it.
    pub target_sha256: Option<Sha>,
    /// The target's ETag.
    pub target_etag: String,
    /// The target's id of the version, where it keeps versions.
    pub target_version_id: Option<String>,
    /// The checksum that the target validated and stored, `algorithm:base64`.
    pub target_checksum: Option<String>,
    /// How strongly equality is proved.
    pub proof: ProofLevel,
    /// What is worth a word besides.
    pub findings: Vec<Finding>,
}

impl Proved {
    /// A mark of deletion, which has no content: that the target keeps it is all there is to prove.
    pub fn of_marker(target_version_id: Option<String>) -> Self {
        Self {
            sha256: None,
            target_sha256: None,
            target_etag: String::new(),
            target_version_id,
            target_checksum: None,
            proof: ProofLevel::Stored,
            findings: Vec::new(),
        }
    }
}

/// Copies the object that the source lists as `entry`. Where the target has none, `may_replace` is false, and one that
/// appears meanwhile is not replaced.
pub async fn copy(route: &Arc<Route>, entry: &Entry, may_replace: bool, errand: &Arc<Errand>) -> Result<Proved, Error> {
    if entry.size > SINGLE_BYTES_MAX {
        multipart::copy(route, entry, may_replace, errand).await
    } else {
        single::copy(route, entry, may_replace, errand).await
    }
}

/// What the source itself says about the bytes that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A checksum or ETag of the source is that of our bytes.
    Agrees,
    /// It says nothing that could be computed.
    Silent,
    /// It says something else. An ETag only looks like a checksum, so it alone is not certain.
    Contradicts {
        /// Whether it is a stored checksum that contradicts.
        is_certain: bool,
    },
}

/// Compares the digests of a whole object with the source's `etag` and stored checksums.
pub fn source_word(etag: &str, head: &Head, digest: &ContentDigest, crc64nvme: impl FnOnce() -> u64) -> Word {
    let sha256 = head.checksums.sha256.as_ref().map(|stored| *stored == digest::base64(&digest.sha256));
    let stored = sha256.or_else(|| {
        let stored = head.checksums.crc64nvme.as_ref()?;
        Some(*stored == digest::crc64_base64(crc64nvme()))
    });
    match (stored, &digest.etag) {
        (Some(true), _) => Word::Agrees,
        (Some(false), _) => Word::Contradicts { is_certain: true },
        (None, Some(computed)) if computed.eq_ignore_ascii_case(etag) => Word::Agrees,
        (None, Some(_)) if !head.etag_is_opaque => Word::Contradicts { is_certain: false },
        _ => Word::Silent,
    }
}

/// The tags to carry. That they cannot be read is a finding, not a failure of the object.
pub async fn carried_tags(
    source: &Store,
    entry: &Entry,
    head: &Head,
    errand: &Errand,
) -> Result<(Tags, Vec<Finding>), Error> {
    match metadata::tags(source, entry, head.tag_count, errand).await {
        Ok(tags) => Ok((tags, Vec::new())),
        Err(error) if error.is_denied() || error.is_unsupported() => {
            let reason = common::error::describe(&error);
            let (kind, detail) = match head.tag_count {
                Some(_) => (FindingKind::Error, format!("copied without its tags, which cannot be read: {reason}")),
                None => (FindingKind::Unknown, format!("it may have tags, which cannot be read: {reason}")),
            };
            Ok((Tags::new(), vec![Finding::new(kind, entry.name(), "tags", detail)]))
        }
        Err(error) => Err(error),
    }
}

/// What cannot be carried because the store cannot show it in headers, or what these say makes no sense.
pub fn lost_metadata(entry: &Entry, metadata: &Metadata) -> Vec<Finding> {
    let count = metadata.missing_count;
    let missing = (count > 0).then(|| {
        let detail = format!("{count} entries cannot be read through the API and were not carried");
        Finding::new(FindingKind::Error, entry.name(), "user metadata", detail)
    });
    let unreadable = metadata.unreadable.iter().map(|header| {
        let detail = "was not carried: its value is no text, or it comes twice with different ones";
        Finding::new(FindingKind::Error, entry.name(), header, detail)
    });
    missing.into_iter().chain(unreadable).collect()
}

/// `error`, with a word about what the object carries where the target refuses it: not all stores say what they mind.
pub fn refused(mut error: Error, metadata: &Metadata, tags: &Tags) -> Error {
    // One object's metadata, and not who we are: S3 computes another signature over letters beyond ASCII.
    if let Error::Request { failure, .. } = &mut error
        && failure.code.as_deref() == Some("SignatureDoesNotMatch")
        && metadata.is_beyond_ascii()
    {
        failure.kind = FailureKind::Other;
        failure.message = "the object carries metadata beyond ASCII, which this store does not take as it is".into();
    }
    if let (Error::Request { failure, .. }, Some(carried)) = (&mut error, metadata.carried(tags))
        && failure.kind == FailureKind::Other
    {
        failure.message = format!("{}; the object carries {carried}", failure.message.trim_end_matches('.'));
    }
    error
}

/// See [`Error::Damaged`].
pub fn damaged(store: &Store, key: &Key, what: &str) -> Error {
    Error::Damaged { place: store.place(), key: key.clone(), what: what.into() }
}
