//! What preflight asks when all versions are to be migrated: are they listed, does the target keep them, whose are those that
//! it holds already?

use std::collections::BTreeSet;

use aws_sdk_s3::types::BucketVersioningStatus;
use common::report::Check;
use common::settings::Mode;

use super::{Findings, Intent, fix};
use crate::copy::Route;
use crate::errand::Errand;
use crate::key::Key;
use crate::store::Store;
use crate::versions::{self, Page};

/// Checks both sides.
pub(super) async fn check(route: &Route, intent: Intent, errand: &Errand, findings: &mut Findings) {
    if intent.mode != Mode::Verify {
        versioning(&route.target, errand, findings).await;
    }
    let (mut of_source, mut of_target) = (Findings::default(), Findings::default());
    let (source, target) =
        futures::join!(page(&route.source, errand, &mut of_source), page(&route.target, errand, &mut of_target));
    findings.extend(of_source);
    findings.extend(of_target);
    if let (Some(source), Some(target), true) = (source, target, intent.mode != Mode::Verify) {
        strangers(route, &source, &target, intent, findings);
    }
}

async fn versioning(target: &Store, errand: &Errand, findings: &mut Findings) {
    let name = "target keeps versions";
    let answer = target
        .call("GetBucketVersioning", None, errand, || {
            target.client().get_bucket_versioning().bucket(target.bucket()).send()
        })
        .await;
    match answer {
        Ok(output) if output.status == Some(BucketVersioningStatus::Enabled) => {
            findings.add(Check::pass(name, "its versioning is on"));
        }
        Ok(_) => {
            let how = format!(
                "switch it on: aws s3api put-bucket-versioning --bucket {} --versioning-configuration Status=Enabled; or migrate \
                 without --versions",
                target.bucket()
            );
            findings.add(Check::fail(name, format!("the versioning of {} is not on", target.place()), how));
        }
        Err(error) if error.is_unsupported() || error.is_unreadable() => {
            let detail = "the store does not say so in a way that can be understood";
            let fix = "nothing to do: what it keeps no version of is named, and nothing is written after it";
            findings.add(Check::warn(name, detail, fix));
        }
        Err(error) => findings.add(Check::fail(name, common::error::sentence(&error), fix(&error))),
    }
}

async fn page(store: &Store, errand: &Errand, findings: &mut Findings) -> Option<Page> {
    let name = format!("{} versions can be listed", store.side());
    match versions::first(store, errand).await {
        Ok(page) => {
            let marker_count = page.entries.iter().filter(|entry| entry.is_marker()).count();
            let seen =
                format!("the first page has {} versions, {marker_count} of them marks of deletion", page.entries.len());
            findings.add(Check::pass(name, seen));
            Some(page)
        }
        Err(error) => {
            findings.fail(name, &error);
            None
        }
    }
}

/// Refuses a target that holds keys that the source does not have, as far as both pages reach.
fn strangers(route: &Route, source: &Page, target: &Page, intent: Intent, findings: &mut Findings) {
    let name = "target is empty or holds this migration's objects";
    let keys: BTreeSet<&Key> = source.entries.iter().map(|entry| &entry.key).collect();
    let last = keys.last();
    let is_within = |key: &Key| source.is_last() || last.is_some_and(|last| key <= *last);
    let stranger = target.entries.iter().map(|entry| &entry.key).find(|key| is_within(key) && !keys.contains(key));
    let Some(key) = stranger else { return findings.add(Check::pass(name, "it has no other keys than the source")) };
    let detail = format!("{} holds {key:?}, which the source lacks", route.target.place());
    let fix = "check that it is the right bucket; if it is, give --allow-extra, which leaves such objects alone";
    findings.add(if intent.allow_extra { Check::warn(name, detail, fix) } else { Check::fail(name, detail, fix) });
}
