//! What earlier runs finished, so that a later one need not read it again.
//!
//! Append-only text, one line per finished object, each with its own checksum: a line that a crash tore is not
//! believed, and the object is simply looked at again. In a directory it is one file, under an `s3://` prefix a row of
//! objects. One journal per pair of places: its name is made of them. Called by `run`, read by `plan`.

use std::collections::HashMap;

use common::finding::ProofLevel;
use serde::{Deserialize, Serialize};

use crate::digest::{self, Sha};
use crate::key::Key;
use crate::listing::{Entry, Version};

/// What is known of one object: fingerprints of both sides' listing entries and what was proved of them. Small, because
/// there is one for each object: 64 bytes with its key's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    source: u64,
    target: u64,
    /// SHA-256 of the content.
    pub sha256: Sha,
    /// How strongly equality was proved.
    pub proof: ProofLevel,
}

impl Known {
    /// Whether the source still lists the object that was copied.
    pub fn is_of_source(&self, entry: &Entry) -> bool {
        self.source == source_print(entry)
    }

    /// Whether the target still lists the object that was written.
    pub fn is_of_target(&self, entry: &Entry) -> bool {
        self.target == target_print(entry.size, &entry.etag)
    }
}

fn source_print(entry: &Entry) -> u64 {
    let time = entry.last_modified.map_or_else(String::new, |time| time.as_second().to_string());
    digest::crc64nvme(format!("{} {} {time}", entry.size, entry.etag).as_bytes())
}

/// The target's clock is left out: the answer to a PUT does not tell it.
fn target_print(size: u64, etag: &str) -> u64 {
    digest::crc64nvme(format!("{size} {etag}").as_bytes())
}

/// What all earlier runs know, by the key's hash. About 100 bytes for each object.
#[derive(Debug, Default)]
pub struct Memory {
    known: HashMap<u128, Known>,
    uploads: HashMap<u128, Begun>,
}

impl Memory {
    /// What is known of `key`.
    pub fn get(&self, key: &Key) -> Option<&Known> {
        self.known.get(&hash(key, None))
    }

    /// What is known of the source's version `entry`.
    pub fn get_version(&self, entry: &Entry) -> Option<&Known> {
        self.known.get(&key_hash(entry))
    }

    /// The uploads that have begun and of whose end nothing is known.
    pub fn take_uploads(&mut self) -> HashMap<u128, Begun> {
        std::mem::take(&mut self.uploads)
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Remembers that `source` was found on the target as `target_etag`; replaces what was known before.
    pub fn insert(&mut self, source: &Entry, target_size: u64, target_etag: &str, sha256: Sha, proof: ProofLevel) {
        let known =
            Known { source: source_print(source), target: target_print(target_size, target_etag), sha256, proof };
        self.known.insert(key_hash(source), known);
    }

    /// Remembers what the lines of `text` say; returns how many of them were not whole.
    pub fn read(&mut self, text: &[u8]) -> u64 {
        let mut torn_count = 0;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match parse(line) {
                Some((key_hash, Told::Finished(known))) => {
                    self.uploads.remove(&key_hash);
                    self.known.insert(key_hash, known);
                }
                Some((key_hash, Told::Begun(begun))) => drop(self.uploads.insert(key_hash, begun)),
                None => torn_count += 1,
            }
        }
        torn_count
    }
}

/// By what an object, or a version of it, is known here.
pub fn key_hash(entry: &Entry) -> u128 {
    hash(&entry.key, entry.version_id())
}

fn hash(key: &Key, version_id: Option<&str>) -> u128 {
    let sha = digest::sha256(key.as_bytes());
    let sha = version_id.map_or(sha, |id| digest::sha256(&[&sha, id.as_bytes()].concat()));
    u128::from_be_bytes(sha[..16].try_into().unwrap_or_default())
}

/// One finished object as it is written. The fingerprints are computed from the first fields on reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// The key's bytes, hexadecimal: exact, whatever they are.
    key: String,
    /// The source's version, in a run with `--versions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    size: u64,
    source_etag: String,
    last_modified: Option<jiff::Timestamp>,
    target_etag: String,
    sha256: String,
    checksum: Option<String>,
    proof: ProofLevel,
}

/// An upload that has begun, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct UploadLine {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    upload_id: String,
    source: u64,
    belongings: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnyLine {
    Finished(Line),
    Begun(UploadLine),
}

/// A multipart upload that this migration has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub id: String,
    source: u64,
    belongings: u64,
}

impl Begun {
    /// Whether it was begun for the object that the source lists as `entry`, with these belongings.
    pub fn is_of(&self, entry: &Entry, belongings: u64) -> bool {
        self.source == source_print(entry) && self.belongings == belongings
    }
}

/// A finished object as a line of the journal, newline included.
pub fn line(source: &Entry, target_etag: &str, sha256: Sha, checksum: Option<&str>, proof: ProofLevel) -> String {
    let line = Line {
        key: hex::encode(source.key.as_bytes()),
        version_id: source.version_id().map(Into::into),
        size: source.size,
        source_etag: source.etag.clone(),
        last_modified: source.last_modified,
        target_etag: target_etag.into(),
        sha256: hex::encode(sha256),
        checksum: checksum.map(Into::into),
        proof,
    };
    framed(&line)
}

/// A multipart upload that has begun, as a line of the journal, newline included.
pub fn upload_line(source: &Entry, upload_id: &str, belongings: u64) -> String {
    framed(&UploadLine {
        key: hex::encode(source.key.as_bytes()),
        version_id: source.version_id().map(Into::into),
        upload_id: upload_id.into(),
        source: source_print(source),
        belongings,
    })
}

/// CRC-64 of the JSON, a space, the JSON, a newline. A struct of strings and numbers always serialises.
fn framed(line: &impl Serialize) -> String {
    let json = serde_json::to_string(line).unwrap_or_default();
    format!("{:016x} {json}\n", digest::crc64nvme(json.as_bytes()))
}

/// What a line tells.
enum Told {
    Finished(Known),
    Begun(Begun),
}

fn parse(line: &[u8]) -> Option<(u128, Told)> {
    let (crc, json) = line.split_at_checked(17)?;
    let crc = std::str::from_utf8(crc).ok()?.strip_suffix(' ')?;
    let crc = u64::from_str_radix(crc, 16).ok()?;
    if crc != digest::crc64nvme(json) {
        return None;
    }
    match serde_json::from_slice(json) {
        Ok(AnyLine::Finished(line)) => line.known().map(|(key_hash, known)| (key_hash, Told::Finished(known))),
        Ok(AnyLine::Begun(line)) => {
            let key = Key::from(hex::decode(&line.key).ok()?);
            let begun = Begun { id: line.upload_id, source: line.source, belongings: line.belongings };
            Some((hash(&key, line.version_id.as_deref()), Told::Begun(begun)))
        }
        Err(_) => None,
    }
}

impl Line {
    fn known(self) -> Option<(u128, Known)> {
        let line = self;
        let key = Key::from(hex::decode(&line.key).ok()?);
        let source = Entry {
            key,
            size: line.size,
            etag: line.source_etag,
            last_modified: line.last_modified,
            storage_class: None,
            version: line.version_id.map(|id| Version { id, is_marker: false }),
        };
        let known = Known {
            source: source_print(&source),
            target: target_print(line.size, &line.target_etag),
            sha256: hex::decode(&line.sha256).ok()?.try_into().ok()?,
            proof: line.proof,
        };
        Some((key_hash(&source), known))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(key: &[u8]) -> Entry {
        Entry {
            key: Key::from(key.to_vec()),
            size: 3,
            etag: "etag".into(),
            last_modified: "2026-11-21T04:00:00Z".parse().ok(),
            storage_class: None,
            version: None,
        }
    }

    fn text(keys: &[Vec<u8>]) -> String {
        keys.iter().map(|key| line(&entry(key), "target", [1; 32], Some("sha256:x"), ProofLevel::Linked)).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_remembered(keys in proptest::collection::hash_set(proptest::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let keys: Vec<Vec<u8>> = keys.into_iter().collect();
            let mut memory = Memory::default();
            prop_assert_eq!(memory.read(text(&keys).as_bytes()), 0);
            prop_assert_eq!(memory.len(), keys.len());
            for key in &keys {
                let entry = entry(key);
                let known = memory.get(&entry.key).unwrap();
                prop_assert!(known.is_of_source(&entry));
                let (target, other) = (Entry { etag: "target".into(), ..entry.clone() }, Entry { size: 4, ..entry });
                prop_assert!(known.is_of_target(&target));
                prop_assert!(!known.is_of_source(&other));
            }
        }
    }

    #[test]
    fn a_torn_journal_is_detected_at_every_byte() {
        let text = text(&[b"first".to_vec(), b"second".to_vec()]);
        let first_bytes = text.find('\n').unwrap();
        for cut in 0..text.len() {
            let mut memory = Memory::default();
            let torn_count = memory.read(&text.as_bytes()[..cut]);
            let whole = usize::from(cut >= first_bytes) + usize::from(cut >= text.len() - 1);
            assert_eq!(memory.len(), whole, "cut at {cut}");
            let is_torn = cut > 0 && cut < first_bytes || cut > first_bytes + 1 && cut < text.len() - 1;
            assert_eq!(torn_count, u64::from(is_torn), "cut at {cut}");
        }
    }

    #[test]
    fn an_upload_is_known_until_its_object_is_finished() {
        let entry = entry(b"key");
        let mut memory = Memory::default();
        memory.read(upload_line(&entry, "id", 7).as_bytes());
        let begun = Memory { uploads: memory.uploads.clone(), ..Memory::default() }.take_uploads();
        assert!(begun[&key_hash(&entry)].is_of(&entry, 7) && !begun[&key_hash(&entry)].is_of(&entry, 8));
        assert!(!begun[&key_hash(&entry)].is_of(&Entry { size: 4, ..entry.clone() }, 7));
        assert_eq!(memory.read(text(&[b"key".to_vec()]).as_bytes()), 0);
        assert!(memory.take_uploads().is_empty());
    }

    #[test]
    fn a_flipped_bit_is_detected() {
        let good = text(&[b"key".to_vec()]);
        for index in 0..good.len() - 1 {
            let mut bad = good.clone().into_bytes();
            bad[index] ^= 4;
            let mut memory = Memory::default();
            memory.read(&bad);
            let unharmed = Memory::default().read(good.as_bytes());
            assert_eq!(unharmed, 0);
            assert!(memory.is_empty(), "byte {index}");
        }
    }
}
