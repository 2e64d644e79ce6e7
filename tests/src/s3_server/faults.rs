//! Scripted misbehaviour: what a server does wrong, to which requests, how often; and what it was asked.
//!
//! A rule names an operation by S3's name (`PutObject`, `ListObjectsV2`, …) or all of them, and is used up in the order
//! in which rules were added. `access` claims at most one fault for each request; `http` and the operations act it out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One way of misbehaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answer with this status and S3 error code; the operation has no effect.
    Fail {
        /// HTTP status.
        status: u16,
        /// S3's error code, for example `SlowDown`.
        code: String,
    },
    /// Perform the operation after this time.
    Delay(Duration),
    /// Perform the operation but never answer.
    Hang,
    /// Close the connection instead of performing the operation.
    DropConnection,
    /// Perform the operation, then close the connection instead of answering.
    LoseAnswer,
    /// Close the connection after so many bytes of the answer's body.
    CutBody(u64),
    /// Send so many bytes of the answer's body, then nothing more.
    StallBody(u64),
    /// Flip one bit of the byte at this offset of the answer's body.
    FlipBit(u64),
    /// Answer with this `Content-Range`, whatever the body is.
    ContentRange(String),
    /// Answer 200 with an error document of this code, without performing the operation: `CompleteMultipartUpload` and
    /// `CopyObject` do that.
    ErrorWithStatus200(String),
    /// Take no notice of checksum headers: validate nothing, store nothing, return nothing.
    IgnoreChecksums,
    /// Return and keep the checksums that come in headers without looking at the bytes.
    EchoChecksums,
    /// Answer a completion with an ETag that is not the object's, and without a checksum.
    OtherEtag,
    /// Take no notice of `If-Match` and `If-None-Match`.
    IgnoreConditions,
    /// Take an object and keep neither its tags nor its redirect, and make `-` of `_` in the names of its metadata.
    KeepLess,
    /// Keep objects as files: `a//b` is where `a/b` is.
    KeysArePaths,
    /// Leave a mark of deletion without saying so.
    UntoldMark,
    /// Know no tags: every tagging operation and every `x-amz-tagging` header is `NotImplemented`.
    NoTagging,
    /// Answer a page of a listing with the page before it.
    RepeatPage,
    /// Leave this key out of a listing.
    LeaveOut(String),
    /// Answer a page of a listing that promises more without saying where that begins.
    NoToken,
    /// Say without encoding where the next page of versions begins, although its keys are encoded.
    PlainMarker,
    /// List every object with another ETag than it has.
    OtherListedEtags,
    /// Answer a page of a listing with its keys in reverse order.
    ReversePage,
}

/// A fault and the requests it befalls.
#[derive(Debug, Clone)]
pub struct FaultRule {
    fault: Fault,
    bucket: Option<String>,
    operation: Option<String>,
    key: Option<String>,
    skip: u64,
    times: u64,
}

impl FaultRule {
    /// The fault on every request, for ever; narrow it with the other functions.
    pub fn new(fault: Fault) -> Self {
        Self { fault, bucket: None, operation: None, key: None, skip: 0, times: u64::MAX }
    }

    /// `status` and `code` instead of an answer.
    pub fn fail(status: u16, code: &str) -> Self {
        Self::new(Fault::Fail { status, code: code.to_owned() })
    }

    /// Only on requests to this bucket.
    #[must_use]
    pub fn bucket(self, name: &str) -> Self {
        Self { bucket: Some(name.to_owned()), ..self }
    }

    /// Only on this operation, by S3's name.
    #[must_use]
    pub fn on(self, operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..self }
    }

    /// Only on this key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// Let the first `count` requests that match pass.
    #[must_use]
    pub fn skip(self, count: u64) -> Self {
        Self { skip: count, ..self }
    }

    /// Only `count` times.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { times: count, ..self }
    }

    fn matches(&self, bucket: &str, operation: &str, key: &str) -> bool {
        self.bucket.as_deref().is_none_or(|name| name == bucket)
            && self.operation.as_deref().is_none_or(|name| name == operation)
            && self.key.as_deref().is_none_or(|name| name == key)
    }
}

/// The rules in force and the count of requests, by bucket and operation.
#[derive(Default)]
pub(super) struct Faults {
    rules: Mutex<Vec<FaultRule>>,
    counts: Mutex<BTreeMap<(String, String), u64>>,
}

impl Faults {
    pub(super) fn add(&self, rule: FaultRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub(super) fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a request, and takes the fault that is meant for it.
    pub(super) fn claim(&self, bucket: &str, operation: &str, key: &str) -> Option<Fault> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((bucket.to_owned(), operation.to_owned())).or_default() += 1;
        drop(counts);

        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules.iter_mut().filter(|rule| rule.times > 0 && rule.matches(bucket, operation, key)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times != u64::MAX {
                rule.times -= 1;
            }
            return Some(rule.fault.clone());
        }
        None
    }

    pub(super) fn count(&self, bucket: &str, operation: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&(bucket.to_owned(), operation.to_owned())).copied().unwrap_or(0)
    }

    pub(super) fn counts(&self, bucket: &str) -> BTreeMap<String, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_bucket = counts.iter().filter(|((name, _), _)| name == bucket);
        of_bucket.map(|((_, operation), count)| (operation.clone(), *count)).collect()
    }

    pub(super) fn reset_counts(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What `access` decided about one request, for `http` to act on. Travels in the request's extensions.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    region: Option<String>,
}

impl Verdict {
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault = fault;
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    pub(super) fn is(&self, fault: &Fault) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault.as_ref() == Some(fault)
    }

    /// The region that the request should have been signed for.
    pub(super) fn set_region(&self, region: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).region = Some(region.to_owned());
    }

    pub(super) fn region(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).region.clone()
    }
}
