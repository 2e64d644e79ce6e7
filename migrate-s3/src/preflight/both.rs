//! What preflight learns from both first pages together: whose is what the target holds already?

use std::collections::BTreeMap;

use common::report::Check;
use common::settings::Mode;
use common::units;

use super::{Findings, Intent};
use crate::copy::Route;
use crate::journal::Memory;
use crate::key::Key;
use crate::listing::{Entry, Page};

/// Refuses a migration into a target that holds something else. What has the source's keys and sizes is taken for an
/// earlier start of the same migration; each object of it is compared.
pub(super) fn check(
    route: &Route,
    source: &Page,
    target: &Page,
    intent: Intent,
    memory: &Memory,
    findings: &mut Findings,
) {
    if intent.mode == Mode::Verify {
        return;
    }
    let name = "target is empty or holds this migration's objects";
    if target.entries.is_empty() {
        return findings.add(Check::pass(name, "it is empty"));
    }
    let Strangers { extra, different, seen } = strangers(source, target, route.source.lists_by_folder(), memory);
    let mut refuse = |found: Option<&Key>, allowed: bool, what: &str, flag: &str| {
        let Some(key) = found else { return };
        let detail = format!("{} holds {key:?}, {what}", route.target.place());
        let fix = format!("check that it is the right bucket; if it is, give {flag}");
        if allowed {
            findings.add(Check::warn(name, detail, fix));
        } else {
            findings.add(Check::fail(name, detail, fix));
        }
    };
    refuse(extra, intent.allow_extra, "which the source lacks", "--allow-extra, which leaves such objects alone");
    let flag = "--overwrite, which replaces such objects";
    refuse(different, intent.policy.overwrite, "which has another size on the source", flag);
    if extra.is_none() && different.is_none() {
        let detail = format!("{} looked at have the source's keys and sizes", units::counted(seen, "object"));
        findings.add(if intent.has_state || seen == 0 {
            Check::pass(name, detail)
        } else {
            let fix = "nothing to do; with --state, given to the first run too, what it has proved is not read again";
            Check::warn(name, format!("{detail}; without --state, each of them is read on the source again"), fix)
        });
    }
}

struct Strangers<'a> {
    extra: Option<&'a Key>,
    different: Option<&'a Key>,
    seen: u64,
}

/// The first object of the target's page that the source lacks, and the first of another size, as far as the source's
/// page reaches, leaving aside what the journal knows to be ours.
fn strangers<'a>(source: &Page, target: &'a Page, by_folder: bool, memory: &Memory) -> Strangers<'a> {
    let by_key: BTreeMap<&Key, &Entry> = source.entries.iter().map(|entry| (&entry.key, entry)).collect();
    let last = source.entries.last().map(|entry| &entry.key);
    // Of a page that is not the last one, in an order that is not the bytes', nothing can be said to be missing.
    let is_within = |key: &Key| source.is_last() || (!by_folder && last.is_some_and(|last| key <= last));
    let mut strangers = Strangers { extra: None, different: None, seen: 0 };
    for entry in target.entries.iter().filter(|entry| is_within(&entry.key)) {
        strangers.seen += 1;
        if memory.get(&entry.key).is_some_and(|known| known.is_of_target(entry)) {
            continue;
        }
        match by_key.get(&entry.key) {
            None => drop(strangers.extra.get_or_insert(&entry.key)),
            Some(source) if source.size != entry.size => drop(strangers.different.get_or_insert(&entry.key)),
            Some(_) => {}
        }
    }
    strangers
}
