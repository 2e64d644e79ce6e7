//! Large objects: content and comments, under the numbers that they had, in batches and in pieces of bounded size.
//!
//! `pg_largeobject` itself is the superuser's; `lo_get` and `lo_from_bytea` are everybody's. A batch is one transaction on
//! the target that first removes what an earlier start left of it, so it may be run again. Read back and digested like
//! rows. Called by `run`.

use std::time::Instant;

use bytes::Bytes;
use common::digest::RowDigest;
use common::error::{Class, OperatorError as _, sentence};
use common::finding::{Finding, FindingKind};
use common::units;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use xxhash_rust::xxh3::xxh3_128;

use crate::connect::{Pool, Session};
use crate::context::Context;
use crate::error::{Error, Result, Side};
use crate::snapshot::lost_snapshot;
use crate::{rights, sql};

/// What they are called in the report and in findings.
pub const ITEM: &str = "large objects";
/// Bytes of an object that are read and written at once. A multiple of the 2 kB pages in which servers store them.
const PIECE_BYTES: i32 = 256 * 1024;
/// Small objects written by one statement: enough that the round trip does not count.
const WRITE_BYTES: usize = 4 << 20;
/// Objects of one transaction. Each holds a lock until its end, and a server has 6,400 by default for all sessions.
const BATCH_COUNT: usize = 400;
/// Numbers listed at once.
const PAGE_COUNT: usize = 20_000;

/// What is known of all large objects after a copy or a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// Number, bytes and content on the source.
    pub source: RowDigest,
    /// The same on the target.
    pub target: RowDigest,
    /// Whether this run copied them.
    pub copied: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Brings all large objects over and reads them back. With `again`, an earlier start may have left some on the target.
pub(crate) async fn migrate(context: &Context, control: &Session, again: bool) -> Result<Option<Record>> {
    let outcome = async {
        if again {
            remove_all(control).await?;
        }
        copy(context).await
    };
    recorded(context, outcome.await)
}

/// Compares all large objects, reading both sides.
pub(crate) async fn compare(context: &Context) -> Result<Option<Record>> {
    recorded(context, compare_all(context).await)
}

/// Compares, and copies all of them again if they differ.
pub(crate) async fn repair(context: &Context, control: &Session) -> Result<Option<Record>> {
    match compare(context).await? {
        Some(record) if record.source != record.target => {
            context.recorder.withdraw(|finding| finding.item == ITEM);
            migrate(context, control, true).await
        }
        record => Ok(record),
    }
}

/// What cannot be read or written is a finding, not the end of the run.
fn recorded(context: &Context, outcome: Result<Record>) -> Result<Option<Record>> {
    match outcome {
        Ok(record) => Ok(Some(record)),
        Err(error @ Error::Statement { .. }) if error.class() == Class::Permanent => {
            context.recorder.finding(Finding::new(FindingKind::Error, ITEM, "content", sentence(&error)));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn copy(context: &Context) -> Result<Record> {
    let started = Instant::now();
    let source = for_each_batch(context, &context.readers, |batch| copy_batch(context, batch)).await?;
    let target = digest(context, &context.builders).await?;
    context.recorder.span("run", "copy", ITEM, started);
    Ok(concluded(context, source, target, true, started))
}

async fn compare_all(context: &Context) -> Result<Record> {
    let started = Instant::now();
    let (source, target) = tokio::try_join!(digest(context, &context.readers), digest(context, &context.builders))?;
    context.recorder.span("run", "verify", ITEM, started);
    Ok(concluded(context, source, target, false, started))
}

/// Removes every large object of the database.
pub async fn remove_all(session: &Session) -> Result<()> {
    let statement = "SELECT count(lo_unlink(oid)) FROM (SELECT oid FROM pg_largeobject_metadata LIMIT 1000) AS few";
    while session.value::<i64>("remove large objects", statement, &[]).await? > 0 {}
    Ok(())
}

fn concluded(context: &Context, source: RowDigest, target: RowDigest, copied: bool, started: Instant) -> Record {
    if source != target {
        let detail = if (source.rows, source.bytes) == (target.rows, target.bytes) {
            format!("{} on both sides, but their content or comments differ", units::count(source.rows))
        } else {
            format!(
                "{} ({}) on the source, {} ({}) on the target",
                units::count(source.rows),
                units::bytes(source.bytes),
                units::count(target.rows),
                units::bytes(target.bytes)
            )
        };
        context.recorder.finding(Finding::new(FindingKind::Differs, ITEM, "content", detail));
    }
    Record { source, target, copied, seconds: started.elapsed().as_secs_f64() }
}

async fn digest(context: &Context, pool: &Pool) -> Result<RowDigest> {
    for_each_batch(context, pool, |batch| async move {
        let batch = &batch;
        let digest =
            context.with_session(pool, async |session, _| read_batch(session, batch, async |_, _, _| Ok(())).await);
        digest.await.map_err(lost_snapshot)
    })
    .await
}

/// Lists the numbers that `pool`'s side has, page by page, and does `work` for batches of them, several at a time.
async fn for_each_batch<F>(context: &Context, pool: &Pool, work: impl Fn(Vec<u32>) -> F) -> Result<RowDigest>
where
    F: Future<Output = Result<RowDigest>>,
{
    const STATEMENT: &str = "SELECT oid FROM pg_largeobject_metadata WHERE oid > $1 ORDER BY oid LIMIT $2";
    let (work, mut total, mut last) = (&work, RowDigest::EMPTY, 0_u32);
    loop {
        let limit = i64::try_from(PAGE_COUNT).unwrap_or(i64::MAX);
        let page: Vec<u32> = context
            .with_session(pool, async |session, _| {
                let rows = session.query("list large objects", STATEMENT, &[&last, &limit]).await?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            })
            .await
            .map_err(lost_snapshot)?;
        let Some(end) = page.last() else { return Ok(total) };
        last = *end;
        total += stream::iter(page.chunks(BATCH_COUNT).map(<[u32]>::to_vec))
            .map(work)
            .buffer_unordered(pool.width())
            .try_fold(RowDigest::EMPTY, async |mut sum, digest| {
                sum += digest;
                Ok(sum)
            })
            .await?;
    }
}

async fn copy_batch(context: &Context, batch: Vec<u32>) -> Result<RowDigest> {
    let batch = &batch;
    context
        .with_session(&context.readers, async |reader, _| {
            let writer = context.writers.take().await?;
            let begin = "remove what was there";
            writer.execute(begin, "BEGIN").await?;
            let unlink = "SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata WHERE oid = ANY ($1)";
            writer.query(begin, unlink, &[batch]).await?;
            let mut small = Small::default();
            let digest = read_batch(reader, batch, async |oid, offset, piece: Bytes| {
                context.progress.add_bytes(piece.len() as u64);
                if offset == 0 {
                    small.push(oid, piece);
                    if small.bytes < WRITE_BYTES { Ok(()) } else { small.write(&writer).await }
                } else {
                    small.write(&writer).await?;
                    let statement = "SELECT lo_put($1, $2, $3)";
                    writer.query("write a large object", statement, &[&oid, &offset, &&*piece]).await.map(drop)
                }
            })
            .await?;
            small.write(&writer).await?;
            let comments = comments(reader, batch).await?;
            let comment =
                |(oid, text): &(u32, String)| format!("COMMENT ON LARGE OBJECT {oid} IS {}", sql::literal(text));
            let mut statements: Vec<String> = comments.iter().map(comment).collect();
            statements.extend(rights::of_large_objects(reader, batch, context.rights).await?);
            writer.execute("write large objects", &format!("{}; COMMIT", statements.join("; "))).await?;
            writer.give_back();
            Ok(digest)
        })
        .await
        .map_err(lost_snapshot)
}

/// Beginnings of objects that wait for being written by one statement.
#[derive(Default)]
struct Small {
    oids: Vec<u32>,
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Small {
    fn push(&mut self, oid: u32, piece: Bytes) {
        self.bytes += piece.len();
        self.oids.push(oid);
        self.pieces.push(piece.into());
    }

    async fn write(&mut self, session: &Session) -> Result<()> {
        if self.oids.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(self);
        let statement =
            "SELECT count(lo_from_bytea(l.oid, l.piece)) FROM unnest($1::oid[], $2::bytea[]) AS l (oid, piece)";
        session.query("write large objects", statement, &[&waiting.oids, &waiting.pieces]).await.map(drop)
    }
}

/// Reads the objects of `batch` in order, gives every piece with its object and offset to `take`, and digests all of it,
/// comments included.
async fn read_batch(
    session: &Session,
    batch: &[u32],
    mut take: impl AsyncFnMut(u32, i64, Bytes) -> Result<()>,
) -> Result<RowDigest> {
    const ACTION: &str = "read large objects";
    let failed = |error| session.failed(ACTION, error);
    let mut digest = RowDigest::EMPTY;
    let mut large = Vec::new();
    let statement = "SELECT l.oid, lo_get(l.oid, 0, $2) FROM unnest($1::oid[]) AS l (oid)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&batch, &PIECE_BYTES];
    let mut rows = std::pin::pin!(session.query_raw(statement, parameters).await.map_err(failed)?);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let (oid, piece) = (row.get::<_, u32>(0), Bytes::copy_from_slice(row.get(1)));
        digest.rows += 1;
        add(&mut digest, oid, 0, &piece);
        if piece.len() == PIECE_BYTES.unsigned_abs() as usize {
            large.push(oid);
        }
        take(oid, 0, piece).await?;
    }
    for oid in large {
        let mut offset = i64::from(PIECE_BYTES);
        loop {
            let piece: Vec<u8> =
                session.value(ACTION, "SELECT lo_get($1, $2, $3)", &[&oid, &offset, &PIECE_BYTES]).await?;
            if piece.is_empty() {
                break;
            }
            let piece = Bytes::from(piece);
            add(&mut digest, oid, offset, &piece);
            let length = i64::try_from(piece.len()).unwrap_or(i64::MAX);
            take(oid, offset, piece).await?;
            offset += length;
        }
    }
    for (oid, text) in comments(session, batch).await? {
        add(&mut digest, oid, -1, text.as_bytes());
    }
    Ok(digest)
}

/// Adds a piece; a comment stands at offset -1 and does not count as content.
fn add(digest: &mut RowDigest, oid: u32, offset: i64, piece: &[u8]) {
    let place = [oid.to_be_bytes().as_slice(), &offset.to_be_bytes(), &xxh3_128(piece).to_be_bytes()].concat();
    digest.sum = digest.sum.wrapping_add(xxh3_128(&place));
    if offset >= 0 {
        digest.bytes += piece.len() as u64;
    }
}

async fn comments(session: &Session, batch: &[u32]) -> Result<Vec<(u32, String)>> {
    let statement = "SELECT objoid, description FROM pg_description
                     WHERE classoid = 'pg_largeobject'::regclass AND objoid = ANY ($1) ORDER BY objoid";
    let action = "read the comments on large objects";
    let rows = session.query(action, statement, &[&batch]).await?;
    // Of a database without an encoding they may be no text.
    let comment = |row: &Row| Ok((row.get(0), row.try_get(1).map_err(|error| session.failed(action, error))?));
    rows.iter().map(comment).collect()
}

/// Reads the first byte of nothing of each of them: an error of the source names the one that this role may not read.
pub(crate) async fn unreadable(session: &Session) -> Result<Option<String>> {
    const LOOKED_AT_MAX: i64 = 100_000;
    let statement = "SELECT count(lo_get(oid, 0, 0)) FROM (SELECT oid FROM pg_largeobject_metadata LIMIT $1) AS few";
    session.execute("mark the transaction", "SAVEPOINT large_objects").await?;
    let outcome = session.value::<i64>("look at the large objects", statement, &[&LOOKED_AT_MAX]).await;
    session
        .execute("go back to the mark", "ROLLBACK TO SAVEPOINT large_objects; RELEASE SAVEPOINT large_objects")
        .await?;
    match outcome {
        Ok(_) => Ok(None),
        Err(Error::Statement { side: Side::Source, source, .. })
            if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) =>
        {
            Ok(Some(source.to_string()))
        }
        Err(error) => Err(error),
    }
}
