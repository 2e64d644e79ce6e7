//! What preflight asks the source: can an object be read, and its tags?

use common::error::sentence;
use common::report::Check;

use super::{Findings, fix};
use crate::errand::Errand;
use crate::listing::{Entry, Page};
use crate::metadata;
use crate::read::{Wanted, read};
use crate::store::Store;

/// Checks the reading of one object of `page`, tags included.
pub(super) async fn check(source: &Store, page: &Page, errand: &Errand, findings: &mut Findings) {
    let sendable = |entry: &&Entry| source.full_key(&entry.key).is_ok();
    // An archived object cannot be read, which says nothing about rights.
    let readable = |entry: &&Entry| sendable(entry) && !is_archived(entry);
    let Some(entry) = page.entries.iter().filter(readable).find(|entry| entry.size > 0) else { return };
    let wanted = Wanted::of(entry);
    let name = "source objects can be read";
    match read(source, wanted, 0..1, errand, &mut |_: &[u8]| ()).await {
        Ok(_) => findings.add(Check::pass(name, format!("one byte of {:?}", entry.key))),
        // The source moves: that one object went away says nothing about the others.
        Err(crate::error::Error::Changed { .. }) => {}
        Err(error) => return findings.fail(name.into(), &error),
    }
    let name = "source tags can be read";
    match metadata::tags(source, entry, Some(1), errand).await {
        Ok(_) => findings.add(Check::pass(name, format!("those of {:?}", entry.key))),
        Err(error) if error.is_unsupported() => {
            findings.add(Check::pass(name, "the store has no tags"));
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => {
            let fix = format!("{}; without it, objects with tags arrive without them and are named", fix(&error));
            findings.add(Check::warn(name, sentence(&error), fix));
        }
    }
}

/// Whether an object's storage class means that it must be restored before it can be read.
pub(crate) fn is_archived(entry: &Entry) -> bool {
    matches!(entry.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE"))
}
