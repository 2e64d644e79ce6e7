//! Writes whole files to a [`Location`]: each appears complete or not at all.
//!
//! In a directory a file is written under a temporary name, synced and renamed. In a bucket a small file is one
//! PUT and a growing one a multipart upload, which becomes visible when it is completed. Knows nothing of what the
//! files hold. Called by [`crate::report`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use super::{BucketUrl, Location};
use crate::aws::{self, RequestFailure, SideOptions};
use crate::error::{Class, OperatorError};
use crate::retry::{RetryPolicy, retry};
use crate::settings::SettingError;

/// Size of the parts of a growing file; S3 wants 5 MiB at least, and 10,000 such parts are 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// How long one request may take. A part of 8 MiB in that time is 0.14 MB/s.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The settings do not lead to a client.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The file system refused.
    #[error("cannot {action} `{path}`: {source}")]
    File {
        /// What was tried, for example `create`.
        action: &'static str,
        /// The file or directory.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// S3 refused.
    #[error("cannot {action} `{url}`: {source}")]
    Request {
        /// What was tried, for example `write`.
        action: &'static str,
        /// The object's URL.
        url: String,
        /// The cause.
        source: Box<RequestFailure>,
    },
}

impl OperatorError for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::File { .. } => Class::Permanent,
            Self::Request { source, .. } => source.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some("make room there".into()),
            Self::File { .. } => Some("name a directory that this user may write to, or an s3://bucket/prefix".into()),
            Self::Request { source, .. } => source.hint(),
        }
    }
}

/// A [`Location`] that can be written to.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(PathBuf),
    S3 { client: Client, url: BucketUrl },
}

impl Store {
    /// Opens `location`; a directory is created. `side` is how a bucket is reached, and not used for a directory.
    pub async fn open(location: &Location, side: &SideOptions) -> Result<Self, StoreError> {
        let kind = match location {
            Location::Directory(path) => {
                tokio::fs::create_dir_all(path).await.map_err(|error| file_error("create", path, error))?;
                Kind::Directory(path.clone())
            }
            Location::S3(url) => {
                let config = aws::s3_client(side).await?.config().to_builder();
                let limits = aws::timeouts().to_builder().operation_timeout(REQUEST_TIMEOUT).build();
                Kind::S3 { client: Client::from_conf(config.timeout_config(limits).build()), url: url.clone() }
            }
        };
        Ok(Self { kind })
    }

    /// Where `name` is found once it is written.
    pub fn place_of(&self, name: &str) -> String {
        match &self.kind {
            Kind::Directory(path) => path.join(name).display().to_string(),
            Kind::S3 { url, .. } => format!("{url}{name}"),
        }
    }

    /// Writes `name` whole, over what may be there.
    pub async fn put(&self, name: &str, content_type: &str, content: Bytes) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Directory(directory) => {
                let mut upload = FileUpload::begin(directory, name).await?;
                upload.append(&content).await?;
                upload.complete().await
            }
            Kind::S3 { client, url } => request("write", &self.place_of(name), async || {
                let object = client.put_object().bucket(&url.bucket).key(format!("{}{name}", url.prefix));
                object.content_type(content_type).body(ByteStream::from(content.clone())).send().await
            })
            .await
            .map(drop),
        }
    }

    /// Begins to write `name` piece by piece. Proves by the way that the place can be written to.
    ///
    /// What an earlier process began to write under this name and did not complete is removed.
    pub async fn begin(&self, name: &str, content_type: &str) -> Result<Upload, StoreError> {
        match &self.kind {
            Kind::Directory(directory) => Ok(Upload::File(FileUpload::begin(directory, name).await?)),
            Kind::S3 { client, url } => {
                let upload = MultipartUpload {
                    client: client.clone(),
                    bucket: url.bucket.clone(),
                    key: format!("{}{name}", url.prefix),
                    place: self.place_of(name),
                    upload_id: String::new(),
                    parts: Vec::new(),
                };
                Ok(Upload::Multipart(upload.begin(content_type).await?))
            }
        }
    }
}

/// A file that grows; it appears under its name when it is completed.
#[derive(Debug)]
pub enum Upload {
    /// In a directory.
    File(FileUpload),
    /// In a bucket.
    Multipart(MultipartUpload),
}

impl Upload {
    /// How many bytes a piece must have at least, the last one excepted.
    pub const fn piece_bytes_min(&self) -> usize {
        match self {
            Self::File(_) => 256 * 1024,
            Self::Multipart(_) => PART_BYTES,
        }
    }

    /// Appends a piece.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.append(&piece).await,
            Self::Multipart(upload) => upload.append(piece).await,
        }
    }

    /// Makes the file visible under its name. At least one piece must have been appended.
    pub async fn complete(self) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.complete().await,
            Self::Multipart(upload) => upload.complete().await,
        }
    }
}

/// A temporary file beside its final name; removed when it is dropped before it is completed.
#[derive(Debug)]
pub struct FileUpload {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    completed: bool,
}

impl FileUpload {
    async fn begin(directory: &Path, name: &str) -> Result<Self, StoreError> {
        let temporary = directory.join(format!(".{name}.partial"));
        let file = File::create(&temporary).await.map_err(|error| file_error("create", &temporary, error))?;
        Ok(Self { file, temporary, path: directory.join(name), completed: false })
    }

    async fn append(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(piece).await.map_err(|error| file_error("write", &self.temporary, error))
    }

    async fn complete(mut self) -> Result<(), StoreError> {
        let fail = |error| file_error("write", &self.path, error);
        self.file.flush().await.map_err(fail)?;
        self.file.sync_all().await.map_err(fail)?;
        tokio::fs::rename(&self.temporary, &self.path).await.map_err(fail)?;
        self.completed = true;
        Ok(())
    }
}

impl Drop for FileUpload {
    fn drop(&mut self) {
        if !self.completed {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A multipart upload. When the process dies its parts stay until the next [`Store::begin`] under the same name.
pub struct MultipartUpload {
    client: Client,
    bucket: String,
    key: String,
    place: String,
    upload_id: String,
    parts: Vec<CompletedPart>,
}

impl fmt::Debug for MultipartUpload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MultipartUpload").field("place", &self.place).finish_non_exhaustive()
    }
}

impl MultipartUpload {
    async fn begin(mut self, content_type: &str) -> Result<Self, StoreError> {
        self.sweep().await;
        let created = request("write", &self.place, async || {
            let upload = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
            upload.content_type(content_type).send().await
        })
        .await?;
        self.upload_id = created.upload_id.unwrap_or_default();
        Ok(self)
    }

    /// Aborts what earlier processes left under this key. It is a courtesy: a role that may only write goes on.
    async fn sweep(&self) {
        let listed = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(&self.key).send().await;
        for upload in listed.map(|listed| listed.uploads.unwrap_or_default()).unwrap_or_default() {
            let (Some(key), Some(id)) = (upload.key, upload.upload_id) else { continue };
            if key == self.key {
                let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
                if let Err(error) = abort.send().await {
                    tracing::debug!(error = %RequestFailure::from(error), "an old upload stays at {}", self.place);
                }
            }
        }
    }

    async fn append(&mut self, piece: Bytes) -> Result<(), StoreError> {
        // 10,000 is S3's limit, far from i32's.
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let written = request("write", &self.place, async || {
            let part = self.client.upload_part().bucket(&self.bucket).key(&self.key).upload_id(&self.upload_id);
            part.part_number(number).body(ByteStream::from(piece.clone())).send().await
        })
        .await?;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(written.e_tag).build());
        Ok(())
    }

    async fn complete(self) -> Result<(), StoreError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts)).build();
        request("complete", &self.place, async || {
            let upload = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            upload.upload_id(&self.upload_id).multipart_upload(parts.clone()).send().await
        })
        .await
        .map(drop)
    }
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File { action, path: path.display().to_string(), source }
}

/// Sends a request, again while it fails with something that may pass.
async fn request<T, E>(
    action: &'static str,
    url: &str,
    mut send: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, StoreError>
where
    RequestFailure: From<E>,
{
    // A report is also written while the run is being stopped, so no stop cuts this short; the time limits do.
    let never = CancellationToken::new();
    let attempted = retry(RetryPolicy::REQUEST, &never, async |_| send().await.map_err(RequestFailure::from)).await;
    attempted.outcome.map_err(|source| StoreError::Request { action, url: url.to_owned(), source: Box::new(source) })
}
