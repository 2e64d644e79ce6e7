//! What a request asks for: whether it may go ahead (`If-Match`, `If-None-Match`), and which bytes of an object.

use std::ops::Range;

use s3s::dto::{self, ETagCondition};
use s3s::{S3Result, s3_error};

use super::faults::{Fault, Verdict};
use super::store::Object;

/// `If-Match` and `If-None-Match` of a request.
pub(super) struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

impl Conditions {
    pub(super) fn new(
        verdict: &Verdict,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> Self {
        if verdict.is(&Fault::IgnoreConditions) {
            return Self { if_match: None, if_none_match: None };
        }
        Self { if_match, if_none_match }
    }

    /// Whether a write may go ahead over what is there.
    pub(super) fn check(&self, existing: Option<&Object>) -> S3Result<()> {
        if self.if_match.is_some() && existing.is_none() {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        let refused = self.if_match.as_ref().is_some_and(|condition| !existing.is_some_and(|it| meets(it, condition)))
            || self.if_none_match.as_ref().is_some_and(|condition| existing.is_some_and(|it| meets(it, condition)));
        if refused {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        Ok(())
    }

    /// Whether a read may go ahead: a matching `If-None-Match` is 304, not 412.
    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        if self.if_none_match.as_ref().is_some_and(|condition| meets(object, condition)) {
            return Err(s3_error!(NotModified, "Not Modified"));
        }
        self.check(Some(object))
    }
}

fn meets(object: &Object, condition: &ETagCondition) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}

/// The bytes of an object that a read asks for.
pub(super) struct Selection {
    pub(super) range: Range<u64>,
    total: u64,
    partial: bool,
    pub(super) parts_count: Option<i32>,
}

impl Selection {
    pub(super) fn of(object: &Object, range: Option<dto::Range>, part_number: Option<i32>) -> S3Result<Self> {
        let total = object.body.length();
        let parts_count = i32::try_from(object.parts.len()).ok().filter(|count| *count > 0);
        match (range, part_number) {
            (Some(_), Some(_)) => {
                Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"))
            }
            (Some(range), None) => {
                let range = range.check(total)?;
                Ok(Self { range, total, partial: true, parts_count: None })
            }
            (None, None) => Ok(Self { range: 0..total, total, partial: false, parts_count: None }),
            (None, Some(number)) => {
                let lengths = if object.parts.is_empty() { std::slice::from_ref(&total) } else { &object.parts };
                let index = usize::try_from(number - 1).ok().filter(|index| *index < lengths.len());
                let Some(index) = index else {
                    return Err(s3_error!(InvalidRange, "The requested partnumber is not satisfiable"));
                };
                let start = lengths[..index].iter().sum();
                Ok(Self { range: start..start + lengths[index], total, partial: total > 0, parts_count })
            }
        }
    }

    pub(super) fn content_range(&self) -> Option<String> {
        let Range { start, end } = self.range;
        self.partial.then(|| format!("bytes {start}-{}/{}", end.saturating_sub(1), self.total))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.range == (0..self.total)
    }
}
