//! Where the journal is kept: a file in a directory, or a row of objects under an `s3://` prefix.
//!
//! Lines are written in small batches, at the latest after [`FLUSH_INTERVAL`]; what a crash loses is looked at again.
//! One run at a time: a file is locked by the kernel, a prefix by an object (`lock`). Called by `run`.

mod lock;

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use common::location::{BucketUrl, Location};
use jiff::Timestamp;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader};

use crate::config::{Leg, Place};
use crate::digest;
use crate::errand::Errand;
use crate::error::Error;
use crate::journal::Memory;
use crate::key::Key;
use crate::listing::{self, From};
use crate::read::{Wanted, read};
use crate::shard::Shard;
use crate::store::{Side, Store};
use lock::Lock;

/// Lines wait no longer than this to be written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Lines are written at the latest when they are this long together.
const FLUSH_BYTES: usize = 256 << 10;

/// No line is longer: a key has 1,024 bytes at most.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// An open journal.
#[derive(Debug)]
pub struct State {
    place: String,
    keeper: Keeper,
    buffer: Vec<u8>,
    flushed_at: Instant,
}

#[derive(Debug)]
enum Keeper {
    File(File),
    Bucket { store: Store, run: String, segment: u32, lock: Lock },
}

impl State {
    /// Opens the journal of `leg` at `location`, makes it if it is not there, and reads what it knows.
    pub async fn open(
        location: &Location,
        leg: &Leg,
        shard: Option<Shard>,
        errand: &Errand,
    ) -> Result<(Self, Memory), Error> {
        let mut memory = Memory::default();
        let (place, keeper, torn_count) = match location {
            Location::Directory(directory) => {
                let path = directory.join(format!("{}.jsonl", name(leg, shard)));
                let unusable = |error: std::io::Error| unusable(&path.display().to_string(), &error);
                let mut file = lock_file(open_file(&path).await.map_err(unusable)?, &path).await?;
                let torn_count = read_file(&mut file, &mut memory).await.map_err(unusable)?;
                (path.display().to_string(), Keeper::File(file), torn_count)
            }
            Location::S3(url) => {
                let store = bucket_store(url, leg, shard).await?;
                let lock = Lock::take(&store, errand).await?;
                let torn_count = read_bucket(&store, &mut memory, errand).await?;
                let run = format!("{:013}", Timestamp::now().as_millisecond());
                (store.place(), Keeper::Bucket { store, run, segment: 0, lock }, torn_count)
            }
        };
        tracing::info!(journal = %place, known = memory.len(), torn_count, "journal read");
        Ok((Self { place, keeper, buffer: Vec::new(), flushed_at: Instant::now() }, memory))
    }

    /// Reads what the journal of `leg` at `location` knows, and makes nothing.
    pub async fn peek(location: &Location, leg: &Leg, shard: Option<Shard>, errand: &Errand) -> Result<Memory, Error> {
        let mut memory = Memory::default();
        match location {
            Location::Directory(directory) => {
                let path = directory.join(format!("{}.jsonl", name(leg, shard)));
                match File::open(&path).await {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    file => {
                        let read = async { read_lines(&mut file?, &mut memory).await };
                        read.await.map_err(|error| unusable(&path.display().to_string(), &error))?;
                    }
                }
            }
            Location::S3(url) => {
                read_bucket(&bucket_store(url, leg, shard).await?, &mut memory, errand).await?;
            }
        }
        Ok(memory)
    }

    /// Adds `line`, which ends with a newline.
    pub async fn append(&mut self, line: &str, errand: &Errand) -> Result<(), Error> {
        if let Keeper::Bucket { lock, .. } = &self.keeper {
            lock.check()?;
        }
        self.buffer.extend_from_slice(line.as_bytes());
        if self.buffer.len() >= FLUSH_BYTES || self.flushed_at.elapsed() >= FLUSH_INTERVAL {
            self.flush(errand).await?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub async fn flush(&mut self, errand: &Errand) -> Result<(), Error> {
        self.flushed_at = Instant::now();
        if self.buffer.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.buffer);
        match &mut self.keeper {
            Keeper::File(file) => {
                let written = async {
                    file.write_all(&lines).await?;
                    file.flush().await
                };
                written.await.map_err(|error| Error::State {
                    location: self.place.clone(),
                    what: error.to_string(),
                    at_start: false,
                })
            }
            Keeper::Bucket { store, run, segment, .. } => {
                *segment += 1;
                let key = Key::from(format!("{run}-{segment:06}.jsonl").as_str());
                let (full_key, body) = (store.full_key(&key)?, bytes::Bytes::from(lines));
                let put = store.call("PutObject", Some(&key), errand, || {
                    let body = ByteStream::from(body.clone());
                    store.client().put_object().bucket(store.bucket()).key(&full_key).body(body).send()
                });
                put.await.map(drop)
            }
        }
    }

    /// Writes what waits and lets another run have the journal.
    pub async fn close(&mut self, errand: &Errand) -> Result<(), Error> {
        let flushed = self.flush(errand).await;
        if let Keeper::Bucket { lock, .. } = &mut self.keeper {
            lock.release(errand).await;
        }
        flushed
    }
}

fn unusable(location: &str, error: &std::io::Error) -> Error {
    Error::State { location: location.into(), what: error.to_string(), at_start: true }
}

/// One journal per pair of places: two migrations may share a `--state`.
fn name(leg: &Leg, shard: Option<Shard>) -> String {
    let place = |place: &Place| format!("{}{}", place.options.endpoint_url.as_deref().unwrap_or_default(), place.url);
    let text = format!("{} {}", place(&leg.source), place(&leg.target));
    let suffix = shard.map(|shard| format!("-{}", shard.name())).unwrap_or_default();
    format!("journal-{}{suffix}", hex::encode(&digest::sha256(text.as_bytes())[..8]))
}

/// Where the journal's segments are. Reached like the target: the state is on our side, never in someone else's bucket.
async fn bucket_store(url: &BucketUrl, leg: &Leg, shard: Option<Shard>) -> Result<Store, Error> {
    let url = BucketUrl { bucket: url.bucket.clone(), prefix: format!("{}{}/", url.prefix, name(leg, shard)) };
    Ok(Store::new(Side::Target, url, leg.target.options.clone()).await?)
}

async fn open_file(path: &PathBuf) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        tokio::fs::create_dir_all(directory).await?;
    }
    OpenOptions::new().read(true).append(true).create(true).open(path).await
}

/// The kernel's lock on `file`, which ends with the process, however that ends.
async fn lock_file(file: File, path: &Path) -> Result<File, Error> {
    let file = file.into_std().await;
    let place = path.display().to_string();
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(lock::in_use(&place)),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            tracing::warn!("{place} cannot be locked: a second run on this state would not be noticed");
        }
        Err(TryLockError::Error(error)) => return Err(unusable(&place, &error)),
    }
    Ok(File::from_std(file))
}

/// Reads `file` and makes it ready for appending. A last line without its newline was torn by a crash: a newline is put
/// after it, so that the next one begins a line of its own.
async fn read_file(file: &mut File, memory: &mut Memory) -> std::io::Result<u64> {
    let lines = read_lines(file, memory).await?;
    file.seek(std::io::SeekFrom::End(0)).await?;
    if !lines.is_last_whole {
        file.write_all(b"\n").await?;
    }
    Ok(lines.torn_count)
}

struct Lines {
    torn_count: u64,
    is_last_whole: bool,
}

async fn read_lines(file: &mut File, memory: &mut Memory) -> std::io::Result<Lines> {
    let mut lines = Lines { torn_count: 0, is_last_whole: true };
    let (mut line, mut reader) = (Vec::new(), BufReader::new(file));
    loop {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Ok(lines);
        }
        lines.is_last_whole = line.ends_with(b"\n");
        lines.torn_count += memory.read(&line);
    }
}

async fn read_bucket(store: &Store, memory: &mut Memory, errand: &Errand) -> Result<u64, Error> {
    let (mut from, mut torn_count) = (From::Start, 0);
    loop {
        let page = listing::fetch(store, &from, None, errand).await?;
        for entry in page.entries.iter().filter(|entry| entry.key.as_bytes() != lock::KEY.as_bytes()) {
            // A segment has at most FLUSH_BYTES and a line.
            let mut text = Vec::new();
            let wanted = Wanted::of(entry);
            read(store, wanted, 0..entry.size, errand, &mut |chunk: &[u8]| text.extend_from_slice(chunk)).await?;
            torn_count += memory.read(&text);
        }
        match page.next() {
            Some(next) => from = next,
            None => return Ok(torn_count),
        }
    }
}
