//! Hashing in order what arrives out of order: parts of one object, from parallel downloads.
//!
//! Pure: no I/O. A part waits only for those before it, whose leave to be held was taken earlier, so the wait ends.
//! Called by `multipart`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::digest::{ContentDigest, ContentHasher};

/// Something that holds a part's bytes.
pub trait AsPart {
    /// The bytes.
    fn part(&self) -> &[u8];
}

impl<T> AsPart for Arc<(Bytes, T)> {
    fn part(&self) -> &[u8] {
        &self.0
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sequence<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    /// Taken out while someone hashes, so that others can leave their parts meanwhile.
    hasher: Option<ContentHasher>,
    waiting: BTreeMap<i32, P>,
    next: i32,
}

impl<P: AsPart> Sequence<P> {
    /// Begins with part 1.
    pub fn new(hasher: ContentHasher) -> Self {
        Self { state: Mutex::new(State { hasher: Some(hasher), waiting: BTreeMap::new(), next: 1 }) }
    }

    /// Leaves part `number`, and hashes what is in order by now unless someone else is at it. The lock is not held while
    /// hashing.
    pub fn offer(&self, number: i32, part: P) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.insert(number, part);
        let Some(mut hasher) = state.hasher.take() else { return };
        loop {
            let next = state.next;
            let Some(part) = state.waiting.remove(&next) else { break };
            state.next += 1;
            drop(state);
            hasher.update(part.part());
            drop(part);
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
        state.hasher = Some(hasher);
    }

    /// The digest of all parts; `None` when one is missing.
    pub fn finish(&self) -> Option<ContentDigest> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let hasher = state.hasher.take();
        hasher.filter(|_| state.waiting.is_empty()).map(ContentHasher::finish)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::{EtagPlan, sha256};

    proptest! {
        #[test]
        fn any_order_gives_the_same_digest(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..12), seed in any::<u64>()) {
            let sequence = Sequence::new(ContentHasher::new(EtagPlan::None));
            let mut order: Vec<usize> = (0..parts.len()).collect();
            let mut seed = seed;
            order.sort_by_key(|_| { seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); seed >> 33 });
            for index in order {
                sequence.offer(i32::try_from(index).unwrap() + 1, Arc::new((Bytes::from(parts[index].clone()), ())));
            }
            prop_assert_eq!(sequence.finish().unwrap().sha256, sha256(&parts.concat()));
        }
    }

    #[test]
    fn a_missing_part_is_noticed() {
        let sequence = Sequence::new(ContentHasher::new(EtagPlan::None));
        sequence.offer(2, Arc::new((Bytes::from_static(b"b"), ())));
        assert!(sequence.finish().is_none());
    }
}
