//! Finds the rows that two sides do not share, from two readings of each, in bounded memory and without any order.
//!
//! The first reading ([`Sketch`]) sums the rows' hashes into buckets that the hash of the key chooses. Buckets with equal
//! sums hold equal rows. The second reading ([`Held`]) keeps the rows of the other buckets, or, where these are too many,
//! of as many as fit ([`Scope`]): the same on both sides, since only the key's hash decides. Pure: no I/O.

use std::collections::{BTreeSet, HashMap};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::rows::text_fields;

/// Buckets of a sketch: 1.5 MB per side, and a table of a million rows still has only 15 rows per bucket.
const BUCKET_COUNT: usize = 1 << 16;
/// More of a key's text than this is cut off.
const KEY_TEXT_MAX: usize = 120;

/// The fields of a row that make its key: their positions, ascending; without any, the whole row is its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(Vec<usize>);

impl Key {
    /// Of the fields at these positions.
    pub(super) fn new(mut positions: Vec<usize>) -> Self {
        positions.sort_unstable();
        Self(positions)
    }

    /// Whether rows are told apart by a key, rather than by all they hold.
    pub(super) fn exists(&self) -> bool {
        !self.0.is_empty()
    }

    /// The positions, ascending.
    pub(super) fn positions(&self) -> &[usize] {
        &self.0
    }

    /// The key's text, its fields still separated as in the row.
    fn text(&self, row: &[u8]) -> Vec<u8> {
        let mut wanted = self.0.iter().peekable();
        let mut text = Vec::new();
        for (position, field) in text_fields(row).enumerate() {
            let Some(next) = wanted.peek() else { break };
            if **next == position {
                if !text.is_empty() || position != self.0[0] {
                    text.push(b'\t');
                }
                text.extend_from_slice(field);
                wanted.next();
            }
        }
        text
    }

    fn hash(&self, row: &[u8]) -> u128 {
        if self.exists() { xxh3_128(&self.text(row)) } else { xxh3_128(row) }
    }
}

fn bucket(hash: u128) -> usize {
    // The highest 16 bits.
    (hash >> 112) as usize
}

/// Bits of the hash that the bucket does not use.
fn finer(hash: u128) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
    let bits = hash as u64;
    bits
}

/// What a first reading leaves of one side.
#[derive(Debug)]
pub(super) struct Sketch {
    key: Key,
    rows: Vec<u64>,
    sums: Vec<u128>,
}

impl Sketch {
    /// Of no rows.
    pub(super) fn new(key: Key) -> Self {
        Self { key, rows: vec![0; BUCKET_COUNT], sums: vec![0; BUCKET_COUNT] }
    }

    /// Takes in a row in COPY's text form.
    pub(super) fn add(&mut self, row: &[u8]) {
        let bucket = bucket(self.key.hash(row));
        self.rows[bucket] += 1;
        self.sums[bucket] = self.sums[bucket].wrapping_add(xxh3_128(row));
    }
}

/// The rows worth keeping in a second reading, by the hash of their key.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    buckets: Vec<bool>,
    ceiling: u64,
    /// Whether all rows that may differ are in it.
    pub(super) complete: bool,
}

impl Scope {
    /// Buckets that differ, as many as give no more than about `rows_max` rows per side; at least a part of one.
    pub(super) fn new(source: &Sketch, target: &Sketch, rows_max: u64) -> Self {
        let mut scope = Self { buckets: vec![false; BUCKET_COUNT], ceiling: u64::MAX, complete: true };
        let mut taken = 0;
        for bucket in 0..BUCKET_COUNT {
            if (source.rows[bucket], source.sums[bucket]) == (target.rows[bucket], target.sums[bucket]) {
                continue;
            }
            let rows = source.rows[bucket].max(target.rows[bucket]);
            if taken > 0 && taken + rows > rows_max {
                scope.complete = false;
                break;
            }
            scope.buckets[bucket] = true;
            taken += rows;
        }
        if taken > rows_max {
            scope.ceiling = u64::MAX / taken * rows_max;
            scope.complete = false;
        }
        scope
    }

    /// Whether no bucket differs.
    pub(super) fn is_empty(&self) -> bool {
        !self.buckets.contains(&true)
    }

    fn holds(&self, hash: u128) -> bool {
        self.buckets[bucket(hash)] && finer(hash) <= self.ceiling
    }
}

/// What is kept of a row besides how often it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// The hash of each field.
    Fields,
    /// The hash of each field, and the key's text as far as it can be shown.
    FieldsAndKey,
    /// The hash of the row, and the key's text in full.
    Key,
}

/// What a second reading keeps of one side.
#[derive(Debug)]
pub(super) struct Held {
    key: Key,
    keep: Keep,
    rows: HashMap<u128, Entry>,
}

/// The rows with one key: one, unless the key is the whole row or is no longer unique.
#[derive(Debug, Default)]
struct Entry {
    count: u64,
    /// Sums of the fields' hashes.
    fields: Vec<u64>,
    text: Vec<u8>,
}

impl Held {
    /// Of no rows.
    pub(super) fn new(key: Key, keep: Keep) -> Self {
        Self { keep: if key.exists() { keep } else { Keep::Fields }, key, rows: HashMap::new() }
    }

    /// Takes in a row in COPY's text form, if `scope` has it.
    pub(super) fn add(&mut self, scope: &Scope, row: &[u8]) {
        let hash = self.key.hash(row);
        if !scope.holds(hash) {
            return;
        }
        let entry = self.rows.entry(hash).or_default();
        entry.count += 1;
        if !self.key.exists() {
            return;
        }
        let mut add = |position: usize, bytes: &[u8]| {
            if entry.fields.len() == position {
                entry.fields.push(0);
            }
            entry.fields[position] = entry.fields[position].wrapping_add(xxh3_64(bytes));
        };
        if self.keep == Keep::Key {
            add(0, row);
        } else {
            text_fields(row).enumerate().for_each(|(position, field)| add(position, field));
        }
        if self.keep != Keep::Fields {
            entry.text = self.key.text(row);
        }
        if self.keep == Keep::FieldsAndKey {
            entry.text.truncate(KEY_TEXT_MAX);
        }
    }
}

/// How a row is not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Apart {
    /// Both sides have the key, with other values.
    Differs,
    /// The target lacks it.
    SourceOnly,
    /// The source lacks it.
    TargetOnly,
}

/// What the sides do not share.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Keys whose rows are not the same.
    pub(super) differing: u64,
    /// Positions of the fields in which they are not.
    pub(super) fields: BTreeSet<usize>,
    /// Rows that only the source has.
    pub(super) source_only: u64,
    /// Rows that only the target has.
    pub(super) target_only: u64,
    /// The keys' texts, where they were kept.
    pub(super) keys: BTreeSet<(Apart, Vec<u8>)>,
}

impl Difference {
    /// Compares what was kept of both sides.
    pub(super) fn between(source: &Held, target: &Held) -> Self {
        let mut difference = Self::default();
        let none = Entry::default();
        for (hash, left) in &source.rows {
            difference.add(left, target.rows.get(hash).unwrap_or(&none), source.keep != Keep::Fields);
        }
        for (_, right) in target.rows.iter().filter(|(hash, _)| !source.rows.contains_key(*hash)) {
            difference.add(&none, right, target.keep != Keep::Fields);
        }
        difference
    }

    fn add(&mut self, left: &Entry, right: &Entry, with_text: bool) {
        self.source_only += left.count.saturating_sub(right.count);
        self.target_only += right.count.saturating_sub(left.count);
        let apart = match left.count.cmp(&right.count) {
            std::cmp::Ordering::Greater => Apart::SourceOnly,
            std::cmp::Ordering::Less => Apart::TargetOnly,
            std::cmp::Ordering::Equal if left.fields == right.fields => return,
            std::cmp::Ordering::Equal => {
                self.differing += 1;
                let unequal = |(position, (one, other))| (one != other).then_some(position);
                self.fields.extend(left.fields.iter().zip(&right.fields).enumerate().filter_map(unequal));
                Apart::Differs
            }
        };
        if with_text {
            let text = if left.count > 0 { &left.text } else { &right.text };
            self.keys.insert((apart, text.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(key: u16, value: u8) -> Vec<u8> {
        format!("const\t{key}\t{value}\n").into_bytes()
    }

    fn compare(key: &Key, source: &[Vec<u8>], target: &[Vec<u8>], rows_max: u64) -> (Difference, bool) {
        let sketch = |rows: &[Vec<u8>]| {
            let mut sketch = Sketch::new(key.clone());
            for row in rows {
                sketch.add(row);
            }
            sketch
        };
        let scope = Scope::new(&sketch(source), &sketch(target), rows_max);
        let hold = |rows: &[Vec<u8>]| {
            let mut held = Held::new(key.clone(), Keep::FieldsAndKey);
            for row in rows {
                held.add(&scope, row);
            }
            held
        };
        (Difference::between(&hold(source), &hold(target)), scope.complete)
    }

    fn rows(map: &BTreeMap<u16, u8>) -> Vec<Vec<u8>> {
        map.iter().map(|(key, value)| row(*key, *value)).collect()
    }

    proptest! {
        #[test]
        fn every_difference_is_found_in_any_order(
            source in proptest::collection::btree_map(0u16..60, 0u8..3, 0..40),
            target in proptest::collection::btree_map(0u16..60, 0u8..3, 0..40),
        ) {
            let mut reversed = rows(&target);
            reversed.reverse();
            let (found, complete) = compare(&Key::new(vec![1]), &rows(&source), &reversed, 10_000);
            let differing = source.iter().filter(|(key, value)| target.get(key).is_some_and(|other| other != *value)).count();
            let source_only = source.keys().filter(|key| !target.contains_key(key)).count();
            let target_only = target.keys().filter(|key| !source.contains_key(key)).count();
            prop_assert!(complete);
            prop_assert_eq!(
                (found.differing, found.source_only, found.target_only),
                (differing as u64, source_only as u64, target_only as u64)
            );
            prop_assert_eq!(found.fields, (differing > 0).then_some(2).into_iter().collect());
            prop_assert_eq!(found.keys.len(), differing + source_only + target_only);
        }

        #[test]
        fn without_room_for_all_nothing_is_invented(
            source in proptest::collection::btree_map(0u16..400, 0u8..3, 0..300),
            target in proptest::collection::btree_map(0u16..400, 0u8..3, 0..300),
            rows_max in 1u64..20,
        ) {
            let (some, _) = compare(&Key::new(vec![1]), &rows(&source), &rows(&target), rows_max);
            let (all, _) = compare(&Key::new(vec![1]), &rows(&source), &rows(&target), 10_000);
            prop_assert!(some.keys.is_subset(&all.keys));
        }

        #[test]
        fn without_a_key_rows_are_counted(
            source in proptest::collection::vec(0u8..4, 0..20),
            target in proptest::collection::vec(0u8..4, 0..20),
        ) {
            let lines = |values: &[u8]| values.iter().map(|value| row(0, *value)).collect::<Vec<_>>();
            let (source, target) = (lines(&source), lines(&target));
            let (found, _) = compare(&Key::new(Vec::new()), &source, &target, 10_000);
            let count = |rows: &[Vec<u8>], value| rows.iter().filter(|other| **other == row(0, value)).count() as u64;
            let surplus = |left: &[Vec<u8>], right: &[Vec<u8>]| -> u64 {
                (0..4).map(|value| count(left, value).saturating_sub(count(right, value))).sum()
            };
            prop_assert_eq!((found.source_only, found.target_only), (surplus(&source, &target), surplus(&target, &source)));
            prop_assert_eq!(found.differing, 0);
            prop_assert!(found.keys.is_empty());
        }
    }

    #[test]
    fn a_bucket_that_is_too_large_is_taken_in_part() {
        // GIVEN one bucket with more rows than fit, since all of them share their key
        let sketch = |value| {
            let mut sketch = Sketch::new(Key::new(vec![0]));
            (0..1000).for_each(|_| sketch.add(&row(1, value)));
            sketch
        };
        // WHEN the scope is made
        let scope = Scope::new(&sketch(1), &sketch(2), 10);
        // THEN it says that it is not complete, and takes about the share that fits
        assert!(!scope.complete && !scope.is_empty());
        assert_eq!(scope.ceiling, u64::MAX / 1000 * 10);
    }

    #[test]
    fn keys_of_several_fields_are_told_apart() {
        let key = Key::new(vec![2, 0]);
        assert_eq!(key.text(b"a\tx\tb\tc\n"), b"a\tb");
        assert_eq!(key.text(b"\tx\tb\n"), b"\tb");
        assert_ne!(key.hash(b"a\tx\t\n"), key.hash(b"\tx\ta\n"));
    }
}
