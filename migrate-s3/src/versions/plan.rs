//! What to do with the versions of one key, given those that the target has.
//!
//! Pure. The target's versions must be the source's in the same order, as far as they go; what follows is written after
//! them. A version that would have to come before one that is there already cannot be put where it belongs.

use crate::journal::Memory;
use crate::key::Key;
use crate::listing::Entry;
use crate::plan::{Policy, Step};

/// One key and its versions on both sides, oldest first; one side may have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histories {
    /// The key.
    pub key: Key,
    /// Those of the source.
    pub source: Vec<Entry>,
    /// Those of the target.
    pub target: Vec<Entry>,
}

const TOO_LATE: &str = "a later version is on the target already, and versions have the order in which they were written; \
                        to have them in the source's order, migrate into an empty bucket";
const NOT_ON_TOP: &str =
    "the target has newer versions of its own, which the source lacks; --overwrite puts this one on top of them";

/// The steps for a key, in the order in which they are to be carried out.
pub fn steps(histories: Histories, policy: Policy, memory: &Memory) -> Vec<Step> {
    let Histories { source, mut target, .. } = histories;
    let partners = partners(&source, &target, memory);
    let last_source = partners.iter().rposition(Option::is_some);
    let last_target = partners.iter().flatten().max().copied();
    let is_on_top = last_target.map_or(0, |last| last + 1) == target.len();
    let mut steps = Vec::with_capacity(source.len());
    // Taken out from behind, so that the places before stay what they are.
    let mut paired: Vec<Option<Entry>> = Vec::with_capacity(source.len());
    for partner in partners.iter().rev() {
        paired.push(partner.map(|place| target.remove(place)));
    }
    for (place, (source, target)) in source.into_iter().zip(paired.into_iter().rev()).enumerate() {
        steps.push(match target {
            Some(target) => pair(source, target, policy, memory),
            None if policy.verify => Step::Missing { source },
            None if last_source.is_some_and(|last| place < last) => Step::Unaligned { source, why: TOO_LATE },
            None if !is_on_top && !policy.overwrite => Step::Unaligned { source, why: NOT_ON_TOP },
            None if source.is_marker() => Step::Mark { source },
            None => Step::Copy { source, may_replace: true },
        });
    }
    steps.extend(target.into_iter().map(|target| Step::Extra { target }));
    steps
}

/// For each version of the source the place of the target's that stands for it: what the journal says, else the same ETag,
/// else the next one of the same kind and size. Places ascend.
fn partners(source: &[Entry], target: &[Entry], memory: &Memory) -> Vec<Option<usize>> {
    let mut next = 0;
    let mut partners = Vec::with_capacity(source.len());
    for entry in source {
        let known = memory.get_version(entry);
        let is_alike = |other: &&Entry| other.is_marker() == entry.is_marker() && other.size == entry.size;
        let rest = || target.iter().enumerate().skip(next).filter(|(_, other)| is_alike(other));
        let is_known = |other: &Entry| known.is_some_and(|known| known.is_of_target(other));
        let place = rest()
            .find(|(_, other)| !entry.is_marker() && is_known(other))
            .or_else(|| rest().find(|(_, other)| !entry.is_marker() && other.etag == entry.etag))
            .or_else(|| rest().next())
            .map(|(place, _)| place);
        if let Some(place) = place {
            next = place + 1;
        }
        partners.push(place);
    }
    partners
}

fn pair(source: Entry, target: Entry, policy: Policy, memory: &Memory) -> Step {
    if source.is_marker() {
        return Step::Marked { source, target };
    }
    if policy.verify {
        return Step::Verify { source, target };
    }
    match memory.get_version(&source) {
        Some(known) if known.is_of_source(&source) && known.is_of_target(&target) => {
            let known = *known;
            Step::Known { source, target, known }
        }
        _ => Step::Compare { source, target, may_replace: false },
    }
}

#[cfg(test)]
mod tests {
    use common::finding::ProofLevel;

    use super::*;
    use crate::listing::Version;

    /// `a`: an object whose content is `a`, `x`: a mark of deletion.
    fn history(side: char, text: &str) -> Vec<Entry> {
        let version = |(place, letter): (usize, char)| Entry {
            key: Key::from("key"),
            size: u64::from(letter != 'x'),
            etag: if letter == 'x' { String::new() } else { letter.to_string() },
            last_modified: None,
            storage_class: None,
            version: Some(Version { id: format!("{side}{place}"), is_marker: letter == 'x' }),
        };
        text.chars().enumerate().map(version).collect()
    }

    fn planned(source: &str, target: &str, policy: Policy, memory: &Memory) -> String {
        let histories = Histories { key: Key::from("key"), source: history('s', source), target: history('t', target) };
        let word = |step: &Step| match step {
            Step::Copy { .. } => 'C',
            Step::Mark { .. } => 'M',
            Step::Compare { .. } | Step::Verify { .. } => '=',
            Step::Marked { .. } => 'm',
            Step::Known { .. } => 'k',
            Step::Missing { .. } => '-',
            Step::Extra { .. } => '+',
            Step::Unaligned { .. } => '!',
            Step::Differs { .. } | Step::Left { .. } => '?',
        };
        steps(histories, policy, memory).iter().map(word).collect()
    }

    #[test]
    fn what_is_there_is_compared_and_the_rest_is_written_in_order() {
        let migrate =
            |source, target| planned(source, target, Policy { verify: false, overwrite: false }, &Memory::default());
        assert_eq!(migrate("abxc", ""), "CCMC");
        assert_eq!(migrate("abxc", "ab"), "==MC");
        assert_eq!(migrate("abxc", "abxc"), "==m=");
        // The source has let go of its oldest version since.
        assert_eq!(migrate("bc", "abc"), "==+");
        // The ETags are opaque: what is there pairs off in order.
        assert_eq!(migrate("abc", "qrs"), "===");
        // What would have to come earlier cannot be put there, and what others wrote is not covered.
        assert_eq!(migrate("axb", "ab"), "=!=");
        assert_eq!(migrate("ab", "ax"), "=!+");
        let overwrite = Policy { verify: false, overwrite: true };
        assert_eq!(planned("ab", "ax", overwrite, &Memory::default()), "=C+");
    }

    #[test]
    fn a_verification_names_what_is_on_one_side_only() {
        let verify =
            |source, target| planned(source, target, Policy { verify: true, overwrite: true }, &Memory::default());
        assert_eq!(verify("abx", "ab"), "==-");
        assert_eq!(verify("ab", "abx"), "==+");
        assert_eq!(verify("", "x"), "+");
    }

    #[test]
    fn the_journal_knows_which_is_which() {
        let mut memory = Memory::default();
        let source = history('s', "ab");
        memory.insert(&source[1], 1, "z", [7; 32], ProofLevel::Linked);
        let policy = Policy { verify: false, overwrite: false };
        assert_eq!(planned("ab", "yz", policy, &memory), "=k");
    }
}
