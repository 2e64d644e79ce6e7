//! What is computed over an object's bytes while they pass: our SHA-256, and whatever proves a store's word about them.
//!
//! Pure arithmetic: no I/O, no SDK. The formulas of multipart ETags and full-object checksums are those of the S3 user
//! guide, "Checking object integrity". Called by `copy`, `multipart`, `compare`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

/// SHA-256 of an object's content.
pub type Sha = [u8; SHA256_OUTPUT_LEN];

/// What an ETag says about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtagKind {
    /// It has the form of an MD5 of the whole content.
    Md5,
    /// It has the form of an MD5 over the MD5s of this many parts.
    Multipart(u32),
    /// Nothing that could be computed.
    Opaque,
}

impl EtagKind {
    /// Reads the kind off the form of an ETag without quotes. The form proves nothing: an encrypted object's ETag looks
    /// like an MD5 and is none. So an ETag that agrees is a proof, and one that does not is not yet a difference.
    pub fn of(etag: &str) -> Self {
        let is_md5 = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.split_once('-') {
            None if is_md5(etag) => Self::Md5,
            Some((digest, count)) if is_md5(digest) => {
                count.parse().ok().filter(|count| *count > 0).map_or(Self::Opaque, Self::Multipart)
            }
            _ => Self::Opaque,
        }
    }
}

/// How the source's ETag is to be computed from the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtagPlan {
    /// One MD5 over everything.
    Whole,
    /// MD5 of the MD5s of parts of this many bytes, the last one shorter.
    Parts(u64),
    /// Not at all.
    None,
}

/// SHA-256 of what is fed to it. Ring's: on processors without instructions for it, that takes half the time of `sha2`'s.
pub struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken.
    pub fn finish(self) -> Sha {
        let mut sha = [0; SHA256_OUTPUT_LEN];
        sha.copy_from_slice(self.0.finish().as_ref());
        sha
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

/// Digests of a whole object, fed in order.
#[derive(Debug)]
pub struct ContentHasher {
    sha256: Sha256,
    etag: EtagHasher,
}

/// The digests of a whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    /// SHA-256.
    pub sha256: Sha,
    /// The ETag that the store must have given if the plan was right.
    pub etag: Option<String>,
}

impl ContentHasher {
    /// A hasher that follows `plan` for the ETag.
    pub fn new(plan: EtagPlan) -> Self {
        let state = match plan {
            EtagPlan::None => None,
            EtagPlan::Whole => Some(EtagState::new(u64::MAX)),
            EtagPlan::Parts(part_bytes) => Some(EtagState::new(part_bytes.max(1))),
        };
        Self { sha256: Sha256::default(), etag: EtagHasher { state, whole: plan == EtagPlan::Whole } }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.etag.update(bytes);
    }

    /// The digests of everything taken.
    pub fn finish(self) -> ContentDigest {
        ContentDigest { sha256: self.sha256.finish(), etag: self.etag.finish() }
    }
}

#[derive(Debug)]
struct EtagHasher {
    state: Option<EtagState>,
    whole: bool,
}

#[derive(Debug)]
struct EtagState {
    part_bytes: u64,
    part: Md5,
    part_filled: u64,
    parts: Md5,
    parts_count: u32,
}

impl EtagState {
    fn new(part_bytes: u64) -> Self {
        Self { part_bytes, part: Md5::new(), part_filled: 0, parts: Md5::new(), parts_count: 0 }
    }

    fn close_part(&mut self) {
        self.parts.update(self.part.finalize_reset());
        self.parts_count += 1;
        self.part_filled = 0;
    }
}

impl EtagHasher {
    fn update(&mut self, mut bytes: &[u8]) {
        let Some(state) = &mut self.state else { return };
        while !bytes.is_empty() {
            let room = usize::try_from(state.part_bytes - state.part_filled).unwrap_or(usize::MAX);
            let (head, tail) = bytes.split_at(room.min(bytes.len()));
            state.part.update(head);
            state.part_filled += head.len() as u64;
            if state.part_filled == state.part_bytes {
                state.close_part();
            }
            bytes = tail;
        }
    }

    fn finish(self) -> Option<String> {
        let mut state = self.state?;
        if self.whole {
            return Some(hex::encode(state.part.finalize_reset()));
        }
        if state.part_filled > 0 || state.parts_count == 0 {
            state.close_part();
        }
        Some(format!("{}-{}", hex::encode(state.parts.finalize_reset()), state.parts_count))
    }
}

/// SHA-256 of `bytes` at once.
pub fn sha256(bytes: &[u8]) -> Sha {
    let mut hasher = Sha256::default();
    hasher.update(bytes);
    hasher.finish()
}

/// MD5 of `bytes` as the header `Content-MD5` wants it.
pub fn content_md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// The MD5 that `etag` is, as the header `Content-MD5` wants it; `None` where it has not the form of one.
pub fn content_md5_of_etag(etag: &str) -> Option<String> {
    let is_md5 = EtagKind::of(etag) == EtagKind::Md5;
    is_md5.then(|| hex::decode(etag).ok().map(|md5| STANDARD.encode(md5))).flatten()
}

/// MD5 of `bytes` as ETags show it.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// A digest as the checksum headers want it.
pub fn base64(digest: &[u8]) -> String {
    STANDARD.encode(digest)
}

/// CRC-64/NVME of `bytes`.
pub fn crc64nvme(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// CRC-64/NVME of the concatenation of two runs of bytes, `second_bytes` being the length of the second.
pub fn crc64nvme_combine(first: u64, second: u64, second_bytes: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, first, second, second_bytes)
}

/// A CRC-64 as the checksum headers want it.
pub fn crc64_base64(crc: u64) -> String {
    STANDARD.encode(crc.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn etag(plan: EtagPlan, bytes: &[u8]) -> Option<String> {
        let mut hasher = ContentHasher::new(plan);
        hasher.update(bytes);
        hasher.finish().etag
    }

    #[test]
    fn known_values() {
        let mut hasher = ContentHasher::new(EtagPlan::Whole);
        hasher.update(b"abc");
        let digest = hasher.finish();
        assert_eq!(hex::encode(digest.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.etag.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(content_md5_of_etag("900150983cd24fb0d6963f7d28e17f72"), Some(content_md5(b"abc")));
        assert_eq!(content_md5_of_etag("900150983cd24fb0d6963f7d28e17f72-1"), None);
        // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc64nvme(b"123456789"), 0xae8b_1486_0a79_9888);
        assert_eq!(etag(EtagPlan::Whole, b"").as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
    }

    #[test]
    fn kinds_are_read_off_the_form() {
        assert_eq!(EtagKind::of("d41d8cd98f00b204e9800998ecf8427e"), EtagKind::Md5);
        assert_eq!(EtagKind::of("d41d8cd98f00b204e9800998ecf8427e-3"), EtagKind::Multipart(3));
        for opaque in ["", "x", "d41d8cd98f00b204e9800998ecf8427e-0", "d41d8cd98f00b204e9800998ecf8427e-x"] {
            assert_eq!(EtagKind::of(opaque), EtagKind::Opaque, "{opaque}");
        }
    }

    proptest! {
        #[test]
        fn multipart_etags_do_not_depend_on_the_chunks(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), part in 1usize..60, chunk in 1usize..60,
        ) {
            let mut outer = Md5::new();
            bytes.chunks(part).for_each(|part| outer.update(Md5::digest(part)));
            let expected = format!("{}-{}", hex::encode(outer.finalize()), bytes.len().div_ceil(part));
            let mut hasher = ContentHasher::new(EtagPlan::Parts(part as u64));
            bytes.chunks(chunk).for_each(|chunk| hasher.update(chunk));
            prop_assert_eq!(hasher.finish().etag, Some(expected));
        }

        #[test]
        fn crcs_of_parts_combine(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            let combined = crc64nvme_combine(crc64nvme(first), crc64nvme(second), second.len() as u64);
            prop_assert_eq!(combined, crc64nvme(&bytes));
        }
    }
}
