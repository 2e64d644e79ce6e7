//! An image as a registry sees it: a manifest, and the blobs that it names, each by its digest.
//!
//! Where the bytes of a blob come from is [`Content`]: a file that was built here, or another registry.

pub mod archive;
pub mod engine;

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzEncoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::registry::failure::Failure;
use crate::registry::http::Body;
use crate::registry::{Manifest, Repository};

/// One blob: the configuration or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its length.
    pub size: u64,
    /// Where it lies in a file; `None` for one that another registry holds.
    pub place: Option<Place>,
}

/// Where a blob lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where its bytes begin.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
    /// Whether the blob is these bytes compressed with gzip, as `docker push` does with what the engine keeps unpacked.
    pub compress: bool,
}

/// Where the bytes of blobs come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file that was built here.
    File(PathBuf),
    /// A repository of another registry.
    Registry(Arc<Repository>),
}

/// A blob that is being read.
pub enum Reader {
    /// From a file. `None` while a read is under way.
    File(Option<Box<dyn Read + Send>>),
    /// From another registry.
    Registry(Body, BytesMut),
}

impl Place {
    /// Reads it from `file`.
    pub fn open(self, mut file: File) -> std::io::Result<Box<dyn Read + Send>> {
        file.seek(SeekFrom::Start(self.offset))?;
        let slice = std::io::BufReader::with_capacity(1 << 17, file).take(self.length);
        // The header of gzip gets neither name nor time, so the same bytes always give the same blob.
        Ok(if self.compress { Box::new(GzEncoder::new(slice, Compression::default())) } else { Box::new(slice) })
    }
}

impl Content {
    /// Reads `blob` from `offset` on.
    pub async fn open(&self, blob: &Blob, offset: u64) -> Result<Reader, Failure> {
        match (self, blob.place) {
            (Self::Registry(repository), _) => {
                Ok(Reader::Registry(repository.blob(&blob.digest, offset).await?, BytesMut::new()))
            }
            (Self::File(path), Some(place)) => {
                let path = path.clone();
                let opened = common::tasks::blocking(move || {
                    let mut reader = place.open(File::open(path)?)?;
                    std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink())?;
                    Ok(reader)
                });
                Ok(Reader::File(Some(unfailing(opened.await)?)))
            }
            (Self::File(_), None) => Err(Failure::Protocol(format!("nothing is known of {}", blob.digest))),
        }
    }
}

impl Reader {
    /// The next `length` bytes; fewer only at the end.
    pub async fn read(&mut self, length: usize) -> Result<Bytes, Failure> {
        match self {
            Self::Registry(body, rest) => {
                while rest.len() < length {
                    let Some(bytes) = body.next().await? else { break };
                    rest.extend_from_slice(&bytes);
                }
                Ok(rest.split_to(length.min(rest.len())).freeze())
            }
            Self::File(place) => {
                let Some(mut reader) = place.take() else { return Ok(Bytes::new()) };
                let read = common::tasks::blocking(move || {
                    let mut piece = Vec::with_capacity(length);
                    reader.by_ref().take(length as u64).read_to_end(&mut piece)?;
                    Ok((reader, piece))
                });
                let (reader, piece) = unfailing(read.await)?;
                *place = Some(reader);
                Ok(piece.into())
            }
        }
    }
}

fn unfailing<T>(outcome: Result<std::io::Result<T>, common::tasks::TaskFailure>) -> Result<T, Failure> {
    outcome.unwrap_or_else(|failure| Err(std::io::Error::other(failure))).map_err(Failure::Content)
}

/// The digest of `content`, as registries write it.
pub fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// What a manifest names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The configuration and the layers, each once.
    pub blobs: Vec<Blob>,
    /// The manifests of an index, by digest.
    pub manifests: Vec<String>,
}

/// Reads what a manifest names; the error says what is wrong with it.
pub fn named_by(manifest: &Manifest) -> Result<Named, String> {
    let value: Value = serde_json::from_slice(&manifest.content).map_err(|error| format!("it is not JSON: {error}"))?;
    if value["schemaVersion"] != 2 {
        return Err("it is of an old format (schemaVersion is not 2)".into());
    }
    let digest = |entry: &Value| {
        let digest = entry["digest"].as_str().filter(|digest| crate::registry::reference::is_digest(digest));
        digest.map(str::to_owned).ok_or_else(|| format!("`{}` is no digest", entry["digest"]))
    };
    let mut named = Named::default();
    for entry in value["manifests"].as_array().into_iter().flatten() {
        named.manifests.push(digest(entry)?);
    }
    let layers = value["layers"].as_array().into_iter().flatten();
    for entry in value["config"].as_object().map(|_| &value["config"]).into_iter().chain(layers) {
        // Layers of some vendors are fetched from their own servers and never pushed.
        if entry["urls"].is_array() {
            continue;
        }
        let blob = Blob { digest: digest(entry)?, size: entry["size"].as_u64().unwrap_or(0), place: None };
        if !named.blobs.iter().any(|known| known.digest == blob.digest) {
            named.blobs.push(blob);
        }
    }
    if named == Named::default() {
        return Err("it names neither layers nor manifests".into());
    }
    Ok(named)
}
