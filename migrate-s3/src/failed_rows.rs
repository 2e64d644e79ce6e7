//! What failed, as a manifest of S3 Batch Operations: `failed.csv` beside the report, `bucket,key` for each object, and its version
//! where versions are migrated.
//!
//! S3 Batch Operations takes it as it is. Written as it grows, and always: an empty
//! one says that nothing failed. The form is that of the S3 user guide, "Specifying a manifest": no header, keys
//! url-encoded. Called by `record`.

use bytes::Bytes;
use common::aws::SideOptions;
use common::location::store::{Store, Upload};
use common::location::{BucketUrl, Location};
use common::report::ReportError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::digest::{Sha, Sha256};
use crate::error::Error;
use crate::listing::Entry;

/// The file's name in the report's place.
pub const NAME: &str = "failed.csv";

/// What stays as it is in an encoded key: what RFC 3986 calls unreserved, and the slash.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The file being written.
#[derive(Debug)]
pub struct FailedRows {
    upload: Upload,
    text: String,
    hash: Sha256,
}

impl FailedRows {
    /// Begins the file at `location`.
    pub async fn open(location: &Location, side: &SideOptions) -> Result<Self, Error> {
        let unusable = |source| ReportError::Unusable { location: location.clone(), source };
        let store = Store::open(location, side).await.map_err(unusable)?;
        let upload = store.begin(NAME, "text/csv").await.map_err(unusable)?;
        Ok(Self { upload, text: String::new(), hash: Sha256::default() })
    }

    /// Adds the object `entry` of `bucket`.
    pub async fn add(&mut self, bucket: &BucketUrl, entry: &Entry) -> Result<(), Error> {
        self.text.push_str(&row(bucket, entry));
        if self.text.len() < self.upload.piece_bytes_min() {
            return Ok(());
        }
        self.write().await
    }

    /// Completes the file; returns its SHA-256.
    pub async fn finish(mut self) -> Result<Sha, Error> {
        self.write().await?;
        self.upload.complete().await.map_err(|source| ReportError::Write { name: NAME, source })?;
        Ok(self.hash.finish())
    }

    async fn write(&mut self) -> Result<(), Error> {
        let piece = Bytes::from(std::mem::take(&mut self.text));
        self.hash.update(&piece);
        Ok(self.upload.append(piece).await.map_err(|source| ReportError::Write { name: NAME, source })?)
    }
}

fn row(bucket: &BucketUrl, entry: &Entry) -> String {
    let key = entry.key.under(&bucket.prefix);
    let version = entry.version_id().map(|id| format!(",{id}")).unwrap_or_default();
    format!("{},{}{version}\n", bucket.bucket, percent_encode(key.as_bytes(), PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_whole_and_encoded() {
        let bucket = BucketUrl { bucket: "paas-csv".into(), prefix: "2023/".into() };
        let key = crate::key::Key::from("a b,c\"/ü");
        let mut entry =
            Entry { key, size: 0, etag: String::new(), last_modified: None, storage_class: None, version: None };
        assert_eq!(row(&bucket, &entry), "paas-csv,2023/a%20b%2Cc%22/%C3%BC\n");
        entry.version = Some(crate::listing::Version { id: "v1".into(), is_marker: false });
        assert_eq!(row(&bucket, &entry), "paas-csv,2023/a%20b%2Cc%22/%C3%BC,v1\n");
    }
}
