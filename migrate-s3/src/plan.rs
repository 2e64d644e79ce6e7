//! What to do with each pair of the merged listings.
//!
//! Pure: no I/O, no SDK. Called by `run` for each pair in turn; the plan of a bucket is a stream, never a list.

use crate::journal::{Known, Memory};
use crate::listing::Entry;
use crate::merge::Pair;

/// What may be done, as the mode and the flags say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Compare everything in full and write nothing.
    pub verify: bool,
    /// Replace objects on the target that differ.
    pub overwrite: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Copy it.
    Copy {
        /// As the source lists it.
        source: Entry,
        /// Whether an object that the target has may be replaced.
        may_replace: bool,
    },
    /// Both have it in the same size: find out whether it is the same.
    Compare {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
        /// Whether it may be copied again when it is not.
        may_replace: bool,
    },
    /// Read both sides in full.
    Verify {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
    },
    /// The journal proves it equal, and neither side has changed since.
    Known {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
        /// What was proved.
        known: Known,
    },
    /// The sizes differ, and nothing allows to replace the target's.
    Differs {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
    },
    /// The target lacks it, and nothing is to be written.
    Missing {
        /// As the source lists it.
        source: Entry,
    },
    /// Only the target has it.
    Extra {
        /// As the target lists it.
        target: Entry,
    },
    /// A mark of deletion that the target lacks: delete the key there, which leaves one.
    Mark {
        /// As the source lists it.
        source: Entry,
    },
    /// A mark of deletion that both have.
    Marked {
        /// As the source lists it.
        source: Entry,
        /// As the target lists it.
        target: Entry,
    },
    /// One that a manifest names and that is not to be migrated.
    Left {
        /// As far as it is known.
        source: Entry,
        /// Why not.
        why: &'static str,
    },
    /// A version that cannot be put where it belongs.
    Unaligned {
        /// As the source lists it.
        source: Entry,
        /// Why not.
        why: &'static str,
    },
}

impl Step {
    /// The entry that names the object.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Copy { source, .. }
            | Self::Compare { source, .. }
            | Self::Verify { source, .. }
            | Self::Known { source, .. }
            | Self::Differs { source, .. }
            | Self::Missing { source }
            | Self::Mark { source }
            | Self::Marked { source, .. }
            | Self::Left { source, .. }
            | Self::Unaligned { source, .. } => source,
            Self::Extra { target } => target,
        }
    }
}

impl Step {
    /// Bytes of content that it will read of the source.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Copy { source, .. } | Self::Compare { source, .. } | Self::Verify { source, .. } => source.size,
            _ => 0,
        }
    }
}

/// The step for `pair`, given what earlier runs remember.
pub fn step(pair: Pair, policy: Policy, memory: &Memory) -> Step {
    match pair {
        Pair::TargetOnly(target) => Step::Extra { target },
        Pair::SourceOnly(source) if policy.verify => Step::Missing { source },
        // Not there when it was listed: what appears there meanwhile is someone else's.
        Pair::SourceOnly(source) => Step::Copy { source, may_replace: policy.overwrite },
        Pair::Both { source, target } if policy.verify => Step::Verify { source, target },
        Pair::Both { source, target } => both(source, target, policy, memory),
    }
}

fn both(source: Entry, target: Entry, policy: Policy, memory: &Memory) -> Step {
    let known = memory.get(&source.key);
    // What this migration wrote and nobody has touched since may be replaced when the source has changed.
    let is_ours = known.is_some_and(|known| known.is_of_target(&target));
    let may_replace = policy.overwrite || is_ours;
    match known {
        Some(known) if is_ours && known.is_of_source(&source) => Step::Known { source, target, known: *known },
        _ if is_ours => Step::Copy { source, may_replace },
        _ if source.size == target.size => Step::Compare { source, target, may_replace },
        _ if may_replace => Step::Copy { source, may_replace },
        _ => Step::Differs { source, target },
    }
}

#[cfg(test)]
mod tests {
    use common::finding::ProofLevel;

    use super::*;
    use crate::key::Key;

    fn entry(size: u64, etag: &str) -> Entry {
        Entry {
            key: Key::from("key"),
            size,
            etag: etag.into(),
            last_modified: None,
            storage_class: None,
            version: None,
        }
    }

    fn memory(source: &Entry, target: &Entry) -> Memory {
        let mut memory = Memory::default();
        memory.insert(source, target.size, &target.etag, [7; 32], ProofLevel::Linked);
        memory
    }

    fn planned(source: Entry, target: Entry, overwrite: bool, memory: &Memory) -> Step {
        step(Pair::Both { source, target }, Policy { verify: false, overwrite }, memory)
    }

    #[test]
    fn what_is_known_on_both_sides_is_not_read_again() {
        let (source, target) = (entry(1, "a"), entry(1, "b"));
        let memory = memory(&source, &target);
        assert!(matches!(planned(source.clone(), target.clone(), false, &memory), Step::Known { .. }));
        // The source has changed: ours is replaced. The target has changed: it is not ours any more.
        let changed = planned(entry(1, "z"), target, false, &memory);
        assert!(matches!(changed, Step::Copy { may_replace: true, .. }));
        assert!(matches!(
            planned(source.clone(), entry(1, "z"), false, &memory),
            Step::Compare { may_replace: false, .. }
        ));
        assert!(matches!(planned(source, entry(2, "z"), false, &memory), Step::Differs { .. }));
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let nothing = Memory::default();
        assert!(matches!(planned(entry(1, "a"), entry(2, "b"), false, &nothing), Step::Differs { .. }));
        assert!(matches!(planned(entry(1, "a"), entry(2, "b"), true, &nothing), Step::Copy { may_replace: true, .. }));
        assert!(matches!(
            planned(entry(1, "a"), entry(1, "b"), false, &nothing),
            Step::Compare { may_replace: false, .. }
        ));
        let new = step(Pair::SourceOnly(entry(1, "a")), Policy { verify: false, overwrite: false }, &nothing);
        assert!(matches!(new, Step::Copy { may_replace: false, .. }));
    }

    #[test]
    fn verifying_writes_nothing() {
        let policy = Policy { verify: true, overwrite: true };
        let (source, target) = (entry(1, "a"), entry(2, "b"));
        let memory = memory(&source, &target);
        let both = step(Pair::Both { source: source.clone(), target: target.clone() }, policy, &memory);
        assert!(matches!(both, Step::Verify { .. }));
        assert!(matches!(step(Pair::SourceOnly(source), policy, &memory), Step::Missing { .. }));
        assert!(matches!(step(Pair::TargetOnly(target), policy, &memory), Step::Extra { .. }));
    }
}
