//! The inner loop: rows from a server, digested as they pass, perhaps on to another server.
//!
//! Nothing is parsed but the framing. Rows are gathered into chunks so that the target gets few, large messages; the
//! memory in use is a few chunks per worker, whatever the table's size (one row must fit into memory).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::digest::RowDigest;
use common::progress::Progress;
use common::tasks;
use futures::SinkExt as _;
use tokio_util::sync::CancellationToken;

use crate::connect::Session;
use crate::error::{Error, Result};
use crate::floats::Spelling;
use crate::rows::{RowError, RowFinder, contents};
use crate::segment::Format;

/// Rows are handed on in chunks of about this many bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// The action in errors of the reading side.
const READ: &str = "read rows";
/// Nothing moving for so long means that something is stuck: a lock, a dead peer, a full disk that does not say so.
const IDLE_MAX: Duration = Duration::from_mins(10);
/// How often that is looked at.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What surrounds a stream: how it is stopped and shown.
#[derive(Clone)]
pub struct Surroundings {
    /// Where bytes are counted for the display.
    pub progress: Progress,
    /// Ends the stream early.
    pub stop: CancellationToken,
}

/// One side of a stream: a session and the COPY statement that it runs.
pub struct End {
    /// The session; its transaction, if there is one, stays open.
    pub session: Arc<Session>,
    /// `COPY … TO STDOUT` or `COPY … FROM STDIN`.
    pub statement: String,
}

/// Reads rows and digests them, in a task of its own.
pub async fn digest(from: End, format: Format, spelling: Spelling, around: Surroundings) -> Result<RowDigest> {
    let take = move |digest: &mut RowDigest, row: &[u8]| digest.add_row(&spelling.of_row(row));
    collect(from, format, around, RowDigest::EMPTY, take).await
}

/// Reads rows into `collected`, one call of `take` for each, in a task of its own.
pub async fn collect<T: Send + 'static>(
    from: End,
    format: Format,
    around: Surroundings,
    collected: T,
    take: impl Fn(&mut T, &[u8]) + Send + Sync + 'static,
) -> Result<T> {
    tasks::apart(async move { collect_here(&from, format, &around, collected, take).await }).await?
}

/// Copies rows from one end to the other, digesting them as they pass, in a task of its own.
///
/// The caller commits. The target must have taken as many rows as the source gave.
pub async fn copy(from: End, to: End, format: Format, spelling: Spelling, around: Surroundings) -> Result<RowDigest> {
    tasks::apart(async move { copy_here(&from, &to, format, &spelling, &around).await }).await?
}

async fn collect_here<T>(
    from: &End,
    format: Format,
    around: &Surroundings,
    mut collected: T,
    take: impl Fn(&mut T, &[u8]),
) -> Result<T> {
    let moved = Moved::default();
    let work = async {
        let mut stream = from.session.copy_out(READ, &from.statement).await?;
        let mut finder = RowFinder::new(format);
        let mut rows = 0;
        while let Some(piece) = stream.next().await? {
            let mut bytes = 0;
            for message in contents(&piece) {
                if let Some(row) = finder.row(message).map_err(defect)? {
                    take(&mut collected, row);
                    rows += 1;
                }
                bytes += message.len();
            }
            moved.add(bytes, &around.progress);
        }
        stream.check(rows)?;
        Ok(collected)
    };
    supervise(READ, &moved, &around.stop, work).await
}

async fn copy_here(
    from: &End,
    to: &End,
    format: Format,
    spelling: &Spelling,
    around: &Surroundings,
) -> Result<RowDigest> {
    let (source, target) = (&from.session, &to.session);
    let moved = Moved::default();
    let refused = |error| target.failed("write rows", error);
    let work = async {
        let (mut stream, sink) = tokio::try_join!(source.copy_out(READ, &from.statement), async {
            target.copy_in::<_, Bytes>(&to.statement).await.map_err(refused)
        })?;
        let mut sink = pin!(sink);
        let mut digest = RowDigest::EMPTY;
        let mut finder = RowFinder::new(format);
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        while let Some(piece) = stream.next().await? {
            let mut bytes = 0;
            for message in contents(&piece) {
                bytes += message.len();
                if let Some(row) = finder.row(message).map_err(defect)? {
                    digest.add_row(&spelling.of_row(row));
                }
                if chunk.len() + message.len() > CHUNK_BYTES && !chunk.is_empty() {
                    sink.send(chunk.split().freeze()).await.map_err(refused)?;
                    chunk.reserve(CHUNK_BYTES);
                }
                if message.len() >= CHUNK_BYTES {
                    // A giant goes on as it is: no second copy of it in memory.
                    sink.send(piece.slice_ref(message)).await.map_err(refused)?;
                } else {
                    chunk.extend_from_slice(message);
                }
            }
            moved.add(bytes, &around.progress);
        }
        stream.check(digest.rows)?;
        if !chunk.is_empty() {
            sink.send(chunk.freeze()).await.map_err(refused)?;
        }
        let written = sink.finish().await.map_err(refused)?;
        if written != digest.rows {
            return Err(Error::Defect(format!("{} rows were read, but the target took {written}", digest.rows)));
        }
        Ok(digest)
    };
    supervise("copy rows", &moved, &around.stop, work).await
}

fn defect(error: RowError) -> Error {
    Error::Defect(error.to_string())
}

/// Runs `work` until it ends, is stopped, or has moved nothing for [`IDLE_MAX`].
async fn supervise<T>(
    action: &str,
    moved: &Moved,
    stop: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let stalled = async {
        let (mut last, mut idle) = (moved.bytes(), Duration::ZERO);
        while idle < IDLE_MAX {
            tokio::time::sleep(IDLE_CHECK_INTERVAL).await;
            let now = moved.bytes();
            idle = if now == last { idle + IDLE_CHECK_INTERVAL } else { Duration::ZERO };
            last = now;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::Cancelled),
        outcome = work => outcome,
        () = stalled => Err(Error::Stalled { action: action.into(), idle: IDLE_MAX }),
    }
}

/// Counts bytes for the watchdog and the display.
#[derive(Default)]
struct Moved(AtomicU64);

impl Moved {
    fn add(&self, bytes: usize, progress: &Progress) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
        progress.add_bytes(bytes as u64);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
