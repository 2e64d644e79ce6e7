//! A table of contents in parts, some of which can be restored at the same time. Pure text.

use std::collections::HashSet;

use super::contents::{self, RELATION_CLASS};

/// Fewer entries than this for each are not worth a process and a session of their own: a guess, from 0.5 ms a table (measured).
const ENTRIES_LEAST: usize = 40;
/// Each session's process holds the whole table of contents in memory.
const WIDTH_MAX: usize = 4;

/// The parts, in the order in which they are restored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// What comes before the first that is independent: schemas, types, functions.
    pub before: String,
    /// The independent ones, which bind each other to no order.
    pub beside: Vec<String>,
    /// All others, in their order.
    pub after: String,
}

/// Divides `list` for at most `width` sessions; `None` where that is not worth it. `independent` are object identifiers of relations that
/// depend on nothing but their schemas, which every dump begins with.
pub(super) fn split(list: &str, independent: &HashSet<u32>, width: usize) -> Option<Parts> {
    let is_independent = |line: &str| {
        contents::entry(line).is_some_and(|(class, oid, _)| class == RELATION_CLASS && independent.contains(&oid))
    };
    let count = list.lines().filter(|line| is_independent(line)).count();
    let width = width.min(WIDTH_MAX).min(count / ENTRIES_LEAST);
    if width < 2 {
        return None;
    }
    let mut parts = Parts { before: String::new(), beside: vec![String::new(); width], after: String::new() };
    let mut seen = 0;
    for line in list.lines() {
        let part = if is_independent(line) {
            seen += 1;
            &mut parts.beside[seen % width]
        } else if seen == 0 {
            &mut parts.before
        } else {
            &mut parts.after
        };
        part.push_str(line);
        part.push('\n');
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_entry_is_in_one_part_and_no_other_is_overtaken(
            kinds in proptest::collection::vec(any::<bool>(), 0..400), width in 0_usize..6,
        ) {
            let line = |number: usize| format!("{number}; 1259 {number} TABLE public t{number} owner\n");
            let list: String = (0..kinds.len()).map(line).collect();
            let numbered = kinds.iter().zip(0_u32..);
            let independent = numbered.filter(|(kind, _)| **kind).map(|(_, number)| number).collect();
            let first = kinds.iter().position(|kind| *kind).unwrap_or(0);
            let others = |from: usize, to: usize| -> String { (from..to).filter(|number| !kinds[*number]).map(line).collect() };
            if let Some(parts) = split(&list, &independent, width) {
                prop_assert!(parts.beside.len() <= width);
                prop_assert_eq!(parts.before, others(0, first));
                prop_assert_eq!(parts.after, others(first, kinds.len()));
                let mut beside: Vec<String> = parts.beside.concat().lines().map(|line| format!("{line}\n")).collect();
                let mut expected: Vec<String> = (0..kinds.len()).filter(|number| kinds[*number]).map(line).collect();
                beside.sort();
                expected.sort();
                prop_assert_eq!(beside, expected);
                prop_assert!(parts.beside.iter().all(|part| part.lines().count() >= ENTRIES_LEAST));
            } else {
                prop_assert!(width.min(WIDTH_MAX).min(independent.len() / ENTRIES_LEAST) < 2);
            }
        }
    }

    #[test]
    fn only_relations_are_meant() {
        let line = |number| format!("{number}; 2606 7 CONSTRAINT public t{number} owner\n");
        let list: String = (0..200).map(line).collect();
        assert_eq!(split(&list, &HashSet::from([7]), 4), None);
    }
}
