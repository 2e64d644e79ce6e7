//! Images in files: what `docker save` writes, old and new, and OCI layouts as tar files. Nothing is unpacked.
//!
//! The file is read once to find what is in it, and its layers once to know their digests. Layers that lie in it
//! unpacked become gzip on the way, as `docker push` does it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Blob, Place, digest_of, named_by};
use crate::registry::Manifest;

const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const OCI_MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Descriptions (manifests, configurations) are no longer than this.
const DESCRIPTION_BYTES_MAX: u64 = 16 << 20;

/// Entries of the file at most: an image has 127 layers.
const ENTRIES_MAX: usize = 10_000;

/// An image in a file.
#[derive(Debug, Clone)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// Its own name, for example `db-migration`.
    pub name: Option<String>,
    /// Its own tag.
    pub tag: Option<String>,
    /// The manifest that it gets in a registry.
    pub manifest: Manifest,
    /// The configuration and the layers.
    pub blobs: Vec<Blob>,
}

/// Why a file is no image for us.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("cannot read the image {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path} is no image: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A tar file whose entries are known.
struct Archive {
    path: PathBuf,
    file: File,
    entries: BTreeMap<String, (u64, u64)>,
}

impl Image {
    /// Reads the file at `path`. Blocks, and computes: seconds for an image of some hundred megabytes.
    pub fn load(path: &Path) -> Result<Self, ArchiveError> {
        let archive = Archive::open(path)?;
        if archive.entries.contains_key("manifest.json") {
            archive.docker_image()
        } else if archive.entries.contains_key("index.json") {
            archive.oci_image()
        } else {
            Err(archive.invalid("it has neither manifest.json (docker save) nor index.json (OCI layout)"))
        }
    }

    /// The bytes of all blobs.
    pub fn size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

impl Archive {
    fn open(path: &Path) -> Result<Self, ArchiveError> {
        let unreadable = |source| ArchiveError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut archive = Self { path: path.to_owned(), file, entries: BTreeMap::new() };
        let mut links = Vec::new();
        let mut tar = tar::Archive::new(archive.file.try_clone().map_err(unreadable)?);
        for (count, entry) in tar.entries_with_seek().map_err(unreadable)?.enumerate() {
            let broken = |error: std::io::Error| ArchiveError::Invalid {
                path: path.to_owned(),
                reason: format!("it is not a whole tar file: {error}"),
            };
            if count >= ENTRIES_MAX {
                return Err(archive.invalid(&format!("it has more than {ENTRIES_MAX} entries")));
            }
            let entry = entry.map_err(broken)?;
            let name = normal(&entry.path().map_err(broken)?);
            match entry.link_name().map_err(broken)? {
                // Old engines link layers that two images share: ID/layer.tar -> ../OTHER/layer.tar
                Some(target) => {
                    let folder = Path::new(&name).parent().unwrap_or(Path::new("")).to_owned();
                    links.push((name, normal(&folder.join(target))));
                }
                None => {
                    archive.entries.insert(name, (entry.raw_file_position(), entry.size()));
                }
            }
        }
        for (name, target) in links {
            if let Some(place) = archive.entries.get(&target).copied() {
                archive.entries.insert(name, place);
            }
        }
        let length = archive.file.metadata().map_err(unreadable)?.len();
        if archive.entries.values().any(|(offset, size)| offset + size > length) {
            return Err(archive.invalid("it is cut off"));
        }
        Ok(archive)
    }

    fn invalid(&self, reason: &str) -> ArchiveError {
        ArchiveError::Invalid { path: self.path.clone(), reason: reason.to_owned() }
    }

    fn unreadable(&self) -> impl FnOnce(std::io::Error) -> ArchiveError + use<> {
        let path = self.path.clone();
        |source| ArchiveError::Unreadable { path, source }
    }

    fn place(&self, name: &str) -> Result<Place, ArchiveError> {
        let found = self.entries.get(name).copied();
        let (offset, length) = found.ok_or_else(|| self.invalid(&format!("it names {name}, which is not in it")))?;
        Ok(Place { offset, length, compress: false })
    }

    fn description(&mut self, name: &str) -> Result<Bytes, ArchiveError> {
        let place = self.place(name)?;
        if place.length > DESCRIPTION_BYTES_MAX {
            return Err(self.invalid(&format!("its {name} is too long")));
        }
        let mut content = Vec::new();
        let read = self.file.seek(SeekFrom::Start(place.offset));
        read.and_then(|_| (&self.file).take(place.length).read_to_end(&mut content)).map_err(self.unreadable())?;
        Ok(content.into())
    }

    fn json(&mut self, name: &str) -> Result<Value, ArchiveError> {
        let content = self.description(name)?;
        serde_json::from_slice(&content).map_err(|error| self.invalid(&format!("its {name} is not JSON: {error}")))
    }

    /// The blob at `place` with the digest of what it becomes.
    fn blob(&self, mut place: Place) -> Result<Blob, ArchiveError> {
        let open = |place: Place| place.open(File::open(&self.path)?);
        let mut magic = [0; 2];
        let begin = open(place).and_then(|mut reader| reader.read(&mut magic));
        place.compress = begin.map_err(self.unreadable())? < 2 || magic != [0x1f, 0x8b];
        let (size, digest) = open(place).and_then(hashed).map_err(self.unreadable())?;
        Ok(Blob { digest, size, place: Some(place) })
    }

    /// `manifest.json`: one image with its configuration and layers as files.
    fn docker_image(mut self) -> Result<Image, ArchiveError> {
        let index = self.json("manifest.json")?;
        let [entry] = index.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(self.invalid("it does not hold exactly one image; save one at a time"));
        };
        let config_name = entry["Config"].as_str().unwrap_or_default().to_owned();
        let config = self.description(&config_name)?;
        let place = self.place(&config_name)?;
        let config = Blob { digest: digest_of(&config), size: place.length, place: Some(place) };
        let mut layers = Vec::new();
        for name in entry["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            layers.push(self.blob(self.place(name)?)?);
        }
        let described =
            |kind: &str, blob: &Blob| json!({ "mediaType": kind, "size": blob.size, "digest": blob.digest });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described(CONFIG_TYPE, &config),
            "layers": layers.iter().map(|layer| described(LAYER_TYPE, layer)).collect::<Vec<_>>(),
        });
        let content = Bytes::from(manifest.to_string());
        let manifest = Manifest { media_type: MANIFEST_TYPE.into(), digest: digest_of(&content), content };
        let full_name = entry["RepoTags"].get(0).and_then(Value::as_str);
        let (name, tag) = full_name.map_or((None, None), name_and_tag);
        let mut blobs = vec![config];
        for layer in layers {
            if !blobs.iter().any(|known| known.digest == layer.digest) {
                blobs.push(layer);
            }
        }
        Ok(Image { path: self.path, name, tag, manifest, blobs })
    }

    /// `index.json`: manifests and blobs by digest; they go as they are.
    fn oci_image(mut self) -> Result<Image, ArchiveError> {
        let index = self.json("index.json")?;
        let [entry] = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(self.invalid("it does not hold exactly one image; save one at a time"));
        };
        let path_of = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        let content = self.description(&path_of(&digest))?;
        if digest != digest_of(&content) {
            return Err(self.invalid(&format!("its manifest is not the one with the digest {digest}")));
        }
        let media_type = entry["mediaType"].as_str().unwrap_or(OCI_MANIFEST_TYPE).to_owned();
        let manifest = Manifest { media_type, digest, content };
        let named = named_by(&manifest).map_err(|reason| self.invalid(&format!("its manifest: {reason}")))?;
        if !named.manifests.is_empty() {
            return Err(self.invalid("it holds an index of several images; save one platform"));
        }
        let mut blobs = Vec::new();
        for mut blob in named.blobs {
            let place = self.place(&path_of(&blob.digest))?;
            let (size, digest) =
                File::open(&self.path).and_then(|file| place.open(file)).and_then(hashed).map_err(self.unreadable())?;
            if digest != blob.digest {
                return Err(self.invalid(&format!("what lies under {} has the digest {digest}", blob.digest)));
            }
            (blob.size, blob.place) = (size, Some(place));
            blobs.push(blob);
        }
        let annotations = &entry["annotations"];
        let full_name = annotations["io.containerd.image.name"]
            .as_str()
            .or(annotations["org.opencontainers.image.ref.name"].as_str());
        let (name, tag) = full_name.map_or((None, None), name_and_tag);
        Ok(Image { path: self.path, name, tag, manifest, blobs })
    }
}

/// Length and digest of everything that `reader` gives.
fn hashed(mut reader: Box<dyn std::io::Read + Send>) -> std::io::Result<(u64, String)> {
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 16];
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            return Ok((size, format!("sha256:{}", hex::encode(hash.finalize()))));
        }
        hash.update(&piece[..count]);
        size += count as u64;
    }
}

/// `HOST/db-migration:0.1.0` gives `db-migration` and `0.1.0`.
fn name_and_tag(full_name: &str) -> (Option<String>, Option<String>) {
    let name = full_name.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        Some((name, tag)) => (Some(name.to_owned()), Some(tag.to_owned())),
        None => (Some(name.to_owned()), None),
    }
}

/// A path within the file, without `.` and `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests;
