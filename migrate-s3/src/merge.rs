//! Two sorted listings as one sorted stream of pairs: what only the source has, what both have, what only the target has.
//!
//! Pure: no I/O. Holds one entry of each side, so memory is flat in the number of keys. Called by `run`.

use std::cmp::Ordering;

use crate::listing::Entry;

/// One key and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair {
    /// The target lacks it.
    SourceOnly(Entry),
    /// Both have it.
    Both {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
    },
    /// The source lacks it.
    TargetOnly(Entry),
}

/// The entries in hand, one of each side.
#[derive(Debug, Default)]
pub struct Merge {
    /// The source's next entry.
    pub source: Option<Entry>,
    /// The target's next entry.
    pub target: Option<Entry>,
}

impl Merge {
    /// Takes the lower of both entries out, or both when their keys are the same; the caller fills up what was taken.
    pub fn take(&mut self) -> Option<Pair> {
        let order = match (&self.source, &self.target) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(source), Some(target)) => source.key.cmp(&target.key),
        };
        match order {
            Ordering::Less => self.source.take().map(Pair::SourceOnly),
            Ordering::Greater => self.target.take().map(Pair::TargetOnly),
            Ordering::Equal => {
                let (source, target) = (self.source.take()?, self.target.take()?);
                Some(Pair::Both { source, target })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::key::Key;

    fn entry(key: &[u8]) -> Entry {
        Entry {
            key: Key::from(key.to_vec()),
            size: 1,
            etag: String::new(),
            last_modified: None,
            storage_class: None,
            version: None,
        }
    }

    fn merged(source: &BTreeSet<Vec<u8>>, target: &BTreeSet<Vec<u8>>) -> Vec<Pair> {
        let (mut source, mut target) = (source.iter(), target.iter());
        let mut merge = Merge::default();
        let mut pairs = Vec::new();
        loop {
            merge.source = merge.source.take().or_else(|| source.next().map(|key| entry(key)));
            merge.target = merge.target.take().or_else(|| target.next().map(|key| entry(key)));
            match merge.take() {
                Some(pair) => pairs.push(pair),
                None => return pairs,
            }
        }
    }

    proptest! {
        #[test]
        fn every_key_once_in_order_with_its_sides(
            source in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..3), 0..30),
            target in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..3), 0..30),
        ) {
            let pairs = merged(&source, &target);
            let keys: Vec<Vec<u8>> = pairs.iter().map(|pair| match pair {
                Pair::SourceOnly(entry) | Pair::TargetOnly(entry) | Pair::Both { source: entry, .. } => entry.key.as_bytes().to_vec(),
            }).collect();
            prop_assert_eq!(&keys, &source.union(&target).cloned().collect::<Vec<_>>());
            for (key, pair) in keys.iter().zip(&pairs) {
                let sides = (source.contains(key), target.contains(key));
                prop_assert_eq!(sides, match pair {
                    Pair::SourceOnly(_) => (true, false),
                    Pair::Both { .. } => (true, true),
                    Pair::TargetOnly(_) => (false, true),
                });
            }
        }
    }
}
