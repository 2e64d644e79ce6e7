//! The inner loop: rows from a server, digested as they pass, perhaps on to another server.
//!
//! Nothing is parsed but the framing. Rows are gathered into chunks so that the target gets few, large messages, and those that
//! are larger than a chunk pass in parts: the memory in use is a few chunks per worker, whatever the size of tables and rows.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::digest::{RowDigest, RowHasher};
use common::progress::Progress;
use common::tasks;
use futures::SinkExt as _;
use tokio_util::sync::CancellationToken;

use crate::connect::Session;
use crate::error::{Error, Result};
use crate::floats::Spelling;
use crate::rows::{Piece, RowError, RowFinder, contents};
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
    let digester = Digester::new(format, spelling);
    Ok(tasks::apart(async move { take_here(&from, &around, digester).await }).await??.digest)
}

/// Reads rows into `collected`, one call of `take` for each, in a task of its own. The largest row must fit into memory.
pub async fn collect<T: Send + 'static>(
    from: End,
    format: Format,
    around: Surroundings,
    collected: T,
    take: impl Fn(&mut T, &[u8]) + Send + Sync + 'static,
) -> Result<T> {
    let collector = Collector { finder: RowFinder::new(format), collected, take, rows: 0, parts: Vec::new() };
    Ok(tasks::apart(async move { take_here(&from, &around, collector).await }).await??.collected)
}

/// Copies rows from one end to the other, digesting them as they pass, in a task of its own.
///
/// The caller commits. The target must have taken as many rows as the source gave.
pub async fn copy(from: End, to: End, format: Format, spelling: Spelling, around: Surroundings) -> Result<RowDigest> {
    tasks::apart(async move { copy_here(&from, &to, Digester::new(format, spelling), &around).await }).await?
}

/// Whoever takes the rows of a stream.
trait Taker {
    /// What one message holds.
    fn message(&mut self, message: &[u8]) -> Result<(), RowError>;

    /// The next part of what one message holds.
    fn part(&mut self, part: &[u8], is_last: bool) -> Result<(), RowError>;

    /// Rows taken so far.
    fn rows(&self) -> u64;
}

/// Digests rows.
struct Digester {
    finder: RowFinder,
    spelling: Spelling,
    digest: RowDigest,
    /// The row that is coming in parts.
    giant: Option<Giant>,
}

/// A row that comes in parts.
enum Giant {
    /// Hashed as it comes.
    Hashed(Box<RowHasher>),
    /// One that is digested in another spelling has to be seen as a whole.
    Gathered(Vec<u8>),
}

impl Digester {
    fn new(format: Format, spelling: Spelling) -> Self {
        Self { finder: RowFinder::new(format), spelling, digest: RowDigest::EMPTY, giant: None }
    }
}

impl Taker for Digester {
    #[inline]
    fn message(&mut self, message: &[u8]) -> Result<(), RowError> {
        if let Some(row) = self.finder.row(message)? {
            self.digest.add_row(&self.spelling.of_row(row));
        }
        Ok(())
    }

    fn part(&mut self, part: &[u8], is_last: bool) -> Result<(), RowError> {
        let (mut giant, part) = match self.giant.take() {
            Some(giant) => (giant, part),
            None if self.spelling.is_as_sent() => (Giant::Hashed(Box::default()), self.finder.beginning(part)?),
            None => (Giant::Gathered(Vec::new()), self.finder.beginning(part)?),
        };
        match &mut giant {
            Giant::Hashed(hasher) => hasher.update(part),
            Giant::Gathered(row) => row.extend_from_slice(part),
        }
        match giant {
            giant if !is_last => self.giant = Some(giant),
            Giant::Hashed(hasher) => self.digest.add_hashed(&hasher),
            Giant::Gathered(row) => self.digest.add_row(&self.spelling.of_row(&row)),
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.digest.rows
    }
}

/// Hands rows on, each as a whole.
struct Collector<T, F> {
    finder: RowFinder,
    collected: T,
    take: F,
    rows: u64,
    /// The parts of the row that is coming in parts.
    parts: Vec<u8>,
}

impl<T, F: Fn(&mut T, &[u8])> Taker for Collector<T, F> {
    fn message(&mut self, message: &[u8]) -> Result<(), RowError> {
        if let Some(row) = self.finder.row(message)? {
            (self.take)(&mut self.collected, row);
            self.rows += 1;
        }
        Ok(())
    }

    fn part(&mut self, part: &[u8], is_last: bool) -> Result<(), RowError> {
        self.parts.extend_from_slice(part);
        if is_last {
            let message = std::mem::take(&mut self.parts);
            self.message(&message)?;
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.rows
    }
}

async fn take_here<T: Taker>(from: &End, around: &Surroundings, mut taker: T) -> Result<T> {
    let moved = Moved::default();
    let work = async {
        let mut stream = from.session.copy_out(READ, &from.statement).await?;
        while let Some(piece) = stream.next().await? {
            let mut bytes = 0;
            match piece {
                Piece::Whole(piece) => {
                    for message in contents(&piece) {
                        taker.message(message).map_err(defect)?;
                        bytes += message.len();
                    }
                }
                Piece::Part { bytes: part, is_last } => {
                    taker.part(&part, is_last).map_err(defect)?;
                    bytes += part.len();
                }
            }
            moved.add(bytes, &around.progress);
        }
        stream.check(taker.rows())?;
        Ok(taker)
    };
    supervise(READ, &moved, &around.stop, work).await
}

async fn copy_here(from: &End, to: &End, mut digester: Digester, around: &Surroundings) -> Result<RowDigest> {
    let (source, target) = (&from.session, &to.session);
    let moved = Moved::default();
    let refused = |error| target.failed("write rows", error);
    let work = async {
        let (mut stream, sink) = tokio::try_join!(source.copy_out(READ, &from.statement), async {
            target.copy_in::<_, Bytes>(&to.statement).await.map_err(refused)
        })?;
        let mut sink = pin!(sink);
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        while let Some(piece) = stream.next().await? {
            let mut bytes = 0;
            match piece {
                Piece::Whole(piece) => {
                    for message in contents(&piece) {
                        bytes += message.len();
                        digester.message(message).map_err(defect)?;
                        if chunk.len() + message.len() > CHUNK_BYTES && !chunk.is_empty() {
                            sink.send(chunk.split().freeze()).await.map_err(refused)?;
                            chunk.reserve(CHUNK_BYTES);
                        }
                        chunk.extend_from_slice(message);
                    }
                }
                // Where messages begin and end means nothing to the target.
                Piece::Part { bytes: part, is_last } => {
                    bytes += part.len();
                    digester.part(&part, is_last).map_err(defect)?;
                    if !chunk.is_empty() {
                        sink.send(chunk.split().freeze()).await.map_err(refused)?;
                    }
                    sink.send(part).await.map_err(refused)?;
                }
            }
            moved.add(bytes, &around.progress);
        }
        stream.check(digester.rows())?;
        if !chunk.is_empty() {
            sink.send(chunk.freeze()).await.map_err(refused)?;
        }
        let written = sink.finish().await.map_err(refused)?;
        if written != digester.rows() {
            return Err(Error::Defect(format!("{} rows were read, but the target took {written}", digester.rows())));
        }
        Ok(digester.digest)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::types::Floats;
    use crate::catalog::{Column, ColumnType, ServerVersion, Table};

    /// A message of 300 kB: a row, after the header that a binary stream begins with.
    fn message(format: Format) -> Vec<u8> {
        let header: &[u8] = if format == Format::Binary { b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0" } else { b"" };
        let row = (0..300_000_u32).map(|number| b"0.123456789\t"[(number % 12) as usize]);
        header.iter().copied().chain(row).collect()
    }

    #[test]
    fn a_row_is_the_same_in_parts_and_as_a_whole() {
        let column_type = ColumnType { name: "real".into(), text_reason: None, floats: Floats::Single, text_cost: 0 };
        let column = Column { name: "a".into(), column_type };
        let table = Table { columns: vec![column; 4], ..Table::default() };
        let spelled = Spelling::of(&table, Format::Text, ServerVersion(100_000));
        assert!(!spelled.is_as_sent());
        for (format, spelling) in
            [(Format::Binary, Spelling::default()), (Format::Text, Spelling::default()), (Format::Text, spelled)]
        {
            let message = message(format);
            let (mut whole, mut parted) = (Digester::new(format, spelling.clone()), Digester::new(format, spelling));
            whole.message(&message).unwrap();
            let parts: Vec<&[u8]> = message.chunks(70_001).collect();
            for (number, part) in parts.iter().enumerate() {
                parted.part(part, number + 1 == parts.len()).unwrap();
            }
            assert_eq!(whole.digest, parted.digest);
            assert_eq!(parted.rows(), 1);
            // AND the next row is one of its own.
            whole.message(b"next").unwrap();
            parted.message(b"next").unwrap();
            assert_eq!(whole.digest, parted.digest);
        }
    }
}
