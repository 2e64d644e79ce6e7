//! Bodies of objects and parts: kept in files of one temporary directory, never whole in memory.
//!
//! A body is a row of segments, each a file that goes away with its last owner, so that completing a
//! multipart upload joins its parts without copying a byte. Knows nothing of requests, buckets or keys.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, TryStreamExt as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::checksum::{Algorithm, Digests, Hasher};

/// Bodies up to this size are written and read in one step, and larger ones in steps of this size. Bytes.
const STEP_BYTES: usize = 256 * 1024;

/// The directory of all segments; removed with everything in it when the last owner goes.
pub(super) struct Directory {
    directory: TempDir,
    next: AtomicU64,
}

/// A file that belongs to one body.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    length: u64,
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Fails when the whole directory went first, which is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The bytes of an object or a part. A clone shares the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    segments: Vec<Arc<Segment>>,
}

impl Directory {
    pub(super) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("s3-server-").tempdir()?;
        Ok(Self { directory, next: AtomicU64::new(0) })
    }

    fn next_path(&self) -> PathBuf {
        self.directory.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Writes all of `bytes` to a new body and takes its digests on the way.
    pub(super) async fn write<S, E>(&self, mut bytes: S, named: Option<Algorithm>) -> io::Result<(Body, Digests)>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut hasher = Hasher::new(named);
        let mut pending = BytesMut::new();
        let mut large: Option<(tokio::fs::File, Segment)> = None;
        while let Some(chunk) = bytes.try_next().await.map_err(io::Error::other)? {
            hasher.update(&chunk);
            pending.extend_from_slice(&chunk);
            if pending.len() < STEP_BYTES {
                continue;
            }
            if large.is_none() {
                let segment = Segment { path: self.next_path(), length: 0 };
                large = Some((tokio::fs::File::create(&segment.path).await?, segment));
            }
            if let Some((file, segment)) = &mut large {
                file.write_all(&pending).await?;
                segment.length += pending.len() as u64;
                pending.clear();
            }
        }
        let segment = match large {
            Some((mut file, mut segment)) => {
                file.write_all(&pending).await?;
                file.flush().await?;
                segment.length += pending.len() as u64;
                segment
            }
            None => self.write_small(pending.freeze()).await?,
        };
        Ok((Body { segments: vec![Arc::new(segment)] }, hasher.finish()))
    }

    /// Writes a body from a reader, on the calling thread: for fixtures, outside any runtime.
    pub(super) fn write_from(&self, mut reader: impl io::Read) -> io::Result<(Body, Digests)> {
        let mut hasher = Hasher::new(None);
        let mut segment = Segment { path: self.next_path(), length: 0 };
        let mut file = std::fs::File::create(&segment.path)?;
        let mut step = vec![0; STEP_BYTES];
        loop {
            let count = reader.read(&mut step)?;
            if count == 0 {
                break;
            }
            hasher.update(&step[..count]);
            io::Write::write_all(&mut file, &step[..count])?;
            segment.length += count as u64;
        }
        Ok((Body { segments: vec![Arc::new(segment)] }, hasher.finish()))
    }

    async fn write_small(&self, bytes: Bytes) -> io::Result<Segment> {
        let segment = Segment { path: self.next_path(), length: bytes.len() as u64 };
        let path = segment.path.clone();
        on_blocking_thread(move || std::fs::write(path, bytes)).await?;
        Ok(segment)
    }
}

impl Body {
    /// The bodies, one behind the other.
    pub(super) fn joined(bodies: impl IntoIterator<Item = Body>) -> Self {
        Self { segments: bodies.into_iter().flat_map(|body| body.segments).collect() }
    }

    /// Length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// The bytes of `range`, which must lie inside the body. A small range is read at once.
    pub(super) async fn read(&self, range: Range<u64>) -> io::Result<s3s::dto::StreamingBlob> {
        let pieces = self.pieces(&range);
        if range.end - range.start <= STEP_BYTES as u64 {
            let bytes = on_blocking_thread(move || read_pieces(&pieces)).await?;
            return Ok(s3s::Body::from(bytes).into());
        }
        Ok(s3s::dto::StreamingBlob::wrap(stream_pieces(pieces)))
    }

    /// All bytes, on the calling thread: for tests that look into the store.
    pub(super) fn read_all(&self) -> io::Result<Bytes> {
        read_pieces(&self.pieces(&(0..self.length())))
    }

    /// Flips one bit of the byte at `offset` on disk, behind the back of everything recorded about the body.
    pub(super) fn corrupt(&self, offset: u64) -> io::Result<()> {
        let beyond = || io::Error::new(io::ErrorKind::InvalidInput, format!("the body has no byte {offset}"));
        let (segment, range) = self.pieces(&(offset..offset + 1)).into_iter().next().ok_or_else(beyond)?;
        let file = std::fs::File::options().read(true).write(true).open(&segment.path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, range.start)?;
        file.write_all_at(&[byte[0] ^ 1], range.start)
    }

    /// The segments that `range` touches, each with the range inside it.
    fn pieces(&self, range: &Range<u64>) -> Vec<(Arc<Segment>, Range<u64>)> {
        let mut start = 0;
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let end = start + segment.length;
            let inside = range.start.max(start)..range.end.min(end);
            if inside.start < inside.end {
                pieces.push((Arc::clone(segment), inside.start - start..inside.end - start));
            }
            start = end;
        }
        pieces
    }
}

fn read_pieces(pieces: &[(Arc<Segment>, Range<u64>)]) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    for (segment, range) in pieces {
        let mut file = std::fs::File::open(&segment.path)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(range.start))?;
        file.take(range.end - range.start).read_to_end(&mut bytes)?;
    }
    Ok(bytes.into())
}

fn stream_pieces(pieces: Vec<(Arc<Segment>, Range<u64>)>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let steps: VecDeque<_> = pieces.into();
    stream::try_unfold((steps, None), |(mut steps, mut open)| async move {
        loop {
            if open.is_none() {
                let Some((segment, range)) = steps.pop_front() else { return Ok(None) };
                open = Some((open_at(&segment.path, range.start).await?, segment, range.end - range.start));
            }
            let Some((mut file, segment, left)) = open.take() else { continue };
            if left == 0 {
                continue;
            }
            let mut step = BytesMut::with_capacity(STEP_BYTES);
            let count = (&mut file).take(left.min(STEP_BYTES as u64)).read_buf(&mut step).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            open = Some((file, segment, left - count as u64));
            return Ok(Some((step.freeze(), (steps, open))));
        }
    })
}

async fn open_at(path: &Path, offset: u64) -> io::Result<tokio::fs::File> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(io::SeekFrom::Start(offset)).await?;
    Ok(file)
}

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
