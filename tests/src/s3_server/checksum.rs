//! Checksums as S3 keeps them: five algorithms, whole-object values and composites of parts.
//!
//! Knows nothing of requests or storage. Called by `body` while bytes arrive, and by `objects` and
//! `multipart` to compare what a client claims with what the bytes are.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};

/// An additional checksum algorithm of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME, which S3 computes itself when a client names no algorithm.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them, in the order of their headers' names.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header that carries a value of this algorithm.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The name used in `x-amz-checksum-algorithm` and in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The type that S3 gives a multipart upload of this algorithm when the client names none.
    pub fn default_kind(self) -> Kind {
        if self == Self::Crc64Nvme { Kind::FullObject } else { Kind::Composite }
    }

    /// Whether S3 accepts this algorithm with this type in a multipart upload.
    pub fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Crc64Nvme => kind == Kind::FullObject,
            Self::Crc32 | Self::Crc32c => true,
            Self::Sha1 | Self::Sha256 => kind == Kind::Composite,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// What a stored value covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All bytes of the object.
    FullObject,
    /// The values of the parts, one after the other.
    Composite,
}

impl Kind {
    /// The word in `x-amz-checksum-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A checksum as S3 stores it with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What the value covers.
    pub kind: Kind,
    /// Base64, with `-N` behind it for a composite of N parts.
    pub value: String,
}

/// The digests of a run of bytes: always MD5 and CRC-64/NVME, and one more where a client asked.
#[derive(Debug, Clone)]
pub(super) struct Digests {
    /// MD5.
    pub(super) md5: [u8; 16],
    /// CRC-64/NVME, big-endian.
    pub(super) crc64nvme: [u8; 8],
    /// The value of the algorithm that the client named, raw.
    pub(super) named: Option<(Algorithm, Vec<u8>)>,
}

impl Digests {
    /// The raw value of `algorithm`, when it was computed.
    pub(super) fn raw(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match &self.named {
            Some((named, value)) if *named == algorithm => Some(value),
            _ if algorithm == Algorithm::Crc64Nvme => Some(&self.crc64nvme),
            _ => None,
        }
    }

    /// What S3 stores for a body sent in one piece: the algorithm that was named, else CRC-64/NVME.
    pub(super) fn stored(&self) -> Stored {
        let (algorithm, value) = match &self.named {
            Some((algorithm, value)) => (*algorithm, value.as_slice()),
            None => (Algorithm::Crc64Nvme, self.crc64nvme.as_slice()),
        };
        Stored { algorithm, kind: Kind::FullObject, value: BASE64_STANDARD.encode(value) }
    }
}

/// Takes bytes in order and yields their [`Digests`].
pub(super) struct Hasher {
    md5: Md5,
    crc64nvme: Crc64Nvme,
    named: Option<Named>,
}

enum Named {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Sha1(Sha1),
    Sha256(Sha256),
    /// Computed for every body already.
    Crc64Nvme,
}

impl Hasher {
    /// A hasher that computes `named` besides what is always computed.
    pub(super) fn new(named: Option<Algorithm>) -> Self {
        let named = named.map(|algorithm| match algorithm {
            Algorithm::Crc32 => Named::Crc32(Crc32::new()),
            Algorithm::Crc32c => Named::Crc32c(Crc32c::new()),
            Algorithm::Crc64Nvme => Named::Crc64Nvme,
            Algorithm::Sha1 => Named::Sha1(Sha1::new()),
            Algorithm::Sha256 => Named::Sha256(Sha256::new()),
        });
        Self { md5: Md5::new(), crc64nvme: Crc64Nvme::new(), named }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.crc64nvme.update(bytes);
        match &mut self.named {
            Some(Named::Crc32(hasher)) => hasher.update(bytes),
            Some(Named::Crc32c(hasher)) => hasher.update(bytes),
            Some(Named::Sha1(hasher)) => hasher.update(bytes),
            Some(Named::Sha256(hasher)) => hasher.update(bytes),
            Some(Named::Crc64Nvme) | None => {}
        }
    }

    /// The digests of all bytes taken.
    pub(super) fn finish(self) -> Digests {
        let crc64nvme = self.crc64nvme.finalize();
        let named = self.named.map(|named| match named {
            Named::Crc32(hasher) => (Algorithm::Crc32, hasher.finalize().to_vec()),
            Named::Crc32c(hasher) => (Algorithm::Crc32c, hasher.finalize().to_vec()),
            Named::Sha1(hasher) => (Algorithm::Sha1, hasher.finalize().to_vec()),
            Named::Sha256(hasher) => (Algorithm::Sha256, hasher.finalize().to_vec()),
            Named::Crc64Nvme => (Algorithm::Crc64Nvme, crc64nvme.to_vec()),
        });
        Digests { md5: self.md5.finalize(), crc64nvme, named }
    }
}

/// The checksum that S3 stores for an object put together from `parts` (raw value and length of each), or `None`
/// where the algorithm cannot be combined that way.
pub(super) fn of_parts(algorithm: Algorithm, kind: Kind, parts: &[(Vec<u8>, u64)]) -> Option<Stored> {
    let value = match kind {
        Kind::FullObject => BASE64_STANDARD.encode(combined_crc(algorithm, parts)?),
        Kind::Composite => {
            let mut hasher = Hasher::new(Some(algorithm));
            for (value, _) in parts {
                hasher.update(value);
            }
            let digests = hasher.finish();
            format!("{}-{}", BASE64_STANDARD.encode(digests.raw(algorithm)?), parts.len())
        }
    };
    Some(Stored { algorithm, kind, value })
}

/// The CRC of the concatenation, computed from the parts' CRCs and lengths.
fn combined_crc(algorithm: Algorithm, parts: &[(Vec<u8>, u64)]) -> Option<Vec<u8>> {
    let crc = algorithm.crc()?;
    let (first, rest) = parts.split_first()?;
    let width = first.0.len();
    let combined = rest.iter().fold(big_endian(&first.0), |left, (right, length)| {
        crc_fast::checksum_combine(crc, left, big_endian(right), *length)
    });
    Some(combined.to_be_bytes()[8 - width..].to_vec())
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// The ETag of an object put together from parts: MD5 of the parts' MD5 values, then `-N`.
pub(super) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    format!("{}-{}", hex::encode(Md5::checksum(parts.as_flattened())), parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_of_parts_combine_to_the_crc_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let pieces: [&[u8]; 3] = [b"one", b"", b"three and more"];
            let parts: Vec<_> = pieces
                .iter()
                .map(|piece| (digests(algorithm, piece).raw(algorithm).unwrap().to_vec(), piece.len() as u64))
                .collect();

            let combined = of_parts(algorithm, Kind::FullObject, &parts).unwrap();

            assert_eq!(combined, digests(algorithm, b"onethree and more").stored(), "{algorithm:?}");
        }
    }

    #[test]
    fn sha_parts_cannot_become_a_full_object_value() {
        assert_eq!(of_parts(Algorithm::Sha256, Kind::FullObject, &[(vec![0; 32], 1)]), None);
    }

    fn digests(algorithm: Algorithm, bytes: &[u8]) -> Digests {
        let mut hasher = Hasher::new(Some(algorithm));
        hasher.update(bytes);
        hasher.finish()
    }
}
