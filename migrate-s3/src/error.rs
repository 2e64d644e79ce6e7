//! Everything that can go wrong in this program: what it concerns, what caused it, what to do next.

use common::aws::{FailureKind, RequestFailure};
use common::error::{Class, OperatorError};
use common::infrastructure::InfrastructureError;
use common::report::{ReportError, Unbalanced};
use common::settings::SettingError;
use common::signals::Signal;
use common::tasks::TaskFailure;
use common::units;

use crate::key::Key;

/// See the module. Keys are shown escaped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The platform that the source is in refused or failed.
    #[error(transparent)]
    Platform(#[from] platform::Error),
    /// The configuration file is wrong, or lacks what was asked for.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
    /// Source and target are, or overlap in, one bucket.
    #[error("the source {source_place} and the target {target_place} are the same place")]
    SamePlace {
        /// Where the data would come from.
        source_place: String,
        /// Where it would go.
        target_place: String,
    },
    /// Preflight found something that stands in the way. The checks are in the report and in the message.
    #[error("preflight refused: {}", reasons.join("; "))]
    Refused {
        /// One sentence for each failed check.
        reasons: Vec<String>,
        /// The next steps, one for each failed check.
        fixes: Vec<String>,
        /// Whether what stands in the way may pass by itself.
        transient: bool,
    },
    /// A request failed.
    #[error("{operation} on {}", subject(place, key.as_ref()))]
    Request {
        /// Side and location.
        place: String,
        /// The object concerned.
        key: Option<Key>,
        /// The operation's name in the S3 API.
        operation: &'static str,
        /// What went wrong.
        #[source]
        failure: Box<RequestFailure>,
    },
    /// The store's listing is not in byte order.
    #[error("the listing of {place} is not in byte order: {after:?} comes after {before:?}")]
    ListingOrder {
        /// Side and location.
        place: String,
        /// The key that came first.
        before: Key,
        /// The key that came second.
        after: Key,
    },
    /// The store's listing makes no sense.
    #[error("the listing of {place} holds {what}")]
    ListingBroken {
        /// Side and location.
        place: String,
        /// What it holds.
        what: String,
    },
    /// The object was overwritten or deleted after it was listed.
    #[error("{key:?} on {place} changed while it was being read: {what}")]
    Changed {
        /// Side and location.
        place: String,
        /// The object.
        key: Key,
        /// How that was noticed.
        what: String,
    },
    /// The bytes are not what a checksum says they should be.
    #[error("the content of {key:?} on {place} is damaged: {what}")]
    Damaged {
        /// Side and location.
        place: String,
        /// The object.
        key: Key,
        /// Which checksum says so.
        what: String,
    },
    /// The body ended early, stalled, or the answer was about other bytes than those asked for.
    #[error("reading {key:?} on {place}: {what}")]
    Body {
        /// Side and location.
        place: String,
        /// The object.
        key: Key,
        /// What happened.
        what: String,
    },
    /// The key is one that the SDK cannot send.
    #[error("the key {key:?} is {why} and cannot be asked for")]
    KeyUnsendable {
        /// The object.
        key: Key,
        /// What it is.
        why: &'static str,
    },
    /// The object's parts do not fit the memory limit.
    #[error("{key:?} has {}, and its parts of {} do not fit the memory limit", units::bytes(*size), units::bytes(*part_bytes))]
    PartTooBig {
        /// The object.
        key: Key,
        /// Its size in bytes.
        size: u64,
        /// The smallest part that S3's limit of 10,000 parts allows.
        part_bytes: u64,
    },
    /// The target has an object under this key that this run did not put there and may not replace.
    #[error("{key:?} appeared on {place} during the run, with other content")]
    Occupied {
        /// Side and location.
        place: String,
        /// The object.
        key: Key,
    },
    /// The journal cannot be read or written.
    #[error("the journal at {location}: {what}")]
    State {
        /// Where it is kept.
        location: String,
        /// What happened.
        what: String,
        /// Whether it was found out before anything was changed.
        at_start: bool,
    },
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Object after object failed for the same side of things.
    #[error("{count} objects in a row failed, the last of them so: {last}")]
    TooManyFailures {
        /// How many.
        count: u32,
        /// The last error.
        last: String,
        /// Whether all of them may pass by themselves.
        transient: bool,
    },
    /// A defect of the program.
    #[error(transparent)]
    Task(#[from] TaskFailure),
    /// A defect of the program.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// The list of what is to be migrated cannot be read or believed.
    #[error("the manifest {place}: {what}")]
    Manifest {
        /// The file.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// Reports of shares do not add up.
    #[error("{place}: {what}")]
    Merge {
        /// The file, or all of them.
        place: String,
        /// Why not.
        what: String,
    },
    /// Someone asked us to stop.
    #[error("stopped by {}", .0.name())]
    Stopped(Signal),
    /// The work was given up because the run is ending; the run has the reason.
    #[error("given up because the run is ending")]
    GivenUp,
}

fn subject(place: &str, key: Option<&Key>) -> String {
    key.map_or_else(|| place.to_owned(), |key| format!("{key:?} of {place}"))
}

impl Error {
    /// Whether this is about a whole side rather than one object: every other object would fail likewise.
    pub fn is_of_side(&self) -> bool {
        match self {
            Self::Request { failure, .. } => {
                failure.code.as_deref() == Some("NoSuchBucket")
                    || matches!(
                        failure.kind,
                        FailureKind::Credentials
                            | FailureKind::WrongRegion
                            | FailureKind::Clock
                            | FailureKind::UnknownHost
                            | FailureKind::Untrusted
                    )
            }
            Self::Task(_) | Self::Stopped(_) | Self::GivenUp => true,
            _ => false,
        }
    }

    /// Whether a precondition that we sent did not hold.
    pub fn is_precondition(&self) -> bool {
        matches!(self, Self::Request { failure, .. } if failure.status == Some(412))
    }

    /// Whether the store does not know what we asked for, as older stores answer to newer headers.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Request { failure, .. }
            if failure.status == Some(501) || matches!(failure.code.as_deref(),
                Some("NotImplemented" | "InvalidArgument" | "InvalidRequest" | "UnsupportedOperation" | "MalformedXML")))
    }

    /// Whether the object, upload or configuration asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Request { failure, .. }
            if failure.status == Some(404) && failure.code.as_deref() != Some("NoSuchBucket"))
    }

    /// Whether the store has answered that it did nothing; without an answer, or with one about a defect, it may have.
    pub fn is_without_effect(&self) -> bool {
        matches!(self, Self::Request { failure, .. }
            if failure.status.is_some_and(|status| (400..500).contains(&status) || status == 503))
    }

    /// Whether the store agreed and its answer could not be understood.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Request { failure, .. } if failure.status == Some(200) && failure.code.is_none())
    }

    /// Whether the store refuses what it was sent, whoever sends it and however often.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Request { failure, .. }
            if failure.status.is_some_and(|status| (400..500).contains(&status))
                && !matches!(failure.kind, FailureKind::Throttled | FailureKind::Server))
    }

    /// Whether the store says that the bytes are not those of a checksum that came with them.
    pub fn is_bad_digest(&self) -> bool {
        matches!(self, Self::Request { failure, .. }
            if matches!(failure.code.as_deref(), Some("BadDigest" | "InvalidDigest")))
    }

    /// Whether we may not do this.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Request { failure, .. } if failure.kind == FailureKind::AccessDenied)
    }
}

impl OperatorError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::Platform(error) => error.class(),
            Self::Infrastructure(error) => error.class(),
            Self::Body { .. }
            | Self::Refused { transient: true, .. }
            | Self::TooManyFailures { transient: true, .. } => Class::Transient,
            Self::SamePlace { .. } | Self::State { at_start: true, .. } | Self::Refused { .. } => Class::Refused,
            // The first two: the body was damaged on its way; the last two: another request on the same key was quicker.
            Self::Request { failure, .. } => match failure.code.as_deref() {
                Some("BadDigest" | "XAmzContentSHA256Mismatch" | "OperationAborted" | "ConditionalRequestConflict") => {
                    Class::Transient
                }
                _ => failure.class(),
            },
            Self::Report(error) => error.class(),
            Self::Stopped(signal) => Class::Stopped(*signal),
            Self::ListingOrder { .. }
            | Self::ListingBroken { .. }
            | Self::Changed { .. }
            | Self::Damaged { .. }
            | Self::KeyUnsendable { .. }
            | Self::PartTooBig { .. }
            | Self::Occupied { .. }
            | Self::TooManyFailures { .. }
            | Self::Merge { .. }
            | Self::Manifest { .. }
            | Self::State { .. }
            | Self::Task(_)
            | Self::Unbalanced(_)
            | Self::GivenUp => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Setting(error) => return error.hint(),
            Self::Platform(error) => return error.hint(),
            Self::Infrastructure(error) => return error.hint(),
            Self::SamePlace { .. } => "give two places that do not overlap: PAAS_BUCKET and NEW_BUCKET",
            Self::Refused { fixes, .. } => return Some(fixes.join("; ")),
            Self::Request { failure, .. } if failure.code.as_deref() == Some("InvalidObjectState") => {
                "the object is archived: restore it in its bucket, then run the same command again"
            }
            Self::Request { failure, .. } => return failure.hint(),
            Self::ListingOrder { .. } => {
                "this store does not list as S3 does; migrate its top-level prefixes one by one, or from another store"
            }
            Self::ListingBroken { .. } => "ask the owner of the store; its listing cannot be relied upon",
            Self::Changed { place, .. } if place.starts_with("target ") => {
                "stop other writes to the target, then run the same command again"
            }
            Self::Changed { .. } => "stop writes to the source, then run the same command again",
            Self::Damaged { .. } | Self::Body { .. } => {
                "run the same command again; if it stays, read the object by hand"
            }
            Self::KeyUnsendable { .. } => "give the object another key in the source, or leave it behind knowingly",
            Self::PartTooBig { part_bytes, .. } => {
                return Some(format!("give --memory-limit {} or more", part_bytes.div_ceil(1 << 20)));
            }
            Self::Occupied { .. } => "find out who else writes to the target; --overwrite replaces what is there",
            Self::State { .. } => "check the place and the rights on it, or give another --state",
            Self::Manifest { .. } => {
                "give the manifest.json of an S3 Inventory whose output format is CSV, or a CSV of bucket,key, of the source's \
                 bucket; without --manifest the bucket is listed"
            }
            Self::Merge { .. } => "run the shares that are missing, all of them on the same source, then merge again",
            Self::Report(error) => return error.hint(),
            Self::TooManyFailures { .. } | Self::Stopped(_) | Self::GivenUp => {
                "run the same command again: it goes on from here"
            }
            Self::Task(_) | Self::Unbalanced(_) => "tell the maintainers, with the log of this run",
        };
        Some(hint.into())
    }
}

#[cfg(test)]
mod tests {
    use common::error::describe;

    use super::*;

    fn request(key: Option<Key>, failure: RequestFailure) -> Error {
        Error::Request {
            place: "source s3://paas-csv/".into(),
            key,
            operation: "GetObject",
            failure: Box::new(failure),
        }
    }

    fn failure(kind: FailureKind, code: &str, status: u16, message: &str) -> RequestFailure {
        RequestFailure {
            kind,
            code: Some(code.into()),
            status: Some(status),
            message: message.into(),
            request_id: Some("4442587FB7D0A2F9".into()),
            region: None,
        }
    }

    /// Every kind of error as an operator sees it.
    #[test]
    fn texts() {
        let (place, key) = (String::from("target s3://core-prod-bulk-upload/"), Key::from("a\nb"));
        let errors = [
            Error::SamePlace { source_place: "s3://one/".into(), target_place: "s3://one/a/".into() },
            Error::Refused {
                reasons: vec!["it holds `x`, which the source lacks".into()],
                fixes: vec!["give --allow-extra".into()],
                transient: false,
            },
            request(None, failure(FailureKind::Credentials, "InvalidAccessKeyId", 403, "no such key")),
            request(Some(key.clone()), failure(FailureKind::AccessDenied, "AccessDenied", 403, "Access Denied")),
            request(Some(key.clone()), failure(FailureKind::AccessDenied, "InvalidObjectState", 403, "archived")),
            Error::ListingOrder { place: place.clone(), before: "a/b".into(), after: "a-b".into() },
            Error::ListingBroken { place: place.clone(), what: "an object without a key".into() },
            Error::Changed { place: place.clone(), key: key.clone(), what: "its ETag is another one".into() },
            Error::Damaged { place: place.clone(), key: key.clone(), what: "its parts do not add up".into() },
            Error::Body { place: place.clone(), key: key.clone(), what: "the body ended at byte 3".into() },
            Error::KeyUnsendable { key: Key::from(vec![b'a', 0xff]), why: "not UTF-8" },
            Error::PartTooBig { key: key.clone(), size: 1 << 40, part_bytes: 105 << 20 },
            Error::Occupied { place, key },
            Error::State {
                location: "/state".into(),
                what: "Read-only file system (os error 30)".into(),
                at_start: true,
            },
            Error::TooManyFailures { count: 64, last: "GetObject on `k`".into(), transient: true },
            Error::Stopped(Signal::Terminate),
        ];
        let texts: Vec<String> = errors
            .iter()
            .map(|error| format!("exit {}: {}", error.class().exit_status().code(), describe(error)))
            .collect();
        insta::assert_snapshot!(texts.join("\n\n"));
    }
}
