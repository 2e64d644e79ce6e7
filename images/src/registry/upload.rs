//! Bringing one blob into a registry: in pieces, from where the last attempt ended, and not at all when it is there.
//!
//! A registry that goes away is waited for as long as its `patience` lasts; what it has kept of the upload is asked for, and when
//! it has kept nothing the blob begins again. Blobs that are done are never sent again.

use std::time::{Duration, Instant};

use common::error::{Class, OperatorError as _};
use common::progress::Progress;
use common::retry::RetryPolicy;

use super::Repository;
use super::failure::Failure;
use super::http::{Answer, Request};
use crate::image::{Blob, Content};

/// Bytes of one piece. ECR takes none below 5 MiB but the last.
const PIECE_BYTES: usize = 8 << 20;

/// The largest piece that a registry may ask for.
const PIECE_BYTES_MAX: usize = 64 << 20;

/// Waits between two attempts.
const RETRY: RetryPolicy = RetryPolicy {
    attempts_max: u32::MAX,
    delay_initial: Duration::from_millis(500),
    delay_max: Duration::from_secs(8),
};

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there already.
    Present,
    /// It was sent.
    Sent,
}

/// An upload that the registry knows.
struct Upload {
    url: String,
    offset: u64,
    piece_bytes: usize,
}

impl Repository {
    /// Brings `blob` into the registry.
    pub async fn push_blob(&self, blob: &Blob, content: &Content, progress: &Progress) -> Result<Pushed, Failure> {
        let mut upload: Option<Upload> = None;
        let mut counted = 0;
        let mut attempts = 0;
        let mut moved = Instant::now();
        loop {
            let before = counted;
            let failure = match self.attempt(&mut upload, blob, content, progress, &mut counted).await {
                Ok(pushed) => {
                    progress.add_bytes(blob.size.saturating_sub(counted));
                    return Ok(pushed);
                }
                Err(failure) => failure,
            };
            if failure.is_lost_upload() && upload.is_some() {
                upload = None;
            } else if failure.class() != Class::Transient {
                return Err(failure);
            }
            if counted > before {
                (attempts, moved) = (0, Instant::now());
            }
            attempts += 1;
            if moved.elapsed() > self.patience || self.stop.is_cancelled() {
                return Err(failure);
            }
            tracing::warn!(error = %failure, digest = %blob.digest, "the registry does not take it; trying again");
            tokio::select! {
                () = tokio::time::sleep(RETRY.delay(attempts)) => {}
                () = self.stop.cancelled() => return Err(failure),
            }
        }
    }

    /// One attempt. `upload` is what the registry knows of, `counted` what progress has been told of this blob.
    async fn attempt(
        &self,
        upload: &mut Option<Upload>,
        blob: &Blob,
        content: &Content,
        progress: &Progress,
        counted: &mut u64,
    ) -> Result<Pushed, Failure> {
        if self.has_blob(&blob.digest).await? {
            return Ok(Pushed::Present);
        }
        match upload {
            Some(known) => known.offset = self.uploaded(&known.url).await?,
            None => *upload = Some(self.begin().await?),
        }
        let Some(upload) = upload else { return Err(Failure::Protocol("an upload was lost".into())) };
        if *counted > upload.offset {
            progress.take_back_bytes(*counted - upload.offset);
        } else {
            progress.add_bytes(upload.offset - *counted);
        }
        *counted = upload.offset;
        let mut reader = content.open(blob, upload.offset).await?;
        loop {
            let piece = reader.read(upload.piece_bytes).await?;
            if piece.is_empty() {
                break;
            }
            let (length, first) = (piece.len() as u64, upload.offset);
            let request = Request::new("PATCH", upload.url.clone())
                .header("content-type", "application/octet-stream")
                .header("content-range", &format!("{first}-{}", first + length - 1))
                .body(piece);
            let answer = self.expect(request, &[202, 204]).await?;
            upload.url = self.location(&answer).unwrap_or_else(|| upload.url.clone());
            upload.offset += length;
            *counted += length;
            progress.add_bytes(length);
        }
        let separator = if upload.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}digest={}", upload.url, blob.digest);
        let request = Request::new("PUT", url).header("content-type", "application/octet-stream");
        self.expect(request, &[201, 204]).await?;
        Ok(Pushed::Sent)
    }

    /// Begins an upload.
    async fn begin(&self) -> Result<Upload, Failure> {
        let answer = self.expect(Request::new("POST", self.url("blobs/uploads/")), &[202]).await?;
        let url = self.location(&answer);
        let url = url.ok_or_else(|| Failure::Protocol("it began an upload and did not say where".into()))?;
        let wanted = answer.header("oci-chunk-min-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Ok(Upload { url, offset: 0, piece_bytes: PIECE_BYTES.max(wanted).min(PIECE_BYTES_MAX) })
    }

    /// How many bytes of an upload the registry holds: `Range: 0-LAST`, where `0-0` means none to Docker's registry.
    async fn uploaded(&self, url: &str) -> Result<u64, Failure> {
        let answer = self.expect(Request::get(url.to_owned()), &[202, 204]).await?;
        let range = answer.header("range").unwrap_or_default();
        let last = range.rsplit('-').next().and_then(|last| last.parse::<u64>().ok());
        Ok(last.map_or(0, |last| if last == 0 { 0 } else { last + 1 }))
    }

    fn location(&self, answer: &Answer) -> Option<String> {
        answer.header("location").map(|location| self.absolute(&location))
    }
}
