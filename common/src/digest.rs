//! The digest of a set of rows: how many, how many bytes, and a sum that does not depend on their order.
//!
//! Pure arithmetic: no I/O. Segments are digested where they stream, in any order and on any connection,
//! and their digests add up to the digest of the table.

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// Count, size and content of a multiset of rows.
///
/// The content is the sum modulo 2^128 of the XXH3-128 of each row. A sum, not an exclusive or: two equal
/// rows must not cancel out. Two sets with equal digests hold the same rows except with a probability of
/// about 2^-128 for rows that nobody crafted to collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowDigest {
    /// Number of rows.
    pub rows: u64,
    /// Length of all rows in bytes, as they were digested.
    pub bytes: u64,
    /// Sum of the rows' hashes modulo 2^128.
    #[serde(with = "hex_sum")]
    pub sum: u128,
}

impl RowDigest {
    /// The digest of no rows.
    pub const EMPTY: Self = Self { rows: 0, bytes: 0, sum: 0 };

    /// Adds one row.
    #[inline]
    pub fn add_row(&mut self, row: &[u8]) {
        self.rows += 1;
        self.bytes += row.len() as u64;
        self.sum = self.sum.wrapping_add(xxh3_128(row));
    }

    /// Adds a row that came in parts.
    pub fn add_hashed(&mut self, row: &RowHasher) {
        self.rows += 1;
        self.bytes += row.bytes;
        self.sum = self.sum.wrapping_add(row.hash.digest128());
    }

    /// The digest's content as 32 hexadecimal digits.
    pub fn sum_hex(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

/// Hashes one row that comes in parts, as [`RowDigest::add_row`] does it in one.
#[derive(Default)]
pub struct RowHasher {
    bytes: u64,
    hash: Xxh3Default,
}

impl RowHasher {
    /// Takes in the next part.
    pub fn update(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.hash.update(part);
    }
}

impl AddAssign for RowDigest {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl std::iter::Sum for RowDigest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::EMPTY, |mut total, digest| {
            total += digest;
            total
        })
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} rows, {} bytes, {:032x}", self.rows, self.bytes, self.sum)
    }
}

/// 128 bits do not fit a JSON number: the sum travels as hexadecimal text.
mod hex_sum {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(sum: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{sum:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest_of<'a>(rows: impl IntoIterator<Item = &'a Vec<u8>>) -> RowDigest {
        let mut digest = RowDigest::EMPTY;
        rows.into_iter().for_each(|row| digest.add_row(row));
        digest
    }

    proptest! {
        #[test]
        fn order_and_segmentation_do_not_matter(
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = digest_of(&rows);
            let cut = cut.index(rows.len() + 1);
            let (head, tail) = rows.split_at(cut);
            prop_assert_eq!(whole, digest_of(rows.iter().rev()));
            prop_assert_eq!(whole, [digest_of(tail), digest_of(head)].into_iter().sum());
        }

        #[test]
        fn a_changed_byte_is_seen(mut rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..20),
                                  row in any::<prop::sample::Index>(), bit in 0u8..8) {
            let before = digest_of(&rows);
            let index = row.index(rows.len());
            rows[index][0] ^= 1 << bit;
            prop_assert_ne!(before, digest_of(&rows));
        }
    }

    proptest! {
        #[test]
        fn a_row_in_parts_is_the_same_row(row in proptest::collection::vec(any::<u8>(), 0..2000), part in 1..700_usize) {
            let mut hasher = RowHasher::default();
            row.chunks(part).for_each(|part| hasher.update(part));
            let mut digest = RowDigest::EMPTY;
            digest.add_hashed(&hasher);
            prop_assert_eq!(digest, digest_of([&row]));
        }
    }

    #[test]
    fn equal_rows_do_not_cancel_out() {
        let row = vec![1, 2, 3];
        assert_ne!(digest_of([&row, &row]).sum, 0);
        assert_ne!(digest_of([&row, &row]), digest_of([&row, &row, &row, &row]));
    }

    #[test]
    fn the_sum_survives_json() {
        let mut digest = RowDigest::EMPTY;
        digest.add_row(b"row");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<RowDigest>(&json).unwrap(), digest);
    }
}
