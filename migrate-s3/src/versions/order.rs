//! The order of versions in a page, which the SDK does not keep: it gives versions and marks of deletion as two lists.
//!
//! S3 writes both kinds into one sequence, newest first; that sequence is read off the answer's text. Stores that write one
//! kind after the other are put in order by time. Pure, but for the SDK's hook that sees the text.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use crate::listing::Entry;

/// Notes which elements of the answer are marks of deletion, in the order of the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    is_marker: Arc<Mutex<Vec<bool>>>,
}

impl Intercept for Sequence {
    fn name(&self) -> &'static str {
        "Sequence"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sequence = context.response().body().bytes().map(sequence).unwrap_or_default();
        *self.is_marker.lock().unwrap_or_else(PoisonError::into_inner) = sequence;
        Ok(())
    }
}

impl Sequence {
    /// Both lists of one answer as one, newest first within each key.
    pub(super) fn merge(&self, versions: Vec<Listed>, markers: Vec<Listed>) -> Vec<Entry> {
        let sequence = std::mem::take(&mut *self.is_marker.lock().unwrap_or_else(PoisonError::into_inner));
        let is_whole = sequence.len() == versions.len() + markers.len()
            && sequence.iter().filter(|is_marker| **is_marker).count() == markers.len();
        let (mut versions, mut markers) = (versions.into_iter(), markers.into_iter());
        let mut listed: Vec<Listed> = if is_whole {
            sequence.iter().filter_map(|is_marker| if *is_marker { markers.next() } else { versions.next() }).collect()
        } else {
            versions.chain(markers).collect()
        };
        if !is_in_order(&listed) {
            // A deletion in the same moment as a writing is taken for the later one: there was something to delete.
            listed.sort_by(|one, other| {
                let rank = |listed: &Listed| {
                    (!listed.is_latest, Reverse(listed.entry.last_modified), !listed.entry.is_marker())
                };
                one.entry.key.cmp(&other.entry.key).then_with(|| rank(one).cmp(&rank(other)))
            });
        }
        listed.into_iter().map(|listed| listed.entry).collect()
    }
}

/// A version as it was listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) entry: Entry,
    pub(super) is_latest: bool,
}

/// Whether keys ascend, and within a key times descend.
fn is_in_order(listed: &[Listed]) -> bool {
    listed.windows(2).all(|pair| {
        let (one, other) = (&pair[0].entry, &pair[1].entry);
        one.key < other.key || (one.key == other.key && one.last_modified >= other.last_modified)
    })
}

/// Where in `text` the elements `Version` and `DeleteMarker` begin. In XML's text a `<` is always a tag.
fn sequence(text: &[u8]) -> Vec<bool> {
    let begins = |rest: &[u8], name: &[u8]| {
        rest.strip_prefix(name).and_then(|rest| rest.first()).is_some_and(|next| matches!(next, b'>' | b' '))
    };
    text.split(|byte| *byte == b'<')
        .filter_map(
            |rest| {
                if begins(rest, b"Version") { Some(false) } else { begins(rest, b"DeleteMarker").then_some(true) }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::listing::Version;

    fn listed(key: &str, id: &str, second: i64, is_marker: bool) -> Listed {
        Listed {
            entry: Entry {
                key: Key::from(key),
                size: 0,
                etag: String::new(),
                last_modified: jiff::Timestamp::from_second(second).ok(),
                storage_class: None,
                version: Some(Version { id: id.into(), is_marker }),
            },
            is_latest: false,
        }
    }

    fn ids(entries: &[Entry]) -> String {
        entries.iter().filter_map(Entry::version_id).collect()
    }

    fn merged(text: &[u8], versions: Vec<Listed>, markers: Vec<Listed>) -> String {
        let order = Sequence::default();
        *order.is_marker.lock().unwrap() = sequence(text);
        ids(&order.merge(versions, markers))
    }

    #[test]
    fn the_texts_own_order_counts_even_within_a_second() {
        let text =
            b"<R><Version><VersionId>c</VersionId></Version><DeleteMarker a='1'></DeleteMarker><Version/><Version></R>";
        let versions = vec![listed("k", "c", 9, false), listed("k", "a", 9, false)];
        let markers = vec![listed("k", "b", 9, true)];
        assert_eq!(merged(text, versions, markers), "cba");
    }

    #[test]
    fn kinds_that_come_one_after_the_other_are_ordered_by_time() {
        let text = b"<Version></Version><Version></Version><Version></Version><DeleteMarker></DeleteMarker>";
        let versions = vec![listed("k", "c", 9, false), listed("k", "a", 7, false), listed("l", "z", 1, false)];
        assert_eq!(merged(text, versions, vec![listed("k", "b", 8, true)]), "cbaz");
    }

    #[test]
    fn a_deletion_in_the_same_moment_is_the_later_one() {
        let text = b"<Version></Version><DeleteMarker></DeleteMarker><Version></Version>";
        let versions = vec![listed("k", "a", 7, false), listed("j", "z", 9, false)];
        assert_eq!(merged(text, versions, vec![listed("k", "b", 7, true)]), "zba");
    }
}
