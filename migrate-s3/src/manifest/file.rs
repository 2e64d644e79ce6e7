//! The files of a list, read line by line: from this machine or a bucket, gzipped or not.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::aws::SideOptions;
use common::location::BucketUrl;
use flate2::write::MultiGzDecoder;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::Place;
use super::row::{BATCH, Column, schema};
use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::key::Key;
use crate::listing::Entry;
use crate::read::{Wanted, read};
use crate::store::{Side, Store};

/// What is read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// What is unpacked at a time: gzip may make a thousand times as much of it.
const PACKED_BYTES: usize = 4 << 10;

/// No line is longer: a key of 1,024 bytes, every one of them encoded, and the other columns.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A `manifest.json` is short: a line for each of its files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// The files to be read and what is in them.
pub(super) struct Plan {
    pub(super) files: Vec<File>,
    pub(super) schema: Vec<Column>,
    /// When the inventory was made.
    pub(super) made_at: Option<Timestamp>,
}

/// A file of a list.
pub(super) struct File {
    at: At,
    is_packed: bool,
    /// As hexadecimal digits.
    md5: Option<String>,
}

enum At {
    Disk(PathBuf),
    Bucket { store: Store, entry: Box<Entry> },
}

/// S3 Inventory's `manifest.json`, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inventory {
    source_bucket: String,
    destination_bucket: String,
    file_format: String,
    file_schema: String,
    /// Milliseconds since 1970, as text.
    creation_timestamp: Option<String>,
    files: Vec<InventoryFile>,
}

#[derive(Deserialize)]
struct InventoryFile {
    key: String,
    #[serde(rename = "MD5checksum")]
    md5: Option<String>,
}

impl Plan {
    pub(super) async fn open(
        place: &Place,
        side: &SideOptions,
        source: &BucketUrl,
        errand: &Errand,
    ) -> Result<Self, Error> {
        let name = place.to_string();
        let first = match place {
            Place::File(path) => File::new(At::Disk(path.clone()), &name, None),
            Place::Object { bucket, key } => File::new(object(bucket, key, side, errand).await?, &name, None),
        };
        let wrong = |what: String| Error::Manifest { place: name.clone(), what };
        if let Some(other) = ["parquet", "orc"].into_iter().find(|other| has_extension(&name, other)) {
            return Err(wrong(format!("it is {}, and only CSV is understood", other.to_uppercase())));
        }
        if !has_extension(&name, "json") {
            return Ok(Self { files: vec![first], schema: BATCH.to_vec(), made_at: None });
        }
        let text = first.whole(&name, errand).await?;
        let inventory: Inventory = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("it is no inventory's manifest.json: {error}")))?;
        if inventory.source_bucket != source.bucket {
            return Err(wrong(format!(
                "it lists the bucket {}, and the source is {}",
                inventory.source_bucket, source.bucket
            )));
        }
        if inventory.file_format != "CSV" {
            return Err(wrong(format!("its files are {}, and only CSV is understood", inventory.file_format)));
        }
        let mut files = Vec::new();
        for InventoryFile { key, md5 } in inventory.files {
            let at = match place {
                Place::File(path) => {
                    At::Disk(beside(path, &key).ok_or_else(|| wrong(format!("its file {key} is not there")))?)
                }
                Place::Object { .. } => {
                    let bucket = inventory.destination_bucket.trim_start_matches("arn:aws:s3:::");
                    object(bucket, &key, side, errand).await?
                }
            };
            files.push(File::new(at, &key, md5));
        }
        let made_at =
            inventory.creation_timestamp.and_then(|text| Timestamp::from_millisecond(text.parse().ok()?).ok());
        Ok(Self { files, schema: schema(&inventory.file_schema), made_at })
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|other| other.eq_ignore_ascii_case(extension))
}

/// Where a file of the inventory is that was fetched together with its `manifest.json`.
fn beside(manifest: &Path, key: &str) -> Option<PathBuf> {
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let name = Path::new(key).file_name()?;
    let places =
        [folder.join(key), folder.join(name), folder.join("data").join(name), folder.join("../data").join(name)];
    places.into_iter().find(|place| place.is_file())
}

async fn object(bucket: &str, key: &str, side: &SideOptions, errand: &Errand) -> Result<At, Error> {
    let url = BucketUrl { bucket: bucket.into(), prefix: String::new() };
    let store = Store::new(Side::Target, url, side.clone()).await?;
    let key = Key::from(key);
    let head = head::ask(&store, &key, None, errand).await?;
    let entry = Entry {
        key,
        size: head.size,
        etag: head.etag,
        last_modified: head.last_modified,
        storage_class: None,
        version: None,
    };
    Ok(At::Bucket { store, entry: Box::new(entry) })
}

impl File {
    fn new(at: At, name: &str, md5: Option<String>) -> Self {
        Self { at, is_packed: has_extension(name, "gz"), md5 }
    }

    async fn whole(&self, name: &str, errand: &Errand) -> Result<Vec<u8>, Error> {
        let mut pieces = Pieces::open(self, errand).await?;
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await? {
            text.extend_from_slice(&piece);
            if text.len() as u64 > MANIFEST_BYTES_MAX {
                return Err(Error::Manifest { place: name.into(), what: "it is too long".into() });
            }
        }
        Ok(text)
    }
}

/// A file's bytes, piece by piece.
struct Pieces<'a> {
    name: String,
    errand: &'a Errand,
    from: From<'a>,
}

enum From<'a> {
    Disk(tokio::fs::File),
    Bucket { store: &'a Store, entry: &'a Entry, offset: u64 },
}

impl<'a> Pieces<'a> {
    async fn open(file: &'a File, errand: &'a Errand) -> Result<Self, Error> {
        Ok(match &file.at {
            At::Disk(path) => {
                let name = path.display().to_string();
                let opened = tokio::fs::File::open(path).await;
                let opened =
                    opened.map_err(|error| Error::Manifest { place: name.clone(), what: error.to_string() })?;
                Self { name, errand, from: From::Disk(opened) }
            }
            At::Bucket { store, entry } => Self {
                name: format!("{}{}", store.url(), entry.key),
                errand,
                from: From::Bucket { store, entry, offset: 0 },
            },
        })
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut piece = Vec::new();
        match &mut self.from {
            From::Disk(file) => {
                let outcome = file.take(PIECE_BYTES).read_to_end(&mut piece).await;
                outcome.map_err(|error| Error::Manifest { place: self.name.clone(), what: error.to_string() })?;
            }
            From::Bucket { store, entry, offset } => {
                let range = *offset..entry.size.min(*offset + PIECE_BYTES);
                if !range.is_empty() {
                    *offset = range.end;
                    read(store, Wanted::of(entry), range, self.errand, &mut |chunk: &[u8]| {
                        piece.extend_from_slice(chunk);
                    })
                    .await?;
                }
            }
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// A file's lines.
pub(super) struct Lines<'a> {
    pieces: Pieces<'a>,
    /// What was read and not unpacked yet.
    packed: Vec<u8>,
    unpack: Option<MultiGzDecoder<Vec<u8>>>,
    /// What was unpacked and not given out yet, from `begin` on.
    text: Vec<u8>,
    begin: usize,
    number: u64,
    md5: Md5,
    expected: Option<&'a str>,
    has_ended: bool,
}

impl<'a> Lines<'a> {
    pub(super) async fn open(file: &'a File, errand: &'a Errand) -> Result<Self, Error> {
        Ok(Self {
            pieces: Pieces::open(file, errand).await?,
            packed: Vec::new(),
            unpack: file.is_packed.then(|| MultiGzDecoder::new(Vec::new())),
            text: Vec::new(),
            begin: 0,
            number: 0,
            md5: Md5::new(),
            expected: file.md5.as_deref(),
            has_ended: false,
        })
    }

    /// The next line that is not empty; `None` at the end, when the file is proved to be whole.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            let rest = &self.text[self.begin..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = match end {
                Some(end) => &rest[..end],
                None if self.has_ended && rest.is_empty() => return Ok(None),
                None if self.has_ended => rest,
                None if rest.len() > LINE_BYTES_MAX => return Err(self.wrong("a line that is too long")),
                None => {
                    self.fill().await?;
                    continue;
                }
            };
            let line = String::from_utf8(line.to_vec());
            self.begin += end.map_or(rest.len(), |end| end + 1);
            self.number += 1;
            match line {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => return Ok(Some(line)),
                Err(_) => return Err(self.wrong("bytes that are not UTF-8")),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.text.drain(..self.begin);
        self.begin = 0;
        if self.packed.is_empty() {
            let Some(piece) = self.pieces.next().await? else { return self.end() };
            self.md5.update(&piece);
            self.packed = piece;
        }
        let Some(unpack) = &mut self.unpack else {
            self.text.append(&mut self.packed);
            return Ok(());
        };
        let next: Vec<u8> = self.packed.drain(..self.packed.len().min(PACKED_BYTES)).collect();
        let outcome = unpack.write_all(&next);
        self.text.append(unpack.get_mut());
        outcome.map_err(|error| self.wrong(&format!("gzip that cannot be unpacked ({error})")))
    }

    fn end(&mut self) -> Result<(), Error> {
        self.has_ended = true;
        if let Some(mut unpack) = self.unpack.take() {
            let outcome = unpack.try_finish();
            self.text.append(unpack.get_mut());
            outcome.map_err(|error| self.wrong(&format!("gzip that breaks off ({error})")))?;
        }
        let md5 = hex::encode(std::mem::take(&mut self.md5).finalize());
        match self.expected {
            Some(expected) if !expected.eq_ignore_ascii_case(&md5) => Err(Error::Manifest {
                place: self.pieces.name.clone(),
                what: "its MD5 is not the one in manifest.json".into(),
            }),
            _ => Ok(()),
        }
    }

    /// The error about the line that was given out last.
    pub(super) fn wrong(&self, what: &str) -> Error {
        Error::Manifest { place: self.pieces.name.clone(), what: format!("line {} holds {what}", self.number.max(1)) }
    }
}
