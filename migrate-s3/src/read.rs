//! Reading an object, whole or a range of it, into whoever takes the bytes.
//!
//! Every request carries `If-Match`, so all bytes are of one generation of the object. A body that breaks off goes on
//! where it broke. Bytes are handed on as they come; nothing is kept. Called by `copy`, `multipart`, `compare`.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use common::aws::ObjectRequest;

use crate::errand::Errand;
use crate::error::Error;
use crate::head::Head;
use crate::key::Key;
use crate::listing::Entry;
use crate::store::Store;

/// A body that gives nothing for so long is given up and asked for again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which bytes of which generation of which object.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The object.
    pub key: &'a Key,
    /// Its ETag without quotes; empty when the store gives none.
    pub etag: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// Which version of it; `None` for the one that is there now.
    pub version_id: Option<&'a str>,
}

/// Feeds the bytes of `range` to `sink` in order and returns what the first answer's head says.
///
/// Fails with [`Error::Changed`] when the object is another one than wanted or gone.
pub async fn read(
    store: &Store,
    wanted: Wanted<'_>,
    range: Range<u64>,
    errand: &Errand,
    sink: &mut (impl FnMut(&[u8]) + Send),
) -> Result<Head, Error> {
    let mut reader = Reader { store, wanted, offset: range.start, range, head: None };
    let mut attempts = 1;
    loop {
        let begun_at = reader.offset;
        let outcome = reader.attempt(sink).await;
        if reader.offset > begun_at {
            // The retries are for one stretch without progress; a long body may break off many times.
            attempts = 1;
        }
        match outcome {
            Ok(()) => return Ok(reader.head.unwrap_or_default()),
            Err(error) if errand.again(&mut attempts, &error).await => {}
            Err(error) if error.is_precondition() => return Err(wanted.changed(store, "its ETag is another one")),
            Err(error) if error.is_not_found() => return Err(wanted.changed(store, "it was deleted")),
            Err(error) => return Err(error),
        }
    }
}

impl<'a> Wanted<'a> {
    /// What `entry` lists.
    pub fn of(entry: &'a Entry) -> Self {
        Self { key: &entry.key, etag: &entry.etag, size: entry.size, version_id: entry.version_id() }
    }
}

impl Wanted<'_> {
    fn changed(&self, store: &Store, what: impl Into<String>) -> Error {
        Error::Changed { place: store.place(), key: self.key.clone(), what: what.into() }
    }

    fn broken(&self, store: &Store, what: impl Into<String>) -> Error {
        Error::Body { place: store.place(), key: self.key.clone(), what: what.into() }
    }
}

struct Reader<'a> {
    store: &'a Store,
    wanted: Wanted<'a>,
    range: Range<u64>,
    /// What has been handed on.
    offset: u64,
    head: Option<Head>,
}

impl Reader<'_> {
    async fn attempt(&mut self, sink: &mut (impl FnMut(&[u8]) + Send)) -> Result<(), Error> {
        let (store, wanted) = (self.store, self.wanted);
        let full_key = store.full_key(wanted.key)?;
        // Held until the body has come: what counts is what the store is busy with.
        let _slot = store.limits().begin().await;
        let is_whole = self.offset == 0 && self.range.end == wanted.size;
        let request = ObjectRequest::get(&full_key)
            .query("versionId", wanted.version_id)
            .header("range", (!is_whole).then(|| format!("bytes={}-{}", self.offset, self.range.end - 1)))
            .header("if-match", (!wanted.etag.is_empty()).then(|| format!("\"{}\"", wanted.etag)))
            .header("x-amz-checksum-mode", is_whole.then_some("ENABLED"));
        let answer = store.call_once("GetObject", Some(wanted.key), store.objects().send(request)).await?;
        let head = Head::of_get(answer.headers(), wanted.size);
        if !wanted.etag.is_empty() && !head.etag.is_empty() && head.etag != wanted.etag {
            return Err(wanted.changed(store, "its ETag is another one, and the store ignored If-Match"));
        }
        let header = |name| answer.headers().get(name);
        let extent = self.check_extent(header("content-length"), header("content-range"), is_whole);
        if extent.is_err() && !wanted.etag.is_empty() && head.etag.is_empty() {
            return Err(wanted.broken(store, "the answer is not about the object: another length, and no ETag"));
        }
        extent?;
        self.head.get_or_insert(head);
        let mut body = ByteStream::new(answer.into_body());
        loop {
            match tokio::time::timeout(IDLE_TIMEOUT, body.next()).await {
                Err(_) => return Err(wanted.broken(store, format!("nothing came for {} s", IDLE_TIMEOUT.as_secs()))),
                Ok(None) if self.offset == self.range.end => return Ok(()),
                Ok(None) => return Err(wanted.broken(store, format!("the body ended at byte {}", self.offset))),
                Ok(Some(Err(error))) => {
                    return Err(wanted.broken(store, format!("the body broke off at byte {}: {error}", self.offset)));
                }
                Ok(Some(Ok(chunk))) => {
                    if chunk.len() as u64 > self.range.end - self.offset {
                        return Err(wanted.changed(store, "the body is longer than the listing says"));
                    }
                    store.limits().content(chunk.len() as u64).await;
                    sink(&chunk);
                    self.offset += chunk.len() as u64;
                }
            }
        }
    }

    /// Whether the answer is about the bytes that were asked for.
    fn check_extent(&self, length: Option<&str>, content_range: Option<&str>, is_whole: bool) -> Result<(), Error> {
        let (store, wanted) = (self.store, self.wanted);
        let expected = format!("bytes {}-{}/{}", self.offset, self.range.end.saturating_sub(1), wanted.size);
        match content_range {
            Some(actual) if !is_whole && actual != expected => {
                Err(wanted.broken(store, format!("asked for `{expected}`, the answer is about `{actual}`")))
            }
            None if !is_whole => Err(wanted.broken(store, "the store ignored the range that was asked for")),
            _ if is_whole && length.is_some_and(|length| length.parse() != Ok(wanted.size)) => {
                Err(wanted.changed(store, "its size is another one"))
            }
            _ => Ok(()),
        }
    }
}
