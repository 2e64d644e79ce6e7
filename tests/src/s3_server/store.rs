//! The state of a server: buckets, their objects by key, and multipart uploads in progress.
//!
//! Metadata is in memory behind one lock that is never held across an await; bytes are in `body`.
//! Knows nothing of HTTP. Called by the operations and by the tests' direct access.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::{S3Result, s3_error};

use super::attributes::Attributes;
use super::body::{Body, Directory};
use super::checksum::{Algorithm, Digests, Kind, Stored};
use super::config;
use super::faults::Faults;
use super::versions::Version;

/// An object as it is stored. Replaced whole, never changed in place (but for its bytes, by [`Body::corrupt`]).
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Body,
    pub(super) attributes: Attributes,
    pub(super) tags: Vec<(String, String)>,
    pub(super) etag: String,
    pub(super) checksum: Option<Stored>,
    /// Lengths of the parts in order; empty for an object that was put in one piece.
    pub(super) parts: Vec<u64>,
    pub(super) modified: SystemTime,
}

/// A multipart upload in progress.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) attributes: Attributes,
    pub(super) tags: Vec<(String, String)>,
    /// What the client asked for; `None` makes S3 store a CRC-64/NVME of its own.
    pub(super) checksum: Option<(Algorithm, Kind)>,
    pub(super) parts: BTreeMap<i32, Part>,
    pub(super) initiated: SystemTime,
}

/// An uploaded part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) body: Body,
    pub(super) digests: Digests,
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

/// A bucket: its settings, its objects in byte order of their keys, its uploads by id.
pub(super) struct Bucket {
    pub(super) settings: config::Bucket,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) uploads: BTreeMap<String, Upload>,
    /// Oldest first, where versions are kept.
    pub(super) versions: BTreeMap<String, Vec<Version>>,
}

/// What the whole server shares.
pub(super) struct Store {
    pub(super) accounts: Vec<config::Account>,
    pub(super) directory: Directory,
    pub(super) faults: Faults,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

impl Store {
    pub(super) fn new(config: config::Config) -> std::io::Result<Self> {
        let buckets = config.buckets.into_iter().map(|settings| (settings.name.clone(), Bucket::new(settings)));
        Ok(Self {
            accounts: config.accounts,
            directory: Directory::new()?,
            faults: Faults::default(),
            buckets: Mutex::new(buckets.collect()),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the bucket, or answers `NoSuchBucket`.
    pub(super) fn bucket<T>(&self, name: &str, work: impl FnOnce(&mut Bucket) -> S3Result<T>) -> S3Result<T> {
        match self.lock().get_mut(name) {
            Some(bucket) => work(bucket),
            None => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }

    /// The object, or `NoSuchKey`.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.bucket(bucket, |bucket| bucket.object(key).cloned())
    }

    /// One of the object's versions, or the object as it is now.
    pub(super) fn version(&self, bucket: &str, key: &str, id: Option<&str>) -> S3Result<Arc<Object>> {
        self.bucket(bucket, |bucket| bucket.version(key, id))
    }

    /// The bucket's settings, or `NoSuchBucket`.
    pub(super) fn settings(&self, bucket: &str) -> S3Result<config::Bucket> {
        self.bucket(bucket, |bucket| Ok(bucket.settings.clone()))
    }
}

impl Bucket {
    fn new(settings: config::Bucket) -> Self {
        Self { settings, objects: BTreeMap::new(), uploads: BTreeMap::new(), versions: BTreeMap::new() }
    }

    pub(super) fn object(&self, key: &str) -> S3Result<&Arc<Object>> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// The upload, or `NoSuchUpload` when there is none of that id for that key.
    pub(super) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        self.uploads.get_mut(id).filter(|upload| upload.key == key).ok_or_else(|| {
            s3_error!(
                NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, \
                 or the upload may have been aborted or completed."
            )
        })
    }

    /// The ETag of a body: its MD5 under SSE-S3, an opaque value of the same form under SSE-KMS.
    pub(super) fn etag(&self, plain: String) -> String {
        if !self.settings.kms {
            return plain;
        }
        let suffix = plain.split_once('-').map(|(_, count)| format!("-{count}")).unwrap_or_default();
        format!("{:032x}{suffix}", fastrand::u128(..))
    }
}
