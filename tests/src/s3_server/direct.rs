//! The tests' own door into a server: objects put, read and damaged without a request, counts, faults, clients.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::SystemTime;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use bytes::Bytes;

use super::attributes::{Attributes, checked_tags};
use super::checksum::Stored;
use super::config::Account;
use super::faults::FaultRule;
use super::store::Object;
use super::{S3Server, store};

/// An object to put without a request.
pub struct NewObject {
    body: Box<dyn Read + Send>,
    headers: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    checksum: bool,
}

impl NewObject {
    /// An object of these bytes, without headers or tags.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self::from_reader(io::Cursor::new(body.into()))
    }

    /// An object of what the reader yields; it is never whole in memory.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self { body: Box::new(reader), headers: Vec::new(), tags: Vec::new(), checksum: true }
    }

    /// An object of `length` pseudo-random bytes, the same for the same seed.
    pub fn generated(length: u64, seed: u64) -> Self {
        Self::from_reader(Random(fastrand::Rng::with_seed(seed)).take(length))
    }

    /// The same with a header, by its name in a request: `content-type`, `x-amz-meta-owner`, `x-amz-storage-class`, ….
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same without a stored checksum, as objects that were put before S3 computed one.
    #[must_use]
    pub fn without_checksum(self) -> Self {
        Self { checksum: false, ..self }
    }
}

struct Random(fastrand::Rng);

impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill(buffer);
        Ok(buffer.len())
    }
}

/// An object as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// All bytes.
    pub body: Bytes,
    /// The headers kept with it, in lower case, by name.
    pub headers: BTreeMap<String, String>,
    /// Tags in the order in which they were given.
    pub tags: Vec<(String, String)>,
    /// ETag without quotes.
    pub etag: String,
    /// The stored checksum.
    pub checksum: Option<Stored>,
    /// Lengths of the parts; empty for an object that was put in one piece.
    pub parts: Vec<u64>,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUpload {
    /// The key it is for.
    pub key: String,
    /// Its id.
    pub id: String,
    /// Part numbers uploaded so far.
    pub parts: Vec<i32>,
}

/// One of a key's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// Its id.
    pub id: String,
    /// All bytes; `None` for a delete marker.
    pub body: Option<Bytes>,
    /// The headers kept with it, in lower case, by name.
    pub headers: BTreeMap<String, String>,
    /// Tags in the order in which they were given.
    pub tags: Vec<(String, String)>,
}

impl S3Server {
    /// All versions of a key, oldest first; none where versions are not kept.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<StoredVersion> {
        let versions = self.in_bucket(bucket, |bucket| bucket.versions.get(key).cloned().unwrap_or_default());
        let stored = versions.into_iter().map(|version| {
            let object = version.object.as_ref();
            StoredVersion {
                id: version.id,
                body: object.map(|object| object.body.read_all().unwrap_or_else(fail("read the version"))),
                headers: object.map(|object| texts(&object.attributes.headers())).unwrap_or_default(),
                tags: object.map(|object| object.tags.clone()).unwrap_or_default(),
            }
        });
        stored.collect()
    }

    /// Keys that have versions, in byte order.
    pub fn versioned_keys(&self, bucket: &str) -> Vec<String> {
        self.in_bucket(bucket, |bucket| bucket.versions.keys().cloned().collect())
    }

    /// Puts an object, as if it had always been there: nothing is counted, no fault befalls it.
    ///
    /// # Panics
    ///
    /// When there is no such bucket, or S3 would not take the headers or tags.
    pub fn put(&self, bucket: &str, key: &str, new: NewObject) {
        let (body, digests) = self.store.directory.write_from(new.body).unwrap_or_else(fail("write the object"));
        let attributes = Attributes::from_pairs(&new.headers).unwrap_or_else(fail("take the headers"));
        let tags = checked_tags(new.tags).unwrap_or_else(fail("take the tags"));
        self.in_bucket(bucket, |bucket| {
            let etag = bucket.etag(hex::encode(digests.md5));
            let checksum = new.checksum.then(|| digests.stored());
            let modified = SystemTime::now();
            let object = Object { body, attributes, tags, etag, checksum, parts: Vec::new(), modified };
            bucket.insert(key.to_owned(), object);
        });
    }

    /// The object with all its bytes, or `None` when there is none of that key.
    pub fn get(&self, bucket: &str, key: &str) -> Option<StoredObject> {
        let object = self.in_bucket(bucket, |bucket| bucket.objects.get(key).cloned())?;
        Some(StoredObject {
            body: object.body.read_all().unwrap_or_else(fail("read the object")),
            headers: texts(&object.attributes.headers()),
            tags: object.tags.clone(),
            etag: object.etag.clone(),
            checksum: object.checksum.clone(),
            parts: object.parts.clone(),
        })
    }

    /// Length of the object in bytes, without reading it.
    pub fn length(&self, bucket: &str, key: &str) -> Option<u64> {
        self.in_bucket(bucket, |bucket| bucket.objects.get(key).map(|object| object.body.length()))
    }

    /// All keys, in byte order.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.in_bucket(bucket, |bucket| bucket.objects.keys().cloned().collect())
    }

    /// Number of objects.
    pub fn object_count(&self, bucket: &str) -> usize {
        self.in_bucket(bucket, |bucket| bucket.objects.len())
    }

    /// Removes an object; returns whether there was one.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.in_bucket(bucket, |bucket| {
            let was_there = bucket.objects.contains_key(key);
            bucket.delete(key);
            was_there
        })
    }

    /// Flips one bit of a stored byte. ETag, checksum, size and date stay as they were, as when a disk decays.
    ///
    /// # Panics
    ///
    /// When there is no such object or byte.
    pub fn corrupt_byte(&self, bucket: &str, key: &str, offset: u64) {
        let object = self.in_bucket(bucket, |bucket| bucket.objects.get(key).cloned());
        let object = object.unwrap_or_else(|| panic!("there is no object {key:?} in {bucket:?} to corrupt"));
        object.body.corrupt(offset).unwrap_or_else(fail("corrupt the object"));
    }

    /// The multipart uploads that were neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<StoredUpload> {
        self.in_bucket(bucket, |bucket| {
            let uploads = bucket.uploads.iter().map(|(id, upload)| StoredUpload {
                key: upload.key.clone(),
                id: id.clone(),
                parts: upload.parts.keys().copied().collect(),
            });
            uploads.collect()
        })
    }

    /// Adds a fault; rules are used up in the order in which they were added.
    pub fn inject(&self, rule: FaultRule) {
        self.store.faults.add(rule);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.store.faults.clear();
    }

    /// Requests to the bucket for an operation, by S3's name, since the start or the last [`Self::reset_counts`]. Requests
    /// that failed are counted too; requests that were refused for who asked are not.
    pub fn count(&self, bucket: &str, operation: &str) -> u64 {
        self.store.faults.count(bucket, operation)
    }

    /// All counts of the bucket by operation.
    pub fn counts(&self, bucket: &str) -> BTreeMap<String, u64> {
        self.store.faults.counts(bucket)
    }

    /// Sets all counts to zero.
    pub fn reset_counts(&self) {
        self.store.faults.reset_counts();
    }

    /// An SDK client of this server: path style, no retries, so that every request is one attempt.
    pub fn client(&self, account: &Account) -> aws_sdk_s3::Client {
        client_of(&self.endpoint(), account, "eu-west-2")
    }

    fn in_bucket<T>(&self, name: &str, work: impl FnOnce(&mut store::Bucket) -> T) -> T {
        let mut buckets = self.store.lock();
        let bucket = buckets.get_mut(name);
        work(bucket.unwrap_or_else(|| panic!("the server was started without a bucket {name:?}")))
    }
}

/// An SDK client of any S3-compatible endpoint: path style, no retries.
pub fn client_of(endpoint: &str, account: &Account, region: &str) -> aws_sdk_s3::Client {
    let credentials = Credentials::new(&account.access_key_id, &account.secret_access_key, None, None, "tests");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(region.to_owned()))
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

fn texts(headers: &hyper::http::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &hyper::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn fail<T, E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> T {
    move |error| panic!("cannot {what}: {error}")
}
