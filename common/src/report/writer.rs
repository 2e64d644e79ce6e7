//! Writes what a run leaves behind: the manifest while the run goes on, everything else at its end.
//!
//! Opened before anything is moved, so that a place that cannot be written to is known at the start. The manifest
//! is compressed as it grows and never held whole. `report.json` is written last: where it is, the rest is too.

use std::io::Write as _;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Report, html};
use crate::aws::SideOptions;
use crate::error::{Class, OperatorError};
use crate::location::Location;
use crate::location::store::{Store, StoreError, Upload};

/// Names of the files of a report, in the order of `SHA256SUMS`.
const MANIFEST: &str = "manifest.jsonl.zst";
const HTML: &str = "report.html";
const JSON: &str = "report.json";
const SUMS: &str = "SHA256SUMS";

/// Strength of the manifest's compression: zstd's own default, some hundred MB/s.
const COMPRESSION_LEVEL: i32 = 3;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Found out before anything was moved.
    #[error("the report cannot be written to {location}")]
    Unusable {
        /// The place.
        location: Location,
        /// The cause.
        source: StoreError,
    },
    /// Found out on the way.
    #[error("{name} of the report could not be written")]
    Write {
        /// The file.
        name: &'static str,
        /// The cause.
        source: StoreError,
    },
    /// A line or the report cannot be written as JSON or compressed: a defect of the program.
    #[error("{name} of the report could not be made; this is a defect of the program")]
    Content {
        /// The file.
        name: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

impl OperatorError for ReportError {
    fn class(&self) -> Class {
        match self {
            Self::Unusable { source, .. } => match source.class() {
                Class::Permanent => Class::Refused,
                class => class,
            },
            Self::Write { source, .. } => source.class(),
            Self::Content { .. } => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { source, .. } | Self::Write { source, .. } => source.hint(),
            Self::Content { .. } => None,
        }
    }
}

/// Where the files of a report were put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The directory or prefix.
    pub location: String,
    /// The page for people.
    pub html: String,
    /// The report for machines.
    pub json: String,
    /// The line for each segment or object.
    pub manifest: String,
    /// The SHA-256 of the three.
    pub sums: String,
}

/// An open report. Dropped without [`Writer::finish`] it leaves nothing under the files' names.
pub struct Writer {
    store: Store,
    location: Location,
    upload: Upload,
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    manifest_hash: Sha256,
    /// Files that others put beside the report.
    also: Vec<(&'static str, [u8; 32])>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Writer {
    /// Opens a report at `location`. `side` is how a bucket is reached, and not used for a directory.
    pub async fn open(location: &Location, side: &SideOptions) -> Result<Self, ReportError> {
        let unusable = |source| ReportError::Unusable { location: location.clone(), source };
        let store = Store::open(location, side).await.map_err(unusable)?;
        let upload = store.begin(MANIFEST, "application/zstd").await.map_err(unusable)?;
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), COMPRESSION_LEVEL).map_err(manifest_error)?;
        Ok(Self { store, location: location.clone(), upload, encoder, manifest_hash: Sha256::new(), also: Vec::new() })
    }

    /// Adds one line to the manifest. Bounded memory: at most one part of an upload (8 MiB) and this line are held.
    pub async fn manifest_line(&mut self, line: &(impl Serialize + Sync)) -> Result<(), ReportError> {
        let mut text = serde_json::to_vec(line).map_err(|error| manifest_error(error.into()))?;
        text.push(b'\n');
        self.encoder.write_all(&text).map_err(manifest_error)?;
        if self.encoder.get_ref().len() < self.upload.piece_bytes_min() {
            return Ok(());
        }
        let piece = std::mem::take(self.encoder.get_mut());
        append(&mut self.upload, &mut self.manifest_hash, piece).await
    }

    /// Names in `SHA256SUMS` a file `name` that somebody else has put beside the report.
    pub fn also_sum(&mut self, name: &'static str, sum: [u8; 32]) {
        self.also.push((name, sum));
    }

    /// Completes the manifest and writes the report itself. The same report gives the same bytes.
    pub async fn finish(self, report: &Report) -> Result<Written, ReportError> {
        let Self { store, location, mut upload, encoder, mut manifest_hash, also } = self;
        let rest = encoder.finish().map_err(manifest_error)?;
        append(&mut upload, &mut manifest_hash, rest).await?;
        upload.complete().await.map_err(|source| ReportError::Write { name: MANIFEST, source })?;

        let page = Bytes::from(html::page(report));
        let json = json(report)?;
        let mut sums = [
            (MANIFEST, manifest_hash.finalize().as_slice()),
            (HTML, Sha256::digest(&page).as_slice()),
            (JSON, Sha256::digest(&json).as_slice()),
        ]
        .map(|(name, sum)| format!("{}  {name}\n", hex::encode(sum)))
        .concat();
        for (name, sum) in also {
            sums.push_str(&[&hex::encode(sum), "  ", name, "\n"].concat());
        }
        for (name, content_type, content) in [
            (HTML, "text/html; charset=utf-8", page),
            (SUMS, "text/plain; charset=utf-8", Bytes::from(sums)),
            (JSON, "application/json", json),
        ] {
            let written = store.put(name, content_type, content).await;
            written.map_err(|source| ReportError::Write { name, source })?;
        }
        Ok(Written {
            location: location.to_string(),
            html: store.place_of(HTML),
            json: store.place_of(JSON),
            manifest: store.place_of(MANIFEST),
            sums: store.place_of(SUMS),
        })
    }
}

async fn append(upload: &mut Upload, hash: &mut Sha256, piece: Vec<u8>) -> Result<(), ReportError> {
    hash.update(&piece);
    upload.append(Bytes::from(piece)).await.map_err(|source| ReportError::Write { name: MANIFEST, source })
}

fn json(report: &Report) -> Result<Bytes, ReportError> {
    let mut text =
        serde_json::to_vec_pretty(report).map_err(|error| ReportError::Content { name: JSON, source: error.into() })?;
    text.push(b'\n');
    Ok(text.into())
}

fn manifest_error(source: std::io::Error) -> ReportError {
    ReportError::Content { name: MANIFEST, source }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::error::describe;

    fn side() -> SideOptions {
        SideOptions::of_process(None, None)
    }

    async fn write(directory: &std::path::Path, lines: u64) -> Written {
        let mut writer = Writer::open(&Location::Directory(directory.into()), &side()).await.unwrap();
        for line in 0..lines {
            // Digests do not compress, so that the pieces of the manifest are real ones.
            let digest = hex::encode(Sha256::digest(line.to_le_bytes()));
            writer.manifest_line(&serde_json::json!({ "item": line, "digest": digest })).await.unwrap();
        }
        writer.finish(&sample::different()).await.unwrap()
    }

    fn names(directory: &std::path::Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_is_written_is_whole_and_sums_up() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("new/report");
        let written = write(&place, 20_000).await;
        assert_eq!(names(&place), [SUMS, MANIFEST, HTML, JSON]);
        assert_eq!(written.html, place.join(HTML).display().to_string());

        let sums = std::fs::read_to_string(place.join(SUMS)).unwrap();
        for (line, name) in sums.lines().zip([MANIFEST, HTML, JSON]) {
            let sum = hex::encode(Sha256::digest(std::fs::read(place.join(name)).unwrap()));
            assert_eq!(line, format!("{sum}  {name}"));
        }
        let manifest = zstd::stream::decode_all(std::fs::File::open(place.join(MANIFEST)).unwrap()).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&manifest).unwrap().lines().collect();
        assert_eq!(lines.len(), 20_000);
        assert!(lines[19_999].contains("\"item\":19999"));
        let report: Report = serde_json::from_slice(&std::fs::read(place.join(JSON)).unwrap()).unwrap();
        assert_eq!(report.findings, sample::different().findings);
    }

    #[tokio::test]
    async fn the_same_run_writes_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(one.path(), 100).await;
        write(two.path(), 100).await;
        let sums = |directory: &std::path::Path| std::fs::read_to_string(directory.join(SUMS)).unwrap();
        assert_eq!(sums(one.path()), sums(two.path()));
    }

    #[tokio::test]
    async fn a_run_without_an_end_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(&Location::Directory(directory.path().into()), &side()).await.unwrap();
        writer.manifest_line(&1).await.unwrap();
        drop(writer);
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_to_is_refused_at_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let place = Location::Directory(file.path().join("report"));
        let error = Writer::open(&place, &side()).await.unwrap_err();
        assert_eq!(error.class(), Class::Refused);
        let text = describe(&error);
        assert!(text.contains("the report cannot be written to") && text.contains("next: name a directory"), "{text}");
    }

    #[test]
    fn the_report_as_json() {
        let mut report = sample::different();
        report.items.truncate(5);
        report.timeline.truncate(1);
        insta::assert_snapshot!(String::from_utf8(json(&report).unwrap().to_vec()).unwrap());
    }

    /// The names of all fields in `value`, at any depth.
    fn fields(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(object) => {
                for (name, value) in object {
                    names.insert(name.clone());
                    // The settings' names are the programs'.
                    if name != "settings" {
                        fields(value, names);
                    }
                }
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| fields(value, names)),
            _ => {}
        }
    }

    #[test]
    fn each_field_is_documented() {
        let page = include_str!("../../../runbooks/reference/report.md");
        let mut names = std::collections::BTreeSet::new();
        fields(&serde_json::to_value(sample::different()).unwrap(), &mut names);
        let summary = super::super::summary::json(&sample::different(), Some(&sample::written()));
        fields(&serde_json::from_str(&summary).unwrap(), &mut names);
        let missing: Vec<&String> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "not in report.md: {missing:?}");
    }
}
