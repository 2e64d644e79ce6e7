//! `--verify=stored`: what the stores keep about an object, held against each other; no content is read.
//!
//! Two ETags that look like MD5s and are the same are of the same content, whatever each of them is made of. Otherwise
//! both heads are asked for a checksum of the same kind over the whole object. Where there is none, that is the answer.
//! Metadata is compared where heads were asked for, and not otherwise.

use common::finding::{Finding, FindingKind, ProofLevel};

use crate::copy::{Proved, Route};
use crate::digest::EtagKind;
use crate::errand::Errand;
use crate::error::Error;
use crate::head::{self, Head};
use crate::listing::Entry;

/// Compares two objects of the same size by what the stores keep.
pub(super) async fn compare(route: &Route, source: &Entry, target: &Entry, errand: &Errand) -> Result<Proved, Error> {
    let mut proved = Proved {
        sha256: None,
        target_sha256: None,
        target_etag: target.etag.clone(),
        target_version_id: target.version_id().map(ToOwned::to_owned),
        target_checksum: None,
        proof: ProofLevel::Stored,
        findings: Vec::new(),
    };
    if source.etag == target.etag && EtagKind::of(&source.etag) != EtagKind::Opaque {
        proved.target_checksum = Some(format!("etag:{}", target.etag));
        return Ok(proved);
    }
    let heads = futures::future::try_join(
        head::of_entry(&route.source, source, errand),
        head::of_entry(&route.target, target, errand),
    );
    let (ours, theirs) = heads.await?;
    let item = source.name();
    let word = word(&ours, &theirs);
    if let Word::Agree(checksum) = word {
        proved.target_checksum = Some(checksum);
    } else {
        let (kind, detail) = match word {
            Word::Differ(algorithm) => {
                (FindingKind::Differs, format!("the checksums ({algorithm}) that both stores keep differ"))
            }
            _ => {
                (FindingKind::Unknown, "the stores keep no checksum of the same kind; --verify reads both sides".into())
            }
        };
        proved.proof = if kind == FindingKind::Differs { ProofLevel::None } else { ProofLevel::Size };
        proved.findings.push(Finding::new(kind, &item, "content", detail));
    }
    proved.findings.extend(super::belongings(route, (source, target), &ours, &theirs, errand).await?);
    Ok(proved)
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Agree(String),
    Differ(&'static str),
    Silent,
}

/// What both heads say together; the stronger checksum first.
fn word(ours: &Head, theirs: &Head) -> Word {
    let pairs = [
        ("sha256", &ours.checksums.sha256, &theirs.checksums.sha256),
        ("crc64nvme", &ours.checksums.crc64nvme, &theirs.checksums.crc64nvme),
    ];
    for (algorithm, ours, theirs) in pairs {
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            return if ours == theirs { Word::Agree(format!("{algorithm}:{theirs}")) } else { Word::Differ(algorithm) };
        }
    }
    Word::Silent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::StoredChecksums;

    fn head(sha256: Option<&str>, crc64nvme: Option<&str>) -> Head {
        let checksums = StoredChecksums { sha256: sha256.map(Into::into), crc64nvme: crc64nvme.map(Into::into) };
        Head { checksums, ..Head::default() }
    }

    #[test]
    fn only_checksums_of_one_kind_say_anything() {
        assert_eq!(word(&head(Some("a"), None), &head(None, Some("a"))), Word::Silent);
        assert_eq!(word(&head(Some("a"), Some("c")), &head(None, Some("c"))), Word::Agree("crc64nvme:c".into()));
        assert_eq!(word(&head(Some("a"), Some("c")), &head(Some("b"), Some("c"))), Word::Differ("sha256"));
    }
}
