//! What preflight asks the target: may we write, does it keep checksums, what will it do with what we write?

use std::sync::PoisonError;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, ExpirationStatus, LifecycleRule};
use common::error::sentence;
use common::report::Check;
use common::settings::Mode;
use common::units;
use futures::FutureExt as _;

use super::{Findings, fix, policy};
use crate::copy::Route;
use crate::digest;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::multipart;
use crate::store::Store;

/// What the keys of probes begin with. One that a killed run left behind is ours whoever began it.
const PROBE: &str = ".migrate-s3-probe-";

/// What the parts of probes hold.
const PROBE_BODY: &[u8] = b"migrate-s3 probe";

/// How often a part with a wrong checksum is tried, where the answer is about something else.
const WRONG_PART_ATTEMPTS: u32 = 4;

/// Checks the target, all at the same time. Only a migration tries to write.
pub(super) async fn check(route: &Route, mode: Mode, errand: &Errand, findings: &mut Findings) {
    if mode == Mode::Verify {
        return;
    }
    let target = &route.target;
    let mut found: [Findings; 4] = Default::default();
    let [of_writing, of_lifecycle, of_versioning, of_policy] = &mut found;
    let writing = async {
        if mode == Mode::DryRun {
            let detail = "a dry run writes nothing, so this was not tried; the migration tries it before it begins";
            return of_writing.add(Check::pass("target can be written", detail));
        }
        // One after the other: what the probe begins would look like an upload that was left behind.
        probe(route, errand, of_writing).await;
        leftovers(route, errand, of_writing).await;
    };
    futures::join!(
        writing.boxed(),
        lifecycle(target, errand, of_lifecycle).boxed(),
        versioning(target, errand, of_versioning).boxed(),
        policy::check(target, errand, of_policy).boxed()
    );
    for found in found {
        findings.extend(found);
    }
}

/// A multipart upload that is aborted: needs the rights of a real copy, KMS included, and creates no object.
async fn probe(route: &Route, errand: &Errand, findings: &mut Findings) {
    let name = "target can be written";
    let mut outcome = try_upload(&route.target, true, errand).await;
    if outcome.as_ref().is_err_and(Error::is_not_found) {
        // Another run at the same target took it for one that was left behind.
        outcome = try_upload(&route.target, true, errand).await;
    }
    if outcome.as_ref().is_err_and(Error::is_unsupported) {
        outcome = try_upload(&route.target, false, errand).await;
    }
    match outcome {
        Err(error) => findings.fail(name.into(), &error),
        Ok(kept) => {
            findings.add(Check::pass(
                name,
                "a multipart upload was begun, given a part and aborted; nothing is left of it",
            ));
            let name = "target keeps checksums";
            let detail = match kept {
                Kept::Validated { content_md5 } => {
                    if content_md5 {
                        route.capabilities.with_content_md5();
                    }
                    let detail = "it returned the part's CRC-64/NVME, and refused a part with another one";
                    return findings.add(Check::pass(name, detail));
                }
                Kept::Echoed => "it takes a part whose checksum is wrong, so what it returns proves nothing",
                Kept::Not => "it did not return the checksum that it was sent",
            };
            route.capabilities.without_checksums();
            let fix = "nothing to do: every object is read back and compared, which takes about twice as long";
            findings.add(Check::warn(name, detail, fix));
        }
    }
}

/// What a store does with a checksum that it is sent.
#[derive(Clone, Copy)]
enum Kept {
    /// Holds it against the bytes and keeps it.
    Validated {
        /// It holds them against `Content-MD5` too, where there are both.
        content_md5: bool,
    },
    /// Keeps it as it is.
    Echoed,
    /// Drops it.
    Not,
}

/// What the target does with the checksum of a part.
async fn try_upload(target: &Store, checksums: bool, errand: &Errand) -> Result<Kept, Error> {
    let key = Key::from(format!("{PROBE}{}", uuid::Uuid::new_v4()).as_str());
    let full_key = target.full_key(&key)?;
    let id = multipart::begin(target, &key, checksums, &[], errand).await?;
    let checksum = digest::crc64_base64(digest::crc64nvme(PROBE_BODY));
    let part = target
        .call("UploadPart", Some(&key), errand, || {
            target
                .client()
                .upload_part()
                .bucket(target.bucket())
                .key(&full_key)
                .upload_id(&id)
                .part_number(1)
                .set_checksum_crc64_nvme(checksums.then(|| checksum.clone()))
                .body(ByteStream::from_static(PROBE_BODY))
                .send()
        })
        .await;
    let kept = match &part {
        Ok(part) if part.checksum_crc64_nvme.as_ref() == Some(&checksum) => {
            let other = b"another content";
            let crc = wrong_part(target, &key, (&id, 2), other, None);
            let md5 = wrong_part(target, &key, (&id, 3), PROBE_BODY, Some(other));
            match futures::join!(crc, md5) {
                (Some(_), md5) => Kept::Validated { content_md5: md5.is_some_and(|error| error.is_bad_digest()) },
                (None, _) => Kept::Echoed,
            }
        }
        _ => Kept::Not,
    };
    // Aborted whatever came of the part; that it can be aborted is part of the probe.
    target
        .call("AbortMultipartUpload", Some(&key), errand, || {
            target.client().abort_multipart_upload().bucket(target.bucket()).key(&full_key).upload_id(&id).send()
        })
        .await?;
    part.map(|_| kept)
}

/// How the target refuses a part with the checksum of `crc_of` and the `Content-MD5` of `md5_of`, one of which is not that of its bytes.
/// Without a clear answer it is held not to refuse it.
async fn wrong_part(
    target: &Store,
    key: &Key,
    (id, number): (&str, i32),
    crc_of: &[u8],
    md5_of: Option<&[u8]>,
) -> Option<Error> {
    let full_key = target.full_key(key).ok()?;
    for _ in 0..WRONG_PART_ATTEMPTS {
        let request = target.client().upload_part().bucket(target.bucket()).key(&full_key).upload_id(id);
        let request = request.part_number(number).body(ByteStream::from_static(PROBE_BODY));
        let request = request.set_content_md5(md5_of.map(digest::content_md5));
        let wrong = digest::crc64_base64(digest::crc64nvme(crc_of));
        match target.call_once("UploadPart", Some(key), request.checksum_crc64_nvme(wrong).send()).await {
            Ok(_) => return None,
            Err(error) if error.is_refusal() => return Some(error),
            Err(error) => tracing::debug!(%error, "the probe of a wrong checksum was not answered"),
        }
    }
    None
}

/// Finds multipart uploads that an earlier start was killed over; each is aborted when its object's turn comes.
async fn leftovers(route: &Route, errand: &Errand, findings: &mut Findings) {
    let name = "target's unfinished uploads";
    match multipart::list_uploads(&route.target, route.target.prefix(), errand).await {
        Ok(mut uploads) => {
            let probes: Vec<Key> =
                uploads.keys().filter(|key| key.as_bytes().starts_with(PROBE.as_bytes())).cloned().collect();
            for key in probes {
                for id in uploads.remove(&key).unwrap_or_default() {
                    multipart::abort_other(route, &key, &id, errand).await;
                }
            }
            if uploads.is_empty() {
                return findings.add(Check::pass(name, "there are none"));
            }
            let count = uploads.values().map(Vec::len).sum::<usize>() as u64;
            let detail = format!(
                "{}: those of objects that are copied again are aborted first",
                units::counted(count, "upload")
            );
            findings.add(Check::pass(name, detail));
            *route.leftovers.lock().unwrap_or_else(PoisonError::into_inner) = uploads;
        }
        Err(error) => {
            let fix = format!("{}; without it, uploads that a crash left behind stay", fix(&error));
            findings.add(Check::warn(name, sentence(&error), fix));
        }
    }
}

/// Rules that would expire what is copied: copying gives every object a new age.
async fn lifecycle(target: &Store, errand: &Errand, findings: &mut Findings) {
    let name = "target's lifecycle rules";
    let answer = target
        .call("GetBucketLifecycleConfiguration", None, errand, || {
            target.client().get_bucket_lifecycle_configuration().bucket(target.bucket()).send()
        })
        .await;
    match answer {
        Ok(output) => {
            let rules = output.rules.unwrap_or_default();
            let expiring: Vec<String> = rules.iter().filter_map(|rule| expiry(rule, target.prefix())).collect();
            let moving: Vec<String> = rules.iter().filter_map(|rule| transition(rule, target.prefix())).collect();
            if !moving.is_empty() {
                let detail = format!("objects are moved {}, counted from the copy", moving.join("; "));
                let fix = "check that this is wanted: a class that must be restored cannot be verified, and small objects \
                    cost more there";
                findings.add(Check::warn(format!("{name}: storage classes"), detail, fix));
            }
            if expiring.is_empty() {
                return findings.add(Check::pass(name, "none of them expires objects"));
            }
            let detail =
                format!("objects are deleted {}, counted from the copy, which is a new object", expiring.join("; "));
            let fix = "check that this is wanted; to keep what is copied, switch the rule off before the migration";
            findings.add(Check::warn(name, detail, fix));
        }
        Err(error) if error.is_not_found() => findings.add(Check::pass(name, "there are none")),
        Err(error) if error.is_unsupported() || error.is_unreadable() => {
            findings.add(Check::pass(name, "the store has none"));
        }
        Err(error) => {
            let fix = "look at the bucket's rules by hand: one that expires objects would delete what is copied";
            findings.add(Check::warn(name, sentence(&error), fix));
        }
    }
}

fn concerns(rule: &LifecycleRule, prefix: &str) -> bool {
    let rule_prefix = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default();
    let overlaps = rule_prefix.starts_with(prefix) || prefix.starts_with(rule_prefix);
    rule.status() == &ExpirationStatus::Enabled && overlaps
}

/// To which classes `rule` moves objects under `prefix`, in words; `None` when it does not.
fn transition(rule: &LifecycleRule, prefix: &str) -> Option<String> {
    let moves: Vec<String> = rule
        .transitions()
        .iter()
        .filter_map(|transition| {
            let days = units::counted(u64::try_from(transition.days()?).ok()?, "day");
            Some(format!("to {} after {days}", transition.storage_class()?.as_str()))
        })
        .collect();
    (concerns(rule, prefix) && !moves.is_empty()).then(|| moves.join(", "))
}

/// What `rule` does to objects under `prefix`, in words; `None` when it does not expire them.
fn expiry(rule: &LifecycleRule, prefix: &str) -> Option<String> {
    if !concerns(rule, prefix) {
        return None;
    }
    let expiration = rule.expiration()?;
    let id = rule.id().map(|id| format!(" (rule `{id}`)")).unwrap_or_default();
    match (expiration.days(), expiration.date()) {
        (Some(days), _) => Some(format!("after {}{id}", units::counted(u64::try_from(days).unwrap_or(0), "day"))),
        (None, Some(date)) => Some(format!("on {date}{id}")),
        _ => None,
    }
}

async fn versioning(target: &Store, errand: &Errand, findings: &mut Findings) {
    let answer = target
        .call("GetBucketVersioning", None, errand, || {
            target.client().get_bucket_versioning().bucket(target.bucket()).send()
        })
        .await;
    // Only worth a word when it is on; a store that does not tell has nothing to say.
    if answer.is_ok_and(|output| output.status == Some(BucketVersioningStatus::Enabled)) {
        findings
            .add(Check::pass("target's versioning", "it is on: an object that is replaced stays as an older version"));
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, Transition, TransitionStorageClass};

    use super::*;

    #[test]
    fn what_a_rule_does_is_said_in_words() {
        let transition = Transition::builder().days(90).storage_class(TransitionStorageClass::Glacier).build();
        let rule = LifecycleRule::builder()
            .status(ExpirationStatus::Enabled)
            .expiration(LifecycleExpiration::builder().days(30).build())
            .transitions(transition)
            .build()
            .unwrap();
        assert_eq!(super::transition(&rule, "a/").as_deref(), Some("to GLACIER after 90 days"));
        assert_eq!(expiry(&rule, "a/").as_deref(), Some("after 30 days"));
    }
}
